"""Parts of a split and sources of a merge that registration left beside their counterpart instead of upon it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import Candidates, CandidateSearch
from .local_shift import MAX_SHIFT_MM, LocalError
from .points import BoolArray, FloatArray

TOUCHING_MM = 1.0  # less than a voxel: no registration is better
MAX_PARTS_TO_WHOLE = 2.0  # volume of all parts together, relative to the whole


@dataclass(frozen=True)
class FragmentRule:
    """What makes a left-over lesion of one study a fragment of a lesion of the other study.

    After registration a fragment should lie inside the outline of the whole, but an error of some millimetres may
    push it out. It is a fragment when

    * it touches the whole (``TOUCHING_MM``) or overlaps it at its estimated place, or at least ``share`` of its
      voxels lie within ``tolerance_mm`` of the whole: not only its near side, so that a separate lesion close by does
      not pass;
    * the whole is linked to another part already; and
    * all parts together have at most ``MAX_PARTS_TO_WHOLE`` times the volume of the whole.

    A new lesion that grows right at the outline of an old one therefore counts as part of it; the confidence of the
    link is low then, and a physician decides.
    """

    tolerance_mm: float
    share: float


def link_fragments(
    search: CandidateSearch,
    candidates: Candidates,
    cost: FloatArray,
    linked: BoolArray,
    error: LocalError,
    rule: FragmentRule,
) -> tuple[BoolArray, BoolArray]:
    """Link lesions that the assignment left over to the lesions that they are parts of.

    Parameters
    ----------
    search, candidates
        The lesions, and the pairs within the gate measured at the shifts of ``error``.
    cost : array, shape (k,)
    linked : boolean array, shape (k,)
        Pairs that are linked already.
    error : LocalError
    rule : FragmentRule

    Returns
    -------
    linked : boolean array, shape (k,)
        All links, those of fragments included.
    fragments : boolean array, shape (k,)
        Those among them that rest on the rule, at most one for each left-over lesion.
    """
    weak = _weak(candidates, cost, linked)
    fragments = _find(search, candidates, linked & ~weak, error, rule)
    replaced = np.isin(candidates.baseline, candidates.baseline[fragments])
    replaced |= np.isin(candidates.followup, candidates.followup[fragments])
    return (linked & ~(weak & replaced)) | fragments, fragments


def _weak(candidates: Candidates, cost: FloatArray, linked: BoolArray) -> BoolArray:
    """Links across a gap although one of the lesions touches another lesion at less cost.

    The assignment makes as many pairs as it can and so gives the second source of a merged lesion to whatever else is
    near, a new lesion for instance.
    """
    touching = ~linked & (candidates.gap_mm <= TOUCHING_MM)
    weak = np.zeros_like(linked)
    for lesion in (candidates.baseline, candidates.followup):
        cheapest = np.full(lesion.max(initial=0) + 1, np.inf)
        np.minimum.at(cheapest, lesion[touching], cost[touching])
        weak |= linked & (candidates.gap_mm > TOUCHING_MM) & (cheapest[lesion] < cost)
    return weak


def _find(
    search: CandidateSearch, candidates: Candidates, linked: BoolArray, error: LocalError, rule: FragmentRule
) -> BoolArray:
    """Pairs of a left-over lesion with the lesion that it is a part of by the rule."""
    added = np.zeros_like(linked)
    for of_baseline in (False, True):
        part, whole = candidates.followup, candidates.baseline
        if of_baseline:
            part, whole = whole, part
        left_over = ~np.isin(part, part[linked])
        best: dict[int, tuple[float, int]] = {}
        for k in np.flatnonzero(left_over):
            siblings = part[linked & (whole == whole[k])].tolist()
            place = _Place(search, int(whole[k]), [int(part[k]), *siblings], of_baseline)
            if not siblings or place.volume_ratio > MAX_PARTS_TO_WHOLE:
                continue
            if candidates.gap_mm[k] <= TOUCHING_MM:
                covered = 1.0 + candidates.overlap[k]
            else:
                covered = place.covered(int(part[k]), error, rule.tolerance_mm)
            if covered >= rule.share and covered > best.get(int(part[k]), (0.0, 0))[0]:
                best[int(part[k])] = (covered, int(k))
        added[[k for _, k in best.values()]] = True
    return added


@dataclass(frozen=True)
class _Place:
    """A supposed whole and its parts; ``of_baseline`` says that the parts are baseline lesions."""

    search: CandidateSearch
    whole: int
    parts: list[int]
    of_baseline: bool

    @property
    def volumes_ml(self) -> FloatArray:
        lesions = self.search.baseline if self.of_baseline else self.search.followup
        return np.array([lesions[part].volume_ml for part in self.parts])

    @property
    def volume_ratio(self) -> float:
        wholes = self.search.followup if self.of_baseline else self.search.baseline
        return float(self.volumes_ml.sum() / wholes[self.whole].volume_ml)

    def covered(self, part: int, error: LocalError, tolerance_mm: float) -> float:
        """Share of one part that lies within the tolerance of the whole.

        The whole is placed where the votes of its neighbors put it and, as far as none vote (1 - support), where its
        centroid meets that of its parts.
        """
        baseline, followup = (part, self.whole) if self.of_baseline else (self.whole, part)
        meeting = self._meeting_shift()
        trust = error.support[baseline]
        shift = trust * error.shifts_mm[baseline] + (1.0 - trust) * meeting
        return self.search.covered(baseline, followup, shift, tolerance_mm, self.of_baseline)

    def _meeting_shift(self) -> FloatArray:
        """Shift of the baseline side that brings the centroids of the whole and of all parts together."""
        part_centroids = self.search.centroids if self.of_baseline else self.search.followup_centroids
        whole_centroids = self.search.followup_centroids if self.of_baseline else self.search.centroids
        middle = self.volumes_ml @ part_centroids[self.parts] / self.volumes_ml.sum()
        shift = whole_centroids[self.whole] - middle if self.of_baseline else middle - whole_centroids[self.whole]
        limited: FloatArray = shift * min(1.0, MAX_SHIFT_MM / max(float(np.linalg.norm(shift)), 1e-9))
        return limited
