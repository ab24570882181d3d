"""Figures about sets of studies: occurrence maps, diversity beside Dice, and scans on two components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PSMASegmentLib.evaluation.body_frame import SPACING_MM, body_grid, reference_man
from PSMASegmentLib.evaluation.diversity import Relation
from PSMASegmentLib.evaluation.domain_shift import ScanMap, Separation

from .evaluation_summary import p_text
from .plot_image import INK, NORMAL, PlotImage, add_axes, drawing, finish, set_title, title_mm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

# Okabe and Ito's colors, which people with color blindness tell apart; signs say the same without color.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_SIGNS = ("o", "s", "^", "D", "v", "P", "X")
_MAP_MM, _PLOT_MM = 108.0, 92.0
_MAN_TALL = 2.1  # times as wide as the reference man is
_MOST_MAPS = 6
_OPAQUE, _FAINT = 0.85, 0.06  # opacity of a map, and the share of its highest value below which it fades


def occurrence_plot(maps: Mapping[str, npt.NDArray[np.float64]], width_mm: float = 186.0) -> PlotImage:
    """Occurrence maps of up to six sets from the front, that of a single one also from the side.

    Drawn is the highest value along the line of sight, in percent of the studies, over the skeleton of the reference
    man; all maps share one scale.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm

    shown = list(maps.items())[:_MOST_MAPS]
    views: list[tuple[str, npt.NDArray[np.float64], int]] = [(name, values, 1) for name, values in shown]
    if len(shown) == 1:
        views = [("from the front", shown[0][1], 1), ("from the left", shown[0][1], 2)]
    top = 100.0 * max(float(values.max()) for _, values in shown) or 1.0
    room, longest = (width_mm - 22.0) / len(views), max(title_mm(name) for name, _, _ in views)
    with drawing(min(_MAP_MM, _MAN_TALL * room + 14.0)) as figure:
        scale = ScalarMappable(PowerNorm(0.5, 0.0, top), "plasma")  # the root shows rare places too
        for number, (name, values, axis) in enumerate(views):
            left = 4.0 + number * room
            axes = add_axes(figure, left, 4.0, width_mm - left - room + 3.0, 8.0)
            _draw_map(axes, values, axis, top, scale)
            set_title(axes, name, room_mm=(room - 1.0) * title_mm(name) / longest)
        bar = figure.colorbar(scale, cax=add_axes(figure, width_mm - 15.0, 12.0, 12.0, 16.0))
        bar.ax.tick_params(labelsize=NORMAL)
        bar.set_label("% of studies with lesion there, blurred", fontsize=NORMAL, color=INK)
        names = ", ".join(name for name, _ in shown)
        return finish(figure, f"Where lesions lie in the reference man: {names}. Highest value {top:.1f} % of studies.")


def _draw_map(axes: Axes, values: npt.NDArray[np.float64], axis: int, top: float, scale: ScalarMappable) -> None:
    man, grid = reference_man(), body_grid()
    across = 2 if axis == 1 else 1  # array axis from left to right
    shadow = np.clip(man.hu + 1000.0, 0.0, None).mean(axis=axis)
    side = 0 if across == 2 else 1  # coordinate of that axis
    half = 0.5 * man.spacing_mm
    wide, tall = man.axes[side], man.axes[2]
    extent = (float(wide[0]) - half, float(wide[-1]) + half, float(tall[0]) - half, float(tall[-1]) + half)
    axes.imshow(shadow, cmap="gray_r", origin="lower", extent=extent, vmax=1.9 * shadow.max(), interpolation="bilinear")
    percent = 100.0 * values.max(axis=axis)
    left, bottom = (grid.low[k] - 0.5 * SPACING_MM for k in (side, 2))
    reach = (left, left + SPACING_MM * values.shape[across], bottom, bottom + SPACING_MM * values.shape[0])
    colors = scale.to_rgba(percent)
    colors[..., 3] = _OPAQUE * np.clip(percent / (_FAINT * top), 0.0, 1.0)
    axes.imshow(colors, origin="lower", extent=reach, interpolation="bilinear")
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_axis_off()


def relation_plot(
    names: Sequence[str], diversities: Sequence[float], dices: Sequence[float], relation: Relation
) -> PlotImage:
    """Dice over the effective number of sites, one point a training subset."""
    with drawing(_PLOT_MM) as figure:
        axes = add_axes(figure, 16.0, 12.0, 8.0, 9.0)
        axes.scatter(diversities, dices, s=26, color=_COLORS[0], zorder=3)
        middle = 0.5 * (min(diversities) + max(diversities))
        for name, x, y in zip(names, diversities, dices, strict=True):
            inward = (4, "left") if x <= middle else (-4, "right")  # a long name would leave the plot
            axes.annotate(
                name, (x, y), (inward[0], 3), textcoords="offset points", ha=inward[1], fontsize=NORMAL, color=INK
            )
        axes.set_xlabel("effective number of sites of the training subset", fontsize=NORMAL, color=INK)
        axes.set_ylabel("Dice", fontsize=NORMAL, color=INK)
        axes.margins(x=0.12, y=0.12)
        low, high = relation.interval
        words = f"Spearman's rho {relation.rho:.2f} (95 % {low:.2f} to {high:.2f}), p {p_text(relation.p)}"
        set_title(axes, f"{words}, {relation.subsets} subsets")
        return finish(figure, f"Diversity and Dice of training subsets: {words}.")


def scans_plot(scans: ScanMap, groups: Sequence[str], apart: Separation) -> PlotImage:
    """Scans on their first two principal components, by group."""
    with drawing(1.25 * _PLOT_MM) as figure:
        axes = add_axes(figure, 16.0, 12.0, 46.0, 9.0)
        for number, name in enumerate(apart.groups):
            own = np.asarray([group == name for group in groups])
            color, sign = _COLORS[number % len(_COLORS)], _SIGNS[(number + number // len(_COLORS)) % len(_SIGNS)]
            label = f"{name} ({int(own.sum())})"
            x, y = scans.points[own].T
            axes.scatter(x, y, s=22, color=color, marker=sign, alpha=0.8, linewidths=0.0, label=label)
        labels = [
            f"principal component {number} ({100.0 * share:.0f} % of variance)"
            for number, share in enumerate(scans.explained, start=1)
        ]
        axes.set_xlabel(labels[0], fontsize=NORMAL, color=INK)
        axes.set_ylabel(labels[1], fontsize=NORMAL, color=INK)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=NORMAL, frameon=False, title_fontsize=NORMAL)
        figures = (("AUC", apart.auc, apart.auc_p), ("silhouette", apart.silhouette, apart.silhouette_p))
        words = ", ".join(f"{name} {value:.2f} (p {p_text(p)})" for name, value, p in figures)
        set_title(axes, f"{words}; of all components together")
        return finish(
            figure, f"Scans of {len(apart.groups)} groups on two principal components of embeddings: {words}."
        )
