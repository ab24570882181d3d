"""Lesions of several studies joined into tracks, one for each lesion that is followed.

What a status says about a track at one study, always against the latest earlier study in which its place was imaged:

baseline
    The lesion is in the first study that imaged its place: study 0, or a later one when no earlier study reached there.
persistent
    The lesion goes on. This includes the largest part of a split and the result of a merge, which keep their track.
new
    A lesion where earlier studies, which imaged the place, had none.
gone
    No lesion any more, although the place was imaged. Repeated at every later study until it reappears.
merged
    The lesion is now part of another one, which carries on the other's track; this track ends here.
split
    The first lesion of a track that broke off from another; ``parents`` names that one.
reappeared
    The lesion is back after at least one study in which it was gone.
complex
    Part of a group of several lesions that turned into several others, so that which one goes on as which is a guess.
not imaged
    No lesion is known because the study did not image the place. Also set before a track's first lesion.

A study at which a track has no status lies before its first lesion or after its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .links import Link
from .matching import Matching

STATUSES = ("baseline", "persistent", "new", "gone", "merged", "split", "reappeared", "not imaged", "complex")


@dataclass(frozen=True)
class Track:
    """One lesion followed through the studies.

    Attributes
    ----------
    number : int
        From 1, in the order of first appearance: by study, then by lesion number.
    lesions : dict of int to int
        Study index to lesion number; at most one lesion per study.
    status : dict of int to str
        Study index to one of ``STATUSES``.
    parents : list of int
        Tracks that it split from or that merged into it, in ascending order.
    parents_since : dict of int to int
        For each parent the study index from which on it is one: a track that merges into this one at study 3 says
        nothing about whether this one was new at study 2.
    """

    number: int
    lesions: dict[int, int]
    status: dict[int, str]
    parents: list[int]
    parents_since: dict[int, int] = field(default_factory=dict)


@dataclass
class _Thread:
    """A track while it is being built."""

    lesions: dict[int, int] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    parents_since: dict[int, int] = field(default_factory=dict)
    ended: bool = False

    @property
    def last_study(self) -> int:
        return max(self.lesions)

    def add_parent(self, thread: int, study: int) -> None:
        self.parents_since.setdefault(thread, study)


def build_tracks(lesions: Sequence[Sequence[int]], matchings: Mapping[tuple[int, int], Matching]) -> list[Track]:
    """Join the lesions of studies into tracks.

    Each lesion is looked for in the previous study first, then, if it has no link there, in the one before that and
    so on as far as matchings are given. Primary links carry a track on; a lesion that is linked otherwise starts a
    track of its own.

    Parameters
    ----------
    lesions : sequence of sequences of int
        Lesion numbers of each study, studies in the order of their dates.
    matchings : mapping of (int, int) to Matching
        By the indices of the earlier and the later study. Those of consecutive studies are needed; those of studies
        further apart are what makes lesions reappear.

    Returns
    -------
    list of Track, by ascending number.

    Raises
    ------
    ValueError
        When the matching of consecutive studies is missing, a pair of indices is impossible, a link names a lesion
        that its study does not have, or a lesion has two primary links to one study.
    """
    _check(lesions, matchings)
    builder = _Builder(lesions, matchings)
    for study in range(len(lesions)):
        builder.add_study(study)
    return builder.tracks()


def new_since(tracks: Sequence[Track], baseline_index: int, study_index: int) -> list[int]:
    """Lesions of a study that are new against a baseline study: none of their track's ancestry was there.

    The ancestry is the track itself with its parents, and theirs, as far as they had split from or merged into it by
    that study. A lesion whose place the baseline study did not image is not counted: it cannot be known to be new.

    Parameters
    ----------
    tracks : sequence of Track
    baseline_index, study_index : int
        Indices of the two studies, baseline first.

    Returns
    -------
    list of int, lesion numbers of the study, ascending.
    """
    by_number = {track.number: track for track in tracks}
    found = []
    for track in tracks:
        if study_index not in track.lesions:
            continue
        ancestry = _ancestry(track, by_number, study_index)
        known = any(baseline_index in member.lesions for member in ancestry)
        unseen = any(member.status.get(baseline_index) == "not imaged" for member in ancestry)
        if not known and not unseen:
            found.append(track.lesions[study_index])
    return sorted(found)


def _ancestry(track: Track, by_number: Mapping[int, Track], study: int) -> list[Track]:
    """The track and all its parents, transitively, up to a study."""
    reached = {track.number}
    waiting = [track.number]
    while waiting:
        member = by_number[waiting.pop()]
        for parent in member.parents:
            if parent not in reached and member.parents_since.get(parent, 0) <= study:
                reached.add(parent)
                waiting.append(parent)
    return [by_number[number] for number in sorted(reached)]


class _Builder:
    """Grows tracks study by study. Threads come into being in the order of the track numbers."""

    def __init__(self, lesions: Sequence[Sequence[int]], matchings: Mapping[tuple[int, int], Matching]) -> None:
        self._lesions = lesions
        self._matchings = matchings
        self._threads: list[_Thread] = []
        self._thread_of: dict[tuple[int, int], int] = {}  # (study, lesion) -> index of its thread

    def tracks(self) -> list[Track]:
        """The finished tracks."""
        return [
            Track(
                number=index + 1,
                lesions=thread.lesions,
                status=dict(sorted(thread.status.items())),
                parents=sorted(parent + 1 for parent in thread.parents_since),
                parents_since={parent + 1: study for parent, study in sorted(thread.parents_since.items())},
            )
            for index, thread in enumerate(self._threads)
        ]

    def add_study(self, study: int) -> None:
        """Continue, start and end tracks at one study."""
        links = {lesion: self._links_back(study, lesion) for lesion in sorted(self._lesions[study])}
        # Tracks that go on first: only then is it known which are free to be taken up again from an earlier study.
        for earlier in range(study - 1, -1, -1):
            for lesion, (found_in, back) in links.items():
                if found_in == earlier:
                    self._continue(study, lesion, earlier, back)
        for lesion, (_, back) in links.items():
            if (study, lesion) not in self._thread_of:
                self._start(study, lesion, back)
        for lesion, (earlier, back) in links.items():
            self._join(study, lesion, earlier, back)
        self._note_absent(study)

    def _links_back(self, study: int, lesion: int) -> tuple[int, list[Link]]:
        """The latest earlier study with links to this lesion, and these; (-1, []) when there is none."""
        for earlier in range(study - 1, -1, -1):
            matching = self._matchings.get((earlier, study))
            links = [link for link in matching.links if link.followup == lesion] if matching else []
            if links:
                return earlier, links
        return -1, []

    def _continue(self, study: int, lesion: int, earlier: int, back: list[Link]) -> None:
        """Let the lesion take on the track of its primary link, if that track is free at this study."""
        for link in back:
            index = self._thread_of[earlier, link.baseline]
            thread = self._threads[index]
            if not link.primary or thread.ended or study in thread.lesions:
                continue
            since = range(thread.last_study + 1, study)
            status = "reappeared" if any(thread.status.get(between) == "gone" for between in since) else "persistent"
            self._place(study, lesion, index, "complex" if link.kind == "complex" else status)

    def _start(self, study: int, lesion: int, back: list[Link]) -> None:
        """Start a track for a lesion that carries on none."""
        index = len(self._threads)
        thread = _Thread()
        self._threads.append(thread)
        unseen = [other for other in range(study) if not self._place_imaged(other, study, lesion)]
        if back:
            status = "complex" if any(link.kind == "complex" for link in back) else "split"
        else:
            thread.status.update(dict.fromkeys(unseen, "not imaged"))
            status = "baseline" if len(unseen) == study else "new"
        self._place(study, lesion, index, status)

    def _place(self, study: int, lesion: int, index: int, status: str) -> None:
        self._threads[index].lesions[study] = lesion
        self._threads[index].status[study] = status
        self._thread_of[study, lesion] = index

    def _place_imaged(self, earlier: int, study: int, lesion: int) -> bool:
        """Whether an earlier study imaged the place of a lesion; if they were not matched, the next study answers."""
        matching = next(
            self._matchings[pair, study] for pair in range(earlier, study) if (pair, study) in self._matchings
        )
        return lesion not in matching.not_imaged_followup

    def _join(self, study: int, lesion: int, earlier: int, back: list[Link]) -> None:
        """Note the other tracks that went into this lesion, and end those that have no lesion of their own any more."""
        into = self._thread_of[study, lesion]
        for link in back:
            index = self._thread_of[earlier, link.baseline]
            thread = self._threads[index]
            if index == into:
                continue
            self._threads[into].add_parent(index, study)
            if not thread.ended and study not in thread.lesions:
                thread.ended = True
                thread.status[study] = "merged"

    def _note_absent(self, study: int) -> None:
        """Give tracks without a lesion at this study their status."""
        for thread in self._threads:
            if thread.ended or study in thread.lesions:
                continue
            last = thread.last_study
            matching = self._matchings.get((last, study))
            if matching is None:
                thread.status[study] = thread.status[study - 1]
            elif thread.lesions[last] in matching.not_imaged_baseline:
                thread.status[study] = "not imaged"
            else:
                thread.status[study] = "gone"


def _check(lesions: Sequence[Sequence[int]], matchings: Mapping[tuple[int, int], Matching]) -> None:
    for study in range(1, len(lesions)):
        if (study - 1, study) not in matchings:
            raise ValueError(
                f"studies {study - 1} and {study} follow each other but were not matched; match them first"
            )
    for (first, second), matching in matchings.items():
        if not 0 <= first < second < len(lesions):
            raise ValueError(
                f"there is a matching of studies {first} and {second}, but of {len(lesions)} studies only earlier with "
                "later ones can be matched"
            )
        known = (set(lesions[first]), set(lesions[second]))
        primary: tuple[set[int], set[int]] = (set(), set())
        for link in matching.links:
            for side, study, lesion in ((0, first, link.baseline), (1, second, link.followup)):
                if lesion not in known[side]:
                    raise ValueError(
                        f"a link of studies {first} and {second} names lesion {lesion}, which is not in study {study}; "
                        "match the studies again after their lesions have changed"
                    )
                if link.primary and lesion in primary[side]:
                    raise ValueError(
                        f"lesion {lesion} of study {study} has two primary links between studies {first} and {second}; "
                        "classify the links again after editing them"
                    )
                if link.primary:
                    primary[side].add(lesion)
