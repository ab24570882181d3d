"""Rows of the panels' tables: what a study, a lesion and a track look like in a line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .item_table import Cell
from .tables import number

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, LinkResult, Results, StudyResult, TrackCell, TrackResult

Row = tuple[str, Sequence[Cell]]
Table = tuple[list[str], list[Row]]


def studyTable(results: Results | None, loaded: Collection[int]) -> Table:
    """One row per study, keyed by its id; ``loaded`` are those whose images are in the scene."""
    headings = [_("Study"), _("Date"), _("Lesions"), _("PSMA-TV (mL)"), _("Loaded")]
    rows: list[Row] = []
    for study in results.studies if results is not None else ():
        totals = study.totals
        cells = [
            Cell(study.label, toolTip=study.source),
            Cell(study.acquired.date().isoformat()),
            Cell("" if totals is None else str(totals.lesion_count), isNumber=True),
            Cell("" if totals is None else number(totals.psma_tv_ml, 1), isNumber=True),
            Cell(_("yes") if study.study_id in loaded else ""),
        ]
        rows.append((str(study.study_id), cells))
    return headings, rows


def lesionTable(study: StudyResult | None) -> Table:
    """One row per lesion of a study, keyed by its number; deleted ones are faint."""
    headings = [_("Lesion"), _("Vol. (mL)"), _("SUVmax"), _("SUVpeak"), _("TL-PSMA"), _("Decision")]
    lesions: list[LesionResult] = [] if study is None else [*study.lesions, *study.rejected]
    lesions.sort(key=lambda lesion: lesion.lesion)
    return headings, [(str(lesion.lesion), _lesionCells(lesion)) for lesion in lesions]


def trackTable(results: Results | None) -> Table:
    """One row per track, keyed by its label: volume and status at each study, and how sure its weakest link is."""
    if results is None:
        return [_("Track"), _("Confidence")], []
    headings = [_("Track"), *(study.label for study in results.studies), _("Confidence")]
    return headings, [(track.label, _trackCells(results, track)) for track in results.tracks]


def linkTable(results: Results | None, track: str) -> Table:
    """The links of one track: from which lesion to which, how sure and why."""
    headings = [_("From"), _("To"), _("Kind"), _("Confidence"), _("Gap (mm)"), _("Why")]
    if results is None:
        return headings, []
    rows: list[Row] = []
    for study, lesion, link in _linksOfTrack(results, track):
        earlier = results.study(link.earlier_study_id)
        cells = [
            Cell(f"{earlier.label} #{link.earlier_lesion}"),
            Cell(f"{study.label} #{lesion.lesion}"),
            Cell(link.kind),
            Cell(number(link.confidence, 2), isNumber=True),
            Cell(number(link.gap_mm, 1), isNumber=True),
            Cell(link.reason, toolTip=link.reason),
        ]
        rows.append((f"{link.earlier_study_id}:{link.earlier_lesion}:{study.study_id}:{lesion.lesion}", cells))
    return headings, rows


def _lesionCells(lesion: LesionResult) -> list[Cell]:
    rejected = lesion.decision == "rejected"
    measures = lesion.measures
    name = f"{lesion.lesion} ({lesion.track})" if lesion.track else str(lesion.lesion)
    decision = _("deleted") if rejected else "" if lesion.decision == "undecided" else lesion.decision
    if lesion.decision_reason:
        decision = f"{decision}: {lesion.decision_reason}"
    return [
        Cell(name, toolTip=lesion.reason, color=None if rejected else statusColor(lesion.status), isFaint=rejected),
        *(
            Cell(number(value, decimals), isNumber=True, isFaint=rejected)
            for value, decimals in (
                (measures.volume_ml, 2),
                (measures.suv_max, 1),
                (measures.suv_peak, 1),
                (measures.tl_psma, 1),
            )
        ),
        Cell(decision, toolTip=decision, isFaint=rejected),
    ]


def _trackCells(results: Results, track: TrackResult) -> list[Cell]:
    cells = [Cell(track.label, toolTip=_parents(track))]
    for found in track.cells:
        color = statusColor(found.status) if found.status else None
        cells.append(Cell(_trackText(found), toolTip=_trackTip(found), color=color))
    confidences = [link.confidence for _study, _lesion, link in _linksOfTrack(results, track.label)]
    cells.append(Cell(number(min(confidences), 2) if confidences else "", isNumber=True))
    return cells


def _trackText(cell: TrackCell) -> str:
    """Volume, and the status where the column and the color alone would not say it."""
    volume = f"{number(cell.volume_ml, 1)} mL" if cell.volume_ml is not None else ""
    status = "" if cell.status in ("baseline", "persistent") else cell.status
    return f"{volume} {status}".strip()


def _trackTip(cell: TrackCell) -> str:
    from PSMATheranosticsLib.status_colors import STATUS_MEANINGS

    meaning = f"{cell.status}: {STATUS_MEANINGS[cell.status]}" if cell.status else ""
    return ". ".join(part for part in (meaning, cell.note) if part)


def statusColor(status: str) -> tuple[float, float, float]:
    """Color of a lesion in tables and views; before lesions were followed, the color of the baseline."""
    from PSMATheranosticsLib.status_colors import STATUS_COLORS

    return STATUS_COLORS[status or "baseline"]


def _parents(track: TrackResult) -> str:
    return _("From {tracks}").format(tracks=", ".join(track.parents)) if track.parents else ""


def _linksOfTrack(results: Results, track: str) -> list[tuple[StudyResult, LesionResult, LinkResult]]:
    return [
        (study, lesion, link)
        for study in results.studies
        for lesion in study.lesions
        if lesion.track == track
        for link in lesion.links
    ]
