"""One DICOM series as a ``SimpleITK.Image`` in the quantity of its rescaled values (Bq/mL, HU ...)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder

from .dicom_series import Instance, Series
from .dicom_values import number, tag_text
from .errors import InputError
from .progress import Progress
from .slice_stack import SliceStack, stack_slices

_READERS = 4


@dataclass(frozen=True)
class Volume:
    """An image with the instances it was made of, in the order of its slices (k = 0 first)."""

    image: sitk.Image
    instances: tuple[Instance, ...]
    warnings: list[str]


def read_volume(series: Series, stack: SliceStack | None = None, progress: Progress | None = None) -> Volume:
    """Read the pixels of a series. Rescale slope and intercept are applied image by image.

    The pixel type is int16 where that holds every rescaled value exactly (CT), else float32. Two images at one
    position are accepted only when they are equal. Raises InputError for pixels that cannot be decoded, and for all
    that ``stack_slices`` refuses.
    """
    stack = stack_slices(series) if stack is None else stack
    warnings = list(stack.warnings)
    _drop_duplicates(series, stack, warnings)
    count = len(stack.instances)
    slices: list[np.ndarray] = []
    with ThreadPoolExecutor(_READERS) as pool:
        try:
            for pixels in pool.map(_rescaled_pixels, stack.instances):
                slices.append(pixels)
                if progress is not None and len(slices) % 20 == 0:
                    progress(len(slices) / count, f"Reading {series.short_name}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    whole = all(pixels.dtype == np.int16 for pixels in slices)
    image = sitk.GetImageFromArray(np.stack(slices).astype(np.int16 if whole else np.float32, copy=False))
    image.SetOrigin(stack.origin)
    image.SetSpacing(stack.spacing)
    image.SetDirection(stack.direction.ravel().tolist())
    return Volume(image, stack.instances, warnings)


def _drop_duplicates(series: Series, stack: SliceStack, warnings: list[str]) -> None:
    for kept, other in stack.duplicates:
        if not np.array_equal(_rescaled_pixels(kept), _rescaled_pixels(other)):
            position = ", ".join(str(value) for value in kept.header.ImagePositionPatient)
            raise InputError(
                f"{series.name} holds two different images at position ({position}) mm: {kept.path.name} and "
                f"{other.path.name}. Hand in one phase or time frame only."
            )
    if stack.duplicates:
        warnings.append(f"{series.short_name}: {len(stack.duplicates)} image(s) are there twice; one of each was used")


def _rescaled_pixels(instance: Instance) -> np.ndarray:
    """Pixels of one image, rescaled: int16 when exact, else float32."""
    slope, intercept = number(instance.header, "RescaleSlope"), number(instance.header, "RescaleIntercept")
    if slope is None or intercept is None or slope == 0:
        raise InputError(
            f"{instance.path}: {tag_text('RescaleSlope')} or {tag_text('RescaleIntercept')} is missing or zero. "
            "Export the series again."
        )
    try:
        dataset = pydicom.dcmread(instance.path)
        if _can_decode(dataset):
            stored = dataset.pixel_array
            rescaled = stored.astype(np.float64) * slope + intercept
        else:
            rescaled = _read_with_simpleitk(instance, dataset)
    except InputError:
        raise
    except (AttributeError, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"The pixels of {instance.path} cannot be read: {error}. Export the series again.") from error
    if rescaled.shape != (instance.header.Rows, instance.header.Columns):
        raise InputError(f"{instance.path} is not a single gray image: its pixels have the shape {rescaled.shape}.")
    limits = np.iinfo(np.int16)
    is_whole = float(slope).is_integer() and float(intercept).is_integer()
    if is_whole and rescaled.min() >= limits.min and rescaled.max() <= limits.max:
        return rescaled.astype(np.int16)
    return rescaled.astype(np.float32)


def _can_decode(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return not syntax.is_compressed or syntax.is_deflated or get_decoder(syntax).is_available


def _read_with_simpleitk(instance: Instance, dataset: Dataset) -> np.ndarray:
    """Pixels of a compressed image that pydicom has no plugin for. SimpleITK rescales them by itself."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(instance.path))
    try:
        pixels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        syntax = dataset.file_meta.TransferSyntaxUID
        plugins = "; ".join(get_decoder(syntax).missing_dependencies)
        raise InputError(
            f"{instance.path} is compressed ({syntax.name}) and cannot be decoded here. Install one of: {plugins}; "
            "or export the series uncompressed."
        ) from error
    return pixels.reshape(pixels.shape[-2:]).astype(np.float64)
