"""What the plots of lesions share: figures of the width of a page, and how a class looks with and without color."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import report_words
from .i18n import tr
from .results_model import Treatment
from .status_colors import CLASS_HATCHES, CLASS_SIGNS, CLASSES, class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_MM = 186.0  # text width of an A4 page
DOTS_PER_INCH = 220
MM_PER_INCH = 25.4
SMALL, NORMAL, HEADING = 5.5, 6.5, 7.5  # points
INK, FAINT = "0.15", "0.45"
_BEFORE_DAYS = 60  # how long before the first study treatment is drawn
_CLOSE_DAYS_SHARE = 0.08  # of the axis: names of lines that lie closer would cover each other
STYLE: dict[str, Any] = {
    "hatch.linewidth": 0.45,
    "hatch.color": "black",
    "axes.linewidth": 0.5,
    "font.family": "DejaVu Sans",
}


@dataclass(frozen=True)
class PlotImage:
    """A PNG image, its width on paper, and what it shows in words for readers who do not see it."""

    png: bytes
    width_mm: float
    description: str


@contextmanager
def drawing(height_mm: float) -> Iterator[Figure]:
    """An empty figure of the width of a page. Everything is to be drawn inside: lines of hatching are set there."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(WIDTH_MM / MM_PER_INCH, height_mm / MM_PER_INCH), dpi=DOTS_PER_INCH)


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with these margins in mm, with as few lines as needed."""
    width, height = (size * MM_PER_INCH for size in figure.get_size_inches())
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=NORMAL, width=0.4, length=2, colors=INK)
    return axes


def finish(figure: Figure, description: str) -> PlotImage:
    """The figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return PlotImage(buffer.getvalue(), float(figure.get_size_inches()[0]) * MM_PER_INCH, description)


def face(name: str, thin: bool = False) -> dict[str, Any]:
    """How an area of a class is filled: its color, and a hatching that tells it apart in print without color."""
    color = class_color(name) if name else (1.0, 1.0, 1.0)
    return {
        "facecolor": color,
        "hatch": CLASS_HATCHES[name] if name else "",
        "edgecolor": "black",
        "linewidth": 0.12 if thin else 0.35,
    }


def class_name(name: str) -> str:
    """Sign and word of a class; "" is a track without a lesion."""
    return f"{CLASS_SIGNS[name]} {report_words.response_class(name)}" if name else tr("no lesion")


def class_legend(figure: Figure, names: Iterable[str], bottom_mm: float = 0.5) -> None:
    """The classes that occur, in their order, in one line at the foot of the figure; no legend where there are none."""
    from matplotlib.patches import Patch

    shown = [name for name in CLASSES if name in set(names)]
    if not shown:  # no two studies that can be compared
        return
    height = figure.get_size_inches()[1] * MM_PER_INCH
    figure.legend(
        handles=[Patch(label=class_name(name), **face(name)) for name in shown],
        loc="lower center",
        bbox_to_anchor=(0.5, bottom_mm / height),
        ncol=len(shown),
        fontsize=NORMAL,
        frameon=False,
        borderpad=0.0,
        handlelength=2.4,
        handleheight=1.1,
        columnspacing=1.4,
    )


def set_title(axes: Axes, text: str, below_mm: float = 1.4, room_mm: float | None = None) -> None:
    """A title at the left above the axes, in smaller letters where ``room_mm`` is too little for it."""
    pad = below_mm * 72.0 / MM_PER_INCH
    size = HEADING if room_mm is None else min(HEADING, HEADING * room_mm / max(title_mm(text), 1.0))
    axes.set_title(text, loc="left", fontsize=size, fontweight="bold", color=INK, pad=pad)


def title_mm(text: str) -> float:
    """How wide a title is (mm)."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=STYLE["font.family"], weight="bold")
    return float(TextPath((0, 0), text, size=HEADING, prop=font).get_extents().x1) * MM_PER_INCH / 72.0


def shown_treatments(days: Sequence[tuple[int, str]], treatments: Sequence[Treatment]) -> list[Treatment]:
    """Treatments between the studies or not long before the first."""
    return [one for one in treatments if is_shown(days, one.days_since_baseline)]


def is_shown(days: Sequence[tuple[int, str]], day: int | None) -> bool:
    """Whether a day lies between the studies or not long before the first."""
    return day is not None and days[0][0] - _BEFORE_DAYS <= day <= days[-1][0]


def is_treated(days: Sequence[tuple[int, str]], treatments: Sequence[Treatment], therapy_start: int | None) -> bool:
    """Whether a line of a treatment or of the start of therapy is drawn, which needs room for its name."""
    return bool(shown_treatments(days, treatments)) or is_shown(days, therapy_start)


def days_text(days: Sequence[tuple[int, str]]) -> str:
    """Studies or treatments with their days, for the description of a plot."""
    return ", ".join(tr("{label} on day {day}").format(label=label, day=day) for day, label in days)


def draw_days(
    axes: Axes,
    days: Sequence[tuple[int, str]],
    treatments: Sequence[Treatment],
    named: bool = True,
    therapy_start: int | None = None,
    above: bool = True,
) -> None:
    """Days since the baseline along x, with the studies below, and a line for each treatment, with its name above.

    ``therapy_start`` is the day on which the line of therapy began; its line is dotted. Where they are not ``named``
    only the days are written; names ``above`` can be left out alone.
    """
    inside = shown_treatments(days, treatments)
    given = [one.days_since_baseline for one in inside]
    above = above and named
    began = [therapy_start] if therapy_start is not None and is_shown(days, therapy_start) else []
    first, last = min([days[0][0], *given, *began]), days[-1][0]
    margin = max(0.04 * (last - first), 2.0)
    axes.set_xlim(first - margin, last + margin)
    axes.set_xticks(
        [day for day, _ in days],
        [f"{label}\n{tr('day {number}').format(number=day)}" if named else str(day) for day, label in days],
    )
    if not named:
        axes.set_xlabel(tr("day"), fontsize=SMALL, color=INK, labelpad=1)
    for label in axes.get_xticklabels():
        label.set_fontsize(NORMAL)
    for treatment in inside:
        axes.axvline(treatment.days_since_baseline, color=INK, linewidth=0.6, linestyle=(0, (4, 2)), zorder=1)
        axes.text(
            treatment.days_since_baseline,
            1.01,
            treatment.label.replace(" ", "\n", 1) if above else "",
            transform=axes.get_xaxis_transform(),
            fontsize=SMALL,
            color=INK,
            ha="center",
            va="bottom",
            linespacing=0.95,
        )
    for day in began:
        axes.axvline(day, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
        if above and day not in given:
            _name_start(axes, day, any(abs(day - other) < _CLOSE_DAYS_SHARE * (last - first) for other in given))


def _name_start(axes: Axes, day: int, beside: bool) -> None:
    """The name of the line at which therapy began; ``beside`` it where that of a treatment stands close by."""
    axes.annotate(
        tr("start of therapy").replace(" ", "\n", 1),
        (day, 1.01),
        (-10 if beside else 0, 0),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        fontsize=SMALL,
        color=INK,
        ha="right" if beside else "center",
        va="bottom",
        linespacing=0.95,
    )
