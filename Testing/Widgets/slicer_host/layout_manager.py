"""Behaviour of the layout manager: the real layout logic makes the view nodes, slice logics come with them.

Its viewport shows the slice views of the layout, side by side as the layout's description says.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import slicer
from PySide6 import QtCore, QtWidgets

from .ctk_widgets import row
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
    """Slice node, composite node, logic and view; the bar with the controls is missing."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_slice_logic: Any = None
        self._sim_view = build("qMRMLSliceView")()
        row(self, self._sim_view)

    def sliceView(self) -> Any:
        return self._sim_view

    viewWidget = sliceView

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
        self._sim_viewport: Any = None
        self._sim_layout_logic = slicer.vtkMRMLLayoutLogic()
        self._sim_layout_logic.SetMRMLScene(slicer.mrmlScene)
        node = self._sim_layout_logic.GetLayoutNode()
        node.SetViewArrangement(node.SlicerLayoutFourUpView)
        self._sim_arranged = node.SlicerLayoutFourUpView
        self._sim_observer = SceneObserver(self, lambda manager: manager._follow_layout())
        self._sim_observer.observe(node, "ModifiedEvent")
        # The crosshair manager of the wheel loses the slice logic of its view when a scene is closed.
        self._sim_scene_observer = SceneObserver(self, lambda manager: manager._renew_views())
        self._sim_scene_observer.observe(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent)
        self._update_slices()

    def _renew_views(self) -> None:
        for widget in self._sim_slices.values():
            widget.sliceView()._renew_view()

    def _follow_layout(self) -> None:
        """Show what the layout node says, whoever changed it, and tell once."""
        self._update_slices()
        number = self.layout
        described = self._sim_layout_logic.GetLayoutNode().GetCurrentLayoutDescription()
        if described and number != self._sim_arranged:
            self._sim_arranged = number
            self._arrange()
            self.layoutChanged.emit(number)

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
        node.SetViewArrangement(number)
        self._follow_layout()

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
            widget.sliceView().setMRMLSliceNode(node)
            for _ in range(self._sim_paused):
                widget.sliceView().pauseRender()
            if known is not None:
                known.sliceView().setMRMLSliceNode(None)
                logics.RemoveItem(known.sliceLogic())
                known.deleteLater()
            self._sim_slices[name] = widget
        shown = self._nodes(SLICE_VIEW)
        for node in slicer.util.getNodesByClass(SLICE_VIEW):
            node.SetMappedInLayout(node in shown)

    def viewport(self) -> Any:
        """The widget with the views of the layout."""
        if self._sim_viewport is None:
            self._sim_viewport = QtWidgets.QWidget()
            self._sim_viewport.setLayout(QtWidgets.QVBoxLayout())
            self._sim_viewport.layout().setContentsMargins(0, 0, 0, 0)
            self._arrange()
        return self._sim_viewport

    def _arrange(self) -> None:
        """Put the slice views where the layout's description wants them; other kinds of views are left out."""
        if self._sim_viewport is None:
            return
        for widget in self._sim_slices.values():
            widget.setParent(None)
        layout = self._sim_viewport.layout()
        while layout.count():
            layout.takeAt(0).widget().deleteLater()
        node = self._sim_layout_logic.GetLayoutNode()
        shown = self._widget_of(ElementTree.fromstring(node.GetCurrentLayoutDescription()))
        if shown is not None:
            layout.addWidget(shown)
            shown.show()

    def _widget_of(self, element: Any) -> Any:
        """The widget of a <layout> or <view> of a description, None where nothing of it is shown."""
        if element.tag == "view":
            is_slice = element.get("class") == SLICE_VIEW
            return self._sim_slices.get(element.get("singletontag")) if is_slice else None
        widgets = [found for item in element.findall("item") if (found := self._widget_of(item[0])) is not None]
        if not widgets:
            return None
        directions = QtCore.Qt.Orientation
        box = QtWidgets.QSplitter(directions.Horizontal if element.get("type") == "horizontal" else directions.Vertical)
        for widget in widgets:
            box.addWidget(widget)
            widget.show()  # not before it has a parent: it would be a window of its own and take the keys
        box.setSizes([1000] * len(widgets))
        return box

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
        for widget in self._sim_slices.values():
            widget.sliceView().setRenderPaused(paused)

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)


@simulates("qSlicerLayoutManager")
class LayoutManager:
    """Its only addition, scripted displayable managers, is not simulated."""
