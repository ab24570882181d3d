"""Work done ahead by other processes: in its order, the same as without them, and ended with who asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from PSMASegmentLib.training import background
from PSMASegmentLib.training.background import Ahead


def squares(offset: int = 0):
    """What makes items here and in the processes."""
    return partial(square, offset)


def square(offset: int, number: int) -> tuple[int, int]:
    if number == 7:
        raise ValueError("there is no 7")
    if number == 9:
        os._exit(1)
    return number * number + offset, os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_in_the_order_asked_for_and_errors_with_them(workers: int):
    with Ahead(partial(squares, 5), workers) as ahead:
        seen = [ahead.item(number) for number in (3, 4, 5, 6)]
        assert [value for value, _ in seen] == [14, 21, 30, 41]
        assert ({pid for _, pid in seen} == {os.getpid()}) == (workers == 0)
        with pytest.raises(ValueError, match="no 7"):
            ahead.item(7)


def nothing_there():
    raise ValueError("the file is damaged")


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_begin_says_why(workers: int):
    with Ahead(nothing_there, workers) as ahead, pytest.raises(ValueError, match="is damaged"):
        ahead.item(0)


def test_a_process_that_was_ended_is_told_about():
    with Ahead(squares, 1) as ahead, pytest.raises(MemoryError, match="painters: 0"):
        ahead.item(9)


ASKING = """
import sys, time
sys.path[:0] = {path!r}
from test_background import squares
from PSMASegmentLib.training.background import Ahead
if __name__ == "__main__":
    with Ahead(squares, 1) as ahead:
        print(ahead.item(1)[1], flush=True)
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_the_processes_end_when_who_asked_is_killed(tmp_path: Path):
    script = tmp_path / "asking.py"
    library = str(Path(background.__file__).parents[2])
    script.write_text(ASKING.format(path=[str(Path(__file__).parent), library]))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        worker = int(asking.stdout.readline())
        asking.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30.0
    while time.monotonic() < end and not gone(worker):
        time.sleep(0.05)
    assert gone(worker)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    stat = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not stat.strip() or stat.strip().startswith("Z")
