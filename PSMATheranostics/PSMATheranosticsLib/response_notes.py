"""What limits the comparison of two scans, whatever the criterion: time between them, and what they do not share."""

from __future__ import annotations

from collections.abc import Mapping

from .i18n import tr
from .response import ResponseInput, ScanFacts

# PSMA expression may change in the first 8 weeks of a treatment without a change of the disease, and progression is
# not read from earlier scans (PCWG4, Armstrong et al. 2026, J Clin Oncol, PMID 41744290, as transcribed in secondary
# sources). RECIP was developed with a scan at about 12 weeks (Gafita et al. 2022, J Nucl Med 63:1651-1658). That both
# only lead to a note is a choice of this software.
EARLY_DAYS = 56
USUAL_DAYS = 84
# Choice of this software: two SPECT of one series are taken at the same time after injection within this.
SAME_TIME_MINUTES = 6 * 60


def modality_problem(inputs: ResponseInput, modality: str) -> str:
    """Why scans cannot be judged by a criterion that holds for ``modality`` ("PET"); "" when they can."""
    if differ(inputs.baseline, inputs.followup, "modality"):
        return tr("volumes of different modalities cannot be compared")
    for facts in (inputs.baseline, inputs.followup):
        if facts is not None and facts.modality and facts.modality.casefold() != modality.casefold():
            return tr("the criterion was made for {modality}, the scans are {other}").format(
                modality=modality, other=facts.modality
            )
    return ""


def comparison_notes(inputs: ResponseInput) -> list[str]:
    """What the time between the scans and their differences mean for any comparison, one sentence each."""
    return interval_notes(inputs.interval_days) + scan_notes(inputs.baseline, inputs.followup)


def interval_notes(days: float | None) -> list[str]:
    """A note where the scans are less than 12 weeks apart."""
    if days is None or days >= USUAL_DAYS:
        return []
    if days < EARLY_DAYS:
        text = tr("The scans are {days} days apart, less than 8 weeks: too early to read progression.")
    else:
        text = tr("The scans are {days} days apart, less than the 12 weeks after which RECIP was studied.")
    return [text.format(days=f"{days:.0f}")]


def scan_notes(baseline: ScanFacts | None, followup: ScanFacts | None) -> list[str]:
    """Notes on what both scans state differently."""
    if baseline is None or followup is None:
        return []
    notes = []
    if differ(baseline, followup, "modality"):
        text = tr("The baseline is {before}, the follow-up {after}.")
        notes.append(text.format(before=baseline.modality, after=followup.modality))
    if differ(baseline, followup, "tracer"):
        text = tr("The tracers differ: {before} and {after}.")
        notes.append(text.format(before=baseline.tracer, after=followup.tracer))
    if differ(baseline, followup, "scanner"):
        text = tr("The scanners differ: {before} and {after}.")
        notes.append(text.format(before=baseline.scanner, after=followup.scanner))
    if differ(baseline, followup, "reconstruction"):
        text = tr("The reconstructions differ: {before} and {after}.")
        notes.append(text.format(before=baseline.reconstruction, after=followup.reconstruction))
    return notes + _segmentation_notes(baseline.segmentation, followup.segmentation)


def time_after_injection_notes(baseline: ScanFacts | None, followup: ScanFacts | None) -> list[str]:
    """A note where two SPECT were taken at different times after injection: uptake in tumor changes over days."""
    before = None if baseline is None else baseline.minutes_after_injection
    after = None if followup is None else followup.minutes_after_injection
    if before is None or after is None or abs(after - before) <= SAME_TIME_MINUTES:
        return []
    text = tr("The scans were taken {before} and {after} h after injection: their uptake and volumes do not compare.")
    return [text.format(before=f"{before / 60:.0f}", after=f"{after / 60:.0f}")]


def differ(baseline: ScanFacts | None, followup: ScanFacts | None, fact: str) -> bool:
    """Whether both scans state ``fact`` and state it differently."""
    if baseline is None or followup is None:
        return False
    first, second = getattr(baseline, fact), getattr(followup, fact)
    return bool(first and second and first.casefold() != second.casefold())


def _segmentation_notes(baseline: Mapping[str, str], followup: Mapping[str, str]) -> list[str]:
    if not baseline or not followup:
        return []
    none = tr("none")
    differing = [
        tr("{setting} {before} and {after}").format(
            setting=name, before=baseline.get(name, none), after=followup.get(name, none)
        )
        for name in dict.fromkeys([*baseline, *followup])
        if baseline.get(name) != followup.get(name)
    ]
    if not differing:
        return []
    text = tr("The scans were segmented differently ({settings}): the change mixes method and disease.")
    return [text.format(settings="; ".join(differing))]
