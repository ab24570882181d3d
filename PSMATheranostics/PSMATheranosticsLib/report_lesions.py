"""Sections of the report about single lesions: their response against the baseline, and all of them over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PSMATrackingLib.heterogeneity import COMPARED
from PSMATrackingLib.lesion_response import NOT_THERE
from PSMATrackingLib.repeatability import DEFAULT_LIMITS, LIMIT_SOURCES, METRIC_NAMES, METRICS, Limits

from . import report_words, track_figures
from .i18n import decimal, tr
from .progress import Progress
from .records import READER
from .report_blocks import Block, Cell, Column, Legend, Note, Section, Span, Swatch, Table
from .report_cells import GROUP, KEPT, LONG, MOST_KEPT, NONE, NUMBER, STUDIES_UPRIGHT, TEXT, dated, head, number_cell
from .report_reasons import change_reason
from .report_text import NOTHING, nuclide, number, percent, times, typeset, volume
from .results_model import (
    LesionChangeResult,
    LesionResponse,
    LesionResult,
    Results,
    StudyResult,
    TrackCell,
    TrackResult,
)
from .status_colors import CLASS_SIGNS, CLASSES, class_hex

if TYPE_CHECKING:
    from .case_store import CaseStore

# Classes that follow from the numbers in the row.
SAID_BY_NUMBERS = (*COMPARED, "too small", "resolved")
# Response classes that a status does not say already.
CLASSES_TO_NAME = (*COMPARED, "too small", "uncertain")


class LesionResponseSection:
    """Response of every lesion against the baseline, and how differently they responded."""

    name = "lesion-response"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Sums of every comparison, the lesions of the latest one against the baseline, and the limits."""
        latest = latest_comparison(results)
        if latest is None:
            return None
        shown = {change.class_ for response in results.responses_by_lesion for change in response.changes}
        notes = [
            Note((Span(f"{_names(response, results)}: ", bold=True), Span(note)))
            for response in results.responses_by_lesion
            for note in response.notes
        ]
        blocks: tuple[Block, ...] = (
            _comparisons(results),
            *notes,
            _changes(latest, results),
            Legend(tuple(report_words.class_item(name) for name in CLASSES if name in shown), tr("Classes of lesions")),
            _limits(results),
            Note(_limits_explained(results.response_limits)),
        )
        return Section(self.name, tr("Lesion by lesion"), blocks)


def latest_comparison(results: Results) -> LesionResponse | None:
    """The last comparison with the baseline; where there is none, the last one; None without any."""
    to_baseline = [one for one in results.responses_by_lesion if "baseline" in one.against]
    found = to_baseline or list(results.responses_by_lesion)
    return found[-1] if found else None


def _names(response: LesionResponse, results: Results) -> str:
    later, earlier = results.study(response.later_id), results.study(response.earlier_id)
    return tr("{later} against {earlier}").format(later=later.label, earlier=earlier.label)


def _comparisons(results: Results) -> Table:
    top = (
        Cell(tr("Comparison")),
        Cell(tr("Lesions")),
        Cell(tr("Classes")),
        Cell(tr("Median ratio")),
        Cell(tr("SD of ln"), (tr("quartile distance"),)),
        Cell(tr("Worst")),
        Cell("Gini"),
        Cell(tr("Mixed response")),
    )
    caption = tr(
        "How the lesions responded. A lesion that others merged with or split from counts once. TL: share of the "
        "TL-PSMA of the earlier scan."
    )
    columns = (Column(width=0.4), NUMBER, LONG, NUMBER, NUMBER, NUMBER, NUMBER, TEXT)
    rows = tuple(_comparison(response, results) for response in results.responses_by_lesion)
    return Table(caption, columns, (top,), rows, compact=True, keep=True)


def _comparison(response: LesionResponse, results: Results) -> tuple[Cell, ...]:
    summary = response.heterogeneity
    median = None if summary.ln_ratio_median is None else math.exp(summary.ln_ratio_median)
    worst = number_cell(response.worst_track, times(summary.worst_ratio)) if response.worst_track else NONE
    return (
        Cell(_names(response, results)),
        number_cell(str(summary.lesions)),
        Cell(_class_counts(response)),
        number_cell(times(median)),
        number_cell(number(summary.ln_ratio_sd, 2), number(summary.ln_ratio_iqr, 2)),
        worst,
        number_cell(number(summary.gini, 2)),
        Cell(tr("yes") if summary.mixed_response else tr("no")),
    )


def _class_counts(response: LesionResponse) -> tuple[Span, ...]:
    summary = response.heterogeneity
    found: list[Span] = []
    for name in CLASSES:
        if not summary.counts[name]:
            continue
        text = f"{summary.counts[name]} {report_words.response_class(name)}"
        share = summary.by_tl_psma.get(name, 0.0)
        if share:
            text += f" ({number(100 * share, 0)}\N{NO-BREAK SPACE}% TL)"
        if found:
            found.append(Span(", "))
        found.append(Span(text, swatch=Swatch(CLASS_SIGNS[name], class_hex(name)), kept=True))
    return tuple(found) or (Span(NOTHING),)


def _changes(response: LesionResponse, results: Results) -> Table:
    """The lesions by class, within it from the largest ratio to the smallest."""
    metric = results.response_limits.metric
    cells = {
        track.label: cell for track in results.tracks for cell in track.cells if cell.study_id == response.later_id
    }
    order = {name: index for index, name in enumerate(track_figures.STACKING)}
    changes = sorted(response.changes, key=lambda change: (order[change.class_], -(change.ratios[metric] or 0.0)))
    names = [tr("volume") if name == "volume" else METRIC_NAMES[name] for name in METRICS]
    titles = head(tr("Lesion"), tr("Class"), tr("mL before"), tr("mL after"), *names, tr("Against the scan before"))
    columns = (KEPT, LONG, NUMBER, NUMBER, *[NUMBER] * len(METRICS), GROUP)
    caption = tr(
        "{comparison}: volume in mL, and what each measure was multiplied by since then (▲▼: beyond the limits of "
        "repeatability)."
    ).format(comparison=_names(response, results))
    rows = tuple(_change(change, cells[change.track], response) for change in changes)
    return Table(caption, columns, titles, rows, compact=True)


def _change(change: LesionChangeResult, cell: TrackCell, response: LesionResponse) -> tuple[Cell, ...]:
    previous = "" if "previous" in response.against else cell.response_to_previous
    decided = (f"{report_words.decision(cell.decision)}, {cell.decided_by}",) if cell.decision else ()
    why = _why(change)
    # The numbers of a group stand with the track that counts for it.
    before = change.before.volume_ml if change.before is not None and change.counted else None
    after = change.after.volume_ml if change.after is not None and change.counted else None
    return (
        Cell(change.track),
        Cell(report_words.class_spans(change.class_), decided, (typeset(change_reason(why)),) if why else ()),
        number_cell(volume(before)),
        number_cell(volume(after)),
        *(_ratio(change.ratios[name] if change.counted else None, change.beyond.get(name, 0)) for name in METRICS),
        Cell(f"{CLASS_SIGNS[previous]} {report_words.response_class(previous)}" if previous else NOTHING),
    )


def _ratio(ratio: float | None, side: int) -> Cell:
    if ratio is None or not side:
        return number_cell(times(ratio))
    return number_cell(f"{'▲' if side > 0 else '▼'}\N{NO-BREAK SPACE}{times(ratio)}", bold=True)


def _why(change: LesionChangeResult) -> str:
    """The part of the reason that neither the class nor the ratios and volumes beside it say."""
    together = len(change.group) > 1
    if change.class_ in SAID_BY_NUMBERS and change.counted:
        return change.reason.rpartition("; ")[2] if together else ""
    returned = change.class_ == "new" and change.reason != NOT_THERE
    return change.reason if change.class_ != "new" or returned else ""


def _limits(results: Results) -> Table:
    limits = results.response_limits
    compared = {study_id for one in results.responses_by_lesion for study_id in (one.earlier_id, one.later_id)}
    tracers = sorted({results.study(study_id).tracer for study_id in compared} - {""})
    caption = tr(
        "Limits of repeatability: a ratio between them may come from measuring alone. Tracers of these scans: "
        "{tracers}."
    ).format(tracers=", ".join(nuclide(tracer) for tracer in tracers) or tr("unknown"))
    rows = []
    for name in METRICS:
        shown = tr("volume") if name == "volume" else METRIC_NAMES[name]
        low, high = decimal(limits.of(name).text).split(" to ")
        as_published = limits.of(name) == DEFAULT_LIMITS.of(name)
        rows.append(
            (
                Cell(tr("{measure} (decides)").format(measure=shown) if name == limits.metric else shown),
                Cell(tr("{low} to {high}").format(low=low, high=high)),
                Cell(decimal(LIMIT_SOURCES[name]) if as_published else tr("set for this case")),
            )
        )
    titles = head(tr("Measure"), tr("Ratio"), tr("From"))
    return Table(caption, (KEPT, KEPT, LONG), titles, tuple(rows), compact=True, keep=True)


def _limits_explained(limits: Limits) -> str:
    return tr(
        "The limits are derived from published test-retest studies of other men, scanners and contours, and were not "
        "checked with the masks of this software. Below {smallest} mL on both scans a ratio is not judged, and a "
        "change is uncertain where nobody confirmed a link with a confidence below {confidence}. No cut-off is known "
        "from which a spread between lesions matters for a patient."
    ).format(smallest=number(limits.smallest_ml), confidence=number(limits.lowest_confidence, 2))


class TracksSection:
    """Every lesion over time."""

    name = "lesions"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """Rows of tracks that have a lesion on some study, and lesions that were not followed."""
        lesions = {(study.study_id, lesion.lesion): lesion for study in results.studies for lesion in study.lesions}
        followed = [study for study in results.studies if study.segmentation is not None]
        tracks = [track for track in results.tracks if any(cell.lesion is not None for cell in track.cells)]
        loose = [(study, lesion) for study in results.studies for lesion in study.lesions if not lesion.track]
        blocks: list[Block] = []
        if tracks:
            blocks.append(_tracks(tracks, followed, lesions, results))
        if loose:
            blocks.append(_loose(loose))
        if not blocks:
            return None
        wide = bool(tracks) and len(followed) > STUDIES_UPRIGHT
        return Section(self.name, tr("Lesions over time"), tuple(blocks), wide)


_Lesions = dict[tuple[int, int], LesionResult]


def _tracks(
    tracks: Sequence[TrackResult], studies: Sequence[StudyResult], lesions: _Lesions, results: Results
) -> Table:
    has_regions = any(lesion.region.name for lesion in lesions.values())
    top = [Cell(tr("Lesion"), rows=2)]
    columns = [Column()]
    if has_regions:
        top.append(Cell(tr("Region"), rows=2))
        columns.append(Column(width=1.0))
    below: list[Cell] = []
    for study in studies:
        top.append(Cell(dated(study), align="left", columns=3))
        below += (Cell(tr("Status")), Cell("mL"), Cell("SUVmax", ("SUVpeak",)))
        columns += (Column(width=1.0, rule=True), NUMBER, NUMBER)
    rows = tuple(_track(track, studies, lesions, results, has_regions) for track in tracks)
    return Table(_tracks_caption(has_regions), tuple(columns), (tuple(top), tuple(below)), rows, compact=True)


def _tracks_caption(has_regions: bool) -> str:
    text = tr(
        "One row per lesion. Volume in mL with its change against the baseline; SUVmax, and SUVpeak (sphere of 1 mL) "
        "below it; below the status: class against the baseline, miPSMA; link: how sure the software is that it is the "
        "same lesion (0 to 1), or what a reader decided."
    )
    if not has_regions:
        return text
    regions = tr(
        "Region: as proposed by the software from the latest study that shows the lesion, or as a reader chose it "
        "there."
    )
    return f"{text} {regions}"


def _track(
    track: TrackResult, studies: Sequence[StudyResult], lesions: _Lesions, results: Results, has_regions: bool
) -> tuple[Cell, ...]:
    shown = {study.study_id for study in studies}
    parents = (tr("from {tracks}").format(tracks=", ".join(track.parents)),) if track.parents else ()
    row = [Cell(track.label, parents, track.comments)]
    if has_regions:
        # By its latest lesion, because a reader may have chosen another region on one study.
        last = [cell for cell in track.cells if cell.lesion is not None][-1]
        row.append(_region(lesions[last.study_id, last.lesion or 0]))
    for cell in track.cells:
        if cell.study_id in shown:
            row += _measured(cell, lesions, results)
    return tuple(row)


def _region(lesion: LesionResult) -> Cell:
    about = [report_words.site(lesion.region.site)] if lesion.region.site else []
    if lesion.region_source == READER:
        about.append(tr("by a reader"))
    return Cell(report_words.region(lesion.region.name) or NOTHING, (", ".join(about),) if about else ())


def _measured(cell: TrackCell, lesions: _Lesions, results: Results) -> tuple[Cell, Cell, Cell]:
    """Status, volume and SUVs of one track on one study."""
    lesion = None if cell.lesion is None else lesions[cell.study_id, cell.lesion]
    below = []
    if cell.response in CLASSES_TO_NAME:
        below.append(f"{CLASS_SIGNS[cell.response]} {report_words.response_class(cell.response)}")
    if lesion is not None and lesion.mi_psma is not None:
        below.append(f"miPSMA {lesion.mi_psma}")
    link = None if lesion is None else lesion.carrying_link
    if link is not None:
        said = decimal(f"{link.confidence:.2f}") if link.status == "proposed" else report_words.decision(link.status)
        below.append(tr("link {confidence}").format(confidence=said))
    if cell.decision:
        below.append(f"{report_words.decision(cell.decision)}: {cell.decided_by}")
    words = report_words.status_spans(cell.status) if cell.status else cell.note or NOTHING
    status = Cell(words, tuple(below), (cell.comment,) if cell.comment else ())
    if lesion is None:
        return status, NONE, NONE
    change = []
    if cell.volume_change_percent is not None and cell.study_id != results.baseline_id:
        change.append(percent(cell.volume_change_percent))
    return (
        status,
        number_cell(volume(cell.volume_ml), *change),
        number_cell(number(cell.suv_max), number(cell.suv_peak)),
    )


def _loose(loose: Sequence[tuple[StudyResult, LesionResult]]) -> Table:
    titles = head(tr("Study"), tr("Lesion"), tr("Region"), "mL", "SUVmax", "SUVpeak", "miPSMA")
    rows = tuple(
        (
            Cell(study.label),
            Cell(str(lesion.lesion), bold=True),
            _region(lesion),
            number_cell(volume(lesion.measures.volume_ml)),
            number_cell(number(lesion.measures.suv_max)),
            number_cell(number(lesion.measures.suv_peak)),
            number_cell(NOTHING if lesion.mi_psma is None else str(lesion.mi_psma)),
        )
        for study, lesion in loose
    )
    columns = (KEPT, KEPT, LONG, NUMBER, NUMBER, NUMBER, NUMBER)
    caption = tr("Lesions that were not followed yet.")
    return Table(caption, columns, titles, rows, compact=True, keep=len(rows) <= MOST_KEPT)
