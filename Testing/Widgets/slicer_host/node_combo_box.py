"""Behaviour of qMRMLNodeComboBox over the real scene."""

from __future__ import annotations

from typing import Any

from PySide6 import QtWidgets

from .ctk_widgets import row
from .mrml_widgets import SceneObserver
from .stand_in import simulates


def _filter(name: str) -> property:
    """A property that decides which nodes are listed."""

    def getter(widget: Any) -> Any:
        return widget._sim_filters[name]

    def setter(widget: Any, value: Any) -> None:
        widget._sim_filters[name] = tuple(value) if isinstance(value, list) else value
        widget._refill()

    return property(getter, setter)


@simulates(
    "qMRMLNodeComboBox",
    addEnabled=True,
    baseName="",
    editEnabled=False,
    interactionNodeSingletonTag="",
    removeEnabled=True,
    renameEnabled=False,
    selectNodeUponCreation=True,
    sizeAdjustPolicy=0,
)
class NodeComboBox:
    """Lists the scene's nodes of the wanted types; follows nodes that come, go and are renamed."""

    noneEnabled = _filter("noneEnabled")
    noneDisplay = _filter("noneDisplay")
    showChildNodeTypes = _filter("showChildNodeTypes")
    hideChildNodeTypes = _filter("hideChildNodeTypes")
    showHidden = _filter("showHidden")
    nodeTypes = _filter("nodeTypes")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_scene = None
        self._sim_nodes: list[Any] = []
        self._sim_last: Any = None
        self._sim_filling = False
        self._sim_attributes: list[tuple[str, str, Any]] = []
        self._sim_filters: dict[str, Any] = {
            "noneEnabled": False,
            "noneDisplay": "None",
            "showChildNodeTypes": True,
            "hideChildNodeTypes": (),
            "showHidden": False,
            "nodeTypes": (),
        }
        self._sim_box = QtWidgets.QComboBox()
        row(self, self._sim_box)
        self._sim_box.currentIndexChanged.connect(lambda index: self._announce())
        self._sim_observer = SceneObserver(self, lambda widget: widget._refill())
        self._sim_names = SceneObserver(self, lambda widget: widget._update_names())

    def setMRMLScene(self, scene: Any) -> None:
        self._sim_observer.stop()
        self._sim_scene = scene
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self._sim_observer.observe(scene, *events)
        self._refill()

    def mrmlScene(self) -> Any:
        return self._sim_scene

    def currentNode(self) -> Any:
        index = self._sim_box.currentIndex
        return self._sim_nodes[index] if 0 <= index < len(self._sim_nodes) else None

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            node = self._sim_scene.GetNodeByID(node) if self._sim_scene is not None and node else None
        self._sim_box.currentIndex = self._sim_nodes.index(node) if node in self._sim_nodes else -1

    @property
    def currentNodeID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    @currentNodeID.setter
    def currentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(node_id)

    def setCurrentNodeIndex(self, index: int) -> None:
        offset = 1 if self.noneEnabled else 0
        self._sim_box.currentIndex = index + offset

    def nodeCount(self) -> int:
        return sum(node is not None for node in self._sim_nodes)

    def nodeFromIndex(self, index: int) -> Any:
        listed = [node for node in self._sim_nodes if node is not None]
        return listed[index] if 0 <= index < len(listed) else None

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._sim_attributes.append((node_type, name, value))
        self._refill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._sim_attributes = [a for a in self._sim_attributes if a[:2] != (node_type, name)]
        self._refill()

    def addNode(self, node_type: str = "") -> Any:
        node_type = node_type or self.nodeTypes[0]
        name = self._sim_scene.GenerateUniqueName(
            self.baseName or node_type.removeprefix("vtkMRML").removesuffix("Node")
        )
        node = self._sim_scene.AddNewNodeByClass(node_type, name)
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._sim_scene.RemoveNode(self.currentNode())

    def _lists(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        wanted = any(node.IsA(t) if self.showChildNodeTypes else node.GetClassName() == t for t in self.nodeTypes)
        if not wanted or node.GetClassName() in self.hideChildNodeTypes:
            return False
        asked = [(name, value) for node_type, name, value in self._sim_attributes if node.IsA(node_type)]
        return all(
            node.GetAttribute(name) is not None and value in (None, "", node.GetAttribute(name))
            for name, value in asked
        )

    def _refill(self) -> None:
        current, scene = self.currentNode(), self._sim_scene
        listed: list[Any] = [None] if self.noneEnabled else []
        listed += [node for node in self._candidates(scene) if self._lists(node)]
        self._sim_filling = True
        self._sim_nodes = listed
        self._sim_box.clear()
        self._sim_box.addItems([node.GetName() or "" if node is not None else self.noneDisplay for node in listed])
        self._sim_box.currentIndex = listed.index(current) if current in listed else (0 if listed else -1)
        self._sim_filling = False
        self._sim_names.stop()
        for node in listed:
            if node is not None:
                self._sim_names.observe(node, "ModifiedEvent")
        self._announce()

    def _candidates(self, scene: Any) -> list[Any]:
        """Nodes that may be listed, in the order of the scene."""
        if scene is None:
            return []
        if len(self.nodeTypes) == 1:  # the usual case, and scenes have hundreds of other nodes
            found = scene.GetNodesByClass(self.nodeTypes[0])
            found.UnRegister(None)
            return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]
        return [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())]

    def _update_names(self) -> None:
        for index, node in enumerate(self._sim_nodes):
            if node is not None and self._sim_box.itemText(index) != node.GetName():
                self._sim_box.setItemText(index, node.GetName())

    def _announce(self) -> None:
        if self._sim_filling:
            return
        node = self.currentNode()
        if node is not self._sim_last:
            self._sim_last = node
            self.currentNodeChanged.emit(node)
            self.currentNodeIDChanged.emit(self.currentNodeID)
