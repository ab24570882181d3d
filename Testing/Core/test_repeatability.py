"""Limits of what counts as a change of one lesion."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATrackingLib.repeatability import (
    DEFAULT_LIMITS,
    LIMIT_SOURCES,
    METRIC_NAMES,
    METRICS,
    PRESETS,
    Limits,
    RatioLimits,
    limits_from_variation,
)

# Within-subject coefficients of variation of all lesions, Werner 2022, Mol Imaging 2022:7056983, table 2.
PUBLISHED_VARIATION = {"suv_max": 0.121, "suv_mean": 0.073, "volume": 0.235, "tl_psma": 0.240}


@pytest.mark.parametrize("metric", PUBLISHED_VARIATION)
def test_default_limits_follow_from_the_published_variation(metric):
    # Two decimals of the limits; 0.01 covers the rounding either way.
    derived = limits_from_variation(PUBLISHED_VARIATION[metric])
    assert DEFAULT_LIMITS.of(metric).low == pytest.approx(derived.low, abs=0.01)
    assert DEFAULT_LIMITS.of(metric).high == pytest.approx(derived.high, abs=0.01)


def test_limits_of_suv_peak_follow_from_its_repeatability_coefficient():
    assert DEFAULT_LIMITS.suv_peak.low == pytest.approx(math.exp(-0.253), abs=0.005)
    assert DEFAULT_LIMITS.suv_peak.high == pytest.approx(math.exp(0.253), abs=0.005)


def test_the_total_uptake_decides_unless_another_measure_is_chosen():
    assert DEFAULT_LIMITS.metric == "tl_psma"
    assert (DEFAULT_LIMITS.deciding.low, DEFAULT_LIMITS.deciding.high) == (0.51, 1.95)
    assert PRESETS["SUVpeak, 30 % as in PERCIST"].deciding == RatioLimits(0.70, 1.30)
    nodes = limits_from_variation(0.137)
    chosen = PRESETS["SUVmax, test-retest of 68Ga-PSMA-11"].deciding
    assert (chosen.low, chosen.high) == (pytest.approx(nodes.low, abs=0.005), pytest.approx(nodes.high, abs=0.005))


def test_every_measure_has_a_name_and_a_source():
    assert set(METRIC_NAMES) == set(LIMIT_SOURCES) == set(METRICS)


def test_a_ratio_at_a_limit_is_within_it():
    limits = RatioLimits(0.51, 1.95)
    # as they may come out of a division
    assert limits.beyond(math.nextafter(0.51, 0.0)) == limits.beyond(math.nextafter(1.95, 2.0)) == 0
    assert limits.beyond(0.5099) == -1
    assert limits.beyond(1.9501) == 1


def test_limits_are_written_with_two_decimals_or_with_all_that_they_have():
    assert RatioLimits(0.7, 1.4).text == "0.70 to 1.40"
    assert RatioLimits(0.705, 1.3).text == "0.705 to 1.30"


ratio_limits = st.builds(RatioLimits, st.floats(0.01, 1.0), st.floats(1.0, 50.0))


@given(
    st.builds(
        Limits,
        ratio_limits,
        ratio_limits,
        ratio_limits,
        ratio_limits,
        ratio_limits,
        st.sampled_from(METRICS),
        st.floats(0.0, 20.0),
        st.floats(0.0, 1.0),
    )
)
def test_limits_come_back_from_json(limits):
    assert Limits.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits


def test_what_is_not_stored_keeps_its_default():
    assert Limits.from_dict({}) == DEFAULT_LIMITS
    chosen = Limits.from_dict({"metric": "suv_max", "suv_max": {"low": 0.6, "high": 1.5}})
    assert chosen.deciding == RatioLimits(0.6, 1.5)
    assert chosen.tl_psma == DEFAULT_LIMITS.tl_psma


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"suvmax": 1.0}, "'suvmax' is no limit"),
        ({"metric": "sul_peak"}, "no measure 'sul_peak'"),
        ({"volume": {"low": 1.2, "high": 1.5}}, "must lie above 0"),
        ({"volume": {"low": 0.0, "high": 1.5}}, "must lie above 0"),
        ({"volume": {"low": 0.5, "high": math.inf}}, "must lie above 0"),
        ({"volume": {"low": 0.5}}, "volume is stored as"),
        ({"volume": 0.5}, "volume is stored as"),
        ({"volume": {"low": "half", "high": 2}}, "could not convert"),
        ({"smallest_ml": -1}, "smallest_ml is -1.0"),
        ({"smallest_ml": None}, "smallest_ml is stored as"),
        ({"lowest_confidence": 1.5}, "from 0 to 1"),
        ({"lowest_confidence": math.nan}, "from 0 to 1"),
    ],
)
def test_what_cannot_be_a_limit_is_refused(stored, message):
    with pytest.raises(ValueError, match=message):
        Limits.from_dict(stored)
