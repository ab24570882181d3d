"""Colors and signs of lesion statuses and response classes, in the one place where tables, report and views find them.

The colors are those of Okabe and Ito (Color Universal Design, 2008), which can be told apart with any common color
vision. The letter, sign or hatching says the same without color.
"""

from __future__ import annotations

from PSMATrackingLib.lesion_response import CLASSES
from PSMATrackingLib.track_records import STATUSES

__all__ = ["CLASSES", "CLASS_COLORS", "CLASS_HATCHES", "CLASS_MEANINGS", "CLASS_SIGNS", "STATUSES"]

# Red, green, blue, 0 to 1.
STATUS_COLORS: dict[str, tuple[float, float, float]] = {
    "baseline": (0 / 255, 114 / 255, 178 / 255),
    "persistent": (0 / 255, 158 / 255, 115 / 255),
    "new": (213 / 255, 94 / 255, 0 / 255),
    "gone": (85 / 255, 85 / 255, 85 / 255),
    "merged": (240 / 255, 228 / 255, 66 / 255),
    "split": (86 / 255, 180 / 255, 233 / 255),
    "reappeared": (230 / 255, 159 / 255, 0 / 255),
    "not imaged": (187 / 255, 187 / 255, 187 / 255),
    "complex": (204 / 255, 121 / 255, 167 / 255),
    "below detection": (221 / 255, 221 / 255, 221 / 255),
}

STATUS_LETTERS: dict[str, str] = {
    "baseline": "B",
    "persistent": "P",
    "new": "N",
    "gone": "G",
    "merged": "M",
    "split": "S",
    "reappeared": "R",
    "not imaged": "X",
    "complex": "C",
    "below detection": "D",
}

STATUS_MEANINGS: dict[str, str] = {
    "baseline": "there on the first scan of its place",
    "persistent": "goes on from an earlier study",
    "new": "not there on the earlier studies",
    "gone": "no longer found",
    "merged": "now part of another lesion",
    "split": "broke off from another lesion",
    "reappeared": "back after it was gone",
    "not imaged": "its place is outside this scan",
    "complex": "one of several that became several others",
    "below detection": "too small or too faint for this scan",
}

# Response classes: red, green, blue, 0 to 1.
CLASS_COLORS: dict[str, tuple[float, float, float]] = {
    "new": (213 / 255, 94 / 255, 0 / 255),
    "increasing": (230 / 255, 159 / 255, 0 / 255),
    "stable": (153 / 255, 153 / 255, 153 / 255),
    "decreasing": (86 / 255, 180 / 255, 233 / 255),
    "resolved": (0 / 255, 114 / 255, 178 / 255),
    "merged": (240 / 255, 228 / 255, 66 / 255),
    "split": (0 / 255, 158 / 255, 115 / 255),
    "too small": (204 / 255, 204 / 255, 204 / 255),
    "not imaged": (238 / 255, 238 / 255, 238 / 255),
    "uncertain": (204 / 255, 121 / 255, 167 / 255),
}

# One sign for each class, in fonts that every system has.
CLASS_SIGNS: dict[str, str] = {
    "new": "+",
    "increasing": "▲",
    "stable": "=",
    "decreasing": "▼",
    "resolved": "○",
    "merged": "M",
    "split": "S",
    "too small": "<",
    "not imaged": "×",
    "uncertain": "?",
}

# How bars of a class are hatched (as matplotlib writes it), so that they differ in print without color.
CLASS_HATCHES: dict[str, str] = {
    "new": "xxxx",
    "increasing": "////",
    "stable": "",
    "decreasing": "\\\\\\\\",
    "resolved": "....",
    "merged": "||||",
    "split": "----",
    "too small": "..",
    "not imaged": "",
    "uncertain": "++++",
}

CLASS_MEANINGS: dict[str, str] = {
    "new": "not there on the earlier scan",
    "increasing": "above the limits of repeatability",
    "stable": "within them",
    "decreasing": "below them",
    "resolved": "no longer found",
    "merged": "counted with another lesion, into which it went",
    "split": "counted with the lesion that it broke off from",
    "too small": "too little volume on both scans for a ratio",
    "not imaged": "its place was not imaged on both scans",
    "uncertain": "doubtful link, unclear group or missing measure",
}

# For lesions that were not followed yet.
UNKNOWN_COLOR = (0.0, 0.0, 0.0)


def status_color(status: str) -> tuple[float, float, float]:
    """Color of ``status``, black for "" (not followed yet); ``KeyError`` for a word that is no status."""
    return STATUS_COLORS[status] if status else UNKNOWN_COLOR


def status_hex(status: str) -> str:
    """Color of ``status`` as "#rrggbb"."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in status_color(status))


def class_color(name: str) -> tuple[float, float, float]:
    """Color of a response class, black for "" (not compared); ``KeyError`` for a word that is no class."""
    return CLASS_COLORS[name] if name else UNKNOWN_COLOR


def class_hex(name: str) -> str:
    """Color of a response class as "#rrggbb"."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in class_color(name))
