"""Errors that the user can act on. Each message says what is wrong, where, and what to do."""


class InputError(ValueError):
    """Images, headers or settings handed in by the user that cannot be used as they are."""


class CaseError(RuntimeError):
    """A case folder that is missing, damaged, locked by another writer or made by a newer program."""


class Cancelled(Exception):
    """The user stopped the work. Raised by a progress callback; nothing half-written is left behind."""
