"""Which lesions of a follow-up study are new against the baseline: by the ancestry of their tracks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .i18n import tr
from .records import LinkRecord, TrackRecord


@dataclass(frozen=True)
class Novelty:
    """Whether one lesion is new against the baseline, and why not where that is not plain."""

    new: bool | None  # None where it cannot be said
    note: str = ""


class Ancestry:
    """Asks the tracks of a case whether a lesion was there at baseline.

    A lesion is not new when its track, or a track that it split from or merged with up to that study, has a lesion at
    baseline that counts, or when its place was not imaged at baseline.

    Args:
        tracks: All tracks of the case.
        links: The links that stand: they tell from which study on a track has a parent where the track does not say.
        order: Study ids by acquisition time.
        baseline_id: The study to compare with.
        counted: For every study id, the lesions that count (not rejected).
    """

    def __init__(
        self,
        tracks: Sequence[TrackRecord],
        links: Sequence[LinkRecord],
        order: Sequence[int],
        baseline_id: int,
        counted: Mapping[int, Collection[int]],
    ) -> None:
        self._tracks = {track.number: track for track in tracks}
        self._position = {study_id: index for index, study_id in enumerate(order)}
        self._baseline_id = baseline_id
        self._counted = counted
        self._related_since = self._joins(tracks, links)

    def novelty(self, track: TrackRecord | None, study_id: int) -> Novelty:
        """Whether the lesion that ``track`` has at ``study_id`` is new against the baseline."""
        if track is None:
            return Novelty(None, tr("not followed yet"))
        if self._position[study_id] <= self._position[self._baseline_id]:
            return Novelty(False)
        family = self._family(track, study_id)
        if any(self._at_baseline(member) for member in family):
            status = track.status.get(study_id)
            return Novelty(False, tr("reappeared, and therefore not new") if status == "reappeared" else "")
        if any(member.status.get(self._baseline_id) == "not imaged" for member in family):
            return Novelty(False, tr("its place was not imaged at baseline, and it is therefore not counted as new"))
        if any(member.status.get(self._baseline_id) == "below detection" for member in family):
            return Novelty(False, tr("the baseline could not have shown it, and it is therefore not counted as new"))
        if any(self._baseline_id in member.lesions for member in family):
            return Novelty(True, tr("counts as new because the lesion at baseline was rejected"))
        return Novelty(True)

    def _at_baseline(self, track: TrackRecord) -> bool:
        lesion = track.lesions.get(self._baseline_id)
        return lesion is not None and lesion in self._counted[self._baseline_id]

    def _family(self, track: TrackRecord, study_id: int) -> list[TrackRecord]:
        """``track`` and the tracks that it came from up to ``study_id``, transitively."""
        family, waiting = {track.number: track}, [track]
        while waiting:
            child = waiting.pop()
            for number in child.parents:
                parent = self._tracks.get(number)
                if parent is not None and number not in family and self._related(child, parent, study_id):
                    family[number] = parent
                    waiting.append(parent)
        return list(family.values())

    def _related(self, child: TrackRecord, parent: TrackRecord, study_id: int) -> bool:
        stored = child.parents_since.get(parent.number)
        since = self._related_since.get((child.number, parent.number)) if stored is None else self._position[stored]
        return since is None or since <= self._position[study_id]

    def _joins(self, tracks: Sequence[TrackRecord], links: Sequence[LinkRecord]) -> dict[tuple[int, int], int]:
        """From which study on (position) one track comes from another: the first link into its lesions.

        A merger at the third study says nothing about whether the lesion was new at the second.
        """
        track_of = {place: track.number for track in tracks for place in track.lesions.items()}
        joins: dict[tuple[int, int], int] = {}
        for link in links:
            child = track_of.get((link.followup_id, link.followup_lesion))
            parent = track_of.get((link.baseline_id, link.baseline_lesion))
            if child is not None and parent is not None and child != parent:
                position = self._position[link.followup_id]
                joins[child, parent] = min(position, joins.get((child, parent), position))
        return joins
