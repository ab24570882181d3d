"""Other normalizations than body weight: lean body mass, ideal body weight and body surface.

Weight in kg, height in m. Formulas as the IBSI SUV project lists them for the SUV types of DICOM
(https://github.com/oncoray/suv_computation): lean body mass by James with 120 (SUVType LBM) and with 128 (LBMJAMES128),
by Janmahasatian (LBMJANMA), ideal body weight (IBW), and body surface by Du Bois (BSA). There is no agreement for a sex
other than M and F; as the IBSI proposes, "O" takes the mean of both.
"""

from __future__ import annotations

from collections.abc import Callable

from .entered_values import HEAVIEST_KG, LIGHTEST_KG, SMALLEST_M, TALLEST_M, how_to_enter
from .errors import InputError


def lean_body_mass_james_kg(weight_kg: float, height_m: float, sex: str, male_constant: float = 128.0) -> float:
    """Lean body mass in kg; ``male_constant`` is 128 (James) or 120 (Morgan, SUVType LBM)."""
    squared = (weight_kg / (100.0 * height_m)) ** 2
    return _by_sex(sex, 1.10 * weight_kg - male_constant * squared, 1.07 * weight_kg - 148.0 * squared)


def lean_body_mass_janma_kg(weight_kg: float, height_m: float, sex: str) -> float:
    """Lean body mass by Janmahasatian in kg."""
    bmi = weight_kg / height_m**2
    return _by_sex(sex, 9270.0 * weight_kg / (6680.0 + 216.0 * bmi), 9270.0 * weight_kg / (8780.0 + 244.0 * bmi))


def ideal_body_weight_kg(height_m: float, sex: str) -> float:
    """Ideal body weight in kg."""
    above_cm = 100.0 * height_m - 152.0
    return _by_sex(sex, 48.0 + 1.06 * above_cm, 45.5 + 0.91 * above_cm)


def body_surface_m2(weight_kg: float, height_m: float) -> float:
    """Body surface by Du Bois in m2."""
    return 0.007184 * weight_kg**0.425 * (100.0 * height_m) ** 0.725


def _by_sex(sex: str, male: float, female: float) -> float:
    return {"M": male, "F": female, "O": (male + female) / 2.0}[sex]


# What SUVbw is multiplied with, from weight in kg, height in m and sex. SUVbsa is in cm2/mL, all others in g/mL.
_FACTORS: dict[str, Callable[[float, float, str], float]] = {
    "SUVlbm(James)": lambda weight, height, sex: lean_body_mass_james_kg(weight, height, sex, 120.0) / weight,
    "SUVlbm(James128)": lambda weight, height, sex: lean_body_mass_james_kg(weight, height, sex) / weight,
    "SUVlbm(Janma)": lambda weight, height, sex: lean_body_mass_janma_kg(weight, height, sex) / weight,
    "SUVbsa": lambda weight, height, _sex: body_surface_m2(weight, height) * 10.0 / weight,  # m2/kg to cm2/g
    "SUVibw": lambda weight, height, sex: ideal_body_weight_kg(height, sex) / weight,
}
SUV_NORMS = tuple(_FACTORS)
NORM_OF_SUV_TYPE = {
    "LBM": "SUVlbm(James)",
    "LBMJAMES128": "SUVlbm(James128)",
    "LBMJANMA": "SUVlbm(Janma)",
    "BSA": "SUVbsa",
    "IBW": "SUVibw",
}


def norm(name: str, weight_kg: float | None, height_m: float | None, sex: str | None) -> float:
    """The factor from SUVbw to one of the names of ``norms``; ``sex`` does not matter for SUVbsa.

    Raises InputError that names what is missing or out of range, and when a formula gives no positive mass, as those
    of James do for the very heavy and that of the ideal weight for the very small.
    """
    needed: list[tuple[str, bool]] = [
        ("weight_kg", weight_kg is not None and LIGHTEST_KG <= weight_kg <= HEAVIEST_KG),
        ("height_m", height_m is not None and SMALLEST_M <= height_m <= TALLEST_M),
        ("sex", name == "SUVbsa" or sex in ("M", "F", "O")),
    ]
    missing = [value for value, is_there in needed if not is_there]
    if missing or weight_kg is None or height_m is None:
        raise InputError(
            f"{name} needs {', '.join(missing)}: enter it ({', '.join(map(how_to_enter, missing))}).", missing=missing
        )
    factor = _FACTORS[name](weight_kg, height_m, sex or "")
    if factor <= 0:
        raise InputError(
            f"The formula of {name} gives no positive value for {weight_kg:g} kg and {height_m:g} m: check weight and "
            f"height ({how_to_enter('weight_kg')}, {how_to_enter('height_m')}).",
            missing=("weight_kg", "height_m"),
        )
    return factor


def norms(weight_kg: float | None, height_m: float | None, sex: str | None) -> dict[str, float]:
    """Factors from SUVbw to SUV by lean body mass, surface and ideal weight, by the names used in reports.

    ``sex`` is M, F or O. Those that ``norm`` refuses are left out: SUVbw can be read without them.
    """
    found = {}
    for name in SUV_NORMS:
        try:
            found[name] = norm(name, weight_kg, height_m, sex)
        except InputError:
            continue
    return found
