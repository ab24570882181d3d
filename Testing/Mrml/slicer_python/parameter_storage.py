"""How parameters of each type are kept in a vtkMRMLScriptedModuleNode, under the same names as in Slicer."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable, Iterable, MutableSequence
from pathlib import Path, PurePath
from typing import Any

import slicer

from .parameter_validators import IsInstance, Validator


class Storage:
    """Writes and reads one parameter of a type; `validators` are checked before anything is written."""

    def __init__(self, default: Any, validators: Iterable[Validator]) -> None:
        self.default = default
        self.validators = list(validators)

    def validate(self, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        self.validate(value)
        with slicer.util.NodeModify(node):
            self._write(node, name, value)

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)

    def read(self, node: Any, name: str) -> Any:
        raise NotImplementedError

    def _write(self, node: Any, name: str, value: Any) -> None:
        raise NotImplementedError


class TextStorage(Storage):
    """Anything with a text form."""

    def __init__(self, default: Any, validators: Iterable[Validator], text: Callable, parse: Callable) -> None:
        super().__init__(default, validators)
        self._text, self._parse = text, parse

    def read(self, node: Any, name: str) -> Any:
        return self._parse(node.GetParameter(name))

    def _write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self._text(value))


class NodeStorage(Storage):
    """A MRML node as a node reference; the empty parameter beside it says that a value (perhaps None) was set."""

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)

    def _write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)


class ObservedList(MutableSequence):
    """A list whose every change is stored at once."""

    def __init__(self, items: list[Any], save: Callable[[list[Any]], None]) -> None:
        self._items, self._save = items, save

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._items[index] = value
        self._save(self._items)

    def __delitem__(self, index: Any) -> None:
        del self._items[index]
        self._save(self._items)

    def insert(self, index: int, value: Any) -> None:
        self._items.insert(index, value)
        self._save(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedList) else other)

    def __repr__(self) -> str:
        return f"ObservedList({self._items})"


class ListStorage(Storage):
    """name_len and name_0, name_1 ..."""

    def __init__(self, element: Storage, validators: Iterable[Validator]) -> None:
        super().__init__([], validators)
        self._element = element

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}_len"))

    def read(self, node: Any, name: str) -> ObservedList:
        items = [self._element.read(node, f"{name}_{i}") for i in range(int(node.GetParameter(f"{name}_len")))]
        return ObservedList(items, lambda changed: self.write(node, name, changed))

    def remove(self, node: Any, name: str) -> None:
        if self.isIn(node, name):
            for index in range(int(node.GetParameter(f"{name}_len"))):
                self._element.remove(node, f"{name}_{index}")
            node.UnsetParameter(f"{name}_len")

    def _write(self, node: Any, name: str, value: Any) -> None:
        items = list(value)
        for item in items:
            self._element.validate(item)
        self.remove(node, name)
        for index, item in enumerate(items):
            self._element.write(node, f"{name}_{index}", item)
        node.SetParameter(f"{name}_len", str(len(items)))


class UnionStorage(Storage):
    """Optional and Union: name_0, name_1 ... of which one is set."""

    def __init__(self, members: list[Storage], default: Any, validators: Iterable[Validator]) -> None:
        super().__init__(default, validators)
        self._members = members

    def isIn(self, node: Any, name: str) -> bool:
        return any(member.isIn(node, f"{name}_{i}") for i, member in enumerate(self._members))

    def read(self, node: Any, name: str) -> Any:
        for index, member in enumerate(self._members):
            if member.isIn(node, f"{name}_{index}"):
                return member.read(node, f"{name}_{index}")
        raise KeyError(f"no value for parameter {name}")

    def remove(self, node: Any, name: str) -> None:
        for index, member in enumerate(self._members):
            member.remove(node, f"{name}_{index}")

    def _write(self, node: Any, name: str, value: Any) -> None:
        fitting = [i for i, member in enumerate(self._members) if _accepts(member, value)]
        if not fitting:
            raise TypeError(f"parameter {name} cannot hold {value!r}")
        self.remove(node, name)
        self._members[fitting[0]].write(node, f"{name}_{fitting[0]}", value)


def _accepts(storage: Storage, value: Any) -> bool:
    try:
        storage.validate(value)
    except (TypeError, ValueError):
        return False
    return True


def split_annotations(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Type and annotations of an `Annotated` or plain type."""
    if typing.get_origin(kind) is typing.Annotated:
        inner, *annotations = typing.get_args(kind)
        return inner, tuple(annotations)
    return kind, ()


def storage_for(kind: Any) -> Storage:
    """The storage of a (possibly annotated) type; TypeError where Slicer's wrapper has none either."""
    inner, annotations = split_annotations(kind)
    limits = [a for a in annotations if isinstance(a, Validator)]
    origin = typing.get_origin(inner)
    if inner is float:
        return TextStorage(0, [IsInstance((int, float)), *limits], str, float)
    if inner is int:
        return TextStorage(0, [IsInstance(int), *limits], str, int)
    if inner is str:
        return TextStorage("", [IsInstance(str), *limits], str, str)
    if inner is bool:
        return TextStorage(False, [IsInstance(bool), *limits], str, lambda text: text == "True")
    if inner is type(None):
        return TextStorage(None, [IsInstance(type(None))], lambda value: "True", lambda text: None)
    if inner in (Path, PurePath):
        return TextStorage(inner(), [IsInstance(inner), *limits], str, inner)
    if origin is list:
        return ListStorage(storage_for(typing.get_args(inner)[0]), limits)
    if origin is typing.Union:
        members = [storage_for(member) for member in typing.get_args(inner)]
        optional = typing.get_args(inner)[-1] is type(None) and len(members) == 2
        return UnionStorage(members, None if optional else members[0].default, limits)
    return _storage_for_class(inner, limits)


def _storage_for_class(kind: Any, limits: list[Validator]) -> Storage:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return TextStorage(next(iter(kind)), [IsInstance(kind), *limits], lambda e: e.name, lambda text: kind[text])
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeStorage(None, [IsInstance(kind, optional=True), *limits])
    if getattr(kind, "allParameters", None) is not None:
        return PackStorage(kind, limits)
    raise TypeError(f"a parameter node cannot hold {kind} (write Optional[X], not X | None)")


class PackStorage(Storage):
    """A parameterPack: name.field for each field; a pack that was read stores every change of its fields."""

    def __init__(self, kind: Any, validators: Iterable[Validator]) -> None:
        super().__init__(kind(), [IsInstance(kind), *validators])
        self._kind = kind

    def isIn(self, node: Any, name: str) -> bool:
        return all(s.isIn(node, f"{name}.{field}") for field, s in self._kind.allParameters.items())

    def remove(self, node: Any, name: str) -> None:
        for field, storage in self._kind.allParameters.items():
            storage.remove(node, f"{name}.{field}")

    def read(self, node: Any, name: str) -> Any:
        values = {field: s.read(node, f"{name}.{field}") for field, s in self._kind.allParameters.items()}
        pack = self._kind(**values)
        object.__setattr__(pack, "_save", lambda changed: self.write(node, name, changed))
        return pack

    def _write(self, node: Any, name: str, value: Any) -> None:
        for field, storage in self._kind.allParameters.items():
            storage.write(node, f"{name}.{field}", getattr(value, field))
