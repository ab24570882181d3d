"""From masks in a crop to the result of a click."""

from __future__ import annotations

import numpy as np

from PSMASegmentLib.clicks.click import ClickResult, Index, Labels, Outcome
from PSMASegmentLib.clicks.crop import tight


def refused(message: str, lesion: int = 0) -> ClickResult:
    """The result of a click that cannot be done; ``message`` says why and what to do."""
    return ClickResult("refused", lesion, message)


def satisfied(message: str, lesion: int = 0) -> ClickResult:
    """The result of a click that asks for what is so already."""
    return ClickResult("satisfied", lesion, message)


def changed(
    outcome: Outcome,
    lesion: int,
    message: str,
    start: Index,
    before: Labels,
    after: Labels,
    threshold_suv: float | None = None,
    threshold_range: tuple[float, float] | None = None,
) -> ClickResult:
    """The result with the labels cropped to what differs; ``start`` is the index of the first voxel of both arrays.

    Raises ValueError where nothing differs: that is no change.
    """
    differs = before != after
    if not differs.any():
        raise ValueError("A click that changes nothing has no box of changes.")
    box = tight(differs)
    z, y, x = (low + part.start for low, part in zip(start, box, strict=True))
    return ClickResult(
        outcome,
        lesion,
        message,
        (z, y, x),
        np.ascontiguousarray(before[box], dtype=np.uint16),
        np.ascontiguousarray(after[box], dtype=np.uint16),
        threshold_suv,
        threshold_range,
    )
