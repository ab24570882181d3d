"""Slices off the rectangular grid: tilted gantry, uneven gaps, changing thickness. Synthetic smooth bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import write_series
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from pydicom.dataset import Dataset
from scipy import ndimage

SIZE = (24, 40, 36)  # z, y, x
SPACING = (2.0, 1.5, 3.0)  # x, y, z
ORIGIN = np.array([-10.0, -20.0, -30.0])
CENTER = ORIGIN + np.array([36.0, 30.0, 36.0])


def body(points: np.ndarray) -> np.ndarray:
    """A smooth blob with two others in it; ``points`` (..., 3) in mm. Between 0 and about 1500."""
    values = np.zeros(points.shape[:-1])
    for offset, height, width in (((0, 0, 0), 1000.0, 20.0), ((12, -8, 6), 500.0, 8.0), ((-10, 6, -12), 300.0, 6.0)):
        distance = ((points - CENTER - np.array(offset)) ** 2).sum(axis=-1)
        values += height * np.exp(-distance / (2.0 * width**2))
    return values


def sampled(heights: np.ndarray, axes: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The body in slices whose first pixel is at ORIGIN + height x normal + height x ``shift`` (mm per mm)."""
    z, y, x = np.meshgrid(heights, np.arange(SIZE[1]) * SPACING[1], np.arange(SIZE[2]) * SPACING[0], indexing="ij")
    points = ORIGIN + x[..., None] * axes[:, 0] + y[..., None] * axes[:, 1] + z[..., None] * (axes[:, 2] + shift)
    return np.rint(body(points))


def write(folder: Path, heights: np.ndarray, axes: np.ndarray, shift: np.ndarray, modality: str = "CT") -> None:
    def place(k: int, dataset: Dataset) -> Dataset:
        position = ORIGIN + heights[k] * (axes[:, 2] + shift)
        dataset.ImagePositionPatient = [f"{value:.8f}" for value in position]
        return dataset

    stored = sampled(heights, axes, shift)
    intercept = -1024 if modality == "CT" else 0
    write_series(
        folder, stored, modality, spacing=SPACING, direction=axes, heights=heights, intercept=intercept, change=place
    )


def tilted_axes(angle_deg: float) -> np.ndarray:
    """Image plane turned about x, as a gantry leans."""
    angle = np.radians(angle_deg)
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]).astype(float)


def difference(image: sitk.Image, lowest: float) -> np.ndarray:
    """Image less body inside the slices, less their outermost pixels, in the units of the body."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in image.GetSize()[::-1]), indexing="ij")
    axes = np.reshape(image.GetDirection(), (3, 3))
    indices = np.stack([x, y, z], axis=-1) * np.array(image.GetSpacing())
    points = np.array(image.GetOrigin()) + indices @ axes.T
    values = sitk.GetArrayFromImage(image).astype(float) - lowest
    inside = ndimage.binary_erosion(values > 0, np.ones((1, 3, 3)))
    return np.asarray((values - body(points))[inside])


@pytest.mark.parametrize("angle_deg", [-18.0, 5.0, 30.0])
def test_ct_of_a_tilted_gantry_is_moved_back_onto_a_rectangular_grid(tmp_path: Path, angle_deg: float) -> None:
    axes = tilted_axes(angle_deg)
    table = np.array([0.0, 0.0, 1.0])  # the table moves along z while the slices lean
    heights = SPACING[2] * np.arange(SIZE[0]) * np.cos(np.radians(angle_deg))
    shift = table / (table @ axes[:, 2]) - axes[:, 2]
    write_series(tmp_path / "pet", np.ones((40, 30, 30)), spacing=(3, 3, 2), origin=ORIGIN - 8)
    write(tmp_path / "ct", heights, axes, shift)
    (study,) = read_studies([tmp_path])
    assert study.ct is not None
    assert any(f"gantry was tilted by {abs(angle_deg):.1f} degrees" in warning for warning in study.warnings)
    assert study.ct.GetPixelID() == sitk.sitkInt16
    assert study.ct.GetDepth() == SIZE[0]
    assert study.ct.GetSize()[1] > SIZE[1]
    values = sitk.GetArrayFromImage(study.ct)
    assert values.min() == -1024
    # linear interpolation over 1.5 mm of a body with structures of 6 mm (sigma) and rounding to whole HU
    errors = difference(study.ct, -1024.0)
    assert np.abs(errors).max() < 6.0
    assert abs(errors.mean()) < 0.5


def test_tilted_and_upright_slices_of_one_body_agree(tmp_path: Path) -> None:
    axes = tilted_axes(20.0)
    shift = np.array([0.0, 0.0, 1.0]) / axes[2, 2] - axes[:, 2]
    heights = SPACING[2] * np.arange(SIZE[0])
    for name, sideways in (("upright", np.zeros(3)), ("tilted", shift)):
        write_series(tmp_path / name / "pet", np.ones((60, 40, 40)), spacing=(3, 3, 2), origin=ORIGIN - 30)
        write(tmp_path / name / "ct", heights, axes, sideways)
    (upright,), (tilted,) = read_studies([tmp_path / "upright"]), read_studies([tmp_path / "tilted"])
    assert upright.ct is not None
    assert tilted.ct is not None
    moved = sitk.Resample(tilted.ct, upright.ct, sitk.Transform(), sitk.sitkLinear, -1024.0)
    first, second = (sitk.GetArrayFromImage(image).astype(float) for image in (upright.ct, moved))
    both = ndimage.binary_erosion((first > -1000) & (second > -1000), np.ones((1, 3, 3)), iterations=2)
    assert both.mean() > 0.3
    assert np.abs(first - second)[both].max() < 6.0


def test_tilted_pet_keeps_its_activity(tmp_path: Path) -> None:
    axes = tilted_axes(15.0)
    shift = np.array([0.0, 0.0, 1.0]) / axes[2, 2] - axes[:, 2]
    write(tmp_path, SPACING[2] * np.arange(SIZE[0]), axes, shift, "PT")
    (study,) = read_studies([tmp_path])
    stored = sampled(SPACING[2] * np.arange(SIZE[0]), axes, shift) * study.scaling.factor
    total = sitk.GetArrayFromImage(study.emission).sum()
    assert total == pytest.approx(stored.sum(), rel=0.002)
    assert len(study.origin.instance_uids) == study.emission.GetDepth()


def test_one_shifted_slice_is_no_tilt(tmp_path: Path) -> None:
    def move(k: int, dataset: Dataset) -> Dataset:
        if k == 9:
            dataset.ImagePositionPatient = [-10, -14, -12]
        return dataset

    write_series(tmp_path, np.ones((12, 5, 4)), change=move)
    with pytest.raises(InputError, match=r"shifted sideways by 6.0 mm against the others"):
        read_studies([tmp_path])


def test_shift_that_no_gantry_makes_is_refused(tmp_path: Path) -> None:
    heights = 2.0 * np.arange(8)
    write(tmp_path, heights, np.eye(3), np.array([0.0, 1.5, 0.0]), "PT")
    with pytest.raises(InputError, match="tilted by 56 degrees, which no scanner does"):
        read_studies([tmp_path])


UNEVEN = {
    "jitter beyond 10 %": 3.0 * np.arange(24) + np.where(np.arange(24) % 3 == 1, 0.6, 0.0),
    "growing gaps": np.cumsum(np.linspace(2.4, 3.4, 24)),
}


@pytest.mark.parametrize("name", list(UNEVEN))
def test_uneven_slices_are_interpolated_onto_an_even_grid(tmp_path: Path, name: str) -> None:
    heights = UNEVEN[name] - UNEVEN[name][0]
    write(tmp_path, heights, np.eye(3), np.zeros(3), "PT")
    (study,) = read_studies([tmp_path])
    assert any("resampled linearly along the normal onto an even grid" in warning for warning in study.warnings)
    emission = study.emission / study.scaling.factor
    assert emission.GetOrigin()[2] == pytest.approx(ORIGIN[2])
    last = emission.GetOrigin()[2] + emission.GetSpacing()[2] * (emission.GetDepth() - 1)
    assert last == pytest.approx(ORIGIN[2] + heights[-1])
    # structures of 6 mm (sigma) and gaps of up to 3.6 mm: linear interpolation misses up to gap^2 / 8 x curvature
    assert np.abs(difference(emission, 0.0)).max() < 3.6**2 / 8 * (500 / 8**2 + 300 / 6**2 + 1000 / 20**2)
    assert len(study.origin.instance_uids) == emission.GetDepth()
    assert study.origin.slopes == ()


def test_thickness_that_changes_along_the_stack_is_no_gap(tmp_path: Path) -> None:
    heights = np.concatenate([np.arange(0, 30, 3.0), np.arange(30, 61, 6.0)])
    thickness = np.where(np.arange(len(heights)) < 11, 3.0, 6.0)

    def thick(k: int, dataset: Dataset) -> Dataset:
        dataset.SliceThickness = float(thickness[k])
        return dataset

    stored = sampled(heights, np.eye(3), np.zeros(3))
    write_series(tmp_path / "stated", stored, spacing=SPACING, origin=ORIGIN, heights=heights, change=thick)
    (study,) = read_studies([tmp_path / "stated"])
    assert study.emission.GetSpacing()[2] == pytest.approx(3.0)
    assert study.emission.GetDepth() == 21
    assert any("slice gaps vary from 3.00 to 6.00 mm; resampled" in warning for warning in study.warnings)
    write_series(tmp_path / "same", stored, spacing=SPACING, origin=ORIGIN, heights=heights)
    with pytest.raises(InputError, match=r"the gap is 6.00 mm where 3.00 mm is usual \(5 such gap\(s\)\)"):
        read_studies([tmp_path / "same"])


def test_pet_of_every_second_slice_is_pointed_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path, np.ones((12, 5, 4)))
    for path in paths[1::2]:
        path.unlink()
    (study,) = read_studies([tmp_path])
    assert any("4.00 mm apart and 2.00 mm thick" in warning for warning in study.warnings)
    assert pydicom.dcmread(paths[0]).SliceThickness == 2
