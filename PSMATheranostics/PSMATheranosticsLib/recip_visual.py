"""RECIP 1.0 read by eye: the change of the total tumor volume as a reader sees it, instead of measured volumes.

Source: Gafita et al. 2023, Radiology 308:e222148, doi 10.1148/radiol.222148 (visual and quantitative RECIP agree in
95 % on progression, https://recip-criteria.com).
"""

from __future__ import annotations

from .clinical_model import VISUAL_CHANGES
from .errors import InputError
from .i18n import tr
from .recip import (
    CR,
    PD,
    PR,
    SD,
    TABLE,
    Verdict,
    change_class,
    change_percent,
    check_volumes,
    either_text,
    loss_note,
    new_lesions_text,
    no_uptake_text,
    not_assessable_note,
    uptake_conflict,
    volumes_text,
)
from .response import NOT_EVALUABLE, Response, ResponseInput
from .response_notes import comparison_notes, modality_problem

BETTER_TO_WORSE = (CR, PR, SD, PD)


class RecipVisual:
    """RECIP 1.0 on PET with the same table, in which a reader says decrease, increase or neither.

    The measured change goes along as a number and, where it says another thing than the reader, into a note; it never
    decides.
    """

    name = "RECIP 1.0 visual"
    modality = "PET"
    categories = BETTER_TO_WORSE
    enabled = True

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category; ``NE`` with the possible ones where the reader has not answered and it matters.

        Raises:
            InputError: ``visual_change`` is none of the allowed words, or a volume is impossible.
        """
        check_volumes(inputs)
        if inputs.visual_change is not None and inputs.visual_change not in VISUAL_CHANGES:
            raise InputError(
                f"The visual change is '{inputs.visual_change}': choose one of {', '.join(VISUAL_CHANGES)}."
            )
        category, reason, branches = _decide(inputs, modality_problem(inputs, self.modality))
        why = tr("{change}, {new_lesions}: {reason}").format(
            change=_change_text(inputs.visual_change),
            new_lesions=new_lesions_text(inputs.new_lesions),
            reason=reason,
        )
        notes = [*_notes(inputs, category, branches), *comparison_notes(inputs)]
        return Response(self.name, category, change_percent(inputs), why, branches, tuple(notes))


def _decide(inputs: ResponseInput, problem: str) -> Verdict:
    if problem:
        return NOT_EVALUABLE, problem, ()
    conflict = _conflict(inputs)
    if conflict:
        return NOT_EVALUABLE, conflict, ()
    if inputs.baseline_ttv_ml == 0:
        return NOT_EVALUABLE, tr("no lesion at baseline, so that a change is undefined"), ()
    if inputs.residual_uptake is False:
        return CR, no_uptake_text(), ()
    if inputs.visual_change is None:
        return NOT_EVALUABLE, tr("no reader has said how the tumor volume changed"), _without_change(inputs)
    if inputs.new_lesions is not None:
        category = TABLE[inputs.visual_change, inputs.new_lesions]
        return category, _clause(inputs.visual_change, inputs.new_lesions), ()
    without, with_new = TABLE[inputs.visual_change, False], TABLE[inputs.visual_change, True]
    if without == with_new:
        return without, tr("no significant change, so that new lesions would not change the category"), ()
    return NOT_EVALUABLE, either_text(without, with_new), (without, with_new)


def _conflict(inputs: ResponseInput) -> str:
    conflict = uptake_conflict(inputs.followup_ttv_ml, inputs.new_lesions, inputs.residual_uptake)
    if conflict or inputs.residual_uptake is not False:
        return conflict
    if inputs.visual_change in ("increase", "neither"):
        return tr("input conflict: a reader sees no uptake left, but no decrease of the tumor volume")
    return ""


def _without_change(inputs: ResponseInput) -> tuple[str, ...]:
    """The categories that are possible before a reader has judged the change."""
    answers = (False, True) if inputs.new_lesions is None else (inputs.new_lesions,)
    possible = {TABLE[change, new] for change in VISUAL_CHANGES for new in answers}
    if inputs.residual_uptake is None and not inputs.new_lesions and not inputs.followup_ttv_ml:
        possible.add(CR)
    return tuple(category for category in BETTER_TO_WORSE if category in possible)


def _clause(change: str, new_lesions: bool) -> str:
    if change == "decrease":
        if new_lesions:
            return tr("significant decrease, but with new lesions")
        return tr("significant decrease without new lesions")
    if change == "increase":
        if new_lesions:
            return tr("significant increase with new lesions")
        return tr("significant increase, but without new lesions")
    return tr("neither significant decrease nor significant increase")


def _change_text(change: str | None) -> str:
    if change is None:
        return tr("change not judged by eye")
    if change == "neither":
        return tr("no significant change by eye")
    return tr("decrease by eye") if change == "decrease" else tr("increase by eye")


def _notes(inputs: ResponseInput, category: str, branches: tuple[str, ...]) -> list[str]:
    notes = []
    if category == CR:
        notes.append(loss_note())
    if PD in branches and inputs.visual_change:
        notes.append(not_assessable_note())
    base, followup = inputs.baseline_ttv_ml, inputs.followup_ttv_ml
    if inputs.visual_change and base and followup is not None and change_class(base, followup) != inputs.visual_change:
        text = tr("The eye and the measured volumes ({volumes}) disagree: look at both scans again.")
        notes.append(text.format(volumes=volumes_text(inputs)))
    return notes
