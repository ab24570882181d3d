"""Sections of the report with images: projections of all time points, key slices, and plots over time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from . import report_words, track_figures
from .burden_plot import draw_burden
from .course_plots import draw_sankey, draw_swimmer
from .i18n import decimal, tr
from .key_images import key_images
from .mip import WINDOW_SUV, GoneMark, LesionMark, MipFigure, Panel, draw_mips
from .plot_image import PlotImage
from .progress import Progress, part
from .projection import project_anterior
from .report_blocks import Block, Figure, Heading, Legend, Note, Section
from .report_lesions import latest_comparison
from .report_text import day, volume
from .results_model import Results, StudyResult
from .small_png import small_png
from .status_colors import STATUSES
from .track_plots import draw_spaghetti, draw_waterfall

if TYPE_CHECKING:
    from .case_store import CaseStore

# The share of a projection that is not black where the window follows from the image.
OWN_WINDOW = 0.995


class ImagesSection:
    """Anterior projections of all time points side by side, and axial slices of the deciding lesions."""

    name = "images"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """The figures, and the statuses that occur in them."""
        if not results.studies:
            return None
        panels = list(_panels(results, case, part(progress, 0.0, 0.5)))
        progress(0.5, tr("Drawing projections"))
        blocks: list[Block] = []
        for figure in draw_mips(panels):
            blocks += _projection(figure)
        shown = {mark.status for panel in panels for mark in panel.marks.values()}
        shown |= {"gone" for panel in panels if panel.gone}
        items = tuple(report_words.status_item(status) for status in STATUSES if status in shown)
        if items:
            blocks.append(Legend(items, tr("Colors and letters of the outlines")))
        blocks.append(Note(_projections_explained(results)))
        for image in key_images(results, case, part(progress, 0.6, 1.0)):
            blocks += (
                Heading(image.title),
                Figure(small_png(image.png), image.alt, image.note, image.width_mm),
            )
        return Section(self.name, tr("Key images"), tuple(blocks))


def _panels(results: Results, case: CaseStore, progress: Progress) -> Iterator[Panel]:
    for index, study in enumerate(results.studies):
        progress(index / len(results.studies), tr("Projecting {study}").format(study=study.label))
        yield _panel(study, results, case)


def _panel(study: StudyResult, results: Results, case: CaseStore) -> Panel:
    emission = case.load_image(case.study(study.study_id).emission_id)
    labels = None if study.segmentation is None else case.labels(study.study_id)
    subtitle = tr("{date}, day {number}").format(date=day(study.acquired), number=study.days_since_baseline)
    projection = project_anterior(emission, labels)
    black_at = WINDOW_SUV[1]
    if study.scaling.quantity != "SUVbw":
        # Its window follows from the image: without SUV no fixed one would fit.
        black_at = float(np.quantile(projection.values, OWN_WINDOW)) or 1.0
        told = tr("black from {value} {quantity}").format(
            value=decimal(f"{black_at:.2g}"), quantity=study.scaling.quantity
        )
        subtitle += f"\n{told}"
    if study.totals is not None:
        subtitle += f"\nPSMA-TV {volume(study.totals.psma_tv_ml)} mL"
    marks = {
        lesion.lesion: LesionMark(lesion.track or str(lesion.lesion), lesion.status, lesion.measures.volume_ml)
        for lesion in study.lesions
    }
    return Panel(study.label, subtitle, projection, marks, _gone_marks(study, results, case), black_at)


def _gone_marks(study: StudyResult, results: Results, case: CaseStore) -> list[GoneMark]:
    """Places of lesions of the baseline that are gone here, carried over by the registration to the baseline."""
    registration = None if results.baseline_id is None else case.registration(results.baseline_id, study.study_id)
    if registration is None:
        return []
    gone = {
        track.label
        for track in results.tracks
        for cell in track.cells
        if cell.study_id == study.study_id and cell.status == "gone"
    }
    marks = []
    for lesion in results.study(registration.fixed_id).lesions:
        if lesion.track in gone:
            x, _, z = registration.transform.TransformPoint(lesion.measures.centroid_mm)
            radius_mm = (3000.0 * lesion.measures.volume_ml / (4.0 * math.pi)) ** (1 / 3)
            marks.append(GoneMark(lesion.track, x, z, radius_mm))
    return marks


def _projection(figure: MipFigure) -> Iterator[Block]:
    yield Figure(small_png(figure.png), figure.description, width_mm=figure.width_mm)
    for title, labels in figure.unlabeled.items():
        if labels:
            text = tr(
                "{study}: {count} smaller lesions are outlined without a label for want of room; all are in the table."
            )
            yield Note(text.format(study=title, count=len(labels)))


def _projections_explained(results: Results) -> str:
    text = tr(
        "Maximum intensity projections from the front, at one scale and SUV window. L04 is the same lesion on every "
        "study. Dashed: where a lesion of the baseline that is gone would be. What lies behind hotter uptake is hidden."
    )
    if all(study.scaling.quantity == "SUVbw" for study in results.studies):
        return text
    return f"{text} {tr('Images that are not in SUV have a window of their own, as stated above them.')}"


class PlotsSection:
    """PSMA-TV and PSA over time, and how the lesions changed."""

    name = "plots"

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """All plots for which there are values."""
        figures = tuple(_figures(results, progress))
        return Section(self.name, tr("Plots over time"), figures) if figures else None


def _figures(results: Results, progress: Progress) -> Iterator[Figure]:
    progress(0.0, tr("Drawing PSMA-TV and PSA"))
    burden = draw_burden(results)
    if burden is not None:
        yield _figure(burden)
    progress(0.2, tr("Drawing the change of the lesions"))
    for bars in _waterfalls(results):
        yield _figure(draw_waterfall(bars), _left_out(bars))
    progress(0.4, tr("Drawing the lesions over time"))
    lines = track_figures.spaghetti(results)
    if lines is not None:
        yield _figure(draw_spaghetti(lines))
    progress(0.6, tr("Drawing when the lesions were there"))
    swim = track_figures.swimmer(results)
    if swim is not None:
        yield _figure(draw_swimmer(swim), _swimmer_caption(swim))
    flow = track_figures.sankey(results)
    if flow is not None:
        yield _figure(draw_sankey(flow))


def _waterfalls(results: Results) -> Iterator[track_figures.WaterfallData]:
    """Of the latest comparison: against the baseline, and against the previous study where that is another one."""
    latest = latest_comparison(results)
    if latest is None:
        return
    kinds = ["previous"] if "previous" in latest.against else ["baseline", "previous"]
    for kind in kinds:
        bars = track_figures.waterfall(results, latest.later_id, kind)
        if bars is not None:
            yield bars


def _swimmer_caption(swim: track_figures.SwimmerData) -> str:
    told = tr(
        "Bars: class of the last comparison with the baseline. Circle: there on that scan, square: not there; letters "
        "as in the projections. Dotted: not there in between. Arrow: there on the last scan of its place."
    )
    if swim.treatments:
        told += f" {tr('Dashed: treatment.')}"
    return told if swim.therapy_start is None else f"{told} {tr('Upright dotted line: start of therapy.')}"


def _left_out(bars: track_figures.WaterfallData) -> str:
    told = tr("New lesions reach the upper end of the axis, resolved ones the lower; a longer bar is cut there.")
    if not bars.left_out:
        return told
    listed = ", ".join(f"{count} {report_words.response_class(name)}" for name, count in bars.left_out)
    return f"{told} {tr('Without a bar: {classes}.').format(classes=listed)}"


def _figure(image: PlotImage, caption: str = "") -> Figure:
    return Figure(small_png(image.png), image.description, caption, image.width_mm)
