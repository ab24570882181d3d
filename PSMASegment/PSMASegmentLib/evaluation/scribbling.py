"""The protocols of autoPET IV and V with our click layers: steps, and measures after each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..clicks.click import Index, Labels
from . import protocol_iv, protocol_v
from .cases import Start
from .metrics import (
    Mask,
    area_under_curve,
    dice,
    dice_or_empty,
    false_negative_ml,
    false_positive_ml,
    lesion_f1,
)
from .reader import Reader, Refinement, Tally

CLICKS_PER_SCRIBBLE = 5
_APART_MM = 6.0


@dataclass
class Course:
    """Measures of one case by step, 0 being the start; ``curves`` by name, e.g. "dice"."""

    curves: dict[str, list[float]] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)

    def add(self, **values: float) -> None:
        """The measures of one more step."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)

    def summary(self) -> dict[str, float]:
        """Area under each curve (trapezoids) and its last value."""
        areas = {f"auc_{name}": area_under_curve(values) for name, values in self.curves.items()}
        return areas | {f"final_{name}": values[-1] for name, values in self.curves.items()}


def run_fixed_clicks(start: Start, truth: Labels, refinement: Refinement | None = None) -> tuple[Course, Tally]:
    """autoPET IV: eleven steps, each with one more click inside and one more outside the lesions."""
    lesions = truth > 0
    clicks = protocol_iv.fixed_clicks(lesions, start.study.uptake)
    reader, course = Reader(start.study, start.labels, refinement), Course()
    _measure_iv(course, reader, lesions)
    for step in range(protocol_iv.BUDGET):
        for places, positive in ((clicks.foreground, True), (clicks.background, False)):
            if step < len(places):
                reader.click(places[step], positive)
        course.prompts.append(f"{min(step + 1, len(clicks.foreground))}+{min(step + 1, len(clicks.background))}")
        _measure_iv(course, reader, lesions)
    return course, reader.tally


def run_scribbles(
    start: Start, truth: Labels, refinement: Refinement | None = None, strategy: str = "centerline"
) -> tuple[Course, Tally]:
    """autoPET V: six steps, each with a scribble on the largest error; the same measures where nothing is wrong."""
    lesions = truth > 0
    reader, course = Reader(start.study, start.labels, refinement), Course()
    _measure_v(course, reader, lesions)
    for _ in range(protocol_v.STEPS):
        scribble = protocol_v.next_scribble(lesions, reader.labels > 0, strategy)
        if scribble is None:
            course.prompts.append("")
        else:
            for index in clicks_along(scribble.voxels, start.study.spacing_zyx):
                reader.click(index, scribble.positive)
            course.prompts.append("lesion" if scribble.positive else "background")
        _measure_v(course, reader, lesions)
    return course, reader.tally


def clicks_along(voxels: npt.NDArray[np.int64], spacing_zyx: tuple[float, float, float]) -> list[Index]:
    """Up to five voxels of a scribble (n, 3: z, y, x), the one nearest to its middle first, each far from the others.

    Voxels nearer than 6 mm to one that is taken add nothing to what a click layer does.
    """
    places = voxels * np.asarray(spacing_zyx)
    taken = [int(((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    while len(taken) < CLICKS_PER_SCRIBBLE:
        away = np.min([np.linalg.norm(places - places[k], axis=1) for k in taken], axis=0)
        if away.max() < _APART_MM:
            break
        taken.append(int(away.argmax()))
    return [(int(z), int(y), int(x)) for z, y, x in voxels[taken]]


def _measure_iv(course: Course, reader: Reader, lesions: Mask) -> None:
    found, voxel_ml = reader.labels > 0, reader.study.voxel_ml
    course.add(
        dice=dice(found, lesions),
        fpv_ml=false_positive_ml(found, lesions, voxel_ml),
        fnv_ml=false_negative_ml(found, lesions, voxel_ml),
    )


def _measure_v(course: Course, reader: Reader, lesions: Mask) -> None:
    found = reader.labels > 0
    course.add(dice=dice_or_empty(found, lesions), dmm=lesion_f1(found, lesions))
