"""The part of the case store about edits of masks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from PSMASegmentLib.lesion_regions import REGIONS, Region
from PSMASegmentLib.measure import LARGEST_LABEL

from .case_carry import drop_lesions
from .case_clicks import add_clicks, follow_edit, require_clicks_inside
from .case_decisions import lesion_list
from .case_labels import NewPatch
from .case_rows import region_columns
from .case_schema import image_of
from .case_track_decisions import CaseTrackDecisions
from .errors import CaseError, InputError
from .journal import Change
from .lesions_after_edit import heirs, rows_after, voxels_moved
from .mask_edit import EditResult, MaskEdit, changed_box
from .mask_patch import Box, Labels, MaskPatch
from .records import ClickRecord
from .study_masks import StudyMasks, lesions_in
from .suv_emission import suv_emission

# Studies whose images stay in memory after an edit; a whole-body PET needs about 100 MB.
_STUDIES_IN_MEMORY = 3
# How far above the others the number of a new lesion may be: a stray 65535 would leave none for later lesions.
_NUMBERS_AHEAD = 1000
NO_REGIONS: Mapping[int, Region] = MappingProxyType({})
_CURRENT = """
SELECT labels_id, emission_id, scaling, fingerprint FROM segmentations JOIN studies USING (study_id) WHERE study_id = ?
"""


@dataclass
class _OpenMasks:
    """The masks of a study in memory: which state they are in, and what the name of that state stood for."""

    fingerprint: str
    uptake: tuple[str, str]  # emission image and scaling, which together give the SUVs
    masks: StudyMasks
    state: str
    digest: str


class CaseEdits(CaseTrackDecisions):
    """Edits of the masks of a case. Each is a patch of a few hundred bytes and one step of the journal."""

    def edit_mask(
        self,
        study_id: int,
        edit: MaskEdit,
        action: str,
        *,
        clicks: Sequence[ClickRecord] = (),
        protect: Collection[int] = (),
        regions: Mapping[int, Region] = NO_REGIONS,
    ) -> EditResult:
        """Change the labels of a study and measure the lesions that this changes. ``action`` names the step.

        ``clicks`` are those that made the edit, stored with it; ``protect`` names lesions that must not change, because
        they are reviewed; ``regions`` are proposed for lesions that the edit makes or changes.

        A label that the study does not have yet becomes a new lesion, and a lesion that loses its last voxel is removed
        with its links, while the decision on it is kept. Others keep links, tracks and decisions. An edit that changes
        nothing leaves no step. Undo brings everything back as it was.

        Raises InputError for edits that do not fit the study or change a protected lesion, and for numbers of lesions
        that were removed before (see ``next_lesion_number``), CaseError where the study is not segmented or its images
        are damaged.
        """
        self._require_writer()
        opened = self._open_masks(study_id)
        patch = self._patch(study_id, edit, opened.masks.labels)
        if patch is None:
            return EditResult()
        _require_unlocked(set(protect) & set(lesions_in(patch)))
        require_clicks_inside(clicks, opened.masks.labels.shape, self.study(study_id).label)
        highest = self._highest(opened)
        new = [lesion for lesion in lesions_in(patch) if lesion not in opened.masks.boxes]
        if new and not highest < min(new) <= max(new) <= highest + _NUMBERS_AHEAD:
            raise InputError(
                f"{self.study(study_id).label} has no lesion {min(new)}, and a new lesion cannot have this number, "
                f"because those up to {highest} have been used. Give new lesions the numbers from {highest + 1} on."
            )
        facts = NewPatch(opened.fingerprint, max([highest, *new]), action, self.user)
        with self._change(action) as change, self._applied(opened, patch):
            result = self._change_lesions(change, study_id, opened.masks, patch, regions)
            add_clicks(self._database, change, study_id, clicks, opened.masks.boxes, self.user)
            state = self._states.add(opened.state, patch, facts)
            change.update("segmentations", {"study_id": study_id}, {"labels_id": state})
            opened.state, opened.digest = state, self._digest(state)
        return result

    def next_lesion_number(self, study_id: int) -> int:
        """The number for a new lesion of a study: higher than any that an edit of it ever had, also an undone one.

        The study may be one that is not segmented yet. Raises InputError when the numbers are used up.
        """
        if self._database.row(_CURRENT, (study_id,)) is None:
            number = self._states.highest(self.study(study_id).fingerprint) + 1
        else:
            number = self._highest(self._open_masks(study_id)) + 1
        if number > LARGEST_LABEL:
            raise InputError(
                f"{self.study(study_id).label} has no number left for a new lesion, because {LARGEST_LABEL} was used. "
                "Give the voxels to a lesion that is there."
            )
        return number

    def prepare_edits(self, study_id: int) -> None:
        """Load what edits of a study need, which takes a second for a whole body, so that the first one is quick."""
        self._open_masks(study_id)

    def masks(self, study_id: int) -> StudyMasks:
        """Labels, uptake in SUVbw and boxes of all lesions of a study as they are now, also of rejected ones.

        For reading: only edits change them. Raises as ``edit_mask`` does.
        """
        return self._open_masks(study_id).masks

    @cached_property
    def _in_memory(self) -> OrderedDict[int, _OpenMasks]:
        return OrderedDict()

    def _open_masks(self, study_id: int) -> _OpenMasks:
        """The masks of a study in their present state."""
        row = self._database.row(_CURRENT, (study_id,))
        if row is None:
            raise self._not_segmented(study_id)
        opened = self._in_memory.pop(study_id, None)
        uptake = (row["emission_id"], row["scaling"])
        if opened is None or not self._is_true(opened, row["fingerprint"], uptake, row["labels_id"]):
            opened = self._load_masks(study_id, row["fingerprint"], uptake, row["labels_id"])
        self._move(opened, row["labels_id"])
        self._in_memory[study_id] = opened
        while len(self._in_memory) > _STUDIES_IN_MEMORY:
            self._in_memory.popitem(last=False)
        return opened

    def _not_segmented(self, study_id: int) -> CaseError:
        return CaseError(
            f"{self.study(study_id).label} of the case {self.folder} is not segmented yet. Segment it first."
        )

    def _move(self, opened: _OpenMasks, state: str) -> None:
        """Bring the masks in memory to another state on the same image, edit by edit."""
        try:
            for patch in self._states.path(opened.state, state):
                opened.masks.apply(patch)
        except ValueError as error:
            raise CaseError(
                f"The edits of the masks in {self.folder} do not fit together: {error}. Run `psma check` on the folder."
            ) from error
        opened.state, opened.digest = state, self._digest(state)

    def _is_true(self, opened: _OpenMasks, fingerprint: str, uptake: tuple[str, str], state: str) -> bool:
        """Whether what is in memory is a state of this study still; a step that failed may have left another."""
        same_study = (opened.fingerprint, opened.uptake) == (fingerprint, uptake)
        same_image = image_of(opened.state) == image_of(state)
        return same_study and same_image and self._states.digest(opened.state) == opened.digest

    def _load_masks(self, study_id: int, fingerprint: str, uptake: tuple[str, str], state: str) -> _OpenMasks:
        study = self.study(study_id)
        suv = suv_emission(self._images.load(study.emission_id), study.scaling, study.label)
        masks = StudyMasks(suv, self._states.load(state))
        return _OpenMasks(fingerprint, uptake, masks, state, self._digest(state))

    def _digest(self, state: str) -> str:
        digest = self._states.digest(state)
        if digest is None:
            raise CaseError(f"The case {self.folder} has no labels '{state}'. Restore it from a backup.")
        return digest

    def _highest(self, opened: _OpenMasks) -> int:
        return max([self._states.highest(opened.fingerprint), *opened.masks.boxes])

    def _patch(self, study_id: int, edit: MaskEdit, labels: Labels) -> MaskPatch | None:
        """What the edit changes, cropped to it; None where that is nothing."""
        problem = _problem(edit, labels)
        if problem is not None:
            raise InputError(f"The edit of {self.study(study_id).label} cannot be made: {problem}.")
        if edit.after.size == 0:
            return None
        box = _box(edit)
        current, after = labels[box], edit.after
        if edit.before is not None:
            touched = edit.before != edit.after
            self._require_known(study_id, current[touched], edit.before[touched])
            after = np.where(touched, edit.after, current)
        inside = changed_box(current != after)
        if inside is None:
            return None
        z, y, x = (part.start + int(start) for part, start in zip(inside, edit.start_zyx, strict=True))
        return MaskPatch((z, y, x), current[inside].copy(), after[inside].copy())

    def _require_known(self, study_id: int, current: Labels, known: Labels) -> None:
        """What the edit was made on must be what is stored; where it shows nothing may be a rejected lesion."""
        wrong = current != known
        if not wrong.any():
            return
        rejected = [lesion.lesion for lesion in self.lesions(study_id, rejected=True) if lesion.decision == "rejected"]
        if known[wrong].any() or not np.isin(current[wrong], rejected).all():
            raise InputError(
                f"The labels of {self.study(study_id).label} have changed since this edit was begun. Read them again "
                "and repeat the edit."
            )

    @contextmanager
    def _applied(self, opened: _OpenMasks, patch: MaskPatch) -> Iterator[None]:
        """Change the masks in memory; they go back to what they were when the block fails."""
        opened.masks.apply(patch)
        complete = False
        try:
            yield
            complete = True
        finally:
            if not complete:
                opened.masks.apply(patch.inverse())

    def _change_lesions(
        self, change: Change, study_id: int, masks: StudyMasks, patch: MaskPatch, regions: Mapping[int, Region]
    ) -> EditResult:
        touched = lesions_in(patch)
        try:
            measures = {lesion: masks.measure(lesion) for lesion in touched if lesion in masks.boxes}
        except ValueError as error:
            raise InputError(f"The edit of {self.study(study_id).label} cannot be made: {error}") from error
        found = {
            lesion: self._database.row("SELECT * FROM lesions WHERE study_id = ? AND lesion = ?", (study_id, lesion))
            for lesion in touched
        }
        before = {lesion: dict(row) for lesion, row in found.items() if row is not None}
        removed = [lesion for lesion in before if lesion not in measures]
        drop_lesions(self._database, change, study_id, removed)
        _require_regions(regions, measures)
        for lesion, row in rows_after(study_id, patch, before, measures).items():
            if lesion in regions:
                row |= region_columns(regions[lesion])
            if lesion in before:
                change.update("lesions", {"study_id": study_id, "lesion": lesion}, row)
            else:
                change.insert("lesions", row)
        follow_edit(self._database, change, study_id, patch, touched, heirs(voxels_moved(patch), before, measures))
        return EditResult(
            changed=tuple(lesion for lesion in before if lesion in measures),
            removed=tuple(removed),
            new=tuple(lesion for lesion in measures if lesion not in before),
            measures=measures,
        )


def _require_unlocked(locked: set[int]) -> None:
    if not locked:
        return
    it = ("is", "its acceptance", "it") if len(locked) == 1 else ("are", "their acceptance", "them")
    name = lesion_list(sorted(locked)).capitalize()
    raise InputError(f"{name} {it[0]} reviewed and locked: take {it[1]} back to change {it[2]}.")


def _require_regions(regions: Mapping[int, Region], lesions: Collection[int]) -> None:
    strange = sorted(set(regions) - set(lesions))
    if strange:
        raise InputError(f"A region is proposed for {lesion_list(strange)}, which the edit does not make or change.")
    wrong = sorted({region.name for region in regions.values()} - {"", *REGIONS})
    if wrong:
        raise InputError(f"'{wrong[0]}' is no region of a lesion. Possible: {', '.join(REGIONS)}.")


def _problem(edit: MaskEdit, labels: Labels) -> str | None:
    """Why the edit does not fit the labels, None where it does."""
    arrays = [edit.after] if edit.before is None else [edit.after, edit.before]
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype != np.uint16 or array.ndim != 3:
            return f"its labels must be an array of 3 dimensions (z, y, x) of type uint16, not {_described(array)}"
    if arrays[0].shape != arrays[-1].shape:
        return f"its labels before and after have the shapes {arrays[-1].shape} and {arrays[0].shape}"
    if len(edit.start_zyx) != 3 or not all(isinstance(start, (int, np.integer)) for start in edit.start_zyx):
        return f"its box must begin at three whole numbers (z, y, x), not at {edit.start_zyx}"
    ends = [start + size for start, size in zip(edit.start_zyx, edit.after.shape, strict=True)]
    if min(edit.start_zyx) < 0 or any(end > size for end, size in zip(ends, labels.shape, strict=True)):
        box = f"{tuple(edit.start_zyx)} to {tuple(ends)}"
        return f"its box from voxel {box} (z, y, x) does not lie in the image of {labels.shape} voxels"
    return None


def _described(array: object) -> str:
    return f"{array.ndim} of type {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__


def _box(edit: MaskEdit) -> Box:
    z, y, x = (slice(start, start + size) for start, size in zip(edit.start_zyx, edit.after.shape, strict=True))
    return z, y, x
