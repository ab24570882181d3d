"""The pixels of single slices, rescaled: from classic files and from the frames of multi-frame files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from .dicom_series import Instance
from .dicom_values import MALFORMED, number, tag_text, text
from .errors import InputError

AIR_HU = -1024.0
_LARGEST_HU = 4095.0  # of scanners without an extended range
_SMALLEST_SLOPE, _LARGEST_SLOPE = 1e-12, 1e12  # beyond lies no unit of an image
_FRAME_KEYWORDS = (
    *("NumberOfFrames", "PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
)
_PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
_TAGS = [Tag(keyword) for keyword in (*_PIXEL_KEYWORDS, *_FRAME_KEYWORDS, "PixelPaddingValue")]


def read_slices(path: Path, instances: Sequence[Instance]) -> Iterator[np.ndarray]:
    """Rescaled pixels (y, x) of slices of one file, in the order given; the file is opened and decoded once.

    The type is int16 where that holds every rescaled value exactly, else float32. What pads a CT outside of its circle
    with another value than air has is given that of air. Raises InputError for pixels that cannot be decoded or are no
    finite numbers, and for slices without rescaling.
    """
    scales = [_rescaling(instance) for instance in instances]
    try:
        dataset = pydicom.dcmread(path, force=True, specific_tags=_TAGS)
        _complete_syntax(dataset)
        frames = [0 if instance.frame is None else instance.frame - 1 for instance in instances]
        for instance, (slope, intercept), stored in zip(instances, scales, _stored(dataset, frames), strict=True):
            if stored.shape != (number(instance.header, "Rows"), number(instance.header, "Columns")):
                raise InputError(
                    f"{path}, {instance.name} is not a single gray image: its pixels have the shape {stored.shape}."
                )
            pixels = _rescaled(stored, slope, intercept)
            if pixels.dtype != np.int16 and not np.isfinite(pixels).all():
                raise InputError(
                    f"{path}, {instance.name} holds {np.count_nonzero(~np.isfinite(pixels))} values that are no finite "
                    "numbers. Reconstruct or export the series again."
                )
            padding = _padding(instance.header, dataset, slope, intercept)
            yield pixels if padding is None else np.where(stored == padding, AIR_HU, pixels).astype(pixels.dtype)
    except InputError:
        raise
    except (*MALFORMED, RuntimeError) as error:
        raise InputError(f"The pixels of {path} cannot be read: {error}. Export the series again.") from error


def _rescaling(instance: Instance) -> tuple[float, float]:
    slope, intercept = number(instance.header, "RescaleSlope"), number(instance.header, "RescaleIntercept")
    if (
        slope is None
        or intercept is None
        or not _SMALLEST_SLOPE <= slope <= _LARGEST_SLOPE
        or abs(intercept) > _LARGEST_SLOPE
    ):
        raise InputError(
            f"{instance.path.parent / instance.name}: {tag_text('RescaleSlope')} or {tag_text('RescaleIntercept')} is "
            f"missing, no single number, or the slope is not from {_SMALLEST_SLOPE:g} to {_LARGEST_SLOPE:g}. "
            "Export the series again."
        )
    return slope, intercept


def _padding(header: Dataset, dataset: Dataset, slope: float, intercept: float) -> int | None:
    """The stored value that pads a CT where it lies far outside of all HU, None where there is nothing to replace.

    A padding value within the range of tissue may be that of real voxels too, and is left alone.
    """
    value = number(dataset, "PixelPaddingValue")
    if value is None or text(header, "Modality").upper() != "CT":
        return None
    if number(dataset, "PixelRepresentation") == 1 and value >= 2**15:  # written as if it were unsigned
        value -= 2**16
    return None if AIR_HU <= value * slope + intercept <= _LARGEST_HU else int(value)


def _rescaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if slope.is_integer() and intercept.is_integer() and np.issubdtype(stored.dtype, np.integer):
        limits = np.iinfo(np.int16)
        ends = [int(stored.min()) * slope + intercept, int(stored.max()) * slope + intercept]
        if min(ends) >= limits.min and max(ends) <= limits.max:
            return (stored.astype(np.int32) * int(slope) + int(intercept)).astype(np.int16)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _complete_syntax(dataset: pydicom.FileDataset) -> None:
    """A file without file meta information says by its own elements how it is encoded."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    is_implicit, is_little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit


def _stored(dataset: pydicom.FileDataset, frames: Sequence[int]) -> Iterator[np.ndarray]:
    """Stored values of the frames (counted from 0), one after the other."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated or get_decoder(syntax).is_available:
        yield from iter_pixels(dataset, indices=list(frames))
    else:
        with TemporaryDirectory() as folder:
            for frame in frames:
                yield _decoded_by_simpleitk(dataset, frame, Path(folder, "frame.dcm"))


def _decoded_by_simpleitk(dataset: pydicom.FileDataset, frame: int, path: Path) -> np.ndarray:
    """Stored values of one frame, compressed in a way that pydicom has no plugin for here.

    The frame is handed over as an image of its own without rescaling, because SimpleITK would apply that itself.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    count = int(dataset.get("NumberOfFrames") or 1)
    single = Dataset()
    for keyword in _PIXEL_KEYWORDS:
        single.add(dataset[keyword])
    single.SOPClassUID, single.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    single.PixelData = encapsulate([get_frame(dataset.PixelData, frame, number_of_frames=count)])
    single["PixelData"].VR = "OB"
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = UID(syntax)
    single.save_as(path, enforce_file_format=True)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        pixels: np.ndarray = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        plugins = "; ".join(get_decoder(syntax).missing_dependencies)
        raise InputError(
            f"{dataset.filename} is compressed ({syntax.name}) and cannot be decoded here. Install one of: {plugins}; "
            "or export the series uncompressed."
        ) from error
    return pixels.reshape(pixels.shape[-2:])
