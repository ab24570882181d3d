"""Weight, height, sex, injected activity and half-life of a PET series: from the header, or entered by hand.

What a header can only mean in another unit (weight in g, activity in MBq) is converted and said in a warning, as the
IBSI SUV project proposes (https://github.com/oncoray/suv_computation); what can be neither is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from .dicom_values import first_item, items, number, tag_text, text, texts
from .entered_values import (
    HEAVIEST_KG,
    LARGEST_ACTIVITY_MBQ,
    LIGHTEST_KG,
    LONGEST_HALF_LIFE_S,
    SHORTEST_HALF_LIFE_S,
    SMALLEST_ACTIVITY_MBQ,
    SMALLEST_M,
    TALLEST_M,
    Entered,
    field_of,
    told,
)
from .nuclides import HALF_LIFE_S
from .suv_problems import Problems

WEIGHT_IN_GRAMS = 1000.0  # from here on a weight is in g (IBSI)
ACTIVITY_IN_MBQ = 1e4  # below, an activity is in MBq (IBSI)
# 11.5 h (IBSI): from here on a time of day does not tell the day of injection, and therapies are given in GBq.
LONG_HALF_LIFE_S = 41_400.0
NOTEWORTHY_HALF_LIFE = 0.01  # relative difference from the half-life of the nuclide
INJECTION = "RadiopharmaceuticalInformationSequence"
_OF_AN_INJECTION = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStartTime",
)
_OF_A_STUDY = (
    "weight_kg",
    "height_m",
    "sex",
    "injected_activity_mbq",
    "injected",
    "half_life_s",
    "reference_time",
)  # Entered


@dataclass(frozen=True)
class Facts:
    """Facts of patient and injection with their warnings; None where neither header nor person tells.

    ``entered`` are the DICOM keywords of what was entered by hand, ``as_written`` holds values of the header that were
    converted from another unit. ``height_m`` and ``sex`` are None and "" as well where the header holds something else
    than a height and M, F or O.
    """

    weight_kg: float | None
    height_m: float | None
    sex: str
    activity_bq: float | None
    half_life_s: float | None
    entered: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)
    as_written: dict[str, float] = field(default_factory=dict)


def read_facts(headers: Sequence[Dataset], entered: Entered, problems: Problems, needed: Collection[str]) -> Facts:
    """Facts of one series. What is missing, contradictory or out of range among the ``needed`` (names of ``Entered``)
    is added to ``problems``; of the others it only stays unknown.
    """

    def problems_of(name: str) -> Problems:
        return problems if name in needed else Problems()

    warnings = _told(headers, entered)
    if needed:
        _refuse_several_injections(headers[0], entered, problems)
    half_life_s = _half_life_s(headers, entered, problems_of("half_life_s"))
    weight_kg = _weight_kg(headers, entered, problems_of("weight_kg"), warnings)
    activity_bq = _activity_bq(headers, entered, half_life_s, problems_of("injected_activity_mbq"), warnings)
    return Facts(
        weight_kg=weight_kg,
        height_m=_height_m(headers, entered, warnings),
        sex=_sex(headers, entered),
        activity_bq=activity_bq,
        half_life_s=half_life_s,
        entered=tuple(field_of(name).keyword for name in _OF_A_STUDY if getattr(entered, name) is not None),
        warnings=warnings,
        as_written={
            **_as_written(headers[0], "PatientWeight", "g", entered.weight_kg is None, weight_kg),
            **_as_written(
                headers[0], "RadionuclideTotalDose", "MBq", entered.injected_activity_mbq is None, activity_bq
            ),
        },
    )


def _refuse_several_injections(header: Dataset, entered: Entered, problems: Problems) -> None:
    """Two tracers, or one in two portions, have no common activity that the header tells."""
    if entered.injected_activity_mbq is not None and entered.injected is not None:
        return
    facts = {tuple(text(item, keyword) for keyword in _OF_AN_INJECTION) for item in items(header, INJECTION)}
    if len(facts) > 1:
        problems.add(
            f"{tag_text(INJECTION)} holds {len(facts)} different injections, and it is not known which of them the "
            "image shows",
            "injected_activity_mbq",
            "injected",
        )


def _as_written(header: Dataset, keyword: str, unit: str, is_of_header: bool, used: float | None) -> dict[str, float]:
    value = number(_holder(header, keyword), keyword)
    if not is_of_header or used is None or value is None or value == used:
        return {}
    return {f"{keyword}, as written [{unit}]": value}


def _told(headers: Sequence[Dataset], entered: Entered) -> list[str]:
    """One line for every value entered by hand, with that of the header where there was one."""
    lines = []
    for name in _OF_A_STUDY:
        value = getattr(entered, name)
        if value is None:
            continue
        described = field_of(name)
        holder = _holder(headers[0], described.keyword)
        as_number = number(holder, described.keyword) if isinstance(value, float) else None
        of_header = text(holder, described.keyword) if as_number is None else f"{as_number:g}"
        instead = f" instead of {of_header} in the header" if of_header else ""
        lines.append(told(name, value) + instead)
    return lines


def _holder(header: Dataset, keyword: str) -> Dataset:
    """The dataset that holds an attribute: facts of the injection stand in a sequence of their own."""
    return first_item(header, INJECTION) if keyword.startswith("Radio") else header


def not_constant(headers: Sequence[Dataset], keyword: str) -> str:
    """A clause when an attribute changes from image to image, which contradicts itself; "" when it does not."""
    values = sorted({"\\".join(texts(_holder(header, keyword), keyword)) or "(empty)" for header in headers})
    return f"{tag_text(keyword)} differs within the series: {', '.join(values[:4])}" if len(values) > 1 else ""


def _header_number(headers: Sequence[Dataset], name: str, problems: Problems) -> float | None:
    """A number that the whole series shares and that is above zero."""
    keyword = field_of(name).keyword
    differs = not_constant(headers, keyword)
    value = number(_holder(headers[0], keyword), keyword)
    if differs:
        problems.add(differs, name)
    elif value is None:
        written = "\\".join(texts(_holder(headers[0], keyword), keyword))
        found = f'is "{written}", which is not one number' if written else "is missing"
        problems.add(f"{tag_text(keyword)} {found}", name)
    elif value <= 0:
        problems.add(f"{tag_text(keyword)} is {value:g}, which is not above zero", name)
    else:
        return value
    return None


def _weight_kg(headers: Sequence[Dataset], entered: Entered, problems: Problems, warnings: list[str]) -> float | None:
    if entered.weight_kg is not None:
        return entered.weight_kg
    value = _header_number(headers, "weight_kg", problems)
    if value is None:
        return None
    weight_kg = value / 1000.0 if value >= WEIGHT_IN_GRAMS else value
    if not LIGHTEST_KG <= weight_kg <= HEAVIEST_KG:
        problems.add(f"{tag_text('PatientWeight')} is {value:g}, which is no weight in kg nor in g", "weight_kg")
        return None
    if value >= WEIGHT_IN_GRAMS:
        warnings.append(f"{tag_text('PatientWeight')} is {value:g} and was taken as g: {weight_kg:g} kg")
    return weight_kg


def _activity_bq(
    headers: Sequence[Dataset], entered: Entered, half_life_s: float | None, problems: Problems, warnings: list[str]
) -> float | None:
    if entered.injected_activity_mbq is not None:
        return entered.injected_activity_mbq * 1e6
    value = _header_number(headers, "injected_activity_mbq", problems)
    if value is None:
        return None
    activity_bq = activity_in_bq(value, half_life_s)
    if activity_bq is None:
        problems.add(
            f"{tag_text('RadionuclideTotalDose')} is {value:g}, which is no activity of a patient in Bq nor in MBq",
            "injected_activity_mbq",
        )
    elif (activity_bq == value) == (text(headers[0], "Modality").upper() == "NM"):  # NM has it in MBq, PET in Bq
        unit = "Bq" if activity_bq == value else "MBq"
        warnings.append(f"{tag_text('RadionuclideTotalDose')} is {value:g} and was taken as {unit}: {activity_bq:g} Bq")
    return activity_bq


def activity_in_bq(value: float, half_life_s: float | None) -> float | None:
    """An activity of a header in Bq, whether it is written in Bq or in MBq; None when it can be neither.

    Below 1e4 it is in MBq (IBSI). Nuclides with a long half-life are given for therapy in GBq, so there the limit is
    the largest activity that is given at all (20 GBq); nothing that small in Bq makes an image.
    """
    is_long = half_life_s is not None and half_life_s >= LONG_HALF_LIFE_S
    in_mbq = value <= LARGEST_ACTIVITY_MBQ if is_long else value < ACTIVITY_IN_MBQ
    activity_bq = value * 1e6 if in_mbq else value
    return activity_bq if SMALLEST_ACTIVITY_MBQ * 1e6 <= activity_bq <= LARGEST_ACTIVITY_MBQ * 1e6 else None


def _half_life_s(headers: Sequence[Dataset], entered: Entered, problems: Problems) -> float | None:
    if entered.half_life_s is not None:
        return entered.half_life_s
    value = _header_number(headers, "half_life_s", problems)
    if value is not None and not SHORTEST_HALF_LIFE_S <= value <= LONGEST_HALF_LIFE_S:
        problems.add(
            f"{tag_text('RadionuclideHalfLife')} is {value:g}, which is no half-life of a PET nuclide in s",
            "half_life_s",
        )
        return None
    return value


def half_life_doubt(half_life_s: float, nuclide: str | None) -> list[str]:
    """A warning where the half-life that is used is not that of the nuclide."""
    known_s = HALF_LIFE_S.get(nuclide or "")
    if known_s is None or abs(half_life_s / known_s - 1.0) <= NOTEWORTHY_HALF_LIFE:
        return []
    return [
        f"{tag_text('RadionuclideHalfLife')} is {half_life_s:g} s, but {nuclide} has {known_s:g} s (ICRP 107); the "
        "first was used"
    ]


def _height_m(headers: Sequence[Dataset], entered: Entered, warnings: list[str]) -> float | None:
    if entered.height_m is not None:
        return entered.height_m
    value = number(headers[0], "PatientSize")
    if value is None or value <= 0 or not_constant(headers, "PatientSize"):
        return None
    height_m = value / 100.0 if value > 100.0 * SMALLEST_M else value
    if not SMALLEST_M <= height_m <= TALLEST_M:
        warnings.append(f"{tag_text('PatientSize')} is {value:g}, which is no height in m nor in cm, and was not used")
        return None
    if height_m != value:
        warnings.append(f"{tag_text('PatientSize')} is {value:g} and was taken as cm: {height_m:g} m")
    return height_m


def _sex(headers: Sequence[Dataset], entered: Entered) -> str:
    if entered.sex is not None:
        return entered.sex
    sex = text(headers[0], "PatientSex").upper()
    return sex if sex in ("M", "F", "O") and not not_constant(headers, "PatientSex") else ""
