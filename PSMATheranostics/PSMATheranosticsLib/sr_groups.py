"""The measurement groups of a structured report: one per lesion (TID 1411), one for the whole patient (TID 1501).

Those of the responses are in ``sr_response``.
"""

from __future__ import annotations

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
    COMMENT,
    DAY,
    DECISIONS,
    GRAM,
    LESION_ACTIVITY,
    LESION_COUNT,
    LESION_DECISION,
    LESION_STATUS,
    MAXIMUM,
    MEAN,
    MI_PSMA,
    MI_PSMA_SCORES,
    MILLILITER,
    NEOPLASM,
    NO_UNITS,
    PEAK,
    REGIONS,
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
from .results_model import LesionResult, Results, SegmentationResult, StudyResult
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
        answers.append(answer(LESION_STATUS, status_code(lesion.status)))
    if lesion.decision in DECISIONS:
        answers.append(answer(LESION_DECISION, DECISIONS[lesion.decision]))
    if lesion.mi_psma is not None:
        answers.append(answer(MI_PSMA, MI_PSMA_SCORES[lesion.mi_psma]))
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking[1], identifier=tracking[0]),
        time_point_context=time_point(results, study),
        finding_category=ABNORMAL_STRUCTURE,
        finding_type=NEOPLASM,
        finding_sites=[FindingSite(REGIONS[described.region])] if described.region else None,
        algorithm_id=_algorithm(described),
        referenced_segment=segment,
        referenced_real_world_value_map=_value_map(value_map),
        measurements=[
            measurement(VOLUME, measures.volume_ml, MILLILITER, method=VOXEL_SUM),
            *_uptake_measurements(uptake, study.scaling),
            *_load_measurements(measures.tl_psma, study.scaling),
        ],
        qualitative_evaluations=answers,
    )


def whole_patient_group(
    results: Results, study: StudyResult, tracking_uid: str, value_map: WrittenObject | None
) -> MeasurementsAndQualitativeEvaluations:
    """PSMA-TV, TL-PSMA, SUVs and number of all lesions of a segmented study."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations, TrackingIdentifier

    totals = study.totals
    if totals is None:
        raise ValueError(f"{study.label} was not segmented: there is nothing to sum up")
    uptake = {MAXIMUM: totals.suv_max, MEAN: totals.suv_mean}
    measurements = [
        measurement(VOLUME, totals.psma_tv_ml, MILLILITER, TOTAL, VOXEL_SUM, note="PSMA-TV"),
        *_uptake_measurements({key: value for key, value in uptake.items() if value is not None}, study.scaling),
        *_load_measurements(totals.tl_psma, study.scaling, TOTAL),
        measurement(LESION_COUNT, float(totals.lesion_count), NO_UNITS),
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier="Whole patient"),
        time_point_context=time_point(results, study, numbers=True),
        finding_type=NEOPLASM,
        algorithm_id=_study_algorithm(study.segmentation),
        referenced_real_world_value_map=_value_map(value_map),
        measurements=measurements,
    )


def entered_text(scaling: Scaling) -> str:
    """Which inputs of the scaling a person entered by hand, with their values; "" where none was."""
    named = []
    for name in scaling.entered:
        value = next(
            (value for key, value in scaling.inputs.items() if key == name or key.startswith(f"{name} ")), None
        )
        named.append(f"{name} entered by hand" if value is None else f"{name} entered by hand: {value}")
    return "; ".join(named)


def time_point(results: Results, study: StudyResult, numbers: bool = False) -> TimePointContext:
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
    """``uptake``, which is in SUVbw, and the activity concentration for an image in Bq/mL."""
    note = entered_text(scaling)
    found = [measurement(SUV_BW, value, SUV_BW_UNIT, how, SUV_BW_METHOD, note) for how, value in uptake.items()]
    if scaling.suv_factor is not None:
        found += [
            measurement(ACTIVITY_CONCENTRATION, value / scaling.suv_factor, BQ_PER_ML, how, note=note)
            for how, value in uptake.items()
        ]
    return found


def _load_measurements(load: float, scaling: Scaling, how: Code | None = None) -> list[Measurement]:
    """TL-PSMA (``load`` in SUVbw x mL, which is grams), and the activity for an image in Bq/mL."""
    note = entered_text(scaling)
    found = [measurement(TL_PSMA, load, GRAM, how, SUV_BW_METHOD, note)]
    if scaling.suv_factor is not None:
        found.append(measurement(LESION_ACTIVITY, load / scaling.suv_factor, BECQUEREL, how, note=note))
    return found


def measurement(
    name: Code, value: float, unit: Code, how: Code | None = None, method: Code | None = None, note: str = ""
) -> Measurement:
    """A number with unit, and where they are given derivation, method and a comment."""
    from highdicom.sr import ContentSequence, Measurement, TextContentItem

    found = Measurement(name=name, value=float(value), unit=unit, derivation=how, method=method)
    if note:
        item: Any = found[0]
        if "ContentSequence" not in item:
            item.ContentSequence = ContentSequence()
        item.ContentSequence.append(TextContentItem(COMMENT, note, "HAS PROPERTIES"))
    return found


def answer(question: Code, answer: Code) -> QualitativeEvaluation:
    """A coded answer to a coded question."""
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(name=question, value=answer)
