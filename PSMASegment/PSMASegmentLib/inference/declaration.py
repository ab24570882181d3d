"""What a site declares once about a model of another maker, in ``psma.json`` in the model's folder.

It holds settings of the method, such as ``{"class_map": "lion-psma", "channels": ["emission"]}``; settings of a single
run lie over them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

DECLARATION_FILE = "psma.json"


def read_declaration(folder: Path, known: Collection[str]) -> dict[str, Any]:
    """The settings that a folder declares; none without the file. Raises ValueError for a damaged or unknown one."""
    path = folder / DECLARATION_FILE
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"The declaration {path} cannot be read ({error}). Correct it, or delete it.") from error
    unknown = sorted(set(values) - set(known)) if isinstance(values, dict) else ["no settings at all"]
    if unknown:
        raise ValueError(f"The declaration {path} holds {', '.join(unknown)}; known are {', '.join(known)}.")
    return dict(values)


def write_declaration(folder: Path, values: Mapping[str, Any]) -> Path:
    """Write the settings that a folder declares. Raises OSError."""
    path = folder / DECLARATION_FILE
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps(dict(values), indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path
