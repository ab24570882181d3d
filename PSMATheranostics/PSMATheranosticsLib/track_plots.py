"""Plots of the change of lesions as images: the waterfall, and every lesion over time.

What they show is prepared in ``track_figures``; here it is only drawn. Swimmer and flow are in ``course_plots``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from . import plot_image, report_words
from .i18n import decimal, tr
from .plot_image import FAINT, INK, NORMAL, SMALL, PlotImage
from .status_colors import CLASS_SIGNS, class_color
from .track_figures import SpaghettiData, SpaghettiLine, WaterfallBar, WaterfallData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LABELS = 80  # at the smallest size that is read on paper
_MOST_VALUES = 26  # bars wide enough for their ratio
_MOST_UPRIGHT = 22  # bars wide enough for the name of their track
_MOST_NAMED_LINES = 24
# Lines of the classes that are not just stable stand out; markers tell them apart without color.
_MARKERS = {"new": "P", "increasing": "^", "stable": ".", "decreasing": "v", "resolved": "o"}
_LINES = {"stable": (0, (1, 1)), "decreasing": (0, (4, 1)), "resolved": (0, (5, 1, 1, 1))}
_CHANGED = ("new", "increasing", "decreasing", "resolved")


def draw_waterfall(data: WaterfallData, height_mm: float = 66.0) -> PlotImage:
    """One bar per lesion on a logarithmic axis, the limits of repeatability shaded."""
    upright, many = len(data.bars) <= _MOST_UPRIGHT, len(data.bars) > _MOST_LABELS
    with plot_image.drawing(height_mm) as figure:
        axes = plot_image.add_axes(figure, 15, 10 if upright else 13, 2, 7)
        _draw_limits(axes, data)
        places = _places(data)
        for place, bar in zip(places, data.bars, strict=True):
            axes.bar(place, bar.height, width=0.82, zorder=2, **plot_image.face(bar.class_, thin=many))
            _label_bar(axes, place, bar, len(data.bars))
        axes.axhline(0.0, color="black", linewidth=0.6, zorder=3)
        axes.set_xlim(-0.6, max(places[-1], 8) + 0.6)
        axes.set_ylim(-1.16 * data.end, 1.16 * data.end)
        _name_bars(axes, places, data, upright)
        levels = range(-int(data.end), int(data.end) + 1)
        axes.set_yticks(list(levels), [_factor(level) for level in levels])
        axes.set_ylabel(data.axis, fontsize=NORMAL, color=INK)
        plot_image.set_title(axes, data.title)
        plot_image.class_legend(figure, {bar.class_ for bar in data.bars})
        return plot_image.finish(figure, _waterfall_text(data))


def _draw_limits(axes: Axes, data: WaterfallData) -> None:
    axes.axhspan(math.log2(data.low), math.log2(data.high), color="0.88", linewidth=0, zorder=0)
    for level in (math.log2(data.low), math.log2(data.high)):
        axes.axhline(level, color=FAINT, linewidth=0.5, linestyle=(0, (3, 2)), zorder=1)
    low, high = (decimal(f"{limit:.2f}") for limit in (data.low, data.high))
    told = tr("shaded: within repeatability ({low} to {high})").format(low=low, high=high)
    step = _naming_step(data)
    if step > 1:
        told += "; " + tr("one lesion in {step} is named").format(step=step)
    axes.set_title(told, loc="right", fontsize=NORMAL, color=INK, pad=4)


def _places(data: WaterfallData) -> list[float]:
    """Where the bars stand; new lesions a little apart from the others."""
    apart = 0.8 if any(bar.class_ != "new" for bar in data.bars) else 0.0
    return [place + (apart if bar.class_ == "new" else 0.0) for place, bar in enumerate(data.bars)]


def _factor(level: int) -> str:
    return f"×{2**level}" if level >= 0 else f"×1/{2**-level}"


def _label_bar(axes: Axes, place: float, bar: WaterfallBar, count: int) -> None:
    """The ratio beyond the end of a bar where there is room, else only a sign where the value lies beyond the axis."""
    told = bar.text.replace("x ", "×") if count <= _MOST_VALUES else ""
    if bar.class_ in ("new", "resolved"):
        told = CLASS_SIGNS[bar.class_]
    elif bar.cut:
        told = told or ("▲" if bar.height > 0 else "▼")
    if told and count <= _MOST_LABELS:
        above = bar.height > 0
        axes.annotate(
            told,
            (place, bar.height),
            (0, 1.5 if above else -1.5),
            textcoords="offset points",
            fontsize=SMALL if count <= _MOST_VALUES else SMALL - 1,
            color=INK,
            ha="center",
            va="bottom" if above else "top",
        )


def _name_bars(axes: Axes, places: list[float], data: WaterfallData, upright: bool) -> None:
    """The tracks below the axis; of very many, every so many."""
    step = _naming_step(data)
    axes.set_xticks(places[::step], [bar.track for bar in data.bars[::step]])
    for label in axes.get_xticklabels():
        label.set(rotation=0 if upright else 90, fontsize=NORMAL if upright else SMALL)
    axes.tick_params(axis="x", length=0 if step == 1 else 2, pad=1)


def _naming_step(data: WaterfallData) -> int:
    return math.ceil(len(data.bars) / _MOST_LABELS)


def _waterfall_text(data: WaterfallData) -> str:
    parts = [
        f"{bar.track} {report_words.response_class(bar.class_) if bar.ratio is None else bar.text}" for bar in data.bars
    ]
    text = tr("{title}: {axis} of {count} lesions. {bars}")
    return text.format(title=data.title, axis=data.axis, count=len(data.bars), bars=", ".join(parts))


def draw_spaghetti(data: SpaghettiData, height_mm: float = 84.0) -> PlotImage:
    """One line per lesion on a logarithmic axis; a lesion that is gone goes down to the foot of the axis."""
    treated = plot_image.is_treated(data.days, data.treatments, data.therapy_start)
    with plot_image.drawing(height_mm) as figure:
        axes = plot_image.add_axes(figure, 17, 15, 17, 12 if treated else 7)
        axes.set_yscale("log")
        values = [point.value for line in data.lines for point in line.points if point.value is not None]
        foot = min(values) / 2.5
        axes.set_ylim(foot, max(values) * 1.4)
        plot_image.draw_days(axes, data.days, data.treatments, therapy_start=data.therapy_start)
        # Those that changed are drawn over the others.
        for line in sorted(data.lines, key=lambda line: line.class_ in _CHANGED):
            _draw_line(axes, line, foot, len(data.lines))
        _name_lines(axes, data, foot)
        gone = any(point.status == "gone" for line in data.lines for point in line.points)
        told = f" {tr('no lesion')}" if gone else ""
        axes.text(1.0, 0.0, told, transform=axes.transAxes, fontsize=SMALL, color=INK, ha="left", va="center")
        axes.set_ylabel(data.axis.replace(" x ", " × "), fontsize=NORMAL, color=INK)
        _decimal_ticks(axes)
        plot_image.set_title(axes, data.title, 6.5 if treated else 1.4)
        _line_legend(figure, data)
        return plot_image.finish(figure, _spaghetti_text(data))


def _draw_line(axes: Axes, line: SpaghettiLine, foot: float, count: int) -> None:
    """Where a lesion was is joined by a line; to where it is gone the line is thin and dotted."""
    style = _line_style(line.class_, count)
    places = [(point.day, foot if point.value is None else point.value, point) for point in line.points]
    for (day, value, point), (next_day, next_value, after) in pairwise(places):
        gone = [one for one in (point, after) if one.value is None]
        if any(one.status not in ("gone", "") for one in gone) or len(gone) == 2:
            continue
        if gone:
            axes.plot([day, next_day], [value, next_value], color=style["color"], linewidth=0.5, linestyle=(0, (1, 2)))
        else:
            axes.plot([day, next_day], [value, next_value], **style)
    there = [(day, value) for day, value, point in places if point.value is not None]
    marker = _MARKERS.get(line.class_, "d")
    size = (3.2 if marker != "." else 4.0) * (1.0 if count <= 60 else 0.7)
    axes.plot(*zip(*there, strict=True), linestyle="", marker=marker, markersize=size, zorder=style["zorder"] + 0.1,
              markerfacecolor=style["color"], markeredgecolor="black", markeredgewidth=0.3)  # fmt: skip
    gone_days = [day for day, _, point in places if point.value is None and point.status == "gone"]
    axes.plot(gone_days, [foot] * len(gone_days), linestyle="", marker="x", markersize=3, color=INK, clip_on=False)


def _line_style(class_: str, count: int) -> dict[str, Any]:
    changed = class_ in _CHANGED
    thin = 0.6 if count > 60 else 1.0
    return {
        "color": class_color(class_) if class_ else (0.6, 0.6, 0.6),
        "linewidth": thin * (1.3 if changed else 0.8),
        "linestyle": _LINES.get(class_, "solid"),
        "zorder": 2.5 if changed else 2.0,
    }


def _name_lines(axes: Axes, data: SpaghettiData, foot: float) -> None:
    """Names at the right of the lines that reach the last study, spread so that none hides another."""
    last_day = data.days[-1][0]
    ends = sorted(
        (line.points[-1].value, line.track)
        for line in data.lines
        if line.points and line.points[-1].day == last_day and line.points[-1].value is not None
    )
    if not ends or len(ends) > _MOST_NAMED_LINES:
        return
    low, high = math.log(foot), math.log(axes.get_ylim()[1])
    gap = 0.036 * (high - low)
    heights = _spread([math.log(value) for value, _ in ends], gap, low + gap, high)
    edge = axes.get_xlim()[1]
    for (value, track), height in zip(ends, heights, strict=True):
        axes.plot([last_day, edge], [value, math.exp(height)], linewidth=0.25, color=FAINT, clip_on=False, zorder=1.5)
        axes.text(edge, math.exp(height), f" {track}", fontsize=SMALL, color=INK, va="center_baseline")


def _spread(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending places moved as little as needed to be ``gap`` apart, between the ends where there is room."""
    from scipy.optimize import isotonic_regression

    steps = gap * np.arange(len(places))
    moved = isotonic_regression(np.array(places) - steps).x
    top = max(high - steps[-1], low)
    return [float(place) for place in np.clip(moved, low, top) + steps]


def _decimal_ticks(axes: Axes) -> None:
    """Plain numbers along the logarithmic axis, with ones in between where it spans little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: decimal(f"{value:g}")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=1.2, width=0.3)


def _line_legend(figure: Figure, data: SpaghettiData) -> None:
    from matplotlib.lines import Line2D

    classes = {line.class_ for line in data.lines}
    handles = []
    for name in (*_MARKERS, *sorted(classes - set(_MARKERS) - {""}), ""):
        if name in classes:
            style = _line_style(name, 1)
            handles.append(
                Line2D([], [], marker=_MARKERS.get(name, "d"), markersize=3.2, markeredgecolor="black",
                       markeredgewidth=0.3, label=plot_image.class_name(name) if name else tr("not compared"),
                       color=style["color"], linestyle=style["linestyle"], linewidth=1.0)
            )  # fmt: skip
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.005), ncol=len(handles), fontsize=NORMAL,
                  frameon=False, borderpad=0.0, handlelength=3.0, columnspacing=1.4)  # fmt: skip


def _spaghetti_text(data: SpaghettiData) -> str:
    text = tr("{title}: {axis} of {count} lesions, {days}. The values are in the tables.")
    told = text.format(title=data.title, axis=data.axis, count=len(data.lines), days=plot_image.days_text(data.days))
    if data.therapy_start is not None:
        told += f" {tr('The line of therapy began on day {day}.').format(day=data.therapy_start)}"
    if not data.treatments:
        return told
    given = [(one.days_since_baseline, one.label) for one in data.treatments]
    return f"{told} {tr('Treatments: {days}.').format(days=plot_image.days_text(given))}"
