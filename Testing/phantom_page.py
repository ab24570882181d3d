"""Draws the page of twelve random synthetic men beside the table of published figures and those of the generator.

    python Testing/phantom_page.py --maps FOLDER --to FOLDER [--men 48] [--figures FILE]

FOLDER holds organ maps (``*.nii.gz``) and ``labels.csv``. Writes ``phantom-men.png`` and ``phantom-figures.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
import SimpleITK as sitk
from phantom_figures import DCF, GA, KNOWN, P1007, Figures, Known, measure
from PIL import Image
from PSMASegmentLib.phantom.organ_map_study import OrganMapPhantom, painted_study
from PSMASegmentLib.phantom.parametric_maps import parametric_maps
from PSMASegmentLib.phantom.phantom_settings import VARIED
from PSMASegmentLib.phantom.theranostic import theranostic_study

matplotlib.use("Agg")
from matplotlib import pyplot as plt

TRACERS = (GA, DCF, P1007)
SHOWN, FIRST_SEED = 12, 9000
HIGHEST, TALLEST_MM = 10.0, 1150.0  # SUV that is black, and height of a picture


@dataclass(frozen=True)
class Picture:
    """A maximum-intensity projection from the front (its extent in mm), its lesions and its place on the page."""

    values: np.ndarray
    lesions: np.ndarray
    extent: tuple[float, float, float, float]
    title: str
    row: int
    column: int


def picture(phantom: OrganMapPhantom, title: str, row: int, column: int) -> Picture:
    """What a study shows from the front, and where on the page it goes."""
    values = sitk.GetArrayViewFromImage(phantom.emission).max(axis=1)
    lesions = sitk.GetArrayViewFromImage(phantom.truth).max(axis=1) > 0
    (width, _, height), (sx, _, sz) = phantom.emission.GetSize(), phantom.emission.GetSpacing()
    return Picture(values, lesions, (0.0, width * sx, 0.0, height * sz), title, row, column)


def men(folder: Path, count: int) -> Iterator[tuple[sitk.Image, Mapping[int, str], str]]:
    """Organ maps evenly spread over a folder; three of the twelve shown are men of simple shapes."""
    names = {
        int(row["value"]): row["organ"] for row in csv.DictReader((folder / "labels.csv").read_text().splitlines())
    }
    paths = sorted(folder.glob("*.nii.gz"))
    for number, path in enumerate(paths[:: max(len(paths) // count, 1)][:count]):
        if SHOWN - len(TRACERS) <= number < SHOWN:
            yield (*parametric_maps(FIRST_SEED + number)[0], "simple shapes")
        else:
            yield sitk.ReadImage(str(path)), names, "real organ map"


def paint(folder: Path, count: int, painted: int) -> tuple[Figures, list[Picture]]:
    """Figures of the first ``painted`` of so many men and pictures of the first twelve, SPECT of one of each tracer."""
    figures, pictures = Figures(), []
    for number, (labels, names, kind) in enumerate(islice(men(folder, count), painted)):
        seed, tracer = FIRST_SEED + number, TRACERS[number % len(TRACERS)]
        phantom, man = painted_study(labels, names, seed, tracer, VARIED)
        measure(phantom, man, figures)
        if number < SHOWN:
            lesions = f"{len(phantom.lesions)} lesion{'' if len(phantom.lesions) == 1 else 's'}"
            column = number // len(TRACERS)
            place = number % len(TRACERS), column + (column > 0)  # the second column is that of SPECT
            pictures.append(picture(phantom, f"{tracer}\n{kind}, {lesions}", *place))
        if number < len(TRACERS):
            spect = theranostic_study(labels, names, seed, tracer).spect
            pictures.append(picture(spect, f"{spect.tracer} SPECT\nof the man on the left", number, 1))
    return figures, pictures


def statistic(known: Known, values: np.ndarray) -> float:
    """The share or the median of the men."""
    return float(values.mean() if known.name.endswith("share") else np.median(values))


def rows(figures: Figures) -> list[dict[str, str | float | int | bool]]:
    """One row of the table for each published figure that the men show."""
    table = []
    for known in KNOWN:
        values = figures.of(known)
        if not len(values):
            continue
        middle = statistic(known, values)
        low, high = (float(v) for v in np.percentile(values, (10, 90)))
        table.append(
            {
                "name": known.name,
                "tracer": known.tracer,
                "published": known.printed,
                "source": known.source,
                "generated": middle,
                "p10": low,
                "p90": high,
                "men": len(values),
                "within": known.low <= middle <= known.high,
            }
        )
    return table


def draw(pictures: list[Picture], table: list[dict[str, str | float | int | bool]], path: Path) -> None:
    """Write the page: a row of men for each tracer, and the table beside them."""
    figure = plt.figure(figsize=(20.0, 11.5), dpi=100)
    grid = figure.add_gridspec(3, 9, left=0.01, right=0.99, top=0.91, bottom=0.01, wspace=0.02, hspace=0.12)
    for shown in pictures:
        axes = figure.add_subplot(grid[shown.row, shown.column])
        axes.imshow(shown.values, cmap="gray_r", vmin=0.0, vmax=HIGHEST, origin="lower", extent=shown.extent)
        if shown.lesions.any():
            axes.contour(shown.lesions, levels=[0.5], colors="red", linewidths=1.0, extent=shown.extent)
        across = np.flatnonzero((shown.values > 0.3).any(axis=0)) * shown.extent[1] / shown.values.shape[1]
        axes.set_xlim(across[0] - 15.0, across[-1] + 15.0)
        axes.set_ylim(0.0, TALLEST_MM)
        axes.set_title(shown.title, fontsize=8)
        axes.set_axis_off()
    _draw_table(figure.add_subplot(grid[:, 5:]), table)
    figure.text(0.01, 0.965, "Random synthetic men (no patients), SUVbw 0 to 10, lesions outlined in red", fontsize=14)
    figure.savefig(path)
    plt.close(figure)
    with Image.open(path) as drawn:
        colors = drawn.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colors.save(path, optimize=True)


def _draw_table(axes: plt.Axes, table: list[dict[str, str | float | int | bool]]) -> None:
    axes.set_axis_off()
    head = ["", "tracer", "published", "generated (10 to 90 %)", "n", "source"]
    cells = [
        [
            str(row["name"]),
            str(row["tracer"] or "all"),
            str(row["published"]),
            _generated(row),
            str(row["men"]),
            str(row["source"]),
        ]
        for row in table
    ]
    drawn = axes.table(
        cells, colLabels=head, loc="center", cellLoc="left", colWidths=[0.24, 0.14, 0.17, 0.21, 0.05, 0.24]
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    drawn.scale(1.0, 1.6)
    for number, row in enumerate(table, start=1):
        drawn[number, 3].set_facecolor("#d8efd8" if row["within"] else "#f6d5c8")
    axes.set_title(
        "Published values of patients and what the generator gives. Median over men, or the share;\n"
        "green where it lies in the published range (mean ± half an SD, quartiles or percentiles)",
        fontsize=9,
        loc="left",
    )


def _generated(row: dict[str, str | float | int | bool]) -> str:
    middle = f"{row['generated']:.3g}"
    return middle if str(row["name"]).endswith("share") else f"{middle} ({row['p10']:.3g} to {row['p90']:.3g})"


def main() -> None:
    """Paint the men, write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--men", type=int, default=48)
    parser.add_argument("--figures", type=Path, help="figures of an earlier run; the men shown are painted alone")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    figures, pictures = paint(arguments.maps, arguments.men, SHOWN if arguments.figures else arguments.men)
    table = json.loads(arguments.figures.read_text()) if arguments.figures else rows(figures)
    (arguments.to / "phantom-figures.json").write_text(json.dumps(table, indent=1))
    draw(pictures, table, arguments.to / "phantom-men.png")
    for row in table:
        print(f"{row['name']:32s} {row['tracer']:14s} {row['published']:24s} {row['generated']:8.3f} {row['within']}")


if __name__ == "__main__":
    main()
