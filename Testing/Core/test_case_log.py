"""The log says who changed what, when and whether it still counts, also after a clock was set back."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from PSMATheranosticsLib import journal
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_log import case_log
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from tiny_case import two_studies


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four steps by "tester"; by "second" one that is done, one undone and discarded, one undone."""
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, write=True, user="second") as case:
        case.decide_lesion(1, 1, "accepted")
        case.decide_lesion(1, 2, "rejected")
        case.undo()
        case.decide_lesion(2, 2, "rejected")
    with CaseStore.open(tmp_path, write=True, user="third") as case:
        case.undo()
    return tmp_path


def test_steps_stand_there_in_order_with_user_state_and_studies(folder: Path):
    with CaseStore.open(folder) as case:
        entries = case_log(case)
    assert [entry.step for entry in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert [entry.state for entry in entries] == ["done"] * 5 + ["discarded", "undone"]
    assert [entry.user for entry in entries] == ["tester"] * 4 + ["second"] * 3
    assert [entry.state_user for entry in entries[4:]] == ["second", "second", "third"]
    assert [entry.studies for entry in entries] == [(1,), (1,), (2,), (2,), (1,), (1,), (2,)]
    assert not any(entry.clock_set_back for entry in entries)
    assert "[undone by third, 20" in entries[-1].to_line()
    assert "done again" not in entries[0].to_line()
    json.dumps([entry.to_dict() for entry in entries])


def test_times_are_local(folder: Path):
    with CaseStore.open(folder) as case:
        entry = case_log(case)[0]
    assert abs(entry.time - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert entry.time.utcoffset() == datetime.now().astimezone().utcoffset()


def test_a_step_that_was_redone_says_so(folder: Path):
    with CaseStore.open(folder, write=True, user="fourth") as case:
        case.redo()
        entry = case_log(case)[-1]
    assert entry.state == "done"
    assert "[done again by fourth" in entry.to_line()


def test_the_log_is_filtered_by_study_user_and_day(folder: Path):
    with CaseStore.open(folder) as case:
        assert [entry.step for entry in case_log(case, study_id=2)] == [3, 4, 7]
        assert [entry.step for entry in case_log(case, user="second")] == [5, 6, 7]
        assert [entry.step for entry in case_log(case, user="third")] == [7]  # who undid it
        assert case_log(case, user="nobody") == []
        today = datetime.now().date()
        assert len(case_log(case, since=today - timedelta(days=1))) == 7
        assert len(case_log(case, since=(today - timedelta(days=1)).isoformat())) == 7
        assert case_log(case, since=today + timedelta(days=2)) == []
        with pytest.raises(InputError, match="YYYY-MM-DD"):
            case_log(case, since="yesterday")


def test_a_clock_set_back_is_shown_and_changes_no_order(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with CaseStore.open(folder, write=True, user="late") as case:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "now", lambda: "1999-12-31T23:00:00.000+00:00")
            case.decide_lesion(1, 2, "accepted")
        case.decide_lesion(1, 2, "rejected")
        entries = case_log(case)
        assert [entry.clock_set_back for entry in entries] == [False] * 7 + [True, False]
        assert entries[7].to_line().endswith("[clock was set back]")
        assert case.undo() == "Reject lesion 2 of Baseline"
        assert case.undo() == "Accept lesion 2 of Baseline"
        assert case.lesions(1)[1].decision == "undecided"
        assert case_log(case, since=date(2000, 1, 1))[-1].step == 9
    assert check_case(folder) == []
