"""Behaviour of qMRMLSubjectHierarchyTreeView over the real subject hierarchy node."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui

from .mrml_widgets import SceneObserver
from .stand_in import simulates

ITEM_ROLE = int(QtCore.Qt.ItemDataRole.UserRole)


@simulates(
    "qMRMLSubjectHierarchyTreeView",
    addNodeMenuActionVisible=True,
    contextMenuEnabled=True,
    editMenuActionVisible=True,
    multiSelection=False,
    nodeTypes=(),
    showRootItem=False,
)
class SubjectHierarchyTreeView:
    """Names of the items as a tree. As in the slicer-core wheel, new data nodes get no item by themselves."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_scene: Any = None
        self._sim_model = QtGui.QStandardItemModel(self)
        self.setModel(self._sim_model)
        self.header().hide()
        self.selectionModel().currentChanged.connect(lambda current, previous: self._announce())
        self._sim_observer = SceneObserver(self, lambda view: view._refill())

    def setMRMLScene(self, scene: Any) -> None:
        self._sim_scene = scene
        self._sim_observer.stop()
        node = self.subjectHierarchyNode()
        if node is not None:
            self._sim_observer.observe(
                node,
                node.SubjectHierarchyItemAddedEvent,
                node.SubjectHierarchyItemRemovedEvent,
                node.SubjectHierarchyItemModifiedEvent,
            )
        self._refill()

    def mrmlScene(self) -> Any:
        return self._sim_scene

    def subjectHierarchyNode(self) -> Any:
        if self._sim_scene is None:
            return None
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._sim_scene)

    def currentItem(self) -> int:
        index = self.currentIndex()
        return int(index.data(ITEM_ROLE)) if index.isValid() else 0

    def currentNode(self) -> Any:
        return self.subjectHierarchyNode().GetItemDataNode(self.currentItem()) if self.currentItem() else None

    def setCurrentItem(self, item: int) -> None:
        for found in self._items():
            if found.data(ITEM_ROLE) == item:
                self.setCurrentIndex(found.index())
                return
        self.selectionModel().clear()

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentItem(self.subjectHierarchyNode().GetItemByDataNode(node) if node is not None else 0)

    def displayedItemCount(self) -> int:
        return len(self._items())

    def _items(self) -> list[Any]:
        found: list[Any] = []
        todo = [self._sim_model.invisibleRootItem()]
        while todo:
            item = todo.pop()
            children = [item.child(i) for i in range(item.rowCount())]
            found += children
            todo += children
        return found

    def _refill(self) -> None:
        current = self.currentItem()
        self._sim_model.clear()
        node = self.subjectHierarchyNode()
        if node is not None:
            self._add_children(node, node.GetSceneItemID(), self._sim_model.invisibleRootItem())
        self.expandAll()
        self.setCurrentItem(current)

    def _add_children(self, node: Any, parent_id: int, parent: Any) -> None:
        children = vtk.vtkIdList()
        node.GetItemChildren(parent_id, children)
        for number in range(children.GetNumberOfIds()):
            item_id = children.GetId(number)
            item = QtGui.QStandardItem(node.GetItemName(item_id))
            item.setData(item_id, ITEM_ROLE)
            parent.appendRow(item)
            self._add_children(node, item_id, item)

    def _announce(self) -> None:
        self.currentItemChanged.emit(self.currentItem())
        self.currentItemsChanged.emit([self.currentItem()] if self.currentItem() else [])
        self.currentNodeChanged.emit(self.currentNode())
