"""The PSA values around one follow-up scan, and PSA response by PCWG3 as a criterion beside those of imaging."""

from __future__ import annotations

from datetime import timedelta

from .i18n import tr
from .psa_response import PsaResponse, check_psa, psa_response
from .response import NOT_EVALUABLE, Response, ResponseInput, ResponsePart

PROGRESSION, PSA90, PSA50, NEITHER = "PSA-PD", "PSA90", "PSA50", "PSA-non-PD"
BETTER_TO_WORSE = (PSA90, PSA50, NEITHER, PROGRESSION)
# Choice of this software: the PSA value of a scan is the nearest one within these days of it.
SCAN_DAYS = timedelta(days=28)


class PsaPcwg3:
    """PSA by PCWG3 as of the value nearest to the follow-up scan: progression, else the confirmed decline.

    ``PSA-PD`` is confirmed progression, ``PSA90`` and ``PSA50`` are confirmed declines from baseline without it, and
    ``PSA-non-PD`` is none of them. PCWG3 has no such line of categories. That progression goes before a decline, and
    that a decline after a rise (a flare, or progression) is left to a reader, are choices of this software. See
    ``psa_response`` for the rules and their sources.
    """

    modality = ""
    categories = BETTER_TO_WORSE

    def __init__(self, unverified: bool = False) -> None:
        """``unverified``: ignore rises in the first 12 weeks of treatment; the criterion has another name then."""
        self.unverified = unverified
        self.name = "PSA (PCWG3, unverified)" if unverified else "PSA (PCWG3)"
        self.enabled = not unverified

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category; ``NE`` without PSA values, or with the possible ones where a value is not confirmed.

        Raises:
            InputError: a PSA value is negative, infinite or not a number.
        """
        psa, problem = psa_at_followup(inputs, self.unverified)
        if psa is None:
            return Response(self.name, NOT_EVALUABLE, None, problem, verified=not self.unverified)
        possible = _possible(psa)
        category, branches = (possible[0], ()) if len(possible) == 1 else (NOT_EVALUABLE, possible)
        return Response(
            self.name,
            category,
            None,
            psa.why,
            branches,
            psa.notes,
            parts=(pcwg4_part(psa),),
            verified=not self.unverified,
        )


def psa_at_followup(inputs: ResponseInput, unverified: bool = False) -> tuple[PsaResponse | None, str]:
    """PSA response as of the value nearest to the follow-up scan; None and the reason where there is none.

    Raises:
        InputError: a PSA value is negative, infinite or not a number.
    """
    check_psa(inputs.psa)
    if inputs.baseline_day is None or inputs.followup_day is None:
        return None, tr("the days of the scans are not known")
    start = None
    if inputs.days_since_treatment is not None:
        start = inputs.followup_day - timedelta(days=round(inputs.days_since_treatment))
    followup_day = inputs.followup_day
    after = [value for value in inputs.psa if value.day > (start or inputs.baseline_day)]
    nearest = min(after, key=lambda value: (abs(value.day - followup_day), value.day), default=None)
    if nearest is None or abs(nearest.day - followup_day) > SCAN_DAYS:
        text = tr("no PSA value within {days} days of the scan and after the start of the treatment")
        return None, text.format(days=SCAN_DAYS.days)
    psa = psa_response(inputs.psa, inputs.baseline_day, start, unverified, until=nearest.day)
    return (psa, "") if psa.last is not None else (None, psa.why)


def pcwg4_part(psa: PsaResponse) -> ResponsePart:
    """The rise of 0.2 ng/mL that PCWG4 wants reported beside PCWG3."""
    name = "PSA rise (PCWG4)"
    if psa.pcwg4_rise:
        return ResponsePart(name, "yes", tr("rise of at least 0.2 ng/mL above the lowest value, confirmed"))
    if psa.pcwg4_rise is None:
        text = tr("rise of at least 0.2 ng/mL above the lowest value, not confirmed yet")
        return ResponsePart(name, NOT_EVALUABLE, text)
    return ResponsePart(name, "no", tr("no confirmed rise of at least 0.2 ng/mL above the lowest value"))


def _possible(psa: PsaResponse) -> tuple[str, ...]:
    """The categories that the values can still come to, the best first."""
    if psa.progression and not psa.fell_after_rise:
        return (PROGRESSION,)
    categories = set() if psa.progression is False else {PROGRESSION}
    if psa.confirmed_psa90 is not False:
        categories.add(PSA90)
    if not psa.confirmed_psa90:
        if psa.confirmed_psa50 is not False:
            categories.add(PSA50)
        if not psa.confirmed_psa50:
            categories.add(NEITHER)
    return tuple(category for category in BETTER_TO_WORSE if category in categories)
