"""RECIP 1.0 read by eye, and on SPECT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.recip import CR, PD, PR, SD, Recip1
from PSMATheranosticsLib.recip_spect import RecipSpect
from PSMATheranosticsLib.recip_visual import RecipVisual
from PSMATheranosticsLib.response import Response, ResponseInput, ScanFacts

ANSWERS = st.sampled_from([None, False, True])
CHANGES = ("decrease", "increase", "neither")


def seen(change: str | None, new: bool | None, residual: bool | None = None, **more) -> Response:
    volumes = {"baseline_ttv_ml": None, "followup_ttv_ml": None, **more}
    return RecipVisual().evaluate(
        ResponseInput(new_lesions=new, residual_uptake=residual, visual_change=change, **volumes)
    )


@pytest.mark.parametrize(
    ("change", "new", "residual", "category", "branches"),
    [
        ("decrease", False, None, PR, ()),
        ("decrease", True, None, SD, ()),
        ("neither", False, None, SD, ()),
        ("neither", True, None, SD, ()),
        ("neither", None, None, SD, ()),
        ("increase", False, None, SD, ()),
        ("increase", True, None, PD, ()),
        ("decrease", False, True, PR, ()),
        ("decrease", False, False, CR, ()),
        (None, False, False, CR, ()),
        ("decrease", None, None, "NE", (PR, SD)),
        ("increase", None, None, "NE", (SD, PD)),
        (None, False, None, "NE", (CR, PR, SD)),
        (None, True, None, "NE", (SD, PD)),
        (None, None, None, "NE", (CR, PR, SD, PD)),
        (None, False, True, "NE", (PR, SD)),
    ],
)
def test_what_the_reader_sees_goes_through_the_table_of_recip(change, new, residual, category, branches):
    response = seen(change, new, residual)
    assert (response.category, response.branches) == (category, branches)


@given(st.sampled_from([None, *CHANGES]), ANSWERS, ANSWERS)
def test_open_questions_name_exactly_the_categories_that_their_answers_give(change, new, residual):
    response = seen(change, new, residual)
    if "input conflict" in response.why:
        return
    answers = {
        seen(said, has_new, left).category
        for said in ([change] if change else CHANGES)
        for has_new in ([new] if new is not None else [False, True])
        for left in ([residual] if residual is not None or change else [True, False])
    }
    assert set(response.branches or (response.category,)) == answers - {"NE"}


@pytest.mark.parametrize(
    ("change", "new", "volume"),
    [("increase", False, None), ("neither", False, None), ("decrease", True, None), ("decrease", False, 3.0)],
)
def test_no_uptake_left_contradicts_new_lesions_segmented_lesions_and_no_decrease(change, new, volume):
    response = seen(change, new, False, followup_ttv_ml=volume)
    assert (response.category, response.branches) == ("NE", ())
    assert "input conflict:" in response.why


def test_measured_volumes_never_decide_but_a_disagreement_is_noted():
    response = seen("decrease", False, baseline_ttv_ml=100.0, followup_ttv_ml=130.0)
    assert response.category == PR
    assert response.change_percent == pytest.approx(30.0)
    assert any("disagree" in note and "+30.0 %" in note for note in response.notes)
    agreed = seen("decrease", False, baseline_ttv_ml=100.0, followup_ttv_ml=70.0)
    assert agreed.notes == ()


def test_why_shows_what_was_seen():
    assert seen("increase", True).why == "increase by eye, new lesions: significant increase with new lesions"
    assert "no reader has said" in seen(None, False).why


def test_new_lesions_that_cannot_be_assessed_are_said_to_keep_progression_out_of_reach():
    assert any("diffuse marrow" in note for note in seen("increase", None).notes)
    assert seen("decrease", None).notes == ()
    assert seen(None, None).notes == ()


def test_without_a_lesion_at_baseline_the_change_is_undefined():
    assert seen("increase", True, baseline_ttv_ml=0.0, followup_ttv_ml=4.0).category == "NE"


def test_a_word_that_is_no_change_is_refused():
    with pytest.raises(InputError, match="choose one of decrease, increase, neither"):
        seen("shrinking", False)


def test_scans_of_spect_are_not_read_by_the_criterion_for_pet():
    facts = ScanFacts("SPECT")
    assert seen("decrease", False, baseline=facts, followup=facts).category == "NE"


SPECT = ScanFacts("SPECT", minutes_after_injection=24 * 60)


def on_spect(before: float | None, after: float | None, new: bool | None, **more) -> Response:
    return RecipSpect().evaluate(ResponseInput(before, after, new, **{"baseline": SPECT, "followup": SPECT, **more}))


@given(st.floats(0, 1000), st.floats(0, 1000), ANSWERS, ANSWERS)
def test_on_spect_the_table_is_that_of_recip_and_the_answer_exploratory(base, followup, new, residual):
    response = on_spect(base, followup, new, residual_uptake=residual)
    on_pet = Recip1().evaluate(ResponseInput(base, followup, new, residual))
    assert (response.category, response.branches, response.why) == (on_pet.category, on_pet.branches, on_pet.why)
    assert response.exploratory and not on_pet.exploratory
    assert "RECIP on SPECT is exploratory: small new lesions can be missed." in response.notes


@pytest.mark.parametrize("other", [ScanFacts("PET"), ScanFacts(), None])
def test_on_spect_both_scans_must_be_known_as_spect(other):
    for facts in ({"baseline": other}, {"followup": other}, {"baseline": other, "followup": other}):
        response = on_spect(100, 50, False, **facts)
        assert (response.category, response.branches) == ("NE", ())


def test_spect_at_another_time_after_injection_is_noted():
    late = ScanFacts("SPECT", minutes_after_injection=96 * 60)
    assert any("24 and 96 h after injection" in note for note in on_spect(100, 50, False, followup=late).notes)
    nearly = ScanFacts("SPECT", minutes_after_injection=29 * 60)
    assert not any("after injection" in note for note in on_spect(100, 50, False, followup=nearly).notes)


def test_both_are_registered_under_their_names():
    assert CRITERIA["RECIP 1.0 visual"].modality == "PET"
    assert CRITERIA["RECIP 1.0 on SPECT"].modality == "SPECT"
