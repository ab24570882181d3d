"""Behaviour of qMRMLTableView over a real vtkMRMLTableNode."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets import SceneObserver
from .pythonqt import hide_python_class
from .stand_in import simulates


@hide_python_class
class TableModel(QtCore.QAbstractTableModel):
    """Cells of a table node as text; editable where the node is not locked."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_node: Any = None

    def set_node(self, node: Any) -> None:
        self.beginResetModel()
        self._sim_node = node
        self.endResetModel()

    def rowCount(self, parent: Any = QtCore.QModelIndex()) -> int:  # noqa: B008
        return 0 if self._sim_node is None or parent.isValid() else self._sim_node.GetNumberOfRows()

    def columnCount(self, parent: Any = QtCore.QModelIndex()) -> int:  # noqa: B008
        return 0 if self._sim_node is None or parent.isValid() else self._sim_node.GetNumberOfColumns()

    def data(self, index: Any, role: int = QtCore.Qt.ItemDataRole.DisplayRole) -> Any:
        if role in (QtCore.Qt.ItemDataRole.DisplayRole, QtCore.Qt.ItemDataRole.EditRole):
            return self._sim_node.GetCellText(index.row(), index.column())
        return None

    def setData(self, index: Any, value: Any, role: int = QtCore.Qt.ItemDataRole.EditRole) -> bool:
        self._sim_node.SetCellText(index.row(), index.column(), str(value))
        self._sim_node.GetTable().Modified()
        return True

    def flags(self, index: Any) -> Any:
        flags = QtCore.Qt.ItemFlag.ItemIsSelectable | QtCore.Qt.ItemFlag.ItemIsEnabled
        return flags if self._sim_node.GetLocked() else flags | QtCore.Qt.ItemFlag.ItemIsEditable

    def headerData(self, section: int, orientation: Any, role: int = QtCore.Qt.ItemDataRole.DisplayRole) -> Any:
        if role != QtCore.Qt.ItemDataRole.DisplayRole or self._sim_node is None:
            return None
        if orientation == QtCore.Qt.Orientation.Vertical:
            return str(section + 1)
        name = self._sim_node.GetColumnName(section)
        title = self._sim_node.GetColumnTitle(name) if self._sim_node.GetUseColumnTitleAsColumnHeader() else ""
        return title or name


@simulates("qMRMLTableView", firstRowLocked=False, firstColumnLocked=False)
class TableView:
    """Shows a table node and follows its changes; a click on a header sorts."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_scene: Any = None
        self._sim_node: Any = None
        self._sim_model = TableModel(self)
        self._sim_proxy = QtCore.QSortFilterProxyModel(self)
        self._sim_proxy.setSourceModel(self._sim_model)
        self.setModel(self._sim_proxy)
        self.selectionModel().selectionChanged.connect(lambda: self.selectionChanged.emit())
        self.horizontalHeader().setSectionResizeMode(QtWidgets.QHeaderView.ResizeMode.ResizeToContents)
        self._sim_observer = SceneObserver(self, lambda view: view._sim_model.set_node(view._sim_node))

    def setMRMLScene(self, scene: Any) -> None:
        self._sim_scene = scene
        if scene is None:
            self.setMRMLTableNode(None)
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._sim_scene

    def setMRMLTableNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLTableNode):
            raise TypeError(f"not a table node: {node}")
        self._sim_observer.stop()
        self._sim_node = node
        if node is not None:
            self._sim_observer.observe(node, "ModifiedEvent")
        self._sim_model.set_node(node)

    def mrmlTableNode(self) -> Any:
        return self._sim_node

    def tableModel(self) -> Any:
        return self._sim_model

    def sortFilterProxyModel(self) -> Any:
        return self._sim_proxy

    def copySelection(self) -> None:
        rows: dict[int, list[str]] = {}
        for index in sorted(self.selectedIndexes(), key=lambda i: (i.row(), i.column())):
            rows.setdefault(index.row(), []).append(index.data())
        QtGui.QGuiApplication.clipboard().setText("\n".join("\t".join(cells) for cells in rows.values()))
