"""The protocol of single clicks: each lesion that was missed gets one, then corrections where most is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..clicks.click import Index, Labels
from .cases import Start
from .metrics import Box, dice, joined_box, label_components
from .reader import Reader, Refinement, Tally

SMALLEST_ML = 1.0
INTERACTIONS = 5
UNDONE = "undone"
MISSED_SHARE = 0.1
"""A lesion is missed where the start holds less than this share of it. A choice of this project."""
_WORSE = 0.01
"""A correction is taken back where it lowers the Dice of its lesion by more than this. A choice of this project."""
_MARGIN = 1


@dataclass
class LesionCourse:
    """One missed lesion of the truth: ``dice`` after each interaction, its volumes (mL) and what clicks said.

    ``outcomes``, ``messages`` and ``refusals`` (why a click had to be insisted on) hold one entry per interaction, ""
    where there was nothing to do; a lesion that is right keeps its last Dice.
    """

    lesion: int
    volume_ml: float
    suv_max: float
    dice: list[float] = field(default_factory=list)
    found_ml: list[float] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def add(self, outcome: str = "", message: str = "", refusal: str = "") -> None:
        """What one more interaction said."""
        self.outcomes.append(outcome)
        self.messages.append(message)
        self.refusals.append(refusal)


@dataclass
class _Target:
    course: LesionCourse
    box: Box
    owns: set[int] = field(default_factory=set)
    clicked: set[Index] = field(default_factory=set)


def correct_missed(
    start: Start,
    truth: Labels,
    refinement: Refinement | None = None,
    *,
    smallest_ml: float = SMALLEST_ML,
    interactions: int = INTERACTIONS,
) -> tuple[list[LesionCourse], Tally]:
    """Click on every missed lesion of ``smallest_ml`` or more, largest first, then correct each in rounds.

    The first click goes to the hottest voxel of the inner half of the lesion. Each further one goes to the voxel
    deepest inside the largest 18-connected part that is missing or too much. What counts for a lesion is all that its
    own clicks made or changed. The reader takes back a correction that made the lesion worse; it counts as one.
    """
    reader = Reader(start.study, start.labels, refinement)
    targets = _missed(start, truth, smallest_ml)
    for _ in range(interactions):
        for target in targets:
            _interact(reader, truth, target)
        for target in targets:
            _measure(reader, truth, target)
    return [target.course for target in targets], reader.tally


def _missed(start: Start, truth: Labels, smallest_ml: float) -> list[_Target]:
    targets = []
    for lesion, box in enumerate(ndimage.find_objects(truth), start=1):
        if box is None:
            continue
        own = truth[box] == lesion
        volume = float(own.sum()) * start.study.voxel_ml
        if volume < smallest_ml or (start.labels[box][own] > 0).mean() >= MISSED_SHARE:
            continue
        peak = float(start.study.uptake[box][own].max())
        targets.append(_Target(LesionCourse(lesion, volume, peak), box))
    return sorted(targets, key=lambda target: -target.course.volume_ml)


def _interact(reader: Reader, truth: Labels, target: _Target) -> None:
    """One click for a lesion."""
    place = _first_place(reader, truth, target) if not target.course.outcomes else _worst_place(reader, truth, target)
    if place is None:
        target.course.add()
        return
    index, positive = place
    target.clicked.add(index)
    before, owned = _dice(reader, truth, target), set(target.owns)
    result = reader.click(index, positive)
    if result.outcome in ("new", "grown", "satisfied") and result.lesion and positive:
        target.owns.add(result.lesion)
    outcome: str = result.outcome
    if result.changes and _dice(reader, truth, target) < before - _WORSE:
        reader.undo()
        target.owns = owned
        outcome = UNDONE
    target.course.add(outcome, result.message, reader.refusal)


def _first_place(reader: Reader, truth: Labels, target: _Target) -> tuple[Index, bool]:
    """The hottest voxel of the inner half of a lesion that no other holds already, if there is one."""
    box = _widened(target.box, reader.labels.shape)
    own = truth[box] == target.course.lesion
    deep = ndimage.distance_transform_edt(own, sampling=reader.study.spacing_zyx)
    inner = own & (deep >= 0.5 * deep.max())
    free = inner & (reader.labels[box] == 0)
    values = np.where(free if free.any() else inner, reader.study.uptake[box], -np.inf)
    return _whole_index(int(values.argmax()), box), True


def _worst_place(reader: Reader, truth: Labels, target: _Target) -> tuple[Index, bool] | None:
    """Where the largest error is, and whether something is missing there; None where nothing new can be said."""
    box = _widened(_joined(reader, target), reader.labels.shape)
    here = reader.labels[box]
    own = truth[box] == target.course.lesion
    found = np.isin(here, list(target.owns)) if target.owns else np.zeros_like(own)
    parts: list[tuple[int, Index, bool]] = []
    for error, positive in ((own & ~found & (here == 0), True), (found & ~own, False)):
        numbers, _ = label_components(error)
        for number, window in enumerate(ndimage.find_objects(numbers), start=1):
            wide = _widened(window, numbers.shape)
            part = numbers[wide] == number
            deep = ndimage.distance_transform_edt(part, sampling=reader.study.spacing_zyx)
            z, y, x = (int(i) + w.start + b.start for i, w, b in zip(
                np.unravel_index(int(deep.argmax()), deep.shape), wide, box, strict=True
            ))  # fmt: skip
            if (z, y, x) not in target.clicked:
                parts.append((int(part.sum()), (z, y, x), positive))
    if not parts:
        return None
    _, index, positive = max(parts, key=lambda part: part[0])
    return index, positive


def _measure(reader: Reader, truth: Labels, target: _Target) -> None:
    found = np.isin(reader.labels[_joined(reader, target)], list(target.owns))
    target.course.dice.append(_dice(reader, truth, target))
    target.course.found_ml.append(float(found.sum()) * reader.study.voxel_ml)


def _dice(reader: Reader, truth: Labels, target: _Target) -> float:
    box = _joined(reader, target)
    return dice(np.isin(reader.labels[box], list(target.owns)), truth[box] == target.course.lesion)


def _joined(reader: Reader, target: _Target) -> Box:
    """The box of a lesion together with all that its clicks made."""
    box = target.box
    for lesion in target.owns:
        box = joined_box(box, reader.boxes[lesion])
    return box


def _widened(box: Box, shape: tuple[int, ...]) -> Box:
    z, y, x = (slice(max(s.start - _MARGIN, 0), min(s.stop + _MARGIN, n)) for s, n in zip(box, shape, strict=True))
    return z, y, x


def _whole_index(flat: int, box: Box) -> Index:
    shape = tuple(part.stop - part.start for part in box)
    z, y, x = (int(i) + part.start for i, part in zip(np.unravel_index(flat, shape), box, strict=True))
    return z, y, x
