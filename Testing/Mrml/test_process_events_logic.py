"""The state of a background run, from the bytes it writes to what the panel is told."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st


def line(**event) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


PROGRESS = line(event="progress", fraction=0.4, message="Messe Läsionen")
DONE = line(event="done", result={"studies": [1]})
ERROR = line(event="error", kind="input", message="No weight in the header. Give it with --weight.")


@pytest.fixture
def run(slicer_core):
    from PSMATheranosticsMrml.process_events import PsmaRun

    made = PsmaRun()
    made.started()
    return made


@given(cuts=st.lists(st.integers(0, len(PROGRESS + ERROR + DONE)), max_size=8))
def test_events_are_the_same_wherever_the_pipe_is_cut(slicer_core, cuts):
    from PSMATheranosticsMrml.process_events import JsonLines

    data = PROGRESS + ERROR + DONE
    ends = [0, *sorted(cuts), len(data)]
    lines = JsonLines()
    events = [event for start, end in pairwise(ends) for event in lines.feed(data[start:end])]
    assert events == [json.loads(each) for each in (PROGRESS, ERROR, DONE)]


def test_a_last_line_without_its_end_is_read_when_the_pipe_closes(run):
    run.output(DONE.rstrip())
    assert run.result is None
    run.ended(0, crashed=False)
    assert run.state == "done"
    assert run.result == {"studies": [1]}


def test_a_librarys_own_output_is_no_event_and_no_error(run):
    run.output(b"ITK warning: something\n[1, 2]\n" + DONE)
    run.ended(0, crashed=False)
    assert run.state == "done"
    assert "ITK warning: something" in run.tail()


def test_progress_is_reported_once_it_is_complete(run):
    assert not run.output(PROGRESS[:20])
    assert run.output(PROGRESS[20:])
    assert (run.fraction, run.message) == (0.4, "Messe Läsionen")


def test_refused_input_fails_with_the_programs_own_words(run):
    run.output(ERROR)
    run.ended(3, crashed=False)
    assert run.state == "failed"
    assert run.errorMessage == "No weight in the header. Give it with --weight."


def test_a_crash_fails_with_the_last_lines_and_what_to_do(run):
    run.errorOutput(b"first\nTraceback\nMemoryError: no memory")
    run.ended(11, crashed=True)
    assert run.state == "failed"
    assert "run the step again" in run.errorMessage
    assert run.errorMessage.endswith("first\nTraceback\nMemoryError: no memory")


def test_only_the_last_lines_are_kept(run):
    run.errorOutput(b"".join(b"line %d\n" % number for number in range(1000)))
    run.ended(1, crashed=False)
    assert "line 999" in run.errorMessage
    assert "line 900" not in run.errorMessage


def test_a_cancel_is_no_error(run):
    run.cancelAsked()
    run.ended(-15, crashed=True)
    assert run.state == "cancelled"
    assert run.errorMessage == ""


def test_a_program_that_says_it_was_stopped_is_cancelled(run):
    run.output(line(event="error", kind="cancelled", message="Stopped."))
    run.ended(130, crashed=False)
    assert run.state == "cancelled"


def test_a_run_that_was_done_before_the_cancel_reached_it_is_done(run):
    run.output(DONE)
    run.cancelAsked()
    run.ended(0, crashed=False)
    assert run.state == "done"


def test_a_crash_after_the_last_event_is_not_called_done(run):
    run.output(DONE)
    run.ended(11, crashed=True)
    assert run.state == "failed"


def test_descendants_are_found_and_stopped(slicer_core):
    """A shell that starts two programs: all three are gone after the stop."""
    import subprocess
    import sys
    import time

    from PSMATheranosticsMrml.process_tree import descendants, stopTree

    if sys.platform == "win32":
        pytest.skip("POSIX only")
    parent = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & wait"])
    try:
        end = time.monotonic() + 5
        while len(descendants(parent.pid)) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        children = descendants(parent.pid)
        assert len(children) == 2
        assert set(stopTree(parent.pid, force=True)) == {parent.pid, *children}
        parent.wait(timeout=5)
        end = time.monotonic() + 5
        while any(_alive(pid) for pid in children) and time.monotonic() < end:
            time.sleep(0.02)
        assert not any(_alive(pid) for pid in children)
    finally:
        parent.kill()
        parent.wait()


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet collected does not."""
    import subprocess

    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")
