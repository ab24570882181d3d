"""What a physician entered about the man, kept with the case: indication, line of therapy and its start, prostate."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from .case_database import readable
from .clinical_model import PROSTATE, ClinicalFacts
from .errors import InputError

if TYPE_CHECKING:
    from .case_store import CaseStore

SETTING = "clinical"
_TEXTS = ("indication", "line", "previous_therapies", "prostate")


@readable()
def clinical_facts(case: CaseStore) -> ClinicalFacts:
    """What was entered about the man of a case. Raises CaseError where the record is damaged."""
    stored = case.setting(SETTING)
    texts = {name: str(stored[name]) for name in _TEXTS if name in stored}
    start = stored.get("therapy_start")
    return ClinicalFacts(**texts, therapy_start=None if start is None else date.fromisoformat(start))


def save_clinical_facts(case: CaseStore, facts: ClinicalFacts) -> None:
    """Store facts in place of those before, as one step; spaces around and within texts are tidied.

    Raises InputError for an unknown state of the prostate and a therapy before the man's birth or still to come.
    """
    texts: dict[str, Any] = {name: " ".join(getattr(facts, name).split()) for name in _TEXTS}
    tidy = replace(facts, **texts)
    if tidy.prostate not in PROSTATE:
        known = ", ".join(f"'{state}'" for state in PROSTATE)
        raise InputError(f"'{tidy.prostate}' is no state of the prostate. Possible: {known}.")
    born = case.patient.birth_date
    if tidy.therapy_start is not None and born is not None and tidy.therapy_start <= born:
        raise InputError(
            f"The therapy cannot have begun on {tidy.therapy_start}: the man was born on {born}. Correct it."
        )
    if tidy.therapy_start is not None and tidy.therapy_start > _latest_day(case):
        raise InputError(
            f"The therapy cannot have begun on {tidy.therapy_start}: that day is still to come. Correct it, or "
            "enter it when the therapy has begun."
        )
    values: dict[str, Any] = {name: getattr(tidy, name) for name in _TEXTS if getattr(tidy, name)}
    if tidy.therapy_start is not None:
        values["therapy_start"] = tidy.therapy_start.isoformat()
    with case.step("Change the clinical facts"):
        case.save_setting(SETTING, values)


def _latest_day(case: CaseStore) -> date:
    """Today, or the day of the last study where the clock of this computer is behind it."""
    return max([date.today(), *(study.acquired.date() for study in case.studies())])
