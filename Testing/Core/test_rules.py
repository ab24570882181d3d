"""Rule sets and the settings that override them."""

from __future__ import annotations

import pytest
from PSMASegmentLib.rules import PERCENT, QPSMA, REFERENCE, RULE_SETS, rule_set_from


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


def test_each_rule_set_bears_its_name_and_is_described():
    assert all(rules.name == name and rules.description for name, rules in RULE_SETS.items())
    kinds = {name: rules.threshold_rule for name, rules in RULE_SETS.items()}
    assert kinds["percent"] == PERCENT and kinds["qpsma"] == QPSMA
    assert kinds["liver"] == kinds["spleen"] == REFERENCE


@pytest.mark.parametrize(
    ("rule_set", "settings"),
    [
        ("suv3", {"percent": 41.0}),
        ("liver", {"percent": 41.0}),
        ("percent", {"reference": "liver"}),
        ("suv3", {"reference_mean": 5.0}),
        ("qpsma", {"reference_factor": 2.0}),
    ],
)
def test_a_setting_that_a_rule_set_has_no_use_for_is_refused(rule_set, settings):
    with pytest.raises(ValueError, match=f"of the rule set {rule_set}: {next(iter(settings))}. Valid are: rule_set"):
        rule_set_from({"rule_set": rule_set, **settings})


def test_only_settings_that_count_are_told():
    assert list(rule_set_from({}).settings()) == [
        "threshold",
        "minimum_volume_ml",
        "split_depth",
        "smoothing_mm",
        "remove_physiological",
        "organ_margin_mm",
    ]
    assert "percent" in rule_set_from({"rule_set": "percent"}).settings()
    qpsma = rule_set_from({"rule_set": "qpsma", "reference": "spleen"}).settings()
    assert qpsma["reference"] == "spleen" and "reference_factor" not in qpsma


def test_entered_uptake_of_the_reference_organ_is_complete_or_refused():
    with pytest.raises(ValueError, match="reference_sd goes with reference_mean"):
        rule_set_from({"rule_set": "liver", "reference_sd": 1.0})
    with pytest.raises(ValueError, match="qpsma also needs reference_sd"):
        rule_set_from({"rule_set": "qpsma", "reference_mean": 5.0})
    with pytest.raises(ValueError, match="liver also needs reference_sd"):
        rule_set_from({"rule_set": "liver", "reference_mean": 5.0, "reference_sd_factor": 2.0})
    assert rule_set_from({"rule_set": "liver", "reference_mean": 5.0}).reference_mean == 5.0


@pytest.mark.parametrize("value", ["kidney", 1, None])
def test_a_reference_that_is_no_such_organ_is_refused(value):
    with pytest.raises(ValueError, match="reference must be"):
        rule_set_from({"rule_set": "liver", "reference": value})


@pytest.mark.parametrize("percent", [0.0, 100.0, "41", float("nan")])
def test_a_percentage_that_makes_no_sense_is_refused(percent):
    with pytest.raises(ValueError, match="percent"):
        rule_set_from({"rule_set": "percent", "percent": percent})
