"""Behaviour of the segment editor's widget as far as it is not effects: its nodes, and which segment it works on."""

from __future__ import annotations

from typing import Any

import slicer
from error_log import errors
from PySide6 import QtWidgets

from .ctk_widgets import row
from .mrml_widgets import SceneObserver
from .stand_in import NotSimulated, simulates


@simulates(
    "qMRMLSegmentEditorWidget",
    addRemoveSegmentButtonsVisible=True,
    autoShowSourceVolumeNode=True,
    effectColumnCount=2,
    jumpToSelectedSegmentEnabled=False,
    maskingSectionVisible=True,
    maximumNumberOfUndoStates=10,
    readOnly=False,
    segmentationNodeSelectorVisible=True,
    show3DButtonVisible=True,
    sourceVolumeNodeSelectorVisible=True,
    specifyGeometryButtonVisible=True,
    switchToSegmentationsButtonVisible=True,
    undoEnabled=True,
    unorderedEffectsVisible=True,
)
class SegmentEditorWidget:
    """The nodes and the segment that it works on. No effect, no undo and no button of the editor is simulated.

    What an effect would do, a test does through vtkSlicerSegmentEditorLogic on the same node.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_editor_node: Any = None
        self._sim_effects: tuple[str, ...] = ()
        self._sim_shown: tuple[Any, Any, str] = (None, None, "")
        self._sim_busy = False
        self._sim_views: list[tuple[Any, int]] = []
        self._sim_observer = SceneObserver(self, lambda editor: editor._update())
        row(self, QtWidgets.QLabel("Segment editor (effects are not simulated)"))

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._sim_observer.stop()
        self._sim_editor_node = node
        if node is not None:
            self._sim_observer.observe(node, "ModifiedEvent")
        self._update()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._sim_editor_node

    def setSegmentationNode(self, node: Any) -> None:
        if self._has_node():
            self._sim_editor_node.SetAndObserveSegmentationNode(node)
            self._update()

    def segmentationNode(self) -> Any:
        return None if self._sim_editor_node is None else self._sim_editor_node.GetSegmentationNode()

    def setSourceVolumeNode(self, node: Any) -> None:
        if self._has_node():
            self._sim_editor_node.SetAndObserveSourceVolumeNode(node)
            self._update()

    def sourceVolumeNode(self) -> Any:
        return None if self._sim_editor_node is None else self._sim_editor_node.GetSourceVolumeNode()

    def setCurrentSegmentID(self, segment_id: str) -> None:
        if self._has_node():
            self._sim_editor_node.SetSelectedSegmentID(segment_id)
            self._update()

    def currentSegmentID(self) -> str:
        return "" if self._sim_editor_node is None else self._sim_editor_node.GetSelectedSegmentID() or ""

    def setEffectNameOrder(self, names: Any) -> None:
        self._sim_effects = tuple(names)

    def effectNameOrder(self) -> tuple[str, ...]:
        return self._sim_effects

    def activeEffect(self) -> Any:
        """None: there are no effects that could be active."""

    def setActiveEffectByName(self, name: str) -> None:
        if name:
            raise NotSimulated(f"the effect '{name}' is not simulated: change the segment through the editor's logic")
        if self._has_node():
            self._sim_editor_node.SetActiveEffectName("")

    def setupViewObservations(self) -> None:
        """Observe the views as the editor does; without an effect nothing comes of an event."""
        self.removeViewObservations()
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames():
            interactor = manager.sliceWidget(name).sliceView().interactor()
            for event in ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent"):
                self._sim_views.append((interactor, interactor.AddObserver(event, self._on_view_event, 1.0)))

    def removeViewObservations(self) -> None:
        for interactor, tag in self._sim_views:
            interactor.RemoveObserver(tag)
        self._sim_views = []

    def _on_view_event(self, caller: Any, event: str) -> None:
        if self._sim_editor_node is not None and self._sim_editor_node.GetActiveEffectName():
            raise NotSimulated("an effect was activated on the editor's node, and effects are not simulated")

    def _has_node(self) -> bool:
        if self._sim_editor_node is None:
            errors.complain("qMRMLSegmentEditorWidget: set the segment editor node first")
        return self._sim_editor_node is not None

    def _update(self) -> None:
        """Begin a segmentation with its first segment and the image of its geometry, and tell what is new."""
        if self._sim_busy:
            return
        before, segmentation = self._sim_shown, self.segmentationNode()
        if segmentation is not None and segmentation is not before[0]:
            self._sim_busy = True
            role = segmentation.GetReferenceImageGeometryReferenceRole()
            self._sim_editor_node.SetAndObserveSourceVolumeNode(segmentation.GetNodeReference(role))
            ids = segmentation.GetSegmentation().GetSegmentIDs()
            if ids:
                self._sim_editor_node.SetSelectedSegmentID(ids[0])
            self._sim_busy = False
        now = (segmentation, self.sourceVolumeNode(), self.currentSegmentID())
        self._sim_shown = now
        if now[0] is not before[0]:
            self.segmentationNodeChanged.emit(now[0])
        if now[1] is not before[1]:
            self.sourceVolumeNodeChanged.emit(now[1])
        if now[2] != before[2]:
            self.currentSegmentIDChanged.emit(now[2])
