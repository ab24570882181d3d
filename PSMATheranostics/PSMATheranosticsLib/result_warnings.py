"""What limits the results, gathered from the studies, registrations and tracks with a reference to its cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .i18n import date_text, decimal, tr
from .lesion_results import not_compared
from .link_reasons import link_reason
from .records import OrphanedDecision
from .results_model import RegistrationResult, ResultWarning, StudyResult, TrackCell, TrackResult

# A choice of this software: a proposed link below it is listed for a reader's look.
LOW_CONFIDENCE = 0.5
MOST_NAMED = 10  # tracks in one warning


# Parts of the names under which scanners write PSMA tracers: PSMA-11, PSMA-1007, rhPSMA, PSMA-617 hold "PSMA".
PSMA_TRACERS = ("psma", "dcfpyl", "piflufolastat", "flotufolastat", "gozetotide", "vipivotide", "pylarify", "posluma")


def collect_warnings(
    studies: Sequence[StudyResult],
    tracks: Sequence[TrackResult],
    registrations: Sequence[RegistrationResult],
    of_responses: Sequence[ResultWarning] = (),
    orphans: Sequence[OrphanedDecision] = (),
    confluent: Mapping[int, int] | None = None,
) -> tuple[ResultWarning, ...]:
    """All warnings of a case, each once.

    Args:
        studies, tracks, registrations: Of the results.
        of_responses: What limits the responses.
        orphans: Decisions of readers that apply to nothing any more.
        confluent: By follow-up, how many of its lesions cannot be told apart because they run into each other.
    """
    found = (
        *study_warnings(studies),
        *registration_warnings(registrations),
        *tracking_warnings(studies),
        *unreviewed_warnings(studies, tracks),
        *diffuse_warnings(studies, confluent or {}),
        *coverage_warnings(tracks, studies),
        *not_compared(studies),
        *of_responses,
        *decision_warnings(orphans),
    )
    return tuple(dict.fromkeys(found))


def study_warnings(studies: Sequence[StudyResult]) -> Iterator[ResultWarning]:
    """Warnings of reading, scaling and segmenting each study."""
    for study in studies:
        if not is_psma_tracer(study.tracer):
            yield ResultWarning(_other_tracer_text(study.tracer), "study", study.study_id)
        for text in study.warnings:
            yield ResultWarning(text, "study", study.study_id)
        untold = [name for name in study.scaling.entered if not any(name in text for text in study.warnings)]
        if untold:
            text = tr("The uptake rests on values that a person entered by hand: {values}.")
            yield ResultWarning(text.format(values=", ".join(untold)), "study", study.study_id)
        if study.segmentation is None:
            text = tr("The study has not been segmented yet.")
            if study.modality == "SPECT":
                text = tr("Lesions are not looked for on SPECT by the software: take a segmentation made elsewhere.")
            yield ResultWarning(text, "segmentation", study.study_id)
            continue
        for text in study.segmentation.provenance.get("warnings", ()):
            yield ResultWarning(str(text), "segmentation", study.study_id)


def _other_tracer_text(tracer: str) -> str:
    if not tracer:
        return tr("The tracer is not stated: thresholds, PSMA-TV and response hold for PSMA tracers only.")
    text = tr(
        "The tracer is '{tracer}', not known as a PSMA tracer: thresholds, PSMA-TV and response hold for PSMA tracers "
        "only."
    )
    return text.format(tracer=tracer)


def is_psma_tracer(tracer: str) -> bool:
    """Whether the name of a tracer, as a scanner or a person wrote it, is that of a PSMA ligand."""
    return any(name in tracer.casefold() for name in PSMA_TRACERS)


def registration_warnings(registrations: Sequence[RegistrationResult]) -> Iterator[ResultWarning]:
    """Registrations that are not good, with their reasons."""
    verdicts = {"doubtful": tr("doubtful"), "poor": tr("poor")}
    for registration in registrations:
        if registration.verdict != "good":
            text = tr("The registration is {verdict} ({reasons}): check its links.").format(
                verdict=verdicts.get(registration.verdict) or tr("not judged"),
                reasons="; ".join(registration.reasons) or tr("no reason given"),
            )
            yield ResultWarning(text, "registration", registration.moving_id)


def tracking_warnings(studies: Sequence[StudyResult]) -> Iterator[ResultWarning]:
    """Lesions that were not followed, that are new or not for a special reason, or whose proposed link is uncertain."""
    any_followed = any(lesion.track for study in studies for lesion in study.lesions)
    for study in studies:
        waiting = [lesion for lesion in study.lesions if not lesion.track]
        if waiting and (any_followed or len(studies) > 1):
            text = tr("1 lesion has not been followed yet: follow the lesions again.")
            if len(waiting) > 1:
                text = tr("{count} lesions have not been followed yet: follow the lesions again.")
            yield ResultWarning(text.format(count=len(waiting)), "tracking", study.study_id)
        for lesion in study.lesions:
            if lesion.track and lesion.novelty_note:
                yield ResultWarning(f"{lesion.track}: {lesion.novelty_note}.", "tracking", study.study_id, lesion.track)
            link = lesion.carrying_link
            if lesion.track and link and link.status == "proposed" and link.confidence < LOW_CONFIDENCE:
                text = tr(
                    "{track}: its link to an earlier study has a confidence of {confidence} ({reason}); confirm or "
                    "remove it."
                ).format(
                    track=lesion.track, confidence=decimal(f"{link.confidence:.2f}"), reason=link_reason(link.reason)
                )
                yield ResultWarning(text, "tracking", study.study_id, lesion.track)


def unreviewed_warnings(studies: Sequence[StudyResult], tracks: Sequence[TrackResult]) -> Iterator[ResultWarning]:
    """Studies with new lesions that no reader has accepted; the track is that of the first of them."""
    cells = {(track.label, cell.study_id): cell for track in tracks for cell in track.cells}
    for study in studies:
        waiting = [
            lesion.track
            for lesion in study.lesions
            if lesion.new_since_baseline and not (lesion.reviewed or _is_decided(cells, lesion.track, study))
        ]
        if waiting:
            waiting.sort(key=lambda label: (len(label), label))
            text = tr("New lesions that nobody has reviewed: {tracks}. Whether a lesion is new is a reader's decision.")
            yield ResultWarning(text.format(tracks=_named(waiting)), "tracking", study.study_id, waiting[0])


def _named(tracks: Sequence[str]) -> str:
    """The tracks by name, as many as can be read."""
    if len(tracks) <= MOST_NAMED:
        return ", ".join(tracks)
    text = tr("{tracks} and {count} more")
    return text.format(tracks=", ".join(tracks[:MOST_NAMED]), count=len(tracks) - MOST_NAMED)


def _is_decided(cells: Mapping[tuple[str, int], TrackCell], track: str, study: StudyResult) -> bool:
    cell = cells.get((track, study.study_id))
    return cell is not None and cell.decision in ("new", "confirmed")


def diffuse_warnings(studies: Sequence[StudyResult], confluent: Mapping[int, int]) -> Iterator[ResultWarning]:
    """Follow-ups of which many lesions cannot be told apart, as where the marrow is full of disease."""
    for study in studies:
        if confluent.get(study.study_id):
            text = tr(
                "{count} lesions run into each other, as in diffuse marrow involvement: new lesions among them cannot "
                "be counted reliably. State that new lesions are not assessable where that holds."
            )
            yield ResultWarning(text.format(count=confluent[study.study_id]), "tracking", study.study_id)


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
            text = tr(
                "The place of {count} of the lesions of the baseline ({volume} mL) was not imaged: PSMA-TV, its "
                "change and the response do not compare."
            ).format(count=len(missed), volume=decimal(f"{sum(missed):.1f}"))
            yield ResultWarning(text, "tracking", study.study_id)


def decision_warnings(orphans: Sequence[OrphanedDecision]) -> Iterator[ResultWarning]:
    """Decisions of a reader that no longer apply because the automatic results have changed."""
    for orphan in orphans:
        if orphan.what == "link":
            text = tr(
                "{user} decided '{decision}' on {about} ({day}), but that link is not found any more: decide again "
                "where it matters."
            )
        else:
            text = tr(
                "{user} decided '{decision}' on {about} ({day}), but that lesion is not found any more: decide again "
                "where it matters."
            )
        told = text.format(user=orphan.user, decision=orphan.decision, about=orphan.about, day=date_text(orphan.time))
        yield ResultWarning(told, "decision")
