"""How far a measure of one lesion may differ between two scans although nothing has changed: limits of the ratio.

The limits come from test-retest studies, in which the same man is scanned twice within days. Where a study gives a
within-subject coefficient of variation (CV), 95 % of the ratios of two unchanged measurements lie between
exp(-1.96 x sqrt(2) x CV) and exp(+1.96 x sqrt(2) x CV) if the spread is log-normal and small. That step is a derivation
of this software; the published numbers are the CVs and the repeatability coefficients.

Sources of the numbers:

Werner 2022
    Mol Imaging 2022:7056983, 18F-DCFPyL, 21 men, 230 pairs of lesions, two scans within 7 days. CV of all lesions:
    SUVmax 12.1 %, SUVmean 7.3 %, PSMA-TV 23.5 %, TL-PSMA 24.0 %.
DCFPyL 10 men
    "Repeatability of quantitative 18F-DCFPyL PET/CT measurements in metastatic prostate cancer" (J Nucl Med), 10 men,
    36 lesions. Repeatability coefficients: SUVpeak 25.3 %, SUVmax 31.0 %, SUVmean 24.4 %, volume 28.1 %. Volumes of
    lesions under 4.2 mL repeat worse.
PSMA-11
    doi 10.2967/jnumed.119.236083, 68Ga-PSMA-11, 18 men, 136 lesions. CV of SUVmax: bone 11.7 %, node 13.7 %
    (repeatability coefficients 32.5 % and 37.9 %). Volumes were not measured.

They hold for men without treatment between the scans, for the delineation of those studies and for PET. None was made
with the masks of this software.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

METRICS = ("volume", "suv_max", "suv_peak", "suv_mean", "tl_psma")
METRIC_NAMES: dict[str, str] = {
    "volume": "volume",
    "suv_max": "SUVmax",
    "suv_peak": "SUVpeak",
    "suv_mean": "SUVmean",
    "tl_psma": "TL-PSMA",
}
# At the limit is within the limits: ratios are compared with this relative tolerance, far below what a voxel adds.
RATIO_TOLERANCE = 1e-9


@dataclass(frozen=True)
class RatioLimits:
    """A later measure divided by the earlier one counts as a change below ``low`` or above ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high) and 0.0 < self.low <= 1.0 <= self.high):
            raise ValueError(
                f"the limits of a ratio are {self.low} and {self.high}; the lower one must lie above 0 and not above "
                "1, the upper one at 1 or above"
            )

    def beyond(self, ratio: float) -> int:
        """-1 where the ratio lies below the limits, 1 where it lies above, else 0."""
        if ratio < self.low * (1.0 - RATIO_TOLERANCE):
            return -1
        return 1 if ratio > self.high * (1.0 + RATIO_TOLERANCE) else 0

    @property
    def text(self) -> str:
        """Both limits for reading, e.g. "0.51 to 1.95"."""
        return f"{_plain(self.low)} to {_plain(self.high)}"


def _plain(limit: float) -> str:
    """With two decimals, or with more where it has more."""
    return f"{limit:.2f}" if round(limit, 2) == limit else f"{limit:.4g}"


def limits_from_variation(variation: float) -> RatioLimits:
    """Limits of the ratio of two unchanged measurements with a within-subject CV of ``variation`` (0.24: 24 %).

    exp(+-1.96 x sqrt(2) x CV), derived as said at the top of this file; not rounded.
    """
    spread = 1.96 * math.sqrt(2.0) * variation
    return RatioLimits(math.exp(-spread), math.exp(spread))


@dataclass(frozen=True)
class Limits:
    """What counts as a change of one lesion.

    Attributes
    ----------
    volume, suv_max, suv_peak, suv_mean, tl_psma : RatioLimits
    metric : str
        The one of ``METRICS`` that decides between increasing, stable and decreasing.
    smallest_ml : float
        Where a lesion has less volume than this on both scans, its ratio says nothing. A choice of this software: no
        study gives such a limit for lesions of a few voxels, and below 4.2 mL volumes repeat worse already.
    lowest_confidence : float
        A change that rests on a link which nobody confirmed and whose confidence is below this is uncertain. A choice
        of this software.

    The defaults are those of ``DEFAULT_LIMITS``.
    """

    # Werner 2022, CV 23.5 %: derived.
    volume: RatioLimits = RatioLimits(0.52, 1.92)
    # Werner 2022, CV 12.1 %: derived.
    suv_max: RatioLimits = RatioLimits(0.72, 1.40)
    # DCFPyL 10 men, repeatability coefficient 25.3 % taken as that of the logarithm: derived.
    suv_peak: RatioLimits = RatioLimits(0.78, 1.29)
    # Werner 2022, CV 7.3 %: derived.
    suv_mean: RatioLimits = RatioLimits(0.82, 1.22)
    # Werner 2022, CV 24.0 %: derived.
    tl_psma: RatioLimits = RatioLimits(0.51, 1.95)
    metric: str = "tl_psma"
    smallest_ml: float = 0.5
    lowest_confidence: float = 0.5

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"there is no measure '{self.metric}' to decide with; choose one of {', '.join(METRICS)}")
        for name, highest in (("smallest_ml", math.inf), ("lowest_confidence", 1.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= highest):
                bound = "" if highest == math.inf else f" to {highest:g}"
                raise ValueError(f"{name} is {value}; it must be a number from 0{bound}")

    def of(self, metric: str) -> RatioLimits:
        """The limits of one of ``METRICS``."""
        found: RatioLimits = getattr(self, metric)
        return found

    @property
    def deciding(self) -> RatioLimits:
        """The limits of the metric that decides."""
        return self.of(self.metric)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``from_dict`` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Limits:
        """Limits from ``to_dict``, or from a part of it: what is missing keeps its default.

        Raises
        ------
        ValueError
            For a name that is no limit, a value that is no number, and limits that are out of order.
        """
        unknown = sorted(set(stored) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"'{unknown[0]}' is no limit of the lesion response; there are {', '.join(_names())}")
        return replace(cls(), **{name: _value(name, value) for name, value in stored.items()})


def _names() -> list[str]:
    return [field.name for field in fields(Limits)]


def _value(name: str, value: Any) -> Any:
    if name == "metric":
        return str(value)
    try:
        if name in METRICS:
            return RatioLimits(float(value["low"]), float(value["high"]))
        return float(value)
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"the limit {name} is stored as {value!r}; a number, or a low and a high one, is needed"
        ) from (error)


DEFAULT_LIMITS = Limits()

# Other choices that are in use; names for a list to choose from.
PRESETS: dict[str, Limits] = {
    "TL-PSMA, test-retest": DEFAULT_LIMITS,
    "SUVmax, test-retest": replace(DEFAULT_LIMITS, metric="suv_max"),
    # PSMA-11, CV 13.7 % of nodes, the wider one: derived.
    "SUVmax, test-retest of 68Ga-PSMA-11": replace(DEFAULT_LIMITS, metric="suv_max", suv_max=RatioLimits(0.68, 1.46)),
    # After PERCIST (Wahl 2009, J Nucl Med 50:122S): 30 % of SULpeak, there of the hottest lesion, here of each.
    "SUVpeak, 30 % as in PERCIST": replace(DEFAULT_LIMITS, metric="suv_peak", suv_peak=RatioLimits(0.70, 1.30)),
}

# Where each default comes from, for reports.
LIMIT_SOURCES: dict[str, str] = {
    "volume": "CV 23.5 % (Werner 2022, 18F-DCFPyL)",
    "suv_max": "CV 12.1 % (Werner 2022, 18F-DCFPyL)",
    "suv_peak": "repeatability coefficient 25.3 % (18F-DCFPyL, 10 men, J Nucl Med)",
    "suv_mean": "CV 7.3 % (Werner 2022, 18F-DCFPyL)",
    "tl_psma": "CV 24.0 % (Werner 2022, 18F-DCFPyL)",
}
