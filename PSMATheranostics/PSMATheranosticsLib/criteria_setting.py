"""The setting "criteria" of a case: which response criteria it uses, and which measure of a lesion miPSMA looks at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .criteria import CRITERIA
from .errors import InputError
from .response import ResponseCriterion, ResponseInput
from .score_input import DEFAULT_MEASURE, MEASURES

if TYPE_CHECKING:
    from .case_store import CaseStore

SETTING, ENABLED, MEASURE_KEY = "criteria", "enabled", "mi_psma_measure"
MAIN_CRITERION = "RECIP 1.0"  # every case is judged by it; the others are read beside it


@dataclass(frozen=True)
class CriterionChoice:
    """A criterion as a case uses it or not.

    Attributes:
        name: Key of ``CRITERIA``.
        modality: "PET" or "SPECT" where it holds for that alone, "" for any.
        used: Whether it is evaluated for this case.
        verified: False where it rests on a rule that no source read for this program confirms.
        fixed: Whether it is always used.
    """

    name: str
    modality: str
    used: bool
    verified: bool
    fixed: bool


def enabled_criteria(setting: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the criteria that a case uses: those enabled as such, unless its ``setting`` says otherwise."""
    chosen = _chosen(setting)
    return tuple(name for name, criterion in CRITERIA.items() if chosen.get(name, criterion.enabled))


def criteria_of(case: CaseStore) -> tuple[CriterionChoice, ...]:
    """All criteria in their order, and which of them the case uses. Raises CaseError where the setting is damaged."""
    used = {*enabled_criteria(case.setting(SETTING)), MAIN_CRITERION}
    return tuple(
        CriterionChoice(name, criterion.modality, name in used, _is_verified(criterion), name == MAIN_CRITERION)
        for name, criterion in CRITERIA.items()
    )


def choose_criteria(case: CaseStore, enable: Collection[str] = (), disable: Collection[str] = ()) -> None:
    """Let a case use some criteria and others not, as one step; the rest stay as they are.

    What a reader decided by a criterion is kept while it is not used. Raises InputError for names that there are not or
    that stand on both sides, and for leaving out the criterion that every case is judged by.
    """
    wanted = {_known(name): False for name in disable}
    both = sorted(name for name in map(_known, enable) if name in wanted)
    if both:
        raise InputError(f"{', '.join(both)}: to be used and not to be used. Say one of the two.")
    if MAIN_CRITERION in wanted:
        raise InputError(f"Every case is judged by {MAIN_CRITERION}; it cannot be left out. Leave out others.")
    wanted |= {_known(name): True for name in enable}
    setting = case.setting(SETTING)
    used = enabled_criteria(setting)
    changed = {name: use for name, use in wanted.items() if use != (name in used)}
    if not changed:
        return
    said = [f"{'use' if use else 'leave out'} {name}" for name, use in changed.items()]
    # Those that are used anyway need no word of the case: it follows should a later version decide otherwise.
    chosen = {**_chosen(setting), **changed}
    told = {name: use for name, use in chosen.items() if name not in CRITERIA or CRITERIA[name].enabled != use}
    rest = {name: value for name, value in setting.items() if name != ENABLED}
    with case.step(f"Choose criteria: {', '.join(said)}"):
        case.save_setting(SETTING, {**rest, ENABLED: told} if told else rest)


def measure_of(setting: Mapping[str, Any]) -> str:
    """The lesion's measure that the setting names for miPSMA, SUVmax where it names none.

    Raises InputError for a measure that there is not.
    """
    measure = str(setting.get(MEASURE_KEY, DEFAULT_MEASURE))
    if measure not in MEASURES:
        raise InputError(
            f"'{measure}' in the criteria of the case is no measure for miPSMA. Possible: {', '.join(MEASURES)}."
        )
    return measure


def _chosen(setting: Mapping[str, Any]) -> Mapping[str, bool]:
    chosen = setting.get(ENABLED)
    return chosen if isinstance(chosen, Mapping) else {}


def _known(name: str) -> str:
    """The criterion of that name, however it is capitalized."""
    found = next((known for known in CRITERIA if known.casefold() == " ".join(name.split()).casefold()), None)
    if found is None:
        raise InputError(f"There is no criterion '{name}'. Choose from: {'; '.join(CRITERIA)}.")
    return found


def _is_verified(criterion: ResponseCriterion) -> bool:
    """What a criterion says of its rules, which it does where nothing is known as well."""
    return criterion.evaluate(ResponseInput(None, None, None)).verified
