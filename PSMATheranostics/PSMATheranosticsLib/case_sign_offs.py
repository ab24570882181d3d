"""The part of the case store about results that were signed. Content is JSON, as text or compressed when long.

The rows are journaled, and rows in the journal are JSON: compressed content is therefore kept as text (base 64).
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .case_database import readable
from .case_rows import now
from .case_settings import CaseSettings
from .errors import CaseError
from .records import SignOffRecord

_COMPRESSED = "zlib:"
# Shorter content stays text, which anybody can read with an SQLite browser.
_COMPRESS_FROM_CHARACTERS = 2000


class CaseSignOffs(CaseSettings):
    """Signed results of a case. Rows are added, and undone with their step; nothing changes them."""

    def add_sign_off(self, decisive: Mapping[str, Any], snapshot: Mapping[str, Any], note: str = "") -> int:
        """Keep what the user of this case signs now; return its number. See ``sign_off`` for what it means."""
        with self._change("Sign the results of the case") as change:
            number = self._database.rows("SELECT coalesce(max(sign_off), 0) + 1 FROM sign_offs")[0][0]
            row = {
                "sign_off": number,
                "user": self.user,
                "time": now(),
                "note": note,
                "digest": digest_of(decisive),
                "decisive": _packed(_text(decisive)),
                "snapshot": _packed(_text(snapshot)),
            }
            change.insert("sign_offs", row)
        return int(number)

    @readable()
    def sign_offs(self) -> list[SignOffRecord]:
        """All signed results, oldest first, without their snapshots."""
        names = "sign_off, user, time, note, digest, decisive"
        return [_record(row) for row in self._database.rows(f"SELECT {names} FROM sign_offs ORDER BY sign_off")]

    @readable()
    def last_sign_off(self) -> SignOffRecord | None:
        """The results that were signed last; None where none ever were."""
        names = "sign_off, user, time, note, digest, decisive"
        row = self._database.row(f"SELECT {names} FROM sign_offs ORDER BY sign_off DESC LIMIT 1")
        return None if row is None else _record(row)

    @readable()
    def signed_snapshot(self, number: int) -> dict[str, Any]:
        """All results as they were when they were signed. Raises CaseError where the case has no such sign-off."""
        row = self._database.row("SELECT snapshot FROM sign_offs WHERE sign_off = ?", (number,))
        if row is None:
            known = ", ".join(str(row[0]) for row in self._database.rows("SELECT sign_off FROM sign_offs")) or "none"
            raise CaseError(f"The case {self.folder} has no signed results {number}. Signed so far: {known}.")
        return dict(json.loads(_unpacked(row["snapshot"])))


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of content that JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(_text(content).encode()).hexdigest()


def _record(row: sqlite3.Row) -> SignOffRecord:
    return SignOffRecord(
        number=row["sign_off"],
        user=row["user"],
        time=datetime.fromisoformat(row["time"]),
        note=row["note"],
        digest=row["digest"],
        decisive=json.loads(_unpacked(row["decisive"])),
    )


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _packed(text: str) -> str:
    if len(text) < _COMPRESS_FROM_CHARACTERS:
        return text
    return _COMPRESSED + base64.b64encode(zlib.compress(text.encode())).decode()


def _unpacked(stored: str) -> str:
    if not stored.startswith(_COMPRESSED):
        return stored
    try:
        return zlib.decompress(base64.b64decode(stored[len(_COMPRESSED) :], validate=True)).decode()
    except zlib.error as error:
        raise ValueError(f"signed results: {error}") from error
