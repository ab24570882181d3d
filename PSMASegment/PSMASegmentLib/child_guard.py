"""Runs another program and ends it, with everything it started, when who asked for it is gone.

``python child_guard.py PROGRAM ARGUMENT...`` with a pipe as standard input: the end of the pipe means that the parent
has closed it, or died. Ctrl+C is for the parent, and SIGTERM ends both. The exit code is the program's. Only the
standard library is used, so that the file can be run by its path with any Python.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the program of the command line; returns its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=sys.platform != "win32")
    signal.signal(signal.SIGTERM, lambda _signal, _frame: end_tree(child))
    threading.Thread(target=_end_with_parent, args=(child,), daemon=True).start()
    return child.wait()


def _end_with_parent(child: subprocess.Popen[bytes]) -> None:
    # Not sys.stdin: its lock would be held here when the interpreter ends.
    while os.read(0, 4096):
        pass  # nothing is said on the pipe; only its end counts
    end_tree(child)
    os._exit(1)


def end_tree(child: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started, at once. It was started as the leader of a session (POSIX)."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(child.pid)], capture_output=True, check=False)
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself meanwhile


if __name__ == "__main__":
    sys.exit(main())
