"""Key images: axial slices of the deciding lesions, every time point side by side at the lesion's own place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from . import report_words
from .i18n import tr
from .key_image_figure import CT_WINDOWS, KeyPanel, Ring, draw_key_image
from .key_lesions import DOUBTFUL, GROWTH, HOTTEST, NEW, SHRINKAGE, KeyLesion, key_lesions
from .mip import WINDOW_SUV
from .progress import Progress, part
from .report_text import day, number, volume
from .results import registrations_in_use
from .results_model import LesionResult, Results, StudyResult, TrackCell
from .status_colors import CLASS_SIGNS, STATUS_LETTERS, class_color, status_color
from .study_places import Point, StudyPlaces

if TYPE_CHECKING:
    from .case_store import CaseStore

CROP_MM = 120.0  # of a slice, side to side; as much as 160 mm for a large lesion
LARGEST_CROP_MM = 160.0
PIXEL_MM = 0.8
MOST_STUDIES = 5
AIR_HU = -1024.0
# Where no window in SUV fits: the share of a projection of the image that is not black.
_OWN_WINDOW = 0.995


@dataclass(frozen=True)
class KeyImage:
    """A PNG image of one lesion: its title, what it shows in words for readers who do not see it, its width on paper.

    ``note`` says how it was made: windows, and whether studies are left out.
    """

    png: bytes
    title: str
    alt: str
    width_mm: float
    note: str
    track: str


def key_images(results: Results, case: CaseStore, progress: Progress | None = None) -> list[KeyImage]:
    """Axial slices of the deciding lesions (see ``key_lesions``), one image each, in the language of ``i18n``.

    Each shows the slice through the hottest voxel of the lesion on every study of the kind of the baseline; where it is
    gone, the place to which the registrations take it from the nearest study that has it. At most five studies: the
    baseline and the last four.

    Raises:
        CaseError: an image of the case is missing or damaged.
    """
    chosen = key_lesions(results)
    if not chosen:
        return []
    studies, left_out = _studies(results)
    courses = {lesion.track: _Course.of(lesion.track, studies, results) for lesion in chosen}
    places = StudyPlaces(registrations_in_use(case))
    rows: dict[str, list[KeyPanel]] = {lesion.track: [] for lesion in chosen}
    report = part(progress, 0.0, 0.7)
    for index, study in enumerate(studies):
        report(index / len(studies), tr("Key images: {study}").format(study=study.label))
        images = _Images.of(case, study)
        for lesion in chosen:
            rows[lesion.track].append(_panel(courses[lesion.track], study, images, places))
    report = part(progress, 0.7, 1.0)
    made = []
    for index, lesion in enumerate(chosen):
        report(index / len(chosen), tr("Key images: {study}").format(study=lesion.track))
        made.append(_image(lesion, rows[lesion.track], left_out, results))
    return made


def _studies(results: Results) -> tuple[list[StudyResult], int]:
    """Those that are shown, and how many are left out."""
    baseline = next(study for study in results.studies if study.is_baseline)
    found = [s for s in results.studies if s.modality == baseline.modality and s.acquired >= baseline.acquired]
    shown = found if len(found) <= MOST_STUDIES else [found[0], *found[1 - MOST_STUDIES :]]
    return shown, len(found) - len(shown)


@dataclass(frozen=True)
class _Course:
    """One track on the studies that are shown: its cells and its lesions, by study."""

    cells: dict[int, TrackCell]
    lesions: dict[int, LesionResult]
    studies: Sequence[StudyResult]

    @classmethod
    def of(cls, label: str, studies: Sequence[StudyResult], results: Results) -> _Course:
        track = next(track for track in results.tracks if track.label == label)
        lesions = {study.study_id: lesion for study in studies for lesion in study.lesions if lesion.track == label}
        return cls({cell.study_id: cell for cell in track.cells}, lesions, studies)

    @property
    def half_mm(self) -> float:
        """Half the side of the crop, the same on all studies: four times the radius of a ball of this volume."""
        largest = max(_radius_mm(lesion) for lesion in self.lesions.values())
        return float(np.clip(4.0 * largest, CROP_MM / 2, LARGEST_CROP_MM / 2))

    def nearest(self, study: StudyResult) -> int:
        """The study nearest in time that has the lesion; of two as near the earlier one."""
        having = [other for other in self.studies if other.study_id in self.lesions]
        return min(having, key=lambda each: (abs(each.acquired - study.acquired), each.acquired)).study_id


def _radius_mm(lesion: LesionResult) -> float:
    """Of a ball of the volume of the lesion."""
    return float((3000.0 * lesion.measures.volume_ml / (4.0 * np.pi)) ** (1 / 3))


@dataclass(frozen=True)
class _Images:
    """The images of one study, read once for all lesions."""

    emission: sitk.Image
    labels: sitk.Image | None
    ct: sitk.Image | None
    black_at: float

    @classmethod
    def of(cls, case: CaseStore, study: StudyResult) -> _Images:
        record = case.study(study.study_id)
        emission = case.load_image(record.emission_id)
        labels = None if study.segmentation is None else case.labels(study.study_id)
        ct = None if record.ct_id is None else case.load_image(record.ct_id)
        black_at = WINDOW_SUV[1]
        if study.scaling.quantity != "SUVbw":
            highest = sitk.GetArrayViewFromImage(emission).max(axis=1)
            black_at = float(np.quantile(highest, _OWN_WINDOW)) or 1.0
        return cls(emission, labels, ct, black_at)


def _panel(course: _Course, study: StudyResult, images: _Images, places: StudyPlaces) -> KeyPanel:
    """What one study shows of one track."""
    cell, lesion = course.cells[study.study_id], course.lesions.get(study.study_id)
    title = (study.label, day(study.acquired))
    if lesion is not None:
        color = class_color(cell.response) if cell.response else status_color(cell.status)
        empty = KeyPanel(*title, _measured(lesion, cell), color, half_mm=course.half_mm)
        return _cut(images, lesion.measures.hottest_mm, empty, lesion)
    source = course.nearest(study)
    there = course.lesions[source]
    place = places.on_study(there.measures.hottest_mm, source, study.study_id)
    color = status_color("gone")
    if place is None:
        return KeyPanel(*title, (tr("no registration leads here"),), color)
    ring = Ring(color, _radius_mm(there))
    lines = (_absence(cell, study), tr("its place, registered"))
    empty = KeyPanel(*title, lines, color, half_mm=course.half_mm, ring=ring)
    return _cut(images, place, empty)


def _measured(lesion: LesionResult, cell: TrackCell) -> tuple[str, str]:
    """Size and uptake, and what became of the lesion."""
    measures = lesion.measures
    told = tr("{volume} mL, SUVmax {suv}").format(volume=volume(measures.volume_ml), suv=number(measures.suv_max))
    if cell.response:
        return told, f"{CLASS_SIGNS[cell.response]} {report_words.response_class(cell.response)}"
    return told, _status(cell)


def _status(cell: TrackCell) -> str:
    if not cell.status:
        return tr("not followed yet")
    return f"{STATUS_LETTERS[cell.status]} {report_words.status(cell.status)}"


def _absence(cell: TrackCell, study: StudyResult) -> str:
    """Why there is no lesion."""
    if cell.status:
        return _status(cell)
    if cell.note:
        return tr("rejected by a reader")
    return tr("not segmented") if study.totals is None else tr("no lesion found")


def _cut(images: _Images, place: Point, panel: KeyPanel, lesion: LesionResult | None = None) -> KeyPanel:
    """The panel with slices of PET and CT through ``place`` (LPS mm), the mask of the lesion and those of others."""
    uptake = _slice(images.emission, place, panel.half_mm, sitk.sitkLinear, 0.0)
    own = others = None
    if images.labels is not None:
        numbers = _slice(images.labels, place, panel.half_mm, sitk.sitkNearestNeighbor, 0.0)
        own = numbers == (-1 if lesion is None else lesion.lesion)
        others = (numbers > 0) & ~own
    ct = None if images.ct is None else _slice(images.ct, place, panel.half_mm, sitk.sitkLinear, AIR_HU)
    return replace(panel, uptake=uptake / images.black_at, ct=ct, own=own, others=others)


def _slice(
    image: sitk.Image, place: Point, half_mm: float, interpolator: int, outside: float
) -> npt.NDArray[np.float32]:
    """An axial slice along the patient's axes around ``place``: rows to the back, columns to the patient's left."""
    count = round(2 * half_mm / PIXEL_MM)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([count, count, 1])
    resampler.SetOutputSpacing([PIXEL_MM, PIXEL_MM, 1.0])
    resampler.SetOutputOrigin([place[0] - half_mm + PIXEL_MM / 2, place[1] - half_mm + PIXEL_MM / 2, place[2]])
    resampler.SetInterpolator(interpolator)
    resampler.SetDefaultPixelValue(outside)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    return np.nan_to_num(sitk.GetArrayFromImage(resampler.Execute(image))[0])


def _image(lesion: KeyLesion, panels: Sequence[KeyPanel], left_out: int, results: Results) -> KeyImage:
    region = _region(lesion.track, results)
    window = "bone" if region == "bone" else "soft tissue"
    png, width_mm = draw_key_image(panels, window)
    reasons = ", ".join(_reason(reason) for reason in lesion.reasons)
    title = tr("{track}: {reasons}").format(track=lesion.track, reasons=reasons)
    told = "; ".join(f"{panel.title}, {panel.subtitle}: {', '.join(panel.lines)}" for panel in panels)
    alt = tr("Axial slices of lesion {track}, the patient's right on the left. {panels}.").format(
        track=lesion.track, panels=told
    )
    return KeyImage(png, title, alt, width_mm, _note(panels, window, left_out, results), lesion.track)


def _region(track: str, results: Results) -> str:
    """Where the lesion of a track is, as its last study says."""
    found = [lesion.region.name for study in results.studies for lesion in study.lesions if lesion.track == track]
    return next((name for name in reversed(found) if name), "")


def _reason(reason: str) -> str:
    return {
        NEW: tr("new lesion"),
        GROWTH: tr("largest growth in mL"),
        SHRINKAGE: tr("largest shrinkage in mL"),
        HOTTEST: tr("highest SUVmax"),
        DOUBTFUL: tr("least certain link"),
    }[reason]


def _note(panels: Sequence[KeyPanel], window: str, left_out: int, results: Results) -> str:
    low, high = CT_WINDOWS[window]
    in_suv = all(study.scaling.quantity == "SUVbw" for study in results.studies)
    sentences = []
    if in_suv:
        sentences.append(tr("Uptake from SUV 0 (white) to {suv} (black).").format(suv=f"{WINDOW_SUV[1]:g}"))
    else:
        sentences.append(tr("Uptake with a window of its own on each scan that is not in SUV."))
    if any(panel.ct is not None for panel in panels):
        sentences.append(tr("CT from {low} to {high} HU.").format(low=number(low, 0), high=number(high, 0)))
    if any(panel.ring is not None for panel in panels):
        sentences.append(tr("Dashed ring: where the lesion was, carried over by the registration."))
    if left_out:
        sentences.append(
            tr("Scans between the first and the last four that are not shown: {count}.").format(count=left_out)
        )
    return " ".join(sentences)
