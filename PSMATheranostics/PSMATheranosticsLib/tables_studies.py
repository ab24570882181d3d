"""The tables of studies: as acquired and summed up, by region, reference regions, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.measure import Totals

from .results_model import UNKNOWN_REGION, Results, StudyResult
from .table_model import NUMBER, TIME, WHOLE, Column, Table, yes_no
from .track_results import percent_change

ALL_REGIONS = "all"  # in the table by region: the whole patient

_STUDY = (
    Column("patient_id", "Patient ID", "Patient ID"),
    Column("study_id", "Study number", "number of the study in the case", WHOLE),
    Column("study", "Study", "label of the study, e.g. Baseline, Follow-up 1"),
    Column("study_date", "Acquired", "date and time of acquisition, ISO 8601", TIME),
)
_SUMS = (
    Column("lesion_count", "Lesions", "number of lesions that count", WHOLE),
    Column("psma_tv_ml", "PSMA-TV (mL)", "total volume of the lesions, mL", NUMBER),
    Column("tl_psma_suvbw_ml", "TL-PSMA (SUVbw x mL)", "sum of volume x SUVmean, SUVbw x mL", NUMBER, 1),
    Column("suv_max_suvbw", "SUVmax (SUVbw)", "highest SUVbw of the lesions", NUMBER),
    Column("suv_mean_suvbw", "SUVmean (SUVbw)", "mean SUVbw of all their voxels", NUMBER),
)
_AGAINST = {
    "baseline": "the baseline",
    "previous": "the study of its kind before",
    "nadir": "the study of its kind with the lowest PSMA-TV since the baseline",
}
_CHANGED = {"psma_tv_ml": "PSMA-TV", "tl_psma": "TL-PSMA", "suv_max": "SUVmax", "suv_mean": "SUVmean"}

STUDY_COLUMNS = (
    *_STUDY,
    Column("days_since_baseline", "Days since baseline", "calendar days, negative before the baseline", WHOLE),
    Column("is_baseline", "Baseline", "yes or no"),
    Column("modality", "Modality", "PET or SPECT"),
    Column("tracer", "Tracer", "as written on the scanner"),
    Column("injected_activity_mbq", "Injected activity (MBq)", "MBq at the time of injection", NUMBER, 1),
    Column("minutes_after_injection", "After injection (min)", "from the injection to the scan, minutes", NUMBER, 0),
    Column("weight_kg", "Weight (kg)", "kg", NUMBER, 1),
    Column("height_m", "Height (m)", "m", NUMBER),
    Column("scanner", "Scanner", "manufacturer and model"),
    Column("reconstruction", "Reconstruction", "as the scanner words it"),
    Column("scaling", "Scaling", "how the uptake was computed from the images"),
    Column("scaling_factor", "Scaling factor", "what rescaled values were multiplied with", NUMBER, 6),
    Column("entered_by_hand", "Entered by hand", "inputs of the SUV that a person entered, separated by semicolons"),
    Column("segmentation", "Segmentation", "method and rule set"),
    Column("threshold_suvbw", "Threshold (SUVbw)", "SUVbw, where one threshold decided", NUMBER),
    Column("segmentation_version", "Segmentation is", "automatic, corrected by hand, or signed"),
    *_SUMS,
    Column("image_suv_max_suvbw", "Image SUVmax (SUVbw)", "highest SUVbw of the image, organs included", NUMBER),
    *(
        Column(
            f"{name}_change_from_{against}_percent",
            f"{title} against {against} (%)",
            f"change of {title} against {meaning}, percent; empty for another modality",
            NUMBER,
            1,
        )
        for against, meaning in _AGAINST.items()
        for name, title in _CHANGED.items()
    ),
)

REGION_COLUMNS = (
    *_STUDY,
    Column(
        "region", "Region", f"{', '.join(REGIONS)}, {UNKNOWN_REGION} (nobody knows), or {ALL_REGIONS} (whole patient)"
    ),
    *_SUMS,
    Column(
        "psma_tv_change_ml", "PSMA-TV change (mL)", "against the same region at baseline, mL; empty for SPECT", NUMBER
    ),
    Column(
        "psma_tv_change_percent",
        "PSMA-TV change (%)",
        "against the same region at baseline, percent; empty where it had none",
        NUMBER,
        1,
    ),
)

REFERENCE_COLUMNS = (
    *_STUDY,
    Column("region", "Reference region", "blood pool, liver, spleen, right parotid, left parotid"),
    Column("suv_mean_suvbw", "SUVmean (SUVbw)", "mean SUVbw in the sphere", NUMBER),
    Column("suv_sd_suvbw", "SD (SUVbw)", "standard deviation in the sphere, SUVbw", NUMBER),
    Column("radius_mm", "Radius (mm)", "of the sphere, mm", NUMBER, 1),
    Column("voxels", "Voxels", "number of voxels in the sphere", WHOLE),
    Column("center_left_mm", "Center, left (mm)", "center in patient coordinates: x to the left, mm", NUMBER, 1),
    Column("center_posterior_mm", "Center, posterior (mm)", "y to the back, mm", NUMBER, 1),
    Column("center_superior_mm", "Center, superior (mm)", "z to the head, mm", NUMBER, 1),
    Column("source", "Placed", "automatic or by hand"),
    Column("note", "Note", "what limits it"),
)

SCORE_COLUMNS = (
    *_STUDY,
    Column("score", "Score", "name of the score"),
    Column("value", "Value", "in words; NE where it cannot be said"),
    Column("number", "Number", "its figure, where it has one", NUMBER),
    Column("why", "Why", "what it rests on"),
    Column("inputs", "Inputs", "names and values, separated by semicolons"),
    Column("notes", "Notes", "what limits it"),
    Column("verified", "Verified", "no for a rule that no source read for this program confirms"),
)


def study_table(results: Results) -> Table:
    """One row per study."""
    return Table("studies", "Studies", STUDY_COLUMNS, tuple(_study_row(results, study) for study in results.studies))


def region_table(results: Results) -> Table:
    """One row per segmented study and region with lesions there or at the baseline, then one for the whole patient."""
    rows = tuple(row for study in results.studies for row in _region_rows(results, study))
    return Table("totals_by_region", "Totals by region", REGION_COLUMNS, rows)


def reference_table(results: Results) -> Table:
    """One row per study and reference region."""
    rows = tuple(
        {
            **_named(results, study),
            "region": region.name,
            "suv_mean_suvbw": region.suv_mean,
            "suv_sd_suvbw": region.suv_sd,
            "radius_mm": region.radius_mm,
            "voxels": region.voxels,
            "center_left_mm": region.center_mm[0],
            "center_posterior_mm": region.center_mm[1],
            "center_superior_mm": region.center_mm[2],
            "source": region.source,
            "note": region.note,
        }
        for study in results.studies
        for region in study.references
    )
    return Table("reference_regions", "Reference regions", REFERENCE_COLUMNS, rows)


def score_table(results: Results) -> Table:
    """One row per study and score."""
    rows = tuple(
        {
            **_named(results, study),
            "score": score.name,
            "value": score.value,
            "number": score.number,
            "why": score.why,
            "inputs": "; ".join(f"{name}: {value}" for name, value in score.inputs),
            "notes": " ".join(score.notes),
            "verified": yes_no(score.verified),
        }
        for study in results.studies
        for score in study.scores
    )
    return Table("scores", "Scores", SCORE_COLUMNS, rows)


def _named(results: Results, study: StudyResult) -> dict[str, Any]:
    return {
        "patient_id": results.patient.patient_id,
        "study_id": study.study_id,
        "study": study.label,
        "study_date": study.acquired,
    }


def _study_row(results: Results, study: StudyResult) -> dict[str, Any]:
    found = study.segmentation
    changes = {
        "baseline": study.change_from_baseline_percent,
        "previous": study.change_from_previous_percent,
        "nadir": study.change_from_nadir_percent,
    }
    return {
        **_named(results, study),
        "days_since_baseline": study.days_since_baseline,
        "is_baseline": yes_no(study.is_baseline),
        "modality": study.modality,
        "tracer": study.tracer,
        "injected_activity_mbq": study.injected_activity_mbq,
        "minutes_after_injection": study.minutes_after_injection,
        "weight_kg": study.weight_kg,
        "height_m": study.height_m,
        "scanner": study.scanner,
        "reconstruction": study.reconstruction,
        "scaling": f"{study.scaling.quantity}: {study.scaling.method}",
        "scaling_factor": study.scaling.factor,
        "entered_by_hand": "; ".join(study.scaling.entered),
        "segmentation": None if found is None else found.text,
        "threshold_suvbw": None if found is None else found.threshold_suv,
        "segmentation_version": None if found is None else found.version,
        **_sums(study.totals),
        "image_suv_max_suvbw": study.image_suv_max,
        **{
            f"{name}_change_from_{against}_percent": changes[against].get(name)
            for against in _AGAINST
            for name in _CHANGED
        },
    }


def _sums(found: Totals | None) -> dict[str, Any]:
    """Count, volume and uptake in SUVbw."""
    if found is None:
        return {}
    return {
        "lesion_count": found.lesion_count,
        "psma_tv_ml": found.psma_tv_ml,
        "tl_psma_suvbw_ml": found.tl_psma,
        "suv_max_suvbw": found.suv_max,
        "suv_mean_suvbw": found.suv_mean,
    }


def _region_rows(results: Results, study: StudyResult) -> Iterator[dict[str, Any]]:
    if study.totals is None:
        return
    baseline = next(one for one in results.studies if one.is_baseline)
    comparable = not study.is_baseline and study.modality == baseline.modality and baseline.totals is not None
    before = _by_region(baseline) if comparable else {}
    now = _by_region(study)
    for region in (*REGIONS, UNKNOWN_REGION, ALL_REGIONS):
        if region not in now and region not in before:
            continue
        row = {**_named(results, study), "region": region, **_sums(now.get(region, _NOTHING))}
        if comparable:
            first, later = (sums.get(region, _NOTHING).psma_tv_ml for sums in (before, now))
            row["psma_tv_change_ml"] = later - first
            row["psma_tv_change_percent"] = percent_change(first, later)
        yield row


_NOTHING = Totals(0, 0.0, 0.0, None, None)


def _by_region(study: StudyResult) -> Mapping[str, Totals]:
    """Totals by region, with those of the whole patient."""
    return study.by_region if study.totals is None else {**study.by_region, ALL_REGIONS: study.totals}
