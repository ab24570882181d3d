"""The card of a click network: what it is, what it was made from, what it reaches and what nobody knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT = """# {title}

A network that refines the lesion around a click on PSMA PET. Research software: **no claim of clinical accuracy, not
for diagnosis or treatment.**

## What it does

It is given a cube of {voxels} voxels a side at {spacing_mm:g} mm around the last click: uptake (SUVbw), distance in
millimeters to the positive and negative clicks, the lesion as it is, other lesions, and what is taken for
physiological. It answers with the probability that each voxel belongs to that lesion, a mean over the question as it is
and mirrored. What is made of the answer is bounded outside of the network: other lesions never change, nothing changes
far from the click, clicks stay satisfied.

Border at probability {level:g}. Modality: {modalities}; it was not trained for SPECT. Inputs:
{channels}.

## What it was trained on

**Synthetic data only.** No measured PET image and no lesion drawn by a person was used. Lesions, organs, ureters,
bowel, glands and noise were painted as uptake on {maps} real organ maps of {men} men; men whose maps are kept for tests
were left out. Each painted crop: one lesion of {low_ml:g} to {high_ml:g} mL (ellipsoid, lobed, bumpy, rod or block),
voxels of 1.5 to 5.5 mm, blur of 4.5 to 9 mm FWHM, correlated noise of 4 to 25 %, other lesions beside it, readers who
click anywhere in the lesion and into the largest error afterwards. The lesion is where the uptake truly is (half of a
voxel or more), not what a threshold shows.

{rounds} rounds of {batch} crops with {interactions} answers each, {hours:.1f} hours, seed {seed}.
{parameters:,} weights. {note}

## What it reaches on synthetic crops

Fresh crops painted in the same way on organ maps of men that it never saw, lesions of 1 mL and more (n = {lesions:g}):

| | growth alone | with this network |
|---|---|---|
| median Dice after one click (quartiles) | {growth_1} | {network_1} |
| median Dice after up to five interactions | {growth_5} | {network_5} |

Painter and test share their assumptions, so this says how well the network learned its task, not how well it does in
patients.

## Limits

- How it does on measured PET is not known here. Readers decide.
- Lesions that touch and take up alike, lesions inside organs that take up more, and lesions below 1 mL are often wrong.
- A lesion wider than the cube is seen in parts: click more than once.

## License

Apache-2.0, as the software it comes with.
"""


def card_text(description: Mapping[str, Any]) -> str:
    """The card (Markdown) of a package from its description. Raises KeyError where a figure is missing."""
    training, metrics = description["training"], description["metrics"]
    low_ml, high_ml = training["volume_ml"]
    values = {
        **{name: description[name] for name in ("title", "voxels", "spacing_mm", "level")},
        "channels": ", ".join(description["channels"]).replace("_", " "),
        "modalities": ", ".join(description["modalities"]),
        **{name: training[name] for name in ("men", "maps", "rounds", "batch", "interactions", "seed", "parameters")},
        "hours": training["seconds"] / 3600.0,
        "low_ml": low_ml,
        "high_ml": high_ml,
        "note": training["note"],
        "lesions": metrics["lesions"],
        **{name: _one_click(metrics, who) for name, who in (("growth_1", "growth"), ("network_1", "network"))},
        "growth_5": f"{metrics['growth_median_dice_5_clicks']:.3f}",
        "network_5": f"{metrics['network_median_dice_5_clicks']:.3f}",
    }
    return _TEXT.format(**values)


def _one_click(metrics: Mapping[str, float], who: str) -> str:
    low, middle, high = (
        metrics[f"{who}_{part}_dice_1_click"] for part in ("lower_quartile", "median", "upper_quartile")
    )
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"
