"""Random numbers by counting: the same noise from NumPy and from torch, on the CPU and on a GPU.

Generators of NumPy and torch give different numbers for one seed, and torch's differ between devices. Here the numbers
of a voxel are a hash of its index and the seed (Philox4x32, Salmon et al. 2011, doi 10.1145/2063384.2063405), so that
they depend on neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, tau
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOW = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 7  # the fewest with which Philox4x32 passes all tests of BigCrush, by the paper
_CHUNK = 2**15  # counters at a time on a CPU, so that they stay in its cache

Seed = int | Sequence[int]


@dataclass(frozen=True)
class Arrays:
    """One kind of arrays: its module (``numpy`` or ``torch``) and the device they lie on, as the module names it."""

    xp: Any
    device: str

    @property
    def is_gpu(self) -> bool:
        """Whether the arrays lie on a GPU."""
        return self.device.startswith("cuda")

    def of(self, values: Any, dtype: Any) -> Any:
        """A copy of numbers as an array of this kind."""
        return self.xp.asarray(values, dtype=dtype, device=self.device, copy=True)

    def host(self, array: Any) -> NDArray:
        """An array of this kind as one of NumPy; it may share its memory."""
        return np.asarray(array if self.xp is np else array.cpu().numpy())


def arrays_on(device: str | None) -> Arrays:
    """NumPy for None, else torch on "cpu", "cuda" or "cuda:1".

    Raises ImportError without torch, ValueError for a device that is not there.
    """
    if device is None:
        return Arrays(np, "cpu")
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f'Painting on the device "{device}" needs torch: pip install "torch>=2.4", or leave the device out.'
        ) from error
    from ..inference.device import choose_device

    return Arrays(torch, choose_device(device).name)


def normals(arrays: Arrays, shape: Sequence[int], seed: Seed, stream: int = 0) -> Any:
    """Independent normal numbers (float32, mean 0, variance 1) of a shape.

    ``seed`` is a number of 0 or more, or several; streams 0, 1, ... of one seed are independent of each other. Equal
    arguments give equal numbers up to the rounding of logarithm, sine and cosine. None is beyond 5.9.
    """
    xp, size = arrays.xp, prod(shape)
    count = -(-size // 4)
    out = xp.empty((4, count), dtype=xp.float32, device=arrays.device)
    key = [int(word) for word in np.random.SeedSequence(seed).generate_state(2, np.uint32)]
    step = max(count, 1) if arrays.is_gpu else _CHUNK
    for start in range(0, count, step):
        index = xp.arange(start, min(start + step, count), dtype=xp.int64, device=arrays.device)
        words = philox([index & _LOW, index >> 32, xp.full_like(index, stream), xp.zeros_like(index)], key)
        for row in (0, 2):
            _box_muller(xp, words[row], words[row + 1], out[row : row + 2, start : start + step])
    return out.reshape(-1)[:size].reshape(tuple(shape))


def philox(counter: Sequence[Any], key: Sequence[int], rounds: int = _ROUNDS) -> list[Any]:
    """Four arrays of random 32-bit words from four arrays of counter words and two key words.

    Words are held in int64: NumPy and torch both have its arithmetic on every device, and the high half of a product
    of two 32-bit words is right although the product wraps around.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = second >> 32, first >> 32
        c0 ^= c1
        c0 ^= k0
        c0 &= _LOW
        c2 ^= c3
        c2 ^= k1
        c2 &= _LOW
        second &= _LOW
        first &= _LOW
        c1, c3 = second, first
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return [c0, c1, c2, c3]


def _box_muller(xp: Any, first: Any, second: Any, out: Any) -> None:
    """Two normal numbers of each pair of words; 24 bits of a word are what float32 holds."""
    radius = xp.asarray(first >> 8, dtype=xp.float32)
    radius += 0.5  # never 0, whose logarithm there is none of
    radius *= 2.0**-24
    radius = xp.sqrt(xp.log(radius) * -2.0)
    angle = xp.asarray(second >> 8, dtype=xp.float32)
    angle *= tau * 2.0**-24
    out[0] = radius * xp.cos(angle)
    out[1] = radius * xp.sin(angle)
