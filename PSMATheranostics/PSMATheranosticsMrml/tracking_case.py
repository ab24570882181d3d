"""A followed case as the review sees it: results, what readers decided about tracks, their comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from . import session
from .tables import number, studyName
from .track_queue import Finding, findings, kindName, lesionsOf, numberOf

if TYPE_CHECKING:
    from PSMATheranosticsLib.records import TrackDecisionRecord
    from PSMATheranosticsLib.results_model import LesionChangeResult, LesionResult, Results, TrackCell, TrackResult

Lesion = tuple[int, int]  # study, number


@dataclass(frozen=True)
class TrackingCase:
    """``decisions`` by track and study, ``comments`` by track; ``queue``: all findings, the weightiest first."""

    results: Results
    decisions: Mapping[tuple[str, int], TrackDecisionRecord]
    comments: Mapping[str, TrackDecisionRecord]
    queue: list[Finding] = field(default_factory=list)
    lesions: Mapping[Lesion, LesionResult] = field(default_factory=dict)

    @classmethod
    def read(cls, results: Results) -> TrackingCase:
        """The open case, of which these are the results.

        Raises:
            CaseError: the case cannot be read.
        """
        with session.openStore() as case:
            records = case.track_decisions()
        labels = _labels(results)
        found = [(labels[record.track], record) for record in records if record.track in labels]
        decisions = {(track, each.at_study_id): each for track, each in found if each.at_study_id is not None}
        comments = {track: each for track, each in found if each.at_study_id is None and each.comment}
        lesions = lesionsOf(results)
        decided = {place for place, each in decisions.items() if _stands(each, results, place)}
        return cls(results, decisions, comments, findings(results, lesions, decided), lesions)

    def track(self, label: str) -> TrackResult | None:
        """The track with a label, None where there is none any more."""
        return next((track for track in self.results.tracks if track.label == label), None)

    def cell(self, label: str, studyId: int) -> TrackCell | None:
        """A track at a study."""
        track = self.track(label)
        return next((cell for cell in track.cells if cell.study_id == studyId), None) if track is not None else None

    def places(self, label: str) -> set[int]:
        """The studies at which a track has a lesion."""
        track = self.track(label)
        return {cell.study_id for cell in track.cells if cell.lesion is not None} if track is not None else set()

    def comment(self, label: str) -> str:
        """The comment on a track, "" where there is none."""
        return self.comments[label].comment if label in self.comments else ""

    def commented(self, label: str) -> Lesion | None:
        """The lesion to which the comment on a track is tied: that of the comment there is, else the first one."""
        if label in self.comments:
            return self.comments[label].study_id, self.comments[label].lesion
        track = self.track(label)
        cells = track.cells if track is not None else ()
        return next(((cell.study_id, cell.lesion) for cell in cells if cell.lesion is not None), None)

    def trackOf(self, studyId: int, lesion: int) -> str:
        """The track of a lesion, "" where it has none or does not count."""
        found = self.lesions.get((studyId, lesion))
        return "" if found is None else found.track

    def nameOf(self, lesion: Lesion) -> str:
        """A lesion as people read it: its track, or its number before it was followed, and its study."""
        track = self.trackOf(*lesion) or _("Lesion {number}").format(number=lesion[1])
        return _("{lesion} at {study}").format(lesion=track, study=studyName(self.results.study(lesion[0])))


def pairsOf(results: Results) -> list[tuple[tuple[int, int], str]]:
    """The pairs of studies that were compared: the earlier and the later one, and how people read them."""
    return [
        (
            (each.earlier_id, each.later_id),
            _("{later} against {earlier}").format(
                later=studyName(results.study(each.later_id)), earlier=studyName(results.study(each.earlier_id))
            ),
        )
        for each in results.responses_by_lesion
    ]


def changesOf(results: Results, pair: tuple[int, int] | None) -> dict[str, LesionChangeResult]:
    """What became of each track between two studies."""
    for response in results.responses_by_lesion:
        if (response.earlier_id, response.later_id) == pair:
            return {change.track: change for change in response.changes}
    return {}


def targetText(case: TrackingCase, label: str, studyId: int, pair: tuple[int, int] | None) -> str:
    """A track at a study in two or three lines: what it is there, what waits, what was decided, how it changed."""
    cell = case.cell(label, studyId)
    if cell is None:
        return ""
    place = _("<b>{track}</b> at <b>{study}</b>").format(
        track=escape(label), study=escape(studyName(case.results.study(studyId)))
    )
    volume = "" if cell.volume_ml is None else f"{number(cell.volume_ml, 2)} mL"
    maximum = "" if cell.suv_max is None else _("SUVmax {value}").format(value=number(cell.suv_max, 1))
    facts = [escape(part) for part in (cell.status, volume, maximum) if part] or [_("no lesion")]
    lines = [f"{place}: {', '.join(facts)}. {_standing(case, label, studyId)}".strip()]
    change = changesOf(case.results, pair).get(label)
    if change is not None:
        lines.append(
            _("Class <b>{name}</b>: {reason}").format(name=escape(change.class_), reason=escape(change.reason))
        )
    if case.comment(label):
        lines.append(f"<i>{escape(case.comment(label))}</i>")
    return "<br>".join(lines)


def _standing(case: TrackingCase, label: str, studyId: int) -> str:
    """What was decided about a track at a study, or what waits there."""
    decision = case.decisions.get((label, studyId))
    waiting = [each for each in case.queue if (each.track, each.studyId) == (label, studyId) and not each.decided]
    if decision is not None:
        word = _("accepted") if decision.status == "confirmed" else _("marked {status}").format(status=decision.status)
        told = _("{decision} by {user}").format(decision=word, user=decision.user)
        if waiting and decision.status == "confirmed":
            told = _("was accepted as {status} by {user}; look again").format(
                status=decision.proposed, user=decision.user
            )
        return escape(told[0].upper() + told[1:] + ".")
    return escape(_("Waits: {finding}.").format(finding=kindName(waiting[0].kind).lower())) if waiting else ""


def _labels(results: Results) -> dict[int | None, str]:
    """Labels of tracks by their numbers, as the case makes them."""
    return {numberOf(track.label): track.label for track in results.tracks}


def _stands(decision: TrackDecisionRecord, results: Results, place: tuple[str, int]) -> bool:
    """Whether a decision is about what the track still is: what was accepted as new is not accepted as gone."""
    if decision.status != "confirmed":
        return True
    cells = next(track.cells for track in results.tracks if track.label == place[0])
    return any(cell.study_id == place[1] and cell.status == decision.proposed for cell in cells)
