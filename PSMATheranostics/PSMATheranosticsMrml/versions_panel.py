"""The part of a panel about versions of a study's lesions: automatic, corrected by hand, signed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from . import session
from .case_scene import CURRENT
from .item_table import fillTable, selectedKey
from .panel_rows import versionTable
from .provenance import mark

if TYPE_CHECKING:
    from PSMATheranosticsLib.records import VersionRecord
    from PSMATheranosticsLib.results_model import SegmentationResult


def versions(studyId: int) -> list[VersionRecord]:
    """The versions of the lesions of a study of the open case, none before it was segmented."""
    with session.openStore() as case:
        return case.versions(studyId) if case.segmentation(studyId) is not None else []


def sign(studyId: int, note: str) -> None:
    """Keep the lesions of a study as they are now as its signed version."""
    with session.openStore(write=True) as case:
        case.sign(studyId, note)


def _names(segmentation: SegmentationResult | None) -> dict[str, str]:
    """Versions as people read them: what came from a file was not found automatically here."""
    from PSMATheranosticsLib.labels_import import METHOD

    isImported = segmentation is not None and segmentation.method == METHOD
    return {
        "automatic": _("imported") if isImported else _("automatic"),
        "corrected": _("corrected"),
        "signed": _("signed"),
        CURRENT: _("current"),
    }


class VersionsPanel:
    """Binds the widgets of the section ``versionsCollapsibleButton``.

    ``showLabels`` gets a study and the version whose labels the views are to show; ``trying`` is ``CaseWidget.trying``;
    ``onSigned`` is called when the case has changed.
    """

    def __init__(
        self,
        ui: Any,
        showLabels: Callable[[int, str], None],
        trying: Callable[..., AbstractContextManager[None]],
        onSigned: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._showLabels = showLabels
        self._trying = trying
        self._onSigned = onSigned
        self._studyId: int | None = None
        self._versions: list[VersionRecord] = []
        self._shown = CURRENT
        self._names = _names(None)
        self._isIdle = True
        ui.versionTable.connect("currentCellChanged(int,int,int,int)", lambda *_positions: self._updateEnabled())
        for button, action in (
            (ui.showVersionButton, lambda: self._showVersion(self._selected())),
            (ui.showCurrentButton, lambda: self._showVersion(CURRENT)),
            (ui.signButton, self._sign),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def show(self, studyId: int | None, segmentation: SegmentationResult | None) -> None:
        """Show the versions of a study; the views show its lesions as they are now."""
        self._studyId = studyId
        self._versions = [] if studyId is None else versions(studyId)
        self._shown = CURRENT
        self._names = names = _names(segmentation)
        fillTable(self._ui.versionTable, *versionTable(self._versions, names))
        self._ui.versionsCollapsibleButton.text = self._title(segmentation, names)
        self._updateShown()

    def update(self, isIdle: bool) -> None:
        """Let nothing be signed while a program writes to the case."""
        self._isIdle = isIdle
        self._updateEnabled()

    def _title(self, segmentation: SegmentationResult | None, names: dict[str, str]) -> str:
        if segmentation is None:
            return _("Versions and signature")
        name = names[segmentation.version]
        if segmentation.version == "signed":
            return _("Versions: {version}").format(version=name)
        wasSigned = any(each.version == "signed" for each in self._versions)
        state = _("changed since it was signed") if wasSigned else _("not signed")
        return _("Versions: {version}, {state}").format(version=name, state=state)

    def _selected(self) -> str:
        """The selected version by the name under which its labels can be had, "" where they cannot."""
        key = selectedKey(self._ui.versionTable)
        if not key:
            return ""
        chosen = self._versions[int(key)]
        if chosen.version == "corrected":
            return CURRENT
        later = [each for each in self._versions[int(key) + 1 :] if each.version == "signed"]
        return "" if chosen.version == "signed" and later else chosen.version

    def _showVersion(self, version: str) -> None:
        with self._trying(_("The version cannot be shown."), waitCursor=True):
            self._showLabels(self._studyId, version)
            self._shown = version
            self._updateShown()

    def _sign(self) -> None:
        dialog = qt.QInputDialog(self._ui.signButton.window())
        dialog.setWindowTitle(_("Sign the lesions of this study"))
        dialog.setLabelText(
            _("The lesions as they are now are kept as the signed version, with your login and the time. Note:")
        )
        if dialog.exec_():
            with self._trying(_("The lesions cannot be signed."), waitCursor=True):
                sign(self._studyId, dialog.textValue())
                self._onSigned()

    def _updateShown(self) -> None:
        name = self._names[self._shown]
        told = _("The views show the {version} version; tables and totals are current.")
        self._ui.versionLabel.text = (
            "" if self._shown == CURRENT else f"{mark(_('not current'))} {escape(told.format(version=name))}"
        )
        self._ui.versionLabel.setVisible(self._shown != CURRENT)
        self._updateEnabled()

    def _updateEnabled(self) -> None:
        ui, selected = self._ui, self._selected()
        ui.showVersionButton.enabled = selected not in ("", self._shown)
        ui.showCurrentButton.enabled = self._shown != CURRENT
        ui.signButton.enabled = bool(self._versions) and self._shown == CURRENT and self._isIdle
