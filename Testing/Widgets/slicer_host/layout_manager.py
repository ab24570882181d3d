"""Behaviour of the layout manager: the real layout logic makes the view nodes, slice logics come with them."""

from __future__ import annotations

from typing import Any

import slicer

from .mrml_widgets import SceneObserver
from .stand_in import NotSimulated, build, simulates

SLICE_VIEW, PLOT_VIEW, TABLE_VIEW, THREE_D_VIEW = (
    "vtkMRMLSliceNode",
    "vtkMRMLPlotViewNode",
    "vtkMRMLTableViewNode",
    "vtkMRMLViewNode",
)


@simulates("qMRMLSliceWidget")
class SliceWidget:
    """Slice node, composite node and logic of one view; nothing is drawn here (see `slice_views` for pictures)."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_slice_logic: Any = None

    def sliceLogic(self) -> Any:
        return self._sim_slice_logic

    logic = sliceLogic

    def mrmlSliceNode(self) -> Any:
        return self._sim_slice_logic.GetSliceNode()

    mrmlAbstractViewNode = mrmlSliceNode

    def mrmlSliceCompositeNode(self) -> Any:
        return self._sim_slice_logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._sim_slice_logic.FitSliceToBackground()

    def setSliceOrientation(self, orientation: str) -> None:
        self.mrmlSliceNode().SetOrientation(orientation)


@simulates("qMRMLLayoutManager")
class MRMLLayoutManager:
    """Layouts are real: their description makes view nodes in the scene."""

    _VIEW_SIZE = (400, 400)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_paused = 0
        self._sim_slices: dict[str, Any] = {}
        self._sim_layout_logic = slicer.vtkMRMLLayoutLogic()
        self._sim_layout_logic.SetMRMLScene(slicer.mrmlScene)
        node = self._sim_layout_logic.GetLayoutNode()
        node.SetViewArrangement(node.SlicerLayoutFourUpView)
        self._sim_observer = SceneObserver(self, lambda manager: manager._update_slices())
        self._sim_observer.observe(node, "ModifiedEvent")
        self._update_slices()

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def layoutLogic(self) -> Any:
        return self._sim_layout_logic

    @property
    def layout(self) -> int:
        return self._sim_layout_logic.GetLayoutNode().GetViewArrangement()

    @layout.setter
    def layout(self, number: int) -> None:
        node = self._sim_layout_logic.GetLayoutNode()
        if not node.IsLayoutDescription(number):
            raise ValueError(f"no layout {number} in this scene: add its description first")
        changed = node.GetViewArrangement() != number
        node.SetViewArrangement(number)
        self._update_slices()
        if changed:
            self.layoutChanged.emit(number)

    def _nodes(self, class_name: str) -> list[Any]:
        shown = self._sim_layout_logic.GetViewNodes()
        nodes = [shown.GetItemAsObject(i) for i in range(shown.GetNumberOfItems())]
        return [node for node in nodes if node.GetClassName() == class_name]

    def _update_slices(self) -> None:
        logics = slicer.app.applicationLogic().GetSliceLogics()
        for node in slicer.util.getNodesByClass(SLICE_VIEW):
            name = node.GetLayoutName()
            known = self._sim_slices.get(name)
            if known is not None and known.mrmlSliceNode() is node:
                continue
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
            logic.SetMRMLScene(slicer.mrmlScene)
            logic.SetSliceNode(node)
            node.SetDimensions(*self._VIEW_SIZE, 1)
            logics.AddItem(logic)
            widget = build("qMRMLSliceWidget")()
            widget._sim_slice_logic = logic
            if known is not None:
                logics.RemoveItem(known.sliceLogic())
            self._sim_slices[name] = widget
        shown = self._nodes(SLICE_VIEW)
        for node in slicer.util.getNodesByClass(SLICE_VIEW):
            node.SetMappedInLayout(node in shown)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(node.GetLayoutName() for node in self._nodes(SLICE_VIEW))

    def sliceWidget(self, name: str) -> Any:
        self._update_slices()
        return self._sim_slices.get(name)

    def mrmlSliceLogics(self) -> Any:
        return slicer.app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self) -> None:
        for name in self.sliceViewNames():
            self.sliceWidget(name).fitSliceToBackground()

    @property
    def threeDViewCount(self) -> int:
        return len(self._nodes(THREE_D_VIEW))

    @property
    def plotViewCount(self) -> int:
        return len(self._nodes(PLOT_VIEW))

    @property
    def tableViewCount(self) -> int:
        return len(self._nodes(TABLE_VIEW))

    def plotWidget(self, index: int) -> Any:
        widget = build("qMRMLPlotWidget")()
        widget.setMRMLScene(slicer.mrmlScene)
        widget.setMRMLPlotViewNode(self._nodes(PLOT_VIEW)[index])
        return widget

    def threeDWidget(self, which: Any) -> Any:
        raise NotSimulated("3D views are not simulated: check threeDViewCount before asking for one")

    def setRenderPaused(self, paused: bool) -> None:
        self._sim_paused += 1 if paused else -1
        if self._sim_paused < 0:
            raise AssertionError("rendering was resumed more often than paused")

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)


@simulates("qSlicerLayoutManager")
class LayoutManager:
    """Its only addition, scripted displayable managers, is not simulated."""
