"""Rule sets: which uptake is a candidate, how it is split, and whether physiological uptake is taken away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

# How a rule set comes to the uptake that a voxel of a lesion must reach.
FIXED, PERCENT, REFERENCE, QPSMA = "fixed", "percent of maximum", "reference organ", "qPSMA"
BY_TRACER, LIVER, SPLEEN = "by tracer", "liver", "spleen"


@dataclass(frozen=True)
class RuleSet:
    """Settings of the rule engine. Every field but the first three may be overridden by a setting.

    threshold_rule: FIXED, the threshold alone; PERCENT, lesions are voxels of at least ``percent`` of their SUVmax;
        REFERENCE, voxels must also reach the uptake of a reference organ (``relative_threshold``); QPSMA, the threshold
        counts in bone and a threshold by the reference organ in soft tissue (``qpsma``).
    threshold: SUVbw that a voxel must reach to be a candidate, whatever else the rule asks for. Source of the default,
        a fixed SUV of 3: Shagera 2023, J Nucl Med 64:1869, and the rule for bone in qPSMA, Gafita 2019, J Nucl Med
        60:1277. With PERCENT only the hottest voxel must reach it, so that the outline of a faint lesion may lie lower.
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
    percent: of the lesion's SUVmax, with PERCENT. Default: the 41 % of the EANM guideline for FDG (Boellaard 2015, Eur
        J Nucl Med Mol Imaging 42:328); nobody recommends a value for PSMA.
    reference: the organ that REFERENCE and QPSMA measure: LIVER, SPLEEN, or BY_TRACER, which is the spleen for
        18F-PSMA-1007, which the liver excretes, and the liver for all others (PROMISE V2, Seifert 2023, Eur Urol
        83:405).
    reference_factor, reference_sd_factor: with REFERENCE the threshold is the first times the organ's SUVmean plus the
        second times its standard deviation. Default: the SUVmean, above which the miPSMA score of PROMISE V2 is 2.
    reference_mean, reference_sd: SUVmean and standard deviation of the organ that a person measured; None measures them
        in the image.
    """

    name: str
    description: str
    threshold_rule: str = FIXED
    threshold: float = 3.0
    minimum_volume_ml: float = 0.2
    split_depth: float = 0.35
    smoothing_mm: float = 5.0
    remove_physiological: bool = True
    organ_margin_mm: float = 5.0
    percent: float = 41.0
    reference: str = BY_TRACER
    reference_factor: float = 1.0
    reference_sd_factor: float = 0.0
    reference_mean: float | None = None
    reference_sd: float | None = None

    def settings(self) -> dict[str, Any]:
        """The settings that count under the threshold rule, by name."""
        return {name: getattr(self, name) for name in _valid_for(self)}

    def needs_sd(self) -> bool:
        """Whether the standard deviation of the reference organ has a part in the threshold."""
        return self.threshold_rule == QPSMA or (self.threshold_rule == REFERENCE and self.reference_sd_factor > 0)


RULE_SETS: dict[str, RuleSet] = {
    "suv3": RuleSet("suv3", "SUV 3 or more, physiological uptake removed"),
    "suv3-all": RuleSet(
        "suv3-all", "SUV 3 or more, physiological uptake kept for a reader who removes it", remove_physiological=False
    ),
    "percent": RuleSet("percent", "41 % or more of the lesion's SUVmax, in foci of SUV 3 or more", PERCENT),
    "liver": RuleSet("liver", "The liver's SUVmean or more (18F-PSMA-1007: the spleen's), at least SUV 3", REFERENCE),
    "spleen": RuleSet("spleen", "The spleen's SUVmean or more, at least SUV 3", REFERENCE, reference=SPLEEN),
    "qpsma": RuleSet("qpsma", "qPSMA: SUV 3 or more in bone, a threshold by the liver in soft tissue", QPSMA),
}

# Setting -> lowest and highest value allowed.
_RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0.1, 1000.0),
    "minimum_volume_ml": (0.0, 1000.0),
    "split_depth": (0.0, 0.99),
    "smoothing_mm": (0.0, 50.0),
    "organ_margin_mm": (0.0, 50.0),
    "percent": (5.0, 95.0),
    "reference_factor": (0.1, 10.0),
    "reference_sd_factor": (0.0, 10.0),
    "reference_mean": (0.1, 1000.0),
    "reference_sd": (0.0, 1000.0),
}
# Settings that only some threshold rules know.
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "percent": (PERCENT,),
    "reference": (REFERENCE, QPSMA),
    "reference_factor": (REFERENCE,),
    "reference_sd_factor": (REFERENCE,),
    "reference_mean": (REFERENCE, QPSMA),
    "reference_sd": (REFERENCE, QPSMA),
}


def rule_set_from(settings: Mapping[str, Any]) -> RuleSet:
    """The rule set that ``settings["rule_set"]`` names ("suv3" when absent) with the other settings laid over it.

    Raises ValueError for an unknown rule set or key (listing the valid ones), for settings that the rule set has no use
    for, and for values of a wrong type or out of range.
    """
    name = settings.get("rule_set", "suv3")
    if not isinstance(name, str) or name not in RULE_SETS:
        raise ValueError(f"There is no rule set {name!r}. Valid are: {', '.join(RULE_SETS)}.")
    chosen = RULE_SETS[name]
    valid = ["rule_set", *_valid_for(chosen)]
    unknown = sorted(str(key) for key in settings if key not in valid)
    if unknown:
        of_set = f"the rule set {name}" if any(key in _ONLY_FOR for key in unknown) else "the rules"
        raise ValueError(f"Unknown settings of {of_set}: {', '.join(unknown)}. Valid are: {', '.join(valid)}.")
    rules = replace(chosen, **{key: _checked(key, value) for key, value in settings.items() if key != "rule_set"})
    if rules.reference_sd is not None and rules.reference_mean is None:
        raise ValueError("Setting reference_sd goes with reference_mean. Give both, or neither to measure them.")
    if rules.reference_mean is not None and rules.reference_sd is None and rules.needs_sd():
        raise ValueError(f"The rule set {name} also needs reference_sd, the standard deviation in the same region.")
    return rules


def _valid_for(rules: RuleSet) -> list[str]:
    """The settings that a rule set knows."""
    names = [f.name for f in fields(RuleSet) if f.name not in ("name", "description", "threshold_rule")]
    return [name for name in names if rules.threshold_rule in _ONLY_FOR.get(name, (rules.threshold_rule,))]


def _checked(key: str, value: Any) -> Any:
    """The value of a setting, or ValueError where it makes no sense."""
    if key == "remove_physiological":
        if not isinstance(value, bool):
            raise ValueError(f"Setting remove_physiological must be true or false, not {value!r}.")
        return value
    if key == "reference":
        if value not in (BY_TRACER, LIVER, SPLEEN):
            raise ValueError(f"Setting reference must be {BY_TRACER!r}, {LIVER!r} or {SPLEEN!r}, not {value!r}.")
        return value
    return _number(key, value)


def _number(key: str, value: Any) -> float:
    """The value as float, or ValueError where it is no number or lies outside the setting's range."""
    low, high = _RANGES[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"Setting {key} must be a number from {low:g} to {high:g}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"Setting {key} is {value:g}; it must lie from {low:g} to {high:g}.")
    return float(value)
