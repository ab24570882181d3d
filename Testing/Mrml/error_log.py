"""What went wrong where no caller could see it: exceptions in slots, observers and events, PythonQt complaints.

Qt and VTK call Python from C++, print an exception of the callee and carry on. Every such exception arrives at
`sys.excepthook`, so that is where this module listens; a fixture fails the test if anything was collected.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class HostError:
    """One thing that the real application would have printed or hidden."""

    message: str
    exception: BaseException | None = None

    def __str__(self) -> str:
        if self.exception is None:
            return self.message
        return "".join(traceback.format_exception(self.exception))


class ErrorLog:
    """Collects errors; `expected` takes the ones out that a test wants to happen."""

    def __init__(self) -> None:
        self.errors: list[HostError] = []

    def install(self) -> None:
        sys.excepthook = self._on_exception
        sys.unraisablehook = self._on_unraisable
        threading.excepthook = self._on_thread_exception

    def complain(self, message: str) -> None:
        """Record what real PythonQt or Slicer would print as an error without raising."""
        self.errors.append(HostError(message))

    def take(self) -> list[HostError]:
        """Return what was collected and forget it."""
        taken, self.errors = self.errors, []
        return taken

    @contextmanager
    def expected(self, kind: type[BaseException] = Exception, match: str = "") -> Iterator[None]:
        """Within this block exactly one error of that kind must reach the log; it does not fail the test."""
        before = self.take()
        try:
            yield
        finally:
            inside, self.errors = self.errors, before
        found = [e for e in inside if isinstance(e.exception, kind) and re.search(match, str(e.exception), re.DOTALL)]
        self.errors += [e for e in inside if e not in found[:1]]
        if not found:
            raise AssertionError(f"expected {kind.__name__} matching {match!r}; the log had {[str(e) for e in inside]}")

    def _on_exception(self, kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        self.errors.append(HostError(f"{kind.__name__}: {value}", value.with_traceback(trace)))
        sys.__excepthook__(kind, value, trace)

    def _on_unraisable(self, unraisable: Any) -> None:
        self.errors.append(HostError(f"in {unraisable.object!r}: {unraisable.exc_value}", unraisable.exc_value))

    def _on_thread_exception(self, args: Any) -> None:
        self.errors.append(HostError(f"in thread {args.thread}: {args.exc_value}", args.exc_value))


errors = ErrorLog()
