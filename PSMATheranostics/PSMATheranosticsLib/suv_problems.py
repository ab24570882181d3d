"""What keeps a series from being quantified, collected so that one message tells all of it with its remedies."""

from __future__ import annotations

from .entered_values import how_to_enter
from .errors import InputError


class Problems:
    """Clauses of one message, each with the values that a person could enter by hand to solve it."""

    def __init__(self) -> None:
        self._clauses: list[str] = []
        self._missing: list[str] = []

    def add(self, clause: str, *enter: str) -> None:
        """Add what is wrong with which attribute; ``enter`` names values of ``entered_values.Entered``."""
        remedy = f" [{' or '.join(map(how_to_enter, enter))}]" if enter else ""
        if clause + remedy not in self._clauses:
            self._clauses.append(clause + remedy)
            self._missing += [name for name in enter if name not in self._missing]

    def __bool__(self) -> bool:
        return bool(self._clauses)

    def error(self, what: str) -> InputError:
        """One error for all of it; ``what`` is e.g. "No SUV can be computed for PT series 4"."""
        remedy = "Complete the header at the scanner or archive and export the series again"
        if self._missing:
            remedy += ", or enter the values named in brackets (on the command line, or in the panel under that name)"
        return InputError(f"{what}: {'; '.join(self._clauses)}. {remedy}.", missing=self._missing)
