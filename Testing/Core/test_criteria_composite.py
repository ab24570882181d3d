"""PSA and RECIP together, and the table of all criteria."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.clinical_model import VISUAL_CHANGES, PsaValue
from PSMATheranosticsLib.composite import NO_RESPONSE, PROGRESSION, RESPONSE, PsaRecip
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.response import (
    NOT_EVALUABLE,
    TISSUES,
    Growth,
    NewLesion,
    Response,
    ResponseInput,
    ScanFacts,
)

START = date(2024, 1, 1)
DAYS = {"baseline_day": START, "followup_day": START + timedelta(days=90)}
NO_PSA = None


def inputs_of(ratio: float | None, new: bool | None, percent: float | None, *later: float) -> ResponseInput:
    """TTV by its ratio to baseline, and PSA by its change at the follow-up scan and every 30 days after it."""
    pairs = [] if percent is None else [(0, 40.0), (90, 40.0 * (1 + percent / 100))]
    pairs += [(120 + 30 * index, value) for index, value in enumerate(later)]
    psa = tuple(PsaValue(START + timedelta(days=day), value) for day, value in pairs)
    return ResponseInput(100.0, None if ratio is None else 100.0 * ratio, new, psa=psa, **DAYS)


def composite(*args, unverified: bool = False) -> Response:
    return PsaRecip(unverified).evaluate(inputs_of(*args))


@pytest.mark.parametrize(
    ("ratio", "new", "percent", "category", "branches"),
    [
        (1.0, False, -50.0, RESPONSE, ()),
        (1.0, False, -49.9, NO_RESPONSE, ()),
        (0.7, False, 10.0, RESPONSE, ()),
        (0.7, True, 10.0, NO_RESPONSE, ()),
        (0.5, False, -80.0, RESPONSE, ()),
        (1.3, True, 60.0, NO_RESPONSE, ()),
        (0.7, False, NO_PSA, RESPONSE, ()),  # RECIP alone decides
        (None, False, -60.0, RESPONSE, ()),  # PSA alone decides
        (1.3, None, 10.0, NO_RESPONSE, ()),  # neither SD nor PD is a response
        (1.0, False, NO_PSA, "NE", (RESPONSE, NO_RESPONSE)),
        (None, False, 10.0, "NE", (RESPONSE, NO_RESPONSE)),
        (0.5, None, 10.0, "NE", (RESPONSE, NO_RESPONSE)),
        (None, None, NO_PSA, "NE", (RESPONSE, NO_RESPONSE)),
    ],
)
def test_either_part_can_make_a_response(ratio, new, percent, category, branches):
    response = composite(ratio, new, percent)
    assert (response.category, response.branches) == (category, branches)
    assert response.verified


@pytest.mark.parametrize(
    ("ratio", "new", "percent", "category", "branches"),
    [
        (1.0, False, 25.0, PROGRESSION, ()),
        (1.0, False, 24.9, NO_RESPONSE, ()),
        (1.3, True, 0.0, PROGRESSION, ()),
        (0.7, False, 0.0, RESPONSE, ()),
        (1.3, True, -60.0, "NE", (RESPONSE, PROGRESSION)),  # both rules at once
        (1.0, False, NO_PSA, "NE", (RESPONSE, NO_RESPONSE, PROGRESSION)),
    ],
)
def test_progression_is_an_unverified_rule_that_has_to_be_asked_for(ratio, new, percent, category, branches):
    response = composite(ratio, new, percent, unverified=True)
    assert (response.category, response.branches) == (category, branches)
    assert not response.verified
    assert PROGRESSION not in (composite(ratio, new, percent).category, *composite(ratio, new, percent).branches)


def test_both_parts_are_always_shown():
    for ratio, percent in product((None, 0.5, 1.0), (NO_PSA, -60.0)):
        parts = composite(ratio, False, percent).parts
        assert [part.name for part in parts] == ["PSA", "RECIP 1.0"]
        assert all(part.why for part in parts)
    psa, recip = composite(0.5, False, -60.0).parts
    assert (psa.category, recip.category) == ("PSA -60.0 %", "RECIP-PR")
    assert composite(0.5, False, NO_PSA).parts[0].category == NOT_EVALUABLE


def test_why_names_both_parts_and_what_decided():
    assert composite(0.5, False, 10.0).why == "PSA +10.0 %, RECIP-PR: response by RECIP"
    assert composite(1.0, False, -60.0).why == "PSA -60.0 %, RECIP-SD: PSA fell by at least 50 %"


def test_psa_and_recip_that_contradict_each_other_are_noted_while_the_rule_stands():
    falling = composite(1.3, True, -60.0)
    assert falling.category == RESPONSE
    assert any("PSA fell by at least 50 %, but the scan is RECIP-PD" in note for note in falling.notes)
    rising = composite(0.5, False, 50.0, 60.0)
    assert rising.category == RESPONSE
    assert any("PSA rises, but the scan is RECIP-PR" in note for note in rising.notes)
    waiting = composite(0.5, False, 50.0)
    assert any("PSA rises, but the scan is RECIP-PR" in note for note in waiting.notes)
    assert not any("contradict" in note for note in composite(0.5, False, -60.0).notes)


def test_spect_is_not_judged():
    facts = ScanFacts("SPECT")
    inputs = ResponseInput(100.0, 50.0, False, baseline=facts, followup=facts)
    response = PsaRecip().evaluate(inputs)
    assert (response.category, response.branches) == (NOT_EVALUABLE, ())
    assert "made for PET" in response.why


@given(st.floats(0.01, 3.0), st.booleans(), st.floats(-100, 200), st.floats(0, 1.0), st.floats(0, 100))
def test_more_volume_psa_or_new_lesions_never_improve_the_composite(ratio, new, percent, added, risen):
    order = (RESPONSE, NO_RESPONSE)
    before = order.index(composite(ratio, new, percent).category)
    assert order.index(composite(ratio + added, new, percent).category) >= before
    assert order.index(composite(ratio, True, percent).category) >= before
    assert order.index(composite(ratio, new, percent + risen).category) >= before


NAMES = {
    "RECIP 1.0": ("PET", True),
    "RECIP 1.0 visual": ("PET", True),
    "RECIP 1.0 on SPECT": ("SPECT", True),
    "PSA + RECIP 1.0": ("PET", True),
    "PPP": ("PET", True),
    "PCWG4 PSMA PET": ("PET", True),
    "PSA (PCWG3)": ("", True),
    "PSA + RECIP 1.0 (unverified)": ("PET", False),
    "PSA (PCWG3, unverified)": ("", False),
}


def test_criteria_are_registered_with_their_modality_and_unverified_ones_are_off():
    assert {name: (one.modality, one.enabled) for name, one in CRITERIA.items()} == NAMES


any_answer = st.sampled_from([None, False, True])
any_volume = st.none() | st.sampled_from([0.0, 0.4, 70.0, 100.0, 120.0]) | st.floats(0, 500)
any_lesion = st.builds(NewLesion, st.just("L01"), st.sampled_from(TISSUES), any_answer, st.none() | st.floats(0, 200))
any_psa = st.lists(
    st.builds(PsaValue, st.dates(date(2023, 10, 1), date(2025, 1, 1)), st.floats(0, 500)), max_size=6
).map(tuple)
any_facts = st.none() | st.builds(
    ScanFacts, st.sampled_from(["", "PET", "SPECT"]), st.sampled_from(["", "68Ga-PSMA-11", "18F-PSMA-1007"])
)
any_lesions = st.lists(any_lesion, max_size=7).map(tuple)
any_input = st.builds(
    ResponseInput,
    baseline_ttv_ml=any_volume,
    followup_ttv_ml=any_volume,
    new_lesions=any_answer,
    residual_uptake=any_answer,
    interval_days=st.none() | st.floats(0, 400),
    baseline=any_facts,
    followup=any_facts,
    visual_change=st.sampled_from([None, *VISUAL_CHANGES]),
    new_lesions_seen=any_lesions,
    reappeared=any_lesions,
    largest_growth=st.none()
    | st.builds(Growth, st.just("L02"), st.floats(-100, 500), st.just("SUVmax"), st.booleans()),
    clinical_progression=any_answer,
    days_since_treatment=st.none() | st.floats(0, 300),
    lesions_above_blood_pool=st.none() | st.integers(0, 5),
    psa=any_psa,
    baseline_day=st.just(START),
    followup_day=st.just(START + timedelta(days=90)),
)


@pytest.mark.parametrize("name", CRITERIA)
@given(inputs=any_input)
def test_every_criterion_answers_any_input_within_its_categories(name, inputs):
    criterion = CRITERIA[name]
    response = criterion.evaluate(inputs)
    assert response.criterion == name
    assert response.category in (*criterion.categories, NOT_EVALUABLE)
    assert response.why and "{" not in response.why
    assert not any("{" in note for note in response.notes)
    assert len(set(response.notes)) == len(response.notes)
    assert response.verified == ("unverified" not in name)
    if response.branches:
        assert response.category == NOT_EVALUABLE
        assert len(response.branches) > 1
        order = [criterion.categories.index(branch) for branch in response.branches]
        assert order == sorted(order)
