"""Annotations of a parameter: limits, choices and the default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class Validator:
    """Checks a value before it is stored; `validate` raises ValueError or TypeError."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class IsInstance(Validator):
    kind: Any
    optional: bool = False

    def validate(self, value: Any) -> None:
        if value is None and self.optional:
            return
        if not isinstance(value, self.kind):
            raise TypeError(f"value must be of type {self.kind}, is {value!r} of type {type(value)}")


@dataclass(frozen=True)
class WithinRange(Validator):
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"value must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum(Validator):
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"value must not be below {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum(Validator):
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"value must not be above {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice(Validator):
    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"value must be one of {list(self.choices)}, is {value!r}")


@dataclass(frozen=True)
class Default:
    """Default value of a parameter, or a function that makes it."""

    value: Any = None
    generator: Callable[[], Any] | None = None

    def make(self) -> Any:
        return self.generator() if self.generator is not None else self.value


@dataclass(frozen=True)
class Decimals:
    value: int


@dataclass(frozen=True)
class SingleStep:
    value: float


def first(annotations: Sequence[Any], kind: type) -> Any:
    """The first annotation of a kind, or None."""
    return next((a for a in annotations if isinstance(a, kind)), None)
