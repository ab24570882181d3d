"""Keeps lesions that were corrected or drawn by hand when a study is segmented anew.

- The new result is stored as it is; the kept lesions are burned into it by one patch. Their masks do not change.
- A new lesion is superseded, and left out, when more than half of it lies in kept lesions or in the automatic masks
  that they came from: a lesion that was cut back by hand does not come back in full.
- Any other new lesion loses the voxels that a kept lesion has, and stays.
- A kept lesion keeps its number, unless a new lesion that stays has the same one: then it gets a number that was never
  used before.
- A lesion of the earlier result that was erased by hand counts as rejected: new lesions that lie with more than half of
  their voxels in it are rejected, and can be taken back like any rejected lesion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .case_database import Database
from .case_labels import LabelStates
from .case_rows import Row, from_json
from .case_schema import image_of
from .lesion_overlap import array_sizes
from .mask_edit import changed_box
from .mask_patch import Labels, MaskPatch

ERASED = "erased by hand"


@dataclass(frozen=True)
class HandWork:
    """What hands made of an automatic result: the lesions to keep, by number, and those that were erased."""

    kept: dict[int, Row]
    sources: dict[int, set[int]]  # the lesions of the automatic result that each kept lesion stands for
    erased: list[Row]  # decisions to store: study_id, labels_id, lesion, decision, reason, user, time
    labels: Labels
    automatic: Labels


@dataclass(frozen=True)
class Merged:
    """A new automatic result with the kept lesions in it."""

    patch: MaskPatch | None  # from the new result to the result with the kept lesions; None where they are the same
    numbers: dict[int, int]  # kept lesion -> its number now
    sources: dict[int, set[int]]  # kept lesion -> the new lesions that it supersedes
    superseded: set[int]
    reduced: set[int]  # new lesions that lost voxels to kept ones


def hand_work(database: Database, states: LabelStates, study_id: int) -> HandWork | None:
    """The hand work in the present labels of a study; None where there is none, or no segmentation."""
    segmentation = database.row("SELECT labels_id FROM segmentations WHERE study_id = ?", (study_id,))
    rows = [dict(row) for row in database.rows("SELECT * FROM lesions WHERE study_id = ?", (study_id,))]
    kept = {row["lesion"]: row for row in rows if row["mask"] != "automatic"}
    if segmentation is None or (not kept and segmentation["labels_id"] == image_of(segmentation["labels_id"])):
        return None
    state = segmentation["labels_id"]
    automatic: Labels = sitk.GetArrayFromImage(states.load(image_of(state)))
    standing = {number for row in rows for number in from_json(row["sources"])}
    erased = sorted(set(array_sizes(automatic)) - standing)
    return HandWork(
        kept=kept,
        sources={lesion: set(from_json(row["sources"])) for lesion, row in kept.items()},
        erased=_erasures(states, study_id, state, automatic, erased),
        labels=sitk.GetArrayFromImage(states.load(state)),
        automatic=automatic,
    )


def merge(work: HandWork, new: Labels, first_free: int) -> Merged:
    """Put the kept lesions into a new automatic result. ``first_free``: neither it nor any higher was ever used."""
    sizes = array_sizes(new)
    is_kept = _chosen(work.kept)
    is_source = _chosen(number for numbers in work.sources.values() for number in numbers)
    judged = array_sizes(new[is_kept[work.labels] | is_source[work.automatic]])
    superseded = {lesion for lesion, voxels in judged.items() if 2 * voxels > sizes[lesion]}
    staying = set(sizes) - superseded
    numbers = {}
    free = max([first_free, *(number + 1 for number in sizes)])
    for lesion in sorted(work.kept):
        numbers[lesion] = free if lesion in staying else lesion
        free += lesion in staying
    after = np.where(_chosen(superseded)[new], np.uint16(0), new)
    kept_voxels = is_kept[work.labels]
    reduced = set(array_sizes(after[kept_voxels]))
    after[kept_voxels] = _renumbered(numbers)[work.labels[kept_voxels]]
    return Merged(_patch(new, after), numbers, _new_sources(work, new, superseded), superseded, reduced)


def _erasures(states: LabelStates, study_id: int, state: str, automatic: Labels, lesions: list[int]) -> list[Row]:
    """Rejections of erased lesions, with the user and time of the last edit in their place."""
    by: dict[int, Row] = {}
    for row, patch in states.patches(state) if lesions else ():
        for lesion in array_sizes(automatic[patch.box][patch.before != patch.after]):
            by[lesion] = row
    decision = {"study_id": study_id, "labels_id": image_of(state), "decision": "rejected", "reason": ERASED}
    return [
        {**decision, "lesion": lesion, "user": by[lesion]["user"], "time": by[lesion]["time"]}
        for lesion in lesions
        if lesion in by
    ]


def _new_sources(work: HandWork, new: Labels, superseded: set[int]) -> dict[int, set[int]]:
    """Which new lesions each kept lesion stands for: those that overlap no other kept lesion and its sources more."""
    places = np.flatnonzero(_chosen(superseded)[new.ravel()])
    found, labels, automatic = (array.ravel()[places] for array in (new, work.labels, work.automatic))
    shares = {
        kept: array_sizes(found[(labels == kept) | _chosen(numbers)[automatic]])
        for kept, numbers in work.sources.items()
    }
    best = {lesion: max(share.get(lesion, 0) for share in shares.values()) for lesion in superseded}
    return {kept: {lesion for lesion in best if share.get(lesion) == best[lesion]} for kept, share in shares.items()}


def _patch(before: Labels, after: Labels) -> MaskPatch | None:
    box = changed_box(before != after)
    if box is None:
        return None
    z, y, x = (part.start for part in box)
    return MaskPatch((z, y, x), before[box].copy(), after[box].copy())


def _chosen(lesions: Iterable[int]) -> npt.NDArray[np.bool_]:
    """True at the numbers of some lesions, to be looked up with label images."""
    table = np.zeros(1 << 16, bool)
    table[list(lesions)] = True
    return table


def _renumbered(numbers: Mapping[int, int]) -> Labels:
    table = np.zeros(1 << 16, np.uint16)
    for lesion, number in numbers.items():
        table[lesion] = number
    return table
