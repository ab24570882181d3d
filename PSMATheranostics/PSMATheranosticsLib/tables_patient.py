"""The tables of the patient: responses, PSA, warnings, and where every number comes from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .results_model import ResponseResult, Results, StudyResult
from .table_model import DAY, NUMBER, TIME, WHOLE, Column, Table, yes_no
from .track_results import percent_change

_PATIENT = Column("patient_id", "Patient ID", "Patient ID")

RESPONSE_COLUMNS = (
    _PATIENT,
    Column("criterion", "Criterion", "name and version"),
    Column("main", "Main criterion", "yes for the criterion that the results were made for"),
    Column("baseline_study_id", "Compared with, number", "number of the study compared with", WHOLE),
    Column("baseline_study", "Compared with", "its label"),
    Column("baseline_date", "Compared with, acquired", "its date and time, ISO 8601", TIME),
    Column("followup_study_id", "Follow-up, number", "number of the follow-up in the case", WHOLE),
    Column("followup_study", "Follow-up", "its label"),
    Column("followup_date", "Follow-up, acquired", "its date and time, ISO 8601", TIME),
    Column("category", "Category", "NE: not evaluable"),
    Column("state", "State", "candidate, confirmed, or overridden by a reader"),
    Column("confirmed_by", "Decided by", "who confirmed or overrode it"),
    Column("confirmed_at", "Decided (UTC)", "when, UTC", TIME),
    Column("category_by_rules", "Category by the rules", "differs from category where a reader overrode it"),
    Column("override_reason", "Reason of the reader", "why it was overridden"),
    Column("baseline_ttv_ml", "PSMA-TV before (mL)", "total tumor volume at the study compared with, mL", NUMBER),
    Column("followup_ttv_ml", "PSMA-TV after (mL)", "total tumor volume at the follow-up, mL", NUMBER),
    Column("change_ml", "Change (mL)", "mL", NUMBER),
    Column("change_percent", "Change (%)", "percent, not rounded", NUMBER, 1),
    Column("new_lesions", "New lesions", "yes or no; empty where that cannot be assessed"),
    Column("new_lesion_tracks", "New lesions are", "their tracks, separated by semicolons"),
    Column("residual_uptake", "Residual uptake", "what a reader stated; empty where nobody did"),
    Column("why", "Why", "inputs and the clause that decided"),
    Column("parts", "Parts", "findings that the criterion puts together, separated by semicolons"),
    Column("branches", "Possible categories", "where an open question makes it not evaluable"),
    Column("notes", "Notes", "what limits it"),
    Column("exploratory", "Exploratory", "yes where the criterion is used outside of what it was studied for"),
    Column("verified", "Verified", "no for a rule that no source read for this program confirms"),
)

PSA_COLUMNS = (
    _PATIENT,
    Column("day", "Date", "date of the sample, ISO 8601", DAY),
    Column("days_since_baseline", "Days since baseline", "calendar days from the baseline study", WHOLE),
    Column("psa_ng_ml", "PSA (ng/mL)", "ng/mL", NUMBER, 3),
    Column("below_limit", "Below limit", "yes where the assay told less than this value"),
    Column("change_from_first_percent", "Change from first (%)", "against the first value, percent", NUMBER, 1),
    Column("source", "Source", "entered, or the file it was read from"),
)

WARNING_COLUMNS = (
    _PATIENT,
    Column("kind", "Kind", "warning, or conflict: open before the case is signed"),
    Column("blocks", "Blocks signing", "yes for a conflict that signing needs solved"),
    Column(
        "source",
        "Source",
        "step that it comes from, or in which a conflict is solved: study, segmentation, registration, tracking, "
        "response, decision",
    ),
    Column("study_id", "Study number", "number of the study in the case", WHOLE),
    Column("study", "Study", "its label"),
    Column("track", "Track", "label of the lesion over time"),
    Column("text", "Text", "what limits the results"),
)

PROVENANCE_COLUMNS = (
    _PATIENT,
    Column("study", "Study", "label of the study; empty for what holds for the case"),
    Column("about", "About", "software, scaling, segmentation, registration, lesion response, clinical or sign-off"),
    Column("name", "Name", "name of the value"),
    Column("value", "Value", "as text"),
)


def response_table(results: Results) -> Table:
    """One row per follow-up and criterion, the main one first."""
    rows = [_response_row(results, response, True) for response in results.responses]
    rows += [_response_row(results, response, False) for response in results.other_responses]
    return Table("responses", "Response", RESPONSE_COLUMNS, tuple(rows))


def psa_table(results: Results) -> Table:
    """One row per PSA value, by day."""
    first = results.psa[0].ng_ml if results.psa else None
    baseline = next((study.acquired.date() for study in results.studies if study.is_baseline), None)
    rows = tuple(
        {
            "patient_id": results.patient.patient_id,
            "day": value.day,
            "days_since_baseline": None if baseline is None else (value.day - baseline).days,
            "psa_ng_ml": value.ng_ml,
            "below_limit": yes_no(value.below_limit),
            "change_from_first_percent": percent_change(first, value.ng_ml),
            "source": value.source,
        }
        for value in results.psa
    )
    return Table("psa", "PSA", PSA_COLUMNS, rows)


def warning_table(results: Results) -> Table:
    """One row per warning, then one per conflict."""
    labels = {study.study_id: study.label for study in results.studies}
    common = {"patient_id": results.patient.patient_id}
    rows: list[dict[str, Any]] = [
        {
            **common,
            "kind": "warning",
            "source": warning.source,
            "study_id": warning.study_id,
            "study": labels.get(warning.study_id or 0),
            "track": warning.track,
            "text": warning.text,
        }
        for warning in results.warnings
    ]
    rows += [
        {
            **common,
            "kind": "conflict",
            "blocks": yes_no(conflict.blocks),
            "source": conflict.cause,
            "study_id": conflict.study_id,
            "study": labels.get(conflict.study_id or 0),
            "track": conflict.track,
            "text": conflict.text,
        }
        for conflict in results.conflicts
    ]
    return Table("warnings", "Warnings", WARNING_COLUMNS, tuple(rows))


def provenance_table(results: Results) -> Table:
    """How the results came about, one value a row."""
    common = {"patient_id": results.patient.patient_id}
    rows = [
        {**common, "study": study, "about": about, "name": name, "value": value}
        for study, about, name, value in _provenance(results)
        if value != ""
    ]
    return Table("provenance", "Provenance", PROVENANCE_COLUMNS, tuple(rows))


def state_of(response: ResponseResult) -> str:
    """ "candidate", "confirmed" or "overridden"."""
    if response.overridden:
        return "overridden"
    return "candidate" if response.candidate else "confirmed"


def _response_row(results: Results, response: ResponseResult, main: bool) -> dict[str, Any]:
    baseline, followup = results.study(response.baseline_id), results.study(response.followup_id)
    return {
        "patient_id": results.patient.patient_id,
        "criterion": response.criterion,
        "main": yes_no(main),
        "baseline_study_id": baseline.study_id,
        "baseline_study": baseline.label,
        "baseline_date": baseline.acquired,
        "followup_study_id": followup.study_id,
        "followup_study": followup.label,
        "followup_date": followup.acquired,
        "category": response.category,
        "state": state_of(response),
        "confirmed_by": response.confirmed_by,
        "confirmed_at": response.confirmed_at,
        "category_by_rules": response.overridden or response.category,
        "override_reason": response.override_reason,
        "baseline_ttv_ml": response.baseline_ttv_ml,
        "followup_ttv_ml": response.followup_ttv_ml,
        "change_ml": response.change_ml,
        "change_percent": response.change_percent,
        "new_lesions": yes_no(response.new_lesions),
        "new_lesion_tracks": "; ".join(response.new_lesion_tracks),
        "residual_uptake": yes_no(response.residual_uptake),
        "why": response.why,
        "parts": "; ".join(f"{part.name}: {part.category} ({part.why})" for part in response.parts),
        "branches": "; ".join(response.branches),
        "notes": " ".join(response.notes),
        "exploratory": yes_no(response.exploratory),
        "verified": yes_no(response.verified),
    }


_Row = tuple[str, str, str, str]  # study, about, name, value


def _provenance(results: Results) -> Iterator[_Row]:
    yield "", "software", "name", results.software
    yield "", "software", "version", results.version
    yield "", "software", "results made (UTC)", _moment(results.created)
    yield "", "software", "schema of results.json", results.schema
    yield "", "clinical", "line of therapy", results.clinical.line
    start = results.clinical.therapy_start
    yield "", "clinical", "start of therapy", "" if start is None else start.isoformat()
    yield "", "clinical", "indication", results.clinical.indication
    yield "", "clinical", "previous therapies", results.clinical.previous_therapies
    yield "", "clinical", "prostate", results.clinical.prostate
    signed = results.sign_off
    yield "", "sign-off", "state", signed.state
    yield "", "sign-off", "signed by", signed.user
    yield "", "sign-off", "signed (UTC)", "" if signed.time is None else _moment(signed.time)
    yield "", "sign-off", "note", signed.note
    yield "", "sign-off", "changed since", "; ".join(signed.changed)
    yield "", "lesion response", "deciding measure", results.response_limits.metric
    yield "", "lesion response", "limits of the ratio", results.response_limits.deciding.text
    for study in results.studies:
        yield from _study_provenance(study)
    for registration in results.registrations:
        label = results.study(registration.moving_id).label
        yield label, "registration", "method", registration.method
        yield label, "registration", "reference", registration.reference
        yield label, "registration", "verdict", registration.verdict
        yield label, "registration", "reasons", "; ".join(registration.reasons)


def _study_provenance(study: StudyResult) -> Iterator[_Row]:
    yield study.label, "study", "images", study.source
    yield study.label, "study", "synthetic", "yes" if study.synthetic else ""
    scaling = study.scaling
    yield study.label, "scaling", "method", f"{scaling.quantity}: {scaling.method}"
    yield study.label, "scaling", "factor", repr(scaling.factor)
    yield study.label, "scaling", "SUVbw per Bq/mL", "" if scaling.suv_factor is None else repr(scaling.suv_factor)
    for name, value in scaling.inputs.items():
        by_hand = any(name == entered or name.startswith(f"{entered} ") for entered in scaling.entered)
        yield study.label, "scaling", name, f"{value}{' (entered by hand)' if by_hand else ''}"
    for other in scaling.alternatives:
        yield study.label, "scaling", "another admissible factor", f"{other.factor!r} ({other.method})"
    if study.segmentation is not None:
        for name, value in study.segmentation.compared().items():
            yield study.label, "segmentation", name, value
        yield study.label, "segmentation", "version", study.segmentation.version
        yield study.label, "segmentation", "made (UTC)", _moment(study.segmentation.created)


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
