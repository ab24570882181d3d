"""The responses of one follow-up as measurement groups of a structured report (TID 1501), one for each criterion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydicom.sr.coding import Code

from .dicom_object import derived_uid
from .dicom_terms import (
    CANDIDATE,
    COMMENT,
    CONFIRMED,
    CRITERIA,
    CURRENT_RESPONSE,
    MEASUREMENT_OF_RESPONSE,
    MILLILITER,
    NEOPLASM,
    OVERRIDDEN,
    PERCENT,
    PRIVATE_SCHEME,
    RESPONSE_BY_RULES,
    RESPONSE_METHOD,
    RESPONSE_STATE,
    RESPONSES,
    TTV_AFTER,
    TTV_BEFORE,
    VOXEL_SUM,
)
from .response import NOT_EVALUABLE
from .results_model import ResponseResult, Results, StudyResult
from .sr_groups import answer, measurement, time_point

if TYPE_CHECKING:
    from highdicom.sr import Measurement, MeasurementsAndQualitativeEvaluations, QualitativeEvaluation


def responses_of(results: Results, study: StudyResult) -> list[ResponseResult]:
    """What a report of ``study`` says of its response: by the main criterion, and by others that can be evaluated."""
    found = [one for one in results.responses if one.followup_id == study.study_id]
    others = (one for one in results.other_responses if one.followup_id == study.study_id)
    return [*found, *(one for one in others if one.category != NOT_EVALUABLE)]


def response_groups(
    results: Results, study: StudyResult, whole_patient_uid: str
) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    """One group for each response: criterion, category, PSMA-TV at both studies, change, and in words what decided.

    Their tracking identifiers follow from that of the whole patient and the criterion.
    """
    from highdicom.sr import MeasurementsAndQualitativeEvaluations, TextContentItem, TrackingIdentifier

    for response in responses_of(results, study):
        uid = derived_uid(whole_patient_uid, f"response {response.criterion}")
        group = MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=uid, identifier=f"Response {response.criterion}"),
            time_point_context=time_point(results, study),
            finding_type=NEOPLASM,
            measurements=_measurements(results, response),
            qualitative_evaluations=_answers(response),
        )
        for line in _lines(results, response):
            group[0].ContentSequence.append(TextContentItem(COMMENT, line, "CONTAINS"))
        yield group


def _measurements(results: Results, response: ResponseResult) -> list[Measurement]:
    before, after = _named(results, response.baseline_id), _named(results, response.followup_id)
    found = []
    for name, volume_ml, where in (
        (TTV_BEFORE, response.baseline_ttv_ml, before),
        (TTV_AFTER, response.followup_ttv_ml, after),
    ):
        if volume_ml is not None:
            found.append(measurement(name, volume_ml, MILLILITER, method=VOXEL_SUM, note=f"PSMA-TV at {where}"))
    if response.change_percent is not None:
        note = f"PSMA-TV against {before}"
        found.append(measurement(MEASUREMENT_OF_RESPONSE, response.change_percent, PERCENT, note=note))
    return found


def _answers(response: ResponseResult) -> list[QualitativeEvaluation]:
    state = OVERRIDDEN if response.overridden else CANDIDATE if response.candidate else CONFIRMED
    answers = [
        answer(RESPONSE_METHOD, CRITERIA.get(response.criterion) or _private(response.criterion)),
        answer(CURRENT_RESPONSE, category_code(response.category)),
        answer(RESPONSE_STATE, state),
    ]
    if response.overridden:
        answers.append(answer(RESPONSE_BY_RULES, category_code(response.overridden)))
    return answers


def category_code(category: str) -> Code:
    """The code of a category of any criterion."""
    return RESPONSES.get(category) or _private(category)


def _private(text: str) -> Code:
    """A code of this software for a name that has none of its own; a code value holds 16 characters."""
    return Code(text[:16].strip(), PRIVATE_SCHEME, text[:64])


def _lines(results: Results, response: ResponseResult) -> Sequence[str]:
    state = "candidate, not confirmed by a reader" if response.candidate else f"confirmed by {response.confirmed_by}"
    if response.overridden:
        state = f"decided by {response.confirmed_by} instead of {response.overridden}: {response.override_reason}"
    lines = [
        f"{response.criterion}: {response.category} ({state})",
        f"Compared with {_named(results, response.baseline_id)}",
        response.why,
        *(f"{part.name}: {part.category} ({part.why})" for part in response.parts),
        "Exploratory." if response.exploratory else "",
        "" if response.verified else "Rests on a rule that no source read for this software confirms.",
        "A research criterion, not a standard of care.",
        *response.notes,
    ]
    return [line for line in lines if line]


def _named(results: Results, study_id: int) -> str:
    study = results.study(study_id)
    return f"{study.label} of {study.acquired:%Y-%m-%d}"
