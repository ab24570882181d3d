"""Are the masks of a case sound? Verifies all edits, and that lesions, decisions and signatures fit the voxels."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.measure import voxel_volume_ml

from .case_database import Database
from .case_labels import chain_digest, decoded
from .case_lesions import VOLUME_TOLERANCE
from .case_problems import BACKUP, Problem, damage
from .case_rows import Row
from .case_schema import image_of, patch_of, state_of
from .errors import CaseError
from .image_store import ImageStore
from .lesion_overlap import array_sizes, label_sizes
from .mask_patch import Labels, MaskPatch

Sizes = dict[int, int]  # lesion -> voxels

_REFERENCES = """
SELECT labels_id, lesion, 'A decision' AS what FROM lesion_decisions
UNION SELECT labels_id, lesion, 'The region that a reader chose' FROM region_decisions
UNION SELECT from_labels_id, from_lesion, 'A decision on a link' FROM link_decisions
UNION SELECT to_labels_id, to_lesion, 'A decision on a link' FROM link_decisions
UNION SELECT from_labels_id, from_lesion, 'A decision on a track' FROM track_decisions
UNION SELECT labels_id, lesion, 'A Tracking UID' FROM tracking_uids
"""


class MaskCheck:
    """Goes through the edits of all studies once and notes the lesions of each state that the case names."""

    def __init__(self, database: Database, images: ImageStore, damaged: set[str], needed: set[str]) -> None:
        """``damaged``: images that cannot be loaded, ``needed``: states that the case, undo or redo need."""
        self.sizes: dict[str, Sizes] = {}
        self.grids: dict[str, sitk.Image] = {}
        self._database = database
        self._images = images
        self._needed = needed
        rows = [dict(row) for row in database.rows("SELECT * FROM mask_patches ORDER BY patch")]
        self._patches: dict[int, Row] = {row["patch"]: row for row in rows}
        self._wrong: dict[int, str] = {}
        following: dict[tuple[str, int | None], list[int]] = defaultdict(list)
        for row in rows:
            following[row["labels_id"], row["parent"]].append(row["patch"])
        for image_id in {image_of(state) for state in needed} - damaged:
            self._follow(image_id, following)

    def edit_problems(self) -> Iterator[Problem]:
        """Edits that are damaged or missing, with the study, the edit, and who made it when."""
        kept = self._kept()
        for number, what in sorted(self._wrong.items()):
            row = self._patches[number]
            where = f"{self._database.path}, {self._study(row['fingerprint'])}"
            edit = f"Edit {number} of the masks ('{row['action']}', {row['user']}, {row['time']})"
            if number in kept:
                remedy = f"{BACKUP} Without one, undo the steps back to before this edit, and repeat them."
                yield damage(where, f"{edit} is damaged: {what}.", remedy)
            else:
                what = f"{edit} is damaged: {what}. Only steps that were discarded had used it."
                yield Problem("information", where, what, "None needed.")
        for state in sorted(self._needed):
            patch = patch_of(state)
            if patch is not None and self._patches.get(patch, {}).get("labels_id") != image_of(state):
                yield damage(self._database.path, f"Edit {patch} of the masks is missing.", BACKUP)

    def _follow(self, image_id: str, following: dict[tuple[str, int | None], list[int]]) -> None:
        """Apply every edit on an image once, along all branches that undo has left."""
        image = self._images.load(image_id)
        self.grids[image_id] = image
        labels: Labels = sitk.GetArrayFromImage(image) if following[image_id, None] else np.zeros((0, 0, 0), np.uint16)
        sizes = label_sizes(image)
        self._note(image_id, sizes)
        todo: list[tuple[int, MaskPatch | None]] = [(patch, None) for patch in following[image_id, None]]
        while todo:
            number, back = todo.pop()
            if back is not None:
                back.apply(labels)
                _count(sizes, back)
                continue
            row = self._patches[number]
            parent = self._patches.get(row["parent"] or 0)
            try:
                patch = decoded(row)
                if row["sha256"] != chain_digest(row, image_id if parent is None else parent["sha256"]):
                    raise ValueError("it was changed, or an edit before it was")
                patch.apply(labels)
            except (CaseError, ValueError) as error:
                self._wrong[number] = str(error.__cause__ or error)
                continue
            _count(sizes, patch)
            self._note(state_of(image_id, number), sizes)
            todo.append((number, patch.inverse()))
            todo += [(child, None) for child in following[image_id, number]]

    def _note(self, state: str, sizes: Sizes) -> None:
        if state in self._needed or state == image_of(state):
            self.sizes[state] = {lesion: voxels for lesion, voxels in sizes.items() if voxels}

    def _kept(self) -> set[int]:
        """The edits that are needed, with all edits before them."""
        kept: set[int] = set()
        for state in self._needed:
            patch = patch_of(state)
            while patch is not None and patch not in kept and patch in self._patches:
                kept.add(patch)
                patch = self._patches[patch]["parent"]
        return kept

    def _study(self, fingerprint: str) -> str:
        row = self._database.row("SELECT study_id, acquired FROM studies WHERE fingerprint = ?", (fingerprint,))
        return f"study {row['study_id']} of {row['acquired'][:10]}" if row else "a study that was taken out of the case"


def lesion_problems(database: Database, images: ImageStore, masks: MaskCheck, damaged: set[str]) -> Iterator[Problem]:
    """Lesions must have the voxels and volumes of the present labels, which lie on the grid of the emission image."""
    query = "SELECT study_id, labels_id, emission_id FROM segmentations JOIN studies USING (study_id)"
    for row in database.rows(query):
        sizes = masks.sizes.get(row["labels_id"])
        if sizes is None or row["emission_id"] in damaged:
            continue  # reported with the image or the edit
        grid = masks.grids[image_of(row["labels_id"])]
        lesions = database.rows("SELECT * FROM lesions WHERE study_id = ?", (row["study_id"],))
        where = f"{database.path}, study {row['study_id']}"
        remedy = "Segment this study again, or restore the case folder from a backup."
        if _geometry(grid) != _geometry(images.grid(row["emission_id"])):
            yield damage(where, "The labels do not lie on the grid of the emission image.", remedy)
        if {lesion["lesion"]: lesion["voxels"] for lesion in lesions} != sizes:
            yield damage(where, "The lesions or their voxel counts differ from the label image.", remedy)
        yield from _click_problems(database, row["study_id"], where, grid, sizes)
        automatic = masks.sizes[image_of(row["labels_id"])]
        for lesion in lesions:
            volume_ml = lesion["voxels"] * voxel_volume_ml(grid)
            if not math.isclose(lesion["volume_ml"], volume_ml, rel_tol=VOLUME_TOLERANCE):
                text = (
                    f"Lesion {lesion['lesion']} has {volume_ml:.6g} mL in the labels, {lesion['volume_ml']:.6g} stored."
                )
                yield damage(where, text, remedy)
            if not set(json.loads(lesion["sources"])) <= set(automatic):
                text = f"Lesion {lesion['lesion']} stands for lesions that the automatic result does not contain."
                yield damage(where, text, remedy)


def _click_problems(database: Database, study_id: int, where: str, grid: sitk.Image, sizes: Sizes) -> Iterator[Problem]:
    """Clicks must lie in the image and be about lesions that are there."""
    width, height, depth = grid.GetSize()
    for row in database.rows("SELECT * FROM clicks WHERE study_id = ?", (study_id,)):
        inside = 0 <= row["z"] < depth and 0 <= row["y"] < height and 0 <= row["x"] < width
        if not inside or (row["lesion"] and row["lesion"] not in sizes):
            what = f"Click {row['click_id']} is about lesion {row['lesion']}, which is not there."
            yield damage(where, what if inside else f"Click {row['click_id']} lies outside the image.", BACKUP)


def physiology_problems(database: Database, images: ImageStore, damaged: set[str]) -> Iterator[Problem]:
    """What was taken for physiological must lie on the grid of the emission image, and its values have names."""
    query = "SELECT * FROM segmentations JOIN studies USING (study_id) WHERE physiology_id IS NOT NULL"
    for row in database.rows(query):
        if {row["physiology_id"], row["emission_id"]} & damaged:
            continue  # reported with the image
        where, remedy = images.path(row["physiology_id"]), "Segment this study again, or restore it from a backup."
        labels = images.load(row["physiology_id"])
        if _geometry(labels) != _geometry(images.grid(row["emission_id"])):
            yield damage(where, "The physiological labels do not lie on the grid of the emission image.", remedy)
        missing = set(label_sizes(labels)) - {int(value) for value in json.loads(row["physiology_names"])}
        if missing:
            yield damage(where, f"The physiological labels {sorted(missing)} have no names.", remedy)


def reference_problems(database: Database, images: ImageStore, masks: MaskCheck) -> Iterator[Problem]:
    """Decisions and Tracking UIDs must point to masks that exist in the state they were made on; signatures as well."""
    for row in database.rows(_REFERENCES):
        sizes = masks.sizes.get(row["labels_id"])
        if sizes is not None and row["lesion"] not in sizes:
            text = f"{row['what']} refers to lesion {row['lesion']}, which its label image does not contain."
            yield damage(images.path(image_of(row["labels_id"])), text, BACKUP)
    for row in database.rows("SELECT * FROM signatures"):
        sizes = masks.sizes.get(row["labels_id"])
        signed = {lesion["lesion"]: lesion["voxels"] for lesion in json.loads(row["lesions"])}
        if sizes is not None and signed != sizes:
            where = f"{database.path}, study {row['study_id']}"
            text = f"What {row['user']} signed on {row['time']} differs from the labels that were signed."
            yield damage(where, text, BACKUP)


def _count(sizes: Sizes, patch: MaskPatch) -> None:
    for side, sign in ((patch.before, -1), (patch.after, 1)):
        for lesion, voxels in array_sizes(side).items():
            sizes[lesion] = sizes.get(lesion, 0) + sign * voxels


def _geometry(image: sitk.Image) -> tuple[tuple[float, ...], ...]:
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
