"""What results make of a reader's decisions, and everything else that they gather: from records and small cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from example_case import FIRST_DAY, NEW, A, B, Visit, make_case
from full_case import FACTS, make_full_case
from PSMATheranosticsLib.clinical_model import ReferenceRegionResult
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.i18n import decimal, language
from PSMATheranosticsLib.reader_statement import confirm, override, state_inputs, withdraw
from PSMATheranosticsLib.records import MatchingRecord
from PSMATheranosticsLib.result_warnings import collect_warnings
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import ResponseResult, Results
from PSMATheranosticsLib.study import Scaling
from PSMATheranosticsLib.summary import summary_lines
from recorded_case import RecordedCase, pets, recorded, spect_record, study_record


def by(results: Results, criterion: str) -> list[ResponseResult]:
    return [one for one in (*results.responses, *results.other_responses) if one.criterion == criterion]


# What a reader says.


def test_inputs_are_those_stated_once_and_a_decision_is_about_one_criterion(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as case:
        followup = case.studies()[1].study_id
        state_inputs(case, followup, visual_change="increase")
        results = collect_results(case)
        (visual,) = by(results, "RECIP 1.0 visual")
        assert (visual.category, visual.candidate) == ("RECIP-PD", True)
        confirm(case, followup, "RECIP 1.0 visual", "RECIP-PD")
        results = collect_results(case)
        (visual,), (measured,) = by(results, "RECIP 1.0 visual"), by(results, "RECIP 1.0")
        assert (visual.candidate, visual.confirmed_by) == (False, case.user)
        assert isinstance(visual.confirmed_at, datetime)
        assert (measured.candidate, measured.confirmed_at) == (True, None)


def test_an_override_keeps_the_category_by_the_rules_and_the_reason(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as case:
        followup = case.studies()[1].study_id
        override(case, followup, "RECIP 1.0", "RECIP-SD", "fracture", instead_of="RECIP-PD")
        (response,) = collect_results(case).responses
        assert (response.category, response.overridden, response.override_reason) == (
            "RECIP-SD",
            "RECIP-PD",
            "fracture",
        )
        assert (response.candidate, response.confirmed_by) == (False, case.user)
        withdraw(case, followup, "RECIP 1.0")
        (response,) = collect_results(case).responses
    assert (response.category, response.overridden, response.candidate) == ("RECIP-PD", "", True)


def test_an_override_does_not_outlive_what_it_was_made_for(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as case:
        first, followup = (study.study_id for study in case.studies())
        case.decide_lesion(first, 2, "rejected")
        override(case, followup, "RECIP 1.0", "RECIP-PR", "seen before", instead_of="RECIP-PD")
        case.decide_lesion(followup, 2, "rejected")
        (response,) = collect_results(case).responses
        assert (response.category, response.overridden, response.candidate) == ("RECIP-SD", "", True)
        assert any("decided on RECIP-PR when the rules gave RECIP-PD" in note for note in response.notes)
        case.undo()
        (response,) = collect_results(case).responses
    assert response.category == "RECIP-PR"


# Everything else that results gather.


def test_signed_results_say_so_and_say_what_changed_afterwards(tmp_path):
    with make_full_case(tmp_path / "case") as case:
        results = collect_results(case)
        assert (results.sign_off.state, results.sign_off.note) == ("signed", "discussed")
        assert not any(conflict.blocks for conflict in results.conflicts)
        case.decide_lesion(case.studies()[0].study_id, 2, "rejected")
        changed = collect_results(case)
    assert changed.sign_off.state == "reopened"
    assert changed.sign_off.changed


def test_in_another_language_results_say_the_same_and_stay_signed(tmp_path):
    with make_full_case(tmp_path / "case") as case:
        english = collect_results(case)
        with language("de"):
            german = collect_results(case)
    assert german.sign_off == english.sign_off
    for first, second in zip(
        (*english.responses, *english.other_responses), (*german.responses, *german.other_responses), strict=True
    ):
        assert (first.criterion, first.category) == (second.criterion, second.category)
        with language("de"):  # the category of a part may be a change such as "PSA -57.1 %"
            told = [decimal(part.category) for part in first.parts[:1]]
        assert told == [part.category for part in second.parts[:1]]
        assert first.change_percent == second.change_percent
    assert [study.totals for study in english.studies] == [study.totals for study in german.studies]
    assert english.responses[0].why != german.responses[0].why


def test_facts_references_and_scores_are_in_the_results(tmp_path):
    with make_full_case(tmp_path / "case", signed=False) as case:
        results = collect_results(case)
    assert (results.clinical.line, results.baseline_marked) == (FACTS.line, True)
    assert len(results.psa) == 3
    first = results.studies[0]
    assert [region.name for region in first.references] == ["blood pool", "liver", "left parotid"]
    assert {lesion.mi_psma for lesion in first.lesions} == {3}
    assert {score.name for score in first.scores} >= {"miTNM", "miPSMA", "PSG"}
    assert {lesion.mi_psma for lesion in results.studies[2].lesions} == {None}  # no regions were placed there


def test_facts_and_psa_of_a_case_without_studies_are_told():
    case = RecordedCase([], {}, [])
    case.settings = {
        "clinical": {"line": "first"},
        "psa": {"values": [{"day": "2026-01-05", "ng_ml": 1.0, "source": "x"}]},
    }
    results = case.results()
    assert (results.clinical.line, [value.ng_ml for value in results.psa]) == ("first", [1.0])


def test_new_lesions_that_nobody_reviewed_are_one_warning_of_the_study(tmp_path):
    more = replace(NEW, track=4, start=(52, 12, 22))
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW, more])]) as case:
        followup = case.studies()[1].study_id
        found = [warning for warning in collect_results(case).warnings if "reviewed" in warning.text]
        assert [(warning.study_id, warning.track) for warning in found] == [(followup, "L03")]
        assert "L03, L04" in found[0].text
        case.decide_lesion(followup, 2, "accepted")
        case.decide_lesion(followup, 3, "accepted")
        assert not [warning for warning in collect_results(case).warnings if "reviewed" in warning.text]


def test_of_many_new_lesions_the_first_are_named_and_the_others_counted():
    case = recorded(pets(0, 84), {1: {1: 9.0}, 2: dict.fromkeys(range(1, 15), 9.0)})
    (text,) = [warning.text for warning in case.results().warnings if "reviewed" in warning.text]
    assert "L02, L03, L04, L05, L06, L07, L08, L09, L10, L11 and 3 more." in text


def test_lesions_that_run_into_each_other_warn_of_diffuse_disease():
    case = recorded(pets(0, 84), {1: {1: 9.0}, 2: {1: 9.0}})
    groups = [([1], [1, 2, 3, 4, 5, 6]), ([2, 3], [7, 8])]

    def matching(first: int, second: int) -> MatchingRecord | None:
        return MatchingRecord(first, second, [], [], {}, FIRST_DAY, confluent=groups) if second == 2 else None

    case.matching = matching  # type: ignore[method-assign]
    (warning,) = [warning for warning in case.results().warnings if "diffuse marrow" in warning.text]
    assert warning.text.startswith("8 lesions run into each other")
    assert warning.study_id == 2


def test_values_entered_by_hand_are_told_once():
    entered = Scaling("SUVbw", 1.0, "BQML", entered=("PatientWeight", "Radiopharmaceutical"))
    study = study_record(1, 0, scaling=entered, warnings=("PT 3: entered by hand: PatientWeight 82 kg",))
    texts = [warning.text for warning in recorded([study], {1: {1: 9.0}}).results().warnings]
    assert texts == [
        "PT 3: entered by hand: PatientWeight 82 kg",
        "The uptake rests on values that a person entered by hand: Radiopharmaceutical.",
    ]


def test_no_warning_stands_twice():
    results = recorded(pets(0, 40), {1: {1: 9.0}, 2: {1: 9.0}}).results()
    assert len(results.warnings) == 1  # too early
    doubled = [*results.warnings, *results.warnings]
    assert collect_warnings(results.studies, results.tracks, (), doubled) == results.warnings


def test_mi_psma_is_a_score_of_pet_alone(monkeypatch: pytest.MonkeyPatch):
    case = recorded([study_record(1, 0), spect_record(2, 8)], {1: {1: 9.0}, 2: {1: 9.0}})
    regions = tuple(
        ReferenceRegionResult(name, (0.0, 0.0, 0.0), 10.0, suv, 0.1, 50, "automatic")
        for name, suv in (("blood pool", 1.0), ("liver", 4.0), ("left parotid", 16.0))
    )
    monkeypatch.setattr("PSMATheranosticsLib.results.references_of", lambda _: {1: regions, 2: regions})
    results = case.results()
    assert [lesion.mi_psma for study in results.studies for lesion in study.lesions] == [2, None]  # SUVmax 15


def test_the_summary_tells_decisions_other_criteria_psa_and_signature(tmp_path):
    with make_full_case(tmp_path / "case") as case:
        user = case.user
        lines = summary_lines(collect_results(case))
        case.decide_lesion(case.studies()[0].study_id, 2, "rejected")
        changed = summary_lines(collect_results(case))
    start = f"RECIP 1.0, Follow-up 1: RECIP-SD (decided by {user} instead of RECIP-PD: seen on CT before). PSMA-TV"
    assert any(line.startswith(start) for line in lines)
    assert any(line.startswith("PPP, Follow-up 1: PPP-PD (candidate)") for line in lines)
    assert not any(": NE" in line for line in lines)
    assert "PSA: 42 ng/mL (2026-01-05), 18.5 ng/mL (2026-02-20), < 0.02 ng/mL (2026-04-01)" in lines
    assert lines[-1].startswith(f"Signed by {user} on 20")
    assert any(line.startswith(f"Signed by {user}") and line.endswith("changed since:") for line in changed)


def test_a_rule_that_is_not_verified_is_called_so_in_the_summary():
    case = recorded(pets(0, 84), {1: {1: 100.0}, 2: {1: 150.0, 2: 5.0}})
    unverified = next(name for name, one in CRITERIA.items() if not one.enabled)
    values = [{"day": day, "ng_ml": 10.0, "source": "entered"} for day in ("2026-01-10", "2026-04-04")]
    case.settings = {"criteria": {"enabled": {unverified: True}}, "psa": {"values": values}}
    (line,) = [line for line in summary_lines(case.results()) if line.startswith(f"{unverified},")]
    assert "(candidate; unverified)" in line
