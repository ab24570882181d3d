"""Random properties are tested on the same examples in every run: a failure is of the change at hand, not of chance."""

from pathlib import Path

import pytest
from hypothesis import settings
from PSMASegmentLib.networks import package as packages

settings.register_profile("same examples", derandomize=True)
settings.load_profile("same examples")


@pytest.fixture
def own_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of models and trust for one test, which neither reads nor writes that of this computer."""
    folder = tmp_path / "user"
    monkeypatch.setattr(packages, "user_folder", lambda: folder)
    monkeypatch.delenv("PSMA_MODELS", raising=False)
    return folder
