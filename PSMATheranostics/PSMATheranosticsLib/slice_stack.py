"""The geometry of a series: its slices put in order and fitted with a regular grid. No pixel is read here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dicom_series import Instance, Series
from .dicom_values import numbers, tag_text
from .errors import InputError

SAME_POSITION_MM = 0.01
UNEVEN_GAP = 0.01  # relative to the median gap: reported from here on,
LARGEST_UNEVEN_GAP = 0.10  # refused from here on; a whole-body PET of several beds may be uneven by 3 %
LARGEST_DISPLACEMENT = 0.25  # of a slice from its place on the regular grid, relative to the spacing
LARGEST_DRIFT = 0.25  # of a slice sideways, relative to the pixel size: more is a tilted gantry
SAME_DIRECTION = 1e-4
SAME_SPACING = 1e-3


@dataclass(frozen=True)
class SliceStack:
    """Slices in ascending order along their normal, so that the axes are right-handed.

    ``origin`` (mm, LPS), ``spacing`` (mm, x y z) and ``direction`` (columns are the axes) are SimpleITK's.
    ``duplicates`` holds pairs (kept, other) of images at one position, to be compared by their pixels.
    """

    instances: tuple[Instance, ...]
    duplicates: tuple[tuple[Instance, Instance], ...]
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    direction: np.ndarray
    warnings: tuple[str, ...]


def stack_slices(series: Series, instances: tuple[Instance, ...] | None = None) -> SliceStack:
    """Regular grid of a series (or of some of its images).

    Gaps that differ by up to 10 % from the median gap are taken as even at their mean, with a warning. Raises
    InputError, naming the position, for missing slices, larger unevenness, tilted stacks and mixed geometry.
    """
    images = series.instances if instances is None else instances
    rows = np.array([_vector(series, image, "ImageOrientationPatient", 6) for image in images])
    positions = np.array([_vector(series, image, "ImagePositionPatient", 3) for image in images])
    pixels = np.array([_vector(series, image, "PixelSpacing", 2) for image in images])
    sizes = np.array(
        [[*_vector(series, image, "Rows", 1), *_vector(series, image, "Columns", 1)] for image in images], dtype=int
    )
    _refuse_mixed(series, positions, rows, SAME_DIRECTION, "ImageOrientationPatient")
    _refuse_mixed(series, positions, pixels, SAME_SPACING, "PixelSpacing")
    _refuse_mixed(series, positions, sizes, 0, "Rows", "Columns")
    if (pixels <= 0).any():
        raise InputError(f"{series.name}: {tag_text('PixelSpacing')} is not above zero. Export the series again.")

    direction = _axes(series, rows[0])
    heights = positions @ direction[:, 2]
    order = np.argsort(heights, kind="stable")
    kept: list[int] = []
    duplicates: list[tuple[Instance, Instance]] = []
    for index in order:
        if kept and heights[index] - heights[kept[-1]] <= SAME_POSITION_MM:
            duplicates.append((images[kept[-1]], images[index]))
        else:
            kept.append(int(index))
    if len(kept) < 2:
        raise InputError(
            f"{series.name} has only {len(kept)} slice position: a volume needs more. Hand in the complete series."
        )
    spacing_mm, warnings = _even_spacing(series, positions[kept], heights[kept])
    _refuse_drift(series, positions[kept], direction, float(pixels[0].min()))
    origin = positions[kept[0]]
    return SliceStack(
        tuple(images[index] for index in kept),
        tuple(duplicates),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        (float(pixels[0][1]), float(pixels[0][0]), spacing_mm),
        direction,
        tuple(warnings),
    )


def _vector(series: Series, image: Instance, keyword: str, length: int) -> list[float]:
    values = numbers(image.header, keyword)
    if len(values) != length:
        raise InputError(f"{series.name}: {tag_text(keyword)} is missing or malformed in {image.path.name}.")
    return values


def _place(position: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in position) + ") mm"


def _refuse_mixed(series: Series, positions: np.ndarray, values: np.ndarray, tolerance: float, *keywords: str) -> None:
    typical = np.median(values, axis=0)
    different = np.flatnonzero((np.abs(values - typical) > tolerance).any(axis=1))
    if different.size:
        odd = int(different[0])
        raise InputError(
            f"{series.name} mixes images of different geometry: {', '.join(map(tag_text, keywords))} is "
            f"{np.array2string(values[odd])} at {_place(positions[odd])} and {np.array2string(typical)} in most images "
            f"({different.size} of {len(values)} differ). Export the series without the other images."
        )


def _axes(series: Series, orientation: np.ndarray) -> np.ndarray:
    """Orthonormal axes, as columns: along a row, along a column, along the normal."""
    row, column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if abs(lengths[0] - 1) > 0.01 or abs(lengths[1] - 1) > 0.01 or abs(row @ column) > 0.01:
        raise InputError(
            f"{series.name}: {tag_text('ImageOrientationPatient')} is {np.array2string(orientation)}, "
            "which is not two perpendicular unit vectors. Export the series again."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column /= np.linalg.norm(column)
    return np.column_stack([row, column, np.cross(row, column)])


def _even_spacing(series: Series, positions: np.ndarray, heights: np.ndarray) -> tuple[float, list[str]]:
    gaps = np.diff(heights)
    median, mean = float(np.median(gaps)), float(gaps.mean())
    uneven = np.abs(gaps / median - 1.0)
    worst = int(uneven.argmax())
    if uneven[worst] > LARGEST_UNEVEN_GAP:
        count = int((uneven > LARGEST_UNEVEN_GAP).sum())
        missing = round(float(gaps[worst]) / median) - 1
        guess = f"about {missing} slice(s) missing there" if missing > 0 else "slices overlap there"
        raise InputError(
            f"{series.name} is not complete or not even: from {_place(positions[worst])} to "
            f"{_place(positions[worst + 1])} the gap is {gaps[worst]:.2f} mm where {median:.2f} mm is usual "
            f"({count} such gap(s); up to {LARGEST_UNEVEN_GAP:.0%} difference is accepted), {guess}. "
            "Export the series again with all its images."
        )
    regular = heights[0] + mean * np.arange(len(heights))
    displaced = np.abs(heights - regular) / mean
    if displaced.max() > LARGEST_DISPLACEMENT:
        where = int(displaced.argmax())
        raise InputError(
            f"{series.name} has gaps that change along the stack: the slice at {_place(positions[where])} lies "
            f"{displaced[where] * mean:.2f} mm from its place on an even grid of {mean:.2f} mm. "
            "Export the series again."
        )
    if uneven[worst] <= UNEVEN_GAP:
        return mean, []
    return mean, [
        f"{series.short_name}: slice gaps vary from {gaps.min():.2f} to {gaps.max():.2f} mm; "
        f"taken as even at their mean, {mean:.3f} mm"
    ]


def _refuse_drift(series: Series, positions: np.ndarray, direction: np.ndarray, pixel_mm: float) -> None:
    offsets = positions - positions[0]
    sideways = np.linalg.norm(offsets - np.outer(offsets @ direction[:, 2], direction[:, 2]), axis=1)
    worst = int(sideways.argmax())
    if sideways[worst] > LARGEST_DRIFT * pixel_mm:
        raise InputError(
            f"{series.name}: the slice at {_place(positions[worst])} is shifted sideways by {sideways[worst]:.1f} mm. "
            "Images of a tilted gantry are not supported; reconstruct them without tilt."
        )
