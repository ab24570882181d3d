"""Figures of the report: anterior projections of all time points side by side, with outlined and labeled lesions."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .label_layout import Anchor, Placement, place_labels
from .projection import Outline, Projection
from .status_colors import STATUS_LETTERS, status_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

# The same window on every scan, so that darkness can be compared.
WINDOW_SUV = (0.0, 15.0)
BODY_SUV = 0.25

FIGURE_WIDTH_MM = 186.0  # text width of an A4 page
LARGEST_BODY_HEIGHT_MM = 102.0  # on paper: the figure fits under two response cards on the first page
PANELS_PER_ROW = 4
DOTS_PER_INCH = 220
LABEL_COLUMN_MM = 9.0
TITLE_MM = 12.5
FOOT_MM = 9.0
FONT_POINTS = (6.5, 6.0, 5.5, 5.0)
LINE_HEIGHT = 1.15
MM_PER_INCH = 25.4
MM_PER_POINT = MM_PER_INCH / 72.0
# Which labels stay when there is no room for all: these statuses first, then the largest lesions.
LABELED_FIRST = ("new", "reappeared", "complex", "split")


@dataclass(frozen=True)
class LesionMark:
    """How a lesion is shown: by the label of its track and its status."""

    label: str
    status: str
    volume_ml: float


@dataclass(frozen=True)
class GoneMark:
    """Where a lesion that is no longer found would be: center in LPS mm, and the size that it had."""

    label: str
    x_mm: float
    z_mm: float
    radius_mm: float


@dataclass(frozen=True)
class Panel:
    """One time point of the figure; ``marks`` by lesion number.

    ``black_at`` is the uptake that is drawn black, in the units of the projection: SUV 15 on every scan that is in SUV.
    """

    title: str
    subtitle: str
    projection: Projection
    marks: Mapping[int, LesionMark]
    gone: Sequence[GoneMark] = ()
    black_at: float = WINDOW_SUV[1]


@dataclass(frozen=True)
class MipFigure:
    """A PNG image with up to four time points."""

    png: bytes
    width_mm: float  # on paper; figures shown at their width are at the same scale
    description: str  # for readers who do not see the image
    unlabeled: Mapping[str, tuple[str, ...]]  # by panel title: lesions for whose label there was no room


def draw_mips(panels: Sequence[Panel]) -> list[MipFigure]:
    """Draw all time points at the same scale and window, up to four in a row; one figure per row."""
    if not panels:
        return []
    frames = [_body_frame(panel) for panel in panels]
    width_mm = max(frame.right - frame.left for frame in frames)
    height_mm = max(frame.top - frame.bottom for frame in frames)
    rows = -(-len(panels) // PANELS_PER_ROW)
    per_row = -(-len(panels) // rows)
    return [
        _draw_row(panels[start : start + per_row], frames[start : start + per_row], width_mm, height_mm, per_row)
        for start in range(0, len(panels), per_row)
    ]


@dataclass(frozen=True)
class _Frame:
    """The part of a projection that holds the body, LPS mm."""

    left: float
    right: float
    bottom: float
    top: float


def _body_frame(panel: Panel) -> _Frame:
    """Where there is a body or a lesion, with a margin of 10 mm, within the image."""
    projection = panel.projection
    left, right, bottom, top = projection.extent_mm
    height, width = projection.values.shape
    body = projection.values > BODY_SUV * panel.black_at / WINDOW_SUV[1]
    # A streak of noise outside the body fills less than a fiftieth of a row or column.
    rows = np.flatnonzero(body.mean(axis=1) > 0.02)
    columns = np.flatnonzero(body.mean(axis=0) > 0.02)
    if rows.size == 0 or columns.size == 0:
        return _Frame(left, right, bottom, top)
    dx, dz, margin = (right - left) / width, (top - bottom) / height, 10.0
    outlines = projection.outlines.values()
    return _Frame(
        left=max(left, min([left + columns[0] * dx, *(outline.left_mm for outline in outlines)]) - margin),
        right=min(right, max([left + (columns[-1] + 1) * dx, *(outline.right_mm for outline in outlines)]) + margin),
        bottom=max(bottom, min([top - (rows[-1] + 1) * dz, *(outline.bottom_mm for outline in outlines)]) - margin),
        top=min(top, max([top - rows[0] * dz, *(outline.top_mm for outline in outlines)]) + margin),
    )


def _draw_row(
    panels: Sequence[Panel], frames: Sequence[_Frame], width_mm: float, height_mm: float, columns: int
) -> MipFigure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panel_mm = FIGURE_WIDTH_MM / max(columns, 2)
    # Millimeters on paper per millimeter of body: the same in every panel.
    scale = min((panel_mm - 2 * LABEL_COLUMN_MM) / width_mm, LARGEST_BODY_HEIGHT_MM / height_mm)
    panel_mm = min(panel_mm, width_mm * scale + 2 * LABEL_COLUMN_MM + 4)
    figure_width = panel_mm * len(panels)
    figure_height = height_mm * scale + TITLE_MM + FOOT_MM
    figure = Figure(figsize=(figure_width / MM_PER_INCH, figure_height / MM_PER_INCH), dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    unlabeled = {}
    for index, (panel, frame) in enumerate(zip(panels, frames, strict=True)):
        axes = figure.add_axes(
            (
                index * panel_mm / figure_width,
                FOOT_MM / figure_height,
                panel_mm / figure_width,
                height_mm * scale / figure_height,
            )
        )
        unlabeled[panel.title] = _draw_panel(axes, panel, frame, panel_mm, height_mm, scale)
    _draw_foot(figure, scale)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    titles = ", ".join(f"{panel.title} with {len(panel.marks)} lesions" for panel in panels)
    description = f"Maximum intensity projections from the front, head up, patient's right on the left: {titles}."
    return MipFigure(buffer.getvalue(), figure_width, description, unlabeled)


def _draw_panel(
    axes: Axes, panel: Panel, frame: _Frame, panel_mm: float, height_mm: float, scale: float
) -> tuple[str, ...]:
    """Draw one time point; returns the lesions that got no label."""
    center = (frame.left + frame.right) / 2
    half = panel_mm / scale / 2
    axes.set_axis_off()
    left, right, bottom, top = panel.projection.extent_mm
    image = axes.imshow(
        panel.projection.values,
        cmap="gray_r",
        vmin=WINDOW_SUV[0],
        vmax=panel.black_at,
        extent=(left, right, bottom, top),
        interpolation="bilinear",
        aspect="auto",
    )
    edge = half - LABEL_COLUMN_MM / scale
    image.set_clip_path(_rectangle(axes, center - edge, frame.bottom, 2 * edge, frame.top - frame.bottom))
    # Heads are level: scans differ in where their coordinates start.
    axes.set_xlim(center - half, center + half)
    axes.set_ylim(frame.top - height_mm, frame.top)
    _draw_outlines(axes, panel)
    unlabeled = _draw_labels(axes, panel, frame, center, edge, scale)
    _draw_title(axes, panel, scale)
    for side, text in ((-1, "R"), (1, "L")):
        axes.text(
            center + side * (edge - 3 / scale), frame.top, text, fontsize=6.5, color="0.35", ha="center", va="top"
        )
    return unlabeled


def _rectangle(axes: Axes, x: float, y: float, width: float, height: float) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, transform=axes.transData)


def _draw_title(axes: Axes, panel: Panel, scale: float) -> None:
    middle = sum(axes.get_xlim()) / 2
    top = axes.get_ylim()[1]
    axes.text(middle, top + 8.0 / scale, panel.title, fontsize=8, fontweight="bold", ha="center", va="bottom")
    axes.text(middle, top + 7.4 / scale, panel.subtitle, fontsize=6.5, color="0.25", ha="center", va="top")


def _draw_outlines(axes: Axes, panel: Panel) -> None:
    from matplotlib.collections import EllipseCollection, LineCollection

    lines, colors = [], []
    for lesion, outline in panel.projection.outlines.items():
        edges = _edges(outline)
        mark = panel.marks.get(lesion)
        lines += edges
        colors += [status_color(mark.status if mark else "")] * len(edges)
    # A white line below keeps the color visible on black uptake.
    axes.add_collection(LineCollection(lines, colors="white", linewidths=1.7, capstyle="round", joinstyle="round"))
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=0.9, capstyle="round", joinstyle="round"))
    for width, color, style in ((1.7, "white", "solid"), (0.8, status_color("gone"), (0, (2, 1.5)))):
        sizes = [2 * mark.radius_mm for mark in panel.gone]
        axes.add_collection(
            EllipseCollection(
                sizes,
                sizes,
                [0.0] * len(sizes),
                units="xy",
                offsets=np.reshape([(mark.x_mm, mark.z_mm) for mark in panel.gone], (-1, 2)),
                transOffset=axes.transData,
                facecolors="none",
                edgecolors=color,
                linewidths=width,
                linestyles=[style],
            )
        )


def _edges(outline: Outline) -> list[list[tuple[float, float]]]:
    """The border of the shadow, along the edges of its pixels, as lines of two points in LPS mm."""
    mask = np.pad(outline.mask, 1)
    height, width = outline.mask.shape
    x = np.linspace(outline.left_mm, outline.right_mm, width + 1)
    z = np.linspace(outline.top_mm, outline.bottom_mm, height + 1)
    rows, columns = np.nonzero(mask[1:, 1:-1] != mask[:-1, 1:-1])
    lines = [[(x[column], z[row]), (x[column + 1], z[row])] for row, column in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(mask[1:-1, 1:] != mask[1:-1, :-1])
    lines += [[(x[column], z[row]), (x[column], z[row + 1])] for row, column in zip(rows, columns, strict=True)]
    return lines


@dataclass(frozen=True)
class _Target:
    """What a label points at."""

    label: str
    status: str
    left_x: float
    right_x: float
    anchor: Anchor


def _targets(panel: Panel) -> list[_Target]:
    targets: list[_Target] = []
    for lesion, mark in panel.marks.items():
        outline = panel.projection.outlines.get(lesion)
        if outline is not None:
            rank = (0.0 if mark.status in LABELED_FIRST else 1.0, -mark.volume_ml)
            anchor = Anchor(len(targets), *outline.center_mm, rank)
            targets.append(_Target(mark.label, mark.status, outline.left_mm, outline.right_mm, anchor))
    for gone in panel.gone:
        anchor = Anchor(len(targets), gone.x_mm, gone.z_mm, (2.0, -gone.radius_mm))
        left, right = gone.x_mm - gone.radius_mm, gone.x_mm + gone.radius_mm
        targets.append(_Target(gone.label, "gone", left, right, anchor))
    return targets


def _draw_labels(axes: Axes, panel: Panel, frame: _Frame, center: float, edge: float, scale: float) -> tuple[str, ...]:
    targets = _targets(panel)
    low, high = axes.get_ylim()[0] + 1.2 / scale, frame.top - 1.2 / scale
    placements: list[Placement] = []
    dropped: list[int] = []
    for points in FONT_POINTS:
        gap = points * LINE_HEIGHT * MM_PER_POINT / scale
        placements, dropped = place_labels([target.anchor for target in targets], center, low, high, gap)
        if not dropped:
            break
    for place in placements:
        target = targets[place.key]
        side = -1 if place.left else 1
        start, end = center + side * edge, target.left_x if place.left else target.right_x
        axes.plot(
            [start, start - side * 1.5 / scale, end],
            [place.y, place.y, target.anchor.y],
            color=status_color(target.status),
            linewidth=0.4,
        )
        axes.text(
            start + side * 0.4 / scale,
            place.y,
            f"{target.label} {STATUS_LETTERS.get(target.status, '')}".strip(),
            fontsize=points,
            fontweight="bold" if target.status in LABELED_FIRST else "normal",
            color="0.35" if target.status == "gone" else "black",
            ha="right" if place.left else "left",
            va="center_baseline",
        )
    return tuple(targets[key].label for key in sorted(dropped))


def _draw_foot(figure: Figure, scale: float) -> None:
    """A scale bar of 100 mm and the SUV window."""
    width, height = (size * MM_PER_INCH for size in figure.get_size_inches())
    axes = figure.add_axes((0, 0, 1, FOOT_MM / height))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, FOOT_MM)
    bar = 100 * scale
    axes.plot([LABEL_COLUMN_MM, LABEL_COLUMN_MM + bar], [4.2, 4.2], color="black", linewidth=1.2, solid_capstyle="butt")
    axes.text(LABEL_COLUMN_MM + bar / 2, 3.4, "100 mm", fontsize=6.5, ha="center", va="top")
    right = width - LABEL_COLUMN_MM
    gradient = np.linspace(0, 1, 64)[None, :]
    axes.imshow(gradient, cmap="gray_r", extent=(right - 30, right, 3.6, 5.6), aspect="auto")
    axes.set_xlim(0, width)
    axes.set_ylim(0, FOOT_MM)
    for x, text in ((right - 30, f"{WINDOW_SUV[0]:g}"), (right - 15, "SUV"), (right, f"≥ {WINDOW_SUV[1]:g}")):
        axes.text(x, 3.0, text, fontsize=6.5, ha="center", va="top")
