"""When activity was given for treatment, as far as the SPECT studies tell by their injection, and when a line began."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .i18n import decimal
from .nuclides import nuclide_in
from .results_model import Results, StudyResult, Treatment

# Nuclides that are given to treat; a SPECT of another one shows a tracer.
THERAPEUTIC = ("177Lu", "161Tb", "131I", "67Cu", "225Ac", "212Pb")
# Two SPECTs whose injections lie closer together than this show the same one.
SAME_INJECTION = timedelta(hours=12)


def find_treatments(studies: Sequence[StudyResult]) -> tuple[Treatment, ...]:
    """One for each injection that a SPECT study names with its time, by time."""
    found: list[Treatment] = []
    for study in studies:
        nuclide = nuclide_in(study.tracer)
        if study.modality != "SPECT" or nuclide not in THERAPEUTIC or study.minutes_after_injection is None:
            continue
        given = study.acquired - timedelta(minutes=study.minutes_after_injection)
        if any(abs(given - other.given) < SAME_INJECTION for other in found):
            continue
        day = study.days_since_baseline - (study.acquired.date() - given.date()).days
        activity = study.injected_activity_mbq
        label = nuclide if activity is None else decimal(f"{nuclide} {activity / 1000:.1f} GBq")
        found.append(Treatment(given, day, label))
    return tuple(sorted(found, key=lambda one: one.given))


def therapy_start_day(results: Results) -> int | None:
    """Day since the baseline on which the line of therapy began that a physician entered; None without one."""
    started = results.clinical.therapy_start
    if started is None or results.baseline_id is None:
        return None
    return (started - results.study(results.baseline_id).acquired.date()).days
