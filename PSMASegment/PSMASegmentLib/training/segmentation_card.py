"""The description and the card of a network for whole studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PSMASegmentLib.inference.finish_settings import LOWEST_THRESHOLD
from PSMASegmentLib.inference.sidecar import CT, PRIOR
from PSMASegmentLib.training.export import described
from PSMASegmentLib.training.segmentation_config import SegmentationConfig

_TEXT = """# {title}

A network that labels lesions on {modalities} with PSMA tracers. Research software: **no claim of clinical accuracy, not
for diagnosis or treatment.**

## What it does

It is given {inputs} on voxels of {spacing} mm and tells apart: {classes}.
{optional}{borders} What the software makes of the answer (physiological uptake kept out, small and faint regions kept
as candidates) is not the network's work.

Tracers: {tracers}.

## What it was trained on

{data} Uptake of organs, lesions and noise were painted on {maps} real organ maps of {men} men{shapes}; men whose maps
are kept for tests were left out. Each crop of {voxels} voxels a side was drawn anew: tracer, uptake of each tissue,
lesions, blur, noise, misplaced CT. A lesion is where its uptake truly is (half of a voxel or more), not what a
threshold shows.

{rounds} rounds of {batch} crops, {hours:.1f} hours, seed {seed}. {parameters:,} weights. {note}

## What it reaches on synthetic crops

Fresh crops painted in the same way on organ maps of men that it never saw; the answer as it is, without the work that
follows in the software. Sensitivity for lesions of 0.5 mL and more (any overlap); false positives are regions that
touch no lesion.

| | crops | median Dice (quartiles) | sensitivity (lesions) | false positives, mL a crop | in crops without lesions |
|---|---|---|---|---|---|
{rows}

Painter and test share their assumptions, so this says how well the network learned its task, not how well it does in
patients.

## Limits

- How it does on measured images is not known here. Readers decide.
- Expect misses where lesions lie within organs of high uptake, are below 0.5 mL, or hardly stand out.
- Other tracers, children and implants were not painted.

## License

Apache-2.0, as the software it comes with.
"""

_BORDERS = """Borders of likely lesions are then drawn anew where the uptake reaches {border:.0%} of the way from the
surroundings to the peak, and more in lesions that are narrow against the blur, which lowers their peak; how wide it is
is told by the fall-off of the lesions of the study ({blur_mm:g} mm are expected); at most {expand_mm:g} mm from what
the network marked."""
_OWN_BORDERS = "Borders stay as it drew them."

# It learned whole lesions: growing to a threshold would add the blur around hot ones and cut the rims off faint ones.
_AS_DRAWN: Mapping[str, float] = {"expand_mm": 0.0, "threshold": LOWEST_THRESHOLD}
# Growth and probability were chosen among 4.2 to 7 mm and 0.5 to 0.8 on 24 synthetic studies on organ maps neither
# trained nor tested on; border and blur among 0.36 to 0.40 and 6 to 7 mm on 16 other such studies, 24 of another
# painter and the spheres of a measured phantom (63 combinations), for PET alone.
_FINISHES: Mapping[tuple[str, ...], Mapping[str, float]] = {
    ("PET",): {"expand_mm": 4.2, "threshold": LOWEST_THRESHOLD, "border": 0.38, "blur_mm": 6.5, "low_probability": 0.7}
}


def segmentation_description(
    config: SegmentationConfig, program: bytes, trained: Mapping[str, Any], metrics: Mapping[str, float]
) -> dict[str, Any]:
    """What ``model.json`` of a package says; the fields of ``inference.sidecar`` and how it was made."""
    return {
        **described(config, program),
        "channels": [
            {
                "image": channel.image,
                "units": channel.units,
                "normalize": [{name: _value(name, numbers)} for name, numbers in channel.steps],
                **({"optional": True} if channel.optional else {}),
            }
            for channel in config.inputs
        ],
        "spacing_mm": [config.spacing_mm] * 3,
        "orientation": "LPS",
        "spline_order": 3,
        "window": [config.window] * 3,
        "windows": [config.step] * 3,
        "overlap": config.overlap,
        "weights": "gaussian",
        "mirror_axes": list(config.mirror_axes),
        "output": "softmax",
        "classes": list(config.classes),
        "meaning": {
            "lesion": [1],
            "physiological": {str(value): name for value, name in enumerate(config.classes) if value > 1},
            "ignored": [],
        },
        "tracers": list(config.all_tracers),
        "modalities": list(config.modalities),
        "finish": dict(_FINISHES.get(config.modalities, _AS_DRAWN)),
        "training": dict(trained),
        "metrics": dict(metrics),
    }


def _value(name: str, numbers: tuple[float, ...]) -> Any:
    if name == "clip":
        return list(numbers)
    return numbers[0] if numbers else True


def segmentation_card(description: Mapping[str, Any]) -> str:
    """The card (Markdown) of a package from its description. Raises KeyError where a figure is missing."""
    trained, metrics = description["training"], description["metrics"]
    optional = [channel["image"] for channel in description["channels"] if channel.get("optional")]
    names = {CT: "the CT", PRIOR: "the lesions of a registered study"}
    values = {
        **{name: trained[name] for name in ("maps", "men", "rounds", "batch", "seed", "parameters", "note")},
        "title": description["title"],
        "modalities": " and ".join(description["modalities"]),
        "inputs": ", ".join(f"{channel['image']} ({channel['units']})" for channel in description["channels"]),
        "spacing": f"{description['spacing_mm'][0]:g}",
        "classes": ", ".join(description["classes"]),
        "shapes": f" and on {trained['shapes']} men of simple shapes" if trained["shapes"] else "",
        "borders": (_BORDERS if "border" in description["finish"] else _OWN_BORDERS).format(**description["finish"]),
        "optional": f"It does without {' and '.join(names[name] for name in optional)}. " if optional else "",
        "tracers": ", ".join(description["tracers"]),
        "data": _data(trained),
        "voxels": trained["settings"]["voxels"],
        "hours": trained["seconds"] / 3600.0,
        "rows": "\n".join(_rows(description["modalities"], metrics)),
    }
    return _TEXT.format(**values)


def _data(trained: Mapping[str, Any]) -> str:
    began = f" The weights began from {trained['began_from']}." if trained["began_from"] else ""
    if not trained["cases"]:
        return (
            "**Synthetic data only.** No measured PET or SPECT image and no lesion drawn by a person was used in this "
            f"training.{began}"
        )
    return (
        f"**Synthetic data and {trained['cases']} studies that readers corrected** (a share of "
        f"{trained['settings']['case_share']:g} of the crops).{began}"
    )


def _rows(modalities: list[str], metrics: Mapping[str, float]) -> list[str]:
    rows = []
    for modality in modalities:
        for way, words in (("", ""), ("_without_ct", ", no CT"), ("_without_prior", ", no prior")):
            prefix = f"{modality.lower()}{way}"
            if f"{prefix}_crops" in metrics:
                rows.append(_row(f"{modality}{words}", prefix, metrics))
    return rows


def _row(name: str, prefix: str, metrics: Mapping[str, float]) -> str:
    def said(figure: str, form: str = ".3f") -> str:
        value = metrics.get(f"{prefix}_{figure}")
        return "none" if value is None else format(value, form)

    dice = f"{said('median_dice')} ({said('lower_quartile_dice')} to {said('upper_quartile_dice')})"
    found = f"{said('sensitivity')} ({said('lesions', '.0f')})"
    false_ml, free_ml = (said(f"mean_false_positive_ml{part}", ".2f") for part in ("", "_lesion_free"))
    return f"| {name} | {said('crops', '.0f')} | {dice} | {found} | {false_ml} | {free_ml} |"
