"""The DICOM objects of a whole case: what is written, what is removed, what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_check import dicom_errors
from dicom_maker import write_series
from example_case import PATIENT, A, B, Visit, make_case
from nm_maker import mapping, write_nm
from PSMASegmentLib.measure import components, measure_lesions
from PSMATheranosticsLib.case_files import write_dicom
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import Cancelled, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.output_names import DICOM_KINDS
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.study import Study
from seg_back import read_segmentation
from small_case import BASELINE, write_studies
from sr_back import read_measurements


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A])]) as opened:
        yield opened


def export(case: CaseStore, folder: Path, kinds: tuple[str, ...] = DICOM_KINDS) -> list[str]:
    written = write_dicom(case, collect_results(case), folder, kinds)
    return [str(path.relative_to(folder)) for path in written]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_objects_are_named_by_date_and_study(case: CaseStore, tmp_path: Path) -> None:
    names = [
        f"{kind}/{day}.dcm" for kind in ("rtstruct", "seg", "sr") for day in ("2026-01-10_study1", "2026-04-04_study2")
    ]
    assert sorted(export(case, tmp_path / "out")) == names == files_in(tmp_path / "out")


def test_only_what_is_asked_for_is_written(case: CaseStore, tmp_path: Path) -> None:
    export(case, tmp_path / "rt", ("rtstruct",))
    assert {name.split("/")[0] for name in files_in(tmp_path / "rt")} == {"rtstruct"}
    export(case, tmp_path / "sr", ("sr",))
    assert {name.split("/")[0] for name in files_in(tmp_path / "sr")} == {"seg", "sr"}  # the SR refers to the SEG
    with pytest.raises(InputError, match=r"no DICOM object 'txt'. Possible: seg, sr, rwvm, rtstruct, pdf"):
        export(case, tmp_path / "none", ("txt",))
    assert not (tmp_path / "none").exists()


def test_same_case_gives_the_same_objects_and_a_decision_gives_new_ones(case: CaseStore, tmp_path: Path) -> None:
    export(case, tmp_path / "first")
    export(case, tmp_path / "second")
    for name in files_in(tmp_path / "first"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    before = pydicom.dcmread(tmp_path / "first/seg/2026-01-10_study1.dcm")
    case.decide_lesion(case.studies()[0].study_id, 2, "rejected")
    export(case, tmp_path / "second")
    after = pydicom.dcmread(tmp_path / "second/seg/2026-01-10_study1.dcm")
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert [item.TrackingID for item in after.SegmentSequence] == ["L01"]


def test_the_report_is_one_object_in_the_last_study_and_the_same_for_the_same_case(
    case: CaseStore, tmp_path: Path
) -> None:
    assert export(case, tmp_path / "first", ("pdf",)) == ["pdf/2026-04-04_study2.dcm"]
    path = tmp_path / "first/pdf/2026-04-04_study2.dcm"
    assert pydicom.dcmread(path).EncapsulatedDocument.startswith(b"%PDF-")
    assert dicom_errors(path) == []
    export(case, tmp_path / "second", ("pdf",))
    assert path.read_bytes() == (tmp_path / "second/pdf/2026-04-04_study2.dcm").read_bytes()


def test_object_that_is_outdated_is_removed(case: CaseStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(case, out)
    (out / "seg/notes.txt").write_text("of the user")
    stranger = pydicom.dcmread(out / "seg/2026-01-10_study1.dcm")
    stranger.PatientID = "SOMEBODY-ELSE"
    stranger.save_as(out / "seg/2020-01-01_study9.dcm")
    later = case.studies()[1].study_id
    case.decide_lesion(later, 1, "rejected")
    export(case, out)
    assert files_in(out / "seg") == ["2020-01-01_study9.dcm", "2026-01-10_study1.dcm", "notes.txt"]
    assert files_in(out / "rtstruct") == ["2026-01-10_study1.dcm"]
    assert files_in(out / "sr") == ["2026-01-10_study1.dcm", "2026-04-04_study2.dcm"]


def test_object_of_another_patient_is_not_overwritten(case: CaseStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = replace(PATIENT, patient_id="OTHER")
    with make_case(tmp_path / "other", [Visit(0, [A])], patient=other) as second:
        export(second, out)
    content = {name: (out / name).read_bytes() for name in files_in(out)}
    with pytest.raises(InputError, match=r"of the patient OTHER, not of SYNTHETIC-7. Choose an empty folder"):
        export(case, out)
    assert {name: (out / name).read_bytes() for name in files_in(out)} == content


def test_case_without_studies_has_no_objects(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        assert export(case, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()


def test_cancel_goes_through(case: CaseStore, tmp_path: Path) -> None:
    def stop(_fraction: float, _message: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        write_dicom(case, collect_results(case), tmp_path / "out", DICOM_KINDS, stop)
    assert files_in(tmp_path / "out") == []


def test_mask_state_decides_the_type_of_the_algorithm(case: CaseStore, tmp_path: Path) -> None:
    before = case.labels(1)
    after = sitk.GetArrayFromImage(before)
    after[10, 10, 10] = 0  # a corner of A
    after[45:47, 12:14, 12:14] = 3
    drawn = sitk.GetImageFromArray(after)
    drawn.CopyInformation(before)
    case.edit_mask(1, MaskEdit.between(before, drawn), "Correct one lesion and draw another")
    export(case, tmp_path / "out", ("seg", "sr"))
    items = pydicom.dcmread(tmp_path / "out/seg/2026-01-10_study1.dcm").SegmentSequence
    assert [item.SegmentAlgorithmType for item in items] == ["SEMIAUTOMATIC", "AUTOMATIC", "MANUAL"]
    assert dicom_errors(tmp_path / "out/sr/2026-01-10_study1.dcm") == []


def segmented_case(folder: Path, study: Study, threshold: float) -> CaseStore:
    """A new case of one study in which everything above a threshold is a lesion."""
    case = CaseStore.create(folder, study.patient)
    study_id = case.add_study(study)
    labels = components(sitk.Cast(study.emission > threshold, sitk.sitkUInt8))
    lesions = [LesionInput(found, "rules", "hot spot") for found in measure_lesions(study.emission, labels)]
    case.save_segmentation(study_id, labels, lesions, [], {"method": "rules", "version": "1"})
    return case


def two_spots(background: int, hot: int) -> np.ndarray:
    """Stored values of 12 slices with two blocks, one in each half."""
    stored = np.full((12, 20, 24), background)
    stored[2:5, 3:8, 4:9] = hot
    stored[7:10, 12:16, 14:20] = hot
    return stored


def from_pet(folder: Path) -> Study:
    """A PET whose slices are stored with two slopes."""
    write_series(folder / "pet", two_spots(100, 20000), slopes=[1.0] * 6 + [1.5] * 6)
    return read_studies([folder / "pet"])[0]


def from_spect(folder: Path) -> Study:
    """A SPECT in one multi-frame file whose slices go downwards."""
    (folder / "nm").mkdir()
    write_nm(folder / "nm/recon.dcm", two_spots(10, 5000), spacing_mm=-4.42, mappings=[mapping(slope=2.5)])
    return read_studies([folder / "nm"])[0]


def from_nifti(folder: Path) -> Study:
    """Images that never were DICOM."""
    return read_studies([write_studies(folder / "nifti", visits=[BASELINE])])[0]


@pytest.mark.parametrize("source", [from_pet, from_spect, from_nifti])
def test_all_objects_of_a_study_are_valid_and_agree(tmp_path: Path, source: Callable[[Path], Study]) -> None:
    read = source(tmp_path)
    with segmented_case(tmp_path / "case", read, 3.0 if read.scaling.quantity == "SUVbw" else 1000.0) as case:
        export(case, tmp_path / "out")
        (study,) = case.studies()
        labels, emission = case.labels(study.study_id), case.load_image(study.emission_id)
    paths = {path.parent.name: path for path in (tmp_path / "out").rglob("*.dcm")}
    assert set(paths) == set(DICOM_KINDS) - ({"rwvm"} if study.origin.generated else set())
    datasets = {kind: pydicom.dcmread(path) for kind, path in paths.items()}
    for kind, dataset in datasets.items():
        assert dicom_errors(paths[kind]) == []
        assert (dataset.StudyInstanceUID, dataset.PatientID) == (
            study.origin.study_instance_uid,
            read.patient.patient_id,
        )
        assert dataset.StudyDate == (study.origin.study_date or f"{study.acquired:%Y%m%d}")
    assert len({dataset.SeriesNumber for dataset in datasets.values()}) == len(datasets)
    assert len({dataset.SeriesInstanceUID for dataset in datasets.values()}) == len(datasets)

    written, _ = read_segmentation(paths["seg"])
    placed = sitk.Resample(written, labels, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(placed), sitk.GetArrayFromImage(labels))
    groups = read_measurements(paths["sr"])
    measured = measure_lesions(emission, labels)
    assert {group.segment: group.values["volume_ml"] for group in groups.values() if group.segment} == {
        found.lesion: found.volume_ml for found in measured
    }
    if "rwvm" in datasets:
        assert datasets["rwvm"].SOPInstanceUID in str(datasets["sr"].CurrentRequestedProcedureEvidenceSequence)
