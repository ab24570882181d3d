"""The table of the lesions of one study: hundreds of rows, sorted by any column, several selected at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from .display_presets import BY_STATUS, lesionColor
from .item_table import Cell
from .lesion_looks import lesionLook
from .sorted_table import SortedTable
from .tables import number

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, StudyResult

# As much text as each column shows, and pixels beside it for margins and swatch: the panel is narrow, and tool tips
# tell the rest. The region takes what is left.
_REGION = 2
_SAMPLES = (
    ("88 L88", 26),
    ("\N{CHECK MARK}", 14),
    ("pelvic node", 12),
    ("88.88", 10),
    ("SUVmax", 8),
    ("peak", 14),
    ("888.8", 10),
    ("Origin", 10),
)

Row = tuple[Cell, ...]


class LesionTable:
    """Binds a ``QTableView``. ``onChosen`` gets the lesion that the user made current, with mouse or keys."""

    def __init__(self, view: qt.QTableView, onChosen: Callable[[int], None], onSelected: Callable[[], None]) -> None:
        self._coloring = BY_STATUS
        self._lesions: dict[int, LesionResult] = {}
        self._rows: dict[int, Row] = {}
        self._table: SortedTable[int] = SortedTable(view, lambda lesion, _column: onChosen(lesion), onSelected)
        self._table.setHeadings(columns())
        for column, (text, beside) in enumerate(_SAMPLES):
            view.setColumnWidth(column, view.fontMetrics().horizontalAdvance(text) + beside)
        view.horizontalHeader().setSectionResizeMode(_REGION, qt.QHeaderView.Stretch)

    def show(self, study: StudyResult | None) -> None:
        """Show the lesions of a study, the deleted ones too; only rows that differ from what is shown are touched."""
        lesions = [] if study is None else sorted((*study.lesions, *study.rejected), key=lambda each: each.lesion)
        before, self._lesions = self._lesions, {lesion.lesion: lesion for lesion in lesions}
        self._rows = {
            number: self._rows[number] if before.get(number) == lesion else lesionRow(lesion, self._coloring)
            for number, lesion in self._lesions.items()
        }
        self._table.fill(self._rows)

    def setColoring(self, coloring: str) -> None:
        """Let swatches have the colors of ``display_presets`` from the next ``show`` on."""
        self._coloring = coloring
        self._lesions = {}

    def lesions(self) -> list[int]:
        """All lesions in the order in which they are seen."""
        return self._table.keys()

    def selected(self) -> list[int]:
        """The selected lesions, in the order in which they are seen."""
        return self._table.selected()

    def current(self) -> int | None:
        """The lesion with the cursor, None where there is none."""
        return self._table.current()

    def select(self, lesions: Collection[int], current: int | None = None) -> None:
        """Select lesions and put the cursor on ``current``, the first of them where it is not given; nobody is told."""
        self._table.select(lesions, current)

    def texts(self, lesion: int) -> list[str]:
        """What the row of a lesion says, column by column."""
        return self._table.texts(lesion)


def columns() -> list[tuple[str, str]]:
    """Heading of each column and what it stands for."""
    return [
        (_("Lesion"), _("Number of the lesion in this study, and its track over the studies. Color: status.")),
        (
            "\N{CHECK MARK}",
            _("Reviewed: a reader accepted the lesion. A question mark: found with low evidence and not decided yet."),
        ),
        (_("Region"), _("Region of the body, in brackets while it is a proposal; for a deleted lesion, the reason.")),
        (_("mL"), _("Volume (mL)")),
        (_("SUVmax"), _("Highest SUVbw of the lesion")),
        (_("peak"), _("SUVpeak: highest mean SUVbw of a sphere of 1 mL")),
        (_("TL"), _("TL-PSMA: volume times mean SUVbw (SUV x mL)")),
        (_("Origin"), _("Outline found automatically, corrected by hand, or drawn by hand.")),
    ]


def lesionRow(lesion: LesionResult, coloring: str = BY_STATUS) -> Row:
    """Cells of one lesion, in the order of ``columns``; a deleted one is faint and has no color."""
    isDeleted = lesion.decision == "rejected"
    measures = lesion.measures
    look = lesionLook(lesion.lesion, lesion.track, lesion.tracking_uid, lesion.status)
    name = f"{lesion.lesion} {lesion.track}" if lesion.track else str(lesion.lesion)
    reason = lesion.decision_reason or _("deleted")
    origins = {"automatic": _("auto"), "corrected": _("corrected"), "drawn": _("drawn")}
    numbers = ((measures.volume_ml, 2), (measures.suv_max, 1), (measures.suv_peak, 1), (measures.tl_psma, 1))
    return (
        Cell(
            name,
            toolTip=lesion.reason,
            color=None if isDeleted else lesionColor(look, coloring, lesion.region),
            isFaint=isDeleted,
            sortKey=float(lesion.lesion),
        ),
        _reviewCell(lesion),
        Cell(reason, toolTip=reason, isFaint=True)
        if isDeleted
        else Cell(regionText(lesion), toolTip=_regionTip(lesion)),
        *(
            Cell(number(value, decimals), isNumber=True, isFaint=isDeleted, sortKey=-1.0 if value is None else value)
            for value, decimals in numbers
        ),
        Cell(origins[lesion.mask], toolTip=_originTip(lesion), isFaint=isDeleted),
    )


def regionText(lesion: LesionResult) -> str:
    """Region of a lesion with its site, in brackets while it is a proposal."""
    region = lesion.region
    text = f"{region.name}: {region.site}" if region.name and region.site else region.name or region.site
    return f"({text})" if text and lesion.region_source == "proposed" else text


def _reviewCell(lesion: LesionResult) -> Cell:
    """Whether a reader accepted a lesion, and whether one of low evidence still waits for that."""
    if lesion.reviewed:
        return Cell("\N{CHECK MARK}", toolTip=_("Reviewed"))
    if lesion.low_evidence and lesion.decision == "undecided":
        return Cell("?", toolTip=lesion.reason)
    return Cell("")


def _originTip(lesion: LesionResult) -> str:
    if lesion.probability is None:
        return lesion.origin
    return _("{origin}, mean probability {probability}").format(
        origin=lesion.origin, probability=f"{lesion.probability:.2f}"
    )


def _regionTip(lesion: LesionResult) -> str:
    if lesion.region_source == "proposed":
        return _("Proposed: {reason}").format(reason=lesion.region.reason or regionText(lesion))
    return _("Chosen by a reader") if lesion.region_source == "reader" else ""
