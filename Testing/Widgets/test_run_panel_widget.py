"""The background program as a panel shows it: progress, cancel that leaves nothing behind, errors in words."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from panel_case import run_instead

PROGRESS = "say(event='progress', fraction=0.5, message='Half way')\n"
DONE = "say(event='done', result={'answer': 42})\n"


@pytest.fixture
def panel(host: Any):
    """A run panel on bare widgets; `panel.done` collects results."""
    import qt
    from PSMATheranosticsMrml.run_panel import RunPanel

    ui = SimpleNamespace(
        cancelButton=qt.QPushButton(),
        progressBar=qt.QProgressBar(),
        runMessageLabel=qt.QLabel(),
        breakLockButton=qt.QPushButton(),
    )
    states: list[bool] = []
    made = RunPanel(ui, lambda: states.append(made.isRunning))
    made.ui, made.states, made.done = ui, states, []
    yield made
    made.close()


def start(panel: Any, steps: int = 1) -> None:
    panel.start([["info", "case"]] * steps, panel.done.append)


def test_progress_and_result_are_shown(host, panel, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, PROGRESS + "sys.stdin.readline()\ntime.sleep(0.2)\n" + DONE)
    start(panel)
    assert panel.isRunning
    assert panel.ui.cancelButton.enabled
    host.wait_until(lambda: panel.ui.progressBar.value == 50)
    assert panel.ui.runMessageLabel.text == "Half way"
    host.wait_until(lambda: not panel.isRunning)
    assert panel.done == [{"answer": 42}]
    assert panel.states == [True, False]
    assert not panel.ui.cancelButton.enabled


def test_steps_run_one_after_the_other_and_share_the_bar(host, panel, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, PROGRESS + DONE)
    values = []
    panel.ui.progressBar.connect("valueChanged(int)", values.append)
    start(panel, steps=2)
    host.wait_until(lambda: panel.done)
    assert values == [0, 25, 75, 100] or values == [25, 75, 100]
    assert panel.done == [{"answer": 42}]


def test_a_failed_step_ends_the_run_with_the_programs_words(host, panel, monkeypatch, tmp_path):
    body = "say(event='error', kind='input', message='No weight in the <header>.')\nsys.exit(3)\n"
    run_instead(monkeypatch, tmp_path, body)
    start(panel, steps=2)
    host.wait_until(lambda: not panel.isRunning)
    assert panel.done == []
    assert "No weight in the &lt;header&gt;." in panel.ui.runMessageLabel.text


def test_a_crash_shows_what_to_do_and_keeps_the_details_in_the_tool_tip(host, panel, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "raise MemoryError('synthetic')\n")
    start(panel)
    host.wait_until(lambda: not panel.isRunning)
    assert "run the step again" in panel.ui.runMessageLabel.text
    assert "MemoryError: synthetic" in panel.ui.runMessageLabel.toolTip


def test_a_program_that_cannot_be_started_is_an_error(host, panel, monkeypatch, tmp_path):
    from PSMATheranosticsMrml import process

    monkeypatch.setattr(process, "pythonExecutable", lambda: str(tmp_path / "nothing"))
    start(panel)
    host.wait_until(lambda: not panel.isRunning)
    assert "could not be started" in panel.ui.runMessageLabel.text


def test_cancel_stops_the_program_and_its_children_and_is_no_error(host, panel, monkeypatch, tmp_path):
    body = "child = subprocess.Popen(['sleep', '60'])\nsay(event='progress', fraction=0.1, message=str(child.pid))\n"
    run_instead(monkeypatch, tmp_path, body + "time.sleep(60)\n")
    start(panel)
    host.wait_until(lambda: panel.ui.runMessageLabel.text.isdigit())
    child = int(panel.ui.runMessageLabel.text)
    assert is_alive(child)
    panel.ui.cancelButton.click()
    host.wait_until(lambda: not panel.isRunning)
    host.wait_until(lambda: not is_alive(child))
    assert panel.process.run.state == "cancelled"
    assert "Stopped" in panel.ui.runMessageLabel.text
    assert panel.done == []


def test_a_program_deaf_to_the_request_is_killed_after_the_grace(host, panel, monkeypatch, tmp_path):
    from PSMATheranosticsMrml import process

    panel.process._killTimer.setInterval(200)
    assert process.GRACE_MS >= 1000
    body = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PROGRESS + "time.sleep(60)\n"
    run_instead(monkeypatch, tmp_path, body)
    start(panel)
    host.wait_until(lambda: panel.ui.progressBar.value == 50)
    panel.ui.cancelButton.click()
    host.wait_until(lambda: not panel.isRunning, timeout_s=5)
    assert panel.process.run.state == "cancelled"


def test_closing_the_panel_ends_the_program_at_once(host, panel, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "say(event='progress', fraction=0.5, message='')\ntime.sleep(60)\n")
    start(panel)
    host.wait_until(lambda: panel.ui.progressBar.value == 50)
    pid = panel.process._process.processId()
    panel.close()
    host.wait_until(lambda: not is_alive(pid), timeout_s=5)


def test_a_second_start_while_running_is_refused(host, panel, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "time.sleep(60)\n")
    start(panel)
    with pytest.raises(RuntimeError, match="still running"):
        start(panel)


def test_the_panel_stays_alive_while_the_program_works(host, panel, monkeypatch, tmp_path, heartbeat):
    """500 progress events a second do not freeze the event loop: no gap over 200 ms."""
    body = "for i in range(500):\n    say(event='progress', fraction=i/500, message='working')\n    time.sleep(0.002)\n"
    run_instead(monkeypatch, tmp_path, body + DONE)
    start(panel)
    heartbeat.start()
    host.wait_until(lambda: panel.done)
    assert heartbeat.stop() < 0.2


def test_the_real_program_answers_with_the_packages_of_the_extension(host, panel, tmp_path):
    from panel_case import make_case

    case = make_case(tmp_path)
    panel.start([["info", str(case)]], panel.done.append)
    host.wait_until(lambda: not panel.isRunning, timeout_s=30)
    assert panel.process.run.state == "done", panel.ui.runMessageLabel.text
    assert [study["label"] for study in panel.done[0]["studies"]] == ["Baseline", "Follow-up 1"]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")
