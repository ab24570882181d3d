"""Signing the results of a case, and whether what was signed still stands.

What is signed are all results as they are, and with them the lesions of every segmented study. Whether they still stand
is told by their decisive content: studies, lesions with their volumes and regions, tracks, responses, what readers
stated, PSA and clinical facts; not by texts, nor by when something was computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .case_sign_offs import digest_of
from .clinical_model import SignOffResult
from .conflicts import conflicts
from .decisive_content import decisive_content, differences
from .errors import InputError
from .i18n import language
from .reader_statement import INPUTS_OF
from .records import SignOffRecord
from .results_model import Results

if TYPE_CHECKING:
    from .case_store import CaseStore

_LISTED = 12  # conflicts that an error names one by one


def sign(case: CaseStore, results: Results, note: str = "") -> SignOffResult:
    """Sign ``results``, which the physician has before him, and the lesions of all segmented studies, in one step.

    Raises:
        InputError: a conflict blocks it, there is nothing to sign, or the case has changed since ``results`` were made.
        CaseError: the case cannot be written to.
    """
    from .results import collect_results

    criterion = results.responses[0].criterion if results.responses else INPUTS_OF
    with case.step("Sign the results of the case"):
        with language("en"):
            current = collect_results(case, criterion)
        decisive = decisive_content(case, current)
        if decisive != decisive_content(case, results):
            raise InputError("The case has changed since these results were made. Look at them again, then sign them.")
        _require_signable(current)
        for study in current.studies:
            segmentation = case.segmentation(study.study_id)
            if segmentation is not None and segmentation.version != "signed":
                case.sign(study.study_id, note)
        case.add_sign_off(decisive, current.to_dict(), note)
    return sign_off_state(case, current)


def sign_off_state(case: CaseStore, results: Results) -> SignOffResult:
    """Who signed the results of a case last, and what has changed since. ``results`` are those of today."""
    signed = case.last_sign_off()
    if signed is None:
        return SignOffResult()
    today = decisive_content(case, results)
    changed = () if digest_of(today) == signed.digest else differences(signed.decisive, today)
    return SignOffResult(
        state="reopened" if changed else "signed",
        user=signed.user,
        time=signed.time,
        note=signed.note,
        categories=_categories(signed),
        changed=changed,
    )


def snapshot(case: CaseStore, which: int | None = None) -> dict[str, Any]:
    """All results as they were when they were signed, in the form of ``Results.to_dict``.

    ``which``: the number of one of ``case.sign_offs()``; without it the last one. Raises CaseError where there is none.
    """
    last = case.last_sign_off()
    number = which if which is not None else 0 if last is None else last.number
    return case.signed_snapshot(number)


def _require_signable(results: Results) -> None:
    if not any(study.segmentation is not None for study in results.studies):
        raise InputError("There is nothing to sign: no study of the case was segmented. Find its lesions first.")
    blocking = [conflict.text for conflict in conflicts(results) if conflict.blocks]
    if not blocking:
        return
    listed = "\n".join(f"- {text}" for text in blocking[:_LISTED])
    more = len(blocking) - _LISTED
    if more > 0:
        listed += f"\n- and {more} more"
    raise InputError(f"The results cannot be signed yet. Solve first:\n{listed}")


def _categories(signed: SignOffRecord) -> tuple[tuple[int, str], ...]:
    """The signed category of each follow-up by the main criterion."""
    main = signed.decisive["criterion"]
    found = signed.decisive["responses"]
    return tuple((int(study), by_criterion[main]) for study, by_criterion in found.items() if main in by_criterion)
