"""Normalizations other than body weight against values by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.suv_norms import norm, norms


@pytest.mark.parametrize(
    ("sex", "james", "james128", "janma", "ibw"),
    [
        # 70 kg, 175 cm: (W/H)^2 = 0.16, BMI = 22.857143
        ("M", 77 - 19.2, 77 - 20.48, 648900 / 11617.142857143, 48 + 1.06 * 23),
        ("F", 74.9 - 23.68, 74.9 - 23.68, 648900 / 14357.142857143, 45.5 + 0.91 * 23),
        ("O", 54.51, 53.87, (55.8571077226 + 45.1970149254) / 2, 69.405),
    ],
)
def test_factors_by_hand(sex: str, james: float, james128: float, janma: float, ibw: float) -> None:
    found = norms(70.0, 1.75, sex)
    # Du Bois: 0.007184 x 70^0.425 x 175^0.725 = 1.8481430 m2
    assert found == pytest.approx(
        {
            "SUVlbm(James)": james / 70,
            "SUVlbm(James128)": james128 / 70,
            "SUVlbm(Janma)": janma / 70,
            "SUVbsa": 18481.430 / 70000,
            "SUVibw": ibw / 70,
        },
        rel=1e-7,
    )


@given(weight=st.floats(55, 110), height=st.floats(1.6, 1.95))
def test_factor_of_the_other_sex_lies_between_those_of_men_and_women(weight: float, height: float) -> None:
    for name in ("SUVlbm(James)", "SUVlbm(James128)", "SUVlbm(Janma)", "SUVibw"):
        man, woman, other = (norm(name, weight, height, sex) for sex in "MFO")
        assert other == pytest.approx((man + woman) / 2, rel=1e-12)
        assert man > woman


@given(weight=st.floats(55, 110), height=st.floats(1.6, 1.95), sex=st.sampled_from("MFO"))
def test_lean_body_mass_by_janmahasatian_is_part_of_the_body_and_grows_with_it(
    weight: float, height: float, sex: str
) -> None:
    factor = norm("SUVlbm(Janma)", weight, height, sex)
    assert 0 < factor < 1
    assert norm("SUVlbm(Janma)", weight + 1, height, sex) * (weight + 1) > factor * weight


@pytest.mark.parametrize(
    ("weight", "height", "sex", "missing"),
    [
        (None, 1.75, "M", ("weight_kg",)),
        (70.0, None, "M", ("height_m",)),
        (70.0, 175.0, "M", ("height_m",)),
        (70.0, 1.75, "", ("sex",)),
        (0.0, 0.0, "X", ("weight_kg", "height_m", "sex")),
    ],
)
def test_what_is_missing_is_named(
    weight: float | None, height: float | None, sex: str, missing: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        norm("SUVlbm(Janma)", weight, height, sex)
    assert caught.value.missing == missing
    assert f"needs {', '.join(missing)}: enter it (--enter {missing[0]}=" in str(caught.value)


def test_surface_needs_no_sex() -> None:
    assert norm("SUVbsa", 70.0, 1.75, None) == pytest.approx(0.26402, abs=1e-5)


def test_norms_that_cannot_be_computed_are_left_out() -> None:
    assert list(norms(70.0, 1.75, "")) == ["SUVbsa"]
    assert "SUVlbm(James128)" not in norms(300.0, 1.5, "M")
    assert norms(None, 1.75, "M") == {}


def test_formula_that_fails_for_the_very_heavy_says_so() -> None:
    # James: 1.10 x 300 - 128 x (300 / 150)^2 = -182 kg
    with pytest.raises(InputError, match=r"SUVlbm\(James128\) gives no positive value for 300 kg and 1.5 m"):
        norm("SUVlbm(James128)", 300.0, 1.5, "M")
