"""Random sequences of what a reader does to the lesions of a synthetic study, each move told to a model of arrays."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from edit_model import STUDY, Model, model_of
from PSMASegmentLib.clicks.click import Click, ClickResult
from PSMASegmentLib.clicks.editing import erase, merge, split_at
from PSMASegmentLib.clicks.growth import apply_click
from PSMASegmentLib.clicks.study import ClickStudy, click_study
from PSMASegmentLib.lesion_regions import REGIONS, Region
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import ClickRecord
from tiny_case import PATIENT, study

_SIDE, _SPACING_MM = 26, 3.0
_SPOTS = 9
_PHYSIOLOGICAL = "Physiological: ureter"
_MOVES = {
    "click": 26,
    "brush": 14,
    "split": 8,
    "merge": 6,
    "delete": 8,
    "erase": 3,
    "restore": 5,
    "accept": 6,
    "region": 8,
    "undo": 12,
    "redo": 9,
    "reopen": 5,
}


def make_study_case(folder: Path, seed: int) -> None:
    """A case with one synthetic study of some hot spots, begun by hand."""
    chance = np.random.default_rng(seed)
    suv = chance.gamma(4.0, 0.15, (_SIDE,) * 3)
    grid = np.indices(suv.shape)
    for _ in range(_SPOTS):
        center, width = chance.integers(3, _SIDE - 3, 3), chance.uniform(1.2, 2.2)
        away = sum((axis - at) ** 2 for axis, at in zip(grid, center, strict=True))
        suv += chance.uniform(5, 25) * np.exp(-away / (2 * width**2))
    image = sitk.GetImageFromArray(suv.astype(np.float32))
    image.SetSpacing([_SPACING_MM] * 3)
    with CaseStore.create(folder, PATIENT, user="reader") as case:
        case.add_study(dataclasses.replace(study(1), emission=image))
        case.begin_by_hand(STUDY)


class Reader:
    """Does one random thing after another to a case, and tells the model."""

    def __init__(self, folder: Path, chance: random.Random, model: Model | None = None) -> None:
        self._folder = folder
        self._chance = chance
        self.case = CaseStore.open(folder, write=True, user="reader")
        self.model = model or model_of(self.case)
        self.moves: dict[str, int] = dict.fromkeys(_MOVES, 0)  # those that changed something
        self._study = self._opened()

    def move(self) -> str:
        """Do something; return its name, also where there was nothing to do."""
        name = self._chance.choices(list(_MOVES), list(_MOVES.values()))[0]
        if getattr(self, f"_{name}")():
            self.moves[name] += 1
        return name

    def close(self) -> None:
        """Close the case."""
        self.case.close()

    def _opened(self) -> ClickStudy:
        return click_study(self.case.masks(STUDY).suv)

    def _click(self) -> bool:
        positive = self._chance.random() < 0.7
        spot = self._spot() if positive or not self.model.state.lesions else self._voxel_of(self._some())
        click = Click(spot, positive)
        history = [Click(one.index_zyx, one.positive, one.insist) for one in self.case.clicks(STUDY)]
        new = self.case.next_lesion_number(STUDY)
        labels = self.case.masks(STUDY).labels
        result = apply_click(self._study, labels, click, new, history=history, protected=self._locked())
        if not result.changes:
            return False
        record = ClickRecord(STUDY, spot, positive, False, result.lesion, result.threshold_suv, "growth")
        region = Region(self._chance.choice(REGIONS), "", "synthetic")
        regions = {new: region} if (result.after == new).any() else {}
        self._edit(f"Click lesion {result.lesion}", result, regions, clicks=[record])
        touched = int(self.model.state.labels[spot])
        assert touched == result.lesion if positive else not touched
        return True

    def _brush(self) -> bool:
        """Paint over a box as a program does that does not show rejected lesions. Locked ones are refused."""
        shown = sitk.GetArrayFromImage(self.case.labels(STUDY))
        start = [self._chance.randrange(_SIDE - 5) for _ in range(3)]
        if self.model.state.lesions and self._chance.random() < 0.6:
            start = list(self._voxel_of(self._some()))
        where = tuple(slice(low, min(low + self._chance.randrange(1, 6), _SIDE)) for low in start)
        lesion = self._chance.choice([0, self.case.next_lesion_number(STUDY), *self.model.state.lesions])
        before = shown[where]
        inside = np.random.default_rng(self._chance.randrange(1 << 30)).random(before.shape) < 0.8
        after = np.where(inside, np.uint16(lesion), before)
        labels = self.model.state.labels.copy()
        labels[where] = np.where(after != before, after, labels[where])
        changed = labels != self.model.state.labels
        touched = {int(value) for values in (labels, self.model.state.labels) for value in np.unique(values[changed])}
        edit = MaskEdit((start[0], start[1], start[2]), after, before)
        refused = False
        try:
            self.case.edit_mask(STUDY, edit, f"Brush {lesion}", protect=self._locked())
        except InputError:
            refused = True
        assert refused == bool(touched & set(self._locked()))
        if changed.any() and not refused:
            self.model.step(f"Brush {lesion}", self.model.state.edited(labels, {}))
        return bool(changed.any()) and not refused

    def _split(self) -> bool:
        lesion = self._some("undecided", "rejected")
        if not lesion:
            return False
        points = [self._voxel_of(lesion) for _ in range(self._chance.randrange(1, 3))]
        new = self.case.next_lesion_number(STUDY)
        result = split_at(self._study, self.case.masks(STUDY).labels, lesion, points, new)
        return result.changes and self._edit(f"Split lesion {lesion}", result)

    def _merge(self) -> bool:
        free = self.model.state.having("undecided", "rejected")
        if len(free) < 2:
            return False
        chosen = self._chance.sample(free, 2)
        result = merge(self._study, self.case.masks(STUDY).labels, chosen, apart=True)
        return self._edit(f"Merge lesions {sorted(chosen)}", result)

    def _erase(self) -> bool:
        lesion = self._some("undecided", "rejected")
        return bool(lesion) and self._edit(f"Erase {lesion}", erase(self.case.masks(STUDY).labels, lesion))

    def _delete(self) -> bool:
        return self._decide("rejected", _PHYSIOLOGICAL, self.model.state.having("undecided", "accepted"))

    def _accept(self) -> bool:
        return self._decide("accepted", "", self.model.state.having("undecided"))

    def _restore(self) -> bool:
        return self._decide("undecided", "", self.model.state.having("accepted", "rejected"))

    def _region(self) -> bool:
        lesion = self._some()
        if not lesion:
            return False
        region = self._chance.choice(["", *REGIONS])
        if region == self.model.state.lesions[lesion].chosen:
            return False
        self.case.set_region(STUDY, lesion, Region(region) if region else None)
        self.model.step(self.case.next_undo() or "", self.model.state.changed([lesion], chosen=region))
        return True

    def _undo(self) -> bool:
        if self.model.now == 0:
            return False
        self.model.now -= 1
        assert self.case.undo() == self.model.names[self.model.now]
        return True

    def _redo(self) -> bool:
        if self.model.now == len(self.model.states) - 1:
            return False
        assert self.case.redo() == self.model.names[self.model.now]
        self.model.now += 1
        return True

    def _reopen(self) -> bool:
        """Close the case or only give its lock back, and go on."""
        if self._chance.random() < 0.5:
            self.case.release()
            self.case.acquire()
        else:
            self.case.close()
            self.case = CaseStore.open(self._folder, write=True, user="reader")
        self._study = self._opened()
        return True

    def _decide(self, decision: str, reason: str, lesions: list[int]) -> bool:
        chosen = sorted(self._chance.sample(lesions, min(len(lesions), self._chance.randrange(1, 4))))
        if not chosen:
            return False
        self.case.decide_lesions(STUDY, chosen, decision, reason)
        self.model.step(self.case.next_undo() or "", self.model.state.changed(chosen, decision=decision))
        return True

    def _edit(
        self,
        name: str,
        result: ClickResult,
        regions: dict[int, Region] | None = None,
        clicks: Sequence[ClickRecord] = (),
    ) -> bool:
        edit = MaskEdit(result.start_zyx, result.after, result.before)
        regions = regions or {}
        self.case.edit_mask(STUDY, edit, name, clicks=clicks, protect=self._locked(), regions=regions)
        labels = self.model.state.labels.copy()
        where = tuple(slice(low, low + size) for low, size in zip(result.start_zyx, result.after.shape, strict=True))
        labels[where] = result.after
        proposed = {lesion: region.name for lesion, region in regions.items()}
        self.model.step(name, self.model.state.edited(labels, proposed))
        return True

    def _locked(self) -> list[int]:
        return self.model.state.having("accepted")

    def _some(self, *decisions: str) -> int:
        """Some lesion, 0 where there is none."""
        lesions = self.model.state.having(*decisions) if decisions else list(self.model.state.lesions)
        return self._chance.choice(lesions) if lesions else 0

    def _voxel_of(self, lesion: int) -> tuple[int, int, int]:
        z, y, x = self._chance.choice(np.argwhere(self.model.state.labels == lesion).tolist())
        return z, y, x

    def _spot(self) -> tuple[int, int, int]:
        """Some voxel, mostly a hot one."""
        uptake = self._study.uptake
        limit = np.quantile(uptake, self._chance.choice([0.0, 0.97, 0.99]))
        z, y, x = self._chance.choice(np.argwhere(uptake >= limit).tolist())
        return z, y, x


def require_sound(folder: Path) -> None:
    """The check must find nothing."""
    assert check_case(folder) == []
