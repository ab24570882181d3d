"""Stop a program with everything it started.

PythonSlicer is a launcher: stopping it alone would leave the Python behind it at work on the case. Only the standard
library and what each system brings along are used, so that nothing has to be installed for a cancel.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def descendants(pid: int) -> list[int]:
    """Process ids that stem from ``pid``, children before grandchildren (POSIX)."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in listing.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        born = children.get(waiting.pop(0), [])
        found += born
        waiting += born
    return found


def stopTree(pid: int, force: bool) -> list[int]:
    """Ask ``pid`` and its descendants to stop, or end them at once with ``force``. Returns who was told.

    Windows knows no request that a console program would hear, so there it is always ``force``.
    """
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return [pid]
    told = [*reversed(descendants(pid)), pid]
    endPids(told, force)
    return told


def endPids(pids: list[int], force: bool) -> None:
    """Send SIGTERM, or SIGKILL with ``force``, to those of ``pids`` that are still there (POSIX)."""
    for each in pids:
        try:
            os.kill(each, signal.SIGKILL if force else signal.SIGTERM)
        except ProcessLookupError:
            continue  # it ended by itself meanwhile
