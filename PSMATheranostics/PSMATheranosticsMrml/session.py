"""Which case is open: one answer for the three modules, kept in the scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import Results

NODE_TAG = "PSMATheranosticsCase"
FOLDER = "PSMATheranostics.CaseFolder"


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


def hasCase(folder: Path | None) -> bool:
    """Whether ``folder`` holds a case."""
    return folder is not None and (folder / "case.db").is_file()


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

    Raises:
        RuntimeError: no case is open.
        CaseError: the case is damaged, or another program is writing to it.
    """
    from PSMATheranosticsLib.case_store import CaseStore

    return CaseStore.open(requireCase(), write=write)


def results() -> Results:
    """What the open case says now."""
    from PSMATheranosticsLib.results import collect_results

    with openStore() as case:
        return collect_results(case)
