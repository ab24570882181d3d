"""Which case is open: one answer for the three modules, kept in the scene; and who is told that it was changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import Results

NODE_TAG = "PSMATheranosticsCase"
FOLDER = "PSMATheranostics.CaseFolder"

_followers: list[Callable[[], None]] = []
_known: list[tuple[Path, str, Results]] = []  # what a case said in one state of it, at most one: all modules ask


def caseNode() -> slicer.vtkMRMLScriptedModuleNode:
    """The node that says which case is open; modules observe it to notice a change."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(NODE_TAG, "vtkMRMLScriptedModuleNode")
    if node is None:
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(NODE_TAG)
        node.SetName(NODE_TAG)
        node = scene.AddNode(node)
    return node


def caseFolder() -> Path | None:
    """Folder of the open case, None where no case is open. The folder may not hold a case yet."""
    folder = caseNode().GetAttribute(FOLDER)
    return Path(folder) if folder else None


def setCaseFolder(folder: Path | None) -> None:
    """Open another case, or none."""
    node = caseNode()
    node.SetAttribute(FOLDER, None if folder is None else str(folder))
    node.Modified()
    caseChanged()


def hasCase(folder: Path | None) -> bool:
    """Whether ``folder`` holds a case; not, where it is out of reach, as on a drive that has gone."""
    try:
        return folder is not None and (folder / "case.db").is_file()
    except OSError:  # which a file that was deleted does not raise
        return False


def isThere(folder: Path) -> bool:
    """Whether there is such a folder within reach."""
    try:
        return folder.is_dir()
    except OSError:
        return False


def requireCase() -> Path:
    """Folder of the open case.

    Raises:
        RuntimeError: there is none.
    """
    folder = caseFolder()
    if folder is None or not hasCase(folder):
        raise RuntimeError(_("No case is open. Open or create one in the module PSMA Theranostics."))
    return folder


def openStore(write: bool = False) -> CaseStore:
    """The store of the open case. Open it for writing only for the moment of one change: there is one writer at a time.

    Whoever follows the case is told when a store that was open for writing is closed.

    Raises:
        RuntimeError: no case is open.
        CaseError: the case is damaged, or another program is writing to it.
    """
    from PSMATheranosticsLib.case_store import CaseStore

    return _tellingStore().open(requireCase(), write=True) if write else CaseStore.open(requireCase())


def results() -> Results:
    """What the open case says now. As long as nothing changes, all who ask get the same."""
    from PSMATheranosticsLib.results import collect_results

    with openStore() as case, case.reading():
        folder, state = case.folder, case.state()
        for knownFolder, knownState, known in _known:
            if (knownFolder, knownState) == (folder, state):
                return known
        found = collect_results(case)
    _known[:] = [(folder, state, found)]
    return found


def caseState() -> str:
    """A text that is another one as soon as the open case is another one or was changed; "" where there is none."""
    if not hasCase(caseFolder()):
        return ""
    with openStore() as case:
        return f"{case.folder} {case.state()}"


def followCase(onChanged: Callable[[], None]) -> None:
    """Let ``onChanged`` be called whenever the open case was changed from within Slicer, or another one was opened."""
    if onChanged not in _followers:
        _followers.append(onChanged)


def unfollowCase(onChanged: Callable[[], None]) -> None:
    """Call it no more."""
    if onChanged in _followers:
        _followers.remove(onChanged)


def caseChanged() -> None:
    """Tell all who follow the case that it may have changed. For whoever writes to it without ``openStore``."""
    for onChanged in list(_followers):
        onChanged()


@cache
def _tellingStore() -> type[CaseStore]:
    from PSMATheranosticsLib.case_store import CaseStore

    class TellingStore(CaseStore):
        """A store that tells who follows the case when it is closed."""

        def close(self) -> None:
            super().close()
            caseChanged()

    return TellingStore
