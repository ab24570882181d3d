"""First-order statistics of lesions against the consensus of the IBSI digital phantom and against definitions."""

from __future__ import annotations

import csv
import math
import statistics

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.statistics import IntensityStatistics, intensity_statistics

# Feature of the consensus table and how it follows from what is measured.
FEATURES = {
    "morph_vol_approx": lambda found: found.volume_ml * 1000.0,  # mm3, by counting voxels
    "loc_peak_loc": lambda found: found.local_peak,
    "loc_peak_glob": lambda found: found.global_peak,
    "stat_mean": lambda found: found.mean,
    "stat_var": lambda found: found.sd**2,
    "stat_cov": lambda found: found.sd / found.mean,
    "stat_median": lambda found: found.median,
    "stat_min": lambda found: found.minimum,
    "stat_p10": lambda found: found.p10,
    "stat_p90": lambda found: found.p90,
    "stat_max": lambda found: found.maximum,
    "stat_iqr": lambda found: found.iqr,
    "stat_qcod": lambda found: found.iqr / (found.p75 + found.p25),
    "stat_range": lambda found: found.maximum - found.minimum,
}


def digital_phantom() -> IntensityStatistics:
    image = sitk.ReadImage(str(test_data("ibsi-digital-phantom", "nifti", "image", "phantom.nii.gz")), sitk.sitkFloat32)
    mask = sitk.ReadImage(str(test_data("ibsi-digital-phantom", "nifti", "mask", "mask.nii.gz")), sitk.sitkUInt16)
    (found,) = intensity_statistics(image, mask)
    return found


def consensus() -> dict[str, tuple[float, float]]:
    """Value and tolerance of every feature; the table gives three digits, so half of the third is added."""
    path = test_data("ibsi-digital-phantom", "reference_values", "ibsi_1_dig_phantom.csv")
    rows = csv.DictReader(path.read_text().splitlines(), delimiter=";")
    found = {}
    for row in rows:
        if row["reference value"]:
            value = float(row["reference value"])
            rounding = 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.0
            found[row["tag"]] = value, float(row["tolerance"]) + rounding
    return found


@pytest.mark.parametrize("feature", FEATURES)
def test_digital_phantom_has_the_consensus_value(feature: str) -> None:
    value, tolerance = consensus()[feature]
    assert FEATURES[feature](digital_phantom()) == pytest.approx(value, abs=tolerance)


def test_digital_phantom_has_74_voxels_of_8_cubic_millimeters() -> None:
    found = digital_phantom()
    assert found.voxels == 74
    assert found.volume_ml == pytest.approx(0.592, rel=1e-6)


def image(values: np.ndarray, spacing=(2.0, 3.0, 4.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.SetSpacing(spacing)
    return made


def percentile(values: list[float], percent: float) -> float:
    """Linear interpolation between ordered values, written out."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100.0
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def sphere_mean(uptake: np.ndarray, center: np.ndarray, spacing_zyx: np.ndarray) -> float:
    """Mean over all voxels whose center lies in the sphere of 1 cm3 around a voxel, over the whole image."""
    places = np.argwhere(np.ones(uptake.shape)) * spacing_zyx
    radius = (3000.0 / (4.0 * math.pi)) ** (1.0 / 3.0)
    return float(uptake.ravel()[np.linalg.norm(places - center * spacing_zyx, axis=1) <= radius].mean())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from((3, 1000)))
def test_statistics_are_those_of_their_definitions(seed: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    uptake = generator.integers(0, levels, (5, 6, 7)).astype(np.float32)
    labels = (generator.random((5, 6, 7)) < 0.3).astype(np.uint16) * 3
    labels[2, 2, 2] = 3
    emission = image(uptake)
    (found,) = intensity_statistics(emission, image(labels))
    values = [float(value) for value in uptake[labels == 3]]
    assert (found.lesion, found.voxels) == (3, len(values))
    assert found.volume_ml == pytest.approx(len(values) * 24 / 1000)
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.sd == pytest.approx(statistics.pstdev(values))
    assert (found.minimum, found.maximum) == (min(values), max(values))
    assert found.median == pytest.approx(statistics.median(values))
    for percent, value in ((10, found.p10), (25, found.p25), (75, found.p75), (90, found.p90)):
        assert value == pytest.approx(percentile(values, percent))
    assert found.iqr == pytest.approx(found.p75 - found.p25)
    spacing = np.array([4.0, 3.0, 2.0])
    places = np.argwhere(labels == 3)
    peaks = [sphere_mean(uptake.astype(np.float64), place, spacing) for place in places]
    hottest = [peak for peak, place in zip(peaks, places, strict=True) if uptake[tuple(place)] == max(values)]
    assert found.global_peak == pytest.approx(max(peaks))
    assert found.local_peak == pytest.approx(max(hottest))


def test_each_lesion_has_its_own_statistics_and_the_measures_agree() -> None:
    generator = np.random.default_rng(7)
    uptake = generator.random((6, 8, 9)).astype(np.float32) * 20
    labels = np.zeros((6, 8, 9), dtype=np.uint16)
    labels[1:3, 1:4, 1:4], labels[4:, 5:, 6:] = 2, 7
    emission, lesions = image(uptake), image(labels)
    found = intensity_statistics(emission, lesions)
    assert [one.lesion for one in found] == [2, 7]
    for one, measured in zip(found, measure_lesions(emission, lesions), strict=True):
        assert (one.maximum, one.mean, one.global_peak) == (measured.suv_max, measured.suv_mean, measured.suv_peak)
        assert (one.voxels, one.volume_ml) == (measured.voxels, measured.volume_ml)
        assert one.local_peak <= one.global_peak


def test_no_lesion_has_no_statistics() -> None:
    assert intensity_statistics(image(np.ones((3, 3, 3), np.float32)), image(np.zeros((3, 3, 3), np.uint16))) == []


def test_values_that_are_no_numbers_and_other_grids_are_refused() -> None:
    uptake, labels = np.ones((3, 3, 3), np.float32), np.ones((3, 3, 3), np.uint16)
    uptake[1, 1, 1] = np.nan
    with pytest.raises(ValueError, match="not a finite number"):
        intensity_statistics(image(uptake), image(labels))
    with pytest.raises(ValueError):
        intensity_statistics(image(np.ones((3, 3, 3), np.float32)), image(labels, (1.0, 1.0, 1.0)))
