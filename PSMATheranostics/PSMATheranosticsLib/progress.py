"""Progress of long work: one callable that takes a fraction (0 to 1) and a short message, and may raise to cancel."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]


def silent(_fraction: float, _message: str) -> None:
    """Progress that nobody looks at."""


def part(progress: Progress | None, start: float, stop: float, prefix: str = "") -> Progress:
    """Progress of a step that covers ``start`` to ``stop`` of the whole; ``prefix`` says which step it is."""
    if progress is None:
        return silent
    whole = progress

    def report(fraction: float, message: str) -> None:
        bounded = min(max(fraction, 0.0), 1.0)
        whole(start + (stop - start) * bounded, f"{prefix}: {message}" if prefix and message else prefix or message)

    return report
