"""DICOM SR: the numbers in the report are those of the case, tied to their lesions and segments by the same UIDs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import highdicom
import pydicom
import pytest
from dicom_check import dicom_errors
from example_case import NEW, PATIENT, A, B, Visit, make_case
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib import dicom_terms
from PSMATheranosticsLib.case_files import write_dicom
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.dicom_object import WrittenObject
from PSMATheranosticsLib.dicom_seg import SegmentDescription
from PSMATheranosticsLib.dicom_sr import ReportReferences, write_measurements
from PSMATheranosticsLib.reader_statement import ReaderStatement, override, state_inputs
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results, StudyResult
from PSMATheranosticsLib.sr_response import category_code
from PSMATheranosticsLib.study import Alternative, DicomOrigin, Scaling
from pydicom.dataset import Dataset
from pydicom.sr import _concepts_dict
from pydicom.sr.coding import Code
from spect_case import add_spect, draw_lesion
from sr_back import MeasuredGroup, read_measurements

VALUES = ("volume_ml", "suv_max", "suv_mean", "suv_peak", "tl_psma")
MADE = datetime(2026, 5, 6, 7, 8, 9)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as opened:
        yield opened


def reports_of(case: CaseStore, folder: Path) -> tuple[Results, list[dict[str, MeasuredGroup]]]:
    """Results of a case and the report of each study, read back."""
    results = collect_results(case)
    write_dicom(case, results, folder, ("sr",))
    return results, [read_measurements(path) for path in sorted((folder / "sr").iterdir())]


def whole_patient(groups: dict[str, MeasuredGroup]) -> MeasuredGroup:
    (found,) = [group for group in groups.values() if group.tracking_id == "Whole patient"]
    return found


def response_by(groups: dict[str, MeasuredGroup], criterion: str = "RECIP 1.0") -> MeasuredGroup:
    (found,) = [group for group in groups.values() if group.tracking_id == f"Response {criterion}"]
    return found


def items_of(path: Path) -> Iterator[tuple[str, Dataset]]:
    """Every content item of a report with the code of its concept."""

    def walk(item: Dataset) -> Iterator[tuple[str, Dataset]]:
        for child in item.get("ContentSequence", []):
            if "ConceptNameCodeSequence" in child:
                yield child.ConceptNameCodeSequence[0].CodeValue, child
            yield from walk(child)

    yield from walk(pydicom.dcmread(path))


def test_numbers_come_back_to_the_last_bit(case: CaseStore, tmp_path: Path) -> None:
    results, reports = reports_of(case, tmp_path)
    for study, groups in zip(results.studies, reports, strict=True):
        assert len([group for group in groups.values() if group.segment is not None]) == len(study.lesions)
        for lesion in study.lesions:
            expected = {name: getattr(lesion.measures, name) for name in VALUES}
            assert groups[lesion.tracking_uid].values == expected
            assert groups[lesion.tracking_uid].tracking_id == lesion.track
        totals = study.totals
        assert totals is not None
        values = whole_patient(groups).values
        assert (values["psma_tv_ml"], values["tl_psma"]) == (totals.psma_tv_ml, totals.tl_psma)
        assert (values["lesion_count"], values["suv_max"], values["suv_mean"]) == (
            totals.lesion_count,
            totals.suv_max,
            totals.suv_mean,
        )


@given(st.floats(1e-4, 1e6))
def test_decimal_strings_hold_ten_digits(value: float) -> None:
    """What a reader sees that does not know the floating point value beside it."""
    item = highdicom.sr.NumContentItem(dicom_terms.VOLUME, value, dicom_terms.MILLILITER)
    assert float(item.MeasuredValueSequence[0].NumericValue) == pytest.approx(value, rel=1e-10)
    assert item.value == value


def test_a_lesion_has_one_tracking_uid_in_seg_and_sr_of_all_studies(case: CaseStore, tmp_path: Path) -> None:
    _, (before, after) = reports_of(case, tmp_path)
    followed = [uid for uid, group in before.items() if group.tracking_id == "L01"]
    assert followed == [uid for uid, group in after.items() if group.tracking_id == "L01"]
    assert whole_patient(before).tracking_uid == whole_patient(after).tracking_uid
    for seg_path, sr_path in zip(
        sorted((tmp_path / "seg").iterdir()), sorted((tmp_path / "sr").iterdir()), strict=True
    ):
        seg = pydicom.dcmread(seg_path)
        segments = {item.SegmentNumber: (item.TrackingID, item.TrackingUID) for item in seg.SegmentSequence}
        groups = [group for group in read_measurements(sr_path).values() if group.segment is not None]
        assert {group.segment: (group.tracking_id, group.tracking_uid) for group in groups} == segments
        referenced = {
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for concept, item in items_of(sr_path)
            if concept == "121191"
        }
        assert referenced == {seg.SOPInstanceUID}


def test_highdicom_reads_every_group_with_its_codes(case: CaseStore, tmp_path: Path) -> None:
    results, _ = reports_of(case, tmp_path)
    document = highdicom.sr.srread(sorted((tmp_path / "sr").iterdir())[0])
    lesion = results.studies[0].lesions[1]
    (group,) = document.content.get_volumetric_roi_measurement_groups(tracking_uid=lesion.tracking_uid)
    assert group.finding_type == dicom_terms.NEOPLASM
    assert group.reference_type.value == "121191"
    found = {
        (item.name.value, item.derivation.value if item.derivation else None, item.unit.value): item.value
        for item in group.get_measurements()
    }
    measures = lesion.measures
    assert found == {
        ("118565006", None, "mL"): measures.volume_ml,
        ("126401", "56851009", "g/ml{SUVbw}"): measures.suv_max,
        ("126401", "373098007", "g/ml{SUVbw}"): measures.suv_mean,
        ("126401", "126031", "g/ml{SUVbw}"): measures.suv_peak,
        ("TL-PSMA", None, "g"): measures.tl_psma,
    }
    methods = {item.method.value for item in group.get_measurements() if item.name.value in ("118565006", "126401")}
    assert methods == {"126030", "126410"}
    (whole,) = document.content.get_image_measurement_groups()
    names = [item.name.value for item in whole.get_measurements()]
    assert names == ["126073", "128740", "118565006", "126401", "126401", "TL-PSMA", "LESION-COUNT"]


def test_report_says_when_the_study_was_and_what_was_injected(case: CaseStore, tmp_path: Path) -> None:
    reports_of(case, tmp_path)
    first, second = (dict(items_of(path)) for path in sorted((tmp_path / "sr").iterdir()))
    assert first["126072"].ConceptCodeSequence[0].CodeValue == "C1442488"  # baseline
    assert "126072" not in second
    assert [float(one["126073"].MeasuredValueSequence[0].NumericValue) for one in (first, second)] == [1, 2]
    offset = second["128740"].MeasuredValueSequence[0]
    assert (float(offset.NumericValue), offset.MeasurementUnitsCodeSequence[0].CodeValue) == (84, "d")
    assert second["126201"].Date == "20260404"
    assert first["123001"].ConceptCodeSequence[0].CodeValue == "C118961"  # 68Ga-PSMA-11
    assert first["89457008"].ConceptCodeSequence[0].CodeValue == "35337001"
    assert float(first["123006"].MeasuredValueSequence[0].NumericValue) == 190.0
    assert float(first["126203"].MeasuredValueSequence[0].NumericValue) == 61.0


def test_report_lists_the_source_images(case: CaseStore, tmp_path: Path) -> None:
    reports_of(case, tmp_path)
    study = case.studies()[0]
    path = sorted((tmp_path / "sr").iterdir())[0]
    listed = [item.ReferencedSOPSequence[0] for concept, item in items_of(path) if concept == "260753009"]
    assert [item.ReferencedSOPInstanceUID for item in listed] == list(study.origin.instance_uids)
    source = {item.UID for concept, item in items_of(path) if concept == "121232"}
    assert source == {study.origin.series_instance_uid}


def test_response_with_criterion_comparator_and_state(case: CaseStore, tmp_path: Path) -> None:
    results, (before, after) = reports_of(case, tmp_path)
    (response,) = results.responses
    group = response_by(after)
    assert group.answers["112021"] == "C204131"
    assert group.answers["112048"] == response.category
    assert group.answers["RESPONSE-STATE"] == "CANDIDATE"
    assert group.values == {
        "ttv_before_ml": response.baseline_ttv_ml,
        "ttv_after_ml": response.followup_ttv_ml,
        "change_percent": response.change_percent,
    }
    assert "PSMA-TV against Baseline of 2026-01-10" in group.comments
    assert not any(group.tracking_id.startswith("Response") for group in before.values())


def test_other_criteria_that_can_be_evaluated_are_groups_of_their_own(case: CaseStore, tmp_path: Path) -> None:
    state_inputs(case, case.studies()[1].study_id, visual_change="increase")
    results, (_, after) = reports_of(case, tmp_path)
    evaluable = {one.criterion for one in results.other_responses if one.category != "NE"}
    listed = {group.tracking_id.removeprefix("Response ") for group in after.values() if group.segment is None}
    assert "RECIP 1.0 visual" in evaluable
    assert listed == {"Whole patient", "RECIP 1.0", *evaluable}
    answers = response_by(after, "RECIP 1.0 visual").answers
    assert (answers["112021"], answers["112048"]) == ("RECIP-VISUAL", "RECIP-PD")


def test_overridden_response_tells_both_categories_and_the_reason(case: CaseStore, tmp_path: Path) -> None:
    (response,) = collect_results(case).responses
    reason, seen = "the new lesion is a fracture", response.category
    override(case, response.followup_id, "RECIP 1.0", "RECIP-PR", reason, instead_of=seen)
    _, (_, after) = reports_of(case, tmp_path)
    answers = response_by(after).answers
    assert (answers["112048"], answers["BY-RULES"]) == ("RECIP-PR", response.category)
    assert answers["RESPONSE-STATE"] == "OVERRIDDEN"
    assert any("the new lesion is a fracture" in comment for comment in response_by(after).comments)
    for path in (tmp_path / "sr").iterdir():
        assert dicom_errors(path) == []


def test_mi_psma_of_a_lesion_is_coded(case: CaseStore, tmp_path: Path) -> None:
    results = collect_results(case)
    lesions = tuple(replace(lesion, mi_psma=2 if lesion.lesion == 1 else None) for lesion in results.studies[0].lesions)
    scored = replace(results, studies=(replace(results.studies[0], lesions=lesions), *results.studies[1:]))
    write_dicom(case, scored, tmp_path, ("sr",))
    path = sorted((tmp_path / "sr").iterdir())[0]
    groups = read_measurements(path)
    answers = [group.answers.get("MI-PSMA") for group in groups.values() if group.segment is not None]
    assert answers == ["MI-PSMA-2", None]
    assert dicom_errors(path) == []


def test_confirmed_response_names_who_confirmed(case: CaseStore, tmp_path: Path) -> None:
    (response,) = collect_results(case).responses
    statement = ReaderStatement(confirmed_category=response.category, confirmed_by="Dr. Ada")
    case.save_response(response.followup_id, response.criterion, statement.to_dict())
    _, (_, after) = reports_of(case, tmp_path)
    assert response_by(after).answers["RESPONSE-STATE"] == "CONFIRMED"
    assert any("confirmed by Dr. Ada" in comment for comment in response_by(after).comments)


def test_status_and_decision_of_each_lesion(case: CaseStore, tmp_path: Path) -> None:
    later = case.studies()[1].study_id
    case.decide_lesion(later, 2, "accepted")
    _, (_, after) = reports_of(case, tmp_path)
    answers = {
        group.tracking_id: (group.answers["LESION-STATUS"], group.answers["DECISION"])
        for group in after.values()
        if group.segment
    }
    assert answers == {"L01": ("PERSISTENT", "UNDECIDED"), "L03": ("NEW", "ACCEPTED")}


def test_rejected_lesion_is_nowhere(case: CaseStore, tmp_path: Path) -> None:
    first = case.studies()[0].study_id
    case.decide_lesion(first, 2, "rejected", "ureter")
    results, (before, _) = reports_of(case, tmp_path)
    assert [group.tracking_id for group in before.values() if group.segment] == ["L01"]
    totals = results.studies[0].totals
    assert totals is not None
    assert whole_patient(before).values["psma_tv_ml"] == totals.psma_tv_ml == pytest.approx(8.0)


def test_lesions_that_were_not_followed_get_a_uid_of_their_own(tmp_path: Path) -> None:
    with make_case(tmp_path / "case", [Visit(0, [A, B])], followed=False) as case:
        _, (groups,) = reports_of(case, tmp_path)
        _, (again,) = reports_of(case, tmp_path / "again")
    lesions = [group for group in groups.values() if group.segment]
    assert [group.tracking_id for group in lesions] == ["Lesion 1", "Lesion 2"]
    assert len({group.tracking_uid for group in lesions}) == 2
    assert groups.keys() == again.keys()
    assert "TrackingUID" not in pydicom.dcmread(next((tmp_path / "seg").iterdir())).SegmentSequence[0]


def test_study_without_lesions_has_a_report_of_nothing_found(tmp_path: Path) -> None:
    with make_case(tmp_path / "case", [Visit(0, [])], followed=False) as case:
        _, (groups,) = reports_of(case, tmp_path)
    assert whole_patient(groups).values == {"psma_tv_ml": 0.0, "tl_psma": 0.0, "lesion_count": 0.0}
    assert not (tmp_path / "seg").exists()
    assert dicom_errors(next((tmp_path / "sr").iterdir())) == []


def scaled(case: CaseStore, folder: Path, scaling: Scaling) -> Path:
    """The report of the first study as if it had been scaled like this."""
    results = collect_results(case)
    study = replace(results.studies[0], scaling=scaling)
    write_dicom(case, results, folder, ("seg",))
    references = references_of(study, case.study(study.study_id).origin, folder)
    path = folder / "sr.dcm"
    changed = replace(results, studies=(study, *results.studies[1:]))
    assert write_measurements(path, changed, study.study_id, references, MADE)
    return path


def references_of(study: StudyResult, origin: DicomOrigin, folder: Path) -> ReportReferences:
    seg = pydicom.dcmread(sorted((folder / "seg").iterdir())[0])
    written = WrittenObject(
        seg.SOPClassUID,
        seg.SOPInstanceUID,
        seg.SeriesInstanceUID,
        {lesion.lesion: number for number, lesion in enumerate(study.lesions, start=1)},
    )
    segments = {
        lesion.lesion: SegmentDescription(
            lesion.lesion, lesion.track, lesion.track, lesion.tracking_uid, "rules", "1", True
        )
        for lesion in study.lesions
    }
    return ReportReferences(origin, "1.2.3.4", segments, written)


def test_value_entered_by_hand_is_named_at_every_suv(case: CaseStore, tmp_path: Path) -> None:
    scaling = Scaling(
        "SUVbw",
        0.0004,
        "BQML, decay corrected to start of scan",
        {"PatientWeight (0010,1030)": "82 kg", "RadionuclideTotalDose (0018,1074)": "190 MBq"},
        entered=("PatientWeight",),
        alternatives=(Alternative("start of series", 0.0005),),
    )
    path = scaled(case, tmp_path, scaling)
    for code, item in items_of(path):
        if item.ValueType != "NUM" or code not in ("126401", "TL-PSMA", "118565006"):
            continue
        notes = [child.TextValue for child in item.ContentSequence if child.ValueType == "TEXT"]
        assert ("PatientWeight entered by hand: 82 kg" in notes) == (code != "118565006")
    library = [item.TextValue for code, item in items_of(path) if code == "121106"]
    assert "PatientWeight (0010,1030): 82 kg (entered by hand)" in library
    assert "RadionuclideTotalDose (0018,1074): 190 MBq" in library
    assert "Another admissible factor: 0.0005 (start of series)" in library
    assert dicom_errors(path) == []


def test_spect_reports_suv_and_activity(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    CaseStore.create(folder, PATIENT).close()
    spect = add_spect(folder, suv_factor=1e-5)
    draw_lesion(folder, spect)
    with CaseStore.open(folder) as case:
        write_dicom(case, collect_results(case), tmp_path, ("seg", "sr"))
    (path,) = (tmp_path / "sr").iterdir()
    groups = read_measurements(path)
    (values,) = [group.values for group in groups.values() if group.segment is not None]
    volume_ml, total_bq = 252 * 0.110592, (216 * 8e5 + 36 * 2e4) * 0.110592
    expected = {
        "volume_ml": volume_ml,
        "suv_max": 8.0,
        "suv_mean": total_bq * 1e-5 / volume_ml,
        "suv_peak": 8.0,
        "tl_psma": total_bq * 1e-5,
        "max_bq_per_ml": 8e5,
        "mean_bq_per_ml": total_bq / volume_ml,
        "peak_bq_per_ml": 8e5,
        "activity_bq": total_bq,
    }
    assert values == pytest.approx(expected, rel=1e-6)
    whole = whole_patient(groups).values
    assert (whole["tl_psma"], whole["activity_bq"]) == pytest.approx((total_bq * 1e-5, total_bq))
    assert (whole["suv_max"], whole["max_bq_per_ml"]) == pytest.approx((8.0, 8e5))
    items = dict(items_of(path))
    assert items["110821"].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "Bq/ml"
    assert items["123001"].TextValue == "177Lu-PSMA-617"  # no code exists
    assert items["89457008"].ConceptCodeSequence[0].CodeValue == "447553000"
    assert "126203" not in items  # a concept for PET only
    assert dicom_errors(path) == []


def test_validator_finds_no_error(case: CaseStore, tmp_path: Path) -> None:
    reports_of(case, tmp_path)
    for path in (tmp_path / "sr").iterdir():
        assert dicom_errors(path) == []


def test_report_of_lesions_needs_their_segmentation(case: CaseStore, tmp_path: Path) -> None:
    results = collect_results(case)
    references = ReportReferences(case.studies()[0].origin, "1.2.3.4", {})
    with pytest.raises(ValueError, match="write its SEG first"):
        write_measurements(tmp_path / "sr.dcm", results, results.studies[0].study_id, references)


def test_study_that_was_not_segmented_has_no_report(case: CaseStore, tmp_path: Path) -> None:
    results = collect_results(case)
    bare = replace(results.studies[0], totals=None, lesions=())
    references = ReportReferences(case.studies()[0].origin, "1.2.3.4", {})
    path = tmp_path / "sr.dcm"
    assert write_measurements(path, replace(results, studies=(bare,)), bare.study_id, references) is None
    assert not path.exists()


def codes_in(value: object) -> Iterator[Code]:
    if isinstance(value, Code):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from codes_in(item)


def meanings(code: Code) -> Sequence[str]:
    """What pydicom's dictionary calls a code."""
    concepts = _concepts_dict.concepts.get(code.scheme_designator, {})
    return [versions[code.value][0] for versions in concepts.values() if code.value in versions]


def test_every_code_is_in_the_dicom_dictionary_or_of_the_private_scheme() -> None:
    """Exceptions: units are built by the rules of UCUM, and RECIP is a code of the NCI Thesaurus."""
    codes = [code for value in vars(dicom_terms).values() for code in codes_in(value)]
    assert len(codes) > 60
    for code in codes:
        assert len(code.value) <= 16
        assert len(code.meaning) <= 64
        if code.scheme_designator in (dicom_terms.PRIVATE_SCHEME, "UCUM") or code.value == "C204131":
            continue
        known = {"89457008": ["Radionuclide"], "260753009": ["Source"]}.get(code.value) or meanings(code)
        assert code.meaning in known, code
    assert len(dicom_terms.PRIVATE_SCHEME) <= 16


def test_every_criterion_and_every_category_has_a_code_of_its_own() -> None:
    names = set(CRITERIA)
    assert names == set(dicom_terms.CRITERIA)
    assert len({code.value for code in dicom_terms.CRITERIA.values()}) == len(names)
    categories = {category for criterion in CRITERIA.values() for category in criterion.categories}
    codes = {category_code(category).value for category in categories}
    assert len(codes) == len(categories) > 10
    assert all(len(value) <= 16 for value in codes)


@pytest.mark.parametrize(
    ("tracer", "code", "nuclide"),
    [
        ("68Ga-PSMA-11", "C118961", "35337001"),
        ("[18F]DCFPyL", "C116352", "77004003"),
        ("18F PSMA 1007", "126758", "77004003"),
        ("Ga-68 PSMA 617", "126759", "35337001"),
        ("177Lu-PSMA-617", None, "447553000"),
        ("68Ga-PSMA-1007", None, "35337001"),
        ("", None, None),
    ],
)
def test_tracer_codes(tracer: str, code: str | None, nuclide: str | None) -> None:
    found, isotope = dicom_terms.tracer_code(tracer), dicom_terms.nuclide_code(tracer)
    assert (found and found.value, isotope and isotope.value) == (code, nuclide)
