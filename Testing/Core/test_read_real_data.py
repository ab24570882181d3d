"""Reading of real DICOM series, against values that were measured independently of this project."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from data_dir import test_data
from PSMATheranosticsLib.dicom_series import Instance, Series, scan_folders
from PSMATheranosticsLib.dicom_volume import read_volume
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import attach_organ_map, read_studies
from PSMATheranosticsLib.study import Study

pytestmark = pytest.mark.filterwarnings("ignore:The value length")  # some published headers are longer than allowed


@pytest.fixture(scope="module")
def fdg() -> Study:
    """A GE whole-body FDG PET of 267 slices, each with its own slope."""
    (study,) = read_studies([test_data("fdg-pet-sts-001", "raw_FDG_PET")])
    return study


def test_whole_body_pet_has_its_factor_and_maximum(fdg: Study) -> None:
    assert fdg.scaling.factor == pytest.approx(2.42903e-4, rel=1e-5)
    values = sitk.GetArrayViewFromImage(fdg.emission)
    assert values.shape == (267, 128, 128)
    assert float(values.max()) == pytest.approx(66.52, abs=0.05)
    assert fdg.acquired == datetime(2000, 9, 7, 11, 20, 11)
    assert fdg.tracer == "FDG -- fluorodeoxyglucose"
    assert (fdg.weight_kg, fdg.scanner) == (71.0, "GE MEDICAL SYSTEMS Discovery ST")
    assert fdg.minutes_after_injection == pytest.approx(2711 / 60)
    assert any("slice gaps vary from 3.19 to 3.29 mm" in warning for warning in fdg.warnings)


def test_whole_body_pet_equals_the_conversion_of_the_ibsi_voxel_by_voxel(fdg: Study) -> None:
    published = sitk.GetArrayFromImage(
        sitk.ReadImage(str(test_data("fdg-pet-sts-001", "ibsi_nifti", "PET_image.nii.gz")))
    )
    ours = sitk.GetArrayFromImage(fdg.emission)[: published.shape[0], 45 : 45 + published.shape[1], 59:][
        :, :, : published.shape[2]
    ]
    assert ours.shape == published.shape
    assert float(np.abs(ours - published).max()) < 1e-3


def test_copy_that_holds_suv_is_not_scaled_again_and_lies_in_its_ct(fdg: Study) -> None:
    (copy,) = read_studies([test_data("fdg-pet-sts-001", "ibsi_dicom")])
    assert copy.scaling.factor == 1.0
    assert copy.ct is not None
    index = copy.emission.TransformPhysicalPointToIndex(fdg.emission.TransformIndexToPhysicalPoint((70, 60, 20)))
    assert float(copy.emission[index]) == pytest.approx(float(fdg.emission[70, 60, 20]), abs=1e-3)
    # air and soft tissue of the thighs in HU
    values = sitk.GetArrayViewFromImage(copy.ct)
    assert values.min() < -900
    assert np.median(values[values > -200]) == pytest.approx(40, abs=40)


def test_phantom_without_units_and_injection_is_refused_by_tag() -> None:
    with pytest.raises(InputError) as caught:
        read_studies([test_data("nema-iq-pet", "pet_recon_1")])
    message = str(caught.value)
    for name in (
        "Units (0054,1001)",
        "DecayCorrection (0054,1102)",
        "PatientWeight (0010,1030)",
        "RadionuclideTotalDose (0018,1074)",
        "RadionuclideHalfLife (0018,1075)",
        "RadiopharmaceuticalStartDateTime (0018,1078)",
        "AcquisitionDate (0008,0022)",
    ):
        assert name in message
    assert "test series" in message


def test_jpeg_2000_ct_is_read_in_hu() -> None:
    folder = test_data("ct-totalsegmentator", "example_ct_dicom")
    scan = scan_folders([folder])
    assert scan.series == []  # the identifiers were removed, so it is no input; its pixels serve here
    assert "20 DICOM file(s) that cannot be used" in scan.warnings[0]
    files = sorted(folder.iterdir())
    series = Series(tuple(Instance(path, pydicom.dcmread(path, stop_before_pixels=True)) for path in files))
    volume = read_volume(series)
    values = sitk.GetArrayViewFromImage(volume.image)
    assert values.shape == (20, 512, 512)
    assert volume.image.GetPixelID() == sitk.sitkInt16
    assert volume.image.GetSpacing() == pytest.approx((0.9765625, 0.9765625, 2.0), abs=1e-6)
    # HU of the corner outside the patient (air) and of the body
    assert float(np.median(values[:, :40, :40])) == pytest.approx(-1000, abs=30)
    assert float(np.median(values[values > -200])) == pytest.approx(30, abs=60)
    heights = [float(instance.header.ImagePositionPatient[2]) for instance in volume.instances]
    assert heights == sorted(heights)


def test_real_organ_map_is_attached_with_its_names_and_must_lie_on_the_pet() -> None:
    masks = test_data("psma-lesion-masks", "organs")
    names = test_data("psma-organ-labels", "labels.csv")
    now, before = sorted(masks.glob("*2018*.nii.gz"))[0], sorted(masks.glob("*2017*.nii.gz"))[0]
    pet = sitk.Cast(sitk.ReadImage(str(now)), sitk.sitkFloat32)
    study = Study.__new__(Study)
    study.emission = pet
    attach_organ_map(study, now, names)
    assert study.organs is not None
    assert study.organs.names[3] == "liver"
    assert study.organs.labels.GetSize() == pet.GetSize()
    # the two visits were taken at table positions about a meter apart
    study.emission.SetOrigin((*pet.GetOrigin()[:2], pet.GetOrigin()[2] + 2000.0))
    with pytest.raises(InputError, match="lies outside the PET"):
        attach_organ_map(study, before, names)
