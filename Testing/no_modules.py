"""Programs in a process of their own, as on a computer where some modules are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_BLOCKED = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *more):
        return None if name.split(".")[0] in BLOCKED else self.finder.find_spec(name, *more)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def run_without(modules: Sequence[str], program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a Python program, with its arguments in ``sys.argv``, that finds none of these modules.

    They are absent as if they had never been installed: scipy trips over None in their place in ``sys.modules``.
    """
    root = Path(__file__).resolve().parents[1]
    paths = [str(root / folder) for folder in ("PSMASegment", "PSMATracking", "PSMATheranostics", "Testing")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    text = f"BLOCKED = {list(modules)!r}\n{_BLOCKED}\n{program}"
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
