"""Multi-frame CT and PET against the classic series that they were made of: the same voxels, places and SUVs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import save, write_series
from multiframe_maker import write_enhanced
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.study import Study
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

RNG = np.random.default_rng(20240507)
PET = RNG.integers(0, 20000, (6, 5, 4))
CT = RNG.integers(-1000, 1500, (9, 8, 7))
SLOPES = [0.5, 1.25, 3.0, 0.125, 2.0, 7.5]
SHUFFLED = [3, 5, 0, 1, 4, 2]


def write_classic(folder: Path) -> tuple[list[Path], list[Path]]:
    pet = write_series(folder / "pet", PET, slopes=SLOPES, SeriesInstanceUID="1.2.3.4")
    ct = write_series(
        folder / "ct", CT, "CT", origin=(-12, -22, -33), spacing=(2.5, 2.5, 2.0), intercept=-1024, order=range(9)
    )
    return pet, ct


def assert_same(found: Study, expected: Study) -> None:
    """Voxels, geometry, scaling and CT agree: exactly, but for the factor and what it multiplies (1e-6)."""
    for one, other in ((found.emission, expected.emission), (found.ct, expected.ct)):
        assert one is not None
        assert other is not None
        assert one.GetPixelID() == other.GetPixelID()
        assert one.GetSize() == other.GetSize()
        np.testing.assert_allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-9)
        np.testing.assert_allclose(one.GetSpacing(), other.GetSpacing(), atol=1e-9)
        np.testing.assert_allclose(one.GetDirection(), other.GetDirection(), atol=1e-9)
        np.testing.assert_allclose(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other), rtol=1e-6)
    assert found.scaling.factor == pytest.approx(expected.scaling.factor, rel=1e-9)
    assert found.minutes_after_injection == pytest.approx(expected.minutes_after_injection)
    assert (found.injected_activity_mbq, found.weight_kg) == (expected.injected_activity_mbq, expected.weight_kg)
    assert (found.acquired, found.tracer, found.patient) == (expected.acquired, expected.tracer, expected.patient)


@pytest.mark.parametrize("order", [None, SHUFFLED])
def test_enhanced_pet_and_ct_equal_the_classic_series(tmp_path: Path, order: list[int] | None) -> None:
    pet, ct = write_classic(tmp_path / "classic")
    write_enhanced(tmp_path / "enhanced" / "pet", pet, order=order)
    write_enhanced(tmp_path / "enhanced" / "ct", ct)
    (classic,), (enhanced,) = read_studies([tmp_path / "classic"]), read_studies([tmp_path / "enhanced"])
    assert_same(enhanced, classic)
    numbers = list(range(6)) if order is None else order
    assert enhanced.origin.frames == tuple(numbers.index(k) + 1 for k in range(6))
    assert len(set(enhanced.origin.instance_uids)) == 1
    assert len(enhanced.origin.instance_uids) == 6
    assert enhanced.origin.slopes == classic.origin.slopes == tuple(SLOPES)
    assert classic.origin.frames == ()
    assert enhanced.warnings == []


def test_copy_of_an_enhanced_image_is_dropped(tmp_path: Path) -> None:
    pet, _ = write_classic(tmp_path / "classic")
    first = write_enhanced(tmp_path / "enhanced" / "pet", pet)
    (tmp_path / "enhanced" / "copy").write_bytes(first.read_bytes())
    (study,) = read_studies([tmp_path / "enhanced"])
    assert study.emission.GetDepth() == 6
    assert any("6 image(s) are there twice; one of each was used" in warning for warning in study.warnings)


def test_enhanced_images_that_are_compressed_are_read(tmp_path: Path) -> None:
    pet, ct = write_classic(tmp_path / "classic")
    write_enhanced(tmp_path / "enhanced" / "pet", pet, syntax=RLELossless, order=SHUFFLED)
    write_enhanced(tmp_path / "enhanced" / "ct", ct, syntax=RLELossless)
    assert_same(read_studies([tmp_path / "enhanced"])[0], read_studies([tmp_path / "classic"])[0])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_converted_images_equal_the_classic_series(tmp_path: Path) -> None:
    from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedPETImage

    pet, ct = write_classic(tmp_path / "classic")
    makers = (LegacyConvertedEnhancedPETImage, LegacyConvertedEnhancedCTImage)
    for name, files, maker in zip(("pet", "ct"), (pet, ct), makers, strict=True):
        slices = [pydicom.dcmread(file) for file in files]
        for one in slices:  # what the conversion asks for and the small series lacks
            one.StudyID, one.AccessionNumber, one.ReferringPhysicianName = "S", "A", "Doctor"
            one.PositionReferenceIndicator = ""
        (tmp_path / "converted").mkdir(exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = maker(slices, pydicom.uid.generate_uid(), 5, pydicom.uid.generate_uid(), 1)
        save(tmp_path / "converted" / name, converted)
    (classic,), (converted_study,) = read_studies([tmp_path / "classic"]), read_studies([tmp_path / "converted"])
    assert_same(converted_study, classic)


def test_dose_of_an_enhanced_pet_is_in_mbq_but_bq_is_understood(tmp_path: Path) -> None:
    pet, _ = write_classic(tmp_path / "classic")

    def in_bq(image: Dataset) -> None:
        image.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 200e6

    write_enhanced(tmp_path / "mbq" / "pet", pet)
    write_enhanced(tmp_path / "bq" / "pet", pet, change=in_bq)
    (mbq,), (bq,) = read_studies([tmp_path / "mbq"]), read_studies([tmp_path / "bq"])
    assert mbq.injected_activity_mbq == bq.injected_activity_mbq == 200.0
    assert mbq.scaling.factor == pytest.approx(bq.scaling.factor, rel=1e-12)


def test_enhanced_pet_that_holds_suv_is_not_scaled_again(tmp_path: Path) -> None:
    pet, _ = write_classic(tmp_path / "classic")
    write_enhanced(tmp_path / "suv" / "pet", pet, unit="{SUVbw}g/ml")
    (study,) = read_studies([tmp_path / "suv"])
    assert study.scaling.factor == 1.0
    expected = PET * np.array(SLOPES)[:, None, None]
    np.testing.assert_allclose(sitk.GetArrayFromImage(study.emission), expected, rtol=1e-6)


def test_enhanced_pet_in_grams_per_ml_without_a_type_is_suv_by_weight_as_in_classic_pet(tmp_path: Path) -> None:
    pet, _ = write_classic(tmp_path / "classic")
    write_enhanced(tmp_path / "pet", pet, unit="g/ml")
    study = read_studies([tmp_path / "pet"])[0]
    assert (study.scaling.factor, study.scaling.inputs["SUVType"]) == (1.0, "(empty, which means BW)")


def test_corrections_of_an_enhanced_pet_may_be_named_as_in_classic_pet(tmp_path: Path) -> None:
    def name(image: Dataset) -> None:
        del image.DecayCorrected
        image.CorrectedImage, image.DecayCorrection = ["DECY"], "START"

    pet, _ = write_classic(tmp_path / "classic")
    write_enhanced(tmp_path / "pet", pet, change=name)
    expected = read_studies([tmp_path / "classic"])[0].scaling.factor
    assert read_studies([tmp_path / "pet"])[0].scaling.factor == pytest.approx(expected, rel=1e-9)


def test_enhanced_pet_corrected_to_the_injection_is_scaled_without_decay(tmp_path: Path) -> None:
    pet, _ = write_classic(tmp_path / "classic")

    def at_injection(image: Dataset) -> None:
        image.DecayCorrectionDateTime = "20240506090000.00"

    write_enhanced(tmp_path / "admin" / "pet", pet, change=at_injection)
    (study,) = read_studies([tmp_path / "admin"])
    assert study.scaling.factor == pytest.approx(80000 / 200e6, rel=1e-9)


def no_attenuation_correction(image: Dataset) -> None:
    image.AttenuationCorrected = "NO"


def two_times(image: Dataset) -> None:
    for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].TemporalPositionIndex = number % 2 + 1


def gated(image: Dataset) -> None:
    image.CardiacSynchronizationTechnique = "PROSPECTIVE"


def in_counts(image: Dataset) -> None:
    for frame in image.PerFrameFunctionalGroupsSequence:
        frame.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = "{propcounts}"


def without_frames(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence


def without_position(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_attenuation_correction, "not attenuation corrected"),
        (two_times, "dynamic PET shows one place at several times"),
        (gated, "gated PET shows one place at several times"),
        (in_counts, r"Units \(0054,1001\) is PROPCNTS"),
        (without_frames, r"without PerFrameFunctionalGroupsSequence \(5200,9230\)"),
        (without_position, r"ImagePositionPatient \(0020,0032\) is missing or malformed in pet, frame 4"),
    ],
)
def test_enhanced_pet_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, change: object, message: str
) -> None:
    pet, _ = write_classic(tmp_path / "classic")
    write_enhanced(tmp_path / "enhanced" / "pet", pet, change=change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        read_studies([tmp_path / "enhanced"])
