"""PSMA PET progression (PPP): new lesions, growth, and the agreement of clinical or laboratory data.

Source: Fanti et al. 2020, J Nucl Med 61:678-682, PMID 31806774, as transcribed in secondary sources. It has progression
and no classes of response.
"""

from __future__ import annotations

import math
from itertools import product

from .errors import InputError
from .i18n import decimal, tr
from .new_lesion_count import LesionCount, count_new_lesions
from .psa_criterion import psa_at_followup
from .recip import RATIO_TOLERANCE
from .response import NOT_EVALUABLE, Growth, Response, ResponseInput
from .response_notes import comparison_notes, modality_problem

PD, NON_PD = "PPP-PD", "PPP-non-PD"
NEW_LESIONS = 2  # these many are progression by themselves
GROWTH_PERCENT = 30.0


class Ppp:
    """Progression by PPP on PET, by any of

    1. two or more new PSMA-positive lesions;
    2. one new lesion and clinical or laboratory data that agree (a scan within 3 months should confirm it);
    3. one or more lesions grown by at least 30 % in size or uptake, and data that agree or a scan within 3 months that
       confirms it.

    That size is the volume and uptake the SUVmax is a choice of this software.
    """

    name = "PPP"
    modality = "PET"
    categories = (NON_PD, PD)
    enabled = True

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category; ``NE`` with both where an answer is missing that would decide.

        Raises:
            InputError: the growth or a PSA value is not a number.
        """
        growth = inputs.largest_growth
        if growth is not None and not math.isfinite(growth.percent):
            raise InputError(f"The growth of {growth.track} is {growth.percent} %: measure the lesion again.")
        new = count_new_lesions(inputs)
        problem = modality_problem(inputs, self.modality) or new.conflict
        if problem:
            return Response(self.name, NOT_EVALUABLE, None, problem, notes=tuple(comparison_notes(inputs)))
        possible = _possible(inputs, new)
        category, branches = (possible[0], ()) if len(possible) == 1 else (NOT_EVALUABLE, possible)
        why = tr("{new_lesions}, {growth}, {clinical}: {reason}").format(
            new_lesions=new.text,
            growth=_growth_text(growth),
            clinical=_clinical_text(inputs.clinical_progression),
            reason=_reason(category, new, inputs),
        )
        notes = [*_notes(inputs, category, branches, new), *comparison_notes(inputs)]
        return Response(self.name, category, None, why, branches, tuple(notes))


def _possible(inputs: ResponseInput, new: LesionCount) -> tuple[str, ...]:
    """The categories under every answer that is still possible, the better one first."""
    clinical = (False, True) if inputs.clinical_progression is None else (inputs.clinical_progression,)
    grown = (False, True) if _growth_open(inputs) else (_has_grown(inputs.largest_growth),)
    confirmed = inputs.largest_growth is not None and inputs.largest_growth.confirmed
    counts = range(new.least, min(new.most, NEW_LESIONS) + 1) if new.least < NEW_LESIONS else (new.least,)
    answers = {
        count >= NEW_LESIONS or (count == 1 and agrees) or (growing and (agrees or confirmed))
        for count, agrees, growing in product(counts, clinical, grown)
    }
    return tuple(category for category, value in ((NON_PD, False), (PD, True)) if value in answers)


def _growth_open(inputs: ResponseInput) -> bool:
    """Whether growth cannot be said; without any uptake left nothing has grown."""
    nothing_left = inputs.followup_ttv_ml == 0 or inputs.residual_uptake is False
    return inputs.largest_growth is None and not nothing_left


def _has_grown(growth: Growth | None) -> bool:
    return growth is not None and growth.percent >= GROWTH_PERCENT * (1 - RATIO_TOLERANCE)


def _growth_text(growth: Growth | None) -> str:
    if growth is None:
        return tr("growth not known")
    shown = f"{growth.percent:+.1f}"
    if not _has_grown(growth) and float(shown) >= GROWTH_PERCENT:  # never rounded across the limit
        shown = f"+{math.floor(growth.percent * 1000) / 1000:.3f}"
    text = tr("largest growth {percent} % ({measure} of {track})")
    measure = tr("volume") if growth.measure == "volume" else growth.measure
    return text.format(percent=decimal(shown), measure=measure, track=growth.track)


def _clinical_text(agrees: bool | None) -> str:
    if agrees is None:
        return tr("clinical and laboratory data not judged")
    return tr("clinical or laboratory data agree") if agrees else tr("clinical and laboratory data do not agree")


def _reason(category: str, new: LesionCount, inputs: ResponseInput) -> str:
    if category == NOT_EVALUABLE:
        return tr("progression or not, by what is not known yet")
    if category == NON_PD:
        return tr("no rule of progression is met")
    if new.least >= NEW_LESIONS:
        return tr("two or more new lesions")
    if new.least == 1 and inputs.clinical_progression:
        return tr("a new lesion, and clinical or laboratory data that agree")
    if inputs.clinical_progression:
        return tr("growth of at least 30 %, and clinical or laboratory data that agree")
    return tr("growth of at least 30 %, confirmed by a later scan")


def _notes(inputs: ResponseInput, category: str, branches: tuple[str, ...], new: LesionCount) -> list[str]:
    notes = []
    if PD in branches and inputs.clinical_progression is None:
        notes.append(tr("PPP needs a reader: do clinical or laboratory data agree with progression?"))
        psa, _ = psa_at_followup(inputs)
        if psa is not None and psa.progression:
            notes.append(tr("PSA progression by PCWG3 is confirmed, which a reader may take as agreeing."))
    if category == PD and new.most == 1:
        notes.append(tr("PPP advises to confirm a single new lesion by a scan within 3 months."))
    if category == NON_PD and _has_grown(inputs.largest_growth):
        notes.append(tr("Growth of at least 30 % is progression by PPP if a scan within 3 months confirms it."))
    return notes
