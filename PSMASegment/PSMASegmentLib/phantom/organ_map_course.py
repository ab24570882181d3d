"""Synthetic PSMA studies of one man at several visits, on the organ maps of a real man at his visits.

What is real and what is not: liver, spleen, kidneys, bladder, lungs, brain, heart, stomach, prostate and head glands
are those of the man on the day of each visit, with everything that breathing, filling and lying otherwise did to them.
Bones, bowel, vessels, skin and the places of nodes are those of one reference man, fitted to all visits of the man at
once (:mod:`organ_map_joint_fit`): his bones have the same shape at every visit and move little within the trunk. A man
whose spine bends further, or whose arms lie elsewhere, is not among them; CT values within an organ are constant but
for noise. Lesions and their changes are drawn at random.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..lesion_regions import Region
from ..organs import OrganMap
from .canvas import Point
from .course_map import bones_in_view, displacement, organs_in_view
from .course_truth import TrueTrack, foci_edges, true_tracks
from .organ_map_evolution import Evolution
from .organ_map_fit import Fit, Places
from .organ_map_lesions import Plan, Sower
from .organ_map_painter import Man, Maps, Painted, cut, make_man, paint_visit
from .phantom_settings import PLAIN, PhantomSettings

LUTETIUM = "177Lu-PSMA-617"


@dataclass(frozen=True)
class CourseLesion:
    """One lesion of a visit, where it is ``label`` in the truth.

    ``track`` is the number of its true track; ``foci`` say which lesions of other visits are the same one: those it
    shares a focus with. ``center_mm`` is LPS, ``volume_ml`` counts truth voxels, ``suv_max`` is the highest value in
    them. ``aside_mm`` tells how far an organ that had come there pushed it from where the bones would take it.
    """

    label: int
    track: int
    foci: tuple[str, ...]
    region: Region
    center_mm: Point
    volume_ml: float
    suv_max: float
    aside_mm: float


@dataclass(frozen=True)
class CourseVisit:
    """One visit: images as of :class:`organ_map_study.OrganMapPhantom`, what they hold and how the man lay.

    ``modality`` is "PET" (SUVbw) or "SPECT" (a scale like SUV). Truth labels of a SPECT are what it shows: lesions that
    run together have one label, and those too faint or too small have none; ``unseen`` holds their foci.
    ``bones`` are points in named bones (LPS mm), the same points at every visit; ``organ_middles`` are the middles of
    organs that lie whole within the scan, which are not the same points to the millimeter. All places are those of the
    emission image; CT and organ map lie ``ct_shift_mm`` off it, as they may in patients. ``tissues`` and
    ``activity`` are those of :class:`organ_map_study.OrganMapPhantom`.
    """

    modality: str
    tracer: str
    emission: sitk.Image
    ct: sitk.Image
    organs: OrganMap
    truth: sitk.Image
    lesions: tuple[CourseLesion, ...]
    unseen: frozenset[str]
    fit: Fit
    bones: Mapping[str, Point]
    organ_middles: Mapping[str, Point]
    ct_shift_mm: Point
    tissues: sitk.Image | None = None
    activity: sitk.Image | None = None

    @property
    def landmarks(self) -> dict[str, Point]:
        """Bones and middles of organs by name."""
        return {**self.bones, **self.organ_middles}


@dataclass(frozen=True)
class OrganMapCourse:
    """A man at his visits, and the truth: edges (labels) by pair of visits, and tracks with their statuses."""

    visits: tuple[CourseVisit, ...]
    edges: Mapping[tuple[int, int], set[tuple[int, int]]]
    tracks: tuple[TrueTrack, ...]
    seed: int

    def map_points(self, i: int, j: int, points: Places) -> Places:
        """Where points (n, 3; LPS mm) of visit ``i`` that move with the bones lie at visit ``j``.

        Lesions do, but for those in liver and lungs and those that an organ pushed aside.
        """
        return self.visits[j].fit.points_to_real(self.visits[i].fit.points_to_reference(points))

    def map_points_on_ct(self, i: int, j: int, points: Places) -> Places:
        """:meth:`map_points` for points of the CT of visit ``i``, to that of visit ``j``: what a registration of both
        CTs is to find."""
        there = self.map_points(i, j, points - np.asarray(self.visits[i].ct_shift_mm))
        return np.asarray(there + np.asarray(self.visits[j].ct_shift_mm))

    def transform(self, i: int, j: int, spacing_mm: float = 8.0) -> sitk.Transform:
        """:meth:`map_points` as a transform of points of visit ``i`` to visit ``j``, given on a grid that fine.

        It holds up to 60 mm around the field of view of visit ``i``; beyond, it is a shift.
        """
        return displacement(self.visits[i].emission, lambda points: self.map_points(i, j, points), spacing_mm)


def organ_map_course(
    maps: Maps,
    seed: int,
    tracer: str = "68Ga-PSMA-11",
    spect: Collection[int] = (),
    lesions: tuple[int, int] | None = None,
    marrow: bool = False,
    fields_mm: Mapping[int, tuple[float, float]] | None = None,
    settings: PhantomSettings = PLAIN,
) -> OrganMapCourse:
    """Paint a synthetic course on the organ maps of one man at his visits, in the order of their dates.

    Args:
        maps: organ map of each visit and the organ that each of its values is. One map may be given several times.
        seed: equal arguments give equal images.
        tracer: of the PET studies.
        spect: visits that are 177Lu SPECT/CT; they show the lesions of the visit before, which have not changed.
        lesions: least and largest number at the baseline; by default 3 to 40 as they come.
        marrow: two thirds of the lesions lie close together in the marrow of spine and pelvis.
        fields_mm: lower and upper end of what a visit images, as heights of the reference man (0 at the femoral heads,
            862 at the crown), for visits that image less than their map.
        settings: what patients show besides, and the scanner; voxels, cuts and the number of lesions come from
            ``maps``, ``fields_mm`` and ``lesions`` instead.

    Raises:
        ValueError: for no map, a map of other than whole numbers, an oblique grid, an unknown tracer, and maps without
            an organ in common to build the man around.
    """
    if not maps:
        raise ValueError("A course needs at least one organ map; give that of the first visit.")
    rng = np.random.default_rng(seed)
    man = make_man(maps, tracer, rng, settings, seed)
    block = man.block(0, man.images[0])
    home = Plan(man.fits[0], block.tissue, block.axes, block.spacing, man.uptake)
    count = int(rng.integers(lesions[0], lesions[1] + 1)) if lesions is not None else _random_count(rng)
    evolution = Evolution(rng, Sower(rng, home, settings.lesion_ml), count, marrow)
    painted = []
    for visit, image in enumerate(man.images):
        if visit and visit not in spect:
            evolution.advance()
        if fields_mm is not None and visit in fields_mm:
            image = cut(image, man.fits[visit], fields_mm[visit])
        seed_of_visit = int(rng.integers(2**31))
        painted.append(paint_visit(man, visit, image, home, evolution.alive, visit in spect, seed_of_visit))
    return _with_truth(man, painted, spect, seed)


def _random_count(rng: np.random.Generator) -> int:
    burden = rng.choice(3, p=(0.4, 0.35, 0.25))
    return int(rng.integers(*((3, 10), (10, 30), (30, 41))[burden]))


def _with_truth(man: Man, painted: Sequence[Painted], spect: Collection[int], seed: int) -> OrganMapCourse:
    described = [_lesions(visit) for visit in painted]
    edges = foci_edges([{lesion.label: lesion.foci for lesion in lesions} for lesions in described])
    of = [{lesion.label: lesion for lesion in lesions} for lesions in described]

    def imaged(home: int, label: int, visit: int) -> bool:
        there = man.fits[visit].points_to_real(
            man.fits[home].points_to_reference(np.asarray([of[home][label].center_mm]))
        )
        index = painted[visit].emission.TransformPhysicalPointToContinuousIndex(there[0].tolist())
        return all(-0.5 <= i < n - 0.5 for i, n in zip(index, painted[visit].emission.GetSize(), strict=True))

    def hidden(home: int, label: int, visit: int) -> bool:
        return not painted[visit].unseen.isdisjoint(of[home][label].foci)

    volumes = [{lesion.label: lesion.volume_ml for lesion in lesions} for lesions in described]
    tracks = true_tracks(volumes, edges, imaged, hidden, spect)
    track_of = {(visit, label): track.number for track in tracks for visit, label in track.lesions.items()}
    visits = [
        CourseVisit(
            modality="SPECT" if number in spect else "PET",
            tracer=LUTETIUM if number in spect else man.tracer,
            emission=visit.emission,
            ct=visit.ct,
            organs=visit.organs,
            truth=visit.truth,
            lesions=tuple(replace(lesion, track=track_of[number, lesion.label]) for lesion in lesions),
            unseen=visit.unseen,
            fit=man.fits[number],
            bones=bones_in_view(man.fits[number], visit.block),
            organ_middles=organs_in_view(visit.block, visit.ct.GetSize()[2]),
            ct_shift_mm=visit.ct_shift_mm,
            tissues=visit.tissues,
            activity=visit.activity,
        )
        for number, (visit, lesions) in enumerate(zip(painted, described, strict=True))
    ]
    return OrganMapCourse(tuple(visits), edges, tuple(tracks), seed)


def _lesions(visit: Painted) -> list[CourseLesion]:
    """The labels that the truth image holds, without the number of their track (0)."""
    truth, emission = sitk.GetArrayViewFromImage(visit.truth), sitk.GetArrayViewFromImage(visit.emission)
    voxel_ml = float(np.prod(visit.truth.GetSpacing())) / 1000.0
    found = []
    for label, window in enumerate(ndimage.find_objects(truth), start=1):
        if window is None:
            continue
        row = visit.rows[label - 1]
        own = truth[window] == label
        z, y, x = (float(c) + part.start for c, part in zip(ndimage.center_of_mass(own), window, strict=True))
        found.append(
            CourseLesion(
                label=label,
                track=0,
                foci=row.foci,
                region=row.body.region,
                center_mm=visit.truth.TransformContinuousIndexToPhysicalPoint((x, y, z)),
                volume_ml=float(own.sum()) * voxel_ml,
                suv_max=float(emission[window][own].max()),
                aside_mm=row.aside_mm,
            )
        )
    return found
