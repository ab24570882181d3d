"""Cases and DICOM objects that go out and come in, the log, the provenance card, and a lock that can be broken."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from panel_case import column, run_instead, select


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel with a case open."""
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    made.openCase(case_folder)
    return made


def action(widget: Any, text: str) -> Any:
    return next(each for each in widget.ui.moreButton.menu().actions() if each.text.startswith(text))


def finish(host: Any, widget: Any) -> None:
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)


def test_without_a_case_nothing_can_be_exported_but_a_case_can_be_imported(make_widget):
    empty = make_widget("PSMATheranostics")
    empty.parent.enter()
    assert not action(empty, "Export case").enabled
    assert not action(empty, "Export DICOM").enabled
    assert action(empty, "Import case").enabled


def test_every_entry_of_the_menu_explains_itself(widget):
    assert all(each.toolTip != each.text for each in widget.ui.moreButton.menu().actions() if each.text)


def test_a_case_goes_out_as_one_file_and_comes_back(host, widget, tmp_path):
    before = widget.logic.results()
    host.dialogs.expect("File for the whole case", str(tmp_path / "kept"))
    action(widget, "Export case").trigger()
    finish(host, widget)
    assert widget.ui.runMessageLabel.text == "Done."
    assert (tmp_path / "kept.psmacase").is_file()
    host.dialogs.expect("File with an exported case", str(tmp_path / "kept.psmacase"))
    host.dialogs.expect("Empty folder for the case", str(tmp_path / "back"))
    action(widget, "Import case").trigger()
    finish(host, widget)
    from PSMATheranosticsMrml import session

    assert session.caseFolder() == tmp_path / "back"
    assert widget.logic.results().studies == before.studies
    assert column(widget.ui.studyTable, 0) == ["Baseline", "Follow-up 1"]


@pytest.mark.parametrize(("entry", "dialogs"), [("Export case", 1), ("Export DICOM", 1), ("Import case", 1)])
def test_a_dismissed_dialog_starts_nothing(host, widget, entry, dialogs):
    for _ in range(dialogs):
        host.dialogs.expect(".", "")
    action(widget, entry).trigger()
    assert not widget._runPanel.isRunning


def test_dicom_objects_are_written_into_the_chosen_folder(host, widget, case_folder, monkeypatch, tmp_path):
    noted = tmp_path / "arguments.json"
    run_instead(monkeypatch, tmp_path, f"json.dump(sys.argv[1:], open({str(noted)!r}, 'w'))\nsay(event='done')\n")
    host.dialogs.expect("Folder for the DICOM objects", str(tmp_path / "out"))
    action(widget, "Export DICOM").trigger()
    assert not action(widget, "Export DICOM").enabled
    finish(host, widget)
    assert json.loads(noted.read_text())[2:] == ["dicom", "--json", str(case_folder), "--to", str(tmp_path / "out")]
    assert action(widget, "Export DICOM").enabled


def test_the_card_is_filled_when_it_is_opened_and_follows_the_selection(widget):
    ui = widget.ui
    assert ui.provenanceLabel.text == ""
    ui.provenanceCollapsibleButton.collapsed = False
    assert "synthetic, made as SUVbw" in ui.provenanceLabel.text
    assert "2026-04-10" in ui.provenanceLabel.text
    select(ui.studyTable, "1")
    assert "2026-01-10" in ui.provenanceLabel.text


def test_the_card_is_copied_as_text(widget):
    import qt

    widget.ui.provenanceCollapsibleButton.collapsed = False
    widget.ui.copyProvenanceButton.click()
    text = qt.QApplication.clipboard().text()
    assert text.startswith("SYNTHETIC-SELF-TEST, Follow-up 1")
    assert "Method: synthetic, made as SUVbw" in text


def test_the_history_shows_who_did_what_last_step_first(widget):
    ui = widget.ui
    assert ui.historyTable.rowCount == 0
    ui.historyCollapsibleButton.collapsed = False
    actions = column(ui.historyTable, 2)
    assert actions[0] == "Follow lesions over the studies"
    assert actions[-1] == "Add PET study of 2026-01-10"
    assert all(column(ui.historyTable, 1))


def test_a_long_history_lists_the_newest_steps_and_says_how_many_are_not_listed(host):
    from PSMATheranosticsLib.case_log import LogEntry
    from PSMATheranosticsMrml.panel_rows import historyTable

    now = datetime(2026, 3, 31, 12, 0)
    entries = [LogEntry(now, "reader", f"step {n}", "done", now, "reader", n, (1,)) for n in range(1, 621)]
    _headings, rows = historyTable(entries)
    actions = [cells[2].text for _key, cells in rows]
    assert (actions[0], actions[499], len(actions)) == ("step 620", "step 121", 501)
    assert actions[500].startswith("120 earlier entries")
    _headings, rows = historyTable(entries[:500])
    assert [cells[2].text for _key, cells in rows][-1] == "step 1"


def test_an_undone_step_stays_in_the_history_as_undone(widget):
    widget.ui.historyCollapsibleButton.collapsed = False
    widget.ui.undoButton.click()
    assert column(widget.ui.historyTable, 3)[0] == "undone"
    widget.ui.redoButton.click()
    assert column(widget.ui.historyTable, 3)[0] == ""


def test_a_damaged_journal_is_told_in_the_history_and_nothing_else_fails(widget, case_folder):
    import sqlite3

    with sqlite3.connect(case_folder / "case.db") as database:
        database.execute("UPDATE journal SET changes = 'no JSON' WHERE id = 1")
    database.close()
    widget.ui.historyCollapsibleButton.collapsed = False
    widget.refresh()
    assert "journal" in widget.ui.historyTable.item(0, 0).text()
    assert widget.ui.studyTable.rowCount == 2


@pytest.fixture
def locked(widget: Any, case_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel while a program on another computer has the case open for writing."""
    from PSMATheranosticsLib import writer_mark
    from PSMATheranosticsLib.case_store import CaseStore

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(writer_mark.socket, "gethostname", lambda: "reading-room-7")
        writer = CaseStore.open(case_folder, write=True, user="dr-x")
    yield widget
    writer.close()


def test_a_locked_case_names_its_owner_and_offers_to_break_the_lock(host, locked):
    assert locked.ui.breakLockButton.isHidden()
    locked.ui.undoButton.click()
    assert "dr-x on reading-room-7" in locked.ui.runMessageLabel.text
    assert not locked.ui.breakLockButton.isHidden()
    host.dialogs.expect("can change nothing in this case any more")
    locked.ui.breakLockButton.click()
    assert "The lock of dr-x on reading-room-7" in locked.ui.runMessageLabel.text
    assert locked.ui.breakLockButton.isHidden()
    locked.ui.undoButton.click()
    assert "Undone" in locked.ui.runMessageLabel.text


def test_a_lock_is_not_broken_without_consent(host, locked):
    import qt

    locked.ui.undoButton.click()
    host.dialogs.expect("Break the lock", qt.QMessageBox.Cancel)
    locked.ui.breakLockButton.click()
    locked.ui.undoButton.click()
    assert "dr-x on reading-room-7" in locked.ui.runMessageLabel.text


def test_the_background_program_tells_of_a_lock_as_well(host, locked):
    locked.ui.recomputeButton.click()
    finish(host, locked)
    assert "dr-x on reading-room-7" in locked.ui.runMessageLabel.text
    assert not locked.ui.breakLockButton.isHidden()


def test_the_lock_of_a_running_program_on_this_computer_is_kept(host, widget, case_folder):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.errors import CaseError

    with CaseStore.open(case_folder, write=True):
        widget.ui.undoButton.click()
        host.dialogs.expect("Break the lock")
        host.dialogs.expect("cannot be broken.*runs on this computer")
        with host.errors.expected(CaseError):
            widget.ui.breakLockButton.click()
