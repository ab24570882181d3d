"""Work that waits until the user has seen what he did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class Later:
    """Calls ``act`` when the event loop has turned once, so that neither it nor what is drawn before it takes long.

    Usage:
        later = Later(self.fillTable)
        later.ask(told)  # in an event: the table is filled after the views were drawn
        later.now()  # where the table must be right
    """

    def __init__(self, act: Callable[..., None]) -> None:
        self._act = act
        self._asked: tuple[Any, ...] | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self.now)

    def ask(self, *arguments: Any) -> None:
        """Call ``act`` with these arguments soon; what was asked for before is done first."""
        self.now()
        self._asked = arguments
        self._timer.start()

    def now(self) -> None:
        """Do what was asked for and is not done yet."""
        self._timer.stop()
        arguments, self._asked = self._asked, None
        if arguments is not None:
            self._act(*arguments)

    def forget(self) -> None:
        """Let what was asked for not be done any more."""
        self._timer.stop()
        self._asked = None
