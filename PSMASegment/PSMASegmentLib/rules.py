"""Rule sets: which uptake is a candidate, how it is split, and whether physiological uptake is taken away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class RuleSet:
    """Settings of the rule engine. Every field but ``name`` and ``description`` may be overridden by a setting.

    threshold: SUVbw a voxel must reach to be a candidate. Source of the default, a fixed SUV of 3: Shagera 2023,
        J Nucl Med 64:1869, and the rule for bone in qPSMA, Gafita 2019, J Nucl Med 60:1277.
    minimum_volume_ml: smaller candidates are removed, with the reason. A choice of this project (four voxels of
        4 x 4 x 3 mm), not a clinical limit: noise that grazes the threshold makes specks below it, and one speck taken
        for a new lesion changes the response. 0 keeps single voxels.
    split_depth: how far uptake must fall between two hot spots for them to be two lesions, as a share (0 to 1) of the
        cooler one's peak. Relative, so that a hot lesion is not shattered by its noise, which grows with its uptake.
        A choice of this project.
    smoothing_mm: FWHM of the Gaussian laid over the uptake before hot spots are looked for; measures never use it.
    remove_physiological: take physiological uptake away, by the organ map where there is one, otherwise by rules.
    organ_margin_mm: how far outside an organ of the map a hot spot may peak and still be that organ's: allows for
        breathing and filling between CT and PET. A choice of this project.
    """

    name: str
    description: str
    threshold: float = 3.0
    minimum_volume_ml: float = 0.2
    split_depth: float = 0.35
    smoothing_mm: float = 5.0
    remove_physiological: bool = True
    organ_margin_mm: float = 5.0


RULE_SETS: dict[str, RuleSet] = {
    "suv3": RuleSet("suv3", "SUV 3 or more, physiological uptake removed"),
    "suv3-all": RuleSet(
        "suv3-all", "SUV 3 or more, physiological uptake kept for a reader who removes it", remove_physiological=False
    ),
}

# Setting -> lowest and highest value allowed.
_RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0.1, 1000.0),
    "minimum_volume_ml": (0.0, 1000.0),
    "split_depth": (0.0, 0.99),
    "smoothing_mm": (0.0, 50.0),
    "organ_margin_mm": (0.0, 50.0),
}


def rule_set_from(settings: Mapping[str, Any]) -> RuleSet:
    """The rule set that ``settings["rule_set"]`` names ("suv3" when absent) with the other settings laid over it.

    Raises ValueError for an unknown rule set or key (listing the valid ones) and for values of a wrong type or out of
    range.
    """
    valid = ["rule_set"] + [f.name for f in fields(RuleSet) if f.name not in ("name", "description")]
    unknown = sorted(str(key) for key in settings if key not in valid)
    if unknown:
        raise ValueError(f"Unknown settings of the rules: {', '.join(unknown)}. Valid are: {', '.join(valid)}.")
    name = settings.get("rule_set", "suv3")
    if not isinstance(name, str) or name not in RULE_SETS:
        raise ValueError(f"There is no rule set {name!r}. Valid are: {', '.join(RULE_SETS)}.")
    changes: dict[str, Any] = {}
    for key, value in settings.items():
        if key == "remove_physiological":
            if not isinstance(value, bool):
                raise ValueError(f"Setting remove_physiological must be true or false, not {value!r}.")
            changes[key] = value
        elif key != "rule_set":
            changes[key] = _number(key, value)
    return replace(RULE_SETS[name], **changes)


def _number(key: str, value: Any) -> float:
    """The value as float, or ValueError where it is no number or lies outside the setting's range."""
    low, high = _RANGES[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"Setting {key} must be a number from {low:g} to {high:g}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"Setting {key} is {value:g}; it must lie from {low:g} to {high:g}.")
    return float(value)
