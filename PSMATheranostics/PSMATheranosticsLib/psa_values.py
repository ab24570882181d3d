"""PSA values of a case, one for a day, in ng/mL. Each change is one step of the journal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from .case_database import readable
from .clinical_model import PsaValue
from .errors import InputError
from .psa_csv import read_psa_csv

if TYPE_CHECKING:
    from .case_store import CaseStore

__all__ = ["add_psa", "add_psa_values", "psa_values", "read_psa_csv", "remove_psa", "save_psa_values"]

SETTING = "psa"
# A choice of this software: a higher number is taken for a slip, such as a date or a value in another unit.
HIGHEST_NG_ML = 100_000.0


@readable()
def psa_values(case: CaseStore) -> tuple[PsaValue, ...]:
    """The PSA values of a case by day. Raises CaseError where the record is damaged."""
    return tuple(
        PsaValue(date.fromisoformat(row["day"]), float(row["ng_ml"]), row["source"], bool(row.get("below", False)))
        for row in case.setting(SETTING).get("values", ())
    )


def save_psa_values(case: CaseStore, values: Iterable[PsaValue]) -> None:
    """Store values in place of all those before.

    Raises InputError for a value that cannot be one and for two values of one day.
    """
    _save(case, list(values), "Change the PSA values")


def add_psa(
    case: CaseStore,
    day: date,
    ng_ml: float,
    *,
    below_limit: bool = False,
    source: str = "entered",
    replace: bool = False,
) -> None:
    """Add one value. ``below_limit``: the assay told "less than ``ng_ml``".

    Raises InputError for a value that cannot be one, and where that day has another one already unless ``replace``.
    """
    add_psa_values(case, [PsaValue(day, float(ng_ml), source, below_limit)], replace=replace)


def add_psa_values(case: CaseStore, values: Sequence[PsaValue], *, replace: bool = False) -> int:
    """Add values, such as those of a file, in one step; return how many were new or replaced others.

    What is there already is left alone. Raises InputError as ``add_psa`` does; nothing is stored then.
    """
    known = {value.day: value for value in psa_values(case)}
    wanted = {value.day: value for value in values}
    if len(wanted) < len(values):
        _check(case, values)
    new = {day: value for day, value in wanted.items() if day not in known or not _same(known[day], value)}
    taken = sorted(day for day in new if day in known)
    if taken and not replace:
        told = ", ".join(f"{known[day].text} on {day}" for day in taken)
        raise InputError(f"There are other PSA values of that day already: {told}. Remove them first, or replace them.")
    if new:
        first = next(iter(new.values()))
        name = f"Add PSA {first.text} of {first.day}" if len(new) == 1 else f"Add {len(new)} PSA values"
        _save(case, list({**known, **new}.values()), name)
    return len(new)


def remove_psa(case: CaseStore, day: date) -> None:
    """Remove the value of a day. Raises InputError where there is none."""
    values = psa_values(case)
    gone = next((value for value in values if value.day == day), None)
    if gone is None:
        days = ", ".join(str(value.day) for value in values) or "none"
        raise InputError(f"There is no PSA value of {day}. Days with one: {days}.")
    _save(case, [value for value in values if value is not gone], f"Remove PSA {gone.text} of {day}")


def _same(first: PsaValue, second: PsaValue) -> bool:
    return (first.ng_ml, first.below_limit) == (second.ng_ml, second.below_limit)


def _save(case: CaseStore, values: Sequence[PsaValue], step: str) -> None:
    _check(case, values)
    rows = [
        {"day": value.day.isoformat(), "ng_ml": float(value.ng_ml), "source": value.source}
        | ({"below": True} if value.below_limit else {})
        for value in sorted(values, key=lambda value: value.day)
    ]
    with case.step(step):
        case.save_setting(SETTING, {"values": rows} if rows else {})


def _check(case: CaseStore, values: Sequence[PsaValue]) -> None:
    born = case.patient.birth_date
    seen: dict[date, PsaValue] = {}
    for value in values:
        if not (math.isfinite(value.ng_ml) and 0 <= value.ng_ml <= HIGHEST_NG_ML):
            raise InputError(
                f"{value.ng_ml:g} ng/mL on {value.day} cannot be a PSA value. Give one from 0 to {HIGHEST_NG_ML:,.0f}."
            )
        if value.below_limit and value.ng_ml == 0:
            raise InputError(f"No PSA value is below 0 ng/mL, as the one of {value.day}. Give the limit of the assay.")
        if born is not None and value.day <= born:
            raise InputError(f"A PSA value cannot be of {value.day}: the man was born on {born}. Correct the date.")
        if value.day in seen:
            raise InputError(
                f"There are two PSA values of {value.day}: {seen[value.day].text} and {value.text}. Leave one out."
            )
        seen[value.day] = value
