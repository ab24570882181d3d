"""The published format of ``results.json``: a JSON schema (draft 2020-12) that comes with the package.

``results_schema.json`` is kept by hand; a test holds it against the records of ``results_model``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("results_schema.json")


def results_schema() -> dict[str, Any]:
    """The schema, in which every field has a description and its unit."""
    schema: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return schema
