"""Rows of the panels' tables: what a study, a lesion and a track look like in a line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .item_table import Cell
from .tables import number, studyName

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_log import LogEntry
    from PSMATheranosticsLib.records import VersionRecord
    from PSMATheranosticsLib.results_model import LesionResult, LinkResult, Results, StudyResult

Row = tuple[str, Sequence[Cell]]
Table = tuple[list[str], list[Row]]

# A case may have thousands of steps, and a table of 5,000 rows takes Qt more than half a second.
_NEWEST_STEPS = 500


def studyTable(results: Results | None, loaded: Collection[int]) -> Table:
    """One row per study, keyed by its id; ``loaded`` are those whose images are in the scene."""
    headings = [_("Study"), _("Date"), _("Lesions"), _("PSMA-TV (mL)"), _("Loaded")]
    rows: list[Row] = []
    for study in results.studies if results is not None else ():
        totals = study.totals
        cells = [
            Cell(studyName(study), toolTip=study.source),
            Cell(study.acquired.date().isoformat()),
            Cell("" if totals is None else str(totals.lesion_count), isNumber=True),
            Cell("" if totals is None else number(totals.psma_tv_ml, 1), isNumber=True),
            Cell(_("yes") if study.study_id in loaded else ""),
        ]
        rows.append((str(study.study_id), cells))
    return headings, rows


def linkTable(results: Results | None, track: str) -> Table:
    """The links of one track: from which lesion to which, what a reader decided, how sure and why."""
    headings = [_("From"), _("To"), _("Kind"), _("Status"), _("Conf."), _("Why")]
    if results is None:
        return headings, []
    rows: list[Row] = []
    for study, lesion, link in _linksOfTrack(results, track):
        earlier = results.study(link.earlier_study_id)
        cells = [
            Cell(f"{earlier.label} #{link.earlier_lesion}"),
            Cell(f"{study.label} #{lesion.lesion}"),
            Cell(link.kind),
            Cell(link.status),
            Cell(number(link.confidence, 2), isNumber=True),
            Cell(link.reason, toolTip=_("{reason}; gap {gap} mm").format(reason=link.reason, gap=f"{link.gap_mm:.1f}")),
        ]
        rows.append((f"{link.earlier_study_id}:{link.earlier_lesion}:{study.study_id}:{lesion.lesion}", cells))
    return headings, rows


def historyTable(entries: Sequence[LogEntry]) -> Table:
    """One row per entry of the log, the last one first, of the newest ones only; what was undone is faint."""
    headings = [_("When"), _("Who"), _("What"), _("State")]
    rows: list[Row] = []
    earlier = max(len(entries) - _NEWEST_STEPS, 0)
    for index, entry in reversed(list(enumerate(entries))[earlier:]):
        isFaint = entry.state in ("undone", "discarded")
        when = f"{entry.time:%Y-%m-%d %H:%M}" + (" (!)" if entry.clock_set_back else "")
        told = _("The clock was set back before this entry.") if entry.clock_set_back else f"{entry.time:%H:%M:%S}"
        since = _("{state} by {user}, {time}").format(
            state=entry.state, user=entry.state_user, time=f"{entry.state_time:%Y-%m-%d %H:%M:%S}"
        )
        cells = [
            Cell(when, toolTip=told, isFaint=isFaint),
            Cell(entry.user, isFaint=isFaint),
            Cell(entry.action, toolTip=entry.action, isFaint=isFaint),
            Cell(entry.state if isFaint else "", toolTip=since, isFaint=isFaint),
        ]
        rows.append((str(index), cells))
    if earlier:
        told = _("{count} earlier entries: the command psma log lists them all.").format(count=earlier)
        rows.append(("", [Cell(""), Cell(""), Cell(told, toolTip=told, isFaint=True), Cell("")]))
    return headings, rows


def versionTable(versions: Sequence[VersionRecord], names: Mapping[str, str]) -> Table:
    """One row per version of a study's lesions, keyed by its place in the list; ``names`` are those people read."""
    headings = [_("Version"), _("When"), _("Who"), _("Edits"), _("Note")]
    rows: list[Row] = []
    for index, version in enumerate(versions):
        cells = [
            Cell(names[version.version]),
            Cell(f"{version.time.astimezone():%Y-%m-%d %H:%M}"),
            Cell(version.user),
            Cell(str(version.edits) if version.edits else "", isNumber=True),
            Cell(version.note, toolTip=version.note),
        ]
        rows.append((str(index), cells))
    return headings, rows


def statusColor(status: str) -> tuple[float, float, float]:
    """Color of a lesion in tables and views; before lesions were followed, the color of the baseline."""
    from PSMATheranosticsLib.status_colors import STATUS_COLORS

    return STATUS_COLORS[status or "baseline"]


def _linksOfTrack(results: Results, track: str) -> list[tuple[StudyResult, LesionResult, LinkResult]]:
    return [
        (study, lesion, link)
        for study in results.studies
        for lesion in study.lesions
        if lesion.track == track
        for link in lesion.links
    ]
