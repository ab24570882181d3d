"""Where the labels of many lesions go: two columns beside the body, in the order of height, none over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Anchor:
    """A lesion that wants a label. ``rank``: lower is more important when there is no room for all."""

    key: int
    x: float
    y: float
    rank: tuple[float, ...] = ()


@dataclass(frozen=True)
class Placement:
    """Where the label of a lesion goes."""

    key: int
    left: bool
    y: float


def place_labels(
    anchors: Sequence[Anchor], center_x: float, low: float, high: float, gap: float
) -> tuple[list[Placement], list[int]]:
    """Give each anchor a place in the left or right column between ``low`` and ``high``.

    Anchors go to the side on which they lie; a side that is full gives those nearest to ``center_x`` to the other.

    Args:
        anchors: Positions in the same units as the other arguments.
        center_x: Where left and right meet.
        low, high: Lowest and highest center of a label.
        gap: Smallest distance between the centers of two labels.

    Returns:
        The placements, and the keys for which there was no room: those with the highest rank.
    """
    room = max(0, int((high - low) / gap + 1e-9) + 1) if high >= low else 0
    ordered = sorted(anchors, key=lambda anchor: (anchor.rank, anchor.key))
    kept, dropped = ordered[: 2 * room], ordered[2 * room :]
    by_x = sorted(kept, key=lambda anchor: (anchor.x, anchor.key))
    on_left = sum(anchor.x < center_x for anchor in by_x)
    on_left = min(max(on_left, len(by_x) - room), room)
    placements = []
    for left, column in ((True, by_x[:on_left]), (False, by_x[on_left:])):
        column = sorted(column, key=lambda anchor: (anchor.y, anchor.key))
        heights = spread([anchor.y for anchor in column], low, high, gap)
        placements += [Placement(anchor.key, left, y) for anchor, y in zip(column, heights, strict=True)]
    return placements, [anchor.key for anchor in dropped]


def spread(wanted: Sequence[float], low: float, high: float, gap: float) -> list[float]:
    """Ascending positions at least ``gap`` apart within ``low`` to ``high``, as near to ``wanted`` as can be.

    Least squares by pooling neighbors that are too close (isotonic regression). ``wanted`` is ascending and fits:
    ``(len(wanted) - 1) * gap <= high - low``, or ``ValueError``.
    """
    count = len(wanted)
    if count == 0:
        return []
    if (count - 1) * gap > (high - low) * (1 + 1e-9) + 1e-9:
        raise ValueError(f"{count} labels of {gap:g} do not fit between {low:g} and {high:g}")
    # Without the gaps the positions only have to be in order; blocks hold their mean and length.
    blocks: list[tuple[float, int]] = []
    for index, position in enumerate(wanted):
        mean, length = position - index * gap, 1
        while blocks and blocks[-1][0] >= mean:
            earlier_mean, earlier_length = blocks.pop()
            mean = (earlier_mean * earlier_length + mean * length) / (earlier_length + length)
            length += earlier_length
        blocks.append((mean, length))
    last = max(low, high - (count - 1) * gap)
    slack = [min(max(mean, low), last) for mean, length in blocks for _ in range(length)]
    return [position + index * gap for index, position in enumerate(slack)]
