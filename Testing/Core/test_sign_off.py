"""Results are signed as they are; whatever changes them later is seen and named, and undo makes them stand again."""

from __future__ import annotations

import gettext
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import tiny_case
from example_case import NEW, SMALL_A, A, B, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_sign_offs import digest_of
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_facts import save_clinical_facts
from PSMATheranosticsLib.clinical_model import ClinicalFacts, SignOffResult
from PSMATheranosticsLib.decisive_content import decisive_content, differences
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.psa_values import add_psa
from PSMATheranosticsLib.reader_statement import category_by_rules, confirm, override, state_inputs, withdraw
from PSMATheranosticsLib.records import TrackInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.sign_off import sign, snapshot
from recorded_case import course

RECIP = "RECIP 1.0"
VISITS = [Visit(0, [A, B]), Visit(84, [SMALL_A, replace(B, size=(2, 5, 5))])]


def confirm_all(case: CaseStore) -> None:
    """Confirm what the rules give for every follow-up."""
    for response in collect_results(case).responses:
        confirm(case, response.followup_id, RECIP, category_by_rules(case, response.followup_id, RECIP))


def state(case: CaseStore) -> SignOffResult:
    """Whether what was signed still stands."""
    return collect_results(case).sign_off


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[CaseStore]:
    """A case of two studies in which everything is decided: RECIP-PR."""
    with make_case(tmp_path / "case", VISITS) as made:
        made.set_baseline(1)
        add_psa(made, date(2026, 1, 9), 40.0)
    with CaseStore.open(tmp_path / "case", write=True, user="Reader One") as opened:
        confirm_all(opened)
        yield opened


@pytest.fixture
def signed(ready: CaseStore) -> CaseStore:
    """That case, signed."""
    sign(ready, collect_results(ready), "tumor board")
    return ready


def test_a_case_is_open_until_it_is_signed(ready: CaseStore):
    assert state(ready) == SignOffResult()
    with pytest.raises(CaseError, match="Signed so far: none"):
        snapshot(ready)
    given = sign(ready, collect_results(ready), "tumor board")
    assert given == state(ready)
    assert (given.state, given.user, given.note, given.changed) == ("signed", "Reader One", "tumor board", ())
    assert given.categories == ((2, "RECIP-PR"),)
    assert given.time is not None
    assert abs((given.time - datetime.now(timezone.utc)).total_seconds()) < 300


def test_signing_is_one_step_with_the_lesions_of_all_studies(ready: CaseStore):
    ready.sign(1)  # one that is signed as it is already is not signed again
    before = len(ready.journal())
    sign(ready, collect_results(ready), "tumor board")
    assert [entry.action for entry in ready.journal()[before:]] == ["Sign the results of the case"]
    assert [study.segmentation.version for study in collect_results(ready).studies] == ["signed", "signed"]
    assert [version.note for version in ready.versions(2) if version.version == "signed"] == ["tumor board"]
    assert [len([one for one in ready.versions(1) if one.version == "signed"])] == [1]
    ready.undo()
    assert state(ready) == SignOffResult()
    ready.redo()
    assert state(ready).state == "signed"
    assert check_case(ready.folder) == []


def test_the_snapshot_holds_all_results_as_they_were(ready: CaseStore):
    results = collect_results(ready)
    sign(ready, results)
    kept = snapshot(ready)
    wanted = json.loads(json.dumps(results.to_dict()))
    for changing in ("created", "sign_off"):
        kept.pop(changing), wanted.pop(changing)
    assert kept == wanted
    ready.decide_lesion(2, 1, "rejected")
    assert snapshot(ready)["studies"][1]["totals"] == wanted["studies"][1]["totals"]


def test_every_signature_is_kept_with_its_snapshot(signed: CaseStore):
    signed.decide_lesion(2, 1, "rejected", "ureter")
    confirm_all(signed)
    sign(signed, collect_results(signed), "after correction")
    assert [(each.number, each.note) for each in signed.sign_offs()] == [(1, "tumor board"), (2, "after correction")]
    counts = [len(snapshot(signed, number)["studies"][1]["lesions"]) for number in (1, 2)]
    assert counts == [2, 1]
    assert snapshot(signed) == snapshot(signed, 2)
    with pytest.raises(CaseError, match=r"no signed results 3\. Signed so far: 1, 2"):
        snapshot(signed, 3)


def test_conflicts_that_block_are_listed_and_nothing_is_stored(ready: CaseStore):
    withdraw(ready, 2, RECIP)
    before = ready.journal()
    with pytest.raises(InputError, match=r"RECIP-PR by RECIP 1\.0 for Follow-up 1 is a candidate"):
        sign(ready, collect_results(ready))
    assert ready.journal() == before
    assert state(ready).state == "open"


def test_many_conflicts_are_counted(tmp_path: Path):
    many = [replace(NEW, track=10 + number, start=(4 + 3 * number, 8, 8), size=(2, 2, 2)) for number in range(15)]
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, many)]) as case:
        results = collect_results(case)
        with pytest.raises(InputError) as refused:
            sign(case, results)
    lines = str(refused.value).splitlines()
    assert len(lines) == 14
    assert lines[-1] == "- and 4 more"


def test_results_that_are_out_of_date_cannot_be_signed(ready: CaseStore):
    results = collect_results(ready)
    add_psa(ready, date(2026, 4, 1), 3.0)
    with pytest.raises(InputError, match="changed since these results were made"):
        sign(ready, results)
    assert state(ready).state == "open"


def test_without_a_segmented_study_there_is_nothing_to_sign(tmp_path: Path):
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        while case.segmentation(1) is not None:
            case.undo()
        with pytest.raises(InputError, match="nothing to sign"):
            sign(case, collect_results(case))


def test_results_by_another_main_criterion_can_be_signed(ready: CaseStore):
    confirm(ready, 2, "PCWG4 PSMA PET", category_by_rules(ready, 2, "PCWG4 PSMA PET"))
    results = collect_results(ready, "PCWG4 PSMA PET")
    assert sign(ready, results).categories == ((2, results.responses[0].category),)
    assert collect_results(ready, "PCWG4 PSMA PET").sign_off.state == "signed"
    assert state(ready).changed == ("The main criterion is RECIP 1.0 now, it was PCWG4 PSMA PET.",)


def test_a_single_study_can_be_signed(tmp_path: Path):
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        assert sign(case, collect_results(case)).categories == ()
        assert state(case).state == "signed"


def test_a_case_open_for_reading_cannot_be_signed(ready: CaseStore):
    ready.close()
    with CaseStore.open(ready.folder) as reader:
        results = collect_results(reader)
        with pytest.raises(CaseError, match="reading only"):
            sign(reader, results)


def erase(case: CaseStore) -> None:
    case.edit_mask(2, MaskEdit((10, 10, 10), np.zeros((1, 1, 1), np.uint16)), "Erase")


def move(case: CaseStore) -> None:
    """Give one voxel of a lesion away and another one to it: the volume stays."""
    values = np.array([0, 1, 1, 1, 1, 1], np.uint16).reshape(1, 1, 6)
    case.edit_mask(2, MaskEdit((10, 10, 10), values), "Brush")


def swap_tracks(case: CaseStore) -> None:
    tracks = [TrackInput(track.number, dict(track.lesions), dict(track.status)) for track in case.tracks()]
    first, second = (track.lesions[2] for track in tracks)
    tracks[0].lesions[2], tracks[1].lesions[2] = second, first
    case.save_tracks(tracks)


CHANGES: dict[str, tuple[Callable[[CaseStore], object], list[str]]] = {
    "a lesion is rejected": (
        lambda case: case.decide_lesion(2, 2, "rejected"),
        [
            "PSMA-TV of Follow-up 1 is 4.80 mL now, it was 8.00 mL.",
            "Lesions of Follow-up 1: 0 added, 1 no longer counted, 0 changed.",
            "Tracks were changed: L02.",
        ],
    ),
    "a mask is edited": (
        erase,
        [
            "PSMA-TV of Follow-up 1 is 7.94 mL now, it was 8.00 mL.",
            "Lesions of Follow-up 1: 0 added, 0 no longer counted, 1 changed.",
        ],
    ),
    "voxels are exchanged": (move, ["Lesions of Follow-up 1: 0 added, 0 no longer counted, 1 changed."]),
    "a region is set": (
        lambda case: case.set_region(2, 1, Region("bone")),
        ["Lesions of Follow-up 1: 0 added, 0 no longer counted, 1 changed."],
    ),
    "tracks are exchanged": (
        swap_tracks,
        [
            "Lesions of Follow-up 1: 0 added, 0 no longer counted, 2 changed.",
            "Tracks were changed: L01, L02.",
        ],
    ),
    "a track is decided on": (lambda case: case.decide_track(2, 1, 2, "confirmed"), ["Tracks were changed: L01."]),
    "something is stated": (
        lambda case: state_inputs(case, 2, residual_uptake=True),
        ["What was stated, confirmed or overridden about Follow-up 1 was changed."],
    ),
    "the response is overridden": (
        lambda case: override(case, 2, RECIP, "RECIP-SD", "because", instead_of="RECIP-PR"),
        [
            "RECIP 1.0 of Follow-up 1 is RECIP-SD now, it was RECIP-PR.",
            "What was stated, confirmed or overridden about Follow-up 1 was changed.",
        ],
    ),
    "a PSA value is added": (
        lambda case: add_psa(case, date(2026, 4, 3), 9.0),
        ["PSA values were changed: 2026-04-03."],
    ),
    "clinical facts are entered": (
        lambda case: save_clinical_facts(case, ClinicalFacts(line="second")),
        ["The clinical facts were changed."],
    ),
    "another study is the baseline": (
        lambda case: case.set_baseline(2),
        ["the study of 2026-04-04 is the baseline now, it was the study of 2026-01-10."],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_reopens_the_results_and_undo_closes_them(signed: CaseStore, what: str):
    change, told = CHANGES[what]
    change(signed)
    after = state(signed)
    assert (after.state, after.user, after.categories) == ("reopened", "Reader One", ((2, "RECIP-PR"),))
    assert set(told) <= set(after.changed)
    signed.undo()
    assert state(signed).state == "signed"
    signed.redo()
    assert state(signed).changed == after.changed


def test_a_study_that_was_added_reopens_the_results(tmp_path: Path):
    with make_case(tmp_path / "case", VISITS) as case:
        confirm_all(case)
        sign(case, collect_results(case))
        record, kept = case.last_sign_off(), snapshot(case)
    with make_case(tmp_path / "longer", [*VISITS, Visit(168, [A])]) as longer:
        longer.add_sign_off(record.decisive, kept)
        assert state(longer).changed[0] == "Follow-up 2 was added."


def test_what_decides_nothing_leaves_the_signature_alone(signed: CaseStore):
    signed.decide_lesion(2, 1, "accepted")
    signed.comment_track(2, 1, "index lesion")
    signed.save_setting("something else", {"a": 1})
    confirm(signed, 2, RECIP, "RECIP-PR")  # by the same reader at another time
    confirm(signed, 2, "RECIP 1.0 visual", "NE")
    assert state(signed).state == "reopened"
    withdraw(signed, 2, "RECIP 1.0 visual")
    assert state(signed).state == "signed"


def test_taking_back_the_review_of_a_new_lesion_reopens(tmp_path: Path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as case:
        case.decide_lesion(2, 2, "accepted")
        confirm_all(case)
        sign(case, collect_results(case))
        case.decide_lesion(2, 2, "undecided")
        assert state(case).changed == ("Lesions of Follow-up 1: 0 added, 0 no longer counted, 1 changed.",)


def test_the_signature_is_of_the_user_and_outlives_the_program(signed: CaseStore):
    signed.close()
    with CaseStore.open(signed.folder, user="Reader Two") as reader:
        assert (state(reader).state, state(reader).user) == ("signed", "Reader One")


def test_content_comes_back_from_json_as_it_is(signed: CaseStore):
    content = decisive_content(signed, collect_results(signed))
    record = signed.last_sign_off()
    assert record.decisive == content
    assert record.digest == digest_of(json.loads(json.dumps(content)))
    assert differences(record.decisive, content) == ()


class Marked(gettext.NullTranslations):
    """A language in which every text of the program begins with a mark."""

    def gettext(self, message: str) -> str:
        return f"@{message}"


def test_results_in_another_language_can_be_signed_and_are_kept_in_english(
    ready: CaseStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        results = collect_results(ready)
        assert "@" in results.responses[0].why
        assert sign(ready, results).state == "signed"
        assert state(ready).state == "signed"
        ready.decide_lesion(2, 1, "rejected")
        assert all(text.startswith("@") for text in state(ready).changed)
    assert "@" not in json.dumps(snapshot(ready))
    assert "@" not in json.dumps(ready.last_sign_off().decisive)
    assert not any("@" in entry.action for entry in ready.journal())


def test_content_of_another_version_of_the_software_cannot_be_compared(signed: CaseStore):
    content = decisive_content(signed, collect_results(signed))
    (told,) = differences({"form": 0}, content)
    assert "another version of the software" in told


def test_another_score_of_a_lesion_is_a_change(signed: CaseStore):
    results = collect_results(signed)
    study = results.studies[1]
    lesions = (replace(study.lesions[0], mi_psma=3), *study.lesions[1:])
    other = replace(results, studies=(results.studies[0], replace(study, lesions=lesions)))
    told = differences(decisive_content(signed, results), decisive_content(signed, other))
    assert told == ("Lesions of Follow-up 1: 0 added, 0 no longer counted, 1 changed.",)


def test_volumes_that_look_alike_are_told_with_more_digits(signed: CaseStore):
    content = decisive_content(signed, collect_results(signed))
    other = json.loads(json.dumps(content))
    other["studies"]["2"]["psma_tv_ml"] += 1e-5
    assert differences(content, other) == ("PSMA-TV of Follow-up 1 is 8.00001 mL now, it was 8.00000 mL.",)


def test_long_content_is_kept_whole_in_case_and_journal(ready: CaseStore):
    long = {"text": ["Größe µ " * 3, *range(5000)]}
    number = ready.add_sign_off({"form": 1}, long, "long")
    assert ready.signed_snapshot(number) == long
    stored = ready._database.row("SELECT snapshot FROM sign_offs WHERE sign_off = ?", (number,))["snapshot"]
    assert stored.startswith("zlib:")
    ready.undo()
    assert ready.last_sign_off() is None
    ready.redo()
    assert ready.signed_snapshot(number) == long


@pytest.mark.parametrize("stored", ["zlib:%%%", "zlib:aGVsbG8=", "{", "[1]"])
def test_a_damaged_snapshot_is_reported_as_damage(signed: CaseStore, stored: str):
    signed._database.rows("UPDATE sign_offs SET snapshot = ?", (stored,))
    with pytest.raises(CaseError, match="damaged"):
        snapshot(signed)


def test_many_lesions_are_compared_quickly():
    case = course(300, (0, 56, 112, 168, 224))
    results = case.results()
    start = time.process_time()
    content = decisive_content(case, results)
    digest_of(content)
    seconds = time.process_time() - start
    assert len(content["tracks"]) == 300
    assert sum(len(study["lesions"]) for study in content["studies"].values()) > 800
    assert seconds < 0.15  # of the processor; measured: 0.01


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_done_is_named_and_undone_leaves_nothing(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    with tiny_case.two_studies(tmp_path / "case") as case:
        content = decisive_content(case, collect_results(case))
        case.add_sign_off(content, {})
        signed_at = len(case.journal())
        while len(case.journal()) < signed_at + 12:
            tiny_case.random_step(case, chance)
            if case.last_sign_off() is None or case.last_sign_off().number > 1:
                case.redo() if case.last_sign_off() is None else case.undo()
                continue
            today = decisive_content(case, collect_results(case))
            assert (today != content) == bool(state(case).changed)
        while case.next_undo() != "Sign the results of the case":
            case.undo()
        assert state(case).state == "signed"
