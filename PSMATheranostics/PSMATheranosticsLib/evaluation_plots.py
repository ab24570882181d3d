"""The plots of an evaluation: overlap by study, lesions by size and region, false volumes and tumor burden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .evaluation_run import Evaluated
from .plot_image import INK, MM_PER_INCH, NORMAL, SMALL, PlotImage, add_axes, drawing, finish, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colors of Okabe and Ito (Color Universal Design, 2008), with hatchings and signs that tell them apart without color.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "++++")
_SIGNS = ("o", "s", "^", "D", "v", "P", "X")
_HEIGHT, _LEGEND = 52.0, 7.0  # mm
_BURDEN = {"psma_tv_ml": ("PSMA-TV", "mL"), "tl_psma": ("TL-PSMA", "SUV x mL")}
_MOST_PANELS = 4


def plots(result: Mapping[str, Any], evaluated: Sequence[Evaluated]) -> list[PlotImage]:
    """All plots that the studies allow for, in the order in which they are shown."""
    methods = list(result["methods"])
    by_method = {name: [one for one in evaluated if one.method == name] for name in methods}
    drawn = []
    if any(figures["all"]["with_lesions"] for figures in result["methods"].values()):
        drawn += [
            _overlap(by_method, bool(result["settings"]["surfaces"])),
            _by_group(result, "by_size", "Lesions found, by volume"),
        ]
    if any(figures["by_region"] for figures in result["methods"].values()):
        drawn.append(_by_group(result, "by_region", "Lesions found, by region"))
    drawn.append(_false_volumes(by_method))
    for name in _BURDEN:
        if all(name in figures["all"]["burden"] for figures in result["methods"].values()):
            drawn += [_differences(result, by_method, name, row) for row in _rows(methods)]
    return drawn


def _rows(methods: Sequence[str]) -> list[list[str]]:
    """Methods in rows of as even a length as can be, so that no plot is as wide as a whole row of others."""
    count = -(-len(methods) // _MOST_PANELS)
    return [[methods[k] for k in row] for row in np.array_split(np.arange(len(methods)), count)]


def _look(number: int) -> dict[str, Any]:
    return {"color": _COLORS[number % len(_COLORS)], "marker": _SIGNS[number % len(_SIGNS)]}


def _legend(figure: Figure, methods: Sequence[str], hatched: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for number, name in enumerate(methods):
        look = _look(number)
        if hatched:
            hatch = _HATCHES[number % len(_HATCHES)]
            handles.append(Patch(label=name, facecolor=look["color"], hatch=hatch, edgecolor="black", linewidth=0.3))
        else:
            handles.append(Line2D([], [], label=name, linestyle="", markersize=4, **look))
    columns = min(len(methods), 4)
    figure.legend(
        handles=handles,
        loc="lower center",
        ncol=columns,
        fontsize=NORMAL,
        frameon=False,
        borderpad=0.1,
        handlelength=2.0,
    )


def _legend_mm(methods: Sequence[str]) -> float:
    return _LEGEND * 0.7 * (1 + (len(methods) - 1) // 4)


def _strip(axes: Axes, groups: Sequence[Sequence[float]]) -> None:
    """Every value as a point beside a box of quartiles, one group after the other."""
    for number, values in enumerate(groups):
        known = np.asarray([value for value in values if np.isfinite(value)])
        if not known.size:
            continue
        axes.boxplot(
            known,
            positions=[number],
            widths=0.5,
            showfliers=False,
            whis=(10, 90),
            medianprops={"color": INK, "linewidth": 1.2},
            boxprops={"linewidth": 0.5},
            whiskerprops={"linewidth": 0.5},
            capprops={"linewidth": 0.5},
        )
        # Spread by rank, so that equal studies give equal plots.
        beside = 0.18 * np.sin(2.4 * np.arange(known.size))
        axes.scatter(number + beside, known, s=6, linewidths=0, alpha=0.7, zorder=3, **_look(number))
    axes.set_xlim(-0.6, len(groups) - 0.4)


def _overlap(by_method: Mapping[str, Sequence[Evaluated]], surfaces: bool) -> PlotImage:
    methods = list(by_method)
    shown = (("dice", "Dice"), ("surface_dice", "Surface Dice"))[: 1 + surfaces]
    bottom = _legend_mm(methods) + 5
    with drawing(_HEIGHT + bottom) as figure:
        width = figure.get_size_inches()[0] * MM_PER_INCH
        for number, (name, title) in enumerate(shown):
            left = 10 + number * width / 2
            axes = add_axes(figure, left, bottom, 3 + (width / 2 - 1) * (len(shown) - 1 - number), 6)
            set_title(axes, title)
            _strip(axes, [[getattr(one.figures.voxels, name) for one in by_method[m]] for m in methods])
            axes.set_ylim(-0.03, 1.03)
            axes.set_xticks([])
        _legend(figure, methods, hatched=False)
        return finish(
            figure,
            f"{' and '.join(title for _, title in shown)} of every study with lesions, by method "
            f"({', '.join(methods)}): points, with boxes of median and quartiles and whiskers from the 10th to the "
            "90th percentile.",
        )


def _by_group(result: Mapping[str, Any], groups: str, title: str) -> PlotImage:
    """Shares of lesions found in groups of them, with their intervals."""
    methods = list(result["methods"])
    names = list(dict.fromkeys(name for figures in result["methods"].values() for name in figures[groups]))
    names = [n for n in names if any(f[groups].get(n, {}).get("lesions") for f in result["methods"].values())]
    bottom = _legend_mm(methods) + 9
    with drawing(_HEIGHT + bottom) as figure:
        axes = add_axes(figure, 10, bottom, 3, 6)
        set_title(axes, title)
        step = 0.8 / len(methods)
        for number, method in enumerate(methods):
            for place, name in enumerate(names):
                group = result["methods"][method][groups].get(name)
                if group is None or group["sensitivity"]["value"] is None:
                    continue
                share, x = group["sensitivity"], place - 0.4 + (number + 0.5) * step
                hatch = _HATCHES[number % len(_HATCHES)]
                axes.bar(
                    x,
                    share["value"],
                    0.9 * step,
                    color=_look(number)["color"],
                    hatch=hatch,
                    edgecolor="black",
                    linewidth=0.3,
                )
                if share["low"] is not None:
                    axes.plot([x, x], [share["low"], share["high"]], color=INK, linewidth=0.8)
        first = result["methods"][methods[0]][groups]
        counted = [f"{name}\n{first.get(name, {}).get('lesions', 0)} lesions" for name in names]
        axes.set_xticks(range(len(names)), counted, fontsize=SMALL)
        axes.set_ylim(0, 1.03)
        axes.set_ylabel("share found", fontsize=SMALL, color=INK)
        _legend(figure, methods, hatched=True)
        return finish(figure, f"{title} (any overlap), by method ({', '.join(methods)}), with 95 % intervals.")


def _false_volumes(by_method: Mapping[str, Sequence[Evaluated]]) -> PlotImage:
    methods = list(by_method)
    bottom = _legend_mm(methods) + 5
    with drawing(_HEIGHT + bottom) as figure:
        width = figure.get_size_inches()[0] * MM_PER_INCH
        for number, (name, title) in enumerate(
            (("fpv_ml", "False positive volume"), ("fnv_ml", "False negative volume"))
        ):
            left = 12 + number * width / 2
            axes = add_axes(figure, left, bottom, width - left - width / 2 + 14, 6)
            set_title(axes, title)
            values = [[getattr(one.figures.voxels, name) for one in by_method[m]] for m in methods]
            axes.set_yscale("symlog", linthresh=1.0)
            _strip(axes, values)
            top = max((v for group in values for v in group if np.isfinite(v)), default=1.0)
            axes.set_ylim(-0.1, max(1.0, 1.5 * top))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_ylabel("mL (logarithmic above 1)", fontsize=SMALL, color=INK, labelpad=1)
            axes.set_xticks([])
        _legend(figure, methods, hatched=False)
        return finish(
            figure,
            f"False positive volume of every study and false negative volume of every study with lesions, by method "
            f"({', '.join(methods)}).",
        )


def _differences(
    result: Mapping[str, Any], by_method: Mapping[str, Sequence[Evaluated]], name: str, methods: Sequence[str]
) -> PlotImage:
    """Bland-Altman plots side by side, on the same axes."""
    title, unit = _BURDEN[name]
    order = list(by_method)
    points = {}
    for method in methods:
        pairs = np.asarray(
            [
                [getattr(one.figures.true_burden, name), getattr(one.figures.found_burden, name)]
                for one in by_method[method]
            ]
        )
        points[method] = pairs.mean(axis=1), pairs[:, 1] - pairs[:, 0]
    edges = [
        result["methods"][method]["all"]["burden"][name][edge]["value"]
        for method in methods
        for edge in ("lower_limit", "upper_limit")
    ]
    largest = [float(np.abs(apart).max()) for _, apart in points.values()]
    reach = max([1.0, *largest, *(abs(edge) for edge in edges if edge is not None)])
    with drawing(_HEIGHT + 16) as figure:
        width = (figure.get_size_inches()[0] * MM_PER_INCH - 13) / len(methods)
        for number, method in enumerate(methods):
            left = 15 + number * width
            axes = add_axes(figure, left, 9, width * (len(methods) - number - 1) + 3, 12)
            set_title(axes, title if number == 0 else "", below_mm=7.0)
            # Names of settings would run into the next plot: they go on a line of their own.
            axes.text(0, 1.02, method.replace("@", "\n@", 1), transform=axes.transAxes, fontsize=NORMAL, color=INK)
            axes.scatter(*points[method], s=7, linewidths=0, alpha=0.75, zorder=3, **_look(order.index(method)))
            _lines(axes, result["methods"][method]["all"]["burden"][name])
            axes.set_xscale("symlog", linthresh=1.0)
            axes.set_yscale("symlog", linthresh=1.0)
            axes.set_xlim(0, 1.5 * max(1.0, *(float(mean.max()) for mean, _ in points.values())))
            axes.set_ylim(-2 * reach, 2 * reach)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter("{x:g}")
            axes.tick_params(labelsize=SMALL)
            axes.set_xlabel(f"mean of truth and prediction ({unit})", fontsize=SMALL, color=INK, labelpad=1)
            if number:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel(f"prediction - truth ({unit})", fontsize=SMALL, color=INK, labelpad=1)
        return finish(
            figure,
            f"Bland-Altman plots of {title} ({', '.join(methods)}): difference against mean of every study, with bias "
            "(line) and limits of agreement (dashed); axes are logarithmic beyond 1.",
        )


def _lines(axes: Axes, agreement: Mapping[str, Any]) -> None:
    for name, style in (("bias", "-"), ("lower_limit", "--"), ("upper_limit", "--")):
        if agreement[name]["value"] is not None:
            axes.axhline(agreement[name]["value"], color=INK, linewidth=0.7, linestyle=style)
