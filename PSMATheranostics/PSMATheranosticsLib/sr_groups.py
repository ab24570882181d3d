"""The measurement groups of a structured report: one per lesion (TID 1411), one for the whole patient (TID 1501)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydicom.sr.coding import Code

from . import __version__
from .dicom_object import WrittenObject
from .dicom_seg import MANUAL, SegmentDescription
from .dicom_terms import (
    ABNORMAL_STRUCTURE,
    ACTIVITY_CONCENTRATION,
    BASELINE,
    BECQUEREL,
    BQ_PER_ML,
    CANDIDATE,
    COMMENT,
    CONFIRMED,
    CRITERIA,
    CURRENT_RESPONSE,
    DAY,
    DECISIONS,
    GRAM,
    LESION_ACTIVITY,
    LESION_COUNT,
    LESION_DECISION,
    LESION_STATUS,
    MAXIMUM,
    MEAN,
    MEASUREMENT_OF_RESPONSE,
    MILLILITER,
    NEOPLASM,
    NO_UNITS,
    PEAK,
    PERCENT,
    PRIVATE_SCHEME,
    REGIONS,
    RESPONSE_METHOD,
    RESPONSE_STATE,
    RESPONSES,
    SUV_BW,
    SUV_BW_METHOD,
    SUV_BW_UNIT,
    TL_PSMA,
    TOTAL,
    VOLUME,
    VOXEL_SUM,
    method_family,
    status_code,
)
from .results_model import LesionResult, ResponseResult, Results, SegmentationResult, StudyResult
from .study import Scaling

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        RealWorldValueMap,
        ReferencedSegment,
        TimePointContext,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )


def lesion_group(
    results: Results,
    study: StudyResult,
    lesion: LesionResult,
    described: SegmentDescription,
    tracking: tuple[str, str],
    segment: ReferencedSegment,
    value_map: WrittenObject | None,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Everything measured on one lesion, with the segment it was measured in; ``tracking`` is its ID and UID."""
    from highdicom.sr import FindingSite, TrackingIdentifier, VolumetricROIMeasurementsAndQualitativeEvaluations

    measures = lesion.measures
    uptake = {MAXIMUM: measures.suv_max, MEAN: measures.suv_mean, PEAK: measures.suv_peak}
    answers = []
    if lesion.status:
        answers.append(_answer(LESION_STATUS, status_code(lesion.status)))
    if lesion.decision in DECISIONS:
        answers.append(_answer(LESION_DECISION, DECISIONS[lesion.decision]))
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking[1], identifier=tracking[0]),
        time_point_context=_time_point(results, study),
        finding_category=ABNORMAL_STRUCTURE,
        finding_type=NEOPLASM,
        finding_sites=[FindingSite(REGIONS[described.region])] if described.region else None,
        algorithm_id=_algorithm(described),
        referenced_segment=segment,
        referenced_real_world_value_map=_value_map(value_map),
        measurements=[
            _measurement(VOLUME, measures.volume_ml, MILLILITER, method=VOXEL_SUM),
            *_uptake_measurements(uptake, study.scaling),
            *_load_measurements(measures.tl_psma, study.scaling),
        ],
        qualitative_evaluations=answers,
    )


def whole_patient_group(
    results: Results, study: StudyResult, tracking_uid: str, value_map: WrittenObject | None
) -> MeasurementsAndQualitativeEvaluations:
    """PSMA-TV, TL-PSMA, SUVs and number of all lesions of a segmented study, and the response if it has one."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations, TextContentItem, TrackingIdentifier

    totals = study.totals
    if totals is None:
        raise ValueError(f"{study.label} was not segmented: there is nothing to sum up")
    uptake = {MAXIMUM: totals.suv_max, MEAN: totals.suv_mean}
    measurements = [
        _measurement(VOLUME, totals.psma_tv_ml, MILLILITER, TOTAL, VOXEL_SUM, note="PSMA-TV"),
        *_uptake_measurements({key: value for key, value in uptake.items() if value is not None}, study.scaling),
        *_load_measurements(totals.tl_psma, study.scaling, TOTAL),
        _measurement(LESION_COUNT, float(totals.lesion_count), NO_UNITS),
    ]
    response = next((found for found in results.responses if found.followup_id == study.study_id), None)
    if response is not None and response.change_percent is not None:
        note = f"PSMA-TV against {_baseline_text(results, response)}"
        measurements.append(_measurement(MEASUREMENT_OF_RESPONSE, response.change_percent, PERCENT, note=note))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier="Whole patient"),
        time_point_context=_time_point(results, study, numbers=True),
        finding_type=NEOPLASM,
        algorithm_id=_study_algorithm(study.segmentation),
        referenced_real_world_value_map=_value_map(value_map),
        measurements=measurements,
        qualitative_evaluations=[] if response is None else _response_answers(response),
    )
    if response is not None:
        for line in _response_lines(results, response):
            group[0].ContentSequence.append(TextContentItem(COMMENT, line, "CONTAINS"))
    return group


def entered_text(scaling: Scaling) -> str:
    """Which inputs of the scaling a person entered by hand, with their values; "" where none was."""
    named = []
    for name in scaling.entered:
        value = next(
            (value for key, value in scaling.inputs.items() if key == name or key.startswith(f"{name} ")), None
        )
        named.append(f"{name} entered by hand" if value is None else f"{name} entered by hand: {value}")
    return "; ".join(named)


def _time_point(results: Results, study: StudyResult, numbers: bool = False) -> TimePointContext:
    """Which time point it is; ``numbers`` adds order and distance, which some readers list among the measurements."""
    from highdicom.sr import LongitudinalTemporalOffsetFromEvent, TimePointContext

    kind = BASELINE if study.is_baseline else None
    if not numbers:
        return TimePointContext(study.label, kind)
    order = [found.study_id for found in results.studies].index(study.study_id) + 1
    days = LongitudinalTemporalOffsetFromEvent(float(study.days_since_baseline), DAY, BASELINE)
    return TimePointContext(study.label, kind, order, temporal_offset_from_event=days)


def _algorithm(described: SegmentDescription) -> AlgorithmIdentification | None:
    """How the lesion was delineated; None for one that was drawn by hand."""
    from highdicom.sr import AlgorithmIdentification

    if described.algorithm == MANUAL:
        return None
    return AlgorithmIdentification(
        name=described.algorithm,
        version=described.algorithm_version,
        parameters=None if described.automatic else ["outline corrected by hand"],
        family=method_family(described.algorithm),
    )


def _study_algorithm(segmentation: SegmentationResult | None) -> AlgorithmIdentification | None:
    """How the study was segmented, with all settings."""
    from highdicom.sr import AlgorithmIdentification

    if segmentation is None or not segmentation.method:
        return None
    parameters = [f"{name}: {value}" for name, value in segmentation.compared().items()]
    return AlgorithmIdentification(
        name=segmentation.method,
        version=str(segmentation.provenance.get("version", "")) or __version__,
        parameters=parameters,
        family=method_family(segmentation.method),
    )


def _value_map(written: WrittenObject | None) -> RealWorldValueMap | None:
    from highdicom.sr import RealWorldValueMap

    return None if written is None else RealWorldValueMap(written.sop_instance_uid)


def _uptake_measurements(uptake: dict[Code, float], scaling: Scaling) -> list[Measurement]:
    """SUVbw where it is known, activity concentration for an image in Bq/mL. ``uptake`` is in the image's quantity."""
    note = entered_text(scaling)
    found = []
    if scaling.quantity != "SUVbw":
        found = [
            _measurement(ACTIVITY_CONCENTRATION, value, BQ_PER_ML, how, note=note) for how, value in uptake.items()
        ]
    factor = _suv_factor(scaling)
    if factor is not None:
        found += [
            _measurement(SUV_BW, value * factor, SUV_BW_UNIT, how, SUV_BW_METHOD, note) for how, value in uptake.items()
        ]
    return found


def _load_measurements(load: float, scaling: Scaling, how: Code | None = None) -> list[Measurement]:
    """TL-PSMA (SUVbw x mL, which is grams), and the activity for an image in Bq/mL."""
    note = entered_text(scaling)
    found = []
    if scaling.quantity != "SUVbw":
        found.append(_measurement(LESION_ACTIVITY, load, BECQUEREL, how, note=note))
    factor = _suv_factor(scaling)
    if factor is not None:
        found.append(_measurement(TL_PSMA, load * factor, GRAM, how, SUV_BW_METHOD, note))
    return found


def _suv_factor(scaling: Scaling) -> float | None:
    return 1.0 if scaling.quantity == "SUVbw" else scaling.suv_factor


def _measurement(
    name: Code, value: float, unit: Code, how: Code | None = None, method: Code | None = None, note: str = ""
) -> Measurement:
    from highdicom.sr import ContentSequence, Measurement, TextContentItem

    measurement = Measurement(name=name, value=float(value), unit=unit, derivation=how, method=method)
    if note:
        item: Any = measurement[0]
        if "ContentSequence" not in item:
            item.ContentSequence = ContentSequence()
        item.ContentSequence.append(TextContentItem(COMMENT, note, "HAS PROPERTIES"))
    return measurement


def _answer(question: Code, answer: Code) -> QualitativeEvaluation:
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(name=question, value=answer)


def _response_answers(response: ResponseResult) -> list[QualitativeEvaluation]:
    category = RESPONSES.get(response.category) or Code(response.category[:16], PRIVATE_SCHEME, response.category)
    answers = [_answer(CURRENT_RESPONSE, category)]
    answers.append(_answer(RESPONSE_STATE, CANDIDATE if response.candidate else CONFIRMED))
    if response.criterion in CRITERIA:
        answers.insert(0, _answer(RESPONSE_METHOD, CRITERIA[response.criterion]))
    return answers


def _response_lines(results: Results, response: ResponseResult) -> Sequence[str]:
    state = "candidate, not confirmed by a reader" if response.candidate else f"confirmed by {response.confirmed_by}"
    lines = [
        f"{response.criterion}: {response.category} ({state})",
        f"Compared with {_baseline_text(results, response)}",
        response.why,
    ]
    return [line for line in (*lines, *response.notes) if line]


def _baseline_text(results: Results, response: ResponseResult) -> str:
    baseline = results.study(response.baseline_id)
    return f"{baseline.label} of {baseline.acquired:%Y-%m-%d}"
