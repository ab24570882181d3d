"""What happens to decisions and to everything computed from a segmentation when a study is segmented again.

Decisions keep the mask they were made on. They are carried to the lesions that stand there now; one whose lesion is
gone is kept and applies again as soon as a later segmentation brings the lesion back.
"""

from __future__ import annotations

from .case_database import Database
from .case_labels import LabelStates
from .case_rows import from_json, to_json
from .case_schema import image_of
from .journal import Change
from .lesion_overlap import LesionOverlap, lesion_overlap


class LesionHistory:
    """Compares earlier labels of a study with later ones; each pair of states is read and compared once."""

    def __init__(self, states: LabelStates) -> None:
        self._states = states
        self._compared: dict[tuple[str | None, str | None], LesionOverlap] = {}

    def overlap(self, before: str, after: str) -> LesionOverlap:
        """Shared voxels of two states of labels on the same grid."""
        # Not by their names: after a step that failed another edit may have got the number of its edit.
        pair = (self._states.digest(before), self._states.digest(after))
        if pair not in self._compared:
            self._compared[pair] = lesion_overlap(self._states.load(before), self._states.load(after))
        return self._compared[pair]

    def successor(self, before: str, lesion: int, after: str) -> int | None:
        """The lesion that stands in ``after`` where ``lesion`` stood in ``before``; None when there is none.

        Between edits of the same automatic result a lesion keeps its number.
        """
        if before == after:
            return lesion
        same_image = image_of(before) == image_of(after)
        if same_image and (self._is_stored(after, lesion) or lesion in self.overlap(before, after).after):
            return lesion
        return self.overlap(before, after).successor(lesion)

    def _is_stored(self, state: str, lesion: int) -> bool:
        query = "SELECT 1 FROM lesions JOIN segmentations USING (study_id) WHERE labels_id = ? AND lesion = ?"
        return self._states.database.row(query, (state, lesion)) is not None


def drop_matching(change: Change, study_id: int) -> None:
    """Remove the links of a study to others, and all tracks: they name lesions by numbers that no longer hold."""
    for end in ("baseline_id", "followup_id"):
        change.delete("links", {end: study_id})
        change.delete("matchings", {end: study_id})
    change.delete("track_studies")
    change.delete("tracks")


def drop_lesions(database: Database, change: Change, study_id: int, lesions: list[int]) -> None:
    """Remove lesions, and take them out of links and tracks. Decisions on them, their links and tracks are kept.

    A track that loses its last lesion goes. What the tracks say of other studies stays until they are saved again.
    """
    _drop_from_matchings(database, change, study_id, set(lesions))
    for lesion in lesions:
        for end in ("baseline", "followup"):
            change.delete("links", {f"{end}_id": study_id, f"{end}_lesion": lesion})
            named = {f"{end}_id": study_id, f"{end}_lesion": lesion}
            change.update("link_decisions", named, {f"{end}_lesion": None})
        change.update("track_decisions", {"study_id": study_id, "lesion": lesion}, {"lesion": None})
        change.delete("track_studies", {"study_id": study_id, "lesion": lesion})
        change.delete("lesions", {"study_id": study_id, "lesion": lesion})
    if lesions:
        _drop_empty_tracks(database, change)


def _drop_from_matchings(database: Database, change: Change, study_id: int, lesions: set[int]) -> None:
    for side, end in enumerate(("baseline", "followup")):
        for row in database.rows(f"SELECT * FROM matchings WHERE {end}_id = ?", (study_id,)):
            lists = [f"not_imaged_{end}", "below_detection" if end == "baseline" else "below_detection_before"]
            values = {name: [each for each in from_json(row[name]) if each not in lesions] for name in lists}
            groups = [list(group) for group in from_json(row["confluent"])]
            for group in groups:
                group[side] = [each for each in group[side] if each not in lesions]
            values["confluent"] = [group for group in groups if all(group)]
            key = {name: row[name] for name in ("baseline_id", "followup_id")}
            change.update("matchings", key, {name: to_json(value) for name, value in values.items()})


def _drop_empty_tracks(database: Database, change: Change) -> None:
    empty = "SELECT number FROM tracks WHERE number NOT IN (SELECT number FROM track_studies WHERE lesion IS NOT NULL)"
    gone = {row["number"] for row in database.rows(empty)}
    for number in gone:
        change.delete("track_studies", {"number": number})
        change.delete("tracks", {"number": number})
    for row in database.rows("SELECT * FROM tracks") if gone else ():
        left = [number for number in from_json(row["parents"]) if number not in gone]
        since = {number: study for number, study in from_json(row["parents_since"]).items() if int(number) not in gone}
        values = {"parents": to_json(left), "parents_since": to_json(since)}
        change.update("tracks", {"number": row["number"]}, values)


def carry_lesion_decisions(
    database: Database, history: LesionHistory, study_id: int, labels_id: str
) -> dict[int, dict[str, int]]:
    """Which decisions apply to which lesion of the new labels: lesion -> column of ``lesions`` -> decision id.

    The latest decision on a lesion wins, and so does the latest choice of its region.
    """
    decided: dict[int, dict[str, int]] = {}
    for table, column in (("lesion_decisions", "decision_id"), ("region_decisions", "region_decision_id")):
        for row in database.rows(f"SELECT * FROM {table} WHERE study_id = ? ORDER BY decision_id", (study_id,)):
            for lesion in history.overlap(row["labels_id"], labels_id).heirs(row["lesion"]):
                decided.setdefault(lesion, {})[column] = row["decision_id"]
    return decided


def carry_link_decisions(database: Database, history: LesionHistory, change: Change, study_id: int) -> None:
    """Tie the decisions on links of a study to the lesions of today at both ends. The latest decision wins."""
    labels = {row["study_id"]: row["labels_id"] for row in database.rows("SELECT * FROM segmentations")}
    taken: set[tuple[int, int, int, int]] = set()
    moved = []
    query = "SELECT * FROM link_decisions WHERE :id IN (baseline_id, followup_id) ORDER BY decision_id DESC"
    for row in map(dict, database.rows(query, {"id": study_id})):
        pair = (row["baseline_id"], row["followup_id"])
        first = history.successor(row["from_labels_id"], row["from_lesion"], labels[pair[0]])
        second = history.successor(row["to_labels_id"], row["to_lesion"], labels[pair[1]])
        if first is not None and second is not None:
            if (*pair, first, second) in taken:
                first = second = None
            else:
                taken.add((*pair, first, second))
        now = {**row, "baseline_lesion": first, "followup_lesion": second}
        if now != row:
            moved.append(now)
    for row in moved:
        change.delete("link_decisions", {"decision_id": row["decision_id"]})
    for row in moved:
        change.insert("link_decisions", row)


def carry_track_decisions(database: Database, history: LesionHistory, change: Change, study_id: int) -> None:
    """Tie decisions and comments on tracks by lesions of a study to the lesions of today. The latest one wins."""
    labels = database.rows("SELECT labels_id FROM segmentations WHERE study_id = ?", (study_id,))[0][0]
    taken: set[tuple[int, int | None]] = set()
    moved = []
    query = "SELECT * FROM track_decisions WHERE study_id = ? ORDER BY decision_id DESC"
    for row in map(dict, database.rows(query, (study_id,))):
        lesion = history.successor(row["from_labels_id"], row["from_lesion"], labels)
        if lesion is not None:
            place = (lesion, row["at_study_id"])
            lesion = None if place in taken else lesion
            taken.add(place)
        if lesion != row["lesion"]:
            moved.append({**row, "lesion": lesion})
    for row in moved:
        change.delete("track_decisions", {"decision_id": row["decision_id"]})
    for row in moved:
        change.insert("track_decisions", row)
