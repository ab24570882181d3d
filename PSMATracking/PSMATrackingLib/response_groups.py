"""Which tracks must be compared together between two studies, because lesions merged or split between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .links import Link
from .track_records import Track

Place = tuple[int, int]  # study index, lesion number


@dataclass(frozen=True)
class Group:
    """Tracks that are one in the comparison of two studies.

    ``members`` are compared, ``kin`` are all tracks that they are connected with, ``standing`` is the number of the
    track that counts for all. Only lesions in ``counted`` are there.
    """

    members: tuple[Track, ...]
    kin: tuple[Track, ...]
    standing: int
    baseline: int
    followup: int
    counted: Collection[Place]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Members that have a lesion on one of the two studies, ascending."""
        studies = (self.baseline, self.followup)
        found = [track.number for track in self.members if any(self._there(track, study) for study in studies)]
        return tuple(sorted(found))

    def lesions_at(self, study: int) -> list[int]:
        """Lesions of the members on a study, ascending."""
        return sorted(track.lesions[study] for track in self.members if self._there(track, study))

    def status_at(self, study: int) -> set[str]:
        """What is said of the tracks that have no lesion on a study."""
        return {track.status[study] for track in self.kin if study in track.status and not self._there(track, study)}

    def confidence(self, links: Mapping[tuple[int, int], Sequence[Link]]) -> float | None:
        """The least confidence of the links from the earlier study to the later one on which the group rests."""
        own = {place for track in self.members for place in track.lesions.items()}
        found: list[float] = []
        for study, lesion in own:
            if self.baseline < study <= self.followup:
                found += self._links_back(links, own, study, lesion)
        return min(found, default=None)

    def _links_back(
        self, links: Mapping[tuple[int, int], Sequence[Link]], own: set[Place], study: int, lesion: int
    ) -> list[float]:
        """Confidences of the links into a lesion, from the latest study that has any from a lesion of the group."""
        for earlier in range(study - 1, self.baseline - 1, -1):
            found = [
                link.confidence
                for link in links.get((earlier, study), ())
                if link.followup == lesion and (earlier, link.baseline) in own
            ]
            if found:
                return found
        return []

    def _there(self, track: Track, study: int) -> bool:
        return (study, track.lesions.get(study, -1)) in self.counted


def find_groups(tracks: Sequence[Track], counted: Collection[Place], baseline: int, followup: int) -> Iterator[Group]:
    """The groups of tracks with a lesion on one of two studies, the earlier of which is ``baseline``.

    A track and its parent are one when they split or merged after the earlier study and up to the later one; also when
    they did so before, but the track had no lesion on the earlier study while its parent had. A lesion of which neither
    the track nor any that it came from was there on the earlier study stands alone, however it is connected otherwise.
    """
    by_number = {track.number: track for track in tracks}

    def there(track: Track, study: int) -> bool:
        return (study, track.lesions.get(study, -1)) in counted

    alone = set()
    for track in tracks:
        if there(track, followup) and not there(track, baseline):
            origins = _origins(track, by_number, followup)
            if not any(there(origin, baseline) for origin in origins):
                alone.add(track.number)
                yield Group((track,), tuple(origins), track.number, baseline, followup, counted)
    for kin in _connected(tracks, counted, baseline, followup):
        members = tuple(track for track in kin if track.number not in alone)
        before, after = ([track for track in members if there(track, study)] for study in (baseline, followup))
        if before:
            yield Group(members, members, _standing(before, after).number, baseline, followup, counted)


def _origins(track: Track, by_number: Mapping[int, Track], study: int) -> list[Track]:
    """The track with all that it came from up to a study, by splits and mergers."""
    reached, waiting = {track.number: track}, [track]
    while waiting:
        child = waiting.pop()
        for number in child.parents:
            if number in by_number and number not in reached and child.parents_since.get(number, 0) <= study:
                reached[number] = by_number[number]
                waiting.append(by_number[number])
    return list(reached.values())


def _standing(before: Sequence[Track], after: Sequence[Track]) -> Track:
    """The track that counts for a group: one that is there on the later study, best on both; else the first."""
    both = [track for track in before if track in after]
    return min(both or after or before, key=lambda track: track.number)


def _connected(
    tracks: Sequence[Track], counted: Collection[Place], baseline: int, followup: int
) -> Iterator[list[Track]]:
    """Tracks that hang together, each in ascending order."""
    by_number = {track.number: track for track in tracks}
    near: dict[int, set[int]] = {track.number: set() for track in tracks}
    for track in tracks:
        was_there = (baseline, track.lesions.get(baseline, -1)) in counted
        for parent in track.parents:
            since = track.parents_since.get(parent, 0)
            if parent in near and since <= followup and (since > baseline or not was_there):
                near[track.number].add(parent)
                near[parent].add(track.number)
    seen: set[int] = set()
    for number in sorted(near):
        if number in seen:
            continue
        reached, waiting = {number}, [number]
        while waiting:
            for other in near[waiting.pop()] - reached:
                reached.add(other)
                waiting.append(other)
        seen |= reached
        yield [by_number[one] for one in sorted(reached)]
