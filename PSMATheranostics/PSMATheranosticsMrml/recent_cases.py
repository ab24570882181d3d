"""The cases opened lately, kept in Slicer's settings."""

from __future__ import annotations

import json
from pathlib import Path

import qt

from .session import hasCase

KEY = "PSMATheranostics/RecentCases"
COUNT = 10


def recentCases() -> list[Path]:
    """Cases opened lately that still exist, last one first."""
    return [path for text in _stored() if hasCase(path := Path(text))]


def rememberCase(folder: Path) -> None:
    """Put a case at the head of the list."""
    recent = [str(folder), *(text for text in _stored() if text != str(folder))]
    qt.QSettings().setValue(KEY, json.dumps(recent[:COUNT]))


def _stored() -> list[str]:
    return json.loads(qt.QSettings().value(KEY, "[]") or "[]")
