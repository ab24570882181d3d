"""Geometry of a reconstructed SPECT that is one multi-frame image (NM, ImageType RECON TOMO). No pixel is read here.

The first voxel of slice s (from 1) lies at ImagePositionPatient + (s - 1) x SpacingBetweenSlices x normal, the normal
being row x column direction: the sign of SpacingBetweenSlices is the direction of stacking (DICOM PS3.3 C.8.4.15).
SliceThickness says nothing about it and is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from .dicom_series import Instance, Series
from .dicom_values import first_item, number, numbers, tag_text
from .errors import InputError
from .slice_stack import FARTHEST_MM, SliceStack, refuse_spacing, slice_axes

_FEWEST_SLICES, _MOST_SLICES = 2, 10_000
_EXPORT = "Reconstruct or export the series again."


@dataclass(frozen=True)
class FrameStack(SliceStack):
    """Slices of a multi-frame image, ascending along their normal, so that the axes are right-handed.

    ``instances`` are the frames of the one image; ``upwards`` is false where slice 1 is the last along the normal.
    """

    upwards: bool = True


def frame_stack(series: Series, instance: Instance) -> FrameStack:
    """Regular grid of a multi-frame NM image.

    Position and orientation are those of DetectorInformationSequence, else of the image itself. Raises InputError,
    naming the attribute, for a grid that the header does not define.
    """
    header = instance.header
    for keyword in ("Rows", "Columns"):
        if (number(header, keyword) or 0.0) < 1.0:
            raise InputError(f"{series.name}: {tag_text(keyword)} is missing or not above zero. {_EXPORT}")
    frames = _frame_order(series, header)
    origin = _vector(series, header, "ImagePositionPatient", 3)
    direction = slice_axes(series, _vector(series, header, "ImageOrientationPatient", 6))
    row_mm, column_mm = _pixel_spacing(series, header)
    step_mm = _signed_spacing(series, header)
    if step_mm < 0:  # the last slice is the lowest along the normal
        frames = frames[::-1]
        origin = origin + (len(frames) - 1) * step_mm * direction[:, 2]
    return FrameStack(
        instances=tuple(replace(instance, frame=frame) for frame in frames),
        duplicates=(),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing=(column_mm, row_mm, abs(step_mm)),
        direction=direction,
        warnings=(),
        upwards=step_mm > 0,
    )


def mirrored(stack: FrameStack) -> FrameStack:
    """The same stack if SpacingBetweenSlices had the other sign, which some reconstructions are known to get wrong.

    It serves only to tell the user when the CT fits that one much better; what the header says is kept.
    """
    length = (len(stack.instances) - 1) * stack.spacing[2] * (-1.0 if stack.upwards else 1.0)
    origin = np.asarray(stack.origin) + length * stack.direction[:, 2]
    return replace(
        stack,
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        instances=stack.instances[::-1],
        upwards=not stack.upwards,
    )


def _frame_order(series: Series, header: Dataset) -> tuple[int, ...]:
    """Frame (1-based) of slice 1, 2, ... as SliceVector numbers them; without one the frames are the slices."""
    count = number(header, "NumberOfFrames")
    if count is None or int(count) != count or not _FEWEST_SLICES <= count <= _MOST_SLICES:
        found = "missing" if count is None else f"{count:g}"
        raise InputError(
            f"{series.name}: {tag_text('NumberOfFrames')} is {found}: a volume needs {_FEWEST_SLICES} to "
            f"{_MOST_SLICES} slices. Hand in the complete reconstruction."
        )
    slices = numbers(header, "SliceVector")
    if not slices:
        return tuple(range(1, int(count) + 1))
    if sorted(slices) != list(range(1, int(count) + 1)):
        raise InputError(
            f"{series.name}: {tag_text('SliceVector')} does not number the {int(count)} frames from 1 to {int(count)}, "
            f"each once (it has {len(slices)} values from {min(slices):g} to {max(slices):g}). {_EXPORT}"
        )
    return tuple(int(index) + 1 for index in np.argsort(slices))


def _vector(series: Series, header: Dataset, keyword: str, length: int) -> np.ndarray:
    detector = first_item(header, "DetectorInformationSequence")
    values = numbers(detector, keyword) or numbers(header, keyword)
    if len(values) != length or max(map(abs, values)) > FARTHEST_MM:
        raise InputError(
            f"{series.name}: {tag_text(keyword)} is missing or malformed, in {tag_text('DetectorInformationSequence')} "
            f"and in the image itself: the place of the SPECT in space is not known. {_EXPORT}"
        )
    return np.array(values)


def _pixel_spacing(series: Series, header: Dataset) -> tuple[float, float]:
    values = numbers(header, "PixelSpacing")
    if len(values) != 2 or min(values) <= 0:
        raise InputError(f"{series.name}: {tag_text('PixelSpacing')} is missing or not above zero. {_EXPORT}")
    refuse_spacing(series, "PixelSpacing", *values)
    return values[0], values[1]


def _signed_spacing(series: Series, header: Dataset) -> float:
    value = number(header, "SpacingBetweenSlices")
    if value is None or value == 0:
        raise InputError(
            f"{series.name}: {tag_text('SpacingBetweenSlices')} is missing or zero: the distance of the slices and the "
            f"direction in which they are stacked are not known ({tag_text('SliceThickness')} says neither). {_EXPORT}"
        )
    refuse_spacing(series, "SpacingBetweenSlices", abs(value))
    return value
