"""One DICOM series as a ``SimpleITK.Image`` in the quantity of its rescaled values (Bq/mL, HU ...)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .dicom_pixels import AIR_HU, read_slices
from .dicom_series import Instance, Series
from .dicom_values import number, numbers, tag_text
from .errors import InputError
from .even_grid import resample_slices
from .progress import Progress
from .slice_stack import SliceStack, stack_slices

_READERS = 2  # decoding holds the interpreter most of the time: more only get in each other's way
_WINDOW = 32  # files decoded ahead


@dataclass(frozen=True)
class Volume:
    """An image with the instances it was made of, one for each slice of the image (k = 0 first)."""

    image: sitk.Image
    instances: tuple[Instance, ...]
    warnings: list[str]


def read_volume(
    series: Series,
    stack: SliceStack | None = None,
    progress: Progress | None = None,
    factors: Sequence[float] | None = None,
) -> Volume:
    """Read the pixels of a series. Rescale slope and intercept are applied image by image.

    ``factors`` (one for each of ``series.instances``, in that order) multiplies the rescaled values. The pixel type is
    int16 where that holds every value exactly (CT), else float32. Where the stack asks for resampling, a CT is filled
    with -1024 HU outside its slices and every other image with 0. Two images at one position are accepted only when
    they are equal. Raises InputError for pixels that cannot be decoded, and for all that ``stack_slices`` refuses.
    """
    stack = stack_slices(series) if stack is None else stack
    warnings = list(stack.warnings)
    if series.modality == "PT":
        warnings += _about_intercepts(series)
    _drop_duplicates(series, stack, warnings)
    values = _read_values(series, stack, progress, factors)
    whole = values.dtype == np.int16
    if stack.grid is not None:
        values = resample_slices(values, stack.grid, AIR_HU if series.modality == "CT" else 0.0)
        values = np.rint(values) if whole else values
    image = sitk.GetImageFromArray(values.astype(np.int16 if whole else np.float32, copy=False))
    image.SetOrigin(stack.origin)
    image.SetSpacing(stack.spacing)
    image.SetDirection(stack.direction.ravel().tolist())
    return Volume(image, stack.sources, warnings)


def _about_intercepts(series: Series) -> list[str]:
    """PET has an intercept of zero (DICOM PS3.3 C.8.9.4); another one is applied as it stands, and told."""
    found = {number(header, "RescaleIntercept") or 0.0 for header in series.headers}
    if found == {0.0}:
        return []
    return [
        f"{series.short_name}: {tag_text('RescaleIntercept')} is from {min(found):g} to {max(found):g} where PET has "
        "0; it was applied"
    ]


def _read_values(
    series: Series, stack: SliceStack, progress: Progress | None, factors: Sequence[float] | None
) -> np.ndarray:
    """All slices of the stack (z, y, x): int16 where each of them is, else float32."""
    own = {} if factors is None else dict(zip(map(id, series.instances), factors, strict=True))
    count = len(stack.instances)
    values = np.empty((count, *stack.slice_size), np.int16)
    for k, (instance, pixels) in enumerate(zip(stack.instances, _slices(stack.instances), strict=True)):
        if own:
            pixels = pixels * np.float32(own[id(instance)])
        if pixels.dtype != np.int16 and values.dtype == np.int16:
            values = values.astype(np.float32)
        values[k] = pixels
        if progress is not None and k % 20 == 19:
            progress((k + 1) / count, f"Reading {series.short_name}")
    return values


def _slices(instances: Sequence[Instance]) -> Iterator[np.ndarray]:
    """Pixels of the instances, in their order: neighbors of one file together, files by several threads."""
    files = [(path, tuple(group)) for path, group in groupby(instances, key=lambda instance: instance.path)]
    with ThreadPoolExecutor(_READERS) as pool:
        try:
            for start in range(0, len(files), _WINDOW):
                ahead = files[start : start + _WINDOW]
                if len(ahead) == 1:
                    yield from read_slices(*ahead[0])
                else:
                    for pixels in pool.map(_read_file, ahead):
                        yield from pixels
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _read_file(file: tuple[Path, tuple[Instance, ...]]) -> list[np.ndarray]:
    return list(read_slices(*file))


def _drop_duplicates(series: Series, stack: SliceStack, warnings: list[str]) -> None:
    firsts, seconds = _slices([kept for kept, _ in stack.duplicates]), _slices([other for _, other in stack.duplicates])
    for (kept, other), first, second in zip(stack.duplicates, firsts, seconds, strict=True):
        if not np.array_equal(first, second):
            position = ", ".join(f"{value:g}" for value in numbers(kept.header, "ImagePositionPatient"))
            raise InputError(
                f"{series.name} holds two different images at position ({position}) mm: {kept.name} and "
                f"{other.name}. Hand in one phase or time frame only."
            )
    if stack.duplicates:
        warnings.append(f"{series.short_name}: {len(stack.duplicates)} image(s) are there twice; one of each was used")
