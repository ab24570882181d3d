"""Where the real test images are. They are not part of the project; tests skip without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_data(*parts: str) -> Path:
    """Path of a file or folder of the test data; skips the calling test, saying why, where it is absent."""
    base = Path(os.environ.get("PSMA_TEST_DATA", ROOT / ".." / "shared" / "data"))
    path = base.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no test data at {Path(*parts)}: set PSMA_TEST_DATA to the folder that holds it")
    return path


test_data.__test__ = False  # type: ignore[attr-defined]
