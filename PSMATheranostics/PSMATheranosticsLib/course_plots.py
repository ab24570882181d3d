"""Plots of when lesions were there, and of how they went from class to class, as images.

What they show is prepared in ``track_figures``; here it is only drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import plot_image, report_words
from .i18n import tr
from .plot_image import FAINT, INK, NORMAL, SMALL, PlotImage
from .status_colors import STATUS_LETTERS, class_color, status_color
from .track_figures import SankeyData, SwimmerData, SwimmerRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS_PER_COLUMN = 60
_MOST_COLUMNS = 3
_LARGEST_ROW_MM, _TALLEST_MM = 3.2, 205.0
_SMALLEST_LETTER = 3.6  # points
_NODE_WIDTH, _GAP_SHARE = 0.16, 0.30


def draw_swimmer(data: SwimmerData) -> PlotImage:
    """One row per lesion: a bar while it is there, dotted while it is not; letters say its status on each study."""
    columns = min(-(-len(data.rows) // _ROWS_PER_COLUMN), _MOST_COLUMNS)
    per_column = -(-len(data.rows) // columns)
    treated = plot_image.is_treated(data.days, data.treatments, data.therapy_start)
    foot, head = 14.0, 13.0 if treated else 8.0
    row_mm = min(_LARGEST_ROW_MM, (_TALLEST_MM - foot - head) / per_column)
    width = plot_image.WIDTH_MM / columns
    with plot_image.drawing(max(per_column * row_mm, 10.0) + foot + head) as figure:
        for column in range(columns):
            rows = data.rows[column * per_column : (column + 1) * per_column]
            axes = plot_image.add_axes(figure, column * width + 12, foot, (columns - 1 - column) * width + 4, head)
            _draw_rows(axes, rows, data, row_mm, columns)
            axes.set_ylim(per_column - 0.4, -0.6)
            if column == 0:
                plot_image.set_title(axes, data.title, 6.5 if treated else 1.4)
        plot_image.class_legend(figure, {row.class_ for row in data.rows})
        text = tr("{title}: {count} lesions, {days}. The table says the same.")
        days = plot_image.days_text(data.days)
        return plot_image.finish(figure, text.format(title=data.title, count=len(data.rows), days=days))


def _draw_rows(axes: Axes, rows: Sequence[SwimmerRow], data: SwimmerData, row_mm: float, columns: int) -> None:
    plot_image.draw_days(axes, data.days, data.treatments, columns == 1, data.therapy_start)
    for day, _ in data.days:
        axes.axvline(day, color="0.85", linewidth=0.5, zorder=0)
    left, right = axes.get_xlim()
    size = min(SMALL, 1.9 * row_mm)
    for place, row in enumerate(rows):
        _draw_spans(axes, place, row)
    going = [(row.last_day + 0.022 * (right - left), place) for place, row in enumerate(rows) if row.ongoing]
    axes.scatter(*_columns(going), marker=">", s=size, color=INK, linewidths=0, clip_on=False, zorder=3)
    if 0.86 * size >= _SMALLEST_LETTER:
        for place, row in enumerate(rows):
            _draw_letters(axes, place, row, 0.86 * size)
    else:
        _draw_spots(axes, rows, size)
    axes.set_yticks(range(len(rows)), [row.track for row in rows])
    axes.tick_params(axis="y", length=0, pad=2, labelsize=size)
    axes.spines["left"].set_visible(False)


def _draw_spans(axes: Axes, place: int, row: SwimmerRow) -> None:
    look = plot_image.face(row.class_)
    for span in row.spans:
        if span.seen:
            axes.barh(place, span.stop_day - span.start_day, left=span.start_day, height=0.62, zorder=2, **look)
        else:
            days = [span.start_day, span.stop_day]
            axes.plot(days, [place, place], color=INK, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=2)


def _draw_letters(axes: Axes, place: int, row: SwimmerRow, size: float) -> None:
    """The status on each study: its letter in a circle, or in a square where there is no lesion."""
    for day, status, there in row.marks:
        shape = {"boxstyle": "circle,pad=0.12" if there else "square,pad=0.12", "linewidth": 0.6}
        axes.text(
            day,
            place,
            STATUS_LETTERS[status],
            fontsize=size,
            ha="center",
            va="center_baseline",
            zorder=4,
            color=INK if there else FAINT,
            bbox={**shape, "facecolor": "white", "edgecolor": status_color(status)},
        )


def _draw_spots(axes: Axes, rows: Sequence[SwimmerRow], size: float) -> None:
    """The same where letters would be too small to be read."""
    spots: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for place, row in enumerate(rows):
        for day, status, there in row.marks:
            spots.setdefault((status, there), []).append((day, place))
    for (status, there), places in spots.items():
        marker, edges = "o" if there else "s", [status_color(status)]
        days, rows_of = _columns(places)
        axes.scatter(
            days, rows_of, s=1.4 * size, marker=marker, facecolors="white", edgecolors=edges, linewidths=0.6, zorder=4
        )


def _columns(places: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in places], [y for _, y in places]


def draw_sankey(data: SankeyData, height_mm: float = 78.0) -> PlotImage:
    """Columns of classes, one per follow-up, and bands for the lesions that went from one to another."""
    tracks = sum(data.nodes[0].values())
    gap = _GAP_SHARE * tracks / max(max(len(node) for node in data.nodes), 2)
    tops = [_tops(node, gap) for node in data.nodes]
    tallest = max(tracks + gap * (len(node) - 1) for node in data.nodes)
    with plot_image.drawing(height_mm) as figure:
        axes = plot_image.add_axes(figure, 4, 3, 4, 13)
        axes.set_axis_off()
        axes.set_xlim(-_NODE_WIDTH, len(data.stages) - 1 + _NODE_WIDTH + 0.45)
        axes.set_ylim(1.01 * tallest, -0.01 * tallest)
        _draw_bands(axes, data, tops)
        for stage, (node, top) in enumerate(zip(data.nodes, tops, strict=True)):
            label = data.stages[stage][1]
            axes.text(stage, -0.03 * tallest, label, fontsize=NORMAL, ha="center", va="bottom", color=INK)
            for name, count in node.items():
                _draw_node(axes, stage, name, count, top[name], stage == len(data.nodes) - 1)
        place = (0.02, 1 - 2.0 / height_mm)
        figure.text(*place, data.title, fontsize=plot_image.HEADING, fontweight="bold", color=INK, va="top")
        return plot_image.finish(figure, _sankey_text(data))


def _draw_bands(axes: Axes, data: SankeyData, tops: Sequence[dict[str, float]]) -> None:
    """All bands, below each other in the order of the classes at both ends."""
    arriving, leaving = ([dict(top) for top in tops] for _ in range(2))
    for flow in data.flows:
        start, stop = leaving[flow.stage], arriving[flow.stage + 1]
        _draw_band(axes, flow.stage, start[flow.from_class], stop[flow.to_class], flow.tracks, flow.from_class)
        start[flow.from_class] += flow.tracks
        stop[flow.to_class] += flow.tracks


def _tops(node: dict[str, int], gap: float) -> dict[str, float]:
    """Where each class of a stage starts, from the top."""
    tops, place = {}, 0.0
    for name, count in node.items():
        tops[name] = place
        place += count + gap
    return tops


def _draw_node(axes: Axes, stage: int, name: str, count: int, top: float, last: bool) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((stage - _NODE_WIDTH / 2, top), _NODE_WIDTH, count, zorder=3, **plot_image.face(name)))
    axes.text(
        stage + (_NODE_WIDTH / 2 + 0.015),
        top + count / 2,
        f"{plot_image.class_name(name)}: {count}",
        fontsize=NORMAL,
        color=INK,
        ha="left",
        va="center",
        zorder=4,
        bbox=None if last else {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
    )


def _draw_band(axes: Axes, stage: int, start: float, stop: float, height: int, name: str) -> None:
    """A band that leaves and arrives level."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    x0 = stage + _NODE_WIDTH / 2
    room = 1.0 - _NODE_WIDTH
    x1, middle = x0 + room, x0 + room / 2
    points = [(x0, start), (middle, start), (middle, stop), (x1, stop), (x1, stop + height), (middle, stop + height),
              (middle, start + height), (x0, start + height), (x0, start)]  # fmt: skip
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    color = class_color(name) if name else (0.85, 0.85, 0.85)
    axes.add_patch(PathPatch(Path(points, codes), facecolor=(*color, 0.45), edgecolor=FAINT, linewidth=0.25, zorder=1))


def _sankey_text(data: SankeyData) -> str:
    text = tr("{study} {class_} to {later} {later_class}: {count}")
    flows = [
        text.format(
            study=data.stages[flow.stage][1],
            class_=_word(flow.from_class),
            later=data.stages[flow.stage + 1][1],
            later_class=_word(flow.to_class),
            count=flow.tracks,
        )
        for flow in data.flows
    ]
    return f"{data.title}. " + "; ".join(flows)


def _word(name: str) -> str:
    return report_words.response_class(name) if name else tr("no lesion")
