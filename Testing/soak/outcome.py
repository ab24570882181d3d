"""What came of the runs of one kind of fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Counts of one kind of fault.

    ``detected``: the damage was named, or the step was refused with a reason. ``harmless``: what was changed means
    nothing. ``extra``: a step was committed whose acknowledgment got lost, which may be one per run. ``lost``:
    acknowledged steps that are not there any more. ``unexpected``: everything that must not happen, with the seed.
    """

    kind: str
    runs: int = 0
    steps: int = 0
    detected: int = 0
    harmless: int = 0
    extra: int = 0
    lost: int = 0
    unexpected: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing unexpected happened."""
        return not self.lost and not self.unexpected

    @contextmanager
    def run(self, seed: object) -> Iterator[None]:
        """Count one run. What it raises is unexpected, and the next run goes on."""
        self.runs += 1
        start = time.monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a test that hunts for errors nobody thought of
            self.unexpected.append(f"{self.kind}, {seed}: {type(error).__name__}: {error}")
        finally:
            self.seconds += time.monotonic() - start


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as text, and below it what was unexpected."""
    columns: dict[str, Callable[[Outcome], object]] = {
        "kind": lambda o: o.kind,
        "runs": lambda o: o.runs,
        "steps": lambda o: o.steps,
        "detected": lambda o: o.detected,
        "harmless": lambda o: o.harmless,
        "one more": lambda o: o.extra,
        "lost": lambda o: o.lost,
        "unexpected": lambda o: len(o.unexpected),
        "seconds": lambda o: round(o.seconds, 1),
        "": lambda o: o.note,
    }
    rows = [list(columns), *([str(value(outcome)) for value in columns.values()] for outcome in outcomes)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    aligned = [
        [
            cell.ljust(width) if index in (0, len(row) - 1) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    lines = ["  ".join(row).rstrip() for row in aligned]
    return "\n".join([*lines, *(text for outcome in outcomes for text in outcome.unexpected)])
