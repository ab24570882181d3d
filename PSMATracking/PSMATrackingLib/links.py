"""Links between lesions of two studies: their kinds, and which of them carries a track on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

TIE_BREAK = 1e-4  # of the largest volume: between equal ones the overlap decides


@dataclass(frozen=True)
class Link:
    """One edge between a lesion of the baseline study and a lesion of the follow-up study.

    ``kind`` is that of the group of lesions that hang together by links: "one-to-one", "split" (one to several),
    "merge" (several to one) or "complex" (several to several). ``overlap`` is relative to the smaller lesion, 0 to 1,
    after the local shift; so is ``gap_mm``. ``confidence`` runs from 0 to 1. ``primary`` marks the edge on which the
    track goes on: at most one per lesion on either side.
    """

    baseline: int
    followup: int
    kind: str
    gap_mm: float
    overlap: float
    confidence: float
    reason: str
    primary: bool


def classify(links: Sequence[Link], baseline_ml: Mapping[int, float], followup_ml: Mapping[int, float]) -> list[Link]:
    """Set the kind and the primary mark of links from the whole set of them.

    To be called again whenever a link is added or taken away, by a physician for instance. In each group as many tracks
    as possible go on, along the edges between the largest lesions: a split goes on in its largest part, and a merged
    lesion carries the track of its largest source.

    Parameters
    ----------
    links : sequence of Link
        Each pair of lesions at most once.
    baseline_ml, followup_ml : mapping of int to float
        Volume in mL of every linked lesion, by lesion number.

    Returns
    -------
    list of Link, ordered by baseline lesion and follow-up lesion.

    Raises
    ------
    ValueError
        When a pair occurs twice, or a linked lesion has no volume.
    """
    ordered = _ordered(links)
    pairs = [(link.baseline, link.followup) for link in ordered]
    if len(set(pairs)) < len(pairs):
        twice = next(pair for pair in pairs if pairs.count(pair) > 1)
        raise ValueError(f"lesions {twice[0]} and {twice[1]} are linked twice; give each pair of lesions once")
    for side, numbers, volumes in (
        ("baseline", {link.baseline for link in ordered}, baseline_ml),
        ("follow-up", {link.followup for link in ordered}, followup_ml),
    ):
        unknown = sorted(numbers - set(volumes))
        if unknown:
            raise ValueError(f"a link names {side} lesion {unknown[0]}, which the study does not have")

    primary = _primary_pairs(ordered, baseline_ml, followup_ml)
    return _ordered(
        replace(link, kind=kind, primary=(link.baseline, link.followup) in primary)
        for link, kind in _with_kinds(ordered)
    )


def without(links: Sequence[Link], cut: Collection[tuple[int, int]]) -> list[Link]:
    """Classified links less those of some pairs; kinds are set anew, and tracks go on along what is left.

    Primary marks stay where they are. A lesion that loses its primary link to a cut passes the mark on to the link
    with the most overlap whose other lesion has none either.
    """
    kept = [replace(link, kind=kind) for link, kind in _with_kinds(
        [link for link in links if (link.baseline, link.followup) not in cut])]  # fmt: skip
    marked = {link: link.primary for link in kept}
    taken = ({link.baseline for link in kept if link.primary}, {link.followup for link in kept if link.primary})
    for link in sorted(kept, key=lambda one: (-one.overlap, one.gap_mm, one.baseline, one.followup)):
        if link.baseline not in taken[0] and link.followup not in taken[1]:
            marked[link] = True
            taken[0].add(link.baseline)
            taken[1].add(link.followup)
    return _ordered(replace(link, primary=primary) for link, primary in marked.items())


def group_links(links: Sequence[Link]) -> list[list[Link]]:
    """The links in groups: two are in one group when they share a lesion, directly or through others."""
    groups: dict[int, list[Link]] = {}
    for link, group in zip(links, _groups([(link.baseline, link.followup) for link in links]), strict=True):
        groups.setdefault(group, []).append(link)
    return list(groups.values())


def _with_kinds(links: Sequence[Link]) -> list[tuple[Link, str]]:
    return [
        (link, _kind([(one.baseline, one.followup) for one in members]))
        for members in group_links(links)
        for link in members
    ]


def _ordered(links: Iterable[Link]) -> list[Link]:
    return sorted(links, key=lambda link: (link.baseline, link.followup))


def _primary_pairs(
    links: Sequence[Link], baseline_ml: Mapping[int, float], followup_ml: Mapping[int, float]
) -> set[tuple[int, int]]:
    """As many pairs as possible without using a lesion twice; among those the ones with the largest lesions."""
    if not links:
        return set()
    baseline, row = np.unique([link.baseline for link in links], return_inverse=True)
    followup, column = np.unique([link.followup for link in links], return_inverse=True)
    size = np.array([min(baseline_ml[link.baseline], followup_ml[link.followup]) for link in links])
    preference = size / size.max() + TIE_BREAK * np.array([link.overlap - link.gap_mm / 1000.0 for link in links])
    gain = np.zeros((len(baseline), len(followup)))
    gain[row, column] = 10.0 * len(links) + preference
    chosen = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    return {(int(baseline[i]), int(followup[j])) for i, j in chosen if gain[i, j] > 0}


def _groups(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Number of the connected group of each pair."""
    if not pairs:
        return []
    first = np.unique([pair[0] for pair in pairs], return_inverse=True)[1]
    second = np.unique([pair[1] for pair in pairs], return_inverse=True)[1] + first.max() + 1
    size = int(second.max()) + 1
    _, group = connected_components(
        coo_matrix((np.ones(len(pairs)), (first, second)), shape=(size, size)), directed=False
    )
    return [int(group[i]) for i in first]


def _kind(pairs: Sequence[tuple[int, int]]) -> str:
    several_baseline = len({pair[0] for pair in pairs}) > 1
    several_followup = len({pair[1] for pair in pairs}) > 1
    if several_baseline and several_followup:
        return "complex"
    if several_followup:
        return "split"
    return "merge" if several_baseline else "one-to-one"
