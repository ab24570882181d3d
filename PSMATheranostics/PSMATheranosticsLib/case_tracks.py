"""The part of the case store about tracks and their DICOM Tracking UIDs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from pydicom.uid import generate_uid

from .case_database import readable
from .case_links import CaseLinks
from .case_rows import Row, to_json
from .errors import InputError
from .records import StudyRecord, TrackInput, TrackRecord

Lesion = tuple[int, int]  # study id, lesion number


class CaseTracks(CaseLinks):
    """Tracks of a case: lesions followed over the studies."""

    def save_tracks(self, tracks: Sequence[TrackInput]) -> None:
        """Store all tracks of the case, in place of earlier ones.

        A track that contains the lesion for which a Tracking UID was made gets that UID again, also after the study
        was segmented anew and after undo; where there are several, that of the earliest study. Others get a new one.

        Raises InputError for a track without lesions, for lesions that are not there or in two tracks, and for numbers
        that are used twice or parents that do not exist.
        """
        self._require_writer()
        studies = self.studies()
        self._require_sound(tracks, studies)
        with self._change("Follow lesions over the studies") as change:
            uids = self._tracking_uids(tracks, studies)
            change.replace("tracks", {}, [_row(track, uids[track.number]) for track in tracks])
            change.replace("track_studies", {}, [row for track in tracks for row in _study_rows(track, studies)])

    @readable()
    def tracks(self) -> list[TrackRecord]:
        """All tracks in the order of their numbers."""
        with self.reading():
            rows = self._database.rows("SELECT * FROM tracks ORDER BY number")
            places = self._database.rows("SELECT * FROM track_studies ORDER BY number, study_id")
        lesions: dict[int, dict[int, int]] = defaultdict(dict)
        status: dict[int, dict[int, str]] = defaultdict(dict)
        for place in places:
            if place["lesion"] is not None:
                lesions[place["number"]][place["study_id"]] = place["lesion"]
            if place["status"] is not None:
                status[place["number"]][place["study_id"]] = place["status"]
        return [
            TrackRecord(
                number=row["number"],
                label=f"L{row['number']:02d}",
                tracking_uid=row["tracking_uid"],
                lesions=lesions[row["number"]],
                status=status[row["number"]],
                parents=json.loads(row["parents"]),
                parents_since={int(parent): study for parent, study in json.loads(row["parents_since"]).items()},
            )
            for row in rows
        ]

    def _tracking_uids(self, tracks: Sequence[TrackInput], studies: list[StudyRecord]) -> dict[int, str]:
        """UID of each track by its number; new ones are noted for good."""
        given = self._uids_of_lesions(studies)
        order = [study.study_id for study in studies]
        uids = {}
        for track in tracks:
            lesions = sorted(track.lesions.items(), key=lambda item: order.index(item[0]))
            uid = next((given[lesion] for lesion in lesions if lesion in given), None)
            if uid is None:
                uid = str(generate_uid(prefix=None))  # 2.25 and a random UUID
                self._note_uid(uid, *lesions[0])
            uids[track.number] = uid
        return uids

    def _uids_of_lesions(self, studies: list[StudyRecord]) -> dict[Lesion, str]:
        """The UIDs given so far, by the lesions that stand today where the UIDs were given."""
        history = self._history
        labels = {row["study_id"]: row["labels_id"] for row in self._database.rows("SELECT * FROM segmentations")}
        by_fingerprint = {study.fingerprint: study.study_id for study in studies}
        given: dict[Lesion, str] = {}
        # Where two former lesions have become one, the choice must only be the same every time.
        for row in self._database.rows("SELECT * FROM tracking_uids ORDER BY tracking_uid"):
            study_id = by_fingerprint.get(row["fingerprint"])
            if study_id is not None and study_id in labels:
                lesion = history.successor(row["labels_id"], row["lesion"], labels[study_id])
                if lesion is not None:
                    given.setdefault((study_id, lesion), row["tracking_uid"])
        return given

    def _note_uid(self, uid: str, study_id: int, lesion: int) -> None:
        self._database.rows(
            "INSERT INTO tracking_uids SELECT ?, fingerprint, labels_id, ? "
            "FROM studies JOIN segmentations USING (study_id) WHERE study_id = ?",
            (uid, lesion, study_id),
        )

    def _require_sound(self, tracks: Sequence[TrackInput], studies: list[StudyRecord]) -> None:
        numbers = [track.number for track in tracks]
        listed = [lesion for track in tracks for lesion in track.lesions.items()]
        known = {(s.study_id, item.lesion) for s in studies for item in self.lesions(s.study_id, rejected=True)}
        ids = {study.study_id for study in studies}
        problem = None
        if len(set(numbers)) < len(numbers) or any(number < 1 for number in numbers):
            problem = f"their numbers must be 1 or more and differ: {numbers}"
        elif any(not track.lesions for track in tracks):
            problem = f"these have no lesion: {[track.number for track in tracks if not track.lesions]}"
        elif len(set(listed)) < len(listed):
            problem = f"a lesion is in two of them: {sorted(lesion for lesion in listed if listed.count(lesion) > 1)}"
        elif not set(listed) <= known:
            problem = f"these lesions (study, number) are not in the case: {sorted(set(listed) - known)}"
        elif any(not set(track.status) <= ids for track in tracks):
            problem = f"a status names a study that is not among {sorted(ids)}"
        elif any(not set(track.parents) <= set(numbers) for track in tracks):
            problem = "a parent is none of the tracks"
        elif any(
            not set(t.parents_since) <= set(t.parents) or not set(t.parents_since.values()) <= ids for t in tracks
        ):
            problem = "it is said since when a track has a parent that it does not have, or a study that is not there"
        if problem:
            raise InputError(
                f"The tracks cannot be stored in the case {self.folder}: {problem}. Track the lesions again."
            )


def _row(track: TrackInput, uid: str) -> Row:
    since = {parent: track.parents_since[parent] for parent in sorted(track.parents_since)}
    return {
        "number": track.number,
        "tracking_uid": uid,
        "parents": to_json(track.parents),
        "parents_since": to_json(since),
    }


def _study_rows(track: TrackInput, studies: list[StudyRecord]) -> list[Row]:
    rows = []
    for study in studies:
        lesion, status = track.lesions.get(study.study_id), track.status.get(study.study_id)
        if lesion is not None or status is not None:
            rows.append({"number": track.number, "study_id": study.study_id, "lesion": lesion, "status": status})
    return rows
