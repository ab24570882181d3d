"""Tracks grown study by study from the links between the lesions of each pair of studies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from .links import Link
from .matching_result import Matching
from .track_records import Track


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


class TrackBuilder:
    """Grows tracks study by study. Threads come into being in the order of the track numbers."""

    def __init__(
        self,
        lesions: Sequence[Sequence[int]],
        matchings: Mapping[tuple[int, int], Matching],
        spect: Collection[int] = (),
    ) -> None:
        self._lesions = lesions
        self._matchings = matchings
        self._spect = spect
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
        for earlier in self._earlier(study):
            for lesion, (found_in, back) in links.items():
                if found_in == earlier:
                    self._continue(study, lesion, earlier, back)
        for lesion, (_, back) in links.items():
            if (study, lesion) not in self._thread_of:
                self._start(study, lesion, back)
        for lesion, (earlier, back) in links.items():
            self._join(study, lesion, earlier, back)
        self._note_absent(study)

    def _earlier(self, study: int) -> list[int]:
        """Earlier studies, the one to look in first first: for a PET the latest PET before any SPECT."""
        earlier = range(study - 1, -1, -1)
        return list(earlier) if study in self._spect else sorted(earlier, key=lambda other: other in self._spect)

    def _links_back(self, study: int, lesion: int) -> tuple[int, list[Link]]:
        """The first of :meth:`_earlier` with links to this lesion, and these; (-1, []) when there is none."""
        for earlier in self._earlier(study):
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
        if back:
            status = "complex" if any(link.kind == "complex" for link in back) else "split"
        else:
            unseen = {other: word for other in range(study) if (word := self._why_unseen(other, study, lesion))}
            thread.status.update(unseen)
            status = "baseline" if len(unseen) == study else "new"
        self._place(study, lesion, index, status)

    def _place(self, study: int, lesion: int, index: int, status: str) -> None:
        self._threads[index].lesions[study] = lesion
        self._threads[index].status[study] = status
        self._thread_of[study, lesion] = index

    def _why_unseen(self, earlier: int, study: int, lesion: int) -> str:
        """One of ``UNSEEN``, or "" where an earlier study would have shown a lesion of a later one.

        If the two were not matched, the next study after the earlier one answers.
        """
        matching = next(
            self._matchings[pair, study] for pair in range(earlier, study) if (pair, study) in self._matchings
        )
        if lesion in matching.not_imaged_followup:
            return "not imaged"
        return "below detection" if lesion in matching.below_detection_before else ""

    def _join(self, study: int, lesion: int, earlier: int, back: list[Link]) -> None:
        """Note the other tracks that went into this lesion, and end those that have no lesion of their own any more."""
        into = self._thread_of[study, lesion]
        for link in back:
            index = self._thread_of[earlier, link.baseline]
            thread = self._threads[index]
            if index == into or (study in self._spect and self._is_on_pet(index) and self._is_on_pet(into)):
                continue  # PET tells two lesions apart that a SPECT shows as one
            self._threads[into].add_parent(index, study)
            if not thread.ended and study not in thread.lesions:
                thread.ended = True
                thread.status[study] = "merged"

    def _is_on_pet(self, index: int) -> bool:
        return any(study not in self._spect for study in self._threads[index].lesions)

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
            elif thread.lesions[last] in matching.below_detection:
                thread.status[study] = "below detection"
            elif {last, study} & set(self._spect) and any(
                link.baseline == thread.lesions[last] for link in matching.links
            ):
                thread.status[study] = "merged"
            else:
                thread.status[study] = "gone"


def check_matchings(lesions: Sequence[Sequence[int]], matchings: Mapping[tuple[int, int], Matching]) -> None:
    """Raise ValueError for matchings that are missing, impossible, or do not fit the lesions."""
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
