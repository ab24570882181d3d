"""The table of tracks: one row per lesion over time, one column per time point, class, confidence and what waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from .item_table import Cell
from .sorted_table import SortedTable
from .tables import number, studyName
from .track_queue import KINDS, Finding, kindName, numberOf, shortName

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import (
        LesionChangeResult,
        LesionResult,
        Results,
        TrackCell,
        TrackResult,
    )

VOLUME, SUV_MAX, SUV_PEAK, SUV_MEAN, TL_PSMA = "volume", "suv_max", "suv_peak", "suv_mean", "tl_psma"
_LARGEST = float("inf")
_FIRST_STUDY = 3  # column
# As much text as columns show, and pixels beside it for margins and swatch; tool tips tell the rest.
_LEFT = (("L888 *", 12), ("Resolved?", 14), ("▼ decreasing", 26))
_BASELINE, _LATER = ("888.8", 26), ("88.8 +888 %", 26)
_RIGHT = ("0.88", 14)


@dataclass(frozen=True)
class Shown:
    """What the table shows: ``changes`` of the chosen pair of studies, ``findings`` and ``comments`` by track."""

    results: Results
    metric: str
    changes: Mapping[str, LesionChangeResult]
    findings: Mapping[str, Sequence[Finding]]
    comments: Mapping[str, str]
    lesions: Mapping[tuple[int, int], LesionResult]


class TrackTable:
    """Binds a ``QTableView``. ``onChosen`` and ``onClicked`` get track and study, None beside the studies.

    ``onChosen`` is called when the cursor comes to a cell, by mouse or keys, and when it is clicked again;
    ``onClicked`` for the mouse alone.
    """

    def __init__(
        self,
        view: qt.QTableView,
        onChosen: Callable[[str, int | None], None],
        onClicked: Callable[[str, int | None], None],
    ) -> None:
        self._view = view
        self._studies: list[int] = []
        self._table: SortedTable[str] = SortedTable(
            view, lambda track, column: onChosen(track, self._study(column)), lambda: None
        )
        view.connect(
            "clicked(QModelIndex)", lambda index: onClicked(self._table.current(), self._study(index.column()))
        )

    def show(self, shown: Shown | None, wanted: Callable[[TrackResult], bool]) -> None:
        """Show the tracks that are wanted; only rows that differ from what is shown are touched."""
        studies = [] if shown is None else [study.study_id for study in shown.results.studies]
        if self._table.setHeadings(columns(shown)) or studies != self._studies:
            self._studies = studies
            self._setWidths()
        if shown is None:
            self._table.fill({})
            return
        self._table.fill({each.label: trackRow(each, shown) for each in shown.results.tracks if wanted(each)})

    def tracks(self) -> list[str]:
        """All tracks in the order in which they are seen."""
        return self._table.keys()

    def current(self) -> tuple[str, int | None]:
        """Track and study of the cell with the cursor; "" and None where there is none."""
        return self._table.current() or "", self._study(self._table.column())

    def select(self, track: str, studyId: int | None) -> None:
        """Put the cursor on a track at a study; nobody is told."""
        column = self._studies.index(studyId) + _FIRST_STUDY if studyId in self._studies else 0
        self._table.select([track], track, column)

    def texts(self, track: str) -> list[str]:
        """What the row of a track says, column by column."""
        return self._table.texts(track)

    def _study(self, column: int) -> int | None:
        at = column - _FIRST_STUDY
        return self._studies[at] if 0 <= at < len(self._studies) else None

    def _setWidths(self) -> None:
        studies = [_LATER if index else _BASELINE for index in range(len(self._studies))]
        for column, (text, beside) in enumerate([*_LEFT, *studies, _RIGHT]):
            self._view.setColumnWidth(column, self._view.fontMetrics().horizontalAdvance(text) + beside)


def metrics() -> list[tuple[str, str]]:
    """What the columns of the studies can show: key and name."""
    return [
        (VOLUME, _("Volume (mL)")),
        (SUV_MAX, _("SUVmax")),
        (SUV_PEAK, _("SUVpeak")),
        (SUV_MEAN, _("SUVmean")),
        (TL_PSMA, _("TL-PSMA")),
    ]


def columns(shown: Shown | None) -> list[tuple[str, str]]:
    """Heading of each column and what it stands for."""
    headings = [
        (_("Track"), _("One lesion over time. An asterisk: there is a comment.")),
        (
            _("Review"),
            _("What waits for a decision of a reader, the weightiest first; a check mark where all is decided."),
        ),
        (_("Class"), _("How the lesion changed between the two compared studies.")),
    ]
    for study in shown.results.studies if shown is not None else ():
        name = dict(metrics())[shown.metric]
        tip = _("{metric} at {study}, {date}.").format(
            metric=name, study=studyName(study), date=study.acquired.date().isoformat()
        )
        sorting = (
            _("Sorted by value.") if study.is_baseline else _("With the change against the baseline; sorted by it.")
        )
        headings.append((studyName(study), f"{tip} {sorting}"))
    return [
        *headings,
        (
            _("Conf."),
            _("Confidence of the weakest link of the track, from 0 to 1. It ranks links; it is no probability."),
        ),
    ]


def trackRow(track: TrackResult, shown: Shown) -> list[Cell]:
    """Cells of one track, in the order of ``columns``."""
    comment = shown.comments.get(track.label, "")
    label = f"{track.label} *" if comment else track.label
    about = "\n".join(part for part in (regionOf(track, shown.lesions), _parents(track), comment) if part)
    cells = [
        Cell(label, toolTip=about, sortKey=float(numberOf(track.label))),
        _reviewCell(shown.findings.get(track.label, ()), shown.results),
        _classCell(shown.changes.get(track.label)),
    ]
    for cell in track.cells:
        cells.append(_studyCell(cell, cell.study_id == shown.results.baseline_id, shown.metric))
    found = [shown.lesions.get((cell.study_id, cell.lesion or 0)) for cell in track.cells]
    confidences = [link.confidence for lesion in found if lesion is not None for link in lesion.links]
    weakest = min(confidences, default=None)
    cells.append(Cell(number(weakest, 2), isNumber=True, sortKey=_LARGEST if weakest is None else weakest))
    return cells


def regionOf(track: TrackResult, lesions: Mapping[tuple[int, int], LesionResult]) -> str:
    """The region of the first lesion of a track that has one, "" where none has."""
    from .lesion_table import regionText

    found = (lesions.get((cell.study_id, cell.lesion or 0)) for cell in track.cells)
    return next((regionText(lesion) for lesion in found if lesion is not None and regionText(lesion)), "")


def classLegend(changes: Mapping[str, LesionChangeResult]) -> str:
    """The classes that occur, each with its color, its sign and how many lesions are of it, as rich text."""
    from PSMATheranosticsLib.status_colors import CLASS_SIGNS, class_hex
    from PSMATrackingLib.lesion_response import CLASSES

    counts = {name: sum(change.class_ == name for change in changes.values()) for name in CLASSES}
    return " &nbsp; ".join(
        f"<span style='color:{class_hex(name)}'>&#9632;</span>&nbsp;{CLASS_SIGNS[name]}&nbsp;"
        f"{name.replace(' ', '&nbsp;')}&nbsp;{count}"
        for name, count in counts.items()
        if count
    )


def statusText(cell: TrackCell) -> str:
    """The status of a track at a study where the value alone would not say it."""
    return "" if cell.status in ("baseline", "persistent") else cell.status


def _studyCell(cell: TrackCell, isBaseline: bool, metric: str) -> Cell:
    from PSMATheranosticsLib.status_colors import class_color

    value, ratio = _value(cell, metric), cell.ratios.get(metric)
    change = None if isBaseline or value is None or ratio is None else 100.0 * (ratio - 1.0)
    # The numbers first: where a long word does not fit, it is the word that is cut off.
    parts = [_short(value), "" if change is None else f"{change:+.0f} %", statusText(cell)]
    key = value if isBaseline else change
    if key is None:
        key = {"gone": -100.0, "new": _LARGEST}.get(cell.status, -_LARGEST)
    return Cell(
        " ".join(part for part in parts if part),
        toolTip=_studyTip(cell, isBaseline),
        color=class_color(cell.response) if cell.response and not isBaseline else None,
        sortKey=key,
    )


def _studyTip(cell: TrackCell, isBaseline: bool) -> str:
    from PSMATheranosticsLib.status_colors import STATUS_MEANINGS

    lines = [f"{cell.status}: {STATUS_MEANINGS[cell.status]}"] if cell.status else []
    for metric, name in metrics() if cell.volume_ml is not None else ():
        ratio = None if isBaseline else cell.ratios.get(metric)
        change = "" if ratio is None else _(" (x {ratio} of the baseline)").format(ratio=f"{ratio:.2f}")
        lines.append(f"{name}: {_short(_value(cell, metric))}{change}")
    return "\n".join([*lines, *([cell.note] if cell.note else [])])


def _classCell(change: LesionChangeResult | None) -> Cell:
    from PSMATheranosticsLib.status_colors import CLASS_SIGNS, class_color
    from PSMATrackingLib.lesion_response import CLASSES

    if change is None:
        return Cell("", sortKey=float(len(CLASSES)))
    return Cell(
        f"{CLASS_SIGNS[change.class_]} {change.class_}",
        toolTip=change.reason,
        color=class_color(change.class_),
        sortKey=float(CLASSES.index(change.class_)),
    )


def _reviewCell(findings: Sequence[Finding], results: Results) -> Cell:
    if not findings:
        return Cell("", sortKey=float(2 * len(KINDS)))
    waiting = [each for each in findings if not each.decided]
    first = (waiting or findings)[0]
    lines = []
    for each in findings:
        place = f"{kindName(each.kind)}, {studyName(results.study(each.studyId))}"
        lines.append(_("{finding}: decided").format(finding=place) if each.decided else place)
    weight = KINDS.index(first.kind) + (0 if waiting else len(KINDS))
    text = f"{shortName(first.kind)}?" if waiting else "\N{CHECK MARK}"
    return Cell(text, toolTip="\n".join(lines), sortKey=float(weight), isFaint=not waiting)


def _short(value: float | None) -> str:
    return number(value, 1 if value is not None and value >= 10.0 else 2)


def _value(cell: TrackCell, metric: str) -> float | None:
    return getattr(cell, "volume_ml" if metric == VOLUME else metric)


def _parents(track: TrackResult) -> str:
    return _("From {tracks}").format(tracks=", ".join(track.parents)) if track.parents else ""
