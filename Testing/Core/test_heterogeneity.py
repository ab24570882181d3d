"""How differently the lesions of one man responded."""

from __future__ import annotations

import math

import pytest
from PSMATrackingLib.heterogeneity import heterogeneity
from PSMATrackingLib.lesion_response import CLASSES, Burden, LesionChange


def change(track, class_, before=None, ratio=None, standing=None) -> LesionChange:
    """A change whose lesion had ``before`` SUV x mL."""
    burden = None if before is None else Burden((track,), 1.0, 1.0, 1.0, 1.0, before)
    after = None if ratio in (None, 0.0) else Burden((track,), 1.0, 1.0, 1.0, 1.0, (before or 1.0) * ratio)
    ratios = {"tl_psma": ratio}
    return LesionChange(track, (track,), standing or track, class_, burden, after, ratios, {}, "")


MIXED = [
    change(1, "increasing", 10.0, 4.0),
    change(2, "stable", 30.0, 1.0),
    change(3, "decreasing", 40.0, 0.25),
    change(4, "resolved", 20.0, 0.0),
    change(5, "new"),
    change(6, "merged", 40.0, 0.25, standing=3),
]


def test_shares_are_by_count_and_by_the_total_uptake_before():
    found = heterogeneity(MIXED)
    assert found.lesions == 5  # the merged one is counted with another
    assert found.counts["merged"] == 0
    assert found.by_count["stable"] == pytest.approx(0.2)
    assert found.by_tl_psma["decreasing"] == pytest.approx(0.4)
    assert found.by_tl_psma["new"] == 0.0
    assert math.fsum(found.by_count.values()) == pytest.approx(1.0)
    assert math.fsum(found.by_tl_psma.values()) == pytest.approx(1.0)
    assert set(found.counts) == set(CLASSES)


def test_the_spread_is_that_of_the_logarithm_of_the_ratios_that_say_something():
    found = heterogeneity(MIXED)
    # ln 4, 0, -ln 4
    assert found.compared == 3
    assert found.ln_ratio_median == pytest.approx(0.0)
    assert found.ln_ratio_sd == pytest.approx(math.log(4))
    assert found.ln_ratio_iqr == pytest.approx(math.log(4))
    assert found.ln_ratio_range == pytest.approx(2 * math.log(4))
    assert (found.worst_track, found.worst_ratio) == (1, 4.0)


def test_gini_is_zero_for_one_class_and_grows_with_their_number():
    assert heterogeneity([change(1, "stable", 1.0, 1.0), change(2, "stable", 1.0, 1.1)]).gini == pytest.approx(0.0)
    assert heterogeneity(MIXED).gini == pytest.approx(1 - 5 * 0.2**2)


@pytest.mark.parametrize(
    ("classes", "mixed"),
    [
        (["increasing", "decreasing"], True),
        (["new", "resolved"], True),
        (["new", "increasing", "stable"], False),
        (["decreasing", "resolved", "stable"], False),
        (["uncertain", "decreasing"], False),
        ([], False),
    ],
)
def test_a_mixed_response_needs_one_lesion_on_either_side(classes, mixed):
    changes = [change(number, name, 1.0, 1.0) for number, name in enumerate(classes, 1)]
    assert heterogeneity(changes).mixed_response is mixed


def test_without_lesions_nothing_is_claimed():
    found = heterogeneity([])
    assert (found.lesions, found.new, found.by_count, found.by_tl_psma) == (0, 0, {}, {})
    assert found.ln_ratio_median is found.ln_ratio_sd is found.worst_track is found.gini is None


def test_one_ratio_has_a_median_and_no_spread():
    found = heterogeneity([change(1, "decreasing", 10.0, 0.5)])
    assert found.ln_ratio_median == pytest.approx(math.log(0.5))
    assert found.ln_ratio_sd is found.ln_ratio_iqr is found.ln_ratio_range is None


def test_ratios_of_lesions_that_are_too_small_or_uncertain_do_not_count():
    found = heterogeneity([change(1, "too small", 1.0, 9.0), change(2, "uncertain", 1.0, 9.0)])
    assert found.compared == 0
    assert found.worst_track is None
