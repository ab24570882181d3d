"""Settings of the finish that every network result gets, and where each of them comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

LOWEST_THRESHOLD = 0.1
"""SUVbw that all but air reaches: with it and without growth, borders stay as a network drew them."""
_USUAL_THRESHOLD = 3.0


@dataclass(frozen=True)
class FinishSettings:
    """How a network's mask becomes lesions.

    threshold: SUVbw that voxels of a lesion reach. Source of the default, a fixed SUV of 3: Shagera 2023, J Nucl Med
        64:1869.
    expand_mm: how far a lesion may grow from what the network marked, at most 7 mm: the value of the DEEP-PSMA
        challenge's baseline (deep-psma.grand-challenge.org, model refinement tips).
    border: share of the way from its surroundings to its peak that voxels of a lesion must reach besides the threshold
        (``finish_borders``); 0: the threshold alone. Regions of low probability then keep the borders they have.
    blur_mm: full width at half maximum of the blur that lesions are expected to be seen through; what they show counts
        beside it (``finish_borders.study_blur``). The share of the border is higher for lesions that are narrow against
        the blur (``finish_borders.border_share``); 0: the same for all.
    minimum_volume_ml, split_depth, smoothing_mm, organ_margin_mm: as in ``rules.RuleSet``, but what is smaller than the
        minimum volume stays as a candidate of low evidence.
    low_suv_max, low_probability: a lesion whose SUVmax or mean probability is lower is one of low evidence. False
        marks of networks were often below an SUVmax of 4 to 5 or a mean probability of 0.8 (figures of a participant
        of autoPET V, github.com/msdsn/autopet-v); true lesions can be as faint, so that a reader has to decide.
    """

    threshold: float = _USUAL_THRESHOLD
    expand_mm: float = 7.0
    border: float = 0.0
    blur_mm: float = 0.0
    minimum_volume_ml: float = 0.2
    split_depth: float = 0.35
    smoothing_mm: float = 5.0
    organ_margin_mm: float = 5.0
    low_suv_max: float = 4.0
    low_probability: float = 0.8

    @property
    def told_from(self) -> float:
        """SUVbw from which on uptake that is no lesion is told of: the threshold, or 3 where it draws no borders."""
        return self.threshold if self.threshold > LOWEST_THRESHOLD else _USUAL_THRESHOLD

    def to_json(self) -> dict[str, float]:
        """Plain values for provenance."""
        return asdict(self)


FINISH_KEYS = tuple(entry.name for entry in fields(FinishSettings))

# Setting -> lowest and highest value allowed.
_RANGES: dict[str, tuple[float, float]] = {
    "threshold": (LOWEST_THRESHOLD, 1000.0),
    "expand_mm": (0.0, 7.0),
    "border": (0.0, 0.9),
    "blur_mm": (0.0, 30.0),
    "minimum_volume_ml": (0.0, 1000.0),
    "split_depth": (0.0, 0.99),
    "smoothing_mm": (0.0, 50.0),
    "organ_margin_mm": (0.0, 50.0),
    "low_suv_max": (0.0, 1000.0),
    "low_probability": (0.0, 1.0),
}


def finish_settings(values: Mapping[str, Any]) -> FinishSettings:
    """The settings among ``values`` that are the finish's; others are left to whoever runs the network.

    Raises ValueError for a value that is no number or out of range.
    """
    given: dict[str, float] = {}
    for key, (low, high) in _RANGES.items():
        if key not in values:
            continue
        value = values[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"Setting {key} must be a number from {low:g} to {high:g}, not {value!r}.")
        if not low <= value <= high:
            raise ValueError(f"Setting {key} is {value:g}; it must lie from {low:g} to {high:g}.")
        given[key] = float(value)
    return FinishSettings(**given)
