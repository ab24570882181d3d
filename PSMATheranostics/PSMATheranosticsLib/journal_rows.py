"""The content of a journal entry: rows before and after a step, as JSON."""

from __future__ import annotations

import json
import zlib
from typing import Any, NamedTuple

from .case_schema import JOURNALED
from .errors import CaseError

Row = dict[str, Any]
# Shorter changes stay text, which anybody can read with an SQLite browser.
_COMPRESS_FROM_BYTES = 2000


class RowChange(NamedTuple):
    """One row before and after a step; ``before`` is None for a new row, ``after`` for a deleted one."""

    table: str
    before: Row | None
    after: Row | None


def encode(changes: list[RowChange]) -> str | bytes:
    """Row changes as JSON text, compressed when long."""
    text = json.dumps(changes, ensure_ascii=False, separators=(",", ":"))
    content = text.encode()
    return zlib.compress(content) if len(content) >= _COMPRESS_FROM_BYTES else text


def decode(content: str | bytes) -> list[RowChange]:
    """Inverse of ``encode``. Raises CaseError where the content is damaged."""
    try:
        text = content if isinstance(content, str) else zlib.decompress(content).decode()
        changes = [RowChange(*part) for part in json.loads(text)]
        if any(change.table not in JOURNALED for change in changes):
            raise ValueError("an unknown table")
    except (ValueError, TypeError, zlib.error) as error:
        raise CaseError(
            f"An entry of the journal cannot be read ({error}): the case is damaged. Restore it from a backup."
        ) from error
    return changes
