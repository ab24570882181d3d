"""A patch: what one edit of a mask changed, small enough to be stored with every stroke.

It holds a box of the label image with the labels before and after, so that it can be applied, taken back, and refused
where it does not belong. Stored, both are coded as runs of equal pairs (before, after) and compressed with zlib; the
SHA-256 of that stands in front.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint16]
Index = tuple[int, int, int]
Box = tuple[slice, slice, slice]

_MAGIC = b"PSMAmask1"
_DIGEST_BYTES = 32
_HEAD = struct.Struct("<7I")  # start z, y, x; shape z, y, x; number of runs
_RUN_BYTES = 8  # before and after as uint16, length as uint32
_LEVEL = 6


@dataclass(frozen=True, eq=False)
class MaskPatch:
    """Labels (uint16; z, y, x) of a box before and after an edit. ``start``: index of its first voxel."""

    start: Index
    before: Labels
    after: Labels

    def __post_init__(self) -> None:
        shapes = self.before.shape, self.after.shape
        if len(shapes[0]) != 3 or shapes[0] != shapes[1] or 0 in shapes[0] or min(self.start) < 0:
            raise ValueError(f"A patch at {self.start} cannot go from labels of shape {shapes[0]} to {shapes[1]}.")
        if self.before.dtype != np.uint16 or self.after.dtype != np.uint16:
            raise ValueError(f"A patch needs labels of type uint16, not {self.before.dtype} and {self.after.dtype}.")

    @property
    def box(self) -> Box:
        """Where the patch lies in the label image."""
        z, y, x = (slice(low, low + size) for low, size in zip(self.start, self.before.shape, strict=True))
        return z, y, x

    def inverse(self) -> MaskPatch:
        """The patch that takes this one back."""
        return MaskPatch(self.start, self.after, self.before)

    def apply(self, labels: Labels) -> None:
        """Change ``labels`` in place. Raises ValueError, and changes nothing, where they are not those before it."""
        if not np.array_equal(labels[self.box], self.before):  # a box that is not inside has another shape
            raise ValueError(f"the labels in its box at {self.start} are not those that it was made on")
        labels[self.box] = self.after

    def encode(self) -> bytes:
        """The patch as bytes. Inverse of ``decode``."""
        pairs = self.before.astype(np.uint32).ravel() << 16 | self.after.ravel()
        first = np.concatenate([[0], np.flatnonzero(pairs[1:] != pairs[:-1]) + 1])
        lengths = np.diff(first, append=pairs.size)
        head = _HEAD.pack(*self.start, *self.before.shape, first.size)
        packed = zlib.compress(head + pairs[first].astype("<u4").tobytes() + lengths.astype("<u4").tobytes(), _LEVEL)
        return _MAGIC + hashlib.sha256(packed).digest() + packed


def decode(content: bytes) -> MaskPatch:
    """Inverse of ``MaskPatch.encode``. Raises ValueError with what is wrong in a few words."""
    start = len(_MAGIC) + _DIGEST_BYTES
    if content[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it is no patch of a mask")
    if hashlib.sha256(content[start:]).digest() != content[len(_MAGIC) : start]:
        raise ValueError("its content does not match its digest")
    try:
        plain = zlib.decompress(content[start:])
    except zlib.error as error:
        raise ValueError("it cannot be unpacked") from error
    if len(plain) < _HEAD.size:
        raise ValueError("it is too short")
    numbers = _HEAD.unpack_from(plain)
    runs, shape = numbers[6], numbers[3:6]
    if len(plain) != _HEAD.size + _RUN_BYTES * runs:
        raise ValueError("its length is wrong")
    pairs = np.frombuffer(plain, "<u4", runs, _HEAD.size)
    lengths = np.frombuffer(plain, "<u4", runs, _HEAD.size + 4 * runs)
    if int(lengths.sum(dtype=np.uint64)) != math.prod(shape):
        raise ValueError("its runs do not fill its box")
    return MaskPatch(
        start=numbers[:3],
        before=np.repeat((pairs >> 16).astype(np.uint16), lengths).reshape(shape),
        after=np.repeat(pairs.astype(np.uint16), lengths).reshape(shape),
    )
