"""Sections of the report on what limits the results, how they were made, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import report_words
from .case_log import LogEntry
from .case_sign_offs import digest_of
from .decisive_content import decisive_content
from .i18n import tr
from .progress import Progress
from .report_blocks import Block, Bullets, Cell, Note, Paragraph, Section, Span, Table
from .report_cells import KEPT, LONG, MOST_KEPT, NONE, NUMBER, STUDIES_UPRIGHT, facts_table, head, number_cell
from .report_text import NOTHING, header_value, minute, number, percent, runs, typeset, volume
from .report_uptake_words import setting_name, uptake_reason
from .results_model import RegistrationResult, Results, StudyResult

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .clinical_model import Conflict

_MOST_STEPS = 25
# How the steps begin that the program does by itself; all others are somebody's correction or decision.
_AUTOMATIC = ("Add ", "Segment ", "Register ", "Link lesions ", "Sort links ", "Follow lesions ")


class LimitsSection:
    """What limits the results, and what is open."""

    name = "warnings"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Open questions, warnings with the study they are about, and what holds for every such report."""
        labels: dict[int | None, str] = {study.study_id: study.label for study in results.studies}
        blocks: list[Block] = []
        if results.conflicts:
            rows = tuple(
                (
                    Cell(labels.get(first.study_id, tr("Case"))),
                    Cell(tr("before signing") if first.blocks else tr("open")),
                    Cell(typeset(first.text), _of_others(others)),
                )
                for first, *others in _alike(results.conflicts)
            )
            caption = tr("What contradicts itself or is open.")
            blocks.append(_listing(caption, (tr("Study"), tr("State"), tr("Question")), rows))
        if results.warnings:
            rows = tuple(
                (
                    Cell(labels.get(warning.study_id, tr("Case"))),
                    Cell(report_words.step(warning.source)),
                    Cell(typeset(warning.text)),
                )
                for warning in results.warnings
            )
            caption = tr("What limits these results, and where it comes from.")
            blocks.append(_listing(caption, (tr("Study"), tr("Step"), tr("Warning")), rows))
        if not blocks:
            blocks.append(Paragraph(tr("No warnings and no open questions.")))
        return Section(self.name, tr("Limits and warnings"), (*blocks, Bullets(_general_limits())))


def _alike(conflicts: Sequence[Conflict]) -> list[list[Conflict]]:
    """Conflicts that say the same of several tracks of a study, together; in the order of the first of each."""
    found: dict[tuple[bool, int | None, str], list[Conflict]] = {}
    for conflict in conflicts:
        text = re.sub(rf"\b{re.escape(conflict.track)}\b", "", conflict.text) if conflict.track else conflict.text
        found.setdefault((conflict.blocks, conflict.study_id, text), []).append(conflict)
    return list(found.values())


def _of_others(others: Sequence[Conflict]) -> tuple[str, ...]:
    tracks = list(dict.fromkeys(conflict.track for conflict in others if conflict.track))
    return (
        (tr("The same holds for {count}: {tracks}.").format(count=len(tracks), tracks=runs(tracks)),) if tracks else ()
    )


def _listing(caption: str, titles: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...]) -> Table:
    return Table(caption, (KEPT, KEPT, LONG), head(*titles), rows, keep=len(rows) <= MOST_KEPT)


def _general_limits() -> tuple[str, ...]:
    return (
        tr("Lesions and links were proposed by software. A lesion counts unless a reader rejects it."),
        tr(
            "A new lesion is one whose track, with the tracks that it split from or merged with, has no lesion at "
            "baseline. Whether it is truly new is for a reader to say. Disease without PSMA uptake is not seen."
        ),
        tr(
            "RECIP 1.0: Gafita et al., J Nucl Med 2022;63:1651 (doi 10.2967/jnumed.121.263072; erratum 2023;64:1503), "
            "a research criterion for the whole patient: partial response needs at least 30 % less PSMA-TV and no new "
            "lesion, progression at least 20 % more and a new lesion, complete response a reader who sees no uptake "
            "left. The limits are compared on unrounded volumes. Warnings about intervals under 12 weeks and baseline "
            "volumes under 1 mL are choices of this software."
        ),
    )


class MethodsSection:
    """Every factor, input and setting, study by study."""

    name = "methods"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """One column per study, and what was not taken for lesions."""
        if not results.studies:
            return None
        blocks: list[Block] = [_methods(results)]
        removed = _removed(results)
        if removed is not None:
            blocks.append(removed)
        return Section(self.name, tr("Methods"), tuple(blocks), len(results.studies) > 2 * STUDIES_UPRIGHT)


def _methods(results: Results) -> Table:
    studies = results.studies
    rows = [*_acquisition_rows(studies), *_scaling_rows(studies), *_segmentation_rows(studies)]
    registrations = {one.moving_id: one for one in results.registrations if one.fixed_id == results.baseline_id}
    cells = [_registration(study, registrations.get(study.study_id)) for study in studies]
    rows.append((Cell(tr("Registration to baseline")), *cells))
    caption = tr("How each study was acquired, scaled, segmented and brought onto the baseline.")
    return facts_table(caption, tuple(study.label for study in studies), rows)


def _row(name: str, studies: Sequence[StudyResult], of: Callable[[StudyResult], str]) -> tuple[Cell, ...]:
    return (Cell(name), *(Cell(of(study) or NOTHING) for study in studies))


def _acquisition_rows(studies: Sequence[StudyResult]) -> list[tuple[Cell, ...]]:
    rows = [
        _row(tr("Acquired"), studies, lambda study: minute(study.acquired)),
        _row(tr("Scanner"), studies, lambda study: study.scanner),
    ]
    if any(study.reconstruction for study in studies):
        rows.append(_row(tr("Reconstruction"), studies, lambda study: study.reconstruction))
    weight = tr("Weight (kg)")
    rows += [
        _row(weight, studies, lambda study: number(study.weight_kg)),
        _row(tr("Height (m)"), studies, lambda study: number(study.height_m, 2)),
        _row(tr("Sex"), studies, lambda study: study.sex),
    ]
    return rows


def _scaling_rows(studies: Sequence[StudyResult]) -> list[tuple[Cell, ...]]:
    rows = [_row(tr("Scaling"), studies, lambda study: f"{study.scaling.quantity}: {study.scaling.method}")]
    names = dict.fromkeys(name for study in studies for name in study.scaling.inputs)
    for name in names:
        rows.append(_row(name, studies, lambda study, name=name: _value(study.scaling.inputs.get(name))))  # type: ignore[misc]
    rows.append(_row(tr("factor"), studies, lambda study: header_value(study.scaling.factor)))
    if any(study.scaling.suv_factor for study in studies):
        rows.append(_row(tr("SUVbw per Bq/mL"), studies, lambda study: _value(study.scaling.suv_factor or None)))
    if any(study.scaling.entered for study in studies):
        rows.append(_row(tr("Entered by hand"), studies, lambda study: ", ".join(study.scaling.entered)))
    if any(study.scaling.alternatives for study in studies):
        rows.append(_row(tr("Other admissible factor"), studies, _alternatives))
    for name in dict.fromkeys(name for study in studies for name in study.norms):
        title = tr("{norm} per SUVbw").format(norm=name)
        rows.append(_row(title, studies, lambda study, name=name: _value(study.norms.get(name))))  # type: ignore[misc]
    rows.append(_row(tr("Highest SUV in image"), studies, lambda study: number(study.image_suv_max, 2)))
    return rows


def _value(value: Any) -> str:
    return "" if value is None else header_value(value)


def _alternatives(study: StudyResult) -> str:
    return "; ".join(
        f"{header_value(other.factor)} ({percent(100 * (other.factor / study.scaling.factor - 1))}): {other.method}"
        for other in study.scaling.alternatives
    )


def _segmentation_rows(studies: Sequence[StudyResult]) -> list[tuple[Cell, ...]]:
    settings = {
        study.study_id: {} if study.segmentation is None else study.segmentation.compared() for study in studies
    }
    rows = [
        _row(tr("Segmentation"), studies, lambda study: settings[study.study_id].get("method", tr("none"))),
        _row(tr("Masks"), studies, _masks),
    ]
    for name in dict.fromkeys(name for found in settings.values() for name in found if name != "method"):
        rows.append(_row(setting_name(name), studies, lambda study, name=name: settings[study.study_id].get(name, "")))  # type: ignore[misc]
    return rows


def _masks(study: StudyResult) -> str:
    if study.segmentation is None:
        return ""
    versions = {"automatic": tr("automatic"), "corrected": tr("corrected"), "signed": tr("signed")}
    version = versions.get(study.segmentation.version, study.segmentation.version)
    by_hand = sum(lesion.mask != "automatic" for lesion in study.lesions)
    if not by_hand:
        return version
    text = tr("{version}; {count} of {total} lesions drawn or corrected by hand")
    return text.format(version=version, count=by_hand, total=len(study.lesions))


def _registration(study: StudyResult, registration: RegistrationResult | None) -> Cell:
    if study.is_baseline:
        return NONE
    if registration is None:
        return Cell(tr("none"))
    about = f"{registration.method}, {registration.reference}"
    if registration.seconds is not None:
        about += f"; {number(registration.seconds, 0)} s, {registration.device or 'CPU'}"
    words = (Span(report_words.verdict(registration.verdict), bold=True), Span(f" ({about})"))
    return Cell(words, (*registration.reasons, *registration.notes))


def _removed(results: Results) -> Table | None:
    """Uptake that was not taken for lesions: how many regions, mL and highest SUV by reason and study."""
    reasons = sorted({str(region["reason"]) for study in results.studies for region in study.removed})
    if not reasons:
        return None
    rows = tuple(
        (Cell(uptake_reason(reason)), *(_regions(study, reason) for study in results.studies)) for reason in reasons
    )
    caption = tr("Uptake that was not taken for lesions, and why. Volume above the threshold in mL (SUVmax).")
    titles = head(tr("Reason"), *(study.label for study in results.studies))
    return Table(caption, (LONG, *[NUMBER] * len(results.studies)), titles, rows, compact=True)


def _regions(study: StudyResult, reason: str) -> Cell:
    regions = [region for region in study.removed if region["reason"] == reason]
    if not regions:
        return NONE
    text = f"{volume(sum(one['volume_ml'] for one in regions))} ({number(max(one['suv_max'] for one in regions))})"
    return number_cell(text, *([tr("{count} regions").format(count=len(regions))] if len(regions) > 1 else []))


class ProvenanceSection:
    """Which program and which data the numbers come from, and who changed what."""

    name = "provenance"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Software and hash of the case, sign-off, corrections by whom, source series."""
        blocks: list[Block] = [
            Bullets(
                (
                    tr("{software} {version}, {time} UTC.").format(
                        software=results.software, version=results.version, time=minute(results.created)
                    ),
                    tr(
                        "All numbers are computed from the voxels of the case; the same values unrounded, with the "
                        "DICOM Tracking UID of every lesion, are in results.json and the tables beside this report."
                    ),
                    tr("SHA-256 of what the results rest on: {hash}").format(
                        hash=digest_of(decisive_content(case, results))
                    ),
                )
            ),
            *_signed(results),
            *_corrections(case.log()),
        ]
        if results.studies:
            blocks.append(_sources(results, case))
        return Section(self.name, tr("Provenance"), tuple(blocks))


def _signed(results: Results) -> list[Block]:
    sign_off = results.sign_off
    if sign_off.time is None:
        return [Paragraph(tr("These results are not signed."))]
    text = tr("Signed by {reader}, {time} UTC.").format(reader=sign_off.user, time=minute(sign_off.time))
    blocks: list[Block] = [Paragraph((Span(text, bold=True), Span(f" {sign_off.note}" if sign_off.note else "")))]
    if sign_off.changed:
        blocks += [Note(tr("Changed since it was signed:")), Bullets(tuple(typeset(one) for one in sign_off.changed))]
    return blocks


def _corrections(log: Sequence[LogEntry]) -> list[Block]:
    """What readers corrected and decided, the latest steps first."""
    steps = [one for one in log if one.state == "done" and not one.action.startswith(_AUTOMATIC)]
    if not steps:
        return [Paragraph(tr("Nothing was corrected or decided by a reader."))]
    shown = steps[::-1][:_MOST_STEPS]
    rows = tuple((Cell(minute(one.state_time)), Cell(one.state_user), Cell(one.action)) for one in shown)
    caption = tr("What readers corrected and decided ({count} steps), the latest first; local time.")
    titles = head(tr("Time"), tr("Who"), tr("Step"))
    table = Table(caption.format(count=len(steps)), (KEPT, KEPT, LONG), titles, rows, compact=True)
    if len(steps) == len(shown):
        return [table]
    return [table, Note(tr("{count} earlier steps are in the log of the case.").format(count=len(steps) - len(shown)))]


def _sources(results: Results, case: CaseStore) -> Table:
    rows = []
    for study in results.studies:
        origin = case.study(study.study_id).origin
        made = (tr("made for images without DICOM headers"),) if origin.generated else ()
        rows.append((Cell(study.label), Cell(study.source), Cell(origin.series_instance_uid, made)))
    titles = head(tr("Study"), tr("Read from"), tr("Series Instance UID"))
    return Table(
        tr("Source series"), (KEPT, LONG, LONG), titles, tuple(rows), compact=True, keep=len(rows) <= MOST_KEPT
    )
