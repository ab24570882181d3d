"""Whether a process of this computer still runs."""

from __future__ import annotations

import ctypes
import os
import sys


def process_runs(pid: int) -> bool:
    """Whether a process with this number runs on this computer now."""
    if pid <= 0:
        return False
    if sys.platform == "win32":  # os.kill would end the process there
        return _runs_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it runs, and belongs to somebody else
        return True
    return True


if sys.platform == "win32":

    def _runs_on_windows(pid: int) -> bool:
        limited_information, still_active = 0x1000, 259
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(limited_information, False, pid)
        if not handle:
            return False
        try:
            code = ctypes.c_ulong()
            return bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code))) and code.value == still_active
        finally:
            kernel.CloseHandle(handle)
