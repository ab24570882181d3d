"""Colors and letters of lesion statuses, in the one place where tables, report and 3D views take them from.

The colors are those of Okabe and Ito (Color Universal Design, 2008), which can be told apart with any common color
vision. The letter says the same without color.
"""

from __future__ import annotations

STATUSES = ("baseline", "persistent", "new", "gone", "merged", "split", "reappeared", "not imaged", "complex")

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
}

# For lesions that were not followed yet.
UNKNOWN_COLOR = (0.0, 0.0, 0.0)


def status_color(status: str) -> tuple[float, float, float]:
    """Color of ``status``, black for "" (not followed yet); ``KeyError`` for a word that is no status."""
    return STATUS_COLORS[status] if status else UNKNOWN_COLOR


def status_hex(status: str) -> str:
    """Color of ``status`` as "#rrggbb"."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in status_color(status))
