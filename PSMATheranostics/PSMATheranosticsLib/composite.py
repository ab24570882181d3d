"""PSA and RECIP 1.0 together, both parts shown.

Sources: PSA + RECIP was defined with RECIP 1.0 (Gafita et al. 2022, J Nucl Med 63:1651-1658, doi
10.2967/jnumed.121.263072). The rule of response, PSA decline of at least 50 % or RECIP-CR or RECIP-PR, is as
transcribed in secondary sources; a rule of progression was found in none, so that it is unverified and off.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from .i18n import tr
from .psa_criterion import psa_at_followup
from .psa_response import PSA50_RATIO, PsaResponse, at_most, psa_percent_text
from .recip import CR, PD, PR, SD, Recip1
from .response import NOT_EVALUABLE, Response, ResponseInput, ResponsePart
from .response_notes import modality_problem

RESPONSE, NO_RESPONSE, PROGRESSION = "PSA+RECIP-R", "PSA+RECIP-NR", "PSA+RECIP-PD"
BETTER_TO_WORSE = (RESPONSE, NO_RESPONSE, PROGRESSION)
RECIP_CATEGORIES = (CR, PR, SD, PD)
# What PSA can be to the rules, the best first: a decline of 50 % or more, neither, a rise of 25 % or more.
DECLINE, BETWEEN, RISE = "decline", "between", "rise"
UNVERIFIED_RISE_RATIO = 1.25


class PsaRecip:
    """PSA decline of at least 50 % at the follow-up scan, or RECIP-CR or RECIP-PR, is a response.

    The PSA value is the one nearest to the scan; it needs no confirmation here. Where PSA and RECIP contradict each
    other the rule stands and a note says so (choice of this software).

    With ``unverified`` a PSA rise of at least 25 % from baseline or RECIP-PD is progression: a rule that no source
    read for this program confirms. PSA and RECIP that then answer both at once give ``NE``.
    """

    modality = "PET"

    def __init__(self, unverified: bool = False) -> None:
        """``unverified``: use the unverified rule of progression too; the criterion has another name then."""
        self.unverified = unverified
        self.name = "PSA + RECIP 1.0 (unverified)" if unverified else "PSA + RECIP 1.0"
        self.categories: tuple[str, ...] = BETTER_TO_WORSE if unverified else (RESPONSE, NO_RESPONSE)
        self.enabled = not unverified

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category; ``NE`` with the possible ones where a part is missing and the other does not decide.

        Raises:
            InputError: a volume or PSA value is impossible.
        """
        recip = Recip1().evaluate(inputs)
        psa, problem = psa_at_followup(inputs)
        wrong = modality_problem(inputs, self.modality)
        possible = () if wrong else self._possible(_psa_states(psa), _recip_states(recip))
        category, branches = (possible[0], ()) if len(possible) == 1 else (NOT_EVALUABLE, possible)
        reason = wrong or self._reason(category, branches, psa, recip)
        part = ResponsePart("PSA", NOT_EVALUABLE, problem) if psa is None else ResponsePart("PSA", _text(psa), psa.why)
        return Response(
            self.name,
            category,
            recip.change_percent,
            tr("{psa}, {recip}: {reason}").format(psa=_text(psa), recip=recip.category, reason=reason),
            branches,
            (*_conflict_notes(psa, recip), *recip.notes, *(psa.notes if psa else ())),
            parts=(part, ResponsePart(recip.criterion, recip.category, recip.why)),
            verified=not self.unverified,
        )

    def _possible(self, psa_states: Iterable[str], recip_states: Iterable[str]) -> tuple[str, ...]:
        """The categories under every combination of states, the best first; one with both rules gives both."""
        found: set[str] = set()
        for psa, recip in product(psa_states, recip_states):
            responds = psa == DECLINE or recip in (CR, PR)
            progresses = self.unverified and (psa == RISE or recip == PD)
            found |= {RESPONSE} if responds else set()
            found |= {PROGRESSION} if progresses else set()
            found |= set() if responds or progresses else {NO_RESPONSE}
        return tuple(category for category in BETTER_TO_WORSE if category in found)

    def _reason(self, category: str, branches: tuple[str, ...], psa: PsaResponse | None, recip: Response) -> str:
        if category == RESPONSE:
            if psa is not None and _state(psa) == DECLINE:
                return tr("PSA fell by at least 50 %")
            return tr("response by RECIP")
        if category == NO_RESPONSE:
            return tr("neither a PSA decline of at least 50 % nor RECIP-CR or RECIP-PR")
        if category == PROGRESSION:
            return tr("PSA rise of at least 25 % or RECIP-PD, by an unverified rule")
        if psa is not None and psa.change_percent is not None and recip.category != NOT_EVALUABLE:
            return tr("PSA and RECIP contradict each other")
        return tr("what is missing decides between {branches}").format(branches=", ".join(branches))


def _psa_states(psa: PsaResponse | None) -> tuple[str, ...]:
    return (DECLINE, BETWEEN, RISE) if psa is None or psa.change_percent is None else (_state(psa),)


def _recip_states(recip: Response) -> tuple[str, ...]:
    if recip.category != NOT_EVALUABLE:
        return (recip.category,)
    return recip.branches or RECIP_CATEGORIES


def _state(psa: PsaResponse) -> str:
    if psa.baseline is None or psa.last is None:
        return BETWEEN
    before, after = psa.baseline.ng_ml, psa.last.ng_ml
    if before > 0 and at_most(after, PSA50_RATIO * before):
        return DECLINE
    return RISE if before > 0 and at_most(UNVERIFIED_RISE_RATIO * before, after) else BETWEEN


def _text(psa: PsaResponse | None) -> str:
    if psa is None or psa.change_percent is None:
        return tr("PSA missing")
    return tr("PSA {change}").format(change=psa_percent_text(psa.change_percent))


def _conflict_notes(psa: PsaResponse | None, recip: Response) -> list[str]:
    if psa is None or psa.change_percent is None:
        return []
    if _state(psa) == DECLINE and recip.category == PD:
        return [tr("PSA and RECIP contradict each other: PSA fell by at least 50 %, but the scan is RECIP-PD.")]
    if psa.progression is not False and recip.category in (CR, PR):
        text = tr("PSA and RECIP contradict each other: PSA rises, but the scan is {category}.")
        return [text.format(category=recip.category)]
    return []
