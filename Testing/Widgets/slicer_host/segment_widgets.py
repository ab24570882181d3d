"""Behaviour of the widgets that list and select segments."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .ctk_widgets import row
from .mrml_widgets import SceneObserver
from .stand_in import build, simulates


def observe_segments(observer: SceneObserver, node: Any) -> None:
    """Watch a segmentation node for segments that come, go, change or are drawn differently."""
    observer.stop()
    if node is None:
        return
    segmentation = node.GetSegmentation()
    observer.observe(segmentation, segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified)
    observer.observe(node, node.DisplayModifiedEvent)


@simulates(
    "qMRMLSegmentsTableView",
    colorColumnVisible=True,
    filterBarVisible=False,
    headerVisible=True,
    jumpToSelectedSegmentEnabled=False,
    layerColumnVisible=False,
    opacityColumnVisible=True,
    readOnly=False,
    statusColumnVisible=False,
    visibilityColumnVisible=True,
)
class SegmentsTableView:
    """A row for each segment with its colour, name and visibility; selection by segment ID."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_node: Any = None
        self._sim_rows: tuple[str, ...] = ()  # segment ID of each row
        self._sim_table = QtWidgets.QTableWidget(0, 2)
        self._sim_table.setHorizontalHeaderLabels(["", "Name"])
        self._sim_table.horizontalHeader().setStretchLastSection(True)
        self._sim_table.verticalHeader().hide()
        self._sim_table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        row(self, self._sim_table)
        model = self._sim_table.selectionModel()
        model.selectionChanged.connect(lambda chosen, dropped: self.selectionChanged.emit(chosen, dropped))
        self._sim_observer = SceneObserver(self, lambda view: view._refill())

    def setSegmentationNode(self, node: Any) -> None:
        self._sim_node = node
        observe_segments(self._sim_observer, node)
        self._refill()

    def segmentationNode(self) -> Any:
        return self._sim_node

    def displayedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(self._sim_node.GetSegmentation().GetSegmentIDs()) if self._sim_node is not None else ()

    @property
    def segmentCount(self) -> int:
        return len(self.displayedSegmentIDs())

    @property
    def selectionMode(self) -> int:
        return self._sim_table.selectionMode.value

    @selectionMode.setter
    def selectionMode(self, mode: int) -> None:
        self._sim_table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = {index.row() for index in self._sim_table.selectionModel().selectedRows()}
        return tuple(self._sim_rows[r] for r in sorted(rows))

    def setSelectedSegmentIDs(self, ids: Any) -> None:
        model = self._sim_table.selectionModel()
        flags = QtCore.QItemSelectionModel.SelectionFlag
        model.clearSelection()
        for number, segment_id in enumerate(self.displayedSegmentIDs()):
            if segment_id in ids:
                model.select(self._sim_table.model().index(number, 0), flags.Select | flags.Rows)

    def clearSelection(self) -> None:
        self._sim_table.clearSelection()

    def segmentIDForRow(self, number: int) -> str:
        return self.displayedSegmentIDs()[number]

    def rowForSegmentID(self, segment_id: str) -> int:
        ids = self.displayedSegmentIDs()
        return ids.index(segment_id) if segment_id in ids else -1

    def tableWidget(self) -> Any:
        return self._sim_table

    def _refill(self) -> None:
        chosen = self.selectedSegmentIDs()
        self._sim_rows = self.displayedSegmentIDs()
        self._sim_table.setRowCount(len(self._sim_rows))
        for number, segment_id in enumerate(self._sim_rows):
            segment = self._sim_node.GetSegmentation().GetSegment(segment_id)
            swatch = QtWidgets.QTableWidgetItem()
            swatch.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._sim_table.setItem(number, 0, swatch)
            self._sim_table.setItem(number, 1, QtWidgets.QTableWidgetItem(segment.GetName()))
        self.setSelectedSegmentIDs(chosen)


@simulates("qMRMLSegmentSelectorWidget", horizontalLayout=False, multiSelection=False, selectNodeUponCreation=True)
class SegmentSelectorWidget:
    """A node selector and a combo box with the node's segments."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_nodes = build("qMRMLNodeComboBox")()
        self._sim_nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._sim_segments = QtWidgets.QComboBox()
        row(self, self._sim_nodes, self._sim_segments)
        self._sim_observer = SceneObserver(self, lambda selector: selector._refill())
        self._sim_nodes.currentNodeChanged.connect(self._on_node)
        self._sim_segments.currentIndexChanged.connect(
            lambda index: self.currentSegmentChanged.emit(self.currentSegmentID())
        )

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._sim_nodes.setMRMLScene(scene)

    @property
    def noneEnabled(self) -> bool:
        return self._sim_nodes.noneEnabled

    @noneEnabled.setter
    def noneEnabled(self, value: bool) -> None:
        self._sim_nodes.noneEnabled = value

    @property
    def segmentationNodeSelectorVisible(self) -> bool:
        return not self._sim_nodes.isHidden()

    @segmentationNodeSelectorVisible.setter
    def segmentationNodeSelectorVisible(self, value: bool) -> None:
        self._sim_nodes.setVisible(value)

    def currentNode(self) -> Any:
        return self._sim_nodes.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._sim_nodes.setCurrentNode(node)

    def currentNodeID(self) -> str:
        return self._sim_nodes.currentNodeID

    def segmentIDs(self) -> tuple[str, ...]:
        node = self.currentNode()
        return tuple(node.GetSegmentation().GetSegmentIDs()) if node is not None else ()

    def currentSegmentID(self) -> str:
        ids, index = self.segmentIDs(), self._sim_segments.currentIndex
        return ids[index] if 0 <= index < len(ids) else ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        ids = self.segmentIDs()
        self._sim_segments.currentIndex = ids.index(segment_id) if segment_id in ids else -1

    def _on_node(self, node: Any) -> None:
        observe_segments(self._sim_observer, node)
        self._refill()
        self.currentNodeChanged.emit(node)

    def _refill(self) -> None:
        current, node = self.currentSegmentID(), self.currentNode()
        blocked = self._sim_segments.blockSignals(True)
        self._sim_segments.clear()
        ids = self.segmentIDs()
        self._sim_segments.addItems([node.GetSegmentation().GetSegment(i).GetName() for i in ids])
        self._sim_segments.currentIndex = ids.index(current) if current in ids else (0 if ids else -1)
        self._sim_segments.blockSignals(blocked)
        if self.currentSegmentID() != current:
            self.currentSegmentChanged.emit(self.currentSegmentID())
