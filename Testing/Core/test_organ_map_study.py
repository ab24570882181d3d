"""Synthetic studies on organ maps: where things lie, what the truth means, and how hot they are."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.grids import same_grid
from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.phantom.anatomy import Figure, build_man
from PSMASegmentLib.phantom.held_out import is_held_out, patient_of
from PSMASegmentLib.phantom.organ_map_fit import fit_reference_man, organ_tissues
from PSMASegmentLib.phantom.organ_map_study import OrganMapPhantom, organ_map_study
from PSMASegmentLib.phantom.outline import Posture
from PSMASegmentLib.phantom.tissues import Tissue

MANY = 4  # a seed with many lesions


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@pytest.fixture(scope="module")
def labels() -> sitk.Image:
    return organ_map(5.0)


@pytest.fixture(scope="module")
def phantom(labels: sitk.Image) -> OrganMapPhantom:
    return organ_map_study(labels, NAMES, MANY)


def test_equal_seeds_give_equal_studies_and_others_differ(labels: sitk.Image, phantom: OrganMapPhantom) -> None:
    again, other = organ_map_study(labels, NAMES, MANY), organ_map_study(labels, NAMES, MANY + 1)
    for name in ("emission", "ct", "truth"):
        assert np.array_equal(array(getattr(phantom, name)), array(getattr(again, name)))
    assert phantom.lesions == again.lesions
    assert not np.array_equal(array(phantom.emission), array(other.emission))


def test_images_are_those_of_a_pet_ct_on_the_grid_of_the_map(labels: sitk.Image, phantom: OrganMapPhantom) -> None:
    assert phantom.emission.GetPixelID() == sitk.sitkFloat32
    assert phantom.ct.GetPixelID() == sitk.sitkInt16
    assert phantom.truth.GetPixelID() == sitk.sitkUInt16
    assert same_grid(phantom.emission, labels) and same_grid(phantom.truth, labels)
    assert array(phantom.emission).min() >= 0.0
    assert np.linalg.norm(np.subtract(phantom.ct.GetOrigin(), labels.GetOrigin())) < 15.0
    assert phantom.organs.labels.GetOrigin() == phantom.ct.GetOrigin()


def test_lesions_are_described_as_the_truth_holds_them(phantom: OrganMapPhantom) -> None:
    truth, emission = array(phantom.truth), array(phantom.emission)
    assert len(phantom.lesions) == truth.max() > 5
    assert [lesion.label for lesion in phantom.lesions] == list(range(1, len(phantom.lesions) + 1))
    voxel_ml = float(np.prod(phantom.truth.GetSpacing())) / 1000.0
    for lesion in phantom.lesions:
        own = truth == lesion.label
        assert lesion.volume_ml == pytest.approx(own.sum() * voxel_ml)
        middle = np.argwhere(own).mean(axis=0)[::-1]
        point = phantom.truth.TransformContinuousIndexToPhysicalPoint([float(v) for v in middle])
        assert lesion.center_mm == pytest.approx(point, abs=1e-3)
        # Noise moves the highest voxel by some of its standard deviations, at most a third of the root of the SUV each.
        assert emission[own].max() == pytest.approx(lesion.suv_max, abs=1.5 * lesion.suv_max**0.5)
        assert lesion.region.name in REGIONS
        assert all(lesion.label in phantom.lesions[other - 1].touches for other in lesion.touches)


def test_uptake_follows_the_organs_of_the_map(labels: sitk.Image) -> None:
    phantom = organ_map_study(labels, NAMES, 12)
    emission, organs = array(phantom.emission), array(labels)
    clear = array(phantom.truth) == 0
    mean = {name: emission[(organs == value) & clear].mean() for value, name in NAMES.items()}
    assert mean["kidneys"] > 2.0 * mean["liver"] > 4.0 * mean["lungs"]
    assert mean["urinary bladder"] > mean["brain"]
    assert np.median(emission[array(phantom.ct) < -950]) < 0.05  # air


def test_a_map_in_another_orientation_gives_the_same_man(labels: sitk.Image, phantom: OrganMapPhantom) -> None:
    flipped = sitk.DICOMOrient(labels, "RAI")
    assert flipped.GetDirection() != labels.GetDirection()
    again = organ_map_study(flipped, NAMES, MANY)
    assert same_grid(again.emission, phantom.emission)
    assert np.array_equal(array(again.truth), array(phantom.truth))


def test_bones_keep_their_place_between_the_organs_of_a_larger_man() -> None:
    larger = organ_map(5.0, (1.1, 1.1, 1.05))
    codes = np.zeros(256, np.uint8)
    for value, tissue in organ_tissues(NAMES).items():
        codes[value] = int(tissue)
    canvas = build_man(Figure(), Posture(), 1, 4.0)
    fit = fit_reference_man(canvas, codes[array(larger)], larger.GetSpacing(), larger.GetOrigin())
    # Lung apex, liver dome, kidneys and pelvis: within a centimeter or two of where the larger man has them.
    for point in ((0.0, 50.0, 450.0), (67.0, 40.0, 215.0), (0.0, -28.0, -12.0), (90.0, 0.0, 40.0)):
        expected = np.multiply(point, (1.1, 1.1, 1.05))
        assert fit.to_real(point) == pytest.approx(tuple(expected), abs=16.0)


def test_names_of_organs_stand_for_tissues() -> None:
    names = {1: "urinary bladder", 2: "gallbladder", 3: "kidney_left", 4: "head glands (parotid)", 5: "vertebrae L1"}
    assert organ_tissues(names) == {
        1: Tissue.BLADDER,
        2: Tissue.GALLBLADDER,
        3: Tissue.KIDNEY,
        4: Tissue.PAROTID,
    }


def test_maps_that_cannot_be_used_are_refused_with_the_reason(labels: sitk.Image) -> None:
    with pytest.raises(ValueError, match="no kidneys, liver"):
        organ_map_study(labels, {1: "femur"}, 1)
    with pytest.raises(ValueError, match="no tracer"):
        organ_map_study(labels, NAMES, 1, "18F-FDG")
    with pytest.raises(ValueError, match="whole numbers"):
        organ_map_study(sitk.Cast(labels, sitk.sitkFloat32), NAMES, 1)
    askew = sitk.Image(labels)
    askew.SetDirection((0.96, 0.28, 0.0, -0.28, 0.96, 0.0, 0.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="askew"):
        organ_map_study(askew, NAMES, 1)


def test_whole_scan_has_the_mean_and_spread_of_real_scans() -> None:
    """Range of 597 real PSMA scans (autoPET), 10th to 90th percentile: mean 0.115 to 0.184, SD 0.750 to 1.274."""
    folder = test_data("psma-organ-labels")
    names = {int(row["value"]): row["organ"] for row in csv.DictReader((folder / "labels.csv").open())}
    maps = [path for path in sorted(folder.glob("*.nii.gz")) if is_held_out(patient_of(path))]
    means, spreads = [], []
    for seed, path in enumerate(maps[:20:5]):
        values = array(organ_map_study(sitk.ReadImage(str(path)), names, 1000 + seed).emission)
        means.append(float(values.mean()))
        spreads.append(float(values.std()))
    assert 0.10 < np.median(means) < 0.20
    assert 0.70 < np.median(spreads) < 1.45
