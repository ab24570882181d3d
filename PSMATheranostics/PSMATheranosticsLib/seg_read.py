"""The segments of a DICOM Segmentation of any kind (binary, fractional, label map) as labels on its own grid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom.dataset import Dataset

from .dicom_values import first_item, number, text
from .errors import InputError
from .label_names import choose_names
from .regions_to_labels import Region, label_image
from .seg_grid import segmentation_grid

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_NEEDED = (
    "SegmentSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "NumberOfFrames",
    "Rows",
    "Columns",
)
_OWN_NUMBER = re.compile(r"Lesion (\d+)")


@dataclass(frozen=True)
class SegmentLabels:
    """Labels (uint16) on the grid of the segmentation; name and tracking ID and UID of each value."""

    labels: sitk.Image
    names: dict[int, str]
    tracking: dict[int, tuple[str, str]]
    warnings: list[str]


def segment_labels(dataset: Dataset, path: Path, names: Sequence[str] = ()) -> SegmentLabels:
    """Segments of a SEG, all of them or those called ``names``.

    Fractions of one half and more count as inside, with a warning. Raises InputError for segments that overlap too
    much, for planes that form no grid, for pixels that cannot be read and for a file without any segmented voxel.
    """
    absent = [keyword for keyword in _NEEDED if not dataset.get(keyword)]
    if absent:
        raise InputError(f"{path} has no {', '.join(absent)}: it is no complete segmentation. Export it again.")
    frames, described = int(dataset.NumberOfFrames), len(dataset.PerFrameFunctionalGroupsSequence)
    if frames != described:
        raise InputError(f"{path} holds {frames} planes and describes {described}. Export it again.")
    segments = _segments(dataset, path)
    order = list(segments)
    wanted = {order[index] for index in choose_names([_name(segments[one]) for one in order], names, path)}
    grid = segmentation_grid(dataset, path)
    image = sitk.Image(int(dataset.Columns), int(dataset.Rows), grid.depth, sitk.sitkUInt16)
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction)
    warnings: list[str] = []
    voxels = _voxels(dataset, path, grid.slices, set(segments), warnings)
    found = sorted(wanted & set(voxels))
    if not found:
        raise InputError(f"{path} holds no segmented voxel. Choose another file.")
    if len(found) < len(wanted):
        empty = ", ".join(_name(segments[segment]) for segment in sorted(wanted - set(voxels)))
        warnings.append(f"{path.name}: the segments {empty} have no voxels; they were left out.")
    numbers = _numbers(segments)
    regions = [Region(numbers[segment], _name(segments[segment]), voxels[segment]) for segment in found]
    labels, shared = label_image(regions, image, path.name)
    tracking = {
        numbers[segment]: (text(segments[segment], "TrackingID"), text(segments[segment], "TrackingUID"))
        for segment in found
        if text(segments[segment], "TrackingUID")
    }
    return SegmentLabels(labels, {region.number: region.name for region in regions}, tracking, warnings + shared)


def _name(segment: Dataset) -> str:
    return text(segment, "SegmentLabel") or f"segment {segment.SegmentNumber}"


def _voxels(
    dataset: Dataset, path: Path, slices: Sequence[int], described: set[int], warnings: list[str]
) -> dict[int, npt.NDArray[np.int64]]:
    """Flat indices of the voxels of each segment, each once, on the whole grid."""
    found: dict[int, list[npt.NDArray[np.int64]]] = {}
    for segment, plane, pixels in _planes(dataset, path, slices, warnings):
        if segment not in described:
            raise InputError(f"{path} holds voxels of a segment {segment} that it does not describe. Export it again.")
        found.setdefault(segment, []).append(pixels + plane * int(dataset.Rows) * int(dataset.Columns))
    return {segment: np.unique(np.concatenate(parts)) for segment, parts in found.items()}


def _segments(dataset: Dataset, path: Path) -> dict[int, Dataset]:
    """Segments by number. Label maps may list the background (number 0) as a segment of its own, which it is not."""
    numbers = [text(item, "SegmentNumber") for item in dataset.SegmentSequence]
    if len(set(numbers)) != len(numbers) or not all(number.isdigit() for number in numbers):
        raise InputError(f"{path} numbers its segments {', '.join(numbers)}; each needs a number of its own.")
    return {int(number): item for number, item in zip(numbers, dataset.SegmentSequence, strict=True) if int(number)}


def _numbers(segments: dict[int, Dataset]) -> dict[int, int]:
    """The lesion numbers that this program writes into the descriptions; for other files the segment numbers."""
    own = [_OWN_NUMBER.fullmatch(text(item, "SegmentDescription")) for item in segments.values()]
    numbers = [int(match.group(1)) for match in own if match]
    if len(set(numbers)) == len(segments):
        return dict(zip(segments, numbers, strict=True))
    return {segment: segment for segment in segments}


def _planes(
    dataset: Dataset, path: Path, slices: Sequence[int], warnings: list[str]
) -> Iterator[tuple[int, int, npt.NDArray[np.int64]]]:
    """Segment number, slice and flat indices of the pixels of each plane of each segment."""
    kind = text(dataset, "SegmentationType")
    label_map = kind == "LABELMAP" or text(dataset, "SOPClassUID") == LABEL_MAP_STORAGE
    threshold = 1.0
    if kind == "FRACTIONAL":
        threshold = (number(dataset, "MaximumFractionalValue") or 255.0) / 2
        meaning = text(dataset, "SegmentationFractionalType").lower() or "fraction"
        warnings.append(
            f"{path.name} is a fractional segmentation ({meaning}); voxels of one half and more count as inside."
        )
    for frame, pixels in enumerate(_frames(dataset, path)):
        flat = pixels.reshape(-1)
        if label_map:
            for segment in np.unique(flat):
                if segment:
                    yield int(segment), slices[frame], np.flatnonzero(flat == segment)
        else:
            inside = np.flatnonzero(flat >= threshold)
            if inside.size:
                yield _segment_number(dataset, frame, path), slices[frame], inside


def _frames(dataset: Dataset, path: Path) -> Iterator[npt.NDArray[Any]]:
    from pydicom.pixels import iter_pixels

    try:
        is_packed = int(dataset.BitsAllocated) == 1 and not dataset.file_meta.TransferSyntaxUID.is_encapsulated
        yield from _packed_frames(dataset) if is_packed else iter_pixels(dataset)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        raise InputError(
            f"The pixels of {path} cannot be read: {error}. Export the file again, without compression."
        ) from error


def _packed_frames(dataset: Dataset) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames of one bit a pixel. They follow each other bit by bit: one may begin in the middle of a byte.

    pydicom's ``iter_pixels`` fails where the pixels of a frame do not fill whole bytes, and its ``pixel_array`` holds
    all frames at once, which are gigabytes in a SEG made on a CT.
    """
    pixels = int(dataset.Rows) * int(dataset.Columns)
    count = int(dataset.NumberOfFrames)
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    if packed.size * 8 < count * pixels:
        raise ValueError(f"{packed.size} bytes are too few for {count} planes of {pixels} pixels")
    for first in range(0, count * pixels, pixels):
        bits = np.unpackbits(packed[first // 8 : (first + pixels + 7) // 8], bitorder="little")
        yield bits[first % 8 : first % 8 + pixels]


def _segment_number(dataset: Dataset, frame: int, path: Path) -> int:
    for groups in (dataset.PerFrameFunctionalGroupsSequence[frame], *dataset.SharedFunctionalGroupsSequence[:1]):
        value = text(first_item(groups, "SegmentIdentificationSequence"), "ReferencedSegmentNumber")
        if value.isdigit():
            return int(value)
    raise InputError(f"{path}: frame {frame + 1} does not say which segment it belongs to. Export the file again.")
