"""A click of a reader, and what it does to the lesions of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Index = tuple[int, int, int]
Labels = npt.NDArray[np.uint16]
# "satisfied": what the click asks for is so already; "refused": it cannot be done, and the message says why.
Outcome = Literal["new", "grown", "shrunk", "removed", "satisfied", "refused"]


def _nothing() -> Labels:
    return np.zeros((0, 0, 0), np.uint16)


@dataclass(frozen=True)
class Click:
    """A point (voxel index z, y, x) that a reader says is lesion (``positive``) or not.

    ``insist``: also where uptake is taken for physiological.
    """

    index_zyx: Index
    positive: bool = True
    insist: bool = False


@dataclass(frozen=True, eq=False)
class ClickResult:
    """What a click does: labels of a box (z, y, x; uint16) before and after, of size 0 where nothing changes.

    ``lesion`` is the lesion that the click is about, 0 for none. ``message`` is for the status line. ``threshold_suv``
    is the SUVbw that bounds the lesion and ``threshold_range`` the lowest and highest that it can be dragged to; None
    where no threshold decided.
    """

    outcome: Outcome
    lesion: int
    message: str
    start_zyx: Index = (0, 0, 0)
    before: Labels = field(default_factory=_nothing)
    after: Labels = field(default_factory=_nothing)
    threshold_suv: float | None = None
    threshold_range: tuple[float, float] | None = None

    @property
    def changes(self) -> bool:
        """Whether any voxel gets another label."""
        return bool((self.before != self.after).any())
