"""What an edit makes of the rows of lesions: which mask they have now, where it comes from, which decision holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from PSMASegmentLib.measure import Measures

from .case_rows import Row, from_json, lesion_row, measured_columns, to_json
from .mask_patch import MaskPatch
from .records import LesionInput

DRAWN = "drawn by hand"

# What a lesion hands on with its voxels: the proposed region, and the decision of a reader on it.
_REGION = ("region", "region_site", "region_reason", "region_decision_id")

Moved = dict[tuple[int, int], int]  # lesion before, lesion after -> voxels; 0 is the background


def rows_after(
    study_id: int, patch: MaskPatch, before: Mapping[int, Row], measures: Mapping[int, Measures]
) -> dict[int, Row]:
    """Rows of the lesions that an edit changed or made, by number.

    ``before``: rows of the lesions that the edit touches, ``measures``: those of them that are left, and new ones.

    A new lesion that takes more than half of its voxels from another one is a part of it: it has the same origin and
    region, and the decisions on it hold for both. Any other new lesion is drawn. What a lesion stands for in the
    automatic result goes over to its heir.
    """
    moved = voxels_moved(patch)
    sources = {lesion: set(from_json(row["sources"])) for lesion, row in before.items()}
    rows = {}
    for lesion, measured in measures.items():
        if lesion in before:
            rows[lesion] = _changed_row(before[lesion], measured)
            continue
        taken = {old: voxels for (old, new), voxels in moved.items() if new == lesion}
        parent = _majority(taken, measured.voxels)
        rows[lesion] = _new_row(study_id, measured, before.get(parent or 0))
        sources[lesion] = set(sources[parent]) if parent else set()
    for lesion, heir in heirs(moved, before, measures).items():
        if heir:
            sources[heir] |= sources[lesion]
    return {lesion: {**row, "sources": to_json(sorted(sources[lesion]))} for lesion, row in rows.items()}


def heirs(moved: Moved, before: Mapping[int, Row], left: Collection[int]) -> dict[int, int]:
    """For each lesion that is gone the one that takes more than half of its last voxels, 0 where none does."""
    return {
        lesion: _majority({new: n for (old, new), n in moved.items() if old == lesion}, before[lesion]["voxels"]) or 0
        for lesion in set(before) - set(left)
    }


def voxels_moved(patch: MaskPatch) -> Moved:
    """How many voxels an edit gives from which lesion to which."""
    changed = patch.before != patch.after
    pairs = patch.before[changed].astype(np.uint32) << 16 | patch.after[changed]
    values, counts = np.unique(pairs, return_counts=True)
    return {(int(pair >> 16), int(pair & 0xFFFF)): int(count) for pair, count in zip(values, counts, strict=True)}


def _majority(voxels: Mapping[int, int], total: int) -> int | None:
    """The lesion that has more than half of ``total``; None where none has, or the background."""
    lesion = max(voxels, key=lambda number: (voxels[number], -number), default=0)
    return lesion if lesion and 2 * voxels[lesion] > total else None


def _changed_row(before: Row, measures: Measures) -> Row:
    return {**before, **measured_columns(measures), "mask": _edited(before["mask"])}


def _new_row(study_id: int, measures: Measures, parent: Row | None) -> Row:
    if parent is None:
        return lesion_row(study_id, LesionInput(measures, DRAWN, "", "drawn"), None)
    reason = f"split off lesion {parent['lesion']} by hand"
    lesion = LesionInput(measures, parent["origin"], reason, _edited(parent["mask"]))
    return {**lesion_row(study_id, lesion, parent["decision_id"]), **_region_of(parent)}


def _region_of(row: Row) -> Row:
    return {name: row[name] for name in _REGION}


def _edited(mask: str) -> str:
    return "drawn" if mask == "drawn" else "corrected"
