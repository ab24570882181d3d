"""What every network on whole studies has in common: how it is asked, and what its method hands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

Triple = tuple[int, int, int]
Values = npt.NDArray[np.float32]

FULL_PROBABILITY = 200
"""Probabilities are stored as 0 to 200 (steps of 0.5 %) in a uint8 image: 1 byte a voxel, and 50 % is a value."""


class Runner(Protocol):
    """A network ready to be asked for windows of one size.

    ``patch`` is that size (z, y, x in voxels), ``classes`` the number of logits per voxel.
    """

    @property
    def patch(self) -> Triple: ...

    @property
    def classes(self) -> int: ...

    @property
    def engine(self) -> str:
        """What computes it, such as "OpenVINO"."""
        ...

    @property
    def precision(self) -> str:
        """Numbers it computes with, such as "float32"."""
        ...

    def __call__(self, windows: Values) -> Values:
        """Logits (n, classes, z, y, x) of windows (n, channels, z, y, x), both float32.

        Raises RuntimeError where the network fails, MemoryError where the memory of its device is not enough.
        """
        ...


class ClassMeaning(Protocol):
    """What the labels of a model stand for; ``class_map.ClassMap`` is one."""

    @property
    def lesion(self) -> tuple[int, ...]: ...

    @property
    def physiological(self) -> Mapping[int, str]: ...


@dataclass(frozen=True)
class RawResult:
    """What a network says of a study before the common finish; every image lies on the emission grid.

    ``lesion`` (uint8) is 1 in lesions. ``probability`` (uint8, 0 to 200, steps of 0.5 %) is that of lesion, where the
    network gives one. ``physiology`` (uint8) holds the labels of ``names``, such as {3: "liver"}, where the network
    knows organs. ``provenance`` can be written as JSON and says how the result came to be.
    """

    lesion: sitk.Image
    probability: sitk.Image | None = None
    physiology: sitk.Image | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    finish: Mapping[str, float] = field(default_factory=dict)


def seconds_of(total: float, prepare: float, labels: float) -> dict[str, float]:
    """Seconds of a study's steps for its provenance; the network has what its input and labels did not take."""
    return {"prepare": round(prepare, 2), "network": round(total - prepare - labels, 2), "labels": round(labels, 2)}


class AveragedRunner:
    """Several networks asked the same; their logits are averaged.

    Windows are averages with the same weights for every network, so averaging in each window gives what averaging whole
    volumes would, without a volume per network.
    """

    def __init__(self, runners: Sequence[Runner]) -> None:
        if not runners or len({(runner.patch, runner.classes) for runner in runners}) != 1:
            raise ValueError("Networks that are averaged must want the same windows and give the same classes.")
        self._runners = tuple(runners)
        self.patch: Triple = runners[0].patch
        self.classes: int = runners[0].classes
        self.engine: str = runners[0].engine
        self.precision: str = runners[0].precision

    def __call__(self, windows: Values) -> Values:
        """Mean logits (n, classes, z, y, x)."""
        total = self._runners[0](windows)
        if len(self._runners) > 1:
            total = total.copy()
            for runner in self._runners[1:]:
                total += runner(windows)
            total /= np.float32(len(self._runners))
        return total
