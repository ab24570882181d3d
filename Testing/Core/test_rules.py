"""Rule sets and the settings that override them."""

from __future__ import annotations

import pytest
from PSMASegmentLib.rules import RULE_SETS, rule_set_from


def test_the_default_is_a_fixed_suv_of_3_with_physiological_uptake_removed():
    rules = rule_set_from({})
    assert (rules.name, rules.threshold, rules.remove_physiological) == ("suv3", 3.0, True)


def test_suv3_all_keeps_physiological_uptake():
    assert not rule_set_from({"rule_set": "suv3-all"}).remove_physiological


def test_settings_override_the_rule_set_and_leave_the_table_alone():
    rules = rule_set_from({"rule_set": "suv3-all", "threshold": 4, "remove_physiological": True})
    assert (rules.threshold, rules.remove_physiological) == (4.0, True)
    assert RULE_SETS["suv3-all"].threshold == 3.0


def test_an_unknown_setting_is_refused_with_the_valid_ones_listed():
    with pytest.raises(ValueError, match=r"treshold.*Valid are: rule_set, threshold, minimum_volume_ml"):
        rule_set_from({"treshold": 3.0})


def test_name_and_description_are_no_settings():
    with pytest.raises(ValueError, match="Unknown settings"):
        rule_set_from({"name": "mine"})


def test_an_unknown_rule_set_is_refused_with_the_valid_ones_listed():
    with pytest.raises(ValueError, match="suv3, suv3-all"):
        rule_set_from({"rule_set": "suv4"})


@pytest.mark.parametrize("rule_set", [3, None, ["suv3"]])
def test_a_rule_set_that_is_no_name_is_refused(rule_set):
    with pytest.raises(ValueError, match="There is no rule set"):
        rule_set_from({"rule_set": rule_set})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", 0.0),
        ("threshold", -3.0),
        ("threshold", float("nan")),
        ("threshold", "3"),
        ("threshold", True),
        ("split_depth", 1.0),
        ("minimum_volume_ml", -0.1),
        ("smoothing_mm", None),
        ("organ_margin_mm", float("inf")),
        ("remove_physiological", 1),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        rule_set_from({key: value})
