"""PSMA PET by PCWG4: new lesions by site and later scan, complete response, and scans that are too early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.pcwg4 import CR, NON_PD, PD, Pcwg4
from PSMATheranosticsLib.response import TISSUES, NewLesion, Response, ResponseInput, ScanFacts

DAYS = 90.0


def lesions(count: int, tissue: str, seen: int | None = None, first: int = 1) -> tuple[NewLesion, ...]:
    """``count`` new lesions, of which the first ``seen`` are on the later scan; None: there is none yet."""
    return tuple(
        NewLesion(f"L{first + index:02}", tissue, None if seen is None else index < seen, None if seen is None else 60)
        for index in range(count)
    )


def pcwg4(new: tuple[NewLesion, ...] = (), assessable: bool = True, **more) -> Response:
    given_inputs = {"followup_ttv_ml": 50.0, "days_since_treatment": DAYS, **more}
    return Pcwg4().evaluate(
        ResponseInput(100.0, new_lesions=bool(new) if assessable else None, new_lesions_seen=new, **given_inputs)
    )


@pytest.mark.parametrize(
    ("new", "category"),
    [
        (lesions(5, "bone", 2), PD),
        (lesions(5, "bone", 1), NON_PD),
        (lesions(5, "bone", 0), NON_PD),
        (lesions(6, "bone"), PD),
        (lesions(6, "bone", 0), PD),
        (lesions(1, "visceral"), PD),
        (lesions(1, "visceral", 0), PD),
        (lesions(3, "bone") + lesions(2, "node") + lesions(1, "lung"), PD),
        (lesions(3, "bone", 1) + lesions(2, "node", 1), PD),
        (lesions(1, "lung", 1), NON_PD),
        (lesions(1, "bone"), NON_PD),  # no later scan can make it two
        ((), NON_PD),
    ],
)
def test_rules_give_their_category(new, category):
    response = pcwg4(new)
    assert (response.category, response.branches) == (category, ())


@pytest.mark.parametrize(
    "new",
    [
        lesions(5, "bone"),
        lesions(2, "node"),
        lesions(1, "bone", 1) + lesions(1, "bone"),
        lesions(1, ""),  # would be progression if visceral
        lesions(6, "local"),
        lesions(5, "bone", 0) + lesions(1, "local"),
    ],
)
def test_what_waits_for_a_later_scan_or_a_site_names_both_categories(new):
    response = pcwg4(new)
    assert (response.category, response.branches) == ("NE", (NON_PD, PD))


def test_sites_that_are_not_known_are_asked_for_only_where_they_matter():
    assert pcwg4(lesions(6, "")).category == PD
    assert pcwg4(lesions(1, "local")).category == NON_PD
    assert pcwg4(lesions(6, "bone") + lesions(1, "")).category == PD


def test_a_later_scan_within_6_weeks_confirms_nothing():
    soon = tuple(NewLesion(f"L{index}", "bone", True, 41.0) for index in range(3))
    assert pcwg4(soon).branches == (NON_PD, PD)
    assert pcwg4(tuple(NewLesion(f"L{index}", "bone", True, 42.0) for index in range(3))).category == PD


@pytest.mark.parametrize(("days", "read"), [(50.0, False), (55.9, False), (56.0, True)])
def test_a_scan_of_the_first_8_weeks_is_not_interpretable(days, read):
    response = pcwg4(lesions(6, "bone"), days_since_treatment=days)
    assert response.category == (PD if read else "NE")
    assert ("not interpretable" in response.why) is not read
    assert response.branches == ()


def test_without_a_start_of_treatment_the_interval_can_only_rule_a_scan_out():
    early = pcwg4(lesions(6, "bone"), days_since_treatment=None, interval_days=50)
    assert early.category == "NE" and "not interpretable" in early.why
    later = pcwg4(lesions(6, "bone"), days_since_treatment=None, interval_days=70)
    assert later.category == PD
    assert any("start of the treatment is not known" in note for note in later.notes)


@pytest.mark.parametrize(
    ("more", "category", "branches"),
    [
        ({"followup_ttv_ml": 0.0, "residual_uptake": False}, CR, ()),
        ({"followup_ttv_ml": 0.0}, "NE", (CR, NON_PD)),
        ({"followup_ttv_ml": 0.0, "residual_uptake": True}, NON_PD, ()),
        ({"followup_ttv_ml": 0.0, "residual_uptake": True, "lesions_above_blood_pool": 0}, "NE", (CR, NON_PD)),
        ({"lesions_above_blood_pool": 0}, "NE", (CR, NON_PD)),
        ({"lesions_above_blood_pool": 3}, NON_PD, ()),
        ({}, NON_PD, ()),
    ],
)
def test_complete_response_needs_a_reader(more, category, branches):
    response = pcwg4(**more)
    assert (response.category, response.branches) == (category, branches)
    assert any("PCWG4-CR needs a reader" in note for note in response.notes) == (CR in branches)


def test_complete_response_needs_disease_at_baseline():
    inputs = ResponseInput(0.0, 0.0, False, residual_uptake=False, days_since_treatment=DAYS)
    assert Pcwg4().evaluate(inputs).category == NON_PD


def test_no_uptake_left_answers_the_question_on_new_lesions_too():
    assert pcwg4(assessable=False, followup_ttv_ml=0.0, residual_uptake=False).category == CR


def test_new_lesions_that_cannot_be_assessed_or_were_not_counted_leave_progression_open():
    assert pcwg4(assessable=False).branches == (NON_PD, PD)
    assert pcwg4(lesions(6, "bone"), assessable=False).branches == (NON_PD, PD)
    not_counted = ResponseInput(1.0, 1.0, True, days_since_treatment=DAYS)
    assert Pcwg4().evaluate(not_counted).branches == (NON_PD, PD)


def test_neither_volume_nor_suv_decides():
    assert pcwg4(followup_ttv_ml=900.0).category == NON_PD
    assert pcwg4(followup_ttv_ml=900.0).change_percent is None


def test_contradicting_inputs_are_named_a_conflict():
    for more in ({"followup_ttv_ml": 0.0}, {"followup_ttv_ml": None, "residual_uptake": False}):
        response = pcwg4(lesions(2, "bone"), **more)
        assert (response.category, response.branches) == ("NE", ())
        assert response.why.startswith("input conflict:")
    segmented = pcwg4(residual_uptake=False)
    assert segmented.why.startswith("input conflict:")


def test_pseudoprogression_and_local_lesions_are_noted_with_their_tracks():
    notes = pcwg4(lesions(3, "bone", 1)).notes
    assert "New lesions that are gone on the later scan, a pseudoprogression: L02, L03." in notes
    assert "PCWG4 has no rule on new local lesions: L01." in pcwg4(lesions(1, "local")).notes


def test_why_counts_the_new_lesions_by_site():
    new = lesions(3, "bone") + lesions(2, "node", first=4) + lesions(1, "visceral", first=6)
    assert pcwg4(new).why == (
        "6 new lesions (5 of bone, node or lung, 1 visceral): a new visceral lesion other than lung"
    )


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (lesions(6, "bone"), "6 or more new lesions of bone, node and lung"),
        (lesions(5, "bone") + lesions(1, "", first=6), "6 or more new lesions, wherever those of unknown site are"),
        (lesions(2, "bone", 2), "at least 2 of the new lesions are still there 6 or more weeks later"),
        (lesions(2, "bone", 1), "fewer than 6 new lesions are progression only if 2 are still there"),
        (lesions(2, "bone"), "up to 5 new lesions: progression if at least 2 are still there"),
        (lesions(1, ""), "number or site of the new lesions leave it open"),
    ],
)
def test_why_gives_the_clause_that_decided(new, reason):
    assert reason in pcwg4(new).why


def test_impossible_inputs_are_refused():
    with pytest.raises(InputError, match="tissue"):
        pcwg4((NewLesion("L01", "brain?"),))
    with pytest.raises(InputError, match="follow-up tumor volume"):
        pcwg4(followup_ttv_ml=-1.0)


def test_spect_is_not_judged():
    facts = ScanFacts("SPECT")
    assert pcwg4(baseline=facts, followup=facts).category == "NE"
    assert CRITERIA["PCWG4 PSMA PET"].modality == "PET"


new_lesions = st.lists(
    st.builds(NewLesion, st.just("L01"), st.sampled_from(TISSUES), st.sampled_from([None, False, True])), max_size=8
)


@given(new_lesions, st.randoms())
def test_the_order_of_the_lesions_does_not_matter(new, random):
    shuffled = list(new)
    random.shuffle(shuffled)
    assert pcwg4(tuple(shuffled)).category == pcwg4(tuple(new)).category


@given(new_lesions, st.sampled_from(TISSUES))
def test_one_more_new_lesion_never_rules_progression_out(new, tissue):
    before, after = pcwg4(tuple(new)), pcwg4((*new, NewLesion("L99", tissue)))
    if PD in (before.category, *before.branches):
        assert PD in (after.category, *after.branches)
    if before.category == PD:
        assert after.category == PD


@given(new_lesions)
def test_later_scans_and_sites_only_choose_among_the_branches(new):
    response = pcwg4(tuple(new))
    allowed = {response.category, *response.branches}
    for site in ("bone", "visceral"):
        for seen in (False, True):
            told = tuple(
                NewLesion(
                    lesion.track,
                    lesion.tissue or site,
                    lesion.later_seen if lesion.later_seen is not None else seen,
                    60,
                )
                for lesion in new
            )
            answer = pcwg4(told)
            assert {answer.category, *answer.branches} - {"NE"} <= allowed


# --- lesions that are back ---


def test_a_lesion_that_is_back_after_it_was_gone_counts_as_new():
    back = lesions(1, "bone", first=6)
    assert pcwg4(lesions(5, "bone", 0)).category == NON_PD
    response = pcwg4(lesions(5, "bone", 0), reappeared=back)
    assert response.category == PD
    assert any("L06" in note and "as new" in note for note in response.notes)
    assert pcwg4(reappeared=lesions(1, "visceral")).category == PD
    assert pcwg4(reappeared=back).category == NON_PD


def test_where_new_lesions_cannot_be_counted_those_that_are_back_change_nothing():
    back = lesions(6, "bone")
    assert pcwg4(assessable=False, reappeared=back) == pcwg4(assessable=False)
