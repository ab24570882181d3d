"""Clinical facts, PSA, review of lesions, a reader's statements and signing from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_case import NEW, A, Visit, make_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.sign_off import snapshot


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case whose follow-up (study 2) grew by a new lesion: RECIP-PD by the rules."""
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as made:
        made.decide_lesion(2, 2, "accepted")
    return tmp_path / "case"


def told(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict:
    """The last JSON line that a command writes."""
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """The lines that a command writes for people."""
    assert main([*map(str, arguments), "--quiet"]) == 0
    return capsys.readouterr().out.splitlines()


def steps(case: Path) -> list[str]:
    """What was done in a case, oldest first."""
    with CaseStore.open(case) as store:
        return [entry.action for entry in store.journal()]


def test_clinical_facts_are_entered_one_by_one_shown_and_removed(case: Path, capsys: pytest.CaptureFixture[str]):
    assert "Line of therapy: not entered" in said(capsys, "clinical", case)
    told(capsys, "clinical", case, "--line", "177Lu-PSMA-617", "--start", "12.01.2026")
    told(capsys, "clinical", case, "--indication", "mCRPC", "--prostate", "removed", "--previous-therapies", "ADT")
    assert told(capsys, "clinical", case, "--show")["result"] == {
        "indication": "mCRPC",
        "line": "177Lu-PSMA-617",
        "therapy_start": "2026-01-12",
        "previous_therapies": "ADT",
        "prostate": "removed",
    }
    told(capsys, "clinical", case, "--start", "", "--indication", "")
    assert said(capsys, "clinical", case)[:3] == [
        "Indication: not entered",
        "Line of therapy: 177Lu-PSMA-617",
        "Start of this line: not entered",
    ]


def test_facts_that_cannot_be_are_refused(case: Path, capsys: pytest.CaptureFixture[str]):
    assert "no date" in told(capsys, "clinical", case, "--start", "spring", code=3)["message"]
    assert "changes nothing" in told(capsys, "clinical", case, "--show", "--line", "x", code=3)["message"]
    assert "still to come" in told(capsys, "clinical", case, "--start", "2999-01-01", code=3)["message"]
    with pytest.raises(SystemExit) as stopped:
        main(["clinical", str(case), "--prostate", "half"])
    assert stopped.value.code == 2
    assert steps(case)[-1] == "Accept lesion 2 of Follow-up 1"


def test_showing_needs_no_right_to_write(case: Path, capsys: pytest.CaptureFixture[str]):
    with CaseStore.open(case, write=True):
        for command in (["clinical"], ["psa", "--list"], ["respond", "--study", "2"]):
            assert main([command[0], str(case), *command[1:], "--quiet"]) == 0
        assert told(capsys, "clinical", case, "--line", "x", code=4)["details"] == {"locked": True}


def test_psa_values_are_added_removed_and_listed(case: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "psa", case) == ["No PSA values are stored yet."]
    told(capsys, "psa", case, "--add", "2026-01-05", "40,5", "--add", "02.03.2026", "< 0.01")
    assert steps(case)[-1] == "Change the PSA values"
    assert said(capsys, "psa", case, "--list") == [
        "2026-01-05  40.5 ng/mL  (entered)",
        "2026-03-02  < 0.01 ng/mL  (entered)",
    ]
    told(capsys, "psa", case, "--remove", "2026-03-02", "--add", "2026-03-02", "0.4")  # one step: a correction
    values = told(capsys, "psa", case)["result"]["psa"]
    assert [(value["day"], value["ng_ml"], value["below_limit"]) for value in values] == [
        ("2026-01-05", 40.5, False),
        ("2026-03-02", 0.4, False),
    ]
    told(capsys, "undo", case)
    assert told(capsys, "psa", case)["result"]["psa"][1]["below_limit"] is True


def test_psa_values_are_read_from_a_table(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "labor.csv"
    file.write_text("Datum;PSA\n05.01.2026;40,5\n02.03.2026;12\n", encoding="utf-8")
    told(capsys, "psa", case, "--file", file)
    values = told(capsys, "psa", case, "--file", file)["result"]["psa"]  # again: nothing new
    assert [(value["ng_ml"], value["source"]) for value in values] == [(40.5, "labor.csv"), (12.0, "labor.csv")]
    assert steps(case).count("Change the PSA values") == 1
    file.write_text("Datum;PSA\n05.01.2026;41\n", encoding="utf-8")
    assert "Remove them first" in told(capsys, "psa", case, "--file", file, code=3)["message"]
    told(capsys, "psa", case, "--file", file, "--replace")
    assert told(capsys, "psa", case)["result"]["psa"][0]["ng_ml"] == 41.0


def test_psa_values_that_cannot_be_leave_the_case_alone(case: Path, capsys: pytest.CaptureFixture[str]):
    before = steps(case)
    assert "no PSA value" in told(capsys, "psa", case, "--add", "2026-01-05", "high", code=3)["message"]
    assert "no PSA value of 2026-01-05" in told(capsys, "psa", case, "--remove", "2026-01-05", code=3)["message"]
    added_and_missing = ("--add", "2026-01-05", "4", "--remove", "2026-03-02")
    assert "Days with one: none" in told(capsys, "psa", case, *added_and_missing, code=3)["message"]
    assert "changes nothing" in told(capsys, "psa", case, "--list", "--remove", "2026-01-05", code=3)["message"]
    assert steps(case) == before


def test_statements_reach_the_response(case: Path, capsys: pytest.CaptureFixture[str]):
    result = told(
        capsys, "respond", case, "--study", 2, "--residual-uptake", "yes", "--visual", "increase",
        "--clinical-progression", "yes", "--new-lesions", "assessable",
    )["result"]  # fmt: skip
    found = {response["criterion"]: response["category"] for response in result["responses"]}
    assert found["RECIP 1.0"] == found["RECIP 1.0 visual"] == "RECIP-PD"
    assert found["PPP"] == "PPP-PD"
    told(capsys, "respond", case, "--study", 2, "--new-lesions", "not-assessable", "--visual", "unknown")
    lines = said(capsys, "respond", case, "--study", "2")
    assert lines[0].startswith("RECIP 1.0, Follow-up 1: NE (candidate).")
    assert steps(case)[-1] == "State for Follow-up 1: new lesions assessable no, visual change unknown"


def test_response_is_confirmed_overridden_and_withdrawn(case: Path, capsys: pytest.CaptureFixture[str]):
    def first() -> dict:
        return told(capsys, "respond", case, "--study", 2)["result"]["responses"][0]

    told(capsys, "respond", case, "--study", 2, "--confirm")
    assert (first()["category"], first()["candidate"]) == ("RECIP-PD", False)
    told(capsys, "respond", case, "--study", 2, "--override", "RECIP-SD", "--reason", "rib fracture")
    assert (first()["category"], first()["overridden"], first()["override_reason"]) == (
        "RECIP-SD",
        "RECIP-PD",
        "rib fracture",
    )
    line = said(capsys, "respond", case, "--study", "2")[0]
    assert "RECIP-SD (instead of RECIP-PD, by " in line
    assert ": rib fracture)" in line
    told(capsys, "respond", case, "--study", 2, "--withdraw")
    assert (first()["category"], first()["candidate"]) == ("RECIP-PD", True)
    told(capsys, "respond", case, "--study", 2, "--criterion", "PPP", "--override", "PPP-PD", "--reason", "CT")
    assert first()["candidate"]
    found = told(capsys, "respond", case, "--study", 2)["result"]["responses"]
    assert [each["category"] for each in found if each["criterion"] == "PPP"] == ["PPP-PD"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--override", "RECIP-SD"], "needs a reason"),
        (["--residual-uptake", "yes", "--override", "RECIP-SD"], "needs a reason"),
        (["--override", "SD", "--reason", "x"], "no category of RECIP 1.0"),
        (["--reason", "x"], "goes with --override"),
        (["--withdraw"], "nothing to withdraw"),
        (["--confirm", "--criterion", "RECIST"], "no response of Follow-up 1 by 'RECIST'"),
        (["--override", "", "--reason", "x"], "'' is no category"),
    ],
)
def test_decisions_that_cannot_be_are_refused(
    case: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    before = steps(case)
    assert message in told(capsys, "respond", case, "--study", 2, *arguments, code=3)["message"]
    assert steps(case) == before


def test_statement_and_decision_in_one_command_are_one_step(case: Path, capsys: pytest.CaptureFixture[str]):
    before = len(steps(case))
    told(capsys, "respond", case, "--study", 2, "--residual-uptake", "yes", "--confirm")
    assert steps(case)[before:] == ["State and decide on the response of Follow-up 1"]
    told(capsys, "undo", case)
    response = told(capsys, "respond", case, "--study", 2)["result"]["responses"][0]
    assert (response["residual_uptake"], response["candidate"]) == (None, True)


def test_only_follow_ups_have_a_response(case: Path, capsys: pytest.CaptureFixture[str]):
    assert "Choose a follow-up" in told(capsys, "respond", case, "--study", 1, "--confirm", code=3)["message"]
    assert "no study 9" in told(capsys, "respond", case, "--study", 9, "--confirm", code=4)["message"]
    assert said(capsys, "respond", case, "--study", "1") == ["This study has no response."]


def test_lesions_are_accepted_and_rejected_by_number_or_track(case: Path, capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, "review", case, "--study", "2")
    assert lines == ["Lesion 1 (L01), 8.00 mL, SUVmax 12.0: undecided", "Lesion 2 (L03), 8.00 mL, SUVmax 9.0: accepted"]
    result = told(capsys, "review", case, "--study", 2, "--accept", 1, "--reject", "l03", "--reason", "rib fracture")
    found = [(each["track"], each["decision"], each["reason"]) for each in result["result"]["lesions"]]
    assert found == [("L01", "accepted", ""), ("L03", "rejected", "rib fracture")]
    assert steps(case)[-1] == "Review lesions of Follow-up 1"
    assert said(capsys, "review", case, "--study", "2")[1].endswith("rejected (rib fracture)")
    told(capsys, "undo", case)
    told(capsys, "review", case, "--study", 2, "--reset", "L03")
    assert "L03 counts as new" in told(capsys, "sign", case, code=3)["message"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--accept", "L02"], 3, "'L02' is no lesion of Follow-up 1"),
        (["--accept", "9"], 4, "no lesion 9"),
        (["--accept", "1", "--reject", "L01"], 3, "named twice"),
        (["--accept", "1", "--reason", "x"], 3, "goes with --reject"),
    ],
)
def test_reviews_that_cannot_be_are_refused(
    case: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
):
    before = steps(case)
    assert message in told(capsys, "review", case, "--study", 2, *arguments, code=code)["message"]
    assert steps(case) == before


def test_results_are_signed_once_nothing_is_open(case: Path, capsys: pytest.CaptureFixture[str]):
    assert "is a candidate: confirm it" in told(capsys, "sign", case, code=3)["message"]
    told(capsys, "respond", case, "--study", 2, "--confirm")
    result = told(capsys, "sign", case, "--note", "tumor board")["result"]
    assert (result["state"], result["note"], result["categories"]) == ("signed", "tumor board", [[2, "RECIP-PD"]])
    told(capsys, "psa", case, "--add", "2026-01-05", "40")
    with CaseStore.open(case) as store:
        results = collect_results(store)
        assert (results.sign_off.state, results.sign_off.changed) == (
            "reopened",
            ("PSA values were changed: 2026-01-05.",),
        )
        assert {study.segmentation.version for study in results.studies} == {"signed"}
        assert snapshot(store)["psa"] == []
    lines = said(capsys, "sign", case)
    assert "Follow-up 1: RECIP-PD" in lines
    assert any(line.startswith("To note: Nobody has marked the baseline") for line in lines)


def test_what_was_signed_is_listed_and_shown(case: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "sign", case, "--list") == ["The results were never signed."]
    assert "Signed so far: none" in told(capsys, "sign", case, "--show", 1, code=4)["message"]
    told(capsys, "respond", case, "--study", 2, "--confirm")
    told(capsys, "sign", case, "--note", "tumor board")
    first, state = said(capsys, "sign", case, "--list")
    assert first.startswith("1: ") and first.endswith("(tumor board)")
    assert state == "The last signature stands."
    told(capsys, "psa", case, "--add", "2026-01-05", "40")
    assert said(capsys, "sign", case, "--list")[1:] == [
        "Changed since the last signature:",
        "- PSA values were changed: 2026-01-05.",
    ]
    assert told(capsys, "sign", case, "--list")["result"]["state"]["state"] == "reopened"
    kept = json.loads("\n".join(said(capsys, "sign", case, "--show", "1")))
    assert (kept["psa"], kept["responses"][0]["category"]) == ([], "RECIP-PD")
    assert "change nothing" in told(capsys, "sign", case, "--list", "--note", "x", code=3)["message"]


def test_one_study_can_be_signed_without_its_results(case: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "sign", case, "--study", "1") == ["The lesions of Baseline are signed as they are now."]
    with CaseStore.open(case) as store:
        results = collect_results(store)
    assert [study.segmentation.version for study in results.studies] == ["signed", "automatic"]
    assert results.sign_off.state == "open"
