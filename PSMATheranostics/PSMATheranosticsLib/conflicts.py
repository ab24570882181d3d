"""What contradicts itself or is still open before results are signed, each with the study and track to look at.

What blocks and what does not is a choice of this software: open questions on which a category rests have to be answered
by a reader; what only limits the results has to be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .clinical_model import CAUSES, Conflict
from .i18n import date_text, decimal, tr
from .new_lesion_review import followups, is_reviewed, unreviewed_new_lesions
from .response import NOT_EVALUABLE
from .result_warnings import LOW_CONFIDENCE
from .results_model import LesionResult, ResponseResult, Results, StudyResult, TrackCell

# Gafita et al. 2022, J Nucl Med 63:1651-1658: an increase of at least 20 % with new lesions is RECIP-PD. Links are only
# pointed out here, so that the tolerance at the limit leans to pointing them out.
GROWTH_PERCENT = 20.0 - 1e-6

STUDY, SEGMENTATION, REGISTRATION, TRACKING, RESPONSE, DECISION = CAUSES

Cells = Mapping[tuple[str, int], TrackCell]  # by track and study


def conflicts(results: Results) -> tuple[Conflict, ...]:
    """All conflicts of a case, those that block signing first, then by time of the study."""
    cells = {(track.label, cell.study_id): cell for track in results.tracks for cell in track.cells}
    found = [
        *_open_responses(results),
        *_statements(results, cells),
        *_new_lesions(results),
        *_not_followed(results),
        *_comparators(results),
        *_deciding_links(results, cells),
        *_registrations(results),
        *_baseline(results),
        *_orphans(results),
    ]
    order = {study.study_id: index for index, study in enumerate(results.studies)}
    return tuple(sorted(found, key=lambda one: (not one.blocks, order.get(one.study_id or 0, len(order)))))


def _open_responses(results: Results) -> Iterator[Conflict]:
    """Categories that nobody stands by, or stands by without saying why."""
    for response in results.responses:
        label = results.study(response.followup_id).label
        if response.candidate and response.category == NOT_EVALUABLE:
            text = tr("{criterion} cannot be evaluated for {study}: {why}.")
            told = text.format(criterion=response.criterion, study=label, why=response.why)
            yield Conflict(told, False, response.followup_id, cause=RESPONSE)
        elif response.candidate:
            text = tr("{category} by {criterion} for {study} is a candidate: confirm it, or decide otherwise.")
            told = text.format(category=response.category, criterion=response.criterion, study=label)
            yield Conflict(told, True, response.followup_id, cause=RESPONSE)
    for response in (*results.responses, *results.other_responses):
        if response.overridden and not response.override_reason:
            text = tr("{category} was chosen instead of {overridden} for {study} without a reason: write why.")
            label = results.study(response.followup_id).label
            told = text.format(category=response.category, overridden=response.overridden, study=label)
            yield Conflict(told, True, response.followup_id, cause=RESPONSE)


def _statements(results: Results, cells: Cells) -> Iterator[Conflict]:
    """What a reader stated against the lesions that count."""
    for response in results.responses:
        study = results.study(response.followup_id)
        lesions = len(study.lesions)
        if response.residual_uptake is False and lesions:
            text = tr(
                "A reader states that no uptake is left at {study}, but lesions count there ({count}): reject them, or "
                "withdraw the statement."
            )
            told = text.format(study=study.label, count=lesions)
            yield Conflict(told, True, study.study_id, cause=RESPONSE)
        if response.residual_uptake and study.totals is not None and not lesions:
            text = tr("A reader sees uptake that is left at {study}, but no lesion is segmented: segment what is seen.")
            yield Conflict(text.format(study=study.label), False, study.study_id, cause=SEGMENTATION)
        yield from _new_against_statement(study, response, cells)
    yield from _visual_against_numbers(results)


def _new_against_statement(study: StudyResult, response: ResponseResult, cells: Cells) -> Iterator[Conflict]:
    """Lesions that a reader confirmed as new where the response says that there are none, or cannot say."""
    for lesion in study.lesions:
        cell = cells.get((lesion.track, study.study_id))
        if cell is None or not _confirmed_as_new(lesion, cell) or response.new_lesions:
            continue
        if response.new_lesions is None:
            text = tr(
                "New lesions are stated as not assessable at {study}, but {track} was confirmed as new there: take one "
                "of them back."
            )
        else:
            text = tr(
                "The response of {study} counts no new lesion, but {track} was confirmed as new there: take that back, "
                "or follow the lesions again."
            )
        told = text.format(study=study.label, track=lesion.track)
        yield Conflict(told, True, study.study_id, lesion.track, TRACKING)


def _confirmed_as_new(lesion: LesionResult, cell: TrackCell) -> bool:
    return cell.decision == "new" or (bool(lesion.new_since_baseline) and is_reviewed(lesion, cell))


def _visual_against_numbers(results: Results) -> Iterator[Conflict]:
    """Follow-ups for which the visual reading gives another category than the volumes."""
    measured = {response.followup_id: response for response in results.responses}
    for visual in results.other_responses:
        by_volume = measured.get(visual.followup_id)
        if visual.criterion != "RECIP 1.0 visual" or by_volume is None or by_volume.criterion != "RECIP 1.0":
            continue
        categories = (visual.category, by_volume.category)
        if NOT_EVALUABLE not in categories and categories[0] != categories[1]:
            text = tr("{study}: visual reading gives {visual}, the volumes give {measured}.")
            label = results.study(visual.followup_id).label
            told = text.format(study=label, visual=categories[0], measured=categories[1])
            yield Conflict(told, False, visual.followup_id, cause=RESPONSE)


def _new_lesions(results: Results) -> Iterator[Conflict]:
    """New lesions that nobody has looked at: whether a lesion is new is a reader's decision."""
    for study_id, lesions in unreviewed_new_lesions(results).items():
        label = results.study(study_id).label
        for lesion in lesions:
            text = tr("{track} counts as new at {study} and was not reviewed: accept it or reject it.")
            told = text.format(track=lesion.track, study=label)
            yield Conflict(told, True, study_id, lesion.track, SEGMENTATION)


def _not_followed(results: Results) -> Iterator[Conflict]:
    """Lesions of which it is not known whether they are new."""
    responding = {response.followup_id for response in results.responses}
    if not responding:
        return
    for study in results.studies:
        waiting = sum(not lesion.track for lesion in study.lesions)
        if waiting:
            text = tr("Lesions of {study} were not followed ({count}): follow the lesions again.")
            blocks = study.study_id in responding or study.is_baseline
            told = text.format(count=waiting, study=study.label)
            yield Conflict(told, blocks, study.study_id, cause=TRACKING)


def _comparators(results: Results) -> Iterator[Conflict]:
    """Follow-ups that were made in another way than the baseline they are compared with."""
    for study in followups(results):
        baseline = results.study(results.baseline_id or 0)
        if study.tracer != baseline.tracer:
            text = tr("{study} and {baseline} were made with different tracers ({first} and {second}).")
            first, second = study.tracer or tr("not stated"), baseline.tracer or tr("not stated")
            told = text.format(study=study.label, baseline=baseline.label, first=first, second=second)
            yield Conflict(told, False, study.study_id, cause=STUDY)
    for response in (*results.responses, *results.other_responses):
        study, baseline = results.study(response.followup_id), results.study(response.baseline_id)
        if study.modality != baseline.modality:
            text = tr("{criterion} compares {study} ({first}) with {baseline} ({second}).")
            told = text.format(
                criterion=response.criterion,
                study=study.label,
                first=study.modality,
                baseline=baseline.label,
                second=baseline.modality,
            )
            yield Conflict(told, True, study.study_id, cause=STUDY)


def _deciding_links(results: Results, cells: Cells) -> Iterator[Conflict]:
    """Doubtful links without which a lesion would be new, so that the category would be another one."""
    for response in results.responses:
        if response.new_lesions is not False or not _would_change_when_new(response):
            continue
        study = results.study(response.followup_id)
        for lesion in study.lesions:
            link = lesion.carrying_link
            cell = cells.get((lesion.track, study.study_id))
            decided = cell is not None and bool(cell.decision)
            if link is None or link.status != "proposed" or link.confidence >= LOW_CONFIDENCE or decided:
                continue
            text = tr(
                "{track} is not new at {study} only because of a link with a confidence of {confidence}, and a new "
                "lesion would change the category: confirm or remove the link."
            )
            told = text.format(track=lesion.track, study=study.label, confidence=decimal(f"{link.confidence:.2f}"))
            yield Conflict(told, False, study.study_id, lesion.track, TRACKING)


def _would_change_when_new(response: ResponseResult) -> bool:
    """Whether one new lesion would give another category: of a partial response, or of growth by 20 % or more."""
    by_rules = response.overridden or response.category
    grown = response.change_percent is not None and response.change_percent >= GROWTH_PERCENT
    return by_rules == "RECIP-PR" or (by_rules == "RECIP-SD" and grown)


def _registrations(results: Results) -> Iterator[Conflict]:
    """Links that rest on a registration which failed."""
    for registration in results.registrations:
        if registration.verdict == "poor":
            text = tr("The registration of {study} is poor, and its links rest on it: check them.")
            told = text.format(study=results.study(registration.moving_id).label)
            yield Conflict(told, False, registration.moving_id, cause=REGISTRATION)


def _baseline(results: Results) -> Iterator[Conflict]:
    if results.baseline_marked is False and results.responses:
        baseline = results.study(results.baseline_id or 0)
        text = tr("Nobody has marked the baseline: the study of {day} is taken because it is the earliest.")
        told = text.format(day=date_text(baseline.acquired))
        yield Conflict(told, False, baseline.study_id, cause=STUDY)


def _orphans(results: Results) -> Iterator[Conflict]:
    """Decisions of readers that apply to nothing any more."""
    for warning in results.warnings:
        if warning.source == "decision":
            yield Conflict(warning.text, False, warning.study_id, warning.track, DECISION)
