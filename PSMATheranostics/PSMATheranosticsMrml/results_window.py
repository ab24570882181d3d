"""Response and totals in a window of their own, which stays while other modules are used."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from . import cards
from .item_table import Cell, fillTable
from .psa_panel import psaLines
from .sign_off_panel import signOffLines
from .tables import number, signed, studyName

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results, StudyResult

_SIZE = 380, 460
_ROW = 22  # height of a row of the table


class ResultsWindow:
    """A floating window. ``onJump`` gets track and study of a link; ``onOpened`` is called when it is shown."""

    def __init__(self, onJump: Callable[[str, int], None], onOpened: Callable[[], None]) -> None:
        self._onOpened = onOpened
        self._results: Results | None = None
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setObjectName("psmaResultsWindow")
        self.window.setWindowTitle(_("PSMA results"))
        self.window.setModal(False)
        self.window.resize(*_SIZE)
        self.updatingLabel, self.responseLabel, self.psaLabel, self.stateLabel = (qt.QLabel() for _label in range(4))
        self.totalsTable = qt.QTableWidget()
        self.totalsTable.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.totalsTable.verticalHeader().setVisible(False)
        self.totalsTable.verticalHeader().setDefaultSectionSize(_ROW)
        self.totalsTable.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
        self._layOut()
        self.responseLabel.connect("linkActivated(QString)", lambda link: onJump(*cards.linkedTrack(link)))

    @property
    def isShown(self) -> bool:
        """Whether the window is on the screen."""
        return self.window.visible

    def open(self) -> None:
        """Bring the window to the front."""
        self.window.show()
        self.window.activateWindow()
        self._onOpened()

    def close(self) -> None:
        """Close it for good, when the module is unloaded."""
        self.window.close()
        self.window.deleteLater()

    def show(self, results: Results | None) -> None:
        """Show a case as it is now, or that none is open."""
        self._results = results
        self.updatingLabel.text = "" if results is None else f"<b>{escape(cards.patientName(results.patient))}</b>"
        self._fill(isCurrent=True)

    def showProblem(self, message: str) -> None:
        """Say why the case cannot be shown."""
        self.show(None)
        self.stateLabel.text = escape(message)

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed."""
        self.updatingLabel.text = updatingText()
        self._fill(isCurrent=False)

    def _layOut(self) -> None:
        page = qt.QWidget()
        column = qt.QVBoxLayout(page)
        for widget in (self.updatingLabel, self.responseLabel, self.totalsTable, self.psaLabel, self.stateLabel):
            column.addWidget(widget)
        for label in (self.updatingLabel, self.responseLabel, self.psaLabel, self.stateLabel):
            label.wordWrap = True
            label.setAlignment(qt.Qt.AlignLeft | qt.Qt.AlignTop)
        research = qt.QLabel(_("Research software, not a medical device."))
        research.setAlignment(qt.Qt.AlignCenter)
        column.addStretch(1)
        column.addWidget(research)
        scroll = qt.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(qt.QFrame.NoFrame)
        scroll.setWidget(page)
        outer = qt.QVBoxLayout(self.window)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _fill(self, isCurrent: bool) -> None:
        results = self._results
        response, totals, psa, state = "", [], "", _("No case is open.")
        if results is not None:
            last = results.responses[-1:]
            response = "".join(cards.responseCard(results, each, isCurrent) for each in last) or _("No response yet.")
            totals = [(str(study.study_id), _totals(study)) for study in results.studies]
            psa, state = psaLines(results), signOffLines(results)
        headings = [_("Study"), _("PSMA-TV (mL)"), _("Change (%)"), _("Lesions")]
        fillTable(self.totalsTable, headings, totals)
        self.totalsTable.setFixedHeight(
            self.totalsTable.horizontalHeader().sizeHint.height() + _ROW * len(totals) + 2 * self.totalsTable.frameWidth
        )
        self.totalsTable.setVisible(bool(totals))
        for label, text in ((self.responseLabel, response), (self.psaLabel, psa), (self.stateLabel, state)):
            label.text = text
            label.setVisible(bool(text))
        for widget in (self.responseLabel, self.totalsTable, self.psaLabel, self.stateLabel):
            widget.enabled = isCurrent


def updatingText() -> str:
    """What stands above numbers that are not current."""
    return _("<b>Updating:</b> the case has changed, what is gray is not current.")


def _totals(study: StudyResult) -> list[Cell]:
    if study.totals is None:
        return [Cell(studyName(study)), Cell(""), Cell(""), Cell("")]
    change = "" if study.is_baseline else signed(study.change_from_baseline_percent.get("psma_tv_ml"))
    return [
        Cell(studyName(study)),
        Cell(number(study.totals.psma_tv_ml, 1), isNumber=True),
        Cell(change, isNumber=True),
        Cell(str(study.totals.lesion_count), isNumber=True),
    ]
