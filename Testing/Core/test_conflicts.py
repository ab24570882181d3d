"""What is open or contradicts itself before signing, with the study and the track to look at."""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
from example_case import NEW, PATIENT, SMALL_A, A, B, Spot, Visit, make_case
from followed_case import fresh
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import Conflict
from PSMATheranosticsLib.conflicts import conflicts
from PSMATheranosticsLib.reader_statement import ReaderStatement, category_by_rules, confirm, override, state_inputs
from PSMATheranosticsLib.records import LinkInput, LinkRecord
from PSMATheranosticsLib.results import collect_results
from spect_case import add_spect

RECIP = "RECIP 1.0"
GROWN = [Visit(0, [A]), Visit(84, [A, NEW])]
SHRUNK = [Visit(0, [A, B]), Visit(84, [SMALL_A, replace(B, size=(2, 5, 5))])]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., CaseStore]]:
    """Makes a case of visits whose baseline is marked; closed at the end."""
    opened: list[CaseStore] = []

    def make(visits: list[Visit], **options: object) -> CaseStore:
        case = make_case(tmp_path / "case", visits, **options)
        opened.append(case)
        case.set_baseline(1)
        return case

    yield make
    for case in opened:
        case.close()


def found(case: CaseStore) -> list[Conflict]:
    """The conflicts of a case as it is now."""
    return list(collect_results(case).conflicts)


def confirm_all(case: CaseStore) -> None:
    """Confirm what the rules give for every follow-up."""
    for response in collect_results(case).responses:
        confirm(case, response.followup_id, RECIP, category_by_rules(case, response.followup_id, RECIP))


def test_a_case_in_which_all_is_decided_has_no_conflicts(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    confirm_all(case)
    assert found(case) == []


def test_a_case_without_follow_up_has_no_conflicts(made: Callable[..., CaseStore]):
    assert found(made([Visit(0, [A])])) == []


def test_an_empty_case_has_no_conflicts(tmp_path: Path):
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        assert conflicts(collect_results(case)) == ()


def test_a_candidate_blocks_until_it_is_confirmed(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    (one,) = found(case)
    assert (one.blocks, one.study_id, one.track, one.cause) == (True, 2, "", "response")
    assert one.text == "RECIP-PR by RECIP 1.0 for Follow-up 1 is a candidate: confirm it, or decide otherwise."
    override(case, 2, RECIP, "RECIP-SD", "seen otherwise", instead_of="RECIP-PR")
    assert found(case) == []


def test_what_cannot_be_evaluated_is_told_and_does_not_block(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    state_inputs(case, 2, new_lesions_assessable=False)
    (one,) = found(case)
    assert (one.blocks, one.study_id) == (False, 2)
    assert "RECIP-PR without new lesions, RECIP-SD with" in one.text


def test_new_lesions_block_until_each_is_reviewed(made: Callable[..., CaseStore]):
    case = made([Visit(0, [A]), Visit(84, [A, B, NEW])])
    confirm_all(case)
    assert [(one.blocks, one.study_id, one.track, one.cause) for one in found(case)] == [
        (True, 2, "L02", "segmentation"),
        (True, 2, "L03", "segmentation"),
    ]
    case.decide_lesion(2, 2, "accepted")
    case.decide_track(2, 3, 2, "new")
    assert found(case) == []


def test_a_rejected_new_lesion_is_no_conflict_but_its_response_is_open_again(made: Callable[..., CaseStore]):
    case = made(GROWN)
    confirm_all(case)
    case.decide_lesion(2, 2, "rejected", "rib fracture")
    assert ["candidate" in one.text for one in found(case)] == [True]


def test_no_uptake_left_contradicts_lesions_that_count(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    state_inputs(case, 2, residual_uptake=False)
    blocking = [one for one in found(case) if one.blocks]
    assert [one.study_id for one in blocking] == [2]
    assert blocking[0].cause == "response"
    assert "no uptake is left at Follow-up 1, but lesions count there (2)" in blocking[0].text


def test_uptake_left_without_a_lesion_is_told(made: Callable[..., CaseStore]):
    case = made([Visit(0, [A]), Visit(84, [])])
    state_inputs(case, 2, residual_uptake=True)
    confirm_all(case)
    (one,) = found(case)
    assert (one.blocks, one.cause) == (False, "segmentation")
    assert "no lesion is segmented" in one.text
    state_inputs(case, 2, residual_uptake=False)
    confirm_all(case)
    assert found(case) == []


def test_lesion_confirmed_as_new_contradicts_that_none_can_be_assessed(made: Callable[..., CaseStore]):
    case = made(GROWN)
    case.decide_lesion(2, 2, "accepted")
    state_inputs(case, 2, new_lesions_assessable=False)
    blocking = [one for one in found(case) if one.blocks]
    assert [(one.study_id, one.track) for one in blocking] == [(2, "L03")]
    assert blocking[0].cause == "tracking"
    assert "not assessable at Follow-up 1, but L03 was confirmed as new" in blocking[0].text


def test_lesion_confirmed_as_new_contradicts_a_response_that_counts_none(made: Callable[..., CaseStore]):
    visits = [Visit(0, [A], {3: "not imaged"}), Visit(84, [A, NEW], {3: "baseline"})]
    case = made(visits)
    case.decide_track(2, 2, 2, "new")
    results = collect_results(case)
    assert results.responses[0].new_lesions is False
    assert any(one.blocks and one.track == "L03" and "counts no new lesion" in one.text for one in results.conflicts)


def test_visual_reading_against_the_volumes_is_told(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    confirm_all(case)
    state_inputs(case, 2, visual_change="decrease")
    assert found(case) == []
    state_inputs(case, 2, visual_change="neither")
    assert [(one.blocks, one.text) for one in found(case)] == [
        (False, "Follow-up 1: visual reading gives RECIP-SD, the volumes give RECIP-PR.")
    ]


def test_lesions_that_were_not_followed_block(tmp_path: Path):
    with make_case(tmp_path / "case", SHRUNK, followed=False) as case:
        case.set_baseline(1)
        blocking = [one for one in found(case) if one.blocks]
    assert [(one.study_id, one.cause, "not followed (2)" in one.text) for one in blocking] == [
        (1, "tracking", True),
        (2, "tracking", True),
    ]


def test_other_tracer_than_at_baseline_is_told(made: Callable[..., CaseStore]):
    case = made([Visit(0, [A]), Visit(84, [A], tracer="18F-PSMA-1007"), Visit(168, [A])])
    confirm_all(case)
    (one,) = found(case)
    assert (one.blocks, one.study_id, one.cause) == (False, 2, "study")
    assert "(18F-PSMA-1007 and 68Ga-PSMA-11)" in one.text


def test_spect_among_pet_is_no_conflict(made: Callable[..., CaseStore], tmp_path: Path):
    case = made(SHRUNK)
    confirm_all(case)
    case.close()
    add_spect(tmp_path / "case")
    with CaseStore.open(tmp_path / "case") as reader:
        assert found(reader) == []


def test_a_comparator_of_another_modality_blocks(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    confirm_all(case)
    results = collect_results(case)
    spect = replace(results.studies[0], modality="SPECT")
    mixed = replace(results, studies=(spect, *results.studies[1:]))
    texts = [one.text for one in conflicts(mixed) if one.blocks]
    assert "RECIP 1.0 compares Follow-up 1 (PET) with Baseline (SPECT)." in texts


def test_poor_registration_is_told_once(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    confirm_all(case)
    record = {"method": "rigid", "reference": "CT", "verdict": "poor", "reasons": ["bodies do not overlap"]}
    case.save_registration(1, 2, sitk.Transform(3, sitk.sitkIdentity), record)
    (one,) = found(case)
    assert (one.blocks, one.study_id, one.cause) == (False, 2, "registration")
    assert "registration of Follow-up 1 is poor" in one.text


@pytest.mark.parametrize(
    ("followup", "status", "told"),
    [
        (SHRUNK[1].spots, "proposed", True),  # RECIP-PR, with a new lesion RECIP-SD
        (SHRUNK[1].spots, "accepted", False),
        ([A, replace(B, size=(8, 5, 5))], "proposed", True),  # grown by 45 %: RECIP-SD, with a new lesion RECIP-PD
        ([A, B], "proposed", False),  # RECIP-SD in both cases
    ],
)
def test_doubtful_link_is_told_where_a_new_lesion_would_change_the_category(
    made: Callable[..., CaseStore], followup: list[Spot], status: str, told: bool
):
    case = made([Visit(0, [A, B]), Visit(84, followup)])
    links = [link for link in case.links() if link.baseline_lesion == 2]
    assert len(links) == 1
    kept = [_input(link) for link in case.links() if link.baseline_lesion != 2]
    case.save_links(1, 2, [*kept, replace(_input(links[0]), confidence=0.3)])
    if status != "proposed":
        case.decide_link(1, 2, 2, 2, status)
    confirm_all(case)
    deciding = [one for one in found(case) if "confidence of 0.30" in one.text]
    assert [(one.blocks, one.study_id, one.track, one.cause) for one in deciding] == (
        [(False, 2, "L02", "tracking")] if told else []
    )


def test_a_baseline_that_nobody_marked_is_told(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    confirm_all(case)
    case.set_baseline(None)
    assert [(one.blocks, one.study_id, one.cause) for one in found(case)] == [(False, 1, "study")]


def test_override_without_a_reason_in_a_record_made_elsewhere_blocks(made: Callable[..., CaseStore]):
    case = made(SHRUNK)
    said = ReaderStatement(confirmed_category="RECIP-PR", confirmed_by="Reader", override_category="RECIP-PD")
    case.save_response(2, RECIP, said.to_dict())
    (one,) = found(case)
    assert (one.blocks, one.study_id, one.cause) == (True, 2, "response")
    assert "RECIP-PD was chosen instead of RECIP-PR" in one.text


def test_decisions_on_lesions_that_are_gone_are_told(tmp_path: Path):
    with fresh(tmp_path / "case", SHRUNK) as case:
        case.set_baseline(1)
        case.decide_lesion(2, 1, "rejected", "ureter")
        empty = sitk.Image(case.labels(2).GetSize(), sitk.sitkUInt16)
        empty.CopyInformation(case.labels(2))
        case.save_segmentation(2, empty, [], [], {"method": "rules"})
        assert [(one.blocks, one.cause) for one in found(case) if "not found any more" in one.text] == [
            (False, "decision")
        ]


def test_blocking_ones_come_first_then_by_time(made: Callable[..., CaseStore]):
    case = made([Visit(0, [A]), Visit(84, [A], tracer="18F-PSMA-1007"), Visit(168, [A, NEW])])
    case.set_baseline(None)
    assert [(one.blocks, one.study_id) for one in found(case)] == [
        (True, 2),
        (True, 3),
        (True, 3),
        (False, 1),
        (False, 2),
    ]


class Marked(gettext.NullTranslations):
    """A language in which every text of the program begins with a mark."""

    def gettext(self, message: str) -> str:
        return f"@{message}"


def test_texts_are_told_in_the_language_of_the_results(made: Callable[..., CaseStore], monkeypatch: pytest.MonkeyPatch):
    case = made(SHRUNK)
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        (one,) = found(case)
    assert one.text.startswith("@RECIP-PR by RECIP 1.0 for Follow-up 1")


def _input(link: LinkRecord) -> LinkInput:
    """A stored link as it was handed in."""
    names = ("baseline_lesion", "followup_lesion", "kind", "gap_mm", "overlap", "confidence", "reason", "primary")
    return LinkInput(**{name: getattr(link, name) for name in names})
