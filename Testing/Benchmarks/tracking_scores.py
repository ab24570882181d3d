"""Links and statuses that were found, against those to be found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from PSMASegmentLib.phantom.course_truth import TrueTrack
from PSMATrackingLib.tracks import Track

Edges = Collection[tuple[int, int]]


@dataclass
class Score:
    """Counts of one method on one or several men.

    A link between two lesions that are both no planted ones counts neither way. ``new_*`` are follow-up lesions called
    new; a merge or split counts as found where all its links and no others of its lesions were found.
    """

    right: int = 0
    wrong: int = 0
    missed: int = 0
    statuses: int = 0
    statuses_right: int = 0
    new_right: int = 0
    new_wrong: int = 0
    new_missed: int = 0
    merges: int = 0
    merges_found: int = 0
    splits: int = 0
    splits_found: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Add the counts of another score."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def f1(self) -> float:
        """F1 of the links; 1 where there was nothing to find and nothing was found."""
        total = 2 * self.right + self.wrong + self.missed
        return 2.0 * self.right / total if total else 1.0

    @property
    def precision(self) -> float:
        """Share of the links that are right."""
        return share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the true links that were found."""
        return share(self.right, self.right + self.missed)

    @property
    def status_accuracy(self) -> float:
        """Share of statuses that are right."""
        return share(self.statuses_right, self.statuses)

    @property
    def new_ppv(self) -> float:
        """Share of the lesions called new that are."""
        return share(self.new_right, self.new_right + self.new_wrong)

    @property
    def new_sensitivity(self) -> float:
        """Share of the new lesions that were called new."""
        return share(self.new_right, self.new_right + self.new_missed)


def share(part: int, whole: int) -> float:
    """The share, 1 of nothing."""
    return part / whole if whole else 1.0


def score_links(
    score: Score, visits: tuple[int, int], true: Edges, found: Edges, planted: tuple[Collection[int], Collection[int]]
) -> None:
    """Count the links of one pair of visits; ``planted`` are the lesions of either visit that hold a planted one."""
    true, found = set(true), set(found)
    judged = {(a, b) for a, b in found if a in planted[0] or b in planted[1]}
    score.right += len(true & judged)
    score.wrong += len(judged - true)
    score.missed += len(true - judged)
    where = f"visits {visits[0]} to {visits[1]}"
    score.notes += [f"{where}: link {a} to {b} is wrong" for a, b in sorted(judged - true)]
    score.notes += [f"{where}: link {a} to {b} is missing" for a, b in sorted(true - judged)]
    for side in (0, 1):
        groups = _groups(true, side)
        whole = sum(_links_at(true, own, side) == _links_at(judged, own, side) for own in groups)
        if side:
            score.merges += len(groups)
            score.merges_found += whole
        else:
            score.splits += len(groups)
            score.splits_found += whole


def _groups(edges: Edges, side: int) -> list[int]:
    """Lesions of one side with several links."""
    ends = [edge[side] for edge in edges]
    return sorted({end for end in ends if ends.count(end) > 1})


def _links_at(edges: Edges, lesion: int, side: int) -> set[tuple[int, int]]:
    return {edge for edge in edges if edge[side] == lesion}


def score_statuses(
    score: Score, true: Sequence[TrueTrack], found: Sequence[Track], planted: Sequence[Mapping[int, object]]
) -> None:
    """Compare statuses lesion by lesion: where a lesion is, and what becomes of it where it is not.

    The first visit is left out: everything is the baseline there.
    """
    track_of = {(visit, lesion): track for track in found for visit, lesion in track.lesions.items()}
    for track in true:
        for visit, status in track.status.items():
            home = visit if visit in track.lesions else max((v for v in track.lesions if v < visit), default=-1)
            if visit == 0 or home < 0 or not planted[home].get(track.lesions[home]):
                continue
            seen = track_of.get((home, track.lesions[home]))
            told = seen.status.get(visit, "none") if seen is not None else "no track"
            score.statuses += 1
            score.statuses_right += told == status
            if told != status:
                what = f"lesion {track.lesions[home]} of visit {home}"
                score.notes.append(f"visit {visit}: {what} is {status}, and came out as {told}")
            if visit in track.lesions:
                score.new_right += told == status == "new"
                score.new_wrong += told == "new" != status
                score.new_missed += status == "new" != told
