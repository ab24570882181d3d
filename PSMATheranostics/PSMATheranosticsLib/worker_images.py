"""Images handed to the worker through shared memory, so that they are neither written to a file nor sent as text.

Who hands images over makes a ``Handover``: one block of shared memory for each image. The worker copies the voxels and
answers that they are taken; then, and on every other way a job can end, the blocks go. A block is named by the process
that made it, so that the blocks of a process that was killed can be told apart and removed by the next one.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .processes import process_runs

_PREFIX = "psma"
_LINUX_BLOCKS = Path("/dev/shm")  # where Linux keeps blocks as files
_SLAB_BYTES = 16 << 20  # copied in some 10 ms, so that a user interface can go on between two slabs


class Handover:
    """Blocks of shared memory with the voxels of images. Whoever makes it has to ``close`` it."""

    def __init__(self, images: Sequence[sitk.Image]) -> None:
        """Make the blocks, which ``fill`` fills. Raises OSError, leaving nothing, where there is no memory for them."""
        self._images = list(images)
        self._blocks: list[SharedMemory] = []
        complete = False
        try:
            for image in self._images:
                self._blocks.append(_make_block(_voxels(image).nbytes))
            complete = True
        finally:
            if not complete:
                self.close()

    @property
    def names(self) -> list[str]:
        """What the blocks are called."""
        return [block.name for block in self._blocks]

    def fill(self) -> Iterator[None]:
        """Copy the voxels, a slab of some 10 ms at a time; the blocks are complete when this is at its end."""
        for image, block in zip(self._images, self._blocks, strict=True):
            voxels = _voxels(image).reshape(-1)
            target = np.ndarray(voxels.shape, voxels.dtype, buffer=block.buf)
            slab = max(1, _SLAB_BYTES // voxels.itemsize)
            for start in range(0, voxels.size, slab):
                target[start : start + slab] = voxels[start : start + slab]
                yield
            del target  # a block with a view on it cannot be closed

    def to_json(self) -> list[dict[str, Any]]:
        """What ``take_images`` needs, as plain values."""
        return [
            {
                "block": block.name,
                "voxels": _voxels(image).dtype.str,
                "size": list(image.GetSize()),
                "spacing": list(image.GetSpacing()),
                "origin": list(image.GetOrigin()),
                "direction": list(image.GetDirection()),
            }
            for image, block in zip(self._images, self._blocks, strict=True)
        ]

    def close(self) -> None:
        """Let go of the blocks and remove them. May be called again, and where the worker has removed them already."""
        blocks, self._blocks, self._images = self._blocks, [], []
        for block in blocks:
            block.close()
            _unlink(block)


def take_images(described: Iterable[Mapping[str, Any]]) -> list[sitk.Image]:
    """Copies of the images that a ``Handover`` describes, in its order; its blocks are not needed afterwards.

    Raises ValueError where a block is gone or holds less than it is said to.
    """
    return [_taken(values) for values in described]


def unlink_blocks(names: Iterable[str]) -> None:
    """Remove blocks whose owner is gone; those that are not there are no error. Nothing to do on Windows."""
    for name in names:
        try:
            with _untracked():
                block = SharedMemory(name)
        except FileNotFoundError:
            continue
        block.close()
        _unlink(block)


def remove_stale_blocks() -> None:
    """Remove the blocks that processes left which were killed together with their worker (Linux; no other tells them).

    macOS keeps such a block until the computer is started again, Windows keeps none.
    """
    if sys.platform.startswith("linux"):
        for path in _LINUX_BLOCKS.glob(f"{_PREFIX}-*-*"):
            pid = path.name.split("-")[1]
            if pid.isdigit() and not process_runs(int(pid)):
                unlink_blocks([path.name])


def _voxels(image: sitk.Image) -> npt.NDArray[Any]:
    """The voxels (z, y, x) of an image without a copy; the image has to outlive them."""
    return np.asarray(sitk.GetArrayViewFromImage(image))


def _make_block(size: int) -> SharedMemory:
    """A new block whose memory is there. Raises OSError where it is not."""
    with _untracked():
        # macOS allows 31 letters.
        block = SharedMemory(f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(4)}", create=True, size=size)
    if sys.platform.startswith("linux"):
        try:
            _reserve(block.name, size)
        except OSError:
            block.close()
            _unlink(block)
            raise
    return block


if sys.platform.startswith("linux"):

    def _reserve(name: str, size: int) -> None:
        """Let the memory be there now: a process that writes to a block without memory behind it is killed."""
        file = os.open(_LINUX_BLOCKS / name, os.O_RDWR)
        try:
            os.posix_fallocate(file, 0, size)
        finally:
            os.close(file)


def _taken(values: Mapping[str, Any]) -> sitk.Image:
    name, dtype = str(values["block"]), np.dtype(str(values["voxels"]))
    size = [int(length) for length in values["size"]]
    try:
        with _untracked():
            block = SharedMemory(name)
    except FileNotFoundError as error:
        raise ValueError(f"The block of shared memory {name} with an image is gone: run the step again.") from error
    try:
        needed = int(np.prod(size, dtype=np.int64)) * dtype.itemsize
        if needed > block.size:
            raise ValueError(
                f"The block of shared memory {name} has {block.size} bytes, not the {needed} of its image."
            )
        image = sitk.GetImageFromArray(np.ndarray(size[::-1], dtype, buffer=block.buf))  # copies
    finally:
        block.close()
    image.SetSpacing([float(value) for value in values["spacing"]])
    image.SetOrigin([float(value) for value in values["origin"]])
    image.SetDirection([float(value) for value in values["direction"]])
    return image


def _unlink(block: SharedMemory) -> None:
    try:
        with _untracked():
            block.unlink()
    except FileNotFoundError:
        return  # the other process was quicker


@contextmanager
def _untracked() -> Iterator[None]:
    """Keep Python's resource tracker out: it would remove a block as soon as one of two processes ends.

    Python 3.13 has a parameter for this. The tracker is also a process of its own, which Slicer's Python, living within
    another program, could not start safely.
    """

    kept = resource_tracker.register, resource_tracker.unregister
    resource_tracker.register = resource_tracker.unregister = lambda *_: None
    try:
        yield
    finally:
        resource_tracker.register, resource_tracker.unregister = kept
