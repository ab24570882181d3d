"""Random work on a case: above all strokes of a brush, then decisions, links, segmentations, undo and redo."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.mask_edit import MaskEdit
from tiny_case import PATIENT, box, random_step, segment, snapshot, study

from .history import DONE, entries

Report = tuple[str, str, str]  # "step", "undo" or "redo"; name of the step; snapshot of the case after it


def start_case(folder: Path, chance: random.Random, steps: int = 10) -> None:
    """A case with two segmented studies and some history."""
    with CaseStore.create(folder, PATIENT, user="starter") as case:
        for number in (1, 2):
            segment(case, case.add_study(study(number, with_ct=number == 2)), [box(0, 0, 0), box(4, 4, 4)])
        for _ in range(steps):
            work(case, chance)


def work(case: CaseStore, chance: random.Random) -> Report | None:
    """Do something at random; return what it was, None where it changed nothing."""
    kind = chance.choices(["edit", "undo", "redo", "sign", "other"], [55, 10, 8, 3, 24])[0]
    before = entries(case)
    segmented = [item.study_id for item in case.studies() if case.segmentation(item.study_id) is not None]
    if kind == "edit" and segmented:
        edit(case, chance.choice(segmented), chance)
    elif kind == "sign" and segmented:
        case.sign(chance.choice(segmented), "synthetic")
    elif kind == "undo":
        name = case.undo()
        return None if name is None else ("undo", name, snapshot(case))
    elif kind == "redo":
        name = case.redo()
        return None if name is None else ("redo", name, snapshot(case))
    else:
        random_step(case, chance)
    after = entries(case)
    if after == before:
        return None
    if len(after) > len(before):
        return "step", after[-1][0], snapshot(case)
    done = [[state for _, state in some].count(DONE) for some in (before, after)]
    return "undo" if done[1] < done[0] else "redo", "", snapshot(case)


def edit(case: CaseStore, study_id: int, chance: random.Random) -> None:
    """Paint or erase a small box: an old lesion, a new one, or none."""
    labels = sitk.GetArrayFromImage(case.labels(study_id))
    start = [chance.randrange(0, size - 1) for size in labels.shape]
    size = [chance.randrange(1, min(4, end - at) + 1) for at, end in zip(start, labels.shape, strict=True)]
    known = [lesion.lesion for lesion in case.lesions(study_id, rejected=True)]
    label = chance.choice([0, case.next_lesion_number(study_id), *known, *known])
    after = np.full(size, label, np.uint16)
    case.edit_mask(study_id, MaskEdit((start[0], start[1], start[2]), after), f"Paint {label} in study {study_id}")
