"""What a command says: a progress bar and lines of text for people, or JSON Lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Console:
    """Where a command reports to. Progress and errors go to standard error, results to standard output.

    With ``json_lines`` everything goes to standard output, one JSON object a line.
    """

    def __init__(self, json_lines: bool = False, quiet: bool = False) -> None:
        self._json_lines = json_lines
        self._quiet = quiet
        self._bar: Any = None
        self._told: tuple[float, str] | None = None

    def progress(self, fraction: float, message: str) -> None:
        """Show how far the work is, ``fraction`` from 0 to 1; nothing where it has not moved on."""
        now = (round(fraction, 4), message)
        if now == self._told:  # work that asks at every step whether to go on says the same many times
            return
        self._told = now
        if self._json_lines:
            self._write({"event": "progress", "fraction": now[0], "message": message})
        elif not self._quiet:
            self._show(fraction, message)

    def done(self, result: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Report success: ``result`` for programs, ``lines`` for people."""
        if self._json_lines:
            self._write({"event": "done", "result": result})
            return
        self.close()
        sys.stdout.write("\n".join(lines) + "\n")

    def error(self, kind: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Report why the work ended early; ``details`` is for programs.

        ``kind`` is "input", "case", "memory" or "cancelled".
        """
        if self._json_lines:
            self._write({"event": "error", "kind": kind, "message": message, "details": dict(details or {})})
            return
        self.close()
        sys.stderr.write(f"psma: {message}\n")

    @property
    def can_ask(self) -> bool:
        """Whether a person sits in front of it who can be asked."""
        return not self._json_lines and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def asking(self) -> Callable[[str], bool] | None:
        """``confirm``, for what needs a person's leave; None where nobody can be asked."""
        return self.confirm if self.can_ask else None

    def confirm(self, question: str) -> bool:
        """Ask a person, on the terminal; only "y" or "yes" is a yes."""
        self.close()
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def close(self) -> None:
        """Take the progress bar away, if one is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, fraction: float, message: str) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=100, bar_format="{percentage:3.0f}% |{bar:30}| {elapsed} {desc}", file=sys.stderr)
        self._bar.n = round(100 * fraction)
        self._bar.set_description_str(message)

    def _write(self, event: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
        sys.stdout.flush()
