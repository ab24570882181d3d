"""Results as short rich text for labels of the panels."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .provenance import cautions
from .tables import number, signed

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import ResponseResult, Results, StudyResult
    from PSMATheranosticsLib.study import Patient


def responseCard(results: Results, response: ResponseResult) -> str:
    """One response: category, what it rests on and why."""
    followup, baseline = results.study(response.followup_id), results.study(response.baseline_id)
    standing = _("candidate, not confirmed by a reader") if response.candidate else _confirmed(response)
    lines = [
        f"<b style='font-size:large'>{escape(response.category)}</b> &nbsp; {escape(standing)}",
        _("{criterion}: {followup} against {baseline}").format(
            criterion=escape(response.criterion), followup=escape(followup.label), baseline=escape(baseline.label)
        ),
        _("Total tumor volume: {before} mL to {after} mL ({change} %)").format(
            before=number(response.baseline_ttv_ml, 1) or "?",
            after=number(response.followup_ttv_ml, 1) or "?",
            change=signed(response.change_percent) or "?",
        ),
        _("New lesions: {answer}").format(answer=_newLesions(response)),
        _("Why: {why}").format(why=escape(response.why)),
    ]
    if response.branches:
        lines.append(_("Possible: {branches}").format(branches=escape(", ".join(response.branches))))
    lines += [f"<i>{escape(note)}</i>" for note in response.notes]
    return "<br>".join(lines)


def warningList(results: Results) -> str:
    """All warnings of a case, "" when there are none."""
    if not results.warnings:
        return ""
    items = []
    for warning in results.warnings:
        where = results.study(warning.study_id).label if warning.study_id is not None else ""
        heading = ", ".join(part for part in (where, warning.track) if part)
        items.append(f"<li>{f'<b>{escape(heading)}:</b> ' if heading else ''}{escape(warning.text)}</li>")
    return f"<ul style='margin-left:-20px'>{''.join(items)}</ul>"


def studyFacts(study: StudyResult) -> str:
    """Where the numbers of a study come from: scaling, method, acquisition. ``provenance`` has it all."""
    from PSMATheranosticsLib.report_text import waiting

    activity = f"{number(study.injected_activity_mbq, 0)} MBq" if study.injected_activity_mbq is not None else ""
    wait = f"{waiting(study.minutes_after_injection)} p.i." if study.minutes_after_injection is not None else ""
    weight = f"{number(study.weight_kg, 1)} kg" if study.weight_kg is not None else ""
    scan = ", ".join(part for part in (study.tracer or _("tracer unknown"), activity, wait, weight) if part)
    lines = [
        escape(scan),
        _("{quantity}: {method}").format(quantity=escape(study.scaling.quantity), method=escape(study.scaling.method)),
        *cautions(study.scaling),
        _("Lesions: {method}").format(method=escape(_lesionSource(study))),
    ]
    return "<br>".join(lines)


def totalsLine(study: StudyResult) -> str:
    """The totals of one study in one line."""
    totals = study.totals
    if totals is None:
        return _("No lesions looked for yet.")
    return _("{count} lesions, PSMA-TV {volume} mL, TL-PSMA {load} SUV x mL, SUVmax {maximum}").format(
        count=totals.lesion_count,
        volume=number(totals.psma_tv_ml, 1),
        load=number(totals.tl_psma, 0),
        maximum=number(totals.suv_max, 1) or "-",
    )


def patientName(patient: Patient) -> str:
    """Name for reading, the patient ID where there is no name. DICOM parts names with ^."""
    return patient.name.replace("^", ", ", 1).replace("^", " ").strip(", ") or patient.patient_id


def _lesionSource(study: StudyResult) -> str:
    if study.segmentation is None:
        return _("not looked for yet")
    version = "" if study.segmentation.version == "automatic" else f", {study.segmentation.version}"
    return study.segmentation.text + version


def _confirmed(response: ResponseResult) -> str:
    return _("confirmed by {reader}").format(reader=response.confirmed_by)


def _newLesions(response: ResponseResult) -> str:
    if response.new_lesions is None:
        return _("cannot be said")
    if not response.new_lesions:
        return _("none")
    return _("yes ({tracks})").format(tracks=escape(", ".join(response.new_lesion_tracks)))
