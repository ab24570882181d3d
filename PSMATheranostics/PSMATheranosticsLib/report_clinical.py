"""Sections of the report on what was asked and compared: a glance, indication and PSA, technique, reference regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PSMASegmentLib.inference.finish_settings import LOWEST_THRESHOLD

from . import report_words
from .clinical_model import REFERENCE_REGIONS
from .i18n import tr
from .progress import Progress
from .report_blocks import Block, Card, Cards, Cell, Columns, Note, Pairs, Paragraph, Section, Table
from .report_cells import KEPT, LONG, NONE, NUMBER, STUDIES_UPRIGHT, dated, facts_table, head, number_cell, reported
from .report_response import response_card
from .report_text import NOTHING, concentration, day, minute, nuclide, number, typeset, volume, waiting
from .results_model import Results, StudyResult

if TYPE_CHECKING:
    from .case_store import CaseStore

MOST_PSA_VALUES = 10


class GlanceSection:
    """What the report comes down to, before everything that it rests on."""

    name = "glance"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """The latest response, the PSA and whether somebody signed, side by side."""
        if not results.studies:
            return None
        response = results.responses[-1] if results.responses else None
        cards = [_no_response_card(results) if response is None else response_card(response, results, short=True)]
        if results.psa:
            cards.append(_psa_card(results))
        cards.append(_sign_off_card(results))
        return Section(self.name, tr("At a glance"), (Cards(tuple(cards), len(cards)),))


def _no_response_card(results: Results) -> Card:
    study = reported(results)
    if study is None or study.totals is None:
        return _card(tr("Tumor volume"), tr("not measured"), why=tr("No study has been segmented yet."))
    pairs = (
        (tr("Lesions"), str(study.totals.lesion_count)),
        ("SUVmax", number(study.totals.suv_max)),
        ("TL-PSMA (SUV × mL)", number(study.totals.tl_psma)),
    )
    measured = f"{volume(study.totals.psma_tv_ml)} mL"
    why = tr("No follow-up yet: response criteria compare a later study with the baseline.")
    return _card(tr("PSMA-TV, {study}").format(study=dated(study)), measured, pairs=pairs, why=why)


def _psa_card(results: Results) -> Card:
    """The latest and the lowest value, and what the PSA criterion says at the latest follow-up."""
    latest = results.psa[-1]
    lowest = min(results.psa, key=lambda value: value.ng_ml)
    pairs = ((tr("Lowest"), f"{concentration(lowest)} ng/mL"),)
    title, value = tr("PSA, {day}").format(day=day(latest.day)), f"{concentration(latest)} ng/mL"
    judged = [one for one in results.other_responses if one.criterion.startswith("PSA (")]
    if not judged:
        return _card(title, value, pairs=pairs)
    last = judged[-1]
    return _card(title, value, f"{last.criterion}: {last.category}", pairs, typeset(last.why))


def _sign_off_card(results: Results) -> Card:
    sign_off = results.sign_off
    words = {"open": tr("not signed"), "signed": tr("signed"), "reopened": tr("changed since")}
    summary = ""
    if sign_off.time is not None:
        summary = tr("Signed by {reader}, {time} UTC").format(reader=sign_off.user, time=minute(sign_off.time))
    pairs = ((tr("Warnings"), str(len(results.warnings))), (tr("Open questions"), str(len(results.conflicts))))
    color = {"signed": report_words.BETTER, "reopened": report_words.WORSE}.get(sign_off.state, report_words.UNSAID)
    card = _card(tr("Sign-off"), words[sign_off.state], summary=summary, pairs=pairs, notes=sign_off.changed[:3])
    return replace(card, color=color)


def _card(
    title: str,
    category: str,
    summary: str = "",
    pairs: tuple[tuple[str, str], ...] = (),
    why: str = "",
    notes: tuple[str, ...] = (),
) -> Card:
    return Card(title, category, "", summary, pairs, why, notes, report_words.UNSAID)


class ClinicalSection:
    """Indication, therapy, PSA, and which scans are compared."""

    name = "clinical"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """What a physician entered; where nothing was entered it says so."""
        facts = _facts_blocks(results)
        psa = _psa_blocks(results)
        # Many facts and values stand beside each other, so that the first page holds what was asked and compared.
        blocks: list[Block] = [Columns((facts, psa))] if results.psa else [*facts, *psa]
        if results.studies:
            blocks.append(_compared(results))
        return Section(self.name, tr("Indication, therapy and comparison"), tuple(blocks))


def _facts_blocks(results: Results) -> tuple[Block, ...]:
    pairs = _facts(results)
    blocks: list[Block] = [Pairs(pairs, tr("Indication and therapy"))] if pairs else []
    if not results.clinical.indication and not results.clinical.line:
        blocks.append(Note(tr("No indication and no line of therapy were entered.")))
    return tuple(blocks)


def _facts(results: Results) -> tuple[tuple[str, str], ...]:
    facts = results.clinical
    prostate = {"in situ": tr("in situ"), "removed": tr("removed")}.get(facts.prostate, "")
    given = [tr("{treatment} on {day}").format(treatment=one.label, day=day(one.given)) for one in results.treatments]
    pairs = (
        (tr("Indication"), facts.indication),
        (tr("Line of therapy"), facts.line),
        (tr("Start of this line"), "" if facts.therapy_start is None else day(facts.therapy_start)),
        (tr("Activity given"), "; ".join(given)),
        (tr("Previous therapies"), facts.previous_therapies),
        (tr("Prostate"), prostate),
    )
    return tuple((name, value) for name, value in pairs if value)


def _compared(results: Results) -> Table:
    rows = tuple(
        (
            Cell(study.label),
            Cell(day(study.acquired)),
            number_cell(number(study.days_since_baseline, 0)),
            Cell(study.modality),
            Cell(nuclide(study.tracer) or tr("unknown")),
            Cell(_role(study, results)),
        )
        for study in results.studies
    )
    titles = head(tr("Study"), tr("Date"), tr("Day"), tr("Modality"), tr("Tracer"), tr("Compared with"))
    return Table(
        tr("Scans of this report. Days count from the baseline."),
        (KEPT, KEPT, NUMBER, KEPT, LONG, LONG),
        titles,
        rows,
        compact=True,
        keep=True,
    )


def _role(study: StudyResult, results: Results) -> str:
    if study.is_baseline:
        return tr("is the baseline")
    everything = (*results.responses, *results.other_responses)
    compared = {one.baseline_id: None for one in everything if one.followup_id == study.study_id}
    return "; ".join(dated(results.study(study_id)) for study_id in compared) or tr("not compared")


def _psa_blocks(results: Results) -> tuple[Block, ...]:
    if not results.psa:
        return (Note(tr("No PSA values were entered.")),)
    shown = results.psa[-MOST_PSA_VALUES:]
    lowest = min(results.psa, key=lambda value: value.ng_ml)
    start = None if results.baseline_id is None else results.study(results.baseline_id).acquired.date()
    rows = tuple(
        (
            Cell(day(value.day)),
            number_cell(NOTHING if start is None else number((value.day - start).days, 0)),
            number_cell(concentration(value), bold=value == lowest),
            Cell(tr("lowest value") if value == lowest else ""),
            Cell(tr("entered by hand") if value.source == "entered" else value.source),
        )
        for value in shown
    )
    titles = head(tr("Date"), tr("Day"), ("PSA", "ng/mL"), "", tr("From"))
    table = Table(tr("PSA over time."), (KEPT, NUMBER, NUMBER, KEPT, LONG), titles, rows, compact=True, keep=True)
    left_out = len(results.psa) - len(shown)
    if left_out:
        note = tr("{count} earlier values are in psa.csv and results.json beside this report.")
        return (table, Note(note.format(count=left_out)))
    return (table,)


class TechniqueSection:
    """How every study was acquired and its lesions found, in short; the details are in ``MethodsSection``."""

    name = "technique"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """One column per study."""
        if not results.studies:
            return None
        has_ct = {study.study_id: case.study(study.study_id).ct_id is not None for study in results.studies}
        registered = {
            registration.moving_id: report_words.verdict(registration.verdict)
            for registration in results.registrations
            if registration.fixed_id == results.baseline_id
        }
        rows = [
            _row(tr("Scanner"), results, lambda study: study.scanner),
            _row(tr("Tracer"), results, lambda study: nuclide(study.tracer)),
            _row(tr("Injected activity"), results, lambda study: _with_unit(study.injected_activity_mbq, "MBq")),
            _row(tr("Time after injection"), results, lambda study: waiting(study.minutes_after_injection)),
            _row(tr("CT in this case"), results, lambda study: tr("yes") if has_ct[study.study_id] else tr("no")),
            _row(tr("Lesions found by"), results, _segmented),
            _row(tr("Threshold (SUV)"), results, _threshold),
            *([_row(tr("Borders"), results, _borders)] if any(map(_borders, results.studies)) else ()),
            _row(tr("Brought onto the baseline"), results, lambda study: registered.get(study.study_id, "")),
        ]
        names = tuple(dated(study) for study in results.studies)
        table = facts_table(tr("How each study was acquired and its lesions were found."), names, rows)
        note = tr(
            "Range of the scan, use of the CT and diuretics are not in the data of this program. Factors, inputs and "
            "settings are under Methods."
        )
        return Section(self.name, tr("Technique"), (table, Note(note)), len(names) > 2 * STUDIES_UPRIGHT)


def _row(name: str, results: Results, of: Callable[[StudyResult], str]) -> tuple[Cell, ...]:
    return (Cell(name), *(Cell(of(study) or NOTHING) for study in results.studies))


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{number(value)} {unit}"


def _segmented(study: StudyResult) -> str:
    if study.segmentation is None:
        return tr("not segmented")
    by_hand = sum(lesion.mask != "automatic" for lesion in study.lesions)
    if not by_hand:
        return study.segmentation.text
    text = tr("{method}; {count} of {total} lesions drawn or corrected by hand")
    return text.format(method=study.segmentation.text, count=by_hand, total=len(study.lesions))


def _threshold(study: StudyResult) -> str:
    return "" if study.segmentation is None else number(study.segmentation.threshold_suv, 2)


def _borders(study: StudyResult) -> str:
    """Where the finish of a network's answer drew the borders of lesions; "" for other methods."""
    finish = study.segmentation.finish if study.segmentation is not None else {}
    if not finish:
        return ""
    told = []
    if finish.get("border"):
        share = tr("{percent} % of the way from surroundings to peak where the network is sure")
        told.append(share.format(percent=number(100.0 * finish["border"], 0)))
        if study.segmentation is not None and study.segmentation.blur_mm:
            told.append(tr("more in small lesions (blur of {mm} mm)").format(mm=number(study.segmentation.blur_mm)))
    if finish["threshold"] > LOWEST_THRESHOLD:
        told.append(tr("SUV {suv} or more").format(suv=number(finish["threshold"], 2)))
    if finish["expand_mm"]:
        told.append(tr("at most {mm} mm beyond the network's").format(mm=number(finish["expand_mm"])))
    return ", ".join(told) or tr("as the network drew them")


class ReferencesSection:
    """Normal uptake, which lesions are compared with."""

    name = "references"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """One row per region, one column per study; says so where none is placed."""
        studies = [study for study in results.studies if study.references]
        title = tr("Reference regions")
        if not studies:
            text = tr("No reference region is placed: scores that compare lesions with normal uptake are not given.")
            return Section(self.name, title, (Paragraph(text),)) if results.studies else None
        rows = [
            (Cell(report_words.reference_region(name)), *(_reference_cell(study, name) for study in studies))
            for name in REFERENCE_REGIONS
            if any(found.name == name for study in studies for found in study.references)
        ]
        caption = tr("Mean SUV ± standard deviation in spheres that were placed in normal organs.")
        table = facts_table(caption, tuple(dated(study) for study in studies), rows)
        notes = [Note(note) for note in _notes(studies)]
        return Section(self.name, title, (table, *notes))


def _notes(studies: list[StudyResult]) -> list[str]:
    """What has to be said about reference regions, each once, with the studies and regions that it is about."""
    about: dict[str, list[str]] = {}
    for study in studies:
        for note in dict.fromkeys(found.note for found in study.references if found.note):
            names = [report_words.reference_region(one.name) for one in study.references if one.note == note]
            everywhere = len(names) == len(study.references)
            where = tr("{study}, all regions") if everywhere else tr("{study}, {regions}")
            about.setdefault(note, []).append(where.format(study=study.label, regions=", ".join(names)))
    return [f"{report_words.reference_note(note)} ({'; '.join(where)})" for note, where in about.items()]


def _reference_cell(study: StudyResult, name: str) -> Cell:
    found = next((one for one in study.references if one.name == name), None)
    if found is None:
        return NONE
    about = tr("sphere of {diameter} mm, {source}").format(
        diameter=number(2 * found.radius_mm, 0),
        source=tr("placed by hand") if found.source == "by hand" else tr("placed by the software"),
    )
    return Cell(f"{number(found.suv_mean, 2)} ± {number(found.suv_sd, 2)}", (about,))
