"""PSA response and progression by PCWG3, from dated PSA values alone.

Sources: Scher et al. 2016, J Clin Oncol 34:1402 (PCWG3), as transcribed in secondary sources; the pair of 25 % and
2 ng/mL is also in Gupta et al. 2018 (abstract). PCWG4: Armstrong et al. 2026, J Clin Oncol, PMID 41744290, as
transcribed in secondary sources.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from .clinical_model import PsaValue
from .errors import InputError
from .i18n import date_text, decimal, tr

# PCWG3: progression is a rise of at least 25 % and at least 2 ng/mL above the lowest value (the baseline where there
# was no decline); PSA50 and PSA90 are declines of at least 50 % and 90 % from baseline. Each is confirmed by a second
# value 3 or more weeks later.
RISE_RATIO = 1.25
RISE_NG_ML = 2.0
PSA50_RATIO = 0.5
PSA90_RATIO = 0.1
CONFIRMED_AFTER = timedelta(days=21)
# PCWG4 adds: any rise of at least 0.2 ng/mL above the lowest value or baseline, confirmed in the same way.
PCWG4_RISE_NG_ML = 0.2
# Unverified, therefore off unless asked for: rises in the first 12 weeks of a treatment are ignored.
UNVERIFIED_IGNORED = timedelta(days=84)
# Choice of this software: a baseline value older than this is noted.
OLD_BASELINE = timedelta(days=42)
TOLERANCE = 1e-9  # relative, and in ng/mL, so that 8.0 -> 10.0 and 0.1 + 0.2 decide as their decimals read


@dataclass(frozen=True)
class PsaResponse:
    """What the PSA values say from the baseline up to one day; later values only confirm.

    Attributes:
        baseline: Last value up to the start of treatment (without that: the baseline scan); None without one.
        why: The values and the clause that decided, in one line.
        nadir: Lowest value since, the baseline included.
        last: The last value that was judged.
        change_percent: ``last`` against ``baseline``, unrounded; None where there is no ratio.
        best_change_percent: The lowest value after the baseline against ``baseline``.
        change_from_nadir_ng_ml, change_from_nadir_percent: ``last`` against ``nadir``.
        confirmed_psa50, confirmed_psa90: True: confirmed; False: no such decline, or not confirmed by the value that
            followed; None: it waits for a value 3 weeks later, or there is nothing to judge.
        progression: The same for a rise of 25 % and 2 ng/mL above the lowest value before it.
        confirmed: Whether such a rise is confirmed: False where it waits; None where there is none.
        rise: The first value of the rise that is confirmed or waits; None where there is none.
        fell_after_rise: Whether both are confirmed, and PSA rose first and fell by 50 % afterwards.
        pcwg4_rise: The same as ``progression`` for a rise of 0.2 ng/mL, to be reported beside it.
        notes: What limits the answers, one sentence each.
        verified: False where the unverified rule on the first 12 weeks was used.
    """

    baseline: PsaValue | None
    why: str
    nadir: PsaValue | None = None
    last: PsaValue | None = None
    change_percent: float | None = None
    best_change_percent: float | None = None
    change_from_nadir_ng_ml: float | None = None
    change_from_nadir_percent: float | None = None
    confirmed_psa50: bool | None = None
    confirmed_psa90: bool | None = None
    progression: bool | None = None
    confirmed: bool | None = None
    rise: PsaValue | None = None
    fell_after_rise: bool = False
    pcwg4_rise: bool | None = None
    notes: tuple[str, ...] = ()
    verified: bool = True


def psa_response(
    values: Sequence[PsaValue],
    baseline_day: date,
    treatment_start: date | None = None,
    unverified: bool = False,
    until: date | None = None,
) -> PsaResponse:
    """PSA response and progression by PCWG3.

    Args:
        values: PSA values in any order.
        baseline_day: Day of the baseline scan.
        treatment_start: First day of the treatment; the baseline value is the last one up to it.
        unverified: Ignore rises in the first 12 weeks after ``treatment_start``, a rule that no source read for this
            program confirms.
        until: Judge what was known of PSA on this day; later values only confirm. None: all values.

    Raises:
        InputError: a value is negative, infinite or not a number.
    """
    check_psa(values)
    start = treatment_start or baseline_day
    ordered = sorted(values, key=lambda value: (value.day, value.ng_ml))
    baseline = next((value for value in reversed(ordered) if value.day <= start), None)
    after = [] if baseline is None else [value for value in ordered if value.day > start]
    judged = [value for value in after if until is None or value.day <= until]
    if baseline is None or not judged:
        return _nothing(baseline, ordered)
    course = _Course(baseline, after, len(judged))
    ignored = treatment_start + UNVERIFIED_IGNORED if unverified and treatment_start else None
    progression, rise = course.rise(_is_progression, ignored)
    pcwg4_rise, _ = course.rise(_is_pcwg4_rise, None)
    nadir = min([baseline, *judged], key=lambda value: value.ng_ml)
    last = judged[-1]
    psa90, _ = course.decline(PSA90_RATIO)
    psa50, fall = course.decline(PSA50_RATIO)
    fell_after_rise = bool(psa50 and progression and fall and rise and fall.day > rise.day)
    return PsaResponse(
        baseline=baseline,
        why=_why(baseline, last, progression, rise, psa50, psa90),
        nadir=nadir,
        last=last,
        change_percent=_percent(baseline, last),
        best_change_percent=_percent(baseline, min(judged, key=lambda value: value.ng_ml)),
        change_from_nadir_ng_ml=last.ng_ml - nadir.ng_ml,
        change_from_nadir_percent=_percent(nadir, last),
        confirmed_psa50=psa50,
        confirmed_psa90=psa90,
        progression=progression,
        confirmed=None if rise is None else progression is True,
        rise=rise,
        fell_after_rise=fell_after_rise,
        pcwg4_rise=pcwg4_rise,
        notes=(
            *_rise_notes(rise, treatment_start, fell_after_rise, ignored is not None),
            *_baseline_notes(baseline, start),
        ),
        verified=ignored is None,
    )


def check_psa(values: Sequence[PsaValue]) -> None:
    """Raise ``InputError`` for a PSA value that is negative, infinite or not a number."""
    for value in values:
        if not (math.isfinite(value.ng_ml) and value.ng_ml >= 0):
            raise InputError(
                f"The PSA value of {value.day:%Y-%m-%d} is {value.ng_ml} ng/mL: "
                "it must be 0 or more. Correct the value."
            )


def at_most(value: float, limit: float) -> bool:
    """Whether a PSA value in ng/mL is at or below a limit, decided as the decimals read."""
    return value <= limit + TOLERANCE * (1 + abs(limit))


def psa_text(value_ng_ml: float) -> str:
    """A PSA value in ng/mL with up to four digits, all of its own before the point."""
    return decimal(f"{value_ng_ml:.0f}" if value_ng_ml >= 1000 else f"{value_ng_ml:.4g}")


class _Course:
    """A baseline value and those after it, of which the first ``judged`` are looked at and the rest only confirm."""

    def __init__(self, baseline: PsaValue, after: Sequence[PsaValue], judged: int) -> None:
        self.baseline = baseline
        self.after = after
        self.judged = judged

    def decline(self, ratio: float) -> tuple[bool | None, PsaValue | None]:
        """Whether the values fell to ``ratio`` of the baseline, confirmed or None where that waits, and the first."""
        if self.baseline.ng_ml == 0:
            return False, None
        limit = ratio * self.baseline.ng_ml

        def low(value: PsaValue) -> bool:
            return at_most(value.ng_ml, limit)

        return self._confirmed([(value, low) for value in self.after[: self.judged] if low(value)])

    def rise(
        self, is_rise: Callable[[float, float], bool], ignored_until: date | None
    ) -> tuple[bool | None, PsaValue | None]:
        """Whether the values rose above the lowest one before, confirmed or None as above, and the first that did."""
        candidates = []
        lowest = self.baseline.ng_ml
        for value in self.after[: self.judged]:
            if is_rise(value.ng_ml, lowest) and not (ignored_until and value.day < ignored_until):
                candidates.append((value, _above(is_rise, lowest)))
            lowest = min(lowest, value.ng_ml)
        return self._confirmed(candidates)

    def _confirmed(
        self, candidates: Sequence[tuple[PsaValue, Callable[[PsaValue], bool]]]
    ) -> tuple[bool | None, PsaValue | None]:
        """The first candidate whose next value 3 weeks later says the same; else one that waits for that value.

        That the next value 3 weeks later decides, and not any later one, is a choice of this software.
        """
        waiting = None
        for value, holds in candidates:
            later = next((other for other in self.after if other.day >= value.day + CONFIRMED_AFTER), None)
            if later is not None and holds(later):
                return True, value
            if later is None and waiting is None:
                waiting = value
        return (None, waiting) if waiting else (False, None)


def _above(is_rise: Callable[[float, float], bool], lowest: float) -> Callable[[PsaValue], bool]:
    return lambda value: is_rise(value.ng_ml, lowest)


def _is_progression(value: float, lowest: float) -> bool:
    return at_most(RISE_RATIO * lowest, value) and at_most(lowest + RISE_NG_ML, value)


def _is_pcwg4_rise(value: float, lowest: float) -> bool:
    return at_most(lowest + PCWG4_RISE_NG_ML, value)


def _percent(before: PsaValue, after: PsaValue) -> float | None:
    return None if before.ng_ml == 0 else 100.0 * (after.ng_ml - before.ng_ml) / before.ng_ml


def _nothing(baseline: PsaValue | None, ordered: Sequence[PsaValue]) -> PsaResponse:
    if not ordered:
        why = tr("no PSA values")
    elif baseline is None:
        why = tr("no PSA value up to the start of the treatment or the baseline scan")
    else:
        why = tr("no PSA value after the baseline value of {day}").format(day=date_text(baseline.day))
    return PsaResponse(baseline, why, nadir=baseline)


def _why(
    baseline: PsaValue,
    last: PsaValue,
    progression: bool | None,
    rise: PsaValue | None,
    psa50: bool | None,
    psa90: bool | None,
) -> str:
    reasons = []
    if rise is not None:
        day = date_text(rise.day)
        if progression:
            text = tr("since {day} at least 25 % and 2 ng/mL above the lowest value, confirmed")
        else:
            text = tr("since {day} at least 25 % and 2 ng/mL above the lowest value, not confirmed yet")
        reasons.append(text.format(day=day))
    if psa90:
        reasons.append(tr("decline of at least 90 %, confirmed"))
    elif psa90 is None:
        reasons.append(tr("decline of at least 90 %, not confirmed yet"))
    if psa50 and not psa90:
        reasons.append(tr("decline of at least 50 %, confirmed"))
    elif psa50 is None and psa90 is False:
        reasons.append(tr("decline of at least 50 %, not confirmed yet"))
    if not reasons:
        reasons.append(tr("no confirmed decline of 50 % and no rise of 25 % and 2 ng/mL"))
    change = _percent(baseline, last)
    values = tr("PSA {before} -> {after} ng/mL").format(before=psa_text(baseline.ng_ml), after=psa_text(last.ng_ml))
    if change is not None:
        values = tr("{values} ({change})").format(values=values, change=psa_percent_text(change))
    return tr("{values}: {reason}").format(values=values, reason="; ".join(reasons))


def psa_percent_text(change: float) -> str:
    """A change of PSA in percent with one decimal, or more where rounding would move it across a limit."""
    limits = (100 * (PSA90_RATIO - 1), 100 * (PSA50_RATIO - 1), 100 * (RISE_RATIO - 1))

    def sides(percent: float) -> list[bool]:
        return [
            percent <= limit + 100 * TOLERANCE if limit < 0 else percent >= limit - 100 * TOLERANCE for limit in limits
        ]

    for decimals in range(1, 8):
        rounded = round(change, decimals)
        if sides(rounded) == sides(change):
            break
    return decimal(f"{rounded:+.{decimals}f} %" if rounded else "0.0 %")


def _rise_notes(rise: PsaValue | None, treatment_start: date | None, fell_after_rise: bool, ignored: bool) -> list[str]:
    notes = []
    if fell_after_rise:
        notes.append(tr("PSA rose first and fell by at least 50 % afterwards: a flare or progression, for a reader."))
    if rise is not None and treatment_start and rise.day < treatment_start + UNVERIFIED_IGNORED:
        notes.append(tr("The rise of PSA began in the first 12 weeks of the treatment."))
    if ignored:
        notes.append(tr("Rises of PSA in the first 12 weeks of the treatment are ignored, by an unverified rule."))
    return notes


def _baseline_notes(baseline: PsaValue, start: date) -> list[str]:
    notes = []
    if start - baseline.day > OLD_BASELINE:
        text = tr("The PSA value at baseline was taken {days} days before the start of the treatment or the scan.")
        notes.append(text.format(days=(start - baseline.day).days))
    if baseline.ng_ml == 0:
        notes.append(tr("The PSA value at baseline is 0 ng/mL: a change in percent is undefined."))
    return notes
