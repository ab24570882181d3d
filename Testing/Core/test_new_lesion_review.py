"""All new lesions are accepted at once: what counts as not reviewed, one step, and only what the reader saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from example_case import NEW, A, B, Spot, Visit, make_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.new_lesion_review import accept_new_lesions, unreviewed_new_lesions
from PSMATheranosticsLib.results import collect_results

LATER = Spot(4, (20, 20, 20), (5, 5, 5), 11.0)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    """New lesions at both follow-ups."""
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, NEW]), Visit(170, [A, NEW, LATER])]) as made:
        yield made


def new(case: CaseStore) -> dict[int, list[str]]:
    found = unreviewed_new_lesions(collect_results(case))
    return {study: [lesion.track for lesion in lesions] for study, lesions in found.items()}


def test_what_is_accepted_rejected_or_confirmed_on_its_track_is_reviewed(case: CaseStore):
    assert new(case) == {2: ["L03"], 3: ["L03", "L04"]}
    case.decide_lesion(2, 2, "accepted")
    assert new(case) == {3: ["L03", "L04"]}
    case.decide_lesion(3, 3, "rejected", "fracture")
    assert new(case) == {3: ["L03"]}
    case.decide_track(2, 2, 3, "confirmed")
    assert new(case) == {}


def test_all_are_accepted_in_one_step_and_it_is_undone_in_one(case: CaseStore):
    before, steps = new(case), len(case.journal())
    assert accept_new_lesions(case, unreviewed_new_lesions(collect_results(case))) == 3
    assert new(case) == {}
    assert len(case.journal()) == steps + 1
    assert case.next_undo() == "Accept all new lesions (3)"
    assert not [each for each in collect_results(case).conflicts if each.cause == "segmentation"]
    case.undo()
    assert new(case) == before


def test_only_what_the_reader_saw_is_accepted(case: CaseStore):
    seen = unreviewed_new_lesions(collect_results(case))
    case.decide_lesion(2, 2, "rejected")
    steps = len(case.journal())
    with pytest.raises(InputError, match="Look at them again"):
        accept_new_lesions(case, seen)
    assert len(case.journal()) == steps
