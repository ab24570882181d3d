"""PSA by PCWG3: declines, rises, and their confirmation 3 weeks later."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.clinical_model import PsaValue
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.psa_criterion import PsaPcwg3
from PSMATheranosticsLib.psa_response import PsaResponse, psa_percent_text, psa_response, psa_text
from PSMATheranosticsLib.response import Response, ResponseInput

START = date(2024, 1, 1)


def values(*pairs: tuple[int, float]) -> tuple[PsaValue, ...]:
    """Values by days after the start."""
    return tuple(PsaValue(START + timedelta(days=day), ng_ml) for day, ng_ml in pairs)


def psa(*pairs: tuple[int, float], until: int | None = None) -> PsaResponse:
    day = None if until is None else START + timedelta(days=until)
    return psa_response(values(*pairs), START, until=day)


# Nadir 4.0 -> 5.0 is +25 % but +1.0 ng/mL; 8.0 -> 10.0 is +25 % and +2.0 ng/mL; 100 -> 50 is PSA50.
def test_a_rise_of_25_percent_but_1_ng_per_ml_is_no_progression():
    response = psa((0, 20), (30, 4.0), (60, 5.0), (90, 5.0))
    assert response.progression is False
    assert (response.confirmed, response.rise) == (None, None)
    assert response.nadir is not None and response.nadir.ng_ml == 4.0


def test_a_rise_of_25_percent_and_2_ng_per_ml_is_progression_once_confirmed():
    confirmed = psa((0, 20), (30, 8.0), (60, 10.0), (81, 10.0))
    assert (confirmed.progression, confirmed.confirmed) == (True, True)
    assert confirmed.rise is not None and confirmed.rise.day == START + timedelta(days=60)
    early = psa((0, 20), (30, 8.0), (60, 10.0), (80, 10.0))  # 20 days later
    assert (early.progression, early.confirmed) == (None, False)
    refuted = psa((0, 20), (30, 8.0), (60, 10.0), (81, 9.99))
    assert (refuted.progression, refuted.confirmed) == (False, None)


def test_a_rise_of_a_little_less_than_2_ng_per_ml_is_no_progression():
    assert psa((0, 20), (30, 4.0), (60, 5.999), (90, 5.999)).progression is False
    assert psa((0, 20), (30, 4.0), (60, 6.0), (90, 6.0)).progression is True


def test_slow_rises_are_judged_against_the_lowest_value_and_not_the_one_before():
    assert psa((0, 20), (30, 4.0), (60, 5.5), (90, 6.5), (120, 6.5)).progression is True


def test_a_rise_of_2_ng_per_ml_but_less_than_25_percent_is_no_progression():
    assert psa((0, 100), (30, 80), (60, 99), (90, 99)).progression is False


def test_without_a_decline_the_baseline_is_the_lowest_value():
    response = psa((0, 8.0), (30, 10.0), (60, 11.0))
    assert response.progression is True
    assert response.nadir is not None and response.nadir.day == START


def test_a_later_rise_is_found_after_one_that_was_refuted():
    response = psa((0, 20), (30, 4), (60, 10), (90, 3), (120, 12), (150, 12))
    assert response.progression is True
    assert response.rise is not None and response.rise.day == START + timedelta(days=120)


def test_half_of_the_baseline_confirmed_is_psa50():
    response = psa((0, 100), (30, 50), (51, 50))
    assert (response.confirmed_psa50, response.confirmed_psa90) == (True, False)
    assert response.change_percent == pytest.approx(-50.0)
    assert psa((0, 100), (30, 50.1), (51, 50)).confirmed_psa50 is None  # the second is the first one low enough
    assert psa((0, 100), (30, 50), (51, 50.1)).confirmed_psa50 is False
    assert psa((0, 100), (30, 50), (50, 50)).confirmed_psa50 is None


def test_a_tenth_of_the_baseline_confirmed_is_psa90_and_psa50():
    response = psa((0, 30), (30, 3.0), (60, 2.9))
    assert (response.confirmed_psa50, response.confirmed_psa90) == (True, True)
    assert response.best_change_percent == pytest.approx(100 * (2.9 - 30) / 30)


@pytest.mark.parametrize(
    ("base", "limit"), [(0.3, 0.03), (0.7, 0.07), (1.1, 0.11), (2.3, 0.23), (33.3, 3.33), (59.0, 5.9)]
)
def test_limits_are_met_as_the_decimals_read(base, limit):
    assert psa((0, base), (30, limit), (60, limit)).confirmed_psa90 is True


@given(st.integers(80, 100_000))  # hundredths: from 8.00 ng/mL on 25 % are 2 ng/mL or more
def test_exactly_25_percent_more_is_progression_and_a_thousandth_less_is_not(hundredths):
    lowest = hundredths / 10
    exactly, less = hundredths * 125 / 1000, (hundredths * 125 - 1) / 1000
    assert psa((0, 2 * lowest), (30, lowest), (60, exactly), (90, exactly)).progression is True
    assert psa((0, 2 * lowest), (30, lowest), (60, less), (90, less)).progression is False


def test_a_rise_of_two_tenths_is_reported_beside_pcwg3():
    response = psa((0, 5.0), (30, 0.1), (60, 0.3), (90, 0.3))
    assert (response.pcwg4_rise, response.progression) == (True, False)
    assert psa((0, 5.0), (30, 0.1), (60, 0.299), (90, 0.299)).pcwg4_rise is False
    assert psa((0, 5.0), (30, 0.1), (60, 0.3)).pcwg4_rise is None


def test_the_baseline_value_is_the_last_one_up_to_the_start_of_treatment():
    given_values = values((-100, 30), (0, 60), (10, 80), (40, 40), (70, 40))
    by_scan = psa_response(given_values, START)
    by_treatment = psa_response(given_values, START, START + timedelta(days=12))
    assert by_scan.baseline is not None and by_scan.baseline.ng_ml == 60
    assert by_treatment.baseline is not None and by_treatment.baseline.ng_ml == 80
    assert (by_scan.confirmed_psa50, by_treatment.confirmed_psa50) == (False, True)


def test_an_old_baseline_value_is_noted():
    assert any("50 days before" in note for note in psa((-50, 10), (30, 5)).notes)
    assert psa((-42, 10), (30, 5)).notes == ()


def test_without_values_before_or_after_the_start_nothing_is_said():
    for response, why in (
        (psa(), "no PSA values"),
        (psa((5, 10), (30, 5)), "no PSA value up to the start"),
        (psa((-5, 10)), "no PSA value after the baseline value of 2023-12-27"),
    ):
        assert why in response.why
        answers = (response.change_percent, response.confirmed_psa50, response.progression, response.pcwg4_rise)
        assert answers == (None, None, None, None)


def test_a_baseline_of_zero_has_no_change_in_percent_but_can_progress():
    response = psa((0, 0.0), (30, 3.0), (60, 4.0))
    assert (response.change_percent, response.confirmed_psa50, response.progression) == (None, False, True)
    assert any("undefined" in note for note in response.notes)


def test_until_hides_later_values_except_to_confirm():
    course = ((0, 100), (30, 50), (60, 45), (90, 5), (120, 5))
    early = psa(*course, until=30)
    assert (early.confirmed_psa50, early.confirmed_psa90) == (True, False)
    assert early.last is not None and early.last.ng_ml == 50


def test_rises_of_the_first_12_weeks_are_ignored_only_by_the_unverified_rule():
    course = values((0, 10), (30, 15), (60, 15), (100, 9), (130, 9))
    plain = psa_response(course, START, START)
    assert (plain.progression, plain.verified) == (True, True)
    assert any("first 12 weeks" in note for note in plain.notes)
    unverified = psa_response(course, START, START, unverified=True)
    assert (unverified.progression, unverified.verified) == (False, False)
    assert unverified.pcwg4_rise is True  # which that rule is not about
    assert any("unverified rule" in note for note in unverified.notes)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_an_impossible_value_is_refused_with_its_day(bad):
    with pytest.raises(InputError, match="2024-01-31"):
        psa((0, 10), (30, bad))


dated = st.lists(st.tuples(st.integers(-60, 400), st.integers(0, 150)), max_size=12, unique_by=lambda pair: pair[0])


@given(dated, st.randoms(), st.sampled_from([2, 5, 10]))
def test_order_and_for_declines_scale_do_not_matter(pairs, random, factor):
    course = [(day, tenths / 10) for day, tenths in pairs]
    shuffled = list(course)
    random.shuffle(shuffled)
    response = psa(*course)
    assert psa(*shuffled) == response
    scaled = psa(*[(day, tenths * factor / 10) for day, tenths in pairs])
    assert (scaled.confirmed_psa50, scaled.confirmed_psa90) == (response.confirmed_psa50, response.confirmed_psa90)


def plainly(pairs: list[tuple[int, int]]) -> bool:
    """Confirmed progression from whole tenths, written down a second time without classes and tolerances."""
    ordered = sorted(pairs)
    before = [tenths for day, tenths in ordered if day <= 0]
    after = [pair for pair in ordered if pair[0] > 0]
    if not before:
        return False
    for index, (day, tenths) in enumerate(after):
        lowest = min([before[-1], *(other for _, other in after[:index])])
        later = [other for other_day, other in after if other_day >= day + 21][:1]
        if all(4 * each >= 5 * lowest and each >= lowest + 20 for each in (tenths, *later)) and later:
            return True
    return False


@given(dated)
def test_confirmed_progression_agrees_with_a_second_formulation_in_whole_numbers(pairs):
    assert (psa(*[(day, tenths / 10) for day, tenths in pairs]).progression is True) == plainly(pairs)


@given(dated, st.integers(1, 3000))
def test_another_value_at_the_end_never_takes_a_confirmed_answer_back(pairs, tenths):
    course = [(day, value / 10) for day, value in pairs]
    before, after = psa(*course), psa(*course, (500, tenths / 10))
    for name in ("progression", "confirmed_psa50", "confirmed_psa90", "pcwg4_rise"):
        if getattr(before, name) is True:
            assert getattr(after, name) is True


def test_numbers_are_never_rounded_across_a_limit():
    assert psa_percent_text(-49.96) == "-49.96 %"
    assert psa_percent_text(-50.0) == "-50.0 %"
    assert psa_percent_text(24.99) == "+24.99 %"
    assert psa_percent_text(-89.999) == "-89.999 %"
    assert [psa_text(value) for value in (0.0, 0.004, 0.25, 4.0, 153.4, 12345.6)] == [
        "0",
        "0.004",
        "0.25",
        "4",
        "153.4",
        "12346",
    ]


def at_followup(*pairs: tuple[int, float], day: int = 90, since: float | None = None) -> Response:
    inputs = ResponseInput(
        None,
        None,
        None,
        psa=values(*pairs),
        baseline_day=START,
        followup_day=START + timedelta(days=day),
        days_since_treatment=since,
    )
    return PsaPcwg3().evaluate(inputs)


@pytest.mark.parametrize(
    ("pairs", "category", "branches"),
    [
        (((0, 100), (60, 95), (88, 90), (120, 90)), "PSA-non-PD", ()),
        (((0, 100), (60, 50), (88, 45)), "PSA50", ()),
        (((0, 100), (60, 9), (88, 8)), "PSA90", ()),
        (((0, 100), (30, 9), (55, 8), (88, 30), (115, 30)), "PSA-PD", ()),  # progression goes before the decline
        (((0, 100), (88, 40)), "NE", ("PSA50", "PSA-non-PD")),
        (((0, 100), (88, 5)), "NE", ("PSA90", "PSA50", "PSA-non-PD")),
        (((0, 100), (60, 45), (88, 5)), "NE", ("PSA90", "PSA50")),
        (((0, 100), (88, 130)), "NE", ("PSA-non-PD", "PSA-PD")),
        (((0, 100), (30, 40), (60, 40), (88, 60)), "NE", ("PSA50", "PSA-PD")),
        (((0, 100), (88, 40), (110, 45)), "PSA50", ()),  # a later value confirms what was there at the scan
    ],
)
def test_the_criterion_judges_the_values_up_to_the_scan(pairs, category, branches):
    response = at_followup(*pairs)
    assert (response.category, response.branches) == (category, branches)
    assert response.change_percent is None  # that of the volume, which PSA says nothing about


def test_a_decline_after_a_confirmed_rise_is_left_to_a_reader():
    flare = ((0, 100), (15, 130), (40, 140), (60, 50), (88, 8), (110, 8))
    assert psa(*flare, until=88).fell_after_rise
    response = at_followup(*flare)
    assert (response.category, response.branches) == ("NE", ("PSA90", "PSA-PD"))
    assert any("a flare or progression" in note for note in response.notes)
    assert not psa((0, 100), (30, 9), (55, 8), (88, 30), (115, 30)).fell_after_rise


def test_values_long_after_the_scan_do_not_change_its_category():
    assert at_followup((0, 100), (60, 40), (88, 40), (200, 400), (230, 400)).category == "PSA50"


def test_a_scan_without_psa_near_it_is_not_evaluable():
    response = at_followup((0, 100), (61, 40))
    assert (response.category, response.branches) == ("NE", ())
    assert "within 28 days" in response.why
    assert at_followup((0, 100), (62, 40)).branches == ("PSA50", "PSA-non-PD")
    assert "days of the scans" in PsaPcwg3().evaluate(ResponseInput(None, None, None)).why


def test_the_start_of_treatment_decides_which_value_is_the_baseline():
    pairs = ((0, 60), (10, 80), (60, 40), (88, 40))
    assert at_followup(*pairs).category == "PSA-non-PD"
    assert at_followup(*pairs, since=78.0).category == "PSA50"


def test_a_value_before_the_treatment_is_not_that_of_the_scan_even_when_it_is_nearer():
    response = at_followup((0, 60), (25, 50), (60, 20), (85, 20), day=40, since=10.0)
    assert response.category == "PSA50"


def test_why_and_the_pcwg4_part_tell_values_and_clause():
    response = at_followup((0, 100), (60, 40), (88, 35.5))
    assert response.why == "PSA 100 -> 35.5 ng/mL (-64.5 %): decline of at least 50 %, confirmed"
    assert [(part.name, part.category) for part in response.parts] == [("PSA rise (PCWG4)", "no")]


def test_the_unverified_variant_is_off_and_called_so():
    plain, unverified = CRITERIA["PSA (PCWG3)"], CRITERIA["PSA (PCWG3, unverified)"]
    assert (plain.enabled, unverified.enabled) == (True, False)
    inputs = ResponseInput(None, None, None, psa=values((0, 1), (80, 2)), baseline_day=START, followup_day=START)
    assert not unverified.evaluate(inputs).verified
    assert plain.evaluate(inputs).verified
