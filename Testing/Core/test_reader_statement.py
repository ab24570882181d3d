"""What a reader sees at a follow-up, and his decision on the response by each criterion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from example_case import NEW, SMALL_A, A, Visit, make_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.reader_statement import (
    ReaderStatement,
    categories_of,
    category_by_rules,
    confirm,
    override,
    state_inputs,
    statement_of,
    withdraw,
)
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import ResponseResult

RECIP = "RECIP 1.0"


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    """A case whose follow-up (study 2) grew by a new lesion: RECIP-PD by the rules."""
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as made:
        made.close()
    with CaseStore.open(tmp_path / "case", write=True, user="Reader One") as opened:
        yield opened


def response(case: CaseStore, criterion: str = RECIP) -> ResponseResult:
    """The response of the follow-up by one criterion."""
    results = collect_results(case)
    return next(each for each in (*results.responses, *results.other_responses) if each.criterion == criterion)


def test_a_statement_survives_its_record():
    said = ReaderStatement(
        residual_uptake=True,
        new_lesions_assessable=False,
        visual_change="increase",
        clinical_progression=False,
        confirmed_category="RECIP-SD",
        confirmed_by="Reader One",
        confirmed_at=datetime(2026, 5, 4, 12, 30, tzinfo=timezone.utc),
        override_category="RECIP-PD",
        override_reason="seen on MRI",
    )
    assert ReaderStatement.from_dict(said.to_dict()) == said
    assert ReaderStatement.from_dict({}) == ReaderStatement()
    assert ReaderStatement.from_dict({"of a later version": 1}) == ReaderStatement()
    with pytest.raises(CaseError, match="damaged"):
        ReaderStatement.from_dict({"confirmed_at": "in May"})


def test_what_a_reader_sees_is_kept_once_and_reaches_the_responses(case: CaseStore):
    state_inputs(case, 2, residual_uptake=True, visual_change="increase")
    state_inputs(case, 2, clinical_progression=True)
    assert statement_of(case, 2) == ReaderStatement(
        residual_uptake=True, visual_change="increase", clinical_progression=True
    )
    assert [stored.criterion for stored in case.responses()] == [RECIP]
    assert response(case).residual_uptake is True
    assert response(case, "RECIP 1.0 visual").category == "RECIP-PD"
    assert response(case, "PPP").category == "PPP-PD"  # one new lesion and clinical progression


def test_each_statement_is_one_step_named_by_what_was_said(case: CaseStore):
    before = len(case.journal())
    state_inputs(case, 2, residual_uptake=False, new_lesions_assessable=False)
    state_inputs(case, 2, residual_uptake=False)  # said already
    state_inputs(case, 2, residual_uptake=None)
    assert [(entry.action, entry.user) for entry in case.journal()[before:]] == [
        ("State for Follow-up 1: residual uptake no, new lesions assessable no", "Reader One"),
        ("State for Follow-up 1: residual uptake unknown", "Reader One"),
    ]
    case.undo()
    assert statement_of(case, 2).residual_uptake is False
    case.undo()
    assert statement_of(case, 2) == ReaderStatement()


@pytest.mark.parametrize(
    "wrong",
    [
        {"residual_uptake": "yes"},
        {"residual_uptake": 1},
        {"new_lesions_assessable": None},
        {"visual_change": "smaller"},
        {"visual_change": True},
        {"clinical_progression": "increase"},
        {"confirmed_by": "somebody else"},
    ],
)
def test_answers_that_are_none_are_refused(case: CaseStore, wrong: dict):
    with pytest.raises(InputError, match="Possible: "):
        state_inputs(case, 2, **wrong)
    assert case.responses() == []


def test_the_baseline_has_no_response(case: CaseStore):
    with pytest.raises(InputError, match="Choose a follow-up"):
        state_inputs(case, 1, residual_uptake=True)
    with pytest.raises(InputError, match="Choose a follow-up"):
        confirm(case, 1, RECIP, "RECIP-PD")
    with pytest.raises(CaseError, match="no study 7"):
        state_inputs(case, 7, residual_uptake=True)


def test_confirmation_names_reader_and_time(case: CaseStore):
    confirm(case, 2, RECIP, "RECIP-PD")
    found = response(case)
    assert (found.candidate, found.confirmed_by, found.overridden) == (False, "Reader One", "")
    assert found.confirmed_at is not None
    assert abs(found.confirmed_at - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert case.next_undo() == "Confirm RECIP-PD by RECIP 1.0 for Follow-up 1"
    case.undo()
    assert response(case).candidate


def test_only_the_category_of_today_can_be_confirmed(case: CaseStore):
    case.decide_lesion(2, 2, "rejected")
    with pytest.raises(InputError, match="gives RECIP-SD for Follow-up 1 now, not RECIP-PD"):
        confirm(case, 2, RECIP, "RECIP-PD")
    assert response(case).candidate


def test_confirmation_lapses_with_the_category_and_comes_back_with_it(case: CaseStore):
    confirm(case, 2, RECIP, "RECIP-PD")
    case.decide_lesion(2, 2, "rejected")
    assert (response(case).category, response(case).candidate) == ("RECIP-SD", True)
    case.undo()
    assert (response(case).category, response(case).candidate) == ("RECIP-PD", False)


def test_criteria_are_confirmed_one_by_one(case: CaseStore):
    confirm(case, 2, "PCWG4 PSMA PET", category_by_rules(case, 2, "PCWG4 PSMA PET"))
    assert response(case, RECIP).candidate
    assert not response(case, "PCWG4 PSMA PET").candidate
    state_inputs(case, 2, clinical_progression=True)  # what is seen stands with another criterion
    assert not response(case, "PCWG4 PSMA PET").candidate


def test_override_shows_both_categories_and_the_reason(case: CaseStore):
    override(case, 2, RECIP, "RECIP-SD", " the new lesion is  a fracture\n", instead_of="RECIP-PD")
    found = response(case)
    assert (found.category, found.overridden, found.override_reason, found.candidate, found.confirmed_by) == (
        "RECIP-SD",
        "RECIP-PD",
        "the new lesion is a fracture",
        False,
        "Reader One",
    )
    wanted = "Decide on RECIP-SD instead of RECIP-PD by RECIP 1.0 for Follow-up 1: the new lesion is a fracture"
    assert case.next_undo() == wanted
    assert category_by_rules(case, 2, RECIP) == "RECIP-PD"


def test_override_lapses_when_the_rules_give_another_category(case: CaseStore):
    override(case, 2, RECIP, "RECIP-PR", "judged by eye", instead_of="RECIP-PD")
    case.decide_lesion(2, 2, "rejected")
    found = response(case)
    assert (found.category, found.overridden, found.candidate) == ("RECIP-SD", "", True)
    assert any("RECIP-PR" in note and "decide again" in note for note in found.notes)


def test_override_needs_the_category_that_the_reader_saw_to_be_that_of_today(case: CaseStore):
    case.decide_lesion(2, 2, "rejected")
    before = case.responses()
    with pytest.raises(InputError, match="gives RECIP-SD for Follow-up 1 now, not RECIP-PD"):
        override(case, 2, RECIP, "RECIP-PR", "judged by eye", instead_of="RECIP-PD")
    assert case.responses() == before


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_override_needs_a_reason(case: CaseStore, reason: str):
    with pytest.raises(InputError, match="needs a reason"):
        override(case, 2, RECIP, "RECIP-SD", reason, instead_of="RECIP-PD")
    assert case.responses() == []


def test_override_needs_another_category_that_the_criterion_knows(case: CaseStore):
    with pytest.raises(InputError, match="Confirm it instead"):
        override(case, 2, RECIP, "RECIP-PD", "because", instead_of="RECIP-PD")
    with pytest.raises(InputError, match="RECIP-CR, RECIP-PR, RECIP-SD, RECIP-PD, NE"):
        override(case, 2, RECIP, "PPP-PD", "because", instead_of="RECIP-PD")
    with pytest.raises(InputError, match="no response of Follow-up 1 by 'RECIST'"):
        override(case, 2, "RECIST", "PD", "because", instead_of="RECIP-PD")


def test_override_and_confirmation_follow_each_other(case: CaseStore):
    override(case, 2, RECIP, "RECIP-SD", "fracture", instead_of="RECIP-PD")
    confirm(case, 2, RECIP, "RECIP-PD")
    assert (response(case).category, response(case).overridden) == ("RECIP-PD", "")
    case.undo()
    assert (response(case).category, response(case).override_reason) == ("RECIP-SD", "fracture")


def test_withdrawal_takes_the_decision_back_and_keeps_what_was_seen(case: CaseStore):
    state_inputs(case, 2, residual_uptake=True)
    override(case, 2, RECIP, "RECIP-SD", "fracture", instead_of="RECIP-PD")
    withdraw(case, 2, RECIP)
    assert case.next_undo() == "Withdraw RECIP-SD by RECIP 1.0 for Follow-up 1"
    assert statement_of(case, 2) == ReaderStatement(residual_uptake=True)
    assert (response(case).category, response(case).candidate) == ("RECIP-PD", True)
    with pytest.raises(InputError, match="nothing to withdraw"):
        withdraw(case, 2, RECIP)


def test_a_decision_that_lapsed_can_still_be_withdrawn(case: CaseStore):
    confirm(case, 2, RECIP, "RECIP-PD")
    case.decide_lesion(2, 2, "rejected")
    withdraw(case, 2, RECIP)
    assert response(case).notes == ()


def test_every_criterion_knows_its_categories():
    for name in CRITERIA:
        categories = categories_of(name)
        assert len(set(categories)) == len(categories) >= 3
        assert categories[-1] == "NE"
    with pytest.raises(InputError, match="no criterion 'RECIST'"):
        categories_of("RECIST")


def test_a_category_that_a_rule_gives_is_one_of_the_criterion(tmp_path: Path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [SMALL_A]), Visit(168, [A, NEW])]) as case:
        results = collect_results(case)
    found = (*results.responses, *results.other_responses)
    assert len(found) > 6
    for each in found:
        assert {each.category, *each.branches} <= set(categories_of(each.criterion))
