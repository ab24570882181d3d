"""Anterior maximum intensity projections in patient space, from images in any orientation.

Geometry is SimpleITK's: LPS millimetres. A projection looks from the front: patient's right on the viewer's left,
head up.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

# Direction cosines that differ less from the patient's axes are taken as along them; over 2 m that is 2 mm.
AXIS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Outline:
    """The shadow of one lesion: a mask (rows head to feet) with its edges in LPS mm."""

    lesion: int
    mask: npt.NDArray[np.bool_]
    left_mm: float  # x of the edge on the viewer's left, the patient's right
    right_mm: float
    bottom_mm: float  # z
    top_mm: float

    @property
    def center_mm(self) -> tuple[float, float]:
        """Center of mass of the shadow: x, z in LPS mm."""
        rows, columns = np.nonzero(self.mask)
        height, width = self.mask.shape
        x = self.left_mm + (columns.mean() + 0.5) * (self.right_mm - self.left_mm) / width
        z = self.top_mm - (rows.mean() + 0.5) * (self.top_mm - self.bottom_mm) / height
        return float(x), float(z)


@dataclass(frozen=True)
class Projection:
    """Highest value along the line of sight (rows head to feet, columns patient's right to left), edges in LPS mm."""

    values: npt.NDArray[np.float32]
    left_mm: float
    right_mm: float
    bottom_mm: float
    top_mm: float
    outlines: Mapping[int, Outline]

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, as matplotlib wants it with the first row on top."""
        return self.left_mm, self.right_mm, self.bottom_mm, self.top_mm


def project_anterior(emission: sitk.Image, labels: sitk.Image | None = None) -> Projection:
    """Anterior maximum intensity projection of ``emission``, with the shadow of each lesion of ``labels``.

    Args:
        emission: 3-D image in any orientation.
        labels: Lesion numbers on the same grid, 0 elsewhere.
    """
    image = _along_patient_axes(emission, sitk.sitkLinear)
    values = np.nan_to_num(sitk.GetArrayViewFromImage(image).max(axis=1)[::-1]).astype(np.float32)
    edges = _Edges.of(image)
    outlines = {}
    if labels is not None:
        numbers = sitk.GetArrayFromImage(_along_patient_axes(labels, sitk.sitkNearestNeighbor))
        outlines = {lesion: edges.outline(lesion, box, numbers) for lesion, box in _boxes(numbers)}
    height, width = values.shape
    return Projection(values, edges.x(0), edges.x(width), edges.z(0), edges.z(height), outlines)


def _boxes(numbers: npt.NDArray[np.integer]) -> list[tuple[int, tuple[slice, slice, slice]]]:
    found = ndimage.find_objects(numbers.astype(np.int32, copy=False))
    return [(number, box) for number, box in enumerate(found, start=1) if box is not None]


@dataclass(frozen=True)
class _Edges:
    """Where voxel edges lie along x and z of an image that lies along the patient's axes."""

    x_origin_mm: float
    x_spacing_mm: float
    z_origin_mm: float
    z_spacing_mm: float

    @classmethod
    def of(cls, image: sitk.Image) -> _Edges:
        origin, spacing = image.GetOrigin(), image.GetSpacing()
        return cls(origin[0], spacing[0], origin[2], spacing[2])

    def x(self, column: int) -> float:
        return self.x_origin_mm + (column - 0.5) * self.x_spacing_mm

    def z(self, row: int) -> float:
        return self.z_origin_mm + (row - 0.5) * self.z_spacing_mm

    def outline(self, lesion: int, box: tuple[slice, slice, slice], numbers: npt.NDArray[np.integer]) -> Outline:
        rows, _, columns = box
        mask = (numbers[box] == lesion).any(axis=1)[::-1]
        return Outline(lesion, mask, self.x(columns.start), self.x(columns.stop), self.z(rows.start), self.z(rows.stop))


def _along_patient_axes(image: sitk.Image, interpolator: int) -> sitk.Image:
    """``image`` with x to the patient's left, y to the back, z to the head; resampled only where it lies obliquely."""
    direction = np.abs(np.asarray(image.GetDirection()).reshape(3, 3))
    if np.abs(direction - np.round(direction)).max() < AXIS_TOLERANCE:
        return sitk.DICOMOrient(image, "LPS")
    size = image.GetSize()
    corners = np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint(corner)
            for corner in itertools.product(*((-0.5, length - 0.5) for length in size))
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    spacing = min(image.GetSpacing())
    resampler = sitk.ResampleImageFilter()
    resampler.SetOutputSpacing([spacing] * 3)
    resampler.SetOutputOrigin((low + spacing / 2).tolist())
    resampler.SetSize([int(np.ceil(length / spacing)) for length in high - low])
    resampler.SetInterpolator(interpolator)
    return resampler.Execute(image)
