"""Reading image files that are not DICOM, with the checks that every image must pass."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import InputError

# By size of the NIfTI header (version 1 and 2): where the data type stands, and where and how the start of the values.
_NIFTI_LAYOUTS = {348: (70, 108, "f"), 540: (12, 168, "q")}
_NIFTI_FLOATS = {16: "f4", 64: "f8"}


def read_image(path: Path) -> sitk.Image:
    """A 3-D image of finite single values. Raises InputError for every other file."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) != 3 or min(size) < 2 or reader.GetNumberOfComponents() != 1:
            shape = " x ".join(map(str, size))
            raise InputError(f"{path} must be a 3-D image of single values; it is {shape}.")
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as an image: {error}.") from error
    is_nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    values = _stored_floats(path) if is_nifti else sitk.GetArrayViewFromImage(image)
    if values is not None and not np.isfinite(values).all():
        raise InputError(
            f"{path} holds {int((~np.isfinite(values)).sum())} values that are not finite (NaN, infinite)."
        )
    return image


def _stored_floats(path: Path) -> np.ndarray | None:
    """The values of a NIfTI file as they are stored, None when they are whole numbers.

    ITK's reader turns values that are not finite into zeros without a word, so the file itself is looked at.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    order = "<" if struct.unpack_from("<i", content)[0] in _NIFTI_LAYOUTS else ">"
    header_size = struct.unpack_from(f"{order}i", content)[0]
    if header_size not in _NIFTI_LAYOUTS:
        raise InputError(f"{path} is no NIfTI file.")
    code_at, offset_at, offset_format = _NIFTI_LAYOUTS[header_size]
    code = struct.unpack_from(f"{order}h", content, code_at)[0]
    offset = int(struct.unpack_from(f"{order}{offset_format}", content, offset_at)[0])
    if code not in _NIFTI_FLOATS:
        return None
    kind = np.dtype(order + _NIFTI_FLOATS[code])
    return np.frombuffer(content, kind, (len(content) - offset) // kind.itemsize, offset)


def fits_int16(image: sitk.Image) -> bool:
    """Whether int16 holds the image without loss."""
    values = sitk.GetArrayViewFromImage(image)
    limits = np.iinfo(np.int16)
    return bool(np.issubdtype(values.dtype, np.integer) and values.min() >= limits.min and values.max() <= limits.max)


def refuse_apart(image: sitk.Image, emission: sitk.Image, path: Path) -> None:
    """Images that belong together share a place in space; if they do not touch, one of them is of another scan."""
    low, high = _bounds(image)
    emission_low, emission_high = _bounds(emission)
    if (low >= emission_high).any() or (high <= emission_low).any():
        raise InputError(
            f"{path} lies outside the PET: it spans {np.round(low, 1)} to {np.round(high, 1)} mm, the PET "
            f"{np.round(emission_low, 1)} to {np.round(emission_high, 1)} mm. Is it from another scan?"
        )


def _bounds(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    size = image.GetSize()
    corners = np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint([x * size[0] - 0.5, y * size[1] - 0.5, z * size[2] - 0.5])
            for x in (0, 1)
            for y in (0, 1)
            for z in (0, 1)
        ]
    )
    return corners.min(axis=0), corners.max(axis=0)
