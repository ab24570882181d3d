"""What the results panel and its window show is current, whoever changes the case, or looks as if it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from panel_case import click_lesion, push, show_all

ROOT = Path(__file__).resolve().parents[2]
BASELINE, FOLLOW_UP = 1, 2
RECIP = "RECIP 1.0"


def opened(make_widget: Any, folder: Path) -> Any:
    """The panel as the module that is in use, with a case open."""
    import slicer

    made = make_widget("PSMATheranostics")
    slicer.util.selectModule("PSMATheranostics")
    made.openCase(folder)
    return made


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    return opened(make_widget, case_folder)


def reject(lesion: int, decision: str = "rejected") -> None:
    """Change the case as a module does."""
    from PSMATheranosticsMrml import session

    with session.openStore(write=True) as case:
        case.decide_lesion(FOLLOW_UP, lesion, decision)


def volume(widget: Any) -> str:
    """The total tumor volume of the follow-up as the case says it now."""
    return f"{widget.logic.results().responses[0].followup_ttv_ml:.1f} mL"


def count_readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that results are collected from now on."""
    from PSMATheranosticsLib import results
    from PSMATheranosticsMrml import session

    readings: list[int] = []
    collect = results.collect_results

    def counted(*arguments: Any, **named: Any) -> Any:
        readings.append(1)
        return collect(*arguments, **named)

    monkeypatch.setattr(results, "collect_results", counted)
    session._known.clear()
    return readings


def test_a_number_that_is_out_of_date_looks_so_at_once_and_is_replaced_soon(host, widget):
    before = volume(widget)
    reject(1)
    ui = widget.ui
    assert not ui.updatingLabel.isHidden()
    assert "Updating" in ui.updatingLabel.text
    labels = ("clinicalLabel", "studyFactsLabel", "responseLabel", "otherResponsesLabel", "scoresLabel", "psaLabel")
    tables = ("studyTable", "warningsTable", "resultTablesFrame", "resultPlotsFrame", "referenceRegionsFrame")
    shown = (*labels, "signOffLabel", "warningsLabel", *tables)
    for name in shown:
        assert not getattr(ui, name).enabled, name
    ui.psaValueLineEdit.text = "12"  # what is done meanwhile makes nothing current
    ui.showButton.click()
    for name in shown:
        assert not getattr(ui, name).enabled, name
    assert "#999999" in ui.responseLabel.text  # no color of a category that is not valid any more
    assert not ui.confirmButton.enabled
    host.wait_until(lambda: ui.updatingLabel.isHidden())
    after = volume(widget)
    assert after != before
    assert after in ui.responseLabel.text
    for name in shown:
        assert getattr(ui, name).enabled, name


def test_an_update_waits_for_less_than_a_second(widget):
    from PSMATheranosticsMrml import live_results

    assert live_results.DELAY_MS + live_results.POLL_MS <= 700  # and leaves 300 ms to compute and draw


def test_several_changes_shortly_after_each_other_are_read_once(host, widget, monkeypatch):
    readings = count_readings(monkeypatch)
    for decision in ("rejected", "accepted", "rejected"):
        reject(1, decision)
    host.wait_until(lambda: widget.ui.updatingLabel.isHidden())
    assert len(readings) == 1
    assert volume(widget) in widget.ui.responseLabel.text


def test_results_are_collected_once_for_all_who_ask(widget, monkeypatch):
    readings = count_readings(monkeypatch)
    first = widget.logic.results()
    assert widget.logic.results() is first
    reject(1)
    assert widget.logic.results() is not first
    assert len(readings) == 2


def test_what_the_panel_changes_itself_is_shown_without_waiting(widget):
    widget.ui.confirmButton.click()
    assert widget.ui.updatingLabel.isHidden()
    assert "confirmed by" in widget.ui.responseLabel.text


def test_a_change_by_another_program_is_noticed(host, widget, case_folder):
    """Another process rejects a lesion: nobody tells this one."""
    program = (
        "import sys; from pathlib import Path; from PSMATheranosticsLib.case_store import CaseStore\n"
        "with CaseStore.open(Path(sys.argv[1]), write=True) as case:\n"
        f"    case.decide_lesion({FOLLOW_UP}, 1, 'rejected')\n"
    )
    paths = [str(ROOT / module) for module in ("PSMASegment", "PSMATracking", "PSMATheranostics")]
    before = volume(widget)
    subprocess.run(
        [sys.executable, "-c", program, str(case_folder)], check=True, env={"PYTHONPATH": ":".join(paths)}, timeout=60
    )
    host.wait_until(lambda: before not in widget.ui.responseLabel.text)
    assert volume(widget) in widget.ui.responseLabel.text


def test_reading_by_others_is_no_change(host, widget, monkeypatch):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsMrml import session

    readings = count_readings(monkeypatch)
    widget.refresh()
    with CaseStore.open(session.requireCase()) as case:
        case.studies()
    widget._live.look()
    host.process_events()
    assert widget.ui.updatingLabel.isHidden()
    assert len(readings) == 1


def test_nothing_is_read_while_nothing_is_on_the_screen(host, make_widget, widget, monkeypatch):
    import slicer

    make_widget("PSMATracking")
    readings = count_readings(monkeypatch)
    slicer.util.selectModule("PSMATracking")
    readings.clear()
    reject(1)
    widget._live.update()
    assert not readings
    slicer.util.selectModule("PSMATheranostics")
    assert volume(widget) in widget.ui.responseLabel.text


def test_a_damaged_case_is_said_and_no_old_number_stays(host, widget, case_folder):
    reject(1)
    (case_folder / "case.db").write_bytes(b"no database at all" * 100)
    host.wait_until(lambda: "damaged" in widget.ui.runMessageLabel.text)
    assert " mL" not in widget.ui.responseLabel.text
    assert widget.ui.warningsTable.rowCount == 0


# The window


def test_the_window_shows_the_response_beside_other_modules_and_follows_them(host, make_widget, widget):
    import slicer

    segment = make_widget("PSMASegment")
    widget.ui.resultsWindowButton.click()
    window = widget._window
    assert window.isShown
    assert volume(widget) in window.responseLabel.text
    slicer.util.selectModule("PSMASegment")
    assert window.isShown
    click_lesion(segment, 1)
    push(segment.ui.deleteButton)
    show_all(segment)
    host.wait_until(lambda: window.responseLabel.enabled and volume(widget) in window.responseLabel.text)
    assert f"{segment._study().totals.psma_tv_ml:.1f}" == window.totalsTable.item(1, 1).text()


def test_the_window_grays_out_what_is_not_current(host, make_widget, widget):
    import slicer

    make_widget("PSMATracking")
    widget.ui.resultsWindowButton.click()
    slicer.util.selectModule("PSMATracking")
    reject(1)
    window = widget._window
    assert "Updating" in window.updatingLabel.text
    assert not window.responseLabel.enabled
    assert not window.totalsTable.enabled
    host.wait_until(lambda: window.responseLabel.enabled)
    assert "Updating" not in window.updatingLabel.text


def test_a_link_in_the_window_moves_the_views_of_another_module_and_rearranges_nothing(make_widget, widget):
    import slicer

    make_widget("PSMASegment")
    widget.ui.resultsWindowButton.click()
    slicer.util.selectModule("PSMASegment")
    layout = slicer.app.layoutManager().layout
    widget._window.responseLabel.linkActivated.emit("track:L03:2")
    assert slicer.app.layoutManager().layout == layout


def test_the_window_says_that_no_case_is_open(host, widget):
    from PSMATheranosticsMrml import session

    widget.ui.resultsWindowButton.click()
    session.setCaseFolder(None)
    host.wait_until(lambda: "No case" in widget._window.stateLabel.text)
    assert not widget._window.responseLabel.text


def test_the_window_goes_with_the_module_and_nobody_follows_the_case_any_more(host, load_module, case_folder):
    from PSMATheranosticsMrml import session

    made = host.make_widget(load_module("PSMATheranostics"))
    made.parent.enter()
    made.openCase(case_folder)
    made.ui.resultsWindowButton.click()
    assert made._window.isShown
    assert session._followers
    host.remove_widget(made)
    assert not session._followers
    reject(1)
    host.process_events()


# All of it, one after the other


def test_correct_link_confirm_sign_and_reopen(host, make_widget, widget):
    """A reader's way through one case, in the three modules, with the results window open beside them."""
    import slicer
    from PSMATheranosticsLib.pipeline_tracking import link_lesions

    segment, tracking = make_widget("PSMASegment"), make_widget("PSMATracking")
    studies = widget.logic.results().studies
    number = {(each.track, study.study_id): each.lesion for study in studies for each in study.lesions}
    widget.ui.resultsWindowButton.click()
    window = widget._window

    slicer.util.selectModule("PSMASegment")  # correct: the lesion that went on was no lesion
    segment.goTo("L01", FOLLOW_UP)
    push(segment.ui.deleteButton)
    show_all(segment)
    host.wait_until(lambda: window.responseLabel.enabled and volume(widget) in window.responseLabel.text)
    assert ">L03</a>" in window.responseLabel.text

    slicer.util.selectModule("PSMATracking")  # link: what seemed new is what seemed gone
    ends = (BASELINE, number["L02", BASELINE]), (FOLLOW_UP, number["L03", FOLLOW_UP])
    tracking.decide(lambda case: link_lesions(case, *ends), "The link cannot be stored.")
    tracking._later.now()
    host.wait_until(lambda: "New lesions: none" in window.responseLabel.text)

    slicer.util.selectModule("PSMATheranostics")  # confirm and sign
    ui = widget.ui
    category = widget.logic.results().responses[0].category
    assert not ui.signButton.enabled
    ui.confirmButton.click()
    assert "confirmed by" in ui.responseLabel.text
    assert ui.signButton.enabled, ui.signOffLabel.text
    ui.signButton.click()
    signed = widget.logic.results().sign_off
    assert (signed.state, dict(signed.categories)) == ("signed", {FOLLOW_UP: category})
    assert "Signed</b> by" in window.stateLabel.text

    slicer.util.selectModule("PSMASegment")  # reopen: the lesion counts again
    segment.logic.restoreLesion(FOLLOW_UP, number["L01", FOLLOW_UP])
    host.wait_until(lambda: "Reopened" in window.stateLabel.text)
    slicer.util.selectModule("PSMATheranostics")
    assert "Reopened" in ui.signOffLabel.text
    assert "Changed:" in ui.signOffLabel.text
    ui.undoButton.click()
    assert "Signed</b> by" in ui.signOffLabel.text
