"""What the logic of PSMA Theranostics can do with a case: open it, change it, make the commands that fill it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from . import session
from .case_logic import CaseLogic

if TYPE_CHECKING:
    import slicer
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import Results


class ResultsLogic(CaseLogic):
    """Mixed into the logic of the module."""

    def openCase(self, folder: Path | str) -> None:
        """Make ``folder`` the open case, or the folder of a new case.

        Raises:
            ValueError: the folder holds something else.
            CaseError: the case is damaged, or was made by an older program and cannot be brought up to date.
        """
        path = Path(folder)
        if not session.hasCase(path) and path.is_dir() and any(path.iterdir()):
            raise ValueError(
                _("{folder} holds no case and is not empty. Choose a case or an empty folder.").format(folder=path)
            )
        if path != session.caseFolder():
            from .tables import removeResults

            removeResults()
        session.setCaseFolder(path)
        if session.hasCase(path):
            self._bringUpToDate()

    def _bringUpToDate(self) -> None:
        from PSMATheranosticsLib.errors import CaseError

        try:
            session.openStore().close()
        except CaseError:
            session.openStore(write=True).close()  # which migrates the case of an older program, and refuses damage

    def importSteps(self, folder: Path, wholeJob: bool, options: Sequence[str] = ()) -> list[list[str]]:
        """Commands that bring the studies in ``folder`` into the case; ``options`` are more options of the program.

        Raises:
            ValueError: there is no such folder, or no case folder was chosen.
        """
        case = session.caseFolder()
        if case is None:
            raise ValueError(_("Open a case or choose a folder for a new one first."))
        if not folder.is_dir():
            raise ValueError(_("There is no folder {folder}.").format(folder=folder))
        listOfStudies = folder / "studies.json"
        source = listOfStudies if listOfStudies.is_file() else folder
        return [["run" if wholeJob else "import", str(source), "--case", str(case), *options]]

    def recomputeSteps(self) -> list[list[str]]:
        """Commands that look for lesions on every PET where nobody has yet, match all anew and write all results."""
        case = str(session.requireCase())
        pets = [study for study in self.results().studies if study.modality == "PET"]
        missing = [study.study_id for study in pets if study.segmentation is None]
        return [*(["segment", case, "--study", str(each)] for each in missing), ["track", case], ["report", case]]

    def reportSteps(self, language: str = "en", paper: str = "a4") -> list[list[str]]:
        """Commands that write report, tables and DICOM files from what the case says now."""
        return [["report", str(session.requireCase()), "--language", language, "--paper", paper]]

    def reportPath(self) -> Path:
        """The report of the case for a browser, which ``reportSteps`` writes."""
        from PSMATheranosticsLib.output_names import REPORT

        return session.requireCase() / REPORT

    def pdfPath(self) -> Path:
        """The same for paper."""
        from PSMATheranosticsLib.output_names import REPORT_PDF

        return session.requireCase() / REPORT_PDF

    def change(self, act: Callable[[CaseStore], object]) -> str:
        """Let ``act`` change the case, which it gets open for writing.

        Returns the name of the step that it made, "" where it changed nothing.

        Raises:
            InputError: it was asked for what cannot be.
            CaseError: the case is damaged, or another program is writing to it.
        """
        with session.openStore(write=True) as case:
            before = case.state()
            act(case)
            return (case.next_undo() or "") if case.state() != before else ""

    def updateTables(self, results: Results) -> tuple[slicer.vtkMRMLTableNode, slicer.vtkMRMLTableNode]:
        """Table nodes with the totals per study and the lesions over time, and the plot that hangs on them."""
        from . import tables

        tables.updatePlot(results)
        return tables.updateTotals(results), tables.updateTracks(results)
