"""The response of every follow-up by each criterion, with what a reader has said about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .criteria import CRITERIA
from .i18n import decimal, tr
from .lesion_results import SPECT_WAIT_DIFFERS_MIN
from .reader_statement import INPUTS_OF, ReaderStatement
from .records import ResponseRecord
from .response import Response, ResponseCriterion, ResponseInput
from .response_inputs import Course, new_lesions, response_input
from .results_model import LesionResult, ResponseResult, ResultWarning, StudyResult

__all__ = ["ReaderStatement", "Responses", "collect_responses"]

# A choice of this software: RECIP knows no smallest new lesion, but one of a few voxels may well be noise.
SMALL_NEW_LESION_ML = 1.0


@dataclass(frozen=True)
class Responses:
    """Responses in the order of the follow-ups, those by other criteria, and what limits them."""

    responses: tuple[ResponseResult, ...]
    others: tuple[ResponseResult, ...]
    warnings: tuple[ResultWarning, ...]


def collect_responses(
    course: Course, stored: Sequence[ResponseRecord], criterion: str, others: Sequence[str] = ()
) -> Responses:
    """Evaluate ``criterion`` and ``others`` (keys of ``CRITERIA``) for every follow-up that they hold for.

    PET is compared with the baseline, SPECT with an earlier SPECT: volumes on SPECT follow from another resolution and
    threshold. The notes on ``criterion`` become warnings, and those on SPECT, for which it does not hold.
    """
    statements = {(one.followup_id, one.criterion): ReaderStatement.from_dict(one.record) for one in stored}
    seen: dict[tuple[int, int], ResponseInput] = {}
    found: dict[str, list[ResponseResult]] = {}
    for name in dict.fromkeys((criterion, *others)):
        found[name] = []
        for comparator, followup in _pairs(course, CRITERIA[name]):
            pair = comparator.study_id, followup.study_id
            if pair not in seen:
                said = statements.get((followup.study_id, INPUTS_OF), ReaderStatement())
                seen[pair] = response_input(course, comparator, followup, said)
            statement = statements.get((followup.study_id, name), ReaderStatement())
            found[name].append(_result(course, CRITERIA[name], seen[pair], comparator, followup, statement))
    main = tuple(found.pop(criterion))
    position = {study.study_id: index for index, study in enumerate(course.studies)}
    rest = [response for responses in found.values() for response in responses]
    rest.sort(key=lambda response: position[response.followup_id])  # stable: criteria keep their order
    return Responses(main, tuple(rest), tuple(_warnings(main, rest)))


def _warnings(main: Sequence[ResponseResult], others: Sequence[ResponseResult]) -> Iterator[ResultWarning]:
    told = {response.followup_id for response in main}
    spect = [response for response in others if CRITERIA[response.criterion].modality == "SPECT"]
    for response in (*main, *(one for one in spect if one.followup_id not in told)):
        for note in response.notes:
            yield ResultWarning(note, "response", response.followup_id)


def _pairs(course: Course, criterion: ResponseCriterion) -> Iterator[tuple[StudyResult, StudyResult]]:
    """Every follow-up that a criterion holds for with the study that it is compared with."""
    baseline = next(study for study in course.studies if study.is_baseline)
    if criterion.modality == "SPECT":
        yield from _spect_pairs(course, baseline)
    elif criterion.modality in ("", baseline.modality):
        for study in course.studies:
            if study.acquired > baseline.acquired and study.modality == baseline.modality and not study.is_baseline:
                yield baseline, study


def _spect_pairs(course: Course, baseline: StudyResult) -> Iterator[tuple[StudyResult, StudyResult]]:
    """Each segmented SPECT with the first one of the line at about the same time after the injection."""
    spects = [
        study
        for study in course.studies
        if study.modality == "SPECT" and study.totals is not None and study.acquired >= baseline.acquired
    ]
    for index, later in enumerate(spects):
        first = next((earlier for earlier in spects[:index] if _same_wait(earlier, later)), None)
        if first is not None:
            yield first, later


def _same_wait(earlier: StudyResult, later: StudyResult) -> bool:
    """Whether two SPECT are not known to be at other times after the injection; see ``lesion_results``."""
    first, second = earlier.minutes_after_injection, later.minutes_after_injection
    return first is None or second is None or abs(first - second) <= SPECT_WAIT_DIFFERS_MIN


def _result(
    course: Course,
    criterion: ResponseCriterion,
    inputs: ResponseInput,
    comparator: StudyResult,
    followup: StudyResult,
    statement: ReaderStatement,
) -> ResponseResult:
    response = criterion.evaluate(inputs)
    new = new_lesions(course, comparator, followup)
    decided = statement.decides(response.category)
    overridden = decided and bool(statement.override_category)
    before, after = inputs.baseline_ttv_ml, inputs.followup_ttv_ml
    return ResponseResult(
        criterion=response.criterion,
        baseline_id=comparator.study_id,
        followup_id=followup.study_id,
        category=statement.override_category if overridden else response.category,
        candidate=not decided,
        confirmed_by=statement.confirmed_by if decided else "",
        baseline_ttv_ml=before,
        followup_ttv_ml=after,
        change_ml=None if before is None or after is None else after - before,
        change_percent=response.change_percent,
        new_lesions=inputs.new_lesions,
        new_lesion_tracks=tuple(lesion.track for lesion in new),
        residual_uptake=inputs.residual_uptake,
        why=response.why,
        branches=response.branches,
        notes=(
            *response.notes,
            *_small_new_notes(criterion, response, inputs, new),
            *_stale(response, statement),
        ),
        parts=response.parts,
        exploratory=response.exploratory,
        verified=response.verified,
        overridden=response.category if overridden else "",
        override_reason=statement.override_reason if overridden else "",
        confirmed_at=statement.confirmed_at if decided else None,
    )


def _stale(response: Response, statement: ReaderStatement) -> Iterator[str]:
    """That the case has changed since a reader decided on the response."""
    if not statement.confirmed_by or statement.decides(response.category):
        return
    if statement.override_category:
        text = tr(
            "{user} decided on {chosen} when the rules gave {before}, but the case has changed since and they now give "
            "{category}: decide again."
        )
    else:
        text = tr("{user} confirmed {before}, but the case has changed since and now gives {category}: confirm again.")
    yield text.format(
        user=statement.confirmed_by,
        chosen=statement.override_category,
        before=statement.confirmed_category,
        category=response.category,
    )


def _small_new_notes(
    criterion: ResponseCriterion, response: Response, inputs: ResponseInput, new: Sequence[LesionResult]
) -> Iterator[str]:
    """A note where nothing but small new lesions keeps the scan from a better category."""
    if not new or inputs.new_lesions is None or any(one.measures.volume_ml >= SMALL_NEW_LESION_ML for one in new):
        return
    without = criterion.evaluate(replace(inputs, new_lesions=False, new_lesions_seen=())).category
    if without == response.category:
        return
    listed = ", ".join(f"{lesion.track} ({_size_text(lesion)})" for lesion in new)
    yield tr("Would be {category} if a reader rejects the new lesions, all below {limit} mL: {listed}.").format(
        category=without, limit=decimal(f"{SMALL_NEW_LESION_ML:g}"), listed=listed
    )


def _size_text(lesion: LesionResult) -> str:
    """Volume and SUVmax of a lesion."""
    return decimal(f"{lesion.measures.volume_ml:.2f} mL, SUVmax {lesion.measures.suv_max:.1f}")
