"""What a reader says about one follow-up: what he sees, and whether he stands by the category that the rules give.

What he sees is an input of several criteria and is kept once, with the record of "RECIP 1.0"; a confirmation or an
override is about one criterion and kept with that one. Each is one step of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .case_database import readable
from .case_rows import now
from .clinical_model import VISUAL_CHANGES
from .errors import InputError
from .i18n import language
from .response import NOT_EVALUABLE

if TYPE_CHECKING:
    from .case_store import CaseStore

INPUTS_OF = "RECIP 1.0"  # the criterion whose record holds what a reader sees
INPUTS = ("residual_uptake", "new_lesions_assessable", "visual_change", "clinical_progression")
_INPUT_WORDS = {
    "residual_uptake": "residual uptake",
    "new_lesions_assessable": "new lesions assessable",
    "visual_change": "visual change",
    "clinical_progression": "clinical progression",
}


@dataclass(frozen=True)
class ReaderStatement:
    """The record that ``CaseStore.save_response`` keeps for one follow-up and criterion.

    Attributes:
        residual_uptake: Whether any tumor uptake is seen; None: not asked or not known.
        new_lesions_assessable: False e.g. for diffuse marrow involvement.
        visual_change: How the tumor volume changed to the eye, one of ``VISUAL_CHANGES``; None: not read.
        clinical_progression: Whether clinical or laboratory data speak for progression; None: not known.
        confirmed_category: What the rules gave when the reader confirmed or overrode it. His decision holds only as
            long as the numbers still give that category.
        confirmed_by, confirmed_at: Who decided, and when (UTC).
        override_category: What he decided on instead; "" where he confirmed.
        override_reason: Why.
    """

    residual_uptake: bool | None = None
    new_lesions_assessable: bool = True
    visual_change: str | None = None
    clinical_progression: bool | None = None
    confirmed_category: str = ""
    confirmed_by: str = ""
    confirmed_at: datetime | None = None
    override_category: str = ""
    override_reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The record for ``CaseStore.save_response``."""
        plain = asdict(self)
        if self.confirmed_at is not None:
            plain["confirmed_at"] = self.confirmed_at.isoformat()
        return plain

    @classmethod
    @readable()
    def from_dict(cls, record: Mapping[str, Any]) -> ReaderStatement:
        """The statement in a stored record; what the record does not say keeps its default.

        Raises CaseError where the record is damaged.
        """
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        if known.get("confirmed_at") is not None:
            known["confirmed_at"] = datetime.fromisoformat(known["confirmed_at"])
        return cls(**known)

    def decides(self, category: str) -> bool:
        """Whether the reader has decided on a response for which the rules give ``category`` today."""
        return bool(self.confirmed_by) and self.confirmed_category == category

    def inputs(self) -> dict[str, Any]:
        """What the reader sees, by ``INPUTS``."""
        return {name: getattr(self, name) for name in INPUTS}


def statement_of(case: CaseStore, followup_id: int, criterion: str = INPUTS_OF) -> ReaderStatement:
    """What is stored about a follow-up with one criterion; the default statement where nothing is."""
    for stored in case.responses():
        if (stored.followup_id, stored.criterion) == (followup_id, criterion):
            return ReaderStatement.from_dict(stored.record)
    return ReaderStatement()


def state_inputs(case: CaseStore, followup_id: int, **inputs: Any) -> None:
    """Store what a reader sees at a follow-up: any of ``INPUTS``; the others stay as they are.

    Raises InputError for an unknown input or value, and for a study that is not after the baseline; CaseError for one
    that is not there.
    """
    label = _followup_label(case, followup_id)
    for name, value in inputs.items():
        _check_input(name, value)
    before = statement_of(case, followup_id)
    after = replace(before, **inputs)
    changed = {name: value for name, value in after.inputs().items() if value != before.inputs()[name]}
    if not changed:
        return
    said = ", ".join(f"{_INPUT_WORDS[name]} {_answer(value)}" for name, value in changed.items())
    _store(case, followup_id, INPUTS_OF, after, f"State for {label}: {said}")


def confirm(case: CaseStore, followup_id: int, criterion: str, category: str) -> None:
    """Confirm the category that the rules of ``criterion`` give for a follow-up.

    Raises InputError where they give another one today, or none.
    """
    label = _followup_label(case, followup_id)
    by_rules = category_by_rules(case, followup_id, criterion)
    if category != by_rules:
        raise InputError(
            f"{criterion} gives {by_rules} for {label} now, not {category}. Look at it again before you confirm."
        )
    decided = _decided(case, statement_of(case, followup_id, criterion), by_rules)
    _store(case, followup_id, criterion, decided, f"Confirm {by_rules} by {criterion} for {label}")


def override(case: CaseStore, followup_id: int, criterion: str, category: str, reason: str, *, instead_of: str) -> None:
    """Decide on another category than the rules of ``criterion`` give for a follow-up. It needs a reason.

    ``instead_of`` is the category by the rules that the reader has before him.

    Raises InputError without a reason, for the category that the rules give, where they give another one today than he
    saw, for one that the criterion does not know, and where the criterion gives no response for this study.
    """
    label, reason = _followup_label(case, followup_id), " ".join(reason.split())
    if not reason:
        raise InputError(f"A category for {label} other than by the rules needs a reason. Write one.")
    by_rules = category_by_rules(case, followup_id, criterion)
    if instead_of != by_rules:
        raise InputError(
            f"{criterion} gives {by_rules} for {label} now, not {instead_of}. Look at it again before you decide on "
            "another category."
        )
    if category == by_rules:
        raise InputError(f"{criterion} gives {category} for {label} already. Confirm it instead.")
    possible = categories_of(criterion)
    if category not in possible:
        raise InputError(f"'{category}' is no category of {criterion}. Choose from: {', '.join(possible)}.")
    decided = _decided(case, statement_of(case, followup_id, criterion), by_rules, category, reason)
    name = f"Decide on {category} instead of {by_rules} by {criterion} for {label}: {reason}"
    _store(case, followup_id, criterion, decided, name)


def withdraw(case: CaseStore, followup_id: int, criterion: str) -> None:
    """Take a confirmation or an override back; what the reader sees stays stated.

    Raises InputError where there is nothing to take back.
    """
    label = _followup_label(case, followup_id)
    before = statement_of(case, followup_id, criterion)
    if not before.confirmed_by:
        raise InputError(f"Nobody has confirmed the response of {label} by {criterion}: there is nothing to withdraw.")
    after = ReaderStatement(**before.inputs())
    said = before.override_category or before.confirmed_category
    _store(case, followup_id, criterion, after, f"Withdraw {said} by {criterion} for {label}")


def category_by_rules(case: CaseStore, followup_id: int, criterion: str) -> str:
    """The category that the rules of ``criterion`` give for a follow-up today, whatever a reader decided.

    Raises InputError where it gives no response for this study.
    """
    from .results import collect_results

    label = _followup_label(case, followup_id)
    with language("en"):
        results = collect_results(case)
    for response in (*results.responses, *results.other_responses):
        if (response.followup_id, response.criterion) == (followup_id, criterion):
            return response.overridden or response.category
    known = sorted({each.criterion for each in (*results.responses, *results.other_responses)})
    raise InputError(
        f"There is no response of {label} by '{criterion}'. Criteria of this case: {', '.join(known) or 'none yet'}."
    )


def categories_of(criterion: str) -> tuple[str, ...]:
    """The categories that a reader can choose from. Raises InputError for a criterion that is not known."""
    from .criteria import CRITERIA

    if criterion not in CRITERIA:
        raise InputError(f"There is no criterion '{criterion}'. Choose from: {', '.join(CRITERIA)}.")
    return (*CRITERIA[criterion].categories, NOT_EVALUABLE)


def _decided(
    case: CaseStore, before: ReaderStatement, by_rules: str, category: str = "", reason: str = ""
) -> ReaderStatement:
    """The statement with a decision that the user of the case makes now."""
    return replace(
        before,
        confirmed_category=by_rules,
        confirmed_by=case.user,
        confirmed_at=datetime.fromisoformat(now()),
        override_category=category,
        override_reason=reason,
    )


def _store(case: CaseStore, followup_id: int, criterion: str, statement: ReaderStatement, name: str) -> None:
    with case.step(name):
        case.save_response(followup_id, criterion, statement.to_dict())


def _followup_label(case: CaseStore, study_id: int) -> str:
    study, order = case.study(study_id), [each.study_id for each in case.studies()]
    if order.index(study_id) <= order.index(case.baseline().study_id):
        raise InputError(f"{study.label} is not after the baseline: it has no response. Choose a follow-up.")
    return study.label


def _check_input(name: str, value: Any) -> None:
    if name not in INPUTS:
        raise InputError(f"'{name}' is nothing that a reader states. Possible: {', '.join(INPUTS)}.")
    if name == "visual_change":
        possible: tuple[Any, ...] = (None, *VISUAL_CHANGES)
    elif name == "new_lesions_assessable":
        possible = (True, False)
    else:
        possible = (None, True, False)
    if not any(value is one or (isinstance(one, str) and value == one) for one in possible):
        told = ", ".join(_answer(one) for one in possible)
        raise InputError(f"'{value}' is no answer about {_INPUT_WORDS[name]}. Possible: {told}.")


def _answer(value: Any) -> str:
    return {True: "yes", False: "no", None: "unknown"}.get(value, str(value))
