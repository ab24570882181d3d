"""Rows of the result tables: burden by organ system with its change, and every lesion over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .item_table import Cell
from .lesion_table import regionText
from .panel_rows import Table
from .tables import number, studyName
from .track_queue import Lesion, numberOf
from .track_table import SUV_MAX, SUV_MEAN, SUV_PEAK, TL_PSMA, VOLUME, regionOf, statusText

if TYPE_CHECKING:
    from PSMASegmentLib.measure import Totals
    from PSMATheranosticsLib.results_model import LesionResult, Results, StudyResult, TrackCell, TrackResult

BOTH = "volume and SUVmax"
TOTAL = "total"  # key of the last row of the totals
_ARROW = "\N{RIGHTWARDS ARROW}"
_NOT_THERE, _NOT_KNOWN = 0.0, -1.0  # what lesions are sorted by on studies that do not have them
_NO_SCORE = -1.0


@dataclass(frozen=True)
class Pair:
    """A study whose totals are shown, and the earlier one that they are compared with; None without any."""

    laterId: int
    earlierId: int | None
    name: str


@dataclass(frozen=True)
class Over:
    """Everything that the row of one lesion over time is made of; equal ones have equal rows.

    ``lesions`` are those of the track by study, ``reasons`` why it decides the response, "" and () where it does not.
    """

    track: TrackResult
    lesions: Mapping[int, LesionResult]
    names: Mapping[int, str]
    value: str
    reasons: Sequence[str]


def pairsOf(results: Results | None) -> list[Pair]:
    """What totals are compared: the last study first, each against the baseline, then against the one before it.

    Studies are compared with others of their kind only, a SPECT with the first SPECT.
    """
    pairs: list[Pair] = []
    kinds: dict[str, list[StudyResult]] = {}
    for study in results.studies if results is not None else ():
        if study.totals is None:
            continue
        before = kinds.setdefault(study.modality, [])
        first = next((each for each in before if each.is_baseline), before[0] if before else None)
        against = {each.study_id: each for each in (first, *before[-1:]) if each is not None}
        pairs[:0] = [_pair(study, each) for each in against.values()] or [_pair(study, None)]
        before.append(study)
    return pairs


def _pair(later: StudyResult, earlier: StudyResult | None) -> Pair:
    if earlier is None:
        return Pair(later.study_id, None, studyName(later))
    name = _("{later} against {earlier}").format(later=studyName(later), earlier=studyName(earlier))
    return Pair(later.study_id, earlier.study_id, name)


def totalsTable(results: Results | None, pair: Pair | None) -> Table:
    """One row per organ system in the standard order, keyed by its name, then one of all; empty ones are left out."""
    headings = [_("Organ system"), _("PSMA-TV (mL)"), _("Change"), _("Lesions"), _("SUVmax"), _("TL-PSMA")]
    if results is None or pair is None:
        return headings, []
    later = results.study(pair.laterId)
    earlier = None if pair.earlierId is None else results.study(pair.earlierId)
    rows = []
    for region in _regionsOf(later, earlier):
        before = None if earlier is None else earlier.by_region.get(region)
        rows.append((region, _totalsRow(region, later.by_region.get(region), before, earlier is not None)))
    whole = _totalsRow(_("Total"), later.totals, None if earlier is None else earlier.totals, earlier is not None)
    return headings, [*rows, (TOTAL, whole)]


def _regionsOf(later: StudyResult, earlier: StudyResult | None) -> list[str]:
    """Regions with lesions on either study, in the order in which findings are reported."""
    from PSMASegmentLib.lesion_regions import REGIONS
    from PSMATheranosticsLib.results_model import UNKNOWN_REGION

    there = {*later.by_region, *(earlier.by_region if earlier is not None else ())}
    return [name for name in (*REGIONS, UNKNOWN_REGION) if name in there]


def _totalsRow(name: str, now: Totals | None, before: Totals | None, isCompared: bool) -> list[Cell]:
    from PSMATheranosticsLib.recip import percent_text

    after, first = _figures(now), _figures(before)
    volume, earlier = (0.0 if each is None else each.psma_tv_ml for each in (now, before))
    if not isCompared:
        change, told = "", ""
    elif earlier > 0.0:
        change = percent_text(100.0 * (volume - earlier) / earlier)
        told = _("{change} mL").format(change=f"{volume - earlier:+.2f}")
    else:
        change, told = (_("new") if volume > 0.0 else ""), ""
    texts = [f"{a} {_ARROW} {b}" if isCompared else b for a, b in zip(first, after, strict=True)]
    tip = _("Lesions {counts}; PSMA-TV {volumes} mL; SUVmax {peaks}; TL-PSMA {loads} SUV x mL").format(
        counts=texts[0], volumes=texts[1], peaks=texts[2], loads=texts[3]
    )
    counts, volumes, peaks, loads = texts
    return [
        Cell(name, toolTip=tip),
        Cell(volumes, isNumber=True),
        Cell(change, isNumber=True, toolTip=told),
        Cell(counts, isNumber=True),
        Cell(peaks, isNumber=True),
        Cell(loads, isNumber=True),
    ]


def _figures(totals: Totals | None) -> tuple[str, str, str, str]:
    """Count, PSMA-TV, SUVmax and TL-PSMA as text."""
    if totals is None:
        return "0", "0", "-", "0"
    return (
        str(totals.lesion_count),
        short(totals.psma_tv_ml),
        number(totals.suv_max, 1) or "-",
        number(totals.tl_psma, 0),
    )


def valueChoices() -> list[tuple[str, str]]:
    """What the columns of the studies can show: key and name."""
    return [
        (BOTH, _("Volume (mL) / SUVmax")),
        (VOLUME, _("Volume (mL), change")),
        (SUV_MAX, _("SUVmax, change")),
        (SUV_PEAK, _("SUVpeak, change")),
        (SUV_MEAN, _("SUVmean, change")),
        (TL_PSMA, _("TL-PSMA, change")),
    ]


def columns(results: Results | None, value: str) -> list[tuple[str, str]]:
    """Heading of each column of the lesions and what it stands for."""
    shown = dict(valueChoices())[value]
    studies = results.studies if results is not None else ()
    tip = _("{value} at {study}, {date}; the sign is the class against the baseline. Sorted by the first number.")
    return [
        (_("Lesion"), _("One lesion over time. An asterisk: it decides the response, or is doubtful.")),
        (_("Region"), _("Region and site, in brackets while they are a proposal.")),
        *(
            (studyName(each), tip.format(value=shown, study=studyName(each), date=each.acquired.date().isoformat()))
            for each in studies
        ),
        (_("miPSMA"), _("PSMA expression score (PROMISE V2), 0 to 3, at the last study that has the lesion.")),
        (_("Rev."), _("Reviewed by a reader: a check mark where the lesion was accepted on all its studies.")),
        (_("Comment"), _("What readers said about the lesion.")),
    ]


def lesionRow(over: Over) -> list[Cell]:
    """Cells of one lesion over time, in the order of ``columns``."""
    track, there = over.track, list(over.lesions.values())
    places = {(study, lesion.lesion): lesion for study, lesion in over.lesions.items()}
    why = "\n".join(_reasonText(reason) for reason in over.reasons)
    comment = "; ".join(commentsOf(track))
    return [
        Cell(f"{track.label} *" if over.reasons else track.label, toolTip=why, sortKey=float(numberOf(track.label))),
        _regionCell(track, places),
        *(_studyCell(cell, over) for cell in track.cells),
        _scoreCell(over),
        _reviewedCell(there),
        Cell(comment, toolTip=comment),
    ]


def commentsOf(track: TrackResult) -> list[str]:
    """What readers said about a lesion as such and at its studies."""
    return [*track.comments, *(cell.comment for cell in track.cells if cell.comment)]


def lesionsByTrack(results: Results, lesions: Mapping[Lesion, LesionResult]) -> dict[str, dict[int, LesionResult]]:
    """The lesions of each track by study, from those that count."""
    return {
        track.label: {
            cell.study_id: lesions[cell.study_id, cell.lesion]
            for cell in track.cells
            if cell.lesion is not None and (cell.study_id, cell.lesion) in lesions
        }
        for track in results.tracks
    }


def short(value: float | None) -> str:
    """A measure for reading, with two decimals below 10."""
    return number(value, 1 if value is not None and abs(value) >= 10.0 else 2)


def _regionCell(track: TrackResult, places: Mapping[Lesion, LesionResult]) -> Cell:
    text = regionOf(track, places)
    found = next((each for each in places.values() if regionText(each)), None)
    tip = "" if found is None or found.region_source != "proposed" else found.region.reason
    return Cell(text, toolTip=tip or text)


def _studyCell(cell: TrackCell, over: Over) -> Cell:
    from PSMATheranosticsLib.status_colors import CLASS_MEANINGS, CLASS_SIGNS, STATUS_MEANINGS, class_color

    value = _value(cell, VOLUME if over.value == BOTH else over.value)
    sign = CLASS_SIGNS[cell.response] if cell.response else ""
    if value is None:
        text, key = statusText(cell) or sign, _NOT_THERE if cell.status else _NOT_KNOWN
    else:
        text, key = " ".join(part for part in (_valueText(cell, over.value), sign) if part), value
    lines = [over.names[cell.study_id]]
    lines += [f"{cell.response}: {CLASS_MEANINGS[cell.response]}"] if cell.response else []
    lines += [f"{cell.status}: {STATUS_MEANINGS[cell.status]}"] if cell.status else []
    lines += [_allValues(cell)] if cell.volume_ml is not None else []
    color = class_color(cell.response) if cell.response else None
    return Cell(text, toolTip="\n".join([*lines, *([cell.note] if cell.note else [])]), color=color, sortKey=key)


def _valueText(cell: TrackCell, value: str) -> str:
    """Numbers first: where a column is too narrow, the end of the text is cut off."""
    if value == BOTH:
        return f"{short(cell.volume_ml)} / {number(cell.suv_max, 1)}"
    ratio = cell.ratios.get(value)
    change = "" if ratio is None else f" {100.0 * (ratio - 1.0):+.0f} %"
    return f"{short(_value(cell, value))}{change}"


def _allValues(cell: TrackCell) -> str:
    return _("{volume} mL, SUVmax {highest}, SUVpeak {peak}, SUVmean {mean}, TL-PSMA {load}").format(
        volume=short(cell.volume_ml),
        highest=number(cell.suv_max, 1),
        peak=number(cell.suv_peak, 1) or "-",
        mean=number(cell.suv_mean, 1) or "-",
        load=number(cell.tl_psma, 1) or "-",
    )


def _value(cell: TrackCell, metric: str) -> float | None:
    return getattr(cell, "volume_ml" if metric == VOLUME else metric)


def _scoreCell(over: Over) -> Cell:
    scores = [(study, lesion.mi_psma) for study, lesion in over.lesions.items() if lesion.mi_psma is not None]
    if not scores:
        return Cell("", sortKey=_NO_SCORE)
    tip = "\n".join(f"{over.names[study]}: {score}" for study, score in scores)
    return Cell(str(scores[-1][1]), isNumber=True, toolTip=tip, sortKey=float(scores[-1][1]))


def _reviewedCell(lesions: Sequence[LesionResult]) -> Cell:
    done = sum(lesion.reviewed for lesion in lesions)
    told = _("{done} of {all} reviewed").format(done=done, all=len(lesions))
    isDone = bool(lesions) and done == len(lesions)
    text = "\N{CHECK MARK}" if isDone else f"{done}/{len(lesions)}" if done else ""
    return Cell(text, toolTip=told, sortKey=done / len(lesions) if lesions else 0.0)


def _reasonText(reason: str) -> str:
    from PSMATheranosticsLib import key_lesions

    return {
        key_lesions.NEW: _("New: it may turn the response."),
        key_lesions.GROWTH: _("Largest growth in mL."),
        key_lesions.SHRINKAGE: _("Largest shrinkage in mL."),
        key_lesions.HOTTEST: _("Highest SUVmax."),
        key_lesions.DOUBTFUL: _("Rests on the least certain link."),
    }[reason]
