"""miPSMA and PSG: limits, the spleen for 18F-PSMA-1007, missing and contradicting reference regions."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PSMATheranosticsLib.mi_psma import (
    Levels,
    is_liver_excreted,
    lesion_scores,
    levels_of,
    mi_psma,
    possible_mi_psma,
    region_mean,
)
from PSMATheranosticsLib.psg import psg_class
from scored_study import GALLIUM, PSMA_1007, REFERENCES, lesion, region, regions, study

LEVELS = Levels(1.5, "liver", 5.0, 15.0)


# --- limits ---


@pytest.mark.parametrize(("suv", "score"), [(1.5, 0), (1.51, 1), (5.0, 1), (5.01, 2), (15.0, 2), (15.01, 3)])
def test_uptake_equal_to_a_reference_region_is_not_above_it(suv: float, score: int):
    assert mi_psma(suv, REFERENCES, GALLIUM) == score
    assert possible_mi_psma(suv, LEVELS) == (score,)


def test_what_differs_only_by_rounding_in_doubles_is_equal():
    blood = 0.1 + 0.2  # 0.30000000000000004
    assert possible_mi_psma(0.3, Levels(blood, "liver", 5.0, 15.0)) == (0,)
    assert possible_mi_psma(blood, Levels(0.3, "liver", 5.0, 15.0)) == (0,)


@given(
    st.floats(0.01, 100.0),
    st.lists(st.floats(0.1, 50.0), min_size=3, max_size=3).map(sorted),
    st.sets(st.integers(0, 2)),
)
def test_the_score_counts_the_regions_below_and_leaving_one_out_never_excludes_it(
    suv: float, means: list[float], left_out: set[int]
):
    assume(all(abs(suv - mean) > 1e-6 for mean in means))
    score = sum(suv > mean for mean in means)
    assert possible_mi_psma(suv, Levels(means[0], "liver", means[1], means[2])) == (score,)
    known = [None if index in left_out else mean for index, mean in enumerate(means)]
    possible = possible_mi_psma(suv, Levels(known[0], "liver", known[1], known[2]))
    assert score in possible
    assert list(possible) == sorted(set(possible))
    assert len(possible) <= 1 + len(left_out)


@given(st.floats(0.01, 50.0), st.floats(0.01, 50.0), st.floats(0.5, 2.0))
def test_more_uptake_never_lowers_the_score_and_a_common_factor_leaves_it(first: float, second: float, factor: float):
    low, high = sorted((first, second))
    assert possible_mi_psma(low, LEVELS) <= possible_mi_psma(high, LEVELS)
    assume(all(abs(first - level) > 1e-6 for level in (1.5, 5.0, 15.0)))
    scaled = Levels(1.5 * factor, "liver", 5.0 * factor, 15.0 * factor)
    assert possible_mi_psma(first * factor, scaled) == possible_mi_psma(first, LEVELS)


# --- reference regions ---


@pytest.mark.parametrize(
    ("tracer", "liver_excreted"),
    [
        ("18F-PSMA-1007", True),
        ("F18 PSMA 1007", True),
        ("[18F]PSMA-1007", True),
        ("psma1007", True),
        ("68Ga-PSMA-11", False),
        ("18F-DCFPyL", False),
        ("flotufolastat", False),
        ("", False),
    ],
)
def test_the_spleen_takes_the_place_of_the_liver_for_psma_1007_only(tracer: str, liver_excreted: bool):
    assert is_liver_excreted(tracer) is liver_excreted
    found = levels_of(REFERENCES, tracer)
    assert (found.organ, found.organ_suv) == (("spleen", 9.0) if liver_excreted else ("liver", 5.0))


def test_a_lesion_between_liver_and_spleen_is_scored_by_the_organ_of_its_tracer():
    assert mi_psma(7.0, REFERENCES, GALLIUM) == 2
    assert mi_psma(7.0, REFERENCES, PSMA_1007) == 1


def test_the_parotid_is_the_mean_of_the_sides_that_there_are():
    assert region_mean(REFERENCES, "parotid") == pytest.approx(15.0)
    one_side = [region("right parotid", 16.0)]
    assert region_mean(one_side, "parotid") == 16.0
    assert region_mean(one_side, "liver") is None


@pytest.mark.parametrize(
    ("missing", "suv", "possible"),
    [
        ("parotid", 5.0, (1,)),
        ("parotid", 6.0, (2, 3)),
        ("liver", 3.0, (1, 2)),
        ("liver", 16.0, (3,)),
        ("blood pool", 3.0, (0, 1)),
        ("blood pool", 6.0, (2,)),
    ],
)
def test_a_missing_region_leaves_only_the_scores_open_that_it_divides(
    missing: str, suv: float, possible: tuple[int, ...]
):
    rest = [one for one in REFERENCES if not one.name.endswith(missing)]
    assert possible_mi_psma(suv, levels_of(rest, GALLIUM)) == possible
    assert mi_psma(suv, rest, GALLIUM) == (possible[0] if len(possible) == 1 else None)


def test_regions_in_the_wrong_order_give_no_score_where_it_matters():
    swapped = regions(blood=1.5, liver=12.0, spleen=9.0, parotid=6.0)
    assert mi_psma(8.0, swapped, GALLIUM) is None
    assert mi_psma(13.0, swapped, GALLIUM) == 3
    assert mi_psma(5.0, swapped, GALLIUM) == 1


@pytest.mark.parametrize("tracer", ["18F-FDG", "", "99mTc-MDP"])
def test_other_tracers_have_no_score(tracer: str):
    assert mi_psma(20.0, REFERENCES, tracer) is None


def test_a_spect_has_no_score_and_rejected_lesions_have_one():
    lesions = (lesion(1, 20.0), lesion(2, 1.0))
    made = study(lesions=lesions[:1], rejected=lesions[1:])
    assert lesion_scores(made, REFERENCES) == {1: 3, 2: 0}
    assert lesion_scores(study(lesions=lesions, modality="SPECT"), REFERENCES) == {1: None, 2: None}


def test_the_measure_of_the_lesion_is_a_setting():
    made = study(lesions=(lesion(1, 6.0, suv_mean=4.0, suv_peak=1.2),))
    by_measure = {
        measure: lesion_scores(made, REFERENCES, measure)[1] for measure in ("suv_max", "suv_mean", "suv_peak")
    }
    assert by_measure == {"suv_max": 2, "suv_mean": 1, "suv_peak": 0}


# --- PSG ---


@pytest.mark.parametrize(
    ("quotient", "name"),
    [(1.5, "intermediate"), (1.51, "high"), (0.5, "intermediate"), (0.49, "low"), (1.5 + 1e-12, "intermediate")],
)
def test_both_limits_of_psg_are_intermediate(quotient: float, name: str):
    assert psg_class(quotient) == name


def test_a_quotient_that_only_rounding_lifts_over_a_limit_stays_intermediate():
    assert 0.3 / 0.2 == 1.4999999999999998
    assert (0.1 + 0.2) / 0.2 > 1.5
    assert psg_class((0.1 + 0.2) / 0.2) == "intermediate"
