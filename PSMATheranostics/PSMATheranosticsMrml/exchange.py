"""The menu for cases and DICOM objects that come from elsewhere or go elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from . import session


class ExchangeMenu:
    """Binds the menu of ``moreButton``; ``start`` runs commands of ``psma``, ``onCase`` opens a case that came in."""

    def __init__(self, ui: Any, start: Callable[..., None], onCase: Callable[[Path], None]) -> None:
        self._button = ui.moreButton
        self._start = start
        self._onCase = onCase
        menu = qt.QMenu(ui.moreButton)
        menu.setToolTipsVisible(True)
        self._dicom = self._add(
            menu,
            _("Export DICOM objects..."),
            _("Write lesions and results of all studies as DICOM SEG, SR, RTSTRUCT and real-world value map."),
            self.exportDicom,
        )
        self._export = self._add(
            menu,
            _("Export case to one file..."),
            _("Write the whole case with its history as one file, to keep it or hand it on."),
            self.exportCase,
        )
        menu.addSeparator()
        self._import = self._add(
            menu,
            _("Import case from a file..."),
            _("Unpack a case that was exported as one file into an empty folder, and open it."),
            self.importCase,
        )
        ui.moreButton.setMenu(menu)

    def update(self, hasStudies: bool, isRunning: bool) -> None:
        """Enable what can be done now."""
        self._dicom.enabled = self._export.enabled = hasStudies and not isRunning
        self._import.enabled = not isRunning

    def exportDicom(self) -> None:
        """Ask for a folder and write DICOM objects into it."""
        folder = qt.QFileDialog.getExistingDirectory(self._button, _("Folder for the DICOM objects"), _home())
        if folder:
            self._start([["dicom", str(session.requireCase()), "--to", folder]])

    def exportCase(self) -> None:
        """Ask for a file and write the case into it."""
        from PSMATheranosticsLib.case_archive import SUFFIX

        case = session.requireCase()
        proposed = str(case.parent / f"{case.name}{SUFFIX}")
        file = qt.QFileDialog.getSaveFileName(self._button, _("File for the whole case"), proposed, _caseFiles())
        if file:
            named = file.endswith(SUFFIX)  # of this very file the dialog has asked whether it may be replaced
            self._start([["export", str(case), file, "--overwrite"] if named else ["export", str(case), file + SUFFIX]])

    def importCase(self) -> None:
        """Ask for a file and a folder, unpack the case and open it."""
        file = qt.QFileDialog.getOpenFileName(self._button, _("File with an exported case"), _home(), _caseFiles())
        if not file:
            return
        folder = qt.QFileDialog.getExistingDirectory(
            self._button, _("Empty folder for the case"), str(Path(file).parent)
        )
        if folder:
            self._start([["import", file, "--case", folder]], lambda _result: self._onCase(Path(folder)))

    def _add(self, menu: qt.QMenu, text: str, toolTip: str, action: Callable[[], None]) -> qt.QAction:
        entry = menu.addAction(text)
        entry.toolTip = toolTip
        entry.connect("triggered(bool)", lambda _checked=False: action())
        return entry


def _caseFiles() -> str:
    from PSMATheranosticsLib.case_archive import SUFFIX

    return _("PSMA cases (*{suffix})").format(suffix=SUFFIX)


def _home() -> str:
    case = session.caseFolder()
    return "" if case is None else str(case.parent)
