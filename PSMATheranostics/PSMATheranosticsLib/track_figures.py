"""What the plots of lesions over time show, as plain records without drawing: for the report and for charts in Slicer.

Each function takes the results of a case; where there is nothing to show it gives None. Days count from the baseline.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from PSMATrackingLib.repeatability import METRIC_NAMES

from . import report_words
from .i18n import decimal, tr
from .report_text import day
from .results_model import LesionChangeResult, Results, StudyResult, TrackCell, TrackResult, Treatment
from .treatments import therapy_start_day

METRIC_AXES: dict[str, str] = {
    "volume": "Volume (mL)",
    "suv_max": "SUVmax",
    "suv_peak": "SUVpeak",
    "suv_mean": "SUVmean",
    "tl_psma": "TL-PSMA (SUV x mL)",
}
NO_LESION = ""  # in the flow of classes: tracks without a lesion on either of the two studies

# Ends of the logarithmic axis of the waterfall: at least a factor of 4 either way, at most one of 64.
_NEAREST_END, _FARTHEST_END = 2.0, 6.0
_AT_THE_RIGHT = "new"


@dataclass(frozen=True)
class WaterfallBar:
    """One lesion. ``height`` is the binary logarithm of the ratio (1: doubled), within the ends of the axis.

    New lesions reach the upper end, resolved ones the lower. ``cut``: the true value lies beyond the end. ``text`` is
    the ratio for reading ("x 0.43"), or the class. ``before_ml`` and ``after_ml`` are volumes, 0 where there is none.
    """

    track: str
    class_: str
    ratio: float | None
    height: float
    cut: bool
    text: str
    before_ml: float
    after_ml: float


@dataclass(frozen=True)
class WaterfallData:
    """The change of every lesion from one study to another: from the largest growth to resolved, then new ones.

    ``low`` and ``high`` are the limits of repeatability as ratios, ``end`` the height at which the axis ends on either
    side. ``left_out``: lesions without a bar, as class and number.
    """

    study_id: int
    earlier_id: int
    title: str
    metric: str
    axis: str
    low: float
    high: float
    end: float
    bars: tuple[WaterfallBar, ...]
    left_out: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class SpaghettiPoint:
    """A lesion on one study; ``value`` is None where it is not there, and ``status`` says why."""

    study_id: int
    day: int
    value: float | None
    status: str


@dataclass(frozen=True)
class SpaghettiLine:
    """One track. ``class_`` is its last one against the baseline, "" without any."""

    track: str
    class_: str
    points: tuple[SpaghettiPoint, ...]


@dataclass(frozen=True)
class SpaghettiData:
    """A measure of every lesion over time, on the studies of the kind of the baseline. For a logarithmic axis.

    ``days`` are those of the studies with their labels.
    """

    title: str
    metric: str
    axis: str
    lines: tuple[SpaghettiLine, ...]
    days: tuple[tuple[int, str], ...]
    treatments: tuple[Treatment, ...]
    therapy_start: int | None = None  # day on which the line of therapy began


@dataclass(frozen=True)
class SwimmerSpan:
    """From one study to the next on which something is known of the lesion. ``seen``: there at both ends."""

    start_day: int
    stop_day: int
    seen: bool


@dataclass(frozen=True)
class SwimmerRow:
    """One track: spans from its first lesion to its last, and its status on every study that has one."""

    track: str
    class_: str
    first_day: int
    last_day: int
    spans: tuple[SwimmerSpan, ...]
    marks: tuple[tuple[int, str, bool], ...]  # day, status, whether there is a lesion
    ongoing: bool  # there on the last study that imaged its place


@dataclass(frozen=True)
class SwimmerData:
    """When each lesion was there: by first day, then by last."""

    title: str
    rows: tuple[SwimmerRow, ...]
    days: tuple[tuple[int, str], ...]
    treatments: tuple[Treatment, ...]
    therapy_start: int | None = None  # day on which the line of therapy began


@dataclass(frozen=True)
class SankeyFlow:
    """How many tracks went from one class at a stage to another class at the next; ``NO_LESION`` for none."""

    stage: int
    from_class: str
    to_class: str
    tracks: int


@dataclass(frozen=True)
class SankeyData:
    """Classes against the baseline from follow-up to follow-up.

    ``stages`` are study id and label, ``nodes`` the number of tracks of each class at each stage, in the order in which
    they are stacked. Every stage has all tracks.
    """

    title: str
    stages: tuple[tuple[int, str], ...]
    nodes: tuple[dict[str, int], ...]
    flows: tuple[SankeyFlow, ...]


# From worse to better, then what says nothing about the course.
STACKING = (
    "new", "increasing", "stable", "decreasing", "resolved", "merged", "split", "too small", "uncertain", "not imaged",
    NO_LESION,
)  # fmt: skip


def waterfall(results: Results, study_id: int, against: str = "baseline") -> WaterfallData | None:
    """The change of every lesion up to ``study_id`` in the measure that decides.

    Lesions that merged or split are one bar, under the track that stands for them. ``against``: "baseline" or
    "previous". None where the studies were not compared or no lesion has a bar.
    """
    response = results.lesion_response(study_id, against)
    if response is None:
        return None
    limits = results.response_limits
    counted = [change for change in response.changes if change.counted]
    heights = [abs(height) for change in counted if (height := _height(change, limits.metric)) is not None]
    end = min(max(_NEAREST_END, *(math.ceil(height + 0.2) for height in heights), 0.0), _FARTHEST_END)
    bars = [bar for change in counted if (bar := _bar(change, limits.metric, end)) is not None]
    if not bars:
        return None
    shown = {bar.track for bar in bars}
    left_out = Counter(change.class_ for change in counted if change.track not in shown)
    earlier, later = results.study(response.earlier_id), results.study(study_id)
    return WaterfallData(
        study_id=study_id,
        earlier_id=response.earlier_id,
        title=tr("{later} ({later_day}) against {earlier} ({earlier_day})").format(
            later=later.label, later_day=day(later.acquired), earlier=earlier.label, earlier_day=day(earlier.acquired)
        ),
        metric=limits.metric,
        axis=tr("{measure}, later / earlier").format(measure=report_words.measure(METRIC_NAMES[limits.metric])),
        low=limits.deciding.low,
        high=limits.deciding.high,
        end=end,
        bars=tuple(sorted(bars, key=_order)),
        left_out=tuple(left_out.items()),
    )


def _height(change: LesionChangeResult, metric: str) -> float | None:
    ratio = change.ratios.get(metric)
    return math.log2(ratio) if ratio else None


def _bar(change: LesionChangeResult, metric: str, end: float) -> WaterfallBar | None:
    volumes = [0.0 if burden is None else burden.volume_ml for burden in (change.before, change.after)]
    ratio, height = change.ratios.get(metric), _height(change, metric)
    if change.class_ in ("new", "resolved"):
        sign = 1 if change.class_ == "new" else -1
        return WaterfallBar(change.track, change.class_, ratio, sign * end, True, change.class_, *volumes)
    if height is None:
        return None
    shown = max(-end, min(end, height))
    return WaterfallBar(change.track, change.class_, ratio, shown, shown != height, _times(ratio or 0.0), *volumes)


def _times(ratio: float) -> str:
    if ratio < 0.01:
        return decimal("< x 0.01")
    return decimal(f"x {ratio:.2f}" if ratio < 1 else f"x {ratio:.1f}" if ratio < 10 else f"x {ratio:.0f}")


def _order(bar: WaterfallBar) -> tuple[bool, float, float, str]:
    """New lesions at the right, the largest first; the others by falling ratio, resolved ones by size."""
    is_new = bar.class_ == _AT_THE_RIGHT
    ratio = math.inf if bar.ratio is None else bar.ratio
    return is_new, 0.0 if is_new else -ratio, -max(bar.before_ml, bar.after_ml), bar.track


def spaghetti(results: Results, metric: str = "") -> SpaghettiData | None:
    """One line per track over the studies of the kind of the baseline, for ``metric`` or else the one that decides.

    Lesions that merge end; the lesion that they went into goes on. None before two studies have lesions.
    """
    metric = metric or results.response_limits.metric
    studies = _comparable(results)
    if len(studies) < 2:
        return None
    shown = {study.study_id: study for study in studies}
    lines = []
    for track in results.tracks:
        cells = [cell for cell in track.cells if cell.study_id in shown]
        points = tuple(
            SpaghettiPoint(cell.study_id, shown[cell.study_id].days_since_baseline, _value(cell, metric), cell.status)
            for cell in cells
            if cell.status
        )
        if any(point.value is not None for point in points):
            lines.append(SpaghettiLine(track.label, _last_class(track), points))
    if not lines:
        return None
    name = report_words.measure(METRIC_NAMES[metric])
    title = tr("{measure} of every lesion over time").format(measure=f"{name[0].upper()}{name[1:]}")
    began = therapy_start_day(results)
    return SpaghettiData(title, metric, _axis(metric), tuple(lines), _days(studies), results.treatments, began)


def _axis(metric: str) -> str:
    return tr("Volume (mL)") if metric == "volume" else METRIC_AXES[metric]


def _comparable(results: Results) -> list[StudyResult]:
    """The segmented studies of the kind of the baseline."""
    if results.baseline_id is None:
        return []
    kind = results.study(results.baseline_id).modality
    return [study for study in results.studies if study.modality == kind and study.segmentation is not None]


def _days(studies: list[StudyResult]) -> tuple[tuple[int, str], ...]:
    return tuple((study.days_since_baseline, study.label) for study in studies)


def _value(cell: TrackCell, metric: str) -> float | None:
    value = cell.volume_ml if metric == "volume" else getattr(cell, metric)
    return value if value else None


def _last_class(track: TrackResult) -> str:
    return next((cell.response for cell in reversed(track.cells) if cell.response), "")


def swimmer(results: Results) -> SwimmerData | None:
    """When each lesion was there, over all studies on which lesions were followed; None before two have been."""
    studies = [study for study in results.studies if study.segmentation is not None]
    days = {study.study_id: study.days_since_baseline for study in studies}
    if len(studies) < 2:
        return None
    rows = [row for track in results.tracks if (row := _row(track, days)) is not None]
    if not rows:
        return None
    rows.sort(key=lambda row: (row.first_day, row.last_day))
    title, began = tr("When each lesion was there"), therapy_start_day(results)
    return SwimmerData(title, tuple(rows), _days(studies), results.treatments, began)


def _row(track: TrackResult, days: dict[int, int]) -> SwimmerRow | None:
    cells = [cell for cell in track.cells if cell.study_id in days and cell.status]
    there = [days[cell.study_id] for cell in cells if cell.lesion is not None]
    if not there:
        return None
    known = [cell for cell in cells if there[0] <= days[cell.study_id] <= there[-1]]
    spans = tuple(
        SwimmerSpan(days[a.study_id], days[b.study_id], a.lesion is not None and b.lesion is not None)
        for a, b in pairwise(known)
    )
    imaged = [cell for cell in cells if cell.status not in ("not imaged", "below detection")]
    return SwimmerRow(
        track=track.label,
        class_=_last_class(track),
        first_day=there[0],
        last_day=there[-1],
        spans=spans,
        marks=tuple((days[cell.study_id], cell.status, cell.lesion is not None) for cell in cells),
        ongoing=bool(imaged) and imaged[-1].lesion is not None,
    )


def sankey(results: Results) -> SankeyData | None:
    """How tracks went from class to class against the baseline; None with less than two follow-ups to compare."""
    stages = [study for study in results.studies if results.lesion_response(study.study_id) is not None]
    if len(stages) < 2:
        return None
    places = [results.studies.index(study) for study in stages]
    courses = [tuple(track.cells[place].response for place in places) for track in results.tracks]
    courses = [course for course in courses if any(course)]
    nodes = [Counter(course[stage] for course in courses) for stage in range(len(stages))]
    flows = Counter(
        (stage, before, after) for course in courses for stage, (before, after) in enumerate(pairwise(course))
    )
    rank = {name: index for index, name in enumerate(STACKING)}
    ordered = sorted(flows.items(), key=lambda item: (item[0][0], rank[item[0][1]], rank[item[0][2]]))
    return SankeyData(
        title=tr("Classes of the lesions against the baseline, from follow-up to follow-up"),
        stages=tuple((study.study_id, study.label) for study in stages),
        nodes=tuple({name: node[name] for name in STACKING if name in node} for node in nodes),
        flows=tuple(SankeyFlow(stage, before, after, count) for (stage, before, after), count in ordered),
    )
