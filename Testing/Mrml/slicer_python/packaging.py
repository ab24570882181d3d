"""`slicer.packaging` that refuses: a test never installs a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_requirements(path: str | Path) -> list[str]:
    """Requirements of a text file, one a line, comments left out."""
    lines = (line.partition("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def pip_install(requirements: Any, **options: Any) -> None:
    raise RuntimeError(f"a test must not install packages: {requirements}")


def pip_ensure(requirements: Any, **options: Any) -> None:
    raise RuntimeError(f"a test must not install packages: {requirements}")
