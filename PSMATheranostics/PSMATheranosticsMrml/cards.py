"""Results as short rich text for labels of the panels."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .provenance import cautions
from .tables import number, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PSMATheranosticsLib.results_model import ResponseResult, Results, StudyResult
    from PSMATheranosticsLib.study import Patient

# Better, neither, worse (Okabe and Ito's colors, darkened until white letters on them have a contrast of 4.5).
_CATEGORY_COLORS = {"CR": "#00795a", "PR": "#00795a", "SD": "#0068a0", "PD": "#b34d00"}
_UNSAID, _OUTDATED = "#666666", "#999999"


def responseCard(results: Results, response: ResponseResult, isCurrent: bool = True) -> str:
    """One response: category, who stands by it, what it rests on and why; tracks are links as ``trackLink`` makes them.

    What is not current has no color, so that it does not look valid.
    """
    from PSMATheranosticsLib.recip import percent_text

    followup, baseline = results.study(response.followup_id), results.study(response.baseline_id)
    change = _("cannot be said")
    if response.change_percent is not None and response.change_ml is not None:
        change = f"<b>{percent_text(response.change_percent)}</b> ({response.change_ml:+.1f} mL)"
    volumes = [
        (escape(baseline.label), f"{baseline.acquired:%Y-%m-%d}", _volume(response.baseline_ttv_ml)),
        (escape(followup.label), f"{followup.acquired:%Y-%m-%d}", _volume(response.followup_ttv_ml)),
        (_("Change"), "", change),
    ]
    volumes += _otherChanges(followup)
    lines = [
        f"{categoryChip(response.category, isCurrent)} &nbsp; {escape(standing(response))}",
        f"<b>{escape(response.criterion)}</b>{_marks(response)}",
        _rows(volumes),
        _("New lesions: {answer}").format(answer=_newLesions(response)),
        _("Why: {why}").format(why=escape(response.why)),
    ]
    if response.overridden:
        lines.append(
            _("By the rules {category}. Reason for deciding otherwise: {reason}").format(
                category=escape(response.overridden), reason=escape(response.override_reason or _("none given"))
            )
        )
    lines += [
        _("{name}: {category}. {why}").format(
            name=escape(part.name), category=escape(part.category), why=escape(part.why)
        )
        for part in response.parts
    ]
    if response.branches:
        lines.append(_("Possible: {branches}").format(branches=escape(", ".join(response.branches))))
    lines += [f"<i>{escape(note)}</i>" for note in response.notes]
    return "<br>".join(lines).replace("<br><table", "<table").replace("</table><br>", "</table>")


def responseLines(responses: Sequence[ResponseResult]) -> str:
    """Responses by other criteria, one short paragraph each; "" where there are none."""
    if not responses:
        return ""
    lines = [
        f"<b>{escape(each.criterion)}</b>{_marks(each)}: {escape(each.category)}. "
        f"<span style='font-size:small'>{escape(each.why)}</span>"
        for each in responses
    ]
    return _("By other criteria:") + "<br>" + "<br>".join(lines)


def scoreLines(study: StudyResult) -> str:
    """Scores of one study with what limits them, one short paragraph each; "" where there are none."""
    if not study.scores:
        return ""
    lines = []
    for each in study.scores:
        notes = "".join(f" <i>{escape(note)}</i>" for note in each.notes)
        lines.append(
            f"<b>{escape(each.name)}</b>{'' if each.verified else _(' (unverified rule)')}: {escape(each.value)}. "
            f"<span style='font-size:small'>{escape(each.why.rstrip('.'))}.{notes}</span>"
        )
    return _("Scores of {study}:").format(study=escape(study.label)) + "<br>" + "<br>".join(lines)


def standing(response: ResponseResult) -> str:
    """Whether a reader stands by a category: nobody, who confirmed it, or who decided on another one."""
    when = f", {response.confirmed_at.astimezone():%Y-%m-%d}" if response.confirmed_at is not None else ""
    if response.overridden:
        return _("decided by {reader} against the rules{when}").format(reader=response.confirmed_by, when=when)
    if response.candidate:
        return _("candidate, not confirmed by a reader")
    return _("confirmed by {reader}{when}").format(reader=response.confirmed_by, when=when)


def categoryChip(category: str, isCurrent: bool = True) -> str:
    """A category in large letters, on the color of its kind as long as it is current."""
    kind = category.rpartition("-")[2]
    color = _CATEGORY_COLORS.get(kind, _UNSAID) if isCurrent else _OUTDATED
    return (
        f"<span style='background-color:{color}; color:#ffffff; font-size:x-large; font-weight:bold'>"
        f"&nbsp;{escape(category)}&nbsp;</span>"
    )


def trackLink(track: str, studyId: int) -> str:
    """A link to a track at a study, see ``linkedTrack``."""
    return f"<a href='track:{escape(track)}:{studyId}'>{escape(track)}</a>"


def linkedTrack(link: str) -> tuple[str, int]:
    """Track and study of a link that ``trackLink`` made."""
    _kind, track, study = link.split(":")
    return track, int(study)


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


def _volume(volume: float | None) -> str:
    return _("no lesions looked for yet") if volume is None else f"<b>{number(volume, 1)} mL</b>"


def _otherChanges(followup: StudyResult) -> list[tuple[str, str, str]]:
    """Changes against other studies than the baseline: numbers that no criterion rests on."""
    found = (
        (_("Against previous"), followup.change_from_previous_percent.get("psma_tv_ml")),
        (_("Against lowest"), followup.change_from_nadir_percent.get("psma_tv_ml")),
    )
    baseline = followup.change_from_baseline_percent.get("psma_tv_ml")
    return [(name, "", f"{signed(value)} %") for name, value in found if value is not None and value != baseline]


def _rows(rows: Sequence[Sequence[str]]) -> str:
    cells = ("".join(f"<td style='padding-right:8px'>{cell}</td>" for cell in row) for row in rows)
    return f"<table cellspacing='0'>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _marks(response: ResponseResult) -> str:
    """What a reader must know of a criterion before its category: exploratory, unverified."""
    marks = [_("exploratory")] if response.exploratory else []
    marks += [] if response.verified else [_("unverified rule")]
    return f" ({', '.join(marks)})" if marks else ""


def _newLesions(response: ResponseResult) -> str:
    if response.new_lesions is None:
        return _("cannot be said")
    if not response.new_lesions:
        return _("none")
    links = ", ".join(trackLink(track, response.followup_id) for track in response.new_lesion_tracks)
    return _("yes ({tracks})").format(tracks=links)
