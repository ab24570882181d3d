"""Work that other processes do ahead of time, in the order it will be asked for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import SimpleITK as sitk

Item = TypeVar("Item", covariant=True)
_AHEAD = 2  # items that each process is ahead


class Maker(Protocol[Item]):
    """Makes items by number; the same item for a number, whoever makes it."""

    def __call__(self, number: int) -> Item:
        """The item of a number."""


class Ahead(Generic[Item]):
    """Items of consecutive numbers, made by ``workers`` processes while the last one is used; by this one with 0.

    ``begin`` is called once in each process and gives what makes items there; it must be one that can be pickled, as
    must be the items. The processes end with this one, however it ends. Used by ``with``.
    """

    def __init__(self, begin: Callable[[], Maker[Item]], workers: int) -> None:
        self._begin, self._workers = begin, workers
        self._own: Maker[Item] | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: dict[int, Future[Item]] = {}

    def __enter__(self) -> Ahead[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._waiting.clear()

    def item(self, number: int) -> Item:
        """The item of a number. Raises what making it raises, and MemoryError where a process was ended."""
        if not self._workers:
            self._own = self._own or self._begin()
            return self._own(number)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers, multiprocessing.get_context("spawn"), _start, (self._begin,)
            )
        try:
            for wanted in range(number, number + 1 + _AHEAD * self._workers):
                if wanted not in self._waiting:
                    self._waiting[wanted] = self._pool.submit(_make, wanted)
            return self._waiting.pop(number).result()
        except BrokenProcessPool as error:
            raise MemoryError(
                "A process that works ahead was ended from outside, most likely for want of memory. Set painters: 0, "
                "or use fewer maps."
            ) from error


_begin: Callable[[], Maker[Any]] | None = None
_maker: Maker[Any] | None = None


def _start(begin: Callable[[], Maker[Any]]) -> None:
    """Make a new process ready; it has one core, as its work comes in many pieces."""
    global _begin
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for who asked
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    _begin = begin  # its errors belong to an item: those of a start would only end the process


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make(number: int) -> Any:
    global _maker
    if _maker is None:
        assert _begin is not None
        _maker = _begin()
    return _maker(number)
