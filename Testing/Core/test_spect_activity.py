"""Synthetic SPECT at the time of the scan: times, decay correction, injection, SUV, and SPECT stored as PET objects."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import write_series
from nm_maker import INJECTION, LU177_S, mapping, write_nm, write_spect_as_pet
from PSMATheranosticsLib import spect
from PSMATheranosticsLib.dicom_series import Series, scan_folders
from PSMATheranosticsLib.entered_values import Entered
from PSMATheranosticsLib.errors import InputError
from pydicom.dataset import Dataset

STORED = 1000 + np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
LAMBDA = math.log(2.0) / LU177_S
TC99M_S = 6.0 * 3600
INJECTED = datetime(2024, 5, 5, 10, 0)
START = datetime(2024, 5, 6, 10, 0)
DURATION_S = 1200.0  # 60 views of 20 s in NM, stated as such in PET objects
MIDDLE = START + timedelta(seconds=DURATION_S / 2)


def series_of(path: Path) -> Series:
    (series,) = scan_folders([path]).series
    return series


def read(path: Path, entered: Entered | None = None) -> spect.SpectVolume:
    return spect.read_spect(series_of(path), entered)


def values(volume: spect.SpectVolume) -> np.ndarray:
    return sitk.GetArrayFromImage(volume.image).astype(np.float64)


def factor_to_mid_scan(decay: str, half_life_s: float = LU177_S) -> float:
    """What a constant activity concentration must be multiplied with, by integrating the decay over the scan."""
    rate = math.log(2.0) / half_life_s
    if decay == "ADMIN":
        return math.exp(-rate * (MIDDLE - INJECTED).total_seconds())
    if decay == "START":
        return math.exp(-rate * DURATION_S / 2)
    seconds = (np.arange(200_000) + 0.5) * (DURATION_S / 200_000)
    return math.exp(-rate * DURATION_S / 2) / float(np.exp(-rate * seconds).mean())


@pytest.mark.parametrize("decay", ["ADMIN", "START", "NONE"])
@pytest.mark.parametrize("half_life_s", [LU177_S, TC99M_S])
def test_nm_is_taken_to_mid_scan(tmp_path: Path, decay: str, half_life_s: float) -> None:
    injection = {"RadionuclideHalfLife": half_life_s, "Radiopharmaceutical": "PSMA"}
    volume = read(write_nm(tmp_path / "x.dcm", STORED, DecayCorrection=decay, injection=injection))
    np.testing.assert_allclose(values(volume), 2.0 * STORED * factor_to_mid_scan(decay, half_life_s), rtol=1e-6)
    assert volume.scaling.factor == pytest.approx(factor_to_mid_scan(decay, half_life_s), rel=1e-9)
    assert decay in volume.scaling.method


@pytest.mark.parametrize("decay", ["ADMIN", "START", "NONE"])
def test_spect_stored_as_pet_is_taken_to_mid_scan_with_the_slope_of_each_slice(tmp_path: Path, decay: str) -> None:
    write_spect_as_pet(tmp_path, STORED, decay)
    series = series_of(tmp_path)
    assert spect.is_spect(series)
    assert spect.why_not_read(series) is None
    volume = spect.read_spect(series)
    slopes = np.array([1.0, 2.0, 3.0])
    expected = STORED * slopes[:, None, None] * factor_to_mid_scan(decay)
    np.testing.assert_allclose(values(volume), expected, rtol=1e-6)
    assert volume.slopes == pytest.approx((1.0, 2.0, 3.0))
    assert volume.mid_scan == MIDDLE
    assert volume.injected_activity_mbq == pytest.approx(7400.0)  # Bq in a PET object
    assert volume.minutes_after_injection == pytest.approx(24 * 60 + 10)
    assert volume.warnings == []


def test_beds_without_decay_correction_are_each_taken_to_mid_scan(tmp_path: Path) -> None:
    def second_bed(k: int, dataset: Dataset) -> Dataset:
        dataset.AcquisitionTime = "100000" if k == 0 else "102000"
        return dataset

    injection = {"RadionuclideHalfLife": TC99M_S, "Radiopharmaceutical": "Tc-99m PSMA"}
    injection |= {"RadiopharmaceuticalStartDateTime": "20240506070000"}
    write_spect_as_pet(tmp_path, STORED, "NONE", change=second_bed, injection={**INJECTION, **injection})
    volume = read(tmp_path)
    rate = math.log(2.0) / TC99M_S
    mean_s = math.log(rate * 1200 / -math.expm1(-rate * 1200)) / rate  # of the activity within a bed
    own = np.exp(-rate * np.array([1200 - mean_s, -mean_s, -mean_s]))  # mid-scan is 10:20, between the beds
    expected = STORED * np.array([1.0, 2.0, 3.0])[:, None, None] * own[:, None, None]
    np.testing.assert_allclose(values(volume), expected, rtol=1e-6)
    rescaled = STORED * np.array(volume.slopes)[:, None, None] * volume.scaling.factor
    np.testing.assert_allclose(rescaled, expected, rtol=1e-6)
    assert any("one after the other" in warning for warning in volume.warnings)


def test_nm_that_does_not_speak_of_decay_is_the_activity_at_mid_scan(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED))
    assert volume.scaling.factor == 1.0
    assert "not decay corrected" in volume.scaling.method
    assert volume.warnings == []


def test_nm_that_says_only_that_it_is_corrected_is_taken_from_the_start_with_a_warning(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, CorrectedImage=["ATTN", "DECY"]))
    assert volume.scaling.factor == pytest.approx(factor_to_mid_scan("START"), rel=1e-9)
    assert any("not to which time" in warning and "--enter reference_time" in warning for warning in volume.warnings)


def test_the_time_of_decay_correction_can_be_entered(tmp_path: Path) -> None:
    entered = Entered(reference_time=INJECTED)
    volume = read(write_nm(tmp_path / "x.dcm", STORED, DecayCorrection="START"), entered)
    assert volume.scaling.factor == pytest.approx(factor_to_mid_scan("ADMIN"), rel=1e-9)
    assert volume.scaling.entered == ("DecayCorrectionDateTime",)


def test_a_time_of_decay_correction_years_away_is_refused(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED)
    for year in (1924, 2124):
        with pytest.raises(InputError, match="more than 10 half-lives from the scan"):
            read(path, Entered(reference_time=datetime(year, 5, 6, 10)))


def test_slices_that_were_taken_years_apart_are_refused(tmp_path: Path) -> None:
    def change(k: int, dataset: Dataset) -> Dataset:
        dataset.AcquisitionDate = "19000101" if k == 1 else dataset.AcquisitionDate
        return dataset

    with pytest.raises(InputError, match="which is more than one scan takes: AcquisitionDate"):
        read(write_spect_as_pet(tmp_path, STORED, "START", change=change)[0].parent)


def test_a_series_time_that_changes_the_activity_by_more_than_a_percent_is_an_alternative(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, DecayCorrection="START", SeriesTime="060000"))
    assert volume.scaling.factor == pytest.approx(factor_to_mid_scan("START"))
    (other,) = volume.scaling.alternatives
    assert other.factor == pytest.approx(math.exp(-LAMBDA * (4 * 3600 + 600)), rel=1e-9)
    assert any("differs by 1.7%" in warning for warning in volume.warnings)


def test_mid_scan_is_half_of_all_views_after_the_start(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, rotation={"NumberOfFramesInRotation": 90}))
    assert (volume.acquired, volume.mid_scan) == (START, START + timedelta(seconds=900))
    volume = read(
        write_nm(
            tmp_path / "b" / "x.dcm", STORED, rotation={"NumberOfFramesInRotation": None}, AcquisitionDuration=800.0
        )
    )
    assert volume.mid_scan == START + timedelta(seconds=400)


def test_a_scan_of_unknown_length_is_given_for_its_start_with_a_warning(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, RotationInformationSequence=None))
    assert volume.mid_scan == START
    assert any("how long the scan took" in warning for warning in volume.warnings)


def test_times_of_series_and_study_stand_in_for_those_of_acquisition_with_a_warning(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "a.dcm", STORED, AcquisitionTime=None, SeriesTime="101500"))
    assert volume.acquired == datetime(2024, 5, 6, 10, 15)
    assert any("SeriesDate/SeriesTime" in warning for warning in volume.warnings)
    volume = read(write_nm(tmp_path / "b.dcm", STORED, AcquisitionTime=None, SeriesTime=None))
    assert volume.acquired == datetime(2024, 5, 6, 9, 59)
    assert any("StudyDate/StudyTime" in warning for warning in volume.warnings)


def test_several_beds_of_siemens_are_told(tmp_path: Path) -> None:
    views = [Dataset(), Dataset()]
    for one in views:
        one.ActualFrameDuration, one.NumberOfFramesInRotation = 20000, 60
    volume = read(write_nm(tmp_path / "x.dcm", STORED, RotationInformationSequence=views, Manufacturer="SIEMENS NM"))
    assert any("2 rotations" in warning and "the last of them" in warning for warning in volume.warnings)


def test_suv_is_concentration_times_weight_over_what_is_left_of_the_activity(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED))
    left_bq = 7400e6 * 2.0 ** (-(24 * 3600 + 600) / LU177_S)
    assert volume.scaling.suv_factor == pytest.approx(80_000 / left_bq, rel=1e-12)
    assert volume.injected_activity_mbq == 7400.0  # MBq in an NM object
    assert (volume.weight_kg, volume.sex, volume.tracer) == (80.0, "M", "Lu-177 PSMA-617")
    assert volume.minutes_after_injection == pytest.approx(24 * 60 + 10)


@pytest.mark.parametrize(
    ("dose", "mbq", "told"),
    [(7400.0, 7400.0, ""), (7.4e9, 7400.0, "was taken as Bq"), (185.0, 185.0, ""), (2e6 * 1e6, None, "no activity")],
)
def test_the_activity_of_nm_is_in_mbq_unless_it_can_only_be_bq(
    tmp_path: Path, dose: float, mbq: float | None, told: str
) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection={"RadionuclideTotalDose": dose}))
    assert volume.injected_activity_mbq == mbq
    assert any(told in warning for warning in volume.warnings) == (told != "")


def test_the_activity_of_a_pet_object_is_in_bq_unless_it_can_only_be_mbq(tmp_path: Path) -> None:
    write_spect_as_pet(tmp_path, STORED, "START", injection=INJECTION)
    volume = read(tmp_path)
    assert volume.injected_activity_mbq == 7400.0
    assert any("was taken as MBq" in warning for warning in volume.warnings)


NOTHING_KNOWN: dict[str, Any] = dict.fromkeys(INJECTION)


def test_an_nm_without_facts_of_the_injection_is_read_and_says_what_to_enter(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection=NOTHING_KNOWN, PatientWeight=None))
    np.testing.assert_array_equal(values(volume), 2.0 * STORED)
    assert volume.minutes_after_injection is None
    assert volume.scaling.suv_factor is None
    (told,) = [warning for warning in volume.warnings if "no SUV" in warning]
    for name in ("weight_kg", "injected_activity_mbq", "injected", "half_life_s"):
        assert f"--enter {name}=" in told


def test_a_time_of_day_does_not_tell_the_day_of_a_long_lived_nuclide(tmp_path: Path) -> None:
    injection = {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "100000"}
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection=injection))
    assert volume.minutes_after_injection is None
    assert any("does not say on which day" in warning and "--enter injected" in warning for warning in volume.warnings)
    short = {**injection, "RadionuclideHalfLife": TC99M_S, "Radiopharmaceutical": "Tc-99m PSMA"}
    assert read(write_nm(tmp_path / "b" / "x.dcm", STORED, injection=short)).minutes_after_injection == 10.0


def test_a_missing_half_life_is_that_of_the_nuclide_and_named_as_such(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection={"RadionuclideHalfLife": None}))
    assert volume.scaling.inputs["half-life of 177Lu (ICRP 107) [s]"] == pytest.approx(LU177_S)
    assert volume.scaling.suv_factor is not None


def test_a_half_life_that_cannot_be_is_replaced_by_that_of_the_nuclide_with_a_warning(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection={"RadionuclideHalfLife": 0}))
    assert volume.scaling.suv_factor is not None
    assert any("RadionuclideHalfLife (0018,1075) 0 cannot be" in warning for warning in volume.warnings)


def test_a_therapy_of_15_gbq_is_understood_without_a_half_life(tmp_path: Path) -> None:
    injection = {"RadionuclideHalfLife": None, "RadionuclideTotalDose": 15000.0}
    assert read(write_nm(tmp_path / "x.dcm", STORED, injection=injection)).injected_activity_mbq == 15000.0


def test_a_half_life_of_another_nuclide_is_told(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection={"RadionuclideHalfLife": 6586.2}))
    assert any("177Lu has 574301 s" in warning for warning in volume.warnings)


def test_a_date_of_injection_counts_beyond_two_half_lives(tmp_path: Path) -> None:
    """99mTc-PSMA is imaged the day after; PET rules would take the time of day for the same day."""
    injection = {"RadionuclideHalfLife": TC99M_S, "Radiopharmaceutical": "Tc-99m PSMA", "RadionuclideTotalDose": 700.0}
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection=injection))
    assert volume.minutes_after_injection == 24 * 60 + 10
    assert any("4.0 half-lives: check the times" in warning for warning in volume.warnings)


def test_an_injection_after_the_scan_is_not_used(tmp_path: Path) -> None:
    later = {"RadiopharmaceuticalStartDateTime": "20240507100000"}
    volume = read(write_nm(tmp_path / "x.dcm", STORED, injection=later))
    assert volume.minutes_after_injection is None
    assert any("RadiopharmaceuticalStartDateTime" in warning for warning in volume.warnings)
    with pytest.raises(InputError, match="that was entered cannot be right"):
        read(tmp_path / "x.dcm", Entered(injected=datetime(2024, 5, 7, 10, 0)))


def test_entered_values_replace_the_header_and_are_named(tmp_path: Path) -> None:
    entered = Entered(
        weight_kg=90.0,
        injected_activity_mbq=7000.0,
        injected=datetime(2024, 5, 5, 12, 0),
        half_life_s=574000.0,
        tracer="Lu-177 PSMA I&T",
    )
    volume = read(write_nm(tmp_path / "x.dcm", STORED), entered)
    left_bq = 7000e6 * 2.0 ** (-(22 * 3600 + 600) / 574000.0)
    assert volume.scaling.suv_factor == pytest.approx(90_000 / left_bq, rel=1e-12)
    assert volume.tracer == "Lu-177 PSMA I&T"
    assert set(volume.scaling.entered) == {
        "PatientWeight",
        "RadionuclideTotalDose",
        "RadiopharmaceuticalStartDateTime",
        "RadionuclideHalfLife",
        "Radiopharmaceutical",
    }
    assert any("entered by hand: PatientWeight 90 kg" in warning for warning in volume.warnings)


def coded(meaning: str, value: str = "") -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return [code]


@pytest.mark.parametrize(
    ("expected", "injection", "description"),
    [
        (True, {"RadionuclideCodeSequence": coded("", "447553000")}, "Quant"),
        (True, {"RadionuclideCodeSequence": coded("Technetium Tc^99m^")}, "Quant"),
        (True, {"Radiopharmaceutical": "Lu-177 PSMA-617"}, "Quant"),
        (True, {"RadionuclideHalfLife": LU177_S}, "Quant"),
        (True, {"RadionuclideHalfLife": TC99M_S}, "Quant"),
        (True, {"RadionuclideHalfLife": None}, "xSPECT Quant"),
        (False, {"RadionuclideHalfLife": None}, "Perspective of a suspected lesion"),
        (False, {"RadionuclideHalfLife": None}, "Quant"),
        (False, {"Radiopharmaceutical": "F-18 PSMA-1007"}, "not a SPECT"),
        (False, {"RadionuclideHalfLife": 4057.7}, "not a SPECT"),
        (False, {"RadionuclideCodeSequence": coded("Zr-89"), "RadionuclideHalfLife": 282240.0}, "immuno"),
    ],
)
def test_pet_objects_of_a_nuclide_without_positrons_are_spect(
    tmp_path: Path, expected: bool, injection: dict[str, Any], description: str
) -> None:
    facts = {"Radiopharmaceutical": "PSMA", **injection}
    write_series(tmp_path, STORED[:2], "PT", injection=facts, SeriesDescription=description)
    assert spect.is_spect(series_of(tmp_path)) == expected


def test_ct_is_not_spect(tmp_path: Path) -> None:
    write_series(tmp_path, STORED[:2], "CT", SeriesDescription="CT of SPECT")
    assert not spect.is_spect(series_of(tmp_path))


@pytest.mark.parametrize(
    ("problem", "attributes"),
    [
        ("Units (0054,1001) is GML: only BQML", {"Units": "GML"}),
        ("Units (0054,1001) is missing: only BQML", {"Units": None}),
        ("DecayCorrection (0054,1102) is missing", {"decay": None}),
        ("decay corrected to the injection", {"decay": "ADMIN", "injection": NOTHING_KNOWN}),
        ("a gated series", {"SeriesType": ["GATED", "IMAGE"]}),
        ("a dynamic series", {"SeriesType": ["DYNAMIC", "IMAGE"]}),
    ],
)
def test_broken_spect_as_pet_is_refused(tmp_path: Path, problem: str, attributes: dict[str, Any]) -> None:
    write_spect_as_pet(tmp_path, STORED, **{"decay": "START", **attributes})
    with pytest.raises(InputError) as refused:
        read(tmp_path)
    assert problem in str(refused.value)


def test_kilobecquerels_and_decay_correction_go_together(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, mappings=[mapping("kBq/ml", 0.01)], DecayCorrection="ADMIN")
    volume = read(path)
    np.testing.assert_allclose(values(volume), STORED * 10.0 * factor_to_mid_scan("ADMIN"), rtol=1e-6)
    rescaled = (STORED * volume.slopes[0] + volume.intercepts[0]) * volume.scaling.factor
    np.testing.assert_allclose(values(volume), rescaled, rtol=1e-6)
