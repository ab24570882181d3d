"""A command of ``psma`` as a job of the worker, which keeps what the command has loaded for the next one."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Any

import SimpleITK as sitk

from .errors import Cancelled
from .image_store import at_hand

COMMANDS = ("segment",)  # what gains from models and images in memory; each other command is a process of its own

Event = dict[str, Any]


def run_command(
    arguments: Sequence[str],
    images: Sequence[sitk.Image],
    say: Callable[[Event], None],
    is_cancelled: Callable[[], bool],
) -> Event:
    """Run ``psma`` with ``arguments`` (without ``--json``); returns the event that it ended with.

    ``images`` are those of the case that are in memory already. ``say`` is told each event before the last one;
    ``is_cancelled`` is asked whenever the command says how far it is, and stops it there. What the command finished
    before is kept.

    Raises ValueError for other commands than ``COMMANDS`` and for arguments that ``psma`` does not know.
    """
    if not arguments or arguments[0] not in COMMANDS:
        raise ValueError(f"The worker runs psma {', '.join(COMMANDS)}, not psma {' '.join(arguments[:1])}.")
    from .command_line import main

    events = _Events(say, is_cancelled)
    kept = signal.getsignal(signal.SIGTERM)
    try:
        with at_hand(images), redirect_stdout(events):
            main([arguments[0], "--json", *arguments[1:]])
    except SystemExit as error:
        raise ValueError(f"psma does not understand its arguments: {' '.join(arguments)}.") from error
    finally:
        signal.signal(signal.SIGTERM, kept)  # psma takes it for itself
    if events.last is None:
        raise ValueError(f"psma {arguments[0]} ended without a result.")
    return events.last


class _Events(io.TextIOBase):
    """Standard output of a command with ``--json``: lines become events, and a cancel stops it at the next progress."""

    def __init__(self, say: Callable[[Event], None], is_cancelled: Callable[[], bool]) -> None:
        super().__init__()
        self.last: Event | None = None
        self._say = say
        self._is_cancelled = is_cancelled
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(json.loads(line))
        return len(text)

    def _take(self, event: Event) -> None:
        if event["event"] != "progress":
            self.last = event
            return
        self._say(event)
        if self._is_cancelled():
            raise Cancelled
