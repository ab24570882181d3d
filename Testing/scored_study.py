"""Studies with lesions and reference regions as a test of scores wants them, without a case."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import Measures, totals
from PSMATheranosticsLib.clinical_model import ReferenceRegionResult
from PSMATheranosticsLib.results_model import LesionResult, StudyResult
from PSMATheranosticsLib.study import Scaling

GALLIUM, PSMA_1007 = "68Ga-PSMA-11", "18F-PSMA-1007"


def region(name: str, suv_mean: float) -> ReferenceRegionResult:
    """A region that was placed automatically."""
    return ReferenceRegionResult(name, (0.0, 0.0, 0.0), 15.0, suv_mean, 0.1 * suv_mean, 200, "automatic")


def regions(
    blood: float = 1.5, liver: float = 5.0, spleen: float = 9.0, parotid: float = 15.0
) -> tuple[ReferenceRegionResult, ...]:
    """All regions; the parotid glands differ by 2 from side to side."""
    named = {"blood pool": blood, "liver": liver, "spleen": spleen}
    sides = {"right parotid": parotid + 1.0, "left parotid": parotid - 1.0}
    return tuple(region(name, suv) for name, suv in {**named, **sides}.items())


REFERENCES = regions()


def lesion(
    number: int,
    suv_max: float,
    name: str = "",
    site: str = "",
    volume_ml: float = 2.0,
    suv_mean: float | None = None,
    suv_peak: float | None = None,
    source: str = "reader",
    reviewed: bool = True,
) -> LesionResult:
    """A lesion in a region; SUVmean and SUVpeak are half of SUVmax unless said."""
    mean = 0.5 * suv_max if suv_mean is None else suv_mean
    peak = 0.5 * suv_max if suv_peak is None else suv_peak
    place = (0.0, 0.0, 0.0)
    return LesionResult(
        lesion=number,
        track=f"L{number:02d}",
        tracking_uid=f"2.25.{number}",
        status="baseline",
        new_since_baseline=None,
        novelty_note="",
        measures=Measures(number, 10, volume_ml, suv_max, mean, peak, volume_ml * mean, place, place),
        origin="rules",
        reason="",
        decision="accepted" if reviewed else "undecided",
        decision_reason="",
        region=Region(name, site),
        region_source=source if name else "",
        reviewed=reviewed,
    )


def study(
    lesions: Sequence[LesionResult] = (),
    rejected: Sequence[LesionResult] = (),
    references: Sequence[ReferenceRegionResult] = REFERENCES,
    **values: Any,
) -> StudyResult:
    """A segmented PET with 68Ga-PSMA-11; ``values`` replace what is said otherwise."""
    plain: dict[str, Any] = {
        "study_id": 1,
        "label": "Baseline",
        "is_baseline": True,
        "acquired": datetime(2026, 1, 10, 9, 30),
        "days_since_baseline": 0,
        "modality": "PET",
        "tracer": GALLIUM,
        "scaling": Scaling("SUVbw", 1.0, "none"),
        "injected_activity_mbq": 190.0,
        "minutes_after_injection": 60.0,
        "weight_kg": 80.0,
        "height_m": 1.8,
        "sex": "M",
        "norms": {},
        "scanner": "",
        "source": "synthetic",
        "synthetic": True,
        "image_suv_max": 60.0,
        "segmentation": None,
        "totals": totals(one.measures for one in lesions),
        "change_from_baseline_percent": {},
        "lesions": tuple(lesions),
        "rejected": tuple(rejected),
        "removed": (),
        "warnings": (),
        "references": tuple(references),
    }
    return StudyResult(**{**plain, **values})
