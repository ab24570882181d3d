"""Which criteria a case uses: chosen as steps that can be undone, by the library and by ``psma criteria``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_case import NEW, A, Visit, make_case
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.criteria_setting import (
    MAIN_CRITERION,
    SETTING,
    choose_criteria,
    criteria_of,
    enabled_criteria,
    measure_of,
)
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.reader_statement import category_by_rules, confirm
from PSMATheranosticsLib.results import collect_results

UNVERIFIED = "PSA (PCWG3, unverified)"


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as made:
        yield made


def used(case: CaseStore) -> set[str]:
    return {each.name for each in criteria_of(case) if each.used}


def judged(case: CaseStore) -> set[str]:
    """Criteria by which the results of the case have a category."""
    results = collect_results(case)
    return {each.criterion for each in (*results.responses, *results.other_responses)}


def test_a_new_case_uses_what_is_verified_and_enabled_as_such(case: CaseStore):
    found = criteria_of(case)
    assert [each.name for each in found] == list(CRITERIA)
    assert used(case) == {name for name, criterion in CRITERIA.items() if criterion.enabled}
    assert [each.name for each in found if not each.verified] == ["PSA + RECIP 1.0 (unverified)", UNVERIFIED]
    assert [each.name for each in found if each.fixed] == [MAIN_CRITERION]


def test_criteria_are_chosen_in_one_step_that_can_be_undone(case: CaseStore):
    before = used(case)
    choose_criteria(case, [UNVERIFIED.lower()], ["ppp", "RECIP 1.0  on SPECT"])
    assert used(case) == before - {"PPP", "RECIP 1.0 on SPECT"} | {UNVERIFIED}
    assert judged(case) >= {UNVERIFIED} and "PPP" not in judged(case)
    assert case.next_undo() == f"Choose criteria: leave out PPP, leave out RECIP 1.0 on SPECT, use {UNVERIFIED}"
    case.undo()
    assert used(case) == before
    case.redo()
    assert UNVERIFIED in used(case)
    assert check_case(case.folder) == []


def test_what_is_so_already_leaves_no_step_and_back_to_the_usual_leaves_no_setting(case: CaseStore):
    steps = len(case.journal())
    choose_criteria(case, ["PPP"], [UNVERIFIED])
    assert len(case.journal()) == steps
    choose_criteria(case, disable=["PPP"])
    choose_criteria(case, enable=["PPP"])
    assert (len(case.journal()), case.setting(SETTING)) == (steps + 2, {})


def test_other_parts_of_the_setting_stay(case: CaseStore):
    other = {"mi_psma_measure": "suv_peak", "enabled": {"of another version": True}}
    case.save_setting(SETTING, other)
    choose_criteria(case, disable=["PPP"])
    assert case.setting(SETTING) == {**other, "enabled": {"of another version": True, "PPP": False}}
    choose_criteria(case, enable=["PPP"])
    assert case.setting(SETTING) == other


def test_a_decision_by_a_criterion_is_there_again_when_it_is_used_again(case: CaseStore):
    confirm(case, 2, "PPP", category_by_rules(case, 2, "PPP"))
    choose_criteria(case, disable=["PPP"])
    choose_criteria(case, enable=["PPP"])
    (ppp,) = (each for each in collect_results(case).other_responses if each.criterion == "PPP")
    assert not ppp.candidate


@pytest.mark.parametrize(
    ("enable", "disable", "message"),
    [
        (["RECIST"], [], "no criterion 'RECIST'. Choose from: RECIP 1.0; "),
        ([], ["RECIST"], "no criterion 'RECIST'"),
        (["PPP"], ["ppp"], "PPP: to be used and not to be used"),
        ([], ["RECIP 1.0"], "RECIP 1.0; it cannot be left out"),
    ],
)
def test_what_cannot_be_chosen_is_refused(case: CaseStore, enable: list[str], disable: list[str], message: str):
    with pytest.raises(InputError) as told:
        choose_criteria(case, enable, disable)
    assert message in str(told.value)
    assert case.setting(SETTING) == {}


def test_a_setting_of_another_kind_counts_as_none():
    assert enabled_criteria({"enabled": ["PPP"]}) == enabled_criteria({})


def test_the_measure_for_mi_psma_is_suvmax_unless_another_one_is_set():
    assert measure_of({}) == "suv_max"
    assert measure_of({"mi_psma_measure": "suv_peak"}) == "suv_peak"
    with pytest.raises(InputError, match=r"'volume' .* is no measure for miPSMA"):
        measure_of({"mi_psma_measure": "volume"})


def test_the_command_lists_and_chooses(case: CaseStore, capsys: pytest.CaptureFixture[str]):
    folder = str(case.folder)
    case.close()
    assert main(["criteria", folder, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "RECIP 1.0: always used, PET only; verified rules"
    assert f"{UNVERIFIED}: not used; UNVERIFIED: no source read for this program confirms its rules" in lines
    assert main(["criteria", folder, "--enable", UNVERIFIED, "--disable", "PPP", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]["criteria"]
    told = {each["name"]: (each["used"], each["verified"]) for each in listed}
    assert (told[UNVERIFIED], told["PPP"]) == ((True, False), (False, True))
    assert main(["undo", folder, "--quiet"]) == 0
    with CaseStore.open(case.folder) as reader:
        assert "PPP" in used(reader) and UNVERIFIED not in used(reader)
    assert main(["criteria", folder, "--enable", "RECIST", "--quiet"]) == 3
