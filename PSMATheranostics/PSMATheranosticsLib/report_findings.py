"""Sections of the report on one study's findings by region, and on the totals of all studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.measure import Totals

from . import report_words
from .i18n import tr
from .progress import Progress
from .records import READER
from .report_blocks import Block, Cell, Column, Heading, Note, Paragraph, Section, Span, Table
from .report_cells import (
    KEPT,
    LONG,
    MOST_COUNTED,
    NONE,
    NUMBER,
    counted,
    dated,
    head,
    number_cell,
    reported,
)
from .report_text import NOTHING, day, number, percent, volume
from .results_model import UNKNOWN_REGION, LesionResult, Results, StudyResult, TrackCell

if TYPE_CHECKING:
    from .case_store import CaseStore

_SITES_NAMED = 4  # of a region with many lesions


class FindingsSection:
    """Lesions of the reported study by region, in the order local, regional nodes, distant nodes, bone, visceral.

    The order is that of PROMISE V2 and SPARC (Seifert et al., Eur Urol 2023;83:405, PMID 36935345).
    """

    name = "findings"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """A table per region, or one table of all regions where there are more than 20 lesions."""
        study = reported(results)
        if study is None:
            return None
        title = tr("Findings: {study}").format(study=dated(study))
        if not study.lesions:
            text = tr("No PSMA-positive lesion is segmented on this study.")
            return Section(self.name, title, (Paragraph(text),))
        groups = by_region(study.lesions)
        blocks: list[Block] = []
        if len(study.lesions) > MOST_COUNTED:
            blocks.append(_summary(groups))
            blocks.append(
                Note(
                    tr("Every one of the {count} lesions is in the table of lesions over time.").format(
                        count=len(study.lesions)
                    )
                )
            )
        else:
            # Against itself a baseline has no change.
            cells = {} if study.is_baseline else _cells(results, study)
            for name, lesions in groups.items():
                blocks += (Heading(report_words.region_heading(name)), _lesions(lesions, cells))
        without = [report_words.region_heading(name) for name in REGIONS if name not in groups]
        if without:
            text = tr("No lesion is segmented in: {regions}.")
            if UNKNOWN_REGION in groups:
                text = tr("No lesion is known to be in: {regions}. Those whose region is not known may be there.")
            blocks.append(Paragraph(text.format(regions="; ".join(without))))
        blocks.append(Note(_explained(study)))
        return Section(self.name, title, tuple(blocks))


def by_region(lesions: Sequence[LesionResult]) -> dict[str, list[LesionResult]]:
    """Lesions by region in the standard order, the hottest first; only regions that have any."""
    groups = {
        name or UNKNOWN_REGION: sorted(
            (lesion for lesion in lesions if lesion.region.name == name), key=lambda lesion: -lesion.measures.suv_max
        )
        for name in (*REGIONS, "")
    }
    return {name: found for name, found in groups.items() if found}


def _cells(results: Results, study: StudyResult) -> dict[str, TrackCell]:
    return {track.label: cell for track in results.tracks for cell in track.cells if cell.study_id == study.study_id}


def _explained(study: StudyResult) -> str:
    text = tr(
        "Regions and sites are proposed by the software where no reader has chosen them. Lesions are ordered by "
        "SUVmax. Size on CT and certainty are for a reader to state."
    )
    if any(lesion.mi_psma is not None for lesion in study.lesions):
        return text
    return f"{text} {tr('miPSMA is not given because reference regions are missing.')}"


def _lesions(lesions: Sequence[LesionResult], cells: dict[str, TrackCell]) -> Table:
    sums = _sums(lesions)
    caption = tr("{count} lesions, {volume} mL, SUVmax {suv}.") if len(lesions) != 1 else tr("1 lesion, {volume} mL.")
    titles = head(
        tr("Lesion"), tr("Site"), tr("Status"), "mL", tr("change"), "SUVmax", "SUVmean", "miPSMA",
        tr("Reviewed"),
    )  # fmt: skip
    columns = (KEPT, LONG, Column(width=0.4, kept=True), *[NUMBER] * 5, KEPT)
    rows = tuple(_row(lesion, cells.get(lesion.track)) for lesion in lesions)
    text = caption.format(count=len(lesions), volume=volume(sums[0]), suv=number(sums[1]))
    return Table(text, columns, titles, rows, compact=True, keep=len(lesions) <= MOST_COUNTED)


def _row(lesion: LesionResult, cell: TrackCell | None) -> tuple[Cell, ...]:
    about = (tr("by a reader"),) if lesion.region_source == READER else ()
    status = Cell(report_words.status_spans(lesion.status)) if lesion.status else NONE
    return (
        Cell(lesion.track or str(lesion.lesion)),
        Cell(report_words.site(lesion.region.site) or NOTHING, about),
        status,
        number_cell(volume(lesion.measures.volume_ml)),
        number_cell(NOTHING if cell is None else percent(cell.volume_change_percent)),
        number_cell(number(lesion.measures.suv_max)),
        number_cell(number(lesion.measures.suv_mean)),
        number_cell(NOTHING if lesion.mi_psma is None else str(lesion.mi_psma)),
        Cell(tr("yes") if lesion.reviewed else tr("no")),
    )


def _sums(lesions: Sequence[LesionResult]) -> tuple[float, float]:
    return sum(one.measures.volume_ml for one in lesions), max(one.measures.suv_max for one in lesions)


def _summary(groups: dict[str, list[LesionResult]]) -> Table:
    titles = head(tr("Region"), tr("Lesions"), "mL", "SUVmax", tr("hottest"), "miPSMA", tr("new"), tr("Sites"))
    rows = tuple(_region_row(name, lesions) for name, lesions in groups.items())
    caption = tr("Findings by region: more than 20 lesions are summarised.")
    return Table(caption, (KEPT, NUMBER, NUMBER, NUMBER, KEPT, KEPT, NUMBER, LONG), titles, rows, keep=True)


def _region_row(name: str, lesions: Sequence[LesionResult]) -> tuple[Cell, ...]:
    sites = Counter(lesion.region.site for lesion in lesions if lesion.region.site)
    named = [f"{report_words.site(site)} {count}" for site, count in sites.most_common(_SITES_NAMED)]
    if len(sites) > _SITES_NAMED:
        named.append(tr("{count} other sites").format(count=len(sites) - _SITES_NAMED))
    scores = Counter(lesion.mi_psma for lesion in lesions if lesion.mi_psma is not None)
    new = sum(lesion.new_since_baseline is True for lesion in lesions)
    total, hottest = _sums(lesions)
    return (
        Cell(report_words.region_heading(name), bold=True),
        number_cell(counted(len(lesions)), *([str(len(lesions))] if len(lesions) > MOST_COUNTED else [])),
        number_cell(volume(total)),
        number_cell(number(hottest)),
        Cell(lesions[0].track or str(lesions[0].lesion)),
        Cell(", ".join(f"{score}: {scores[score]}" for score in sorted(scores, reverse=True)) or NOTHING),
        number_cell(str(new)),
        Cell(", ".join(named) or NOTHING),
    )


class NumbersSection:
    """Totals of every study, all lesions together and by region."""

    name = "totals"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Totals of all lesions come from the results, those of each region by study where any region is known."""
        if not results.studies:
            return None
        blocks: list[Block] = [_totals(results)]
        studies = [study for study in results.studies if study.segmentation is not None]
        named = {name for study in studies for name in study.by_region}
        regions = [name for name in (*REGIONS, UNKNOWN_REGION) if name in named]
        if regions and regions != [UNKNOWN_REGION]:
            blocks.append(_totals_by_region(studies, regions))
        blocks += _notes(results)
        return Section(self.name, tr("Whole-body totals"), tuple(blocks))


def _totals(results: Results) -> Table:
    titles = head(
        tr("Study"), tr("Date"), tr("Lesions"), ("PSMA-TV", "mL"), tr("change"), tr("vs previous"),
        tr("vs nadir"), ("TL-PSMA", "SUV × mL"), tr("change"), "SUVmean", "SUVmax", tr("change"),
    )  # fmt: skip
    caption = tr(
        "All lesions of a study together. Change: against the baseline; against the previous scan of its kind and the "
        "lowest PSMA-TV before it as plain numbers, which no category rests on."
    )
    columns = (KEPT, KEPT, *[NUMBER] * 10)
    return Table(
        caption, columns, titles, tuple(_totals_row(study) for study in results.studies), compact=True, keep=True
    )


def _totals_row(study: StudyResult) -> tuple[Cell, ...]:
    first = (
        Cell(study.label),
        Cell(day(study.acquired), (tr("day {number}").format(number=number(study.days_since_baseline, 0)),)),
    )
    totals = study.totals
    if totals is None:
        return (*first, Cell(tr("not segmented"), align="left", columns=10))
    change = {} if study.is_baseline else study.change_from_baseline_percent
    exact = [str(totals.lesion_count)] if totals.lesion_count > MOST_COUNTED else []
    return (
        *first,
        number_cell(counted(totals.lesion_count), *exact),
        number_cell(volume(totals.psma_tv_ml), bold=True),
        number_cell(percent(change.get("psma_tv_ml"))),
        number_cell(percent(study.change_from_previous_percent.get("psma_tv_ml"))),
        number_cell(percent(study.change_from_nadir_percent.get("psma_tv_ml"))),
        number_cell(number(totals.tl_psma)),
        number_cell(percent(change.get("tl_psma"))),
        number_cell(number(totals.suv_mean)),
        number_cell(number(totals.suv_max)),
        number_cell(percent(change.get("suv_max"))),
    )


def _totals_by_region(studies: Sequence[StudyResult], regions: Sequence[str]) -> Table:
    """Rows for each region, one column per study, so that any number of studies fits."""
    titles = head(tr("Region"), "", *(dated(study) for study in studies))
    columns = (KEPT, KEPT, *(Column(align="right", width=1.0) for _ in studies))
    baseline = next((study for study in studies if study.is_baseline), None)
    rows = [row for name in regions for row in _region_rows(name, studies, baseline)]
    caption = tr(
        "The same by region; in brackets the change of PSMA-TV against the baseline. Regions are proposed by the "
        "software where no reader has chosen them."
    )
    return Table(caption, columns, titles, tuple(rows), compact=True, keep=True)


def _region_rows(name: str, studies: Sequence[StudyResult], baseline: StudyResult | None) -> Iterator[tuple[Cell, ...]]:
    """Lesions, PSMA-TV, TL-PSMA and SUVmax of one region; the name stands beside the first of them."""
    found = [(study, study.by_region.get(name)) for study in studies]
    of_lesions = [number_cell(NOTHING if sums is None else str(sums.lesion_count)) for _, sums in found]
    yield (Cell(report_words.region(name), rows=4), Cell(tr("lesions")), *of_lesions)
    yield (Cell("PSMA-TV (mL)"), *(number_cell(_volume_in(study, sums, name, baseline)) for study, sums in found))
    yield (
        Cell("TL-PSMA (SUV × mL)"),
        *(number_cell(number(None if sums is None else sums.tl_psma)) for _, sums in found),
    )
    yield (Cell("SUVmax"), *(number_cell(number(None if sums is None else sums.suv_max)) for _, sums in found))


def _volume_in(study: StudyResult, sums: Totals | None, name: str, baseline: StudyResult | None) -> str:
    """The volume in a region, with its change against the baseline where the two compare."""
    text = volume(None if sums is None else sums.psma_tv_ml)
    if sums is None or baseline is None or study.is_baseline or study.modality != baseline.modality:
        return text
    before = baseline.by_region.get(name)
    if before is None or before.psma_tv_ml <= 0:
        return text
    return f"{text} ({percent(100.0 * (sums.psma_tv_ml - before.psma_tv_ml) / before.psma_tv_ml)})"


def _notes(results: Results) -> list[Block]:
    notes: list[Block] = []
    for study in results.studies:
        if study.scaling.entered:
            text = tr("{study}: values rest on inputs entered by hand ({inputs}).")
            notes.append(
                Note((Span(text.format(study=study.label, inputs=", ".join(study.scaling.entered)), bold=True),))
            )
    for study in results.studies:
        if study.rejected:
            text = tr("{study}: {count} found by the software and rejected by a reader; not counted.")
            notes.append(Note(text.format(study=study.label, count=len(study.rejected))))
    return notes
