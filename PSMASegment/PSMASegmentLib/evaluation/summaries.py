"""Figures over many cases: medians, quartiles and means that leave out what is not defined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .missed_lesions import INTERACTIONS, LesionCourse
from .reader import Tally
from .scribbling import Course

Figures = dict[str, Any]


def spread(values: Iterable[float]) -> Figures:
    """Number, median and quartiles of the values that are defined; None for those of no values."""
    known = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    if not known.size:
        return {"n": 0, "median": None, "q1": None, "q3": None}
    q1, median, q3 = (round(float(q), 4) for q in np.percentile(known, (25, 50, 75)))
    return {"n": int(known.size), "median": median, "q1": q1, "q3": q3}


def mean_of(values: Iterable[float]) -> Figures:
    """Number and mean of the values that are defined; None for that of no values."""
    known = [value for value in values if np.isfinite(value)]
    return {"n": len(known), "mean": round(float(np.mean(known)), 4) if known else None}


def sum_of_tallies(tallies: Sequence[Tally]) -> Figures:
    """What all readers' clicks did together."""
    clicks = sum(tally.clicks for tally in tallies)
    refinements = sum(tally.refinements for tally in tallies)
    return {
        "clicks": clicks,
        "refused": sum(tally.refused for tally in tallies),
        "insisted": sum(tally.insisted for tally in tallies),
        "undone": sum(tally.undone for tally in tallies),
        "ghost_voxels": sum(tally.ghost_voxels for tally in tallies),
        "growth_ms_per_click": round(1000.0 * sum(t.growth_s for t in tallies) / clicks, 2) if clicks else None,
        "refinement_ms_per_click": (
            round(1000.0 * sum(t.refinement_s for t in tallies) / refinements, 2) if refinements else None
        ),
    }


def lesions_summary(courses: Sequence[tuple[str, LesionCourse]], tallies: Sequence[Tally]) -> Figures:
    """Dice of missed lesions after one click and up to five interactions, all together and by region.

    ``courses`` pairs the region of a lesion ("" where it is not known) with its course.
    """
    regions = sorted({region for region, _ in courses if region})
    return {
        "lesions": len(courses),
        "dice": {
            str(step): spread(course.dice[step - 1] for _, course in courses) for step in range(1, INTERACTIONS + 1)
        },
        "by_region": {
            region: {
                "one": spread(course.dice[0] for name, course in courses if name == region),
                "five": spread(course.dice[-1] for name, course in courses if name == region),
            }
            for region in regions
        },
        **sum_of_tallies(tallies),
    }


def courses_summary(courses: Sequence[Course], with_lesions: Sequence[bool], tallies: Sequence[Tally]) -> Figures:
    """Means over cases of areas and last values, and of the measures by step, for all cases and those with lesions."""
    bearing = [course for course, has in zip(courses, with_lesions, strict=True) if has]
    return {
        "all_cases": _means(courses),
        "cases_with_lesions": _means(bearing),
        **sum_of_tallies(tallies),
    }


def _means(courses: Sequence[Course]) -> Figures:
    if not courses:
        return {"cases": 0}
    rows: list[Mapping[str, float]] = [course.summary() for course in courses]
    return {
        "cases": len(courses),
        **{name: mean_of(row[name] for row in rows) for name in rows[0]},
        "by_step": {
            name: [mean_of(step)["mean"] for step in zip(*(course.curves[name] for course in courses), strict=True)]
            for name in courses[0].curves
        },
    }
