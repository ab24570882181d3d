"""RECIP 1.0: rule vectors, invariances, and agreement with a second formulation in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.recip import CR, PD, PR, SD, Recip1, decide, percent_text
from PSMATheranosticsLib.response import Response, ResponseInput, ScanFacts

BETTER_TO_WORSE = [CR, PR, SD, PD]
NOT_ASSESSABLE = None

volumes_ml = st.floats(min_value=0.01, max_value=5000.0, allow_nan=False)


def recip(base: float | None, followup: float | None, new: bool | None, residual: bool | None = None) -> Response:
    return Recip1().evaluate(ResponseInput(base, followup, new, residual))


# From the definitions in Gafita 2022 and on recip-criteria.com; none of these is a clinical case.
VECTORS = [
    (1, 100, 0, False, False, CR, -100.0, ()),
    (2, 100, 0, False, True, PR, -100.0, ()),
    (3, 100, 69, False, None, PR, -31.0, ()),
    (4, 100, 70, False, None, PR, -30.0, ()),
    (5, 100, 70.1, False, None, SD, -29.9, ()),
    (6, 100, 70, True, None, SD, -30.0, ()),
    (7, 100, 10, True, None, SD, -90.0, ()),
    (8, 100, 100, False, None, SD, 0.0, ()),
    (9, 100, 100, True, None, SD, 0.0, ()),
    (10, 100, 119.9, True, None, SD, 19.9, ()),
    (11, 100, 120, True, None, PD, 20.0, ()),
    (12, 100, 120, False, None, SD, 20.0, ()),
    (13, 100, 500, False, None, SD, 400.0, ()),
    (14, 100, 500, True, None, PD, 400.0, ()),
    (15, 1.0, 1.2, True, None, PD, 20.0, ()),
    (16, 0.5, 0.6, True, None, PD, 20.0, ()),
    (17, 2.1, 2.52, True, None, PD, 20.0, ()),
    (18, 1.9, 1.33, False, None, PR, -30.0, ()),
    (19, 2.3, 1.61, False, None, PR, -30.0, ()),
    (20, 6.3, 4.41, False, None, PR, -30.0, ()),
    (21, 0, 0, False, None, "NE", None, ()),
    (22, 0, 5, True, None, "NE", None, ()),
    (23, 100, 0, True, None, "NE", -100.0, ()),
    (24, None, 50, False, None, "NE", None, ()),
    (25, 100, 60, NOT_ASSESSABLE, None, "NE", -40.0, (PR, SD)),
    (26, 100, 100, NOT_ASSESSABLE, None, SD, 0.0, ()),
    (27, 100, 130, NOT_ASSESSABLE, None, "NE", 30.0, (SD, PD)),
    (28, 128, 51, False, None, PR, -60.15625, ()),
    # 29: a scan between the two had 50 mL. RECIP knows no nadir, so there is no way to hand it in.
    (29, 100, 62, False, None, PR, -38.0, ()),
]


@pytest.mark.parametrize(
    ("base", "followup", "new", "residual", "category", "percent", "branches"),
    [vector[1:] for vector in VECTORS],
    ids=[f"vector{vector[0]}" for vector in VECTORS],
)
def test_rule_vector_gives_its_category(base, followup, new, residual, category, percent, branches):
    response = recip(base, followup, new, residual)
    assert response.category == category
    assert response.branches == branches
    assert response.change_percent == (None if percent is None else pytest.approx(percent, abs=1e-9))


@pytest.mark.parametrize("bad", [-5.0, math.nan, math.inf, -math.inf])
def test_volume_that_is_no_volume_is_rejected_on_either_scan(bad):  # vector 30
    with pytest.raises(InputError, match="baseline tumor volume"):
        recip(bad, 10, False)
    with pytest.raises(InputError, match="follow-up tumor volume"):
        recip(10, bad, False)
    with pytest.raises(InputError):
        recip(None, bad, False)


def test_new_disease_without_baseline_disease_is_said():  # vector 22
    assert "new PSMA-positive disease" in recip(0, 5, True).why


@pytest.mark.parametrize(
    ("followup", "new", "residual"), [(0, True, None), (0, True, False), (5.0, False, False), (5.0, True, False)]
)
def test_contradicting_inputs_are_not_evaluable_and_named_a_conflict(followup, new, residual):
    response = recip(100, followup, new, residual)
    assert response.category == "NE"
    assert "input conflict:" in response.why


def test_why_shows_both_volumes_the_change_new_lesions_and_the_deciding_clause():
    assert recip(100, 70, False).why == (
        "PSMA-TV 100.0 -> 70.0 mL (-30.0 %), no new lesion: at least 30 % decrease without new lesions"
    )
    assert recip(100, 130.04, True).why == (
        "PSMA-TV 100.0 -> 130.0 mL (+30.0 %), new lesions: at least 20 % increase with new lesions"
    )
    assert recip(None, 50, NOT_ASSESSABLE).why == (
        "PSMA-TV missing -> 50.0 mL, new lesions not assessable: no tumor volume at baseline"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (-29.96, "-29.96 %"),  # SD: must not read as the limit of PR
        (-30.0, "-30.0 %"),
        (-29.999999999999993, "-30.0 %"),
        (19.97, "+19.97 %"),
        (19.999999999999996, "+20.0 %"),
        (-0.01, "0.0 %"),
        (0.0, "0.0 %"),
        (400.0, "+400.0 %"),
    ],
)
def test_percent_is_never_rounded_across_a_limit(change, text):
    assert percent_text(change) == text


def test_a_volume_that_is_not_zero_does_not_read_as_zero():
    assert "100.0 -> 0.012 mL" in recip(100, 0.0123, False).why


def test_complete_response_needs_a_reader():
    silent = recip(100, 0, False)
    assert silent.category == PR
    assert any("needs a reader" in note for note in silent.notes)
    assert recip(100, 0, NOT_ASSESSABLE, False).category == CR
    assert recip(100, 0, NOT_ASSESSABLE).branches == (PR, SD)


def test_small_baseline_and_short_interval_are_noted():
    assert any("below 1 mL" in note for note in recip(0.9, 0.5, False).notes)
    assert not recip(1.0, 0.5, False).notes

    def notes_after(days: float) -> str:
        return " ".join(Recip1().evaluate(ResponseInput(10, 5, False, interval_days=days)).notes)

    assert "less than 8 weeks" in notes_after(55)
    assert "less than the 12 weeks" in notes_after(56)
    assert "less than the 12 weeks" in notes_after(83)
    assert notes_after(84) == ""


def test_differences_between_the_scans_are_noted_but_do_not_change_the_category():
    baseline = ScanFacts("PET", "68Ga-PSMA-11", {"method": "rules", "threshold": "3"})
    followup = ScanFacts("PET", "18F-PSMA-1007", {"method": "rules", "threshold": "4"})
    response = Recip1().evaluate(ResponseInput(10, 5, False, baseline=baseline, followup=followup))
    assert response.category == PR
    assert "The tracers differ: 68Ga-PSMA-11 and 18F-PSMA-1007." in response.notes
    assert any("segmented differently (threshold 3 and 4)" in note for note in response.notes)
    same = Recip1().evaluate(ResponseInput(10, 5, False, baseline=baseline, followup=baseline))
    assert same.notes == ()
    unknown = Recip1().evaluate(ResponseInput(10, 5, False, baseline=baseline, followup=ScanFacts("PET")))
    assert unknown.notes == ()


@pytest.mark.parametrize("scans", [(True, True), (True, False), (False, True)])
def test_borders_of_a_network_are_noted_on_either_scan_but_do_not_change_the_category(scans):
    baseline, followup = (ScanFacts("PET", network_borders=drawn) for drawn in scans)
    response = Recip1().evaluate(ResponseInput(10, 5, False, baseline=baseline, followup=followup))
    assert response.category == PR
    assert [note for note in response.notes if note.startswith("Borders drawn by a network")]


def test_pet_is_never_compared_with_spect():
    mixed = ResponseInput(10, 5, False, baseline=ScanFacts("PET"), followup=ScanFacts("SPECT"))
    response = Recip1().evaluate(mixed)
    assert response.category == "NE"
    assert "different modalities" in response.why
    assert "The baseline is PET, the follow-up SPECT." in response.notes


def test_two_spect_are_left_to_the_criterion_on_spect():
    spect = ResponseInput(10, 5, False, baseline=ScanFacts("SPECT"), followup=ScanFacts("SPECT"))
    response = Recip1().evaluate(spect)
    assert (response.category, response.branches) == ("NE", ())
    assert "made for PET" in response.why


def test_another_scanner_or_reconstruction_is_noted_where_both_scans_state_it():
    baseline = ScanFacts("PET", scanner="Scanner A", reconstruction="OSEM 3i21s")
    followup = ScanFacts("PET", scanner="Scanner B", reconstruction="PSF+TOF")
    notes = Recip1().evaluate(ResponseInput(10, 5, False, baseline=baseline, followup=followup)).notes
    assert notes == (
        "The scanners differ: Scanner A and Scanner B.",
        "The reconstructions differ: OSEM 3i21s and PSF+TOF.",
    )
    assert Recip1().evaluate(ResponseInput(10, 5, False, baseline=baseline, followup=ScanFacts("PET"))).notes == ()


def test_new_lesions_that_cannot_be_assessed_are_said_to_keep_progression_out_of_reach():
    assert any("diffuse marrow" in note for note in recip(100, 130, NOT_ASSESSABLE).notes)
    assert recip(100, 100, NOT_ASSESSABLE).notes == ()


def test_a_change_of_a_few_voxels_is_noted_only_where_it_makes_the_category():
    assert any("changed by less than 0.5 mL" in note for note in recip(2.0, 2.4, True).notes)
    assert recip(2.0, 2.2, True).notes == ()
    assert recip(20.0, 26.0, True).notes == ()


def test_registry_holds_recip():
    assert CRITERIA["RECIP 1.0"].evaluate(ResponseInput(100, 120, True)).category == PD


# The second formulation: the published table as a look-up, with exact fractions as thresholds. Volumes are whole
# numbers of thousandths of a milliliter, so that nothing is rounded here.
LIMITS = {"partial response": Fraction(-3, 10), "progression": Fraction(1, 5)}
CATEGORIES = np.array(["NE", CR, PR, SD, PD])
NE_CODE, CR_CODE, PR_CODE, SD_CODE, PD_CODE = range(5)
LOOK_UP = np.array([[PR_CODE, SD_CODE], [SD_CODE, SD_CODE], [SD_CODE, PD_CODE]])  # change class, new lesions
NOBODY, NO, YES = range(3)  # answers of a reader
ANSWERS = (None, False, True)


def looked_up(base: np.ndarray, followup: np.ndarray, new: np.ndarray, residual: np.ndarray) -> np.ndarray:
    low, high = LIMITS["partial response"], LIMITS["progression"]
    change = followup - base
    fell = change * low.denominator <= low.numerator * base
    rose = change * high.denominator >= high.numerator * base
    row = np.where(fell, 0, np.where(rose, 2, 1))
    without, with_new = LOOK_UP[row, 0], LOOK_UP[row, 1]
    open_answer = np.where(without == with_new, without, NE_CODE)
    code = np.choose(new, [open_answer, without, with_new])
    code = np.where((followup == 0) & (residual == NO), CR_CODE, code)
    conflict = ((followup == 0) & (new == YES)) | ((residual == NO) & ((followup > 0) | (new == YES)))
    return np.where(conflict | (base == 0), NE_CODE, code)


def random_inputs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    tenths = rng.integers(0, 4000, size=count)
    anywhere = rng.random(count) < 0.3
    base = np.where(anywhere, rng.integers(1, 5_000_000, size=count), tenths * 100)
    # Some lie exactly on a limit, some a thousandth of a milliliter beside it, some anywhere, some at zero.
    followup = np.choose(
        rng.integers(0, 6, size=count),
        [
            tenths * 70,
            tenths * 120,
            tenths * 70 + 1,
            np.maximum(tenths * 120 - 1, 0),
            rng.integers(1, 6_000_000, size=count),
            np.zeros(count, dtype=np.int64),
        ],
    )
    return base, followup, rng.integers(0, 3, size=count), rng.choice([NOBODY, NOBODY, NO, YES], size=count)


def test_agrees_with_a_look_up_by_exact_fractions_on_a_million_random_inputs():
    base, followup, new, residual = random_inputs(1_000_000)
    expected = CATEGORIES[looked_up(base, followup, new, residual)]
    got = [
        decide(before / 1000, after / 1000, ANSWERS[has_new], ANSWERS[left])[0]
        for before, after, has_new, left in zip(
            base.tolist(), followup.tolist(), new.tolist(), residual.tolist(), strict=True
        )
    ]
    wrong = np.flatnonzero(np.array(got) != expected)
    assert [(base[i], followup[i], ANSWERS[new[i]], ANSWERS[residual[i]], got[i]) for i in wrong[:5]] == []
    seen = {category: int((expected == category).sum()) for category in CATEGORIES}
    assert min(seen.values()) > 1000, seen  # every category was really tried


def test_the_criterion_answers_what_its_table_says_and_names_both_branches_of_an_open_answer():
    for before, after, has_new, left in zip(*(one.tolist() for one in random_inputs(5000)), strict=True):
        base, followup, new, residual = before / 1000, after / 1000, ANSWERS[has_new], ANSWERS[left]
        response = recip(base, followup, new, residual)
        category, _, branches = decide(base, followup, new, residual)
        assert (response.category, response.branches) == (category, branches)
        if branches and followup > 0:  # without any volume a new lesion is a conflict
            assert branches == tuple(decide(base, followup, answer, residual)[0] for answer in (False, True))


def on_a_limit(base: float, followup: float) -> bool:
    return min(abs(followup / base - 0.7), abs(followup / base - 1.2)) < 1e-8


@given(volumes_ml, volumes_ml, st.sampled_from([True, False, None]), st.floats(min_value=1e-3, max_value=1e3))
def test_scaling_both_volumes_leaves_the_category(base, followup, new, factor):
    assume(not on_a_limit(base, followup))
    assert recip(base, followup, new).category == recip(base * factor, followup * factor, new).category


@given(volumes_ml, volumes_ml)
def test_a_new_lesion_never_improves_the_category(base, followup):
    without, with_new = recip(base, followup, False).category, recip(base, followup, True).category
    assert BETTER_TO_WORSE.index(with_new) >= BETTER_TO_WORSE.index(without)


@given(volumes_ml, volumes_ml, volumes_ml, st.booleans())
def test_more_volume_at_follow_up_never_improves_the_category(base, followup, added, new):
    before, after = recip(base, followup, new).category, recip(base, followup + added, new).category
    assert BETTER_TO_WORSE.index(after) >= BETTER_TO_WORSE.index(before)


@given(st.lists(volumes_ml, min_size=1, max_size=20), volumes_ml, st.booleans(), st.randoms())
def test_order_of_the_lesions_and_splitting_one_leave_the_category(lesions, followup, new, random):
    assume(not on_a_limit(sum(lesions), followup))
    shuffled = list(lesions)
    random.shuffle(shuffled)
    split = [lesions[0] / 4, 3 * lesions[0] / 4, *lesions[1:]]
    categories = {recip(sum(parts), followup, new).category for parts in (lesions, shuffled, split)}
    assert len(categories) == 1


@given(volumes_ml, volumes_ml)
def test_not_assessable_is_decided_only_where_both_answers_agree(base, followup):
    answers = {recip(base, followup, new).category for new in (True, False)}
    response = recip(base, followup, NOT_ASSESSABLE)
    assert set(response.branches or (response.category,)) == answers
