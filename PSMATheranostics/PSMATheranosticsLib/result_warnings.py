"""What limits the results, gathered from the studies, registrations and tracks with a reference to its cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .records import OrphanedDecision
from .results_model import RegistrationResult, ResultWarning, StudyResult, TrackResult

# A choice of this software: a proposed link below it is listed for a reader's look.
LOW_CONFIDENCE = 0.5


# Parts of the names under which scanners write PSMA tracers: PSMA-11, PSMA-1007, rhPSMA, PSMA-617 hold "PSMA".
PSMA_TRACERS = ("psma", "dcfpyl", "piflufolastat", "flotufolastat", "gozetotide", "vipivotide", "pylarify", "posluma")


def study_warnings(studies: Sequence[StudyResult]) -> Iterator[ResultWarning]:
    """Warnings of reading and segmenting each study."""
    for study in studies:
        if not is_psma_tracer(study.tracer):
            stated = f"'{study.tracer}', not known as a PSMA tracer" if study.tracer else "not stated"
            text = f"The tracer is {stated}: thresholds, PSMA-TV and response hold for PSMA tracers only."
            yield ResultWarning(text, "study", study.study_id)
        for text in study.warnings:
            yield ResultWarning(text, "study", study.study_id)
        if study.segmentation is None:
            text = "The study has not been segmented yet."
            if study.modality == "SPECT":
                text = "Lesions are not looked for on SPECT by the software: take a segmentation made elsewhere."
            yield ResultWarning(text, "segmentation", study.study_id)
            continue
        for text in study.segmentation.provenance.get("warnings", ()):
            yield ResultWarning(str(text), "segmentation", study.study_id)


def is_psma_tracer(tracer: str) -> bool:
    """Whether the name of a tracer, as a scanner or a person wrote it, is that of a PSMA ligand."""
    return any(name in tracer.casefold() for name in PSMA_TRACERS)


def registration_warnings(registrations: Sequence[RegistrationResult]) -> Iterator[ResultWarning]:
    """Registrations that are not good, with their reasons."""
    for registration in registrations:
        if registration.verdict != "good":
            reasons = "; ".join(registration.reasons) or "no reason given"
            text = f"The registration is {registration.verdict or 'not judged'} ({reasons}): check its links."
            yield ResultWarning(text, "registration", registration.moving_id)


def tracking_warnings(studies: Sequence[StudyResult]) -> Iterator[ResultWarning]:
    """Lesions that were not followed, that are new or not for a special reason, or whose proposed link is uncertain."""
    any_followed = any(lesion.track for study in studies for lesion in study.lesions)
    for study in studies:
        waiting = [lesion for lesion in study.lesions if not lesion.track]
        if waiting and (any_followed or len(studies) > 1):
            text = f"{_lesions(len(waiting))} not been followed yet: follow the lesions again."
            yield ResultWarning(text, "tracking", study.study_id)
        for lesion in study.lesions:
            if lesion.track and lesion.novelty_note:
                yield ResultWarning(f"{lesion.track}: {lesion.novelty_note}.", "tracking", study.study_id, lesion.track)
            link = lesion.carrying_link
            if lesion.track and link and link.status == "proposed" and link.confidence < LOW_CONFIDENCE:
                text = (
                    f"{lesion.track}: its link to an earlier study has a confidence of {link.confidence:.2f} "
                    f"({link.reason}); confirm or remove it."
                )
                yield ResultWarning(text, "tracking", study.study_id, lesion.track)


def coverage_warnings(tracks: Sequence[TrackResult], studies: Sequence[StudyResult]) -> Iterator[ResultWarning]:
    """Follow-up studies that did not image the place of lesions of the baseline: their total volumes do not compare."""
    at_baseline = next((index for index, study in enumerate(studies) if study.is_baseline), None)
    if at_baseline is None:
        return
    for index, study in enumerate(studies):
        missed = [
            track.cells[at_baseline].volume_ml or 0.0 for track in tracks if track.cells[index].status == "not imaged"
        ]
        missed = [volume for volume in missed if volume > 0]
        if missed:
            text = (
                f"The place of {len(missed)} of the lesions of the baseline ({sum(missed):.1f} mL) was not imaged: "
                "PSMA-TV, its change and the response do not compare."
            )
            yield ResultWarning(text, "tracking", study.study_id)


def _lesions(count: int) -> str:
    return "1 lesion has" if count == 1 else f"{count} lesions have"


def decision_warnings(orphans: Sequence[OrphanedDecision]) -> Iterator[ResultWarning]:
    """Decisions of a reader that no longer apply because the automatic results have changed."""
    for orphan in orphans:
        gone = "link" if orphan.what == "link" else "lesion"
        text = (
            f"{orphan.user} decided '{orphan.decision}' on {orphan.about} ({orphan.time:%Y-%m-%d}), "
            f"but that {gone} is not found any more: decide again where it matters."
        )
        yield ResultWarning(text, "decision")
