"""`slicer.parameterNodeWrapper`: typed attributes over a module's parameter node, and their connection to widgets.

Only for the types and widgets listed in `parameter_storage` and `parameter_gui`; names, storage format and what
happens when are Slicer's. As there, `connectGui` returns nothing, while `connectParametersToGui` returns a tag.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

import slicer
import vtk

from .parameter_gui import Connector, connector_for
from .parameter_storage import ObservedList, Storage, split_annotations, storage_for
from .parameter_validators import (
    Choice,
    Decimals,
    Default,
    Maximum,
    Minimum,
    SingleStep,
    Validator,
    WithinRange,
    first,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Maximum",
    "Minimum",
    "ObservedList",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
    "parameterPack",
]

SlicerParameterNamePropertyName = "SlicerParameterName"


def _storages(cls: type) -> tuple[dict[str, Storage], dict[str, Any]]:
    """Storages and full types of the annotated members, the members' values taken as defaults."""
    kinds = typing.get_type_hints(cls, include_extras=True)
    storages = {}
    for name, kind in kinds.items():
        storages[name] = storage_for(kind)
        default = first(split_annotations(kind)[1], Default)
        if name in vars(cls):
            storages[name].default = vars(cls)[name]
            delattr(cls, name)
        elif default is not None:
            storages[name].default = default.make()
    return storages, kinds


class _Wrapper:
    """What every wrapped class can do."""

    allParameters: typing.ClassVar[dict[str, Storage]]
    _kinds: typing.ClassVar[dict[str, Any]]

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._connections: dict[int, dict[str, Connector]] = {}
        self._updatingGui = False
        for name, storage in self.allParameters.items():
            if not storage.isIn(parameterNode, self._prefix + name):
                storage.write(parameterNode, self._prefix + name, storage.default)

    def getValue(self, name: str) -> Any:
        top, _, rest = name.partition(".")
        storage, stored_name = self._storage(top), self._prefix + top
        if not storage.isIn(self.parameterNode, stored_name):  # closing the scene empties the node
            storage.write(self.parameterNode, stored_name, storage.default)
        value = storage.read(self.parameterNode, stored_name)
        return getattr(value, rest) if rest else value

    def setValue(self, name: str, value: Any) -> None:
        top, _, rest = name.partition(".")
        if rest:
            setattr(self.getValue(top), rest, value)
        else:
            self._storage(top).write(self.parameterNode, self._prefix + top, value)

    def _storage(self, name: str) -> Storage:
        if name not in self.allParameters:
            raise ValueError(f"no parameter {name}; there are {list(self.allParameters)}")
        return self.allParameters[name]

    def default(self, name: str) -> Default:
        return Default(self._storage(name).default)

    @classmethod
    def dataType(cls, name: str) -> Any:
        top, _, rest = name.partition(".")
        if top not in cls._kinds:
            raise ValueError(f"no parameter {top}; there are {list(cls._kinds)}")
        return split_annotations(cls._kinds[top])[0].dataType(rest) if rest else cls._kinds[top]

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: Any) -> None:
        self.parameterNode.EndModify(wasModified)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def AddObserver(self, event: Any, callback: Callable, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, gui: Any) -> None:
        """Connect every widget of a panel that has the property SlicerParameterName."""
        isWidget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren("QWidget") if isWidget else list(gui.__dict__.values())
        named = {w.property(SlicerParameterNamePropertyName): w for w in widgets}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        connectors = {name: connector_for(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag = len(self._connections)
        self._connections[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._writer(name, connector))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._updateGui())
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        if tag is not None:  # what `connectGui` returned
            for connector in self._connections[tag].values():
                connector.onChanged(None)
            self._connections[tag] = {}

    def _writer(self, name: str, connector: Connector) -> Callable[[], None]:
        def write() -> None:
            if not self._updatingGui:
                with slicer.util.NodeModify(self):
                    self.setValue(name, connector.read())

        return write

    def _updateGui(self) -> None:
        if self._updatingGui:
            return
        self._updatingGui = True
        try:
            for connectors in list(self._connections.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updatingGui = False


def _property(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def parameterNodeWrapper(cls: type) -> type:
    """Class decorator: the annotated members become typed parameters of the node given to the constructor."""
    storages, kinds = _storages(cls)
    reserved = [name for name in storages if hasattr(_Wrapper, name)]
    if reserved:
        raise ValueError(f"reserved names in a parameterNodeWrapper: {reserved}")
    members = {name: _property(name) for name in storages}
    own = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    return type(cls.__name__, (_Wrapper,), {**own, **members, "allParameters": storages, "_kinds": kinds})


def isParameterNodeWrapper(classOrObject: Any) -> bool:
    cls = classOrObject if isinstance(classOrObject, type) else type(classOrObject)
    return issubclass(cls, _Wrapper)


def parameterPack(cls: type) -> type:
    """Class decorator: a group of parameters that can be a member of a parameterNodeWrapper."""
    storages, kinds = _storages(cls)

    def init(self: Any, **values: Any) -> None:
        object.__setattr__(self, "_save", None)
        for name, storage in storages.items():
            object.__setattr__(self, name, values.get(name, storage.default))

    def set_(self: Any, name: str, value: Any) -> None:
        if name not in storages:
            raise AttributeError(f"no parameter {name} in {cls.__name__}")
        storages[name].validate(value)
        object.__setattr__(self, name, value)
        if self._save is not None:
            self._save(self)

    def equal(self: Any, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, n) == getattr(other, n) for n in storages)

    cls.allParameters = storages  # type: ignore[attr-defined]
    cls.__init__, cls.__setattr__, cls.__eq__ = init, set_, equal  # type: ignore[assignment,misc,method-assign]
    cls.dataType = staticmethod(lambda name: kinds[name])  # type: ignore[attr-defined]
    return cls
