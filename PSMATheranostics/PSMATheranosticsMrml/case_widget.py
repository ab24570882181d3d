"""The life of a panel over the open case: what the three modules do alike when they are entered, left and closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import vtk

from . import session


class CaseWidget:
    """Mixed in before Slicer's own base classes.

    A panel calls ``observeScene`` at the end of its ``setup`` and brings ``logic``, ``_runPanel``,
    ``updateGUIFromParameterNode``, ``_showResults`` and ``_updateEnabled``.
    """

    logic: Any = None
    _parameterNode: Any = None
    _results: Any = None
    _runPanel: Any = None

    def observeScene(self) -> None:
        """Follow the scene from now on, and show the case that is open."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.initializeParameterNode()
        self.refresh()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        if self._runPanel is not None:
            self._runPanel.close()
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        self.refresh()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller: Any, event: str) -> None:
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: str) -> None:
        if self.parent.isEntered:
            self.enter()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: Any) -> None:
        """Let the panel show and change another parameter node, or none."""
        # Not connectGui: it returns no tag to disconnect with, and the observer it adds outlives the wrapper.
        changed = vtk.vtkCommand.ModifiedEvent
        if self._parameterNode is not None:
            self.removeObserver(self._parameterNode.parameterNode, changed, self.updateGUIFromParameterNode)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self.addObserver(parameterNode.parameterNode, changed, self.updateGUIFromParameterNode)
            self.updateGUIFromParameterNode()

    @contextmanager
    def trying(self, told: str, waitCursor: bool = False) -> Iterator[None]:
        """Show an error in a dialog that begins with ``told``, a locked case in the panel, where it can be unlocked."""
        from PSMATheranosticsLib.errors import CaseLocked

        with slicer.util.tryWithErrorDisplay(told, waitCursor=waitCursor):
            try:
                yield
            except CaseLocked as error:
                self._runPanel.sayLocked(f"{told} {error}")

    def onRunState(self) -> None:
        """For the run panel: a run that has ended may have changed the case, however it ended."""
        if self._runPanel.isRunning:
            self._updateEnabled()
        else:
            self.refresh()

    def onHistory(self, message: str) -> None:
        """For the history buttons: show the case after undo or redo, and say what was done."""
        self.refresh()
        self._runPanel.say(message)

    def refresh(self) -> None:
        """Read the case anew and show it."""
        self._results = None
        if session.hasCase(session.caseFolder()):
            try:
                self._results = self.logic.results()
                self.logic.updateScene(self._results)
            except (RuntimeError, OSError) as error:  # the case is damaged or its folder is out of reach
                self._runPanel.sayError(str(error))
        self._showResults()
