"""A synthetic man's PET, CT and SPECT at one or several dates, with the truth: on organ maps or on simple shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import SimpleITK as sitk

from .anatomy import Figure, random_figure
from .course_truth import TrueTrack
from .organ_map_course import CourseVisit, OrganMapCourse, organ_map_course
from .organ_map_painter import Maps
from .parametric_maps import figure_of, height_and_weight, parametric_maps
from .phantom_settings import VARIED, PhantomSettings
from .scan_options import with_spacing
from .tissues import TRACERS

_WEEKS_BETWEEN = 12
_FIRST_DATE = date(2026, 1, 5)


@dataclass(frozen=True)
class DatedVisit:
    """What was imaged about one date: PET/CT, and the SPECT/CT of a treatment after it where there is one.

    ``pet`` and ``spect`` are the numbers of the visits of the course that they are; lesions of both are linked there.
    """

    date: date
    pet: int
    spect: int | None = None


@dataclass(frozen=True)
class SyntheticMan:
    """One man: who he is, when he was imaged, and the course with all images and the truth.

    ``height_cm`` and ``weight_kg`` are None for men on organ maps, which do not tell them.
    """

    name: str
    tracer: str
    height_cm: float | None
    weight_kg: float | None
    dates: tuple[DatedVisit, ...]
    course: OrganMapCourse

    def pet(self, number: int) -> CourseVisit:
        """The PET/CT of a date, by its number from 0."""
        return self.course.visits[self.dates[number].pet]

    def spect(self, number: int) -> CourseVisit | None:
        """The SPECT/CT of a date, by its number from 0; None where there is none."""
        visit = self.dates[number].spect
        return None if visit is None else self.course.visits[visit]

    @property
    def tracks(self) -> tuple[TrueTrack, ...]:
        """Lesions over all studies."""
        return self.course.tracks


def synthetic_man(
    seed: int,
    dates: int = 1,
    maps: Maps | None = None,
    tracer: str | None = None,
    treated: Collection[int] = (),
    settings: PhantomSettings = VARIED,
    height_cm: float | None = None,
    weight_kg: float | None = None,
) -> SyntheticMan:
    """Make a man's studies; equal arguments give equal images.

    Args:
        seed: draws everything that the other arguments leave open.
        dates: number of dates with PET/CT, twelve weeks apart.
        maps: organ map of a real man at each date (or one that holds for all) with the names of its values. None paints
            a man of simple shapes.
        tracer: of the PET; None draws one of :data:`tissues.TRACERS`.
        treated: dates (from 0) after which he had 177Lu-PSMA and SPECT/CT; it shows the lesions of the PET, as far
            as the camera does.
        settings: what he shows besides organs and lesions, and the scanner. Cuts of the field of view are made in
            single studies only (:func:`organ_map_study.organ_map_study`).
        height_cm, weight_kg: of a man of simple shapes; both or none, None draws them.

    Raises:
        ValueError: for arguments that do not go together, and as :func:`organ_map_course.organ_map_course` does.
    """
    if dates < 1 or any(not 0 <= number < dates for number in treated):
        raise ValueError(
            f"A man has 1 date or more, and was treated after one of them, not {dates} and {list(treated)}."
        )
    rng = np.random.default_rng((seed, 5))
    drawn, figure = str(rng.choice(sorted(TRACERS))), random_figure(rng)
    height, weight = None, None
    if maps is None:
        figure = _wanted(height_cm, weight_kg) or figure
        height, weight = height_and_weight(figure)
        maps = parametric_maps(seed, dates, figure)
    elif height_cm is not None or weight_kg is not None:
        raise ValueError("Height and weight are those of the organ maps; leave them out.")
    elif len(maps) not in (1, dates):
        raise ValueError(f"{dates} dates need as many organ maps, or one for all, not {len(maps)}.")
    dated, studies = _schedule(maps, dates, treated, settings, rng)
    spect = [visit.spect for visit in dated if visit.spect is not None]
    lesions = None if settings.lesions is None else (settings.lesions, settings.lesions)
    course = organ_map_course(studies, seed, tracer or drawn, spect, lesions, settings=settings)
    return SyntheticMan(f"SYNTHETIC-{seed}", tracer or drawn, height, weight, tuple(dated), course)


def _wanted(height_cm: float | None, weight_kg: float | None) -> Figure | None:
    if height_cm is None and weight_kg is None:
        return None
    if height_cm is None or weight_kg is None:
        raise ValueError("Give both height (cm) and weight (kg) of the man, or neither.")
    return figure_of(height_cm, weight_kg)


def _schedule(
    maps: Maps, dates: int, treated: Collection[int], settings: PhantomSettings, rng: np.random.Generator
) -> tuple[list[DatedVisit], list[tuple[sitk.Image, Mapping[int, str]]]]:
    """Dates of the visits, and the organ map of each study in their order."""
    dated: list[DatedVisit] = []
    studies: list[tuple[sitk.Image, Mapping[int, str]]] = []
    for number in range(dates):
        labels, names = maps[number if len(maps) > 1 else 0]
        days = int(rng.integers(-9, 10)) if number else 0
        when = _FIRST_DATE + timedelta(weeks=_WEEKS_BETWEEN * number, days=days)
        pet = len(studies)
        dated.append(DatedVisit(when, pet, pet + 1 if number in treated else None))
        studies += [(with_spacing(labels, settings.spacing_mm), names)] * (2 if number in treated else 1)
    return dated, studies
