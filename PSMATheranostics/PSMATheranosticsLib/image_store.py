"""Images of a case: compressed NRRD files, written once, named by the hash of what they hold.

The files are written and read here rather than by ITK, so that geometry comes back bit for bit (NRRD stores the
product of spacing and direction only; the two factors are kept in a key/value line beside it), equal images give equal
names on every machine, and folder names may hold any letters on every system. Any NRRD reader can open the files.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .case_folder import IMAGES_NAME, finished_file
from .errors import CaseError, InputError
from .image_ahead import ReadAhead

_TYPES = {
    "int8": sitk.sitkInt8,
    "uint8": sitk.sitkUInt8,
    "int16": sitk.sitkInt16,
    "uint16": sitk.sitkUInt16,
    "int32": sitk.sitkInt32,
    "uint32": sitk.sitkUInt32,
    "float": sitk.sitkFloat32,
    "double": sitk.sitkFloat64,
}
_NAMES = {pixel_id: name for name, pixel_id in _TYPES.items()}
_DTYPES = {"float": "float32", "double": "float64"}  # the others have the same name in numpy
_GEOMETRY_KEY = "exact_geometry"
# Higher levels cost time and gain next to nothing on PET and CT; label images shrink to a thousandth at any level.
_COMPRESSION_LEVEL = 2
_GZIP = 31  # zlib's code for a gzip stream with the largest window; no time stamp, so equal images give equal bytes
_CHUNK = 1 << 24
_LONGEST_HEADER = 1 << 14  # bytes; ours have about 700

_at_hand: dict[str, sitk.Image] = {}  # images in memory by their id


@contextmanager
def at_hand(images: Sequence[sitk.Image]) -> Iterator[None]:
    """Within this block every store takes these images from memory where it is asked for them, and reads no file.

    What an image is called follows from what it holds, so that none can be taken for another.
    """
    _at_hand.update({_digest(_header(image), _voxel_bytes(image)): image for image in images})
    try:
        yield
    finally:
        _at_hand.clear()


class ImageStore:
    """The folder ``images/`` of a case. An image id is the SHA-256 of header and voxels, as hexadecimal digits."""

    def __init__(self, case_folder: Path) -> None:
        self.folder = case_folder / IMAGES_NAME
        self._ahead: ReadAhead | None = None

    def path(self, image_id: str) -> Path:
        """Where the image lies, or would lie."""
        return self.folder / f"{image_id}.nrrd"

    def save(self, image: sitk.Image) -> str:
        """Store voxels and geometry of a 3-D image with one value per voxel; return its id.

        An image that is there already is not written again, unless its file is damaged. Headers (metadata dictionary)
        are not stored. Raises InputError for other kinds of image, CaseError where the file cannot be written.
        """
        header = _header(image)
        voxels = _voxel_bytes(image)
        image_id = _digest(header, voxels)
        if self.damage(image_id) is None:
            return image_id
        compressor = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, _GZIP)
        with finished_file(self.path(image_id)) as file:
            file.write(header)
            for start in range(0, len(voxels), _CHUNK):
                file.write(compressor.compress(voxels[start : start + _CHUNK]))
            file.write(compressor.flush())
        return image_id

    def load(self, image_id: str) -> sitk.Image:
        """Read an image and verify it against its hash. Raises CaseError where it is missing or damaged."""
        ahead = None if self._ahead is None else self._ahead.image(image_id)
        return self._load(image_id) if ahead is None else ahead

    @contextmanager
    def reading_ahead(self, studies: Sequence[Sequence[str]]) -> Iterator[ReadAhead]:
        """Within this block images of studies, given by the ids of each, are read once, and before they are needed."""
        with ReadAhead(self._load, studies) as self._ahead:
            try:
                yield self._ahead
            finally:
                self._ahead = None

    def _load(self, image_id: str) -> sitk.Image:
        if image_id in _at_hand:
            return sitk.Image(_at_hand[image_id])  # shares the voxels until one of the two is changed
        try:
            return _image(*self._read(image_id))
        except ValueError as error:
            raise CaseError(self._complaint(image_id, str(error))) from error

    def grid(self, image_id: str) -> sitk.Image:
        """An image of zeros (uint8) with the geometry of a stored one, without reading its voxels."""
        if image_id in _at_hand:
            grid = sitk.Image(_at_hand[image_id].GetSize(), sitk.sitkUInt8)
            grid.CopyInformation(_at_hand[image_id])
            return grid
        try:
            with self.path(image_id).open("rb") as file:
                header = _header_of(file.read(_LONGEST_HEADER))
        except OSError as error:
            raise CaseError(self._complaint(image_id, error.strerror or str(error))) from error
        try:
            size, _, geometry = _parse(header)
            grid = sitk.Image(size, sitk.sitkUInt8)
            _set_geometry(grid, geometry)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CaseError(self._complaint(image_id, "its header cannot be read")) from error
        return grid

    def damage(self, image_id: str) -> str | None:
        """What is wrong with the stored image in a few words, None when it is sound."""
        try:
            self._read(image_id)
        except ValueError as error:
            return str(error)
        return None

    def stored_ids(self) -> set[str]:
        """Ids of all image files in the folder, referenced or not."""
        return {path.stem for path in self.folder.glob("*.nrrd") if not path.name.startswith(".")}

    def _read(self, image_id: str) -> tuple[bytes, bytes]:
        """Header and voxels, verified. Raises ValueError with what is wrong in a few words."""
        try:
            content = self.path(image_id).read_bytes()
        except FileNotFoundError as error:
            raise ValueError("the file is missing") from error
        except OSError as error:
            raise ValueError(f"the file cannot be read ({error.strerror or error})") from error
        header = _header_of(content[:_LONGEST_HEADER])
        decompressor = zlib.decompressobj(_GZIP)
        try:
            # One byte more than there may be: a file that unpacks to any length must not fill the memory.
            voxels = decompressor.decompress(memoryview(content)[len(header) :], _voxel_bytes_in(header) + 1)
        except zlib.error as error:
            raise ValueError("its voxels cannot be unpacked") from error
        if not decompressor.eof or decompressor.unused_data or _digest(header, voxels) != image_id:
            raise ValueError("its content does not match its name")
        return header, voxels

    def _complaint(self, image_id: str, what: str) -> str:
        return (
            f"Image {self.path(image_id)} cannot be used: {what}. Restore this file from a backup, or read the study "
            "into the case again; `psma check` lists everything that is damaged."
        )


def _header(image: sitk.Image) -> bytes:
    if image.GetDimension() != 3 or image.GetPixelID() not in _NAMES:
        raise InputError(
            f"An image of {image.GetDimension()} dimensions with pixels of type {image.GetPixelIDTypeAsString()} "
            "cannot be stored in a case. Needed is a volume of three dimensions with one number per voxel."
        )
    spacing, direction, origin = image.GetSpacing(), image.GetDirection(), image.GetOrigin()
    edges = [tuple(spacing[axis] * direction[3 * row + axis] for row in range(3)) for axis in range(3)]
    lines = [
        "NRRD0005",
        f"type: {_NAMES[image.GetPixelID()]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in image.GetSize()),
        "space directions: " + " ".join(_vector(edge) for edge in edges),
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(origin)}",
        f"{_GEOMETRY_KEY}:=" + json.dumps({"spacing": spacing, "origin": origin, "direction": direction}),
    ]
    return "\n".join([*lines, "", ""]).encode("ascii")


def _header_of(start: bytes) -> bytes:
    """The header with the empty line that ends it; nothing where there is no such line."""
    return start[: start.find(b"\n\n") + 2] if b"\n\n" in start else b""


def _vector(values: tuple[float, ...]) -> str:
    return "(" + ",".join(repr(value) for value in values) + ")"


def _voxel_bytes(image: sitk.Image) -> memoryview:
    array = sitk.GetArrayViewFromImage(image)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1).data.cast("B")


def _digest(header: bytes, voxels: bytes | memoryview) -> str:
    digest = hashlib.sha256(header)
    digest.update(voxels)
    return digest.hexdigest()


def _voxel_bytes_in(header: bytes) -> int:
    """How many bytes the voxels take up by the header. Raises ValueError where it cannot be read."""
    try:
        size, name, _ = _parse(header)
        return min(math.prod(size) * np.dtype(_DTYPES.get(name, name)).itemsize, sys.maxsize - 1)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("its header cannot be read") from error


def _parse(header: bytes) -> tuple[list[int], str, dict[str, Any]]:
    fields = dict(line.partition(":")[::2] for line in header.decode("ascii").splitlines())
    geometry = json.loads(fields[_GEOMETRY_KEY].removeprefix("="))
    return [int(n) for n in fields["sizes"].split()], fields["type"].strip(), geometry


def _image(header: bytes, voxels: bytes) -> sitk.Image:
    size, name, geometry = _parse(header)
    dtype = np.dtype(_DTYPES.get(name, name)).newbyteorder("<")
    image = sitk.GetImageFromArray(np.frombuffer(voxels, dtype=dtype).reshape(size[::-1]))
    _set_geometry(image, geometry)
    return image


def _set_geometry(image: sitk.Image, geometry: dict[str, Any]) -> None:
    image.SetSpacing(geometry["spacing"])
    image.SetOrigin(geometry["origin"])
    image.SetDirection(geometry["direction"])
