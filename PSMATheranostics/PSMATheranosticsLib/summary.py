"""The results of a case as a few lines of text, for the end of a command."""

from __future__ import annotations

from .response import NOT_EVALUABLE
from .results_model import LesionResponse, ResponseResult, Results, StudyResult


def summary_lines(results: Results) -> list[str]:
    """Patient, studies, what became of the lesions, responses, PSA, warnings, and whether the results are signed.

    Other criteria are listed where they can be evaluated.
    """
    patient = results.patient
    lines = [f"Patient {patient.patient_id}" + (f" ({patient.name})" if patient.name else "")]
    lines += [_study_line(study) for study in results.studies]
    lines += [_status_line(results, study) for study in results.studies if not study.is_baseline and results.tracks]
    lines += [_lesions_line(results, response) for response in results.responses_by_lesion if response.changes]
    others = (response for response in results.other_responses if response.category != NOT_EVALUABLE)
    lines += [_response_line(results, response) for response in (*results.responses, *others)]
    if results.psa:
        lines.append("PSA: " + ", ".join(f"{value.text} ({value.day})" for value in results.psa))
    lines += [f"Warning: {warning.text}" for warning in results.warnings]
    lines += _sign_off_lines(results)
    return lines


def _response_line(results: Results, response: ResponseResult) -> str:
    state = "candidate" if response.candidate else f"confirmed by {response.confirmed_by}"
    if response.overridden:
        state = f"decided by {response.confirmed_by} instead of {response.overridden}: {response.override_reason}"
    marks = [] if response.verified else ["unverified"]
    marks += ["exploratory"] if response.exploratory else []
    label = results.study(response.followup_id).label
    return f"{response.criterion}, {label}: {response.category} ({'; '.join([state, *marks])}). {response.why}"


def _sign_off_lines(results: Results) -> list[str]:
    """Nothing for results that were never signed."""
    signed = results.sign_off
    if signed.time is None:
        return []
    line = f"Signed by {signed.user} on {signed.time:%Y-%m-%d}"
    return [f"{line}, changed since:", *(f"- {text}" for text in signed.changed)] if signed.changed else [line]


def _study_line(study: StudyResult) -> str:
    named = study.modality == "PET" or study.label.startswith(study.modality)
    start = f"{study.label}{'' if named else f' ({study.modality})'}, {study.acquired:%Y-%m-%d}:"
    highest = "" if study.image_suv_max is None else f", image SUVmax {study.image_suv_max:.2f}"
    if study.totals is None:
        return f"{start} not segmented"
    found = study.totals
    lesions = "1 lesion" if found.lesion_count == 1 else f"{found.lesion_count} lesions"
    return f"{start} {lesions}, PSMA-TV {found.psma_tv_ml:.1f} mL, TL-PSMA {found.tl_psma:.0f} SUV x mL{highest}"


def _status_line(results: Results, study: StudyResult) -> str:
    index = results.studies.index(study)
    counts: dict[str, int] = {}
    for track in results.tracks:
        status = track.cells[index].status
        if status:
            counts[status] = counts.get(status, 0) + 1
    told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"{study.label}: {told or 'no lesions to follow'}"


def _lesions_line(results: Results, response: LesionResponse) -> str:
    earlier, later = results.study(response.earlier_id).label, results.study(response.later_id).label
    summary = response.heterogeneity
    told = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    return f"Lesions, {later} against {earlier}: {told}" + ("; mixed response" if summary.mixed_response else "")
