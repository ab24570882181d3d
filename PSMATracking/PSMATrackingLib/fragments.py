"""Parts of a split and sources of a merge that registration left beside their counterpart instead of upon it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import Candidates, CandidateSearch
from .local_shift import MAX_SHIFT_MM, LocalError
from .points import BoolArray, FloatArray

TOUCHING_MM = 1.0  # less than a voxel: no registration is better
MAX_PARTS_TO_WHOLE = 2.0  # volume of all parts together, relative to the whole
# Where another part lies well upon the whole (this share of the smaller), one that hardly overlaps it must be missing
# in it: by so many times its volume the whole is larger than the other parts. What is less than the last share of the
# whole is lost in the uncertainty of its volume. All three as they told merged from vanished lesions of synthetic men.
WELL_UPON, MISSING_VOLUMES, LEAST_SHARE_OF_WHOLE = 0.6, 2.0, 0.05


@dataclass(frozen=True)
class FragmentRule:
    """What makes a left-over lesion of one study a fragment of a lesion of the other study.

    After registration a fragment should lie inside the outline of the whole, but an error of some millimetres may
    push it out. It is a fragment when

    * it touches the whole (``TOUCHING_MM``) or overlaps it at its estimated place, or at least ``share`` of its
      voxels lie within ``tolerance_mm`` of the whole: not only its near side, so that a separate lesion close by does
      not pass;
    * the whole is linked to another part already; and
    * all parts together have at most ``MAX_PARTS_TO_WHOLE`` times the volume of the whole; or, where one of them lies
      well upon it (``WELL_UPON``), the volume of this one is missing in the whole: that is larger than its other parts
      by ``MISSING_VOLUMES`` times the part, and proportionally less where the part overlaps it (by nothing at
      ``kept_overlap``). A part of less than ``LEAST_SHARE_OF_WHOLE`` must overlap the whole by half of that.

    Without the last condition a lesion that vanished beside one that stays would be taken for merged with it. A new
    lesion right at the outline of an old one that shrank counts as part of it all the same; the confidence of the link
    is low then, and a physician decides.
    """

    tolerance_mm: float
    share: float
    kept_overlap: float


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
    touching = ~linked & (candidates.gap_mm <= TOUCHING_MM)
    weak = linked & (candidates.gap_mm > TOUCHING_MM) & beside_taken(candidates, cost, touching)
    fragments = _find(search, candidates, linked & ~weak, error, rule)
    replaced = np.isin(candidates.baseline, candidates.baseline[fragments])
    replaced |= np.isin(candidates.followup, candidates.followup[fragments])
    return (linked & ~(weak & replaced)) | fragments, fragments


def beside_taken(candidates: Candidates, cost: FloatArray, taken: BoolArray) -> BoolArray:
    """Pairs one of whose lesions is in one of the ``taken`` pairs at less cost.

    The assignment makes as many pairs as it can and so gives the second source of a merged lesion to whatever else is
    near, a new lesion for instance. Shape (k,) in and out.
    """
    beside = np.zeros_like(taken)
    for lesion in (candidates.baseline, candidates.followup):
        cheapest = np.full(lesion.max(initial=0) + 1, np.inf)
        np.minimum.at(cheapest, lesion[taken], cost[taken])
        beside |= ~taken & (cheapest[lesion] < cost)
    return beside


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
            beside = linked & (whole == whole[k])
            siblings = part[beside].tolist()
            place = _Place(search, int(whole[k]), [int(part[k]), *siblings], of_baseline)
            upon = candidates.overlap[beside].max(initial=0.0) >= WELL_UPON
            if not siblings or not place.has_room(candidates.overlap[k] / rule.kept_overlap, upon):
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

    def has_room(self, overlap: float, other_upon: bool) -> bool:
        """Whether the whole has room for the first of the parts.

        ``overlap`` of that part is relative to ``kept_overlap``; ``other_upon``: another part lies well upon the whole.
        """
        wholes = self.search.followup if self.of_baseline else self.search.baseline
        whole_ml, (part_ml, *others_ml) = wholes[self.whole].volume_ml, self.volumes_ml
        if part_ml < LEAST_SHARE_OF_WHOLE * whole_ml:
            return overlap >= 0.5
        if not other_upon:
            return bool(part_ml + sum(others_ml) <= MAX_PARTS_TO_WHOLE * whole_ml)
        return bool(whole_ml - sum(others_ml) >= MISSING_VOLUMES * (1.0 - overlap) * part_ml)

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
