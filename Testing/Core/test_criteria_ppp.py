"""PSMA PET progression: new lesions, growth, and data that agree."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.clinical_model import PsaValue
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.ppp import NON_PD, PD, Ppp
from PSMATheranosticsLib.response import Growth, NewLesion, Response, ResponseInput, ScanFacts

STABLE = Growth("L01", 0.0, "volume")


def ppp(new: int | None, clinical: bool | None, growth: Growth | None = STABLE, **more) -> Response:
    """``new``: how many new lesions; None where they cannot be assessed."""
    seen = tuple(NewLesion(f"N{index}", "bone") for index in range(new or 0))
    inputs = ResponseInput(
        100.0,
        100.0,
        None if new is None else new > 0,
        new_lesions_seen=seen,
        largest_growth=growth,
        clinical_progression=clinical,
        **more,
    )
    return Ppp().evaluate(inputs)


def grown(percent: float, confirmed: bool = False) -> Growth:
    return Growth("L01", percent, "volume", confirmed)


@pytest.mark.parametrize(
    ("new", "clinical", "growth", "category"),
    [
        (2, False, STABLE, PD),
        (2, None, None, PD),
        (5, True, STABLE, PD),
        (1, True, STABLE, PD),
        (1, False, STABLE, NON_PD),
        (0, True, grown(30.0), PD),
        (0, True, grown(29.9), NON_PD),
        (0, False, grown(80.0), NON_PD),
        (0, False, grown(80.0, confirmed=True), PD),
        (0, None, grown(80.0, confirmed=True), PD),
        (0, True, STABLE, NON_PD),
        (0, None, STABLE, NON_PD),
        (0, True, grown(-100.0), NON_PD),
    ],
)
def test_rules_give_their_category(new, clinical, growth, category):
    response = ppp(new, clinical, growth)
    assert (response.category, response.branches) == (category, ())


def test_growth_by_exactly_30_percent_is_enough_although_doubles_say_less():
    percents = [100 * (round(1.3 * tenths / 10, 2) / (tenths / 10) - 1) for tenths in range(1, 400)]
    assert min(percents) < 30.0  # the trap is there
    assert {ppp(0, True, grown(percent)).category for percent in percents} == {PD}


@pytest.mark.parametrize(
    ("new", "clinical", "growth"),
    [
        (1, None, STABLE),
        (0, None, grown(30.0)),
        (None, False, STABLE),
        (None, True, STABLE),
        (0, True, None),
        (0, None, None),
    ],
)
def test_an_open_question_that_matters_names_both_categories(new, clinical, growth):
    response = ppp(new, clinical, growth)
    assert (response.category, response.branches) == ("NE", (NON_PD, PD))


def test_an_open_question_that_does_not_matter_is_not_asked():
    assert ppp(0, False, None).category == NON_PD
    assert ppp(None, None, grown(50, confirmed=True)).category == PD


def test_new_lesions_that_were_not_counted_are_one_or_more():
    inputs = ResponseInput(1.0, 1.0, True, largest_growth=STABLE, clinical_progression=True)
    assert Ppp().evaluate(inputs).category == PD
    inputs = ResponseInput(1.0, 1.0, True, largest_growth=STABLE, clinical_progression=False)
    assert Ppp().evaluate(inputs).branches == (NON_PD, PD)


def test_nothing_has_grown_where_nothing_is_left():
    for inputs in (
        ResponseInput(1.0, 0.0, False, clinical_progression=True),
        ResponseInput(1.0, None, None, residual_uptake=False, clinical_progression=True),
    ):
        assert Ppp().evaluate(inputs).category == NON_PD


def test_contradicting_inputs_are_named_a_conflict():
    listed = ResponseInput(1.0, 1.0, False, new_lesions_seen=(NewLesion("N1", "bone"),))
    gone = ResponseInput(1.0, None, True, residual_uptake=False, new_lesions_seen=(NewLesion("N1", "bone"),))
    for inputs in (listed, gone):
        response = Ppp().evaluate(inputs)
        assert (response.category, response.branches) == ("NE", ())
        assert response.why.startswith("input conflict:")


def test_what_confirmation_is_still_wanted_is_noted():
    assert any("confirm a single new lesion" in note for note in ppp(1, True).notes)
    assert any("confirms it" in note for note in ppp(0, False, grown(80.0)).notes)
    assert any("do clinical or laboratory data agree" in note for note in ppp(1, None).notes)
    assert ppp(2, True).notes == ()


def test_confirmed_psa_progression_is_pointed_out_to_the_reader_but_does_not_decide():
    start = date(2024, 1, 1)
    rising = tuple(PsaValue(start + timedelta(days=day), value) for day, value in ((0, 8.0), (60, 10.0), (88, 12.0)))
    days = {"baseline_day": start, "followup_day": start + timedelta(days=90)}
    response = ppp(1, None, psa=rising, **days)
    assert response.category == "NE"
    assert any("PSA progression by PCWG3 is confirmed" in note for note in response.notes)


def test_growth_is_never_rounded_across_the_limit():
    assert "+29.960 %" in ppp(0, True, grown(29.96)).why
    assert "+30.0 % (volume of L01)" in ppp(0, True, grown(30.0)).why


def test_impossible_inputs_are_refused():
    with pytest.raises(InputError, match="growth of L01"):
        ppp(0, True, grown(math.nan))
    with pytest.raises(InputError, match="tissue of the new lesion N1"):
        Ppp().evaluate(ResponseInput(1.0, 1.0, True, new_lesions_seen=(NewLesion("N1", "skin"),)))


def test_spect_is_not_judged():
    facts = ScanFacts("SPECT")
    assert ppp(2, True, baseline=facts, followup=facts).category == "NE"
    assert CRITERIA["PPP"].modality == "PET"


ORDER = [NON_PD, PD]


@given(st.integers(0, 6), st.booleans(), st.floats(-100, 400), st.booleans(), st.integers(0, 3), st.floats(0, 100))
def test_more_lesions_growth_or_agreement_never_improve_the_category(new, clinical, percent, confirmed, more, extra):
    before = ppp(new, clinical, grown(percent, confirmed)).category
    for worse in (
        ppp(new + more, clinical, grown(percent, confirmed)),
        ppp(new, True, grown(percent, confirmed)),
        ppp(new, clinical, grown(percent + extra, True)),
    ):
        assert ORDER.index(worse.category) >= ORDER.index(before)


@given(st.sampled_from([None, 0, 1, 2, 3]), st.sampled_from([None, False, True]), st.sampled_from([None, 0.0, 30.0]))
def test_the_branches_are_exactly_what_the_answers_would_give(new, clinical, percent):
    growth = None if percent is None else grown(percent)
    response = ppp(new, clinical, growth)
    answers = {
        ppp(count, agrees, change).category
        for count in ([new] if new is not None else [0, 1, 2])
        for agrees in ([clinical] if clinical is not None else [False, True])
        for change in ([growth] if growth else [STABLE, grown(30.0)])
    }
    assert set(response.branches or (response.category,)) == answers
