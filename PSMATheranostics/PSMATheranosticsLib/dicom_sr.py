"""The measurements of one study as a DICOM structured report: TID 1500 in a Comprehensive 3D SR.

The report holds the images measured on with tracer, activity and scaling, one group per lesion that refers to its
segment in the SEG, one group for the whole patient and one for each response. Rejected lesions are not in it. A number
is written in full (64 bits) beside its decimal string of 16 characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, generate_uid

from . import __version__
from .dicom_object import MANUFACTURER, WrittenObject, content_key, derived_uid, describe_object, put_in_place, stamp
from .dicom_seg import SegmentDescription
from .dicom_source import SourceReferences, frame_of_reference, patient_and_study
from .dicom_terms import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    COMMENT,
    FRAME_OF_REFERENCE,
    IMAGE_LIBRARY,
    IMAGE_LIBRARY_GROUP,
    INCUBATION_TIME,
    MEGABECQUEREL,
    MINUTE,
    MODALITIES,
    MODALITY,
    NM_PROCEDURE,
    PET_PROCEDURE,
    PRIVATE_SCHEME,
    PRIVATE_SCHEME_NAME,
    RADIONUCLIDE,
    RADIOPHARMACEUTICAL,
    SOURCE,
    TOTAL_DOSE,
    nuclide_code,
    tracer_code,
)
from .results_model import Results, StudyResult
from .sr_groups import lesion_group, whole_patient_group
from .sr_response import response_groups, responses_of
from .study import DicomOrigin, Scaling

if TYPE_CHECKING:
    from highdicom.sr import ContainerContentItem, ContentItem, MeasurementReport, ObservationContext

_OBSERVER_UID = generate_uid(entropy_srcs=[MANUFACTURER])


@dataclass(frozen=True)
class ReportReferences:
    """What the report of a study refers to: its source, the SEG with the description of each lesion in it, the RWVM.

    ``whole_patient_uid`` is the tracking identifier of the whole-patient group, the same at every study of the case.
    """

    origin: DicomOrigin
    whole_patient_uid: str
    segments: Mapping[int, SegmentDescription]
    segmentation: WrittenObject | None = None
    value_map: WrittenObject | None = None


def write_measurements(
    path: Path, results: Results, study_id: int, references: ReportReferences, made: datetime | None = None
) -> WrittenObject | None:
    """Write the measurement report of one study.

    ``made`` is as for ``write_segmentation``. Returns None, and writes nothing, for a study that was not segmented.
    Raises ValueError when there are lesions and no SEG to refer to.
    """
    study = results.study(study_id)
    if study.totals is None:
        return None
    if study.lesions and references.segmentation is None:
        raise ValueError(f"{study.label} has lesions: write its SEG first")
    made = made or datetime.now()
    key = content_key("SR", _content(results, study), references, made)
    dataset = patient_and_study(results.patient, references.origin, study.acquired)
    _describe(dataset, key, references)
    dataset.update(_report(results, study, references)[0])
    stamp(dataset, made)
    put_in_place(dataset, path)
    return WrittenObject(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID, {})


def _content(results: Results, study: StudyResult) -> tuple[object, ...]:
    """What the report of ``study`` is made of; other studies count as far as it names them."""
    responses = responses_of(results, study)
    others = [(found.study_id, found.label, found.acquired) for found in results.studies]
    return results.patient, study, responses, others


def _describe(dataset: Dataset, key: str, references: ReportReferences) -> None:
    """The document around the content, as PS3.3 A.35.13 asks for it.

    highdicom would make it too, but copies the whole content several times on the way: 300 lesions take it twice as
    long.
    """
    describe_object(dataset, "SR", Comprehensive3DSRStorage, key, references.origin)
    dataset.SeriesDescription = "PSMA measurements"
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = PRIVATE_SCHEME_NAME
    dataset.CodingSchemeIdentificationSequence = [scheme]
    dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(references)]


def _evidence(references: ReportReferences) -> Dataset:
    """Every instance that the content refers to, series by series."""
    origin = references.origin
    series = [_series(origin.series_instance_uid, SourceReferences(origin).instances())]
    for written in (references.segmentation, references.value_map):
        if written is not None:
            instance = Dataset()
            instance.ReferencedSOPClassUID = written.sop_class_uid
            instance.ReferencedSOPInstanceUID = written.sop_instance_uid
            series.append(_series(written.series_instance_uid, [instance]))
    study = Dataset()
    study.StudyInstanceUID = origin.study_instance_uid
    study.ReferencedSeriesSequence = series
    return study


def _series(uid: str, instances: Sequence[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid
    series.ReferencedSOPSequence = list(instances)
    return series


def _report(results: Results, study: StudyResult, references: ReportReferences) -> MeasurementReport:
    from highdicom.sr import MeasurementReport

    groups: list[Any] = [whole_patient_group(results, study, references.whole_patient_uid, references.value_map)]
    groups += response_groups(results, study, references.whole_patient_uid)
    written = references.segmentation
    if written is not None:
        groups += _lesion_groups(results, study, references, written)
    report = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=PET_PROCEDURE if study.modality == "PET" else NM_PROCEDURE,
        imaging_measurements=groups,
    )
    report[0].ContentSequence.insert(len(report[0].ContentSequence) - 1, _image_library(study, references.origin))
    return report


def _lesion_groups(
    results: Results, study: StudyResult, references: ReportReferences, written: WrittenObject
) -> list[Any]:
    from highdicom.sr import ReferencedSegment, SourceSeriesForSegmentation

    groups = []
    for lesion in study.lesions:
        described = references.segments[lesion.lesion]
        number = written.segments[lesion.lesion]
        # A lesion that was not followed has no tracking UID yet; this one holds for this SEG only.
        uid = described.tracking_uid or derived_uid(written.sop_instance_uid, f"segment {number}")
        segment = ReferencedSegment(
            sop_class_uid=written.sop_class_uid,
            sop_instance_uid=written.sop_instance_uid,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(references.origin.series_instance_uid),
        )
        tracking = (described.tracking_id or described.label, uid)
        groups.append(lesion_group(results, study, lesion, described, tracking, segment, references.value_map))
    return groups


def _observer() -> ObservationContext:
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=_OBSERVER_UID,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
        serial_number=__version__,
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _image_library(study: StudyResult, origin: DicomOrigin) -> ContainerContentItem:
    """TID 1600 with one group: what all images of the source have in common, then the images."""
    from highdicom.sr import ContainerContentItem, ContentSequence, ImageContentItem

    group = ContainerContentItem(IMAGE_LIBRARY_GROUP, relationship_type="CONTAINS")
    group.ContentSequence = ContentSequence(_acquisition(study, origin))
    for image in SourceReferences(origin).instances():
        reference = ImageContentItem(
            SOURCE, image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID, relationship_type="CONTAINS"
        )
        group.ContentSequence.append(reference)
    library = ContainerContentItem(IMAGE_LIBRARY, relationship_type="CONTAINS")
    library.ContentSequence = ContentSequence([group])
    return library


def _acquisition(study: StudyResult, origin: DicomOrigin) -> list[ContentItem]:
    """How the images were acquired and scaled, as far as it is known."""
    from highdicom.sr import (
        CodeContentItem,
        DateContentItem,
        NumContentItem,
        TextContentItem,
        TimeContentItem,
        UIDRefContentItem,
    )

    context = "HAS ACQ CONTEXT"
    items: list[ContentItem] = [
        DateContentItem(ACQUISITION_DATE, study.acquired.date(), context),
        TimeContentItem(ACQUISITION_TIME, study.acquired.time(), context),
        UIDRefContentItem(FRAME_OF_REFERENCE, frame_of_reference(origin), context),
    ]
    if origin.modality in MODALITIES:
        items.insert(0, CodeContentItem(MODALITY, MODALITIES[origin.modality], context))
    tracer, nuclide = tracer_code(study.tracer), nuclide_code(study.tracer)
    if tracer is not None:
        items.append(CodeContentItem(RADIOPHARMACEUTICAL, tracer, context))
    elif study.tracer:
        items.append(TextContentItem(RADIOPHARMACEUTICAL, study.tracer, context))
    if nuclide is not None:
        items.append(CodeContentItem(RADIONUCLIDE, nuclide, context))
    if study.injected_activity_mbq is not None:
        items.append(NumContentItem(TOTAL_DOSE, float(study.injected_activity_mbq), MEGABECQUEREL, None, context))
    if study.minutes_after_injection is not None and study.modality == "PET":
        items.append(NumContentItem(INCUBATION_TIME, float(study.minutes_after_injection), MINUTE, None, context))
    return items + [TextContentItem(COMMENT, line, context) for line in _remarks(study, origin)]


def _remarks(study: StudyResult, origin: DicomOrigin) -> Sequence[str]:
    """What a reader must know and no code says."""
    remarks = ["Synthetic images."] if study.synthetic else []
    if origin.generated:
        remarks.append("The source is not DICOM: its identifiers were made by this software.")
    if study.minutes_after_injection is not None and study.modality != "PET":
        remarks.append(f"Time from injection to the middle of the scan: {study.minutes_after_injection:g} min")
    return [*remarks, *_scaling_lines(study.scaling)]


def _scaling_lines(scaling: Scaling) -> Sequence[str]:
    """Method, factor and inputs, those that were entered by hand marked as such."""
    lines = [f"{scaling.quantity}: {scaling.method}", f"Factor: {scaling.factor!r}"]
    if scaling.suv_factor is not None:
        lines.append(f"SUVbw per Bq/mL: {scaling.suv_factor!r}")
    for name, value in scaling.inputs.items():
        by_hand = any(name == entered or name.startswith(f"{entered} ") for entered in scaling.entered)
        lines.append(f"{name}: {value}" + (" (entered by hand)" if by_hand else ""))
    lines += [f"Another admissible factor: {other.factor!r} ({other.method})" for other in scaling.alternatives]
    return lines
