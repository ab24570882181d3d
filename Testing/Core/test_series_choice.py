"""Which PET and which CT of a folder are read, and what the user is told about the others. All series are synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import write_series
from PSMATheranosticsLib.ct_choice import is_sharp
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.study import Study

RNG = np.random.default_rng(20240508)
PET = RNG.integers(0, 20000, (6, 5, 4))
CT = RNG.integers(-1000, 1500, (9, 8, 7))
CT_PLACE: dict[str, Any] = {"origin": (-12.0, -22.0, -33.0), "spacing": (2.5, 2.5, 2.0)}


def write_ct(folder: Path, stored: np.ndarray = CT, **attributes: Any) -> None:
    write_series(folder, stored, "CT", **{**CT_PLACE, **attributes})


def read_one(folder: Path) -> Study:
    (study,) = read_studies([folder])
    return study


def told(study: Study) -> str:
    return "\n".join(study.warnings)


def ct_values(study: Study) -> np.ndarray:
    assert study.ct is not None
    return sitk.GetArrayFromImage(study.ct)


@pytest.mark.parametrize(
    ("chosen", "other", "reason"),
    [
        ({"Units": "BQML"}, {"Units": "PROPCNTS"}, "its unit is PROPCNTS, which cannot become SUV"),
        ({}, {"ImageType": ["DERIVED", "PRIMARY"]}, "it is derived, not original"),
        ({"AcquisitionTime": "101000"}, {"SeriesTime": "100100"}, "it is an earlier one"),
    ],
)
def test_pet_that_is_better_by_one_criterion_is_chosen_and_the_reason_is_told(
    tmp_path: Path, chosen: dict[str, Any], other: dict[str, Any], reason: str
) -> None:
    write_series(tmp_path / "a", PET, SeriesDescription="other", **other)
    write_series(tmp_path / "b", PET, SeriesDescription="chosen", FrameReferenceTime=600000, **chosen)
    study = read_one(tmp_path)
    assert study.origin.series_description == "chosen"
    assert f'"other" (6 images): {reason}.' in told(study)


def test_whole_body_goes_before_a_shorter_pet_of_more_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "body", PET, spacing=(4, 3, 6), SeriesDescription="body")
    write_series(tmp_path / "pelvis", np.ones((12, 5, 4)), spacing=(4, 3, 1), SeriesDescription="pelvis")
    study = read_one(tmp_path)
    assert study.origin.series_description == "body"
    assert '"pelvis" (12 images): it covers less of the body' in told(study)


def test_bed_positions_in_series_of_their_own_are_pointed_out(tmp_path: Path) -> None:
    write_series(tmp_path / "chest", PET, SeriesDescription="chest")
    write_series(tmp_path / "pelvis", PET[:5], origin=(-10, -20, -42), SeriesDescription="pelvis")
    study = read_one(tmp_path)
    assert study.origin.series_description == "chest"
    assert '"pelvis" (5 images) shows another part of the body; parts are not joined here' in told(study)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"CorrectedImage": ["NORM", "DECY"]}, "it is not attenuation corrected (CorrectedImage (0028,0051) lacks"),
        ({"SeriesType": ["GATED", "IMAGE"]}, "gated PET shows one place at several times; hand in the static"),
        ({"SeriesType": ["DYNAMIC", "IMAGE"]}, "dynamic PET shows one place at several times; hand in the static"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "it is a projection or another picture"),
        ({"CountsSource": "TRANSMISSION"}, "it is a transmission scan"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "it holds no PET images but derived pictures"),
    ],
)
def test_pet_that_is_no_pet_of_the_body_is_left_aside_with_the_reason(
    tmp_path: Path, attributes: dict[str, Any], reason: str
) -> None:
    write_series(tmp_path / "pet", PET, SeriesDescription="good")
    write_series(tmp_path / "odd", np.ones((12, 5, 4)), SeriesDescription="odd", **attributes)
    study = read_one(tmp_path)
    assert study.origin.series_description == "good"
    assert f'"odd" (12 images) was left aside: {reason}' in told(study)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"ConvolutionKernel": "B70f"}, "its kernel, B70f, is sharp"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "it is derived, not original"),
        ({"AcquisitionTime": "150000"}, "it was acquired at another time"),
        ({"FrameOfReferenceUID": "1.2.3"}, "it is in another frame of reference"),
        ({"stored": CT[:6]}, "it covers less"),
        ({"stored": CT[::2], "spacing": (2.5, 2.5, 4.0)}, "it has fewer slices"),
    ],
)
def test_ct_that_is_better_by_one_criterion_is_chosen_and_the_reason_is_told(
    tmp_path: Path, other: dict[str, Any], reason: str
) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "b", SeriesDescription="chosen", ConvolutionKernel="B30f")
    stored = other.pop("stored", CT + 1)
    write_ct(tmp_path / "a", stored, SeriesDescription="other", **{"ConvolutionKernel": "B30f", **other})
    study = read_one(tmp_path)
    np.testing.assert_array_equal(ct_values(study), CT)
    assert f'"other" ({len(stored)} images): {reason}.' in told(study)
    assert 'CT series 4 "chosen" (9 images) was chosen out of 2 CT series' in told(study)


@pytest.mark.parametrize("kernel", ["LUNG", "BONEPLUS", "B60f", "Br59d", "Bl57", "I70f", "FC51", "FC30", "Hr64h"])
def test_kernels_for_lung_and_bone_are_sharp(kernel: str) -> None:
    assert is_sharp(kernel)


@pytest.mark.parametrize("kernel", ["", "STANDARD", "SOFT", "B30f", "Br38f", "I31f", "FC08", "FC18", "B", "C"])
def test_other_kernels_are_soft(kernel: str) -> None:
    assert not is_sharp(kernel)


def test_ct_of_the_study_in_another_frame_is_used_with_a_clear_warning(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "ct", FrameOfReferenceUID="1.2.3")
    study = read_one(tmp_path)
    np.testing.assert_array_equal(ct_values(study), CT)
    assert "is in another frame of reference than the PET" in told(study)
    assert "check the fusion" in told(study)


def test_ct_in_another_frame_far_away_is_left_aside(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "ct", FrameOfReferenceUID="1.2.3", origin=(-12, -22, 500))
    study = read_one(tmp_path)
    assert study.ct is None
    assert "has the best overlap and covers only 0% of the PET" in told(study)


def test_ct_of_another_study_and_frame_is_left_aside_with_the_reason(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "ct", FrameOfReferenceUID="1.2.3", StudyInstanceUID="1.2.9")
    study = read_one(tmp_path)
    assert study.ct is None
    assert "There is no CT for this PET." in told(study)


def test_ct_beside_the_pet_in_the_same_frame_is_not_used(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "ct", origin=(400, -22, -33))
    assert read_one(tmp_path).ct is None


@pytest.mark.parametrize("kind", ["LOCALIZER", "MIP", "SCREEN SAVE", "PROJECTION IMAGE", "TOPOGRAM"])
def test_pictures_are_no_ct(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "ct")
    write_ct(tmp_path / "picture", np.ones((20, 8, 7)), ImageType=["ORIGINAL", "PRIMARY", kind])
    study = read_one(tmp_path)
    np.testing.assert_array_equal(ct_values(study), CT)
    assert study.warnings == []


def test_capture_of_the_screen_and_dose_report_are_ignored(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_ct(tmp_path / "ct")
    write_ct(tmp_path / "capture", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SeriesDescription="Dose Report")
    write_series(tmp_path / "report", PET[:1], "SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67")
    assert read_one(tmp_path).warnings == []


def test_folder_of_gated_pet_alone_says_what_to_hand_in(tmp_path: Path) -> None:
    write_series(tmp_path, PET, SeriesType=["GATED", "IMAGE"])
    with pytest.raises(InputError, match=r"gated PET .* hand in the static reconstruction"):
        read_studies([tmp_path])
