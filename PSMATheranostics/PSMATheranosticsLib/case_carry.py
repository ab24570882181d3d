"""What happens to decisions and to everything computed from a segmentation when a study is segmented again.

Decisions keep the mask they were made on. They are carried to the lesions that stand there now; one whose lesion is
gone is kept and applies again as soon as a later segmentation brings the lesion back.
"""

from __future__ import annotations

from .case_database import Database
from .image_store import ImageStore
from .journal import Change
from .lesion_overlap import LesionOverlap, lesion_overlap


class LesionHistory:
    """Compares earlier label images of a study with later ones; each pair is read and compared once."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._compared: dict[tuple[str, str], LesionOverlap] = {}

    def overlap(self, before_id: str, after_id: str) -> LesionOverlap:
        """Shared voxels of two stored label images on the same grid."""
        pair = (before_id, after_id)
        if pair not in self._compared:
            self._compared[pair] = lesion_overlap(self._images.load(before_id), self._images.load(after_id))
        return self._compared[pair]

    def successor(self, before_id: str, lesion: int, after_id: str) -> int | None:
        """The lesion that stands in ``after_id`` where ``lesion`` stood in ``before_id``; None when there is none."""
        return lesion if before_id == after_id else self.overlap(before_id, after_id).successor(lesion)


def drop_matching(change: Change, study_id: int) -> None:
    """Remove the links of a study to others, and all tracks: they name lesions by numbers that no longer hold."""
    for end in ("baseline_id", "followup_id"):
        change.delete("links", {end: study_id})
        change.delete("matchings", {end: study_id})
    change.delete("track_studies")
    change.delete("tracks")


def carry_lesion_decisions(database: Database, history: LesionHistory, study_id: int, labels_id: str) -> dict[int, int]:
    """Which decision applies to which lesion of the new labels: lesion -> decision id. The latest decision wins."""
    decided = {}
    for row in database.rows("SELECT * FROM lesion_decisions WHERE study_id = ? ORDER BY decision_id", (study_id,)):
        for lesion in history.overlap(row["labels_id"], labels_id).heirs(row["lesion"]):
            decided[lesion] = row["decision_id"]
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
