"""Values entered by hand: how they are written, their ranges, and which study they are for."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime

import pytest
from PSMATheranosticsLib.entered_values import FIELDS, Entered, entered_for, how_to_enter, parse_entered
from PSMATheranosticsLib.errors import InputError


def test_values_are_read_by_day() -> None:
    found = parse_entered(
        [
            "weight_kg=82.5",
            "sex=m",
            "2024-05-06:injected=2024-05-06T09:30",
            "2024-05-06:weight_kg = 80",
            "tracer=[68Ga]Ga-PSMA-11",
        ]
    )
    assert found == {
        None: Entered(weight_kg=82.5, sex="M", tracer="[68Ga]Ga-PSMA-11"),
        date(2024, 5, 6): Entered(weight_kg=80.0, injected=datetime(2024, 5, 6, 9, 30)),
    }
    assert parse_entered([]) == {}


def test_values_for_a_day_go_before_those_for_every_study() -> None:
    entered = parse_entered(["weight_kg=82", "height_m=1.8", "2024-05-06:weight_kg=80"])
    assert entered_for(entered, date(2024, 5, 6)) == Entered(weight_kg=80.0, height_m=1.8)
    assert entered_for(entered, date(2024, 8, 6)) == Entered(weight_kg=82.0, height_m=1.8)
    assert entered_for(entered, None) == Entered(weight_kg=82.0, height_m=1.8)
    assert entered_for(parse_entered(["2024-05-06:weight_kg=80"]), date(2024, 8, 6)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight_kg", '"weight_kg" is no value to enter: write [YYYY-MM-DD:]NAME=VALUE, such as weight_kg=82.'),
        (
            "weight=82",
            '"weight" cannot be entered; known are weight_kg, height_m, sex, injected_activity_mbq, injected,',
        ),
        ("weight_kg=heavy", 'weight_kg is "heavy"; write it like weight_kg=82.'),
        ("weight_kg=nan", 'weight_kg is "nan"; write it like weight_kg=82.'),
        ("weight_kg=82000", "weight_kg is 82000; it must be from 1 to 500 kg."),
        ("height_m=178", "height_m is 178; it must be from 0.3 to 2.5 m."),
        ("sex=x", 'sex is "X"; it must be one of M, F, O.'),
        ("injected_activity_mbq=150e6", "injected_activity_mbq is 1.5e+08; it must be from 1 to 20000 MBq."),
        ("injected=2024-05-06", 'injected is "2024-05-06"; write it like injected=2024-05-06T09:30:00.'),
        ("injected=2024-05-06T09:30:00+02:00", "write it like injected=2024-05-06T09:30:00."),
        ("half_life_s=1.83", "half_life_s is 1.83; it must be from 60 to 3e+06 s."),
        ("tracer=", 'tracer is ""; write it like tracer=[68Ga]Ga-PSMA-11.'),
        ("2024-13-06:weight_kg=82", '"2024-13-06" is no date: write YYYY-MM-DD:NAME=VALUE.'),
    ],
)
def test_value_that_cannot_be_used_is_refused_with_the_way_to_write_it(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_entered([text])
    assert message in str(caught.value)


def test_two_values_for_one_name_are_refused() -> None:
    with pytest.raises(InputError, match=r"weight_kg was entered twice, as 80.0 and as 82.0"):
        parse_entered(["weight_kg=80", "weight_kg=82"])
    assert parse_entered(["weight_kg=80", "weight_kg=80.0"]) == {None: Entered(weight_kg=80.0)}


def test_range_holds_for_values_that_are_not_read_from_text() -> None:
    with pytest.raises(InputError, match="weight_kg is 0; it must be from 1 to 500 kg"):
        Entered(weight_kg=0.0)


def test_every_value_has_a_description_with_an_example_that_is_accepted() -> None:
    assert [field.name for field in FIELDS] == [field.name for field in fields(Entered)]
    for field in FIELDS:
        assert field.help
        assert parse_entered([how_to_enter(field.name).removeprefix("--enter ")])
