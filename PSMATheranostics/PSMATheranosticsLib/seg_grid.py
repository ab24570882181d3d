"""The grid that the planes of a DICOM SEG belong to. A SEG stores only planes with content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from .dicom_values import first_item, number, numbers, text
from .errors import InputError

# Choices of this software: decimal strings of 16 characters are far more exact, but other writers may round.
_ON_GRID_MM = 0.01
_SAME_DIRECTION = 1e-4  # of each direction cosine: 0.05 mm over 500 mm


@dataclass(frozen=True)
class SegmentationGrid:
    """Geometry as in SimpleITK (mm, LPS), number of slices, and for each frame the slice it lies in."""

    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    direction: tuple[float, ...]
    depth: int
    slices: list[int]


def segmentation_grid(dataset: Dataset, path: Path) -> SegmentationGrid:
    """Grid of the images that were segmented, slices ascending along row x column.

    The references to the source images tell how many slices there were before and after those with content. Where they
    are absent or do not fit the positions of the planes, the grid ends with the planes.
    """
    orientation = np.array(_values(dataset, 0, "PlaneOrientationSequence", "ImageOrientationPatient", 6, path))
    pixel_spacing = _values(dataset, 0, "PixelMeasuresSequence", "PixelSpacing", 2, path)
    frames = range(len(dataset.PerFrameFunctionalGroupsSequence))
    positions = np.array(
        [_values(dataset, frame, "PlanePositionSequence", "ImagePositionPatient", 3, path) for frame in frames]
    )
    for frame in frames:
        other = _values(dataset, frame, "PlaneOrientationSequence", "ImageOrientationPatient", 6, path)
        if np.abs(orientation - other).max() > _SAME_DIRECTION:
            raise InputError(f"{path} holds planes of different orientation, which form no grid.")
    normal = np.cross(orientation[:3], orientation[3:])
    heights = positions @ normal
    spacing_mm = _slice_spacing(dataset, heights, path)

    whole = _slices_by_reference(dataset, heights, spacing_mm)
    if whole is not None:
        depth, slices = whole
    else:
        slices = [int(index) for index in np.rint((heights - heights.min()) / spacing_mm)]
        depth = max(slices) + 1
    origin = positions[0] - slices[0] * spacing_mm * normal
    expected = origin + np.outer(slices, spacing_mm * normal)
    if np.abs(positions - expected).max() > _ON_GRID_MM:
        raise InputError(f"The planes of {path} form no regular grid of {spacing_mm:g} mm.")
    direction = np.column_stack([orientation[:3], orientation[3:], normal])
    return SegmentationGrid(
        (float(origin[0]), float(origin[1]), float(origin[2])),
        (pixel_spacing[1], pixel_spacing[0], spacing_mm),
        tuple(direction.ravel().tolist()),
        depth,
        slices,
    )


def _values(dataset: Dataset, frame: int, group: str, keyword: str, length: int, path: Path) -> list[float]:
    """An attribute of a frame, which may be written once for all of them."""
    for groups in (dataset.PerFrameFunctionalGroupsSequence[frame], dataset.SharedFunctionalGroupsSequence[0]):
        values = numbers(first_item(groups, group), keyword)
        if len(values) == length:
            return values
    raise InputError(f"{path}: frame {frame + 1} has no {keyword}.")


def _slice_spacing(dataset: Dataset, heights: np.ndarray, path: Path) -> float:
    measures = first_item(dataset.SharedFunctionalGroupsSequence[0], "PixelMeasuresSequence")
    declared = number(measures, "SpacingBetweenSlices")
    if declared is not None and declared > 0:
        return declared
    steps = np.diff(np.unique(np.round(heights, 4)))
    if steps.size:
        return float(steps.min())
    thickness = number(measures, "SliceThickness")
    if thickness is None or thickness <= 0:
        raise InputError(f"{path} has one plane and does not say how thick it is.")
    return thickness


def _slices_by_reference(dataset: Dataset, heights: np.ndarray, spacing_mm: float) -> tuple[int, list[int]] | None:
    """Number of source images and the index of each frame among them; None unless order and positions agree."""
    listed = [
        text(item, "ReferencedSOPInstanceUID")
        for item in first_item(dataset, "ReferencedSeriesSequence").get("ReferencedInstanceSequence", [])
    ]
    index_of = {uid: index for index, uid in enumerate(listed)}
    slices = []
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        source = first_item(first_item(groups, "DerivationImageSequence"), "SourceImageSequence")
        index = index_of.get(text(source, "ReferencedSOPInstanceUID"))
        if index is None:
            return None
        slices.append(index)
    expected = heights[0] + (np.array(slices) - slices[0]) * spacing_mm
    if np.abs(heights - expected).max() > _ON_GRID_MM:
        return None
    return len(listed), slices
