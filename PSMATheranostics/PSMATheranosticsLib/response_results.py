"""The response of every follow-up against the baseline, with what a reader has said about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .criteria import CRITERIA
from .records import ResponseRecord
from .response import Response, ResponseInput, ScanFacts
from .results_model import LesionResult, ResponseResult, ResultWarning, StudyResult

# A choice of this software: RECIP knows no smallest new lesion, but one of a few voxels may well be noise.
SMALL_NEW_LESION_ML = 1.0


@dataclass(frozen=True)
class ReaderStatement:
    """What a reader says about one follow-up: the record that ``CaseStore.save_response`` keeps.

    ``confirmed_category`` confirms the result only as long as the numbers still give that category.
    """

    residual_uptake: bool | None = None  # whether any tumor uptake is seen; None: not asked
    new_lesions_assessable: bool = True  # False e.g. for diffuse marrow involvement
    confirmed_category: str = ""
    confirmed_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The record for ``CaseStore.save_response``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ReaderStatement:
        """The statement in a stored record; what the record does not say keeps its default."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


@dataclass(frozen=True)
class Responses:
    """Responses in the order of the follow-ups, and what limits them."""

    responses: tuple[ResponseResult, ...]
    warnings: tuple[ResultWarning, ...]


def collect_responses(studies: Sequence[StudyResult], stored: Sequence[ResponseRecord], criterion: str) -> Responses:
    """Evaluate ``criterion`` (a key of ``CRITERIA``) for every study after the baseline and of its modality.

    PET is compared with PET: volumes on SPECT follow from another resolution and threshold.
    """
    baseline = next(study for study in studies if study.is_baseline)
    statements = {
        record.followup_id: ReaderStatement.from_dict(record.record)
        for record in stored
        if record.criterion == criterion
    }
    responses, warnings = [], []
    for followup in studies:
        if followup.acquired <= baseline.acquired or followup.is_baseline or followup.modality != baseline.modality:
            continue
        statement = statements.get(followup.study_id, ReaderStatement())
        inputs = response_input(baseline, followup, statement)
        response = CRITERIA[criterion].evaluate(inputs)
        result = _result(response, inputs, baseline, followup, statement)
        responses.append(result)
        warnings += [ResultWarning(note, "response", followup.study_id) for note in result.notes]
    return Responses(tuple(responses), tuple(warnings))


def response_input(baseline: StudyResult, followup: StudyResult, statement: ReaderStatement) -> ResponseInput:
    """What a criterion is told about ``followup`` against ``baseline``."""
    return ResponseInput(
        baseline_ttv_ml=None if baseline.totals is None else baseline.totals.psma_tv_ml,
        followup_ttv_ml=None if followup.totals is None else followup.totals.psma_tv_ml,
        new_lesions=_any_new(followup) if statement.new_lesions_assessable else None,
        residual_uptake=statement.residual_uptake,
        interval_days=followup.days_since_baseline,
        baseline=_facts(baseline),
        followup=_facts(followup),
    )


def _any_new(followup: StudyResult) -> bool | None:
    """Whether a lesion is new; None where none is known to be and some were not looked for or followed yet."""
    if followup.totals is None:
        return None
    answers = {lesion.new_since_baseline for lesion in followup.lesions}
    if True in answers:
        return True
    return None if None in answers else False


def _facts(study: StudyResult) -> ScanFacts:
    return ScanFacts(study.modality, study.tracer, {} if study.segmentation is None else study.segmentation.compared())


def _result(
    response: Response,
    inputs: ResponseInput,
    baseline: StudyResult,
    followup: StudyResult,
    statement: ReaderStatement,
) -> ResponseResult:
    new_lesions = sorted(
        (lesion for lesion in followup.lesions if lesion.new_since_baseline),
        key=lambda lesion: (len(lesion.track), lesion.track),
    )
    notes = [*response.notes, *_small_new_notes(response, inputs, new_lesions)]
    confirmed = bool(statement.confirmed_by) and statement.confirmed_category == response.category
    if statement.confirmed_by and not confirmed:
        notes.append(
            f"{statement.confirmed_by} confirmed {statement.confirmed_category}, but the case has changed since "
            f"and now gives {response.category}: confirm again."
        )
    before, after = inputs.baseline_ttv_ml, inputs.followup_ttv_ml
    return ResponseResult(
        criterion=response.criterion,
        baseline_id=baseline.study_id,
        followup_id=followup.study_id,
        category=response.category,
        candidate=not confirmed,
        confirmed_by=statement.confirmed_by if confirmed else "",
        baseline_ttv_ml=before,
        followup_ttv_ml=after,
        change_ml=None if before is None or after is None else after - before,
        change_percent=response.change_percent,
        new_lesions=inputs.new_lesions,
        new_lesion_tracks=tuple(lesion.track for lesion in new_lesions),
        residual_uptake=statement.residual_uptake,
        why=response.why,
        branches=response.branches,
        notes=tuple(notes),
    )


def _small_new_notes(response: Response, inputs: ResponseInput, new_lesions: Sequence[LesionResult]) -> list[str]:
    """A note where nothing but small new lesions keeps the scan from a better category."""
    if not new_lesions or any(lesion.measures.volume_ml >= SMALL_NEW_LESION_ML for lesion in new_lesions):
        return []
    without = CRITERIA[response.criterion].evaluate(replace(inputs, new_lesions=False)).category
    if without == response.category:
        return []
    listed = ", ".join(
        f"{lesion.track} ({lesion.measures.volume_ml:.2f} mL, SUVmax {lesion.measures.suv_max:.1f})"
        for lesion in new_lesions
    )
    return [f"Would be {without} if a reader rejects the new lesions, all below {SMALL_NEW_LESION_ML:g} mL: {listed}."]
