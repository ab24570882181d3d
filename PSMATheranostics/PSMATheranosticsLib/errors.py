"""Errors that the user can act on. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date


class InputError(ValueError):
    """Images, headers or settings handed in by the user that cannot be used as they are.

    ``missing`` names the values that a person can enter by hand to go on (names of ``entered_values.Entered``);
    ``patients`` lists the patient IDs to choose from where the input holds several. ``day`` is that of the study which
    could not be read, None where it is not about one study or its day is not known.
    """

    def __init__(self, message: str, missing: Sequence[str] = (), patients: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.patients = tuple(patients)
        self.day: date | None = None


class CaseError(RuntimeError):
    """A case folder that is missing, damaged, locked by another writer or made by a newer program."""


class CaseLocked(CaseError):
    """A case that another program has open for writing; ``case_lock.break_lock`` frees it where that one is gone."""


class Cancelled(Exception):
    """The user stopped the work. Raised by a progress callback; nothing half-written is left behind."""
