"""The geometry of a series: its slices put in order and fitted with a regular grid. No pixel is read here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dicom_series import Instance, Series
from .dicom_values import number, numbers, tag_text
from .errors import InputError
from .even_grid import EvenGrid, fit_grid

SAME_POSITION_MM = 0.01
FARTHEST_MM = 1e5  # tables do not stand that far from the origin of their coordinates
SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 0.01, 100.0
UNEVEN_GAP = 0.01  # relative to the median gap: reported from here on,
LARGEST_UNEVEN_GAP = 0.10  # resampled from here on; a whole-body PET of several beds may be uneven by 3 %
LARGEST_DISPLACEMENT = 0.25  # of a slice from its place on the even grid, relative to the spacing: resampled beyond
MISSING_GAP = 1.5  # of the usual gap: at least one slice is missing
OVERLAPPING_GAP = 0.5  # of the usual gap: a slice lies between two others and is of another scan
LARGEST_DRIFT = 0.25  # of a slice sideways, relative to the pixel size: more is a tilted gantry
LARGEST_TILT_DEG = 45.0  # gantries tilt by up to about 30 degrees
SAME_DIRECTION = 1e-4
SAME_SPACING = 1e-3
SAME_THICKNESS_MM = 0.01


@dataclass(frozen=True)
class SliceStack:
    """Slices in ascending order along their normal, so that the axes are right-handed.

    ``origin`` (mm, LPS), ``spacing`` (mm, x y z) and ``direction`` (columns are the axes) are SimpleITK's and those of
    the volume. ``grid`` says how the slices must be resampled to it, and is None when each is a slice of the volume as
    it is. ``duplicates`` holds pairs (kept, other) of images at one position, to be compared by their pixels.
    """

    instances: tuple[Instance, ...]
    duplicates: tuple[tuple[Instance, Instance], ...]
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    direction: np.ndarray
    warnings: tuple[str, ...]
    grid: EvenGrid | None = None

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels of the volume along x, y and z."""
        if self.grid is not None:
            return self.grid.size
        rows, columns = self.slice_size
        return columns, rows, len(self.instances)

    @property
    def slice_size(self) -> tuple[int, int]:
        """Rows and columns of a slice, which are checked before a stack is made."""
        header = self.instances[0].header
        return int(number(header, "Rows") or 0), int(number(header, "Columns") or 0)

    @property
    def sources(self) -> tuple[Instance, ...]:
        """For each slice of the volume (k = 0 first) the image it was made of, the next one where it was resampled."""
        if self.grid is None:
            return self.instances
        return tuple(self.instances[index] for index in self.grid.nearest)


def stack_slices(series: Series, instances: tuple[Instance, ...] | None = None) -> SliceStack:
    """Rectangular grid of a series (or of some of its images).

    Gaps that differ by up to 10 % from the median gap are taken as even at their mean. Larger differences, and slices
    that a tilted gantry has shifted sideways, ask for resampling (``SliceStack.grid``). Both are told in the warnings.
    Raises InputError, naming the position, for missing slices, slices of another scan and mixed geometry.
    """
    images = series.instances if instances is None else instances
    _refuse_many_frames(series, images)
    rows = np.array([_vector(series, image, "ImageOrientationPatient", 6) for image in images])
    positions = np.array([_vector(series, image, "ImagePositionPatient", 3) for image in images])
    pixels = np.array([_vector(series, image, "PixelSpacing", 2) for image in images])
    sizes = np.array(
        [[*_vector(series, image, "Rows", 1), *_vector(series, image, "Columns", 1)] for image in images], dtype=int
    )
    _refuse_mixed(series, positions, rows, SAME_DIRECTION, "ImageOrientationPatient")
    _refuse_mixed(series, positions, pixels, SAME_SPACING, "PixelSpacing")
    _refuse_mixed(series, positions, sizes, 0, "Rows", "Columns")
    refuse_spacing(series, "PixelSpacing", *pixels.ravel())
    if (sizes < 1).any():
        raise InputError(
            f"{series.name}: {tag_text('Rows')} or {tag_text('Columns')} is zero. Export the series again."
        )
    far = np.flatnonzero((np.abs(positions) > FARTHEST_MM).any(axis=1))
    if far.size:
        raise InputError(
            f"{series.name}: {tag_text('ImagePositionPatient')} of {images[far[0]].name} is more than "
            f"{FARTHEST_MM / 1000:g} m away. Export the series again."
        )

    direction = slice_axes(series, rows[0])
    heights = positions @ direction[:, 2]
    kept, duplicates = _distinct(heights)
    if len(kept) < 2:
        raise InputError(
            f"{series.name} has only {len(kept)} slice position: a volume needs more. Hand in the complete series."
        )
    ordered = tuple(images[index] for index in kept)
    positions, heights = positions[kept], heights[kept] - heights[kept[0]]
    pixel = (float(pixels[0][1]), float(pixels[0][0]))
    spacing_mm, is_even, warnings = _spacing(series, ordered, positions, heights)
    sideways = (positions - positions[0]) @ direction[:, :2]
    is_tilted = _is_tilted(series, positions, heights, sideways, min(pixel), warnings)
    grid, start = None, np.zeros(2)
    if is_tilted or not is_even:
        if not is_tilted:
            sideways = np.zeros_like(sideways)
        slice_size = int(sizes[0][1]), int(sizes[0][0])
        grid, start = fit_grid(heights, sideways, pixel, slice_size, spacing_mm, is_even)
    origin = positions[0] + direction[:, :2] @ start
    return SliceStack(
        ordered,
        tuple((images[first], images[second]) for first, second in duplicates),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        (*pixel, spacing_mm),
        direction,
        tuple(warnings),
        grid,
    )


def refuse_spacing(series: Series, keyword: str, *spacings_mm: float) -> None:
    """Raise InputError for spacings that no image of a patient has."""
    wrong = [value for value in spacings_mm if not SMALLEST_SPACING_MM <= value <= LARGEST_SPACING_MM]
    if wrong:
        raise InputError(
            f"{series.name}: {tag_text(keyword)} is {wrong[0]:g}, not from {SMALLEST_SPACING_MM:g} to "
            f"{LARGEST_SPACING_MM:g} mm. Export the series again."
        )


def _refuse_many_frames(series: Series, images: tuple[Instance, ...]) -> None:
    """Classic images are one slice each; of one with more only the first would be read."""
    frames = max(
        (number(image.header, "NumberOfFrames") or 1.0 for image in images if image.frame is None), default=1.0
    )
    if frames > 1:
        raise InputError(
            f"{series.name} has {frames:g} frames in one file ({tag_text('NumberOfFrames')}), which images of this SOP "
            "class cannot have. Export the series as one file for each slice, or as enhanced image."
        )


def _distinct(heights: np.ndarray) -> tuple[list[int], list[tuple[int, int]]]:
    """Indices of one image for each height, ascending, and pairs (kept, other) of those at one height."""
    kept: list[int] = []
    duplicates: list[tuple[int, int]] = []
    for index in map(int, np.argsort(heights, kind="stable")):
        if kept and heights[index] - heights[kept[-1]] <= SAME_POSITION_MM:
            duplicates.append((kept[-1], index))
        else:
            kept.append(index)
    return kept, duplicates


def _vector(series: Series, image: Instance, keyword: str, length: int) -> list[float]:
    values = numbers(image.header, keyword)
    if len(values) != length:
        raise InputError(
            f"{series.name}: {tag_text(keyword)} is missing or malformed in {image.name}. "
            "Copy or export the series again."
        )
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


def slice_axes(series: Series, orientation: np.ndarray) -> np.ndarray:
    """Orthonormal axes of ImageOrientationPatient, as columns: along a row, along a column, along the normal."""
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


def _spacing(
    series: Series, images: tuple[Instance, ...], positions: np.ndarray, heights: np.ndarray
) -> tuple[float, bool, list[str]]:
    """Distance of the slices of the volume, whether the images stand on it already, and what is to be told.

    Raises InputError for gaps that no interpolation may close.
    """
    gaps = np.diff(heights)
    usual = _usual_gaps(images, gaps)
    _refuse_gaps(series, positions, gaps, usual)
    median, mean = float(np.median(gaps)), float(gaps.mean())
    uneven = float(np.abs(gaps / median - 1.0).max())
    displaced = float(np.abs(heights - mean * np.arange(len(heights))).max()) / mean
    span = f"{series.short_name}: slice gaps vary from {gaps.min():.2f} to {gaps.max():.2f} mm"
    if uneven > LARGEST_UNEVEN_GAP or displaced > LARGEST_DISPLACEMENT:
        spacing = float(heights[-1]) / max(round(float(heights[-1]) / float(usual.min())), 1)
        return spacing, False, [f"{span}; resampled linearly along the normal onto an even grid of {spacing:.3f} mm"]
    warnings = [f"{span}; taken as even at their mean, {mean:.3f} mm"] if uneven > UNEVEN_GAP else []
    thickness_mm = number(images[0].header, "SliceThickness")
    if series.modality == "PT" and thickness_mm is not None and 0 < MISSING_GAP * thickness_mm <= mean:
        warnings.append(
            f"{series.short_name}: the slices are {mean:.2f} mm apart and {thickness_mm:.2f} mm thick; PET slices are "
            "contiguous: is every second one missing?"
        )
    return mean, True, warnings


def _usual_gaps(images: tuple[Instance, ...], gaps: np.ndarray) -> np.ndarray:
    """For each gap the one that is usual in its part of the stack: the median of those between slices as thick.

    Where the thickness changes, the thicker of the two slices counts.
    """
    thickness = [number(image.header, "SliceThickness") or 0.0 for image in images]
    thicker = np.maximum(thickness[:-1], thickness[1:])
    if min(thickness) <= 0:
        return np.full_like(gaps, np.median(gaps))
    return np.array([np.median(gaps[np.abs(thicker - own) <= SAME_THICKNESS_MM]) for own in thicker])


def _refuse_gaps(series: Series, positions: np.ndarray, gaps: np.ndarray, usual: np.ndarray) -> None:
    ratio = gaps / usual
    wrong = np.flatnonzero((ratio >= MISSING_GAP) | (ratio <= OVERLAPPING_GAP))
    if not wrong.size:
        return
    worst = int(wrong[np.abs(np.log(ratio[wrong])).argmax()])
    missing = max(round(float(ratio[worst])) - 1, 1)
    guess = f"about {missing} slice(s) missing there" if ratio[worst] > 1 else "slices overlap there"
    raise InputError(
        f"{series.name} is not complete or not even: from {_place(positions[worst])} to "
        f"{_place(positions[worst + 1])} the gap is {gaps[worst]:.2f} mm where {usual[worst]:.2f} mm is usual "
        f"({wrong.size} such gap(s)), {guess}. Export the series again with all its images and no others."
    )


def _is_tilted(
    series: Series,
    positions: np.ndarray,
    heights: np.ndarray,
    sideways: np.ndarray,
    pixel_mm: float,
    warnings: list[str],
) -> bool:
    """Whether the slices are shifted sideways steadily, as by a tilted gantry. ``sideways`` is in mm along x and y.

    Raises InputError for shifts that are not steady: such an image is misplaced.
    """
    if np.linalg.norm(sideways, axis=1).max() <= LARGEST_DRIFT * pixel_mm:
        return False
    slope = np.median(np.diff(sideways, axis=0) / np.diff(heights)[:, None], axis=0)
    rest = sideways - np.outer(heights, slope)
    off_mm = np.linalg.norm(rest - np.median(rest, axis=0), axis=1)
    worst = int(off_mm.argmax())
    if off_mm[worst] > LARGEST_DRIFT * pixel_mm:
        raise InputError(
            f"{series.name}: the slice at {_place(positions[worst])} is shifted sideways by {off_mm[worst]:.1f} mm "
            "against the others. Export the series again."
        )
    angle_deg = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    if angle_deg > LARGEST_TILT_DEG:
        raise InputError(
            f"{series.name}: the slices are shifted sideways as by a gantry tilted by {angle_deg:.0f} degrees, which "
            f"no scanner does (up to {LARGEST_TILT_DEG:.0f} are accepted). Export the series again."
        )
    warnings.append(
        f"{series.short_name}: the gantry was tilted by {angle_deg:.1f} degrees; the slices were moved back and "
        "resampled linearly onto a rectangular grid"
    )
    return True
