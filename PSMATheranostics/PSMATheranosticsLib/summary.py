"""The results of a case as a few lines of text, for the end of a command."""

from __future__ import annotations

from .results_model import LesionResponse, Results, StudyResult


def summary_lines(results: Results) -> list[str]:
    """Patient, one line per study, what became of the lesions, response of each lesion and of the patient, warnings."""
    patient = results.patient
    lines = [f"Patient {patient.patient_id}" + (f" ({patient.name})" if patient.name else "")]
    lines += [_study_line(study) for study in results.studies]
    lines += [_status_line(results, study) for study in results.studies if not study.is_baseline and results.tracks]
    lines += [_lesions_line(results, response) for response in results.responses_by_lesion if response.changes]
    for response in results.responses:
        state = "candidate" if response.candidate else f"confirmed by {response.confirmed_by}"
        label = results.study(response.followup_id).label
        lines.append(f"{response.criterion}, {label}: {response.category} ({state}). {response.why}")
    lines += [f"Warning: {warning.text}" for warning in results.warnings]
    return lines


def _study_line(study: StudyResult) -> str:
    named = study.modality == "PET" or study.label.startswith(study.modality)
    start = f"{study.label}{'' if named else f' ({study.modality})'}, {study.acquired:%Y-%m-%d}:"
    highest = "" if study.image_suv_max is None else f", image SUVmax {study.image_suv_max:.2f}"
    if study.totals is None:
        return f"{start} not segmented"
    found = study.totals
    return (
        f"{start} {found.lesion_count} lesions, PSMA-TV {found.psma_tv_ml:.1f} mL, "
        f"TL-PSMA {found.tl_psma:.0f} SUV x mL" + highest
    )


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
