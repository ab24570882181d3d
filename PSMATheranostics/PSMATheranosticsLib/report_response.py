"""Sections of the report on what the scans mean together: scores and miTNM, response, impression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import report_words
from .i18n import tr
from .progress import Progress
from .report_blocks import Block, Bullets, Card, Cards, Cell, Column, Note, Paragraph, Section, Span, Table
from .report_cells import KEPT, LONG, NONE, counted, dated, facts_table, head, reported
from .report_text import NOTHING, concentration, day, minute, number, percent, runs, typeset, volume, volume_change
from .results_model import ResponseResult, Results, StudyResult
from .status_colors import CLASSES

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .clinical_model import ScoreResult

MITNM = "miTNM"
_YES_OR_NO = ("yes", "no")  # parts that are answers, whose words say nothing by themselves


class ScoresSection:
    """miTNM and the other scores of every study."""

    name = "scores"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """The miTNM text of the reported study first, then all scores with what they rest on."""
        scored = [study for study in results.studies if study.scores]
        if not scored:
            return None
        blocks: list[Block] = []
        study = reported(results)
        staged = None if study is None else next((one for one in study.scores if one.name.startswith(MITNM)), None)
        if study is not None and staged is not None:
            blocks.append(Paragraph((Span(f"{staged.name}, {dated(study)}: "), Span(staged.value, bold=True))))
        blocks.append(_scores(scored))
        if study is not None and study.scores:
            blocks.append(_reasons(study))
        text = tr(
            "Sizes on CT, extension of the primary tumor and certainty are for a reader to judge; none of them is "
            "measured here. Scores never say alone that a treatment is suitable."
        )
        return Section(self.name, tr("miTNM and scores"), (*blocks, Note(text)))


def _scores(studies: Sequence[StudyResult]) -> Table:
    """One row per score, one column per study."""
    by_name: dict[str, dict[int, ScoreResult]] = {}
    for study in studies:
        for score in study.scores:
            by_name.setdefault(report_words.unverified(score), {})[study.study_id] = score
    rows = [
        (Cell(name), *(Cell(found[study.study_id].value) if study.study_id in found else NONE for study in studies))
        for name, found in by_name.items()
    ]
    caption = tr("Scores of every study, proposed by the software from regions, volumes and uptake.")
    return facts_table(caption, tuple(dated(study) for study in studies), rows)


def _reasons(study: StudyResult) -> Table:
    rows = tuple(
        (
            Cell(report_words.unverified(score)),
            Cell(typeset(score.why), tuple(typeset(note) for note in score.notes)),
            Cell("; ".join(f"{name}: {value}" for name, value in score.inputs)),
        )
        for score in study.scores
    )
    caption = tr("What the scores of {study} rest on.").format(study=dated(study))
    titles = head(tr("Score"), tr("Why"), tr("From"))
    return Table(caption, (KEPT, LONG, Column(width=0.7)), titles, rows, compact=True)


class ResponseSection:
    """Response of every follow-up against the baseline, by all criteria."""

    name = "response"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Cards of the leading criterion in the order of the follow-ups, the other criteria as a table."""
        title = tr("Response")
        if not results.responses and not results.other_responses:
            text = tr("No follow-up yet: response criteria compare a later study with the baseline.")
            return Section(self.name, title, (Paragraph(text),))
        blocks: list[Block] = []
        if results.responses:
            cards = tuple(response_card(response, results) for response in results.responses)
            blocks.append(Cards(cards, len(cards) if len(cards) <= 4 else 3))
        if results.other_responses:
            blocks.append(_other_criteria(results))
        text = tr(
            "RECIP 1.0 is a research criterion for the whole patient, not a standard of care. A category is a "
            "candidate until a reader confirms it. Changes against the previous scan and the nadir have no category."
        )
        return Section(self.name, title, (*blocks, Note(text)))


def response_card(response: ResponseResult, results: Results, short: bool = False) -> Card:
    """One follow-up by the leading criterion; a ``short`` card leaves out what limits it."""
    study, baseline = results.study(response.followup_id), results.study(response.baseline_id)
    meaning = report_words.category_meaning(response.category)
    branches = tr(" or ").join(response.branches)
    summary = ": ".join(text for text in (report_words.unverified(response), meaning) if text)
    if branches:
        summary = tr("{category} ({branches})").format(category=summary, branches=branches)
    return Card(
        title=tr("{study}, day {number}").format(study=dated(study), number=study.days_since_baseline),
        category=response.category,
        chip=report_words.standing(response),
        summary=tr("{response}, against {baseline}").format(response=summary, baseline=dated(baseline)),
        pairs=_card_pairs(response),
        why=typeset(response.why),
        notes=() if short else _card_notes(response, results),
        color=report_words.category_color(response.category),
    )


def _card_pairs(response: ResponseResult) -> tuple[tuple[str, str], ...]:
    change = percent(response.change_percent)
    if response.change_ml is not None:
        change = f"{change} ({volume_change(response.change_ml)} mL)"
    volumes = f"{volume(response.baseline_ttv_ml)} → {volume(response.followup_ttv_ml)} mL"
    return ((tr("PSMA-TV"), volumes), (tr("Change"), change), (tr("New lesions"), _new_lesions(response)))


def _new_lesions(response: ResponseResult) -> str:
    if response.new_lesions is None:
        return tr("not assessable")
    if not response.new_lesion_tracks:
        return tr("yes, seen by a reader") if response.new_lesions else tr("none")
    return f"{len(response.new_lesion_tracks)} ({runs(response.new_lesion_tracks)})"


def _card_notes(response: ResponseResult, results: Results) -> tuple[str, ...]:
    notes = []
    parts = [part for part in response.parts if part.category in _YES_OR_NO or part.category not in response.why]
    if parts:
        notes.append(typeset("; ".join(report_words.part(part) for part in parts)))
    if response.overridden:
        text = tr("By the rules {category}; a reader decided otherwise: {reason}")
        notes.append(text.format(category=response.overridden, reason=response.override_reason))
    if response.confirmed_at is not None:
        notes.append(tr("Stated on {time} UTC.").format(time=minute(response.confirmed_at)))
    signed = dict(results.sign_off.categories).get(response.followup_id)
    # Signed categories are those of the leading criterion.
    if response in results.responses and signed is not None and signed != response.category:
        notes.append(tr("When the results were signed this was {category}.").format(category=signed))
    return (*notes, *(typeset(note) for note in response.notes))


def _other_criteria(results: Results) -> Table:
    rows = tuple(
        (
            Cell(results.study(response.followup_id).label, (_comparator(response, results),)),
            Cell(report_words.unverified(response)),
            Cell(_category(response), (report_words.standing(response),), bold=True),
            Cell(typeset(response.why), _card_notes(response, results)),
        )
        for response in results.other_responses
    )
    titles = head(tr("Study"), tr("Criterion"), tr("Category"), tr("Why"))
    caption = tr("Follow-ups by other criteria, each with the scan that it is compared with.")
    return Table(caption, (KEPT, KEPT, KEPT, LONG), titles, rows, compact=True)


def _comparator(response: ResponseResult, results: Results) -> str:
    return tr("against {baseline}").format(baseline=dated(results.study(response.baseline_id)))


def _category(response: ResponseResult) -> str:
    if not response.branches:
        return response.category
    return f"{response.category} ({tr(' or ').join(response.branches)})"


class ImpressionSection:
    """Three to five lines that sum the report up, put together from its numbers."""

    name = "impression"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Response, extent, course of the lesions, PSA, limits; what is not known is left out."""
        study = reported(results)
        if study is None or study.totals is None:
            return None
        lines = [
            line
            for line in (
                _response_line(results, study),
                _extent_line(study),
                _course_line(results, study),
                _psa_line(results),
                _limits_line(results),
            )
            if line
        ]
        note = tr(
            "These lines were put together by the software from the numbers of this report. A reader checks them."
        )
        return Section(self.name, tr("Impression (generated)"), (Bullets(tuple(lines), numbered=True), Note(note)))


def _response_line(results: Results, study: StudyResult) -> str:
    response = next((one for one in results.responses if one.followup_id == study.study_id), None)
    if response is None:
        return tr("Baseline for later comparison: {study}.").format(study=dated(study))
    meaning = report_words.category_meaning(response.category)
    text = tr(
        "{criterion}: {category}{meaning}, {standing}. PSMA-TV {before} → {after} mL ({change}) from {baseline} to "
        "{followup}; new lesions: {new}."
    )
    return text.format(
        criterion=report_words.unverified(response),
        category=response.category,
        meaning=f" ({meaning})" if meaning else "",
        standing=report_words.standing(response),
        before=volume(response.baseline_ttv_ml),
        after=volume(response.followup_ttv_ml),
        change=percent(response.change_percent),
        baseline=dated(results.study(response.baseline_id)),
        followup=dated(study),
        new=_new_lesions(response),
    )


def _extent_line(study: StudyResult) -> str:
    totals = study.totals
    if totals is None or totals.lesion_count == 0:
        return tr("No PSMA-positive lesion is segmented on {study}.").format(study=dated(study))
    regions = ", ".join(
        tr("{region} {count} ({volume} mL)").format(
            region=report_words.region(name), count=sums.lesion_count, volume=volume(sums.psma_tv_ml)
        )
        for name, sums in study.by_region.items()
    )
    hottest = max(study.lesions, key=lambda lesion: lesion.measures.suv_max)
    staged = next((one for one in study.scores if one.name.startswith(MITNM)), None)
    text = tr(
        "{count} PSMA-positive lesions, PSMA-TV {volume} mL, TL-PSMA {tl} SUV × mL; by region: {regions}. Highest "
        "SUVmax {suv} ({lesion})."
    ).format(
        count=counted(totals.lesion_count),
        volume=volume(totals.psma_tv_ml),
        tl=number(totals.tl_psma),
        regions=regions or NOTHING,
        suv=number(totals.suv_max),
        lesion=hottest.track or str(hottest.lesion),
    )
    return text if staged is None else f"{text} {staged.name}: {staged.value}."


def _course_line(results: Results, study: StudyResult) -> str:
    response = results.lesion_response(study.study_id)
    if response is None:
        return ""
    summary = response.heterogeneity
    classes = ", ".join(
        f"{summary.counts[name]} {report_words.response_class(name)}" for name in CLASSES if summary.counts[name]
    )
    if not classes:
        return ""
    mixed = tr("mixed response") if summary.mixed_response else tr("no mixed response")
    baseline = dated(results.study(response.earlier_id))
    text = tr("Lesion by lesion against {baseline}: {classes}; {mixed}.")
    return text.format(baseline=baseline, classes=classes, mixed=mixed)


def _psa_line(results: Results) -> str:
    if not results.psa:
        return ""
    latest = results.psa[-1]
    lowest = min(results.psa, key=lambda value: value.ng_ml)
    text = tr("PSA {value} ng/mL on {day}, lowest {lowest} ng/mL on {lowest_day}.").format(
        value=concentration(latest),
        day=day(latest.day),
        lowest=concentration(lowest),
        lowest_day=day(lowest.day),
    )
    judged = [one for one in results.other_responses if one.criterion.startswith("PSA (")]
    return f"{text} {judged[-1].criterion}: {judged[-1].category}." if judged else text


def _limits_line(results: Results) -> str:
    blocking = [conflict.text for conflict in results.conflicts if conflict.blocks]
    if blocking:
        text = tr("Open before this can be signed ({count}): {first}")
        return text.format(count=len(blocking), first=blocking[0])
    open_ones = len(results.warnings) + len(results.conflicts)
    if not open_ones:
        return ""
    return tr("{count} warnings and open questions limit these results; see Limits and warnings.").format(
        count=open_ones
    )
