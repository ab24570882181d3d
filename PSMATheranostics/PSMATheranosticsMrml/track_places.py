"""Where tracks are on each study, and what is told about them there: plain values, nothing is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .study_points import StudyPoints
from .volumes import rasFromLps

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results, TrackCell

Ras = tuple[float, float, float]
Classes = Mapping[str, Mapping[int, str]]  # by track and study


@dataclass(frozen=True)
class Marker:
    """One track on one study.

    ``lesion`` is its lesion there. Where it has none, ``lesionStudy`` is another study that has one, ``lesion`` the
    number there, and the marker stands at the place where the lesion would be.
    """

    track: str
    studyId: int
    lesionStudy: int
    lesion: int
    name: str  # class or status
    ras: Ras


def classesOf(results: Results, studyIds: Sequence[int]) -> dict[str, dict[int, str]]:
    """What became of each track on some studies, by track and study: its class, or its status where it has none.

    On the first study a lesion has the class that it has on the last one: there it is seen what will become of it.
    """
    found: dict[str, dict[int, str]] = {}
    for track in results.tracks:
        cells = {cell.study_id: cell for cell in track.cells}
        names = {each: cells[each].response or cells[each].status for each in studyIds if each in cells}
        last = names.get(studyIds[-1], "")
        if names.get(studyIds[0]) and last and cells[studyIds[-1]].response:
            names[studyIds[0]] = last
        found[track.label] = {study: name for study, name in names.items() if name}
    return found


def markersOf(results: Results, studyIds: Sequence[int], classes: Classes, points: StudyPoints) -> list[Marker]:
    """The markers of some studies: each lesion at its hottest point, and where one was or will be, its place."""
    hottest = {
        (study.study_id, each.lesion): each.measures.hottest_mm
        for study in results.studies
        if study.study_id in studyIds
        for each in study.lesions
    }
    made: list[Marker] = []
    placed: dict[tuple[int, int], list[tuple[str, int, str]]] = {}  # by way: track, lesion, class
    for track in results.tracks:
        cells = {cell.study_id: cell for cell in track.cells}
        for study in studyIds:
            name = classes.get(track.label, {}).get(study, "")
            source = _sourceOf(cells, study, studyIds) if name else None
            if source is None or (source, cells[source].lesion) not in hottest:
                continue
            lesion = cells[source].lesion
            if source == study:
                made.append(Marker(track.label, study, study, lesion, name, rasFromLps(hottest[study, lesion])))
            else:
                placed.setdefault((source, study), []).append((track.label, lesion, name))
    for (source, study), tracks in placed.items():
        there = points.inStudyAll([hottest[source, lesion] for _track, lesion, _name in tracks], source, study)
        for (track, lesion, name), place in zip(tracks, there or [], strict=False):
            made.append(Marker(track, study, source, lesion, name, rasFromLps(place)))
    return made


def placesOf(results: Results, track: str, slots: Mapping[int, int], points: StudyPoints) -> dict[int, Ras]:
    """Where a track is in the study of each slot (RAS mm): at its lesion, or where that of the nearest study would be.

    Slots whose study no registration reaches have none; nor has any for a track that there is not.
    """
    cells = next((each.cells for each in results.tracks if each.label == track), ())
    lesions = {cell.study_id: cell.lesion for cell in cells}
    order = [study.study_id for study in results.studies]
    known = {
        study.study_id: each.measures.hottest_mm
        for study in results.studies
        if study.study_id in slots.values()
        for each in study.lesions
        if lesions.get(study.study_id) == each.lesion
    }
    places = {}
    for slot, study in slots.items():
        nearest = sorted(known, key=lambda each: abs(order.index(each) - order.index(study)))
        options = (points.inStudy(known[each], each, study) for each in nearest)
        point = next((each for each in options if each is not None), None)
        if point is not None:
            places[slot] = rasFromLps(point)
    return places


def _sourceOf(cells: Mapping[int, TrackCell], study: int, studyIds: Sequence[int]) -> int | None:
    """The study whose lesion a marker stands for: this one, else the last before it, else the first after it."""
    at = studyIds.index(study)
    order = [study, *reversed(studyIds[:at]), *studyIds[at + 1 :]]
    return next((each for each in order if each in cells and cells[each].lesion is not None), None)
