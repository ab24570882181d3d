"""PSMA-TV and PSA over time, one above the other along the same days, as an image for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import plot_image
from .i18n import decimal, tr
from .plot_image import INK, NORMAL, PlotImage
from .report_text import concentration, volume
from .results_model import Results
from .treatments import therapy_start_day

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOR = (0 / 255, 114 / 255, 178 / 255)
_PANEL_MM, _FOOT_MM, _GAP_MM = 30.0, 11.0, 5.0
_LOGARITHMIC_FROM = 30.0  # largest to smallest value
_MOST_VALUES = 24  # whose numbers are written beside them
_BESIDE_DAYS = 8  # room at either end of the axis for values before and after the studies


@dataclass(frozen=True)
class _Series:
    """One measure: its name with unit, its marker, and for each value the day, the number and the number as text."""

    name: str
    marker: str
    points: tuple[tuple[int, float, str], ...]

    @property
    def words(self) -> str:
        """All values, for readers who do not see the plot."""
        listed = "; ".join(tr("day {day}: {value}").format(day=day, value=text) for day, _, text in self.points)
        return f"{self.name}: {listed}."


def draw_burden(results: Results) -> PlotImage | None:
    """PSMA-TV (mL) on the studies of the baseline's kind above PSA (ng/mL), with a dashed line at each treatment.

    A dotted line stands where the line of therapy began. None where neither has two values.
    """
    if results.baseline_id is None:
        return None
    series = [one for one in (_volumes(results), _psa(results)) if one.points]
    if all(len(one.points) < 2 for one in series):
        return None
    began = therapy_start_day(results)
    treated = plot_image.is_treated(_study_days(results), results.treatments, began)
    head = 13.0 if treated else 7.0
    height = head + _FOOT_MM + len(series) * _PANEL_MM + (len(series) - 1) * _GAP_MM
    with plot_image.drawing(height) as figure:
        rows = []
        for index, one in enumerate(series):
            top = head + index * (_PANEL_MM + _GAP_MM)
            rows.append(plot_image.add_axes(figure, 17, height - top - _PANEL_MM, 6, top))
            _draw_days(rows[-1], results, first=index == 0, last=index == len(series) - 1)
            _draw(rows[-1], one)
        _align(rows, [day for one in series for day, _, _ in one.points])
        title = tr("{measures} over time").format(measures=", ".join(one.name for one in series))
        plot_image.set_title(rows[0], title, 6.5 if treated else 1.4)
        words = [f"{title}.", *(one.words for one in series)]
        if began is not None:
            words.append(tr("The line of therapy began on day {day}.").format(day=began))
        return plot_image.finish(figure, " ".join(words))


def _study_days(results: Results) -> list[tuple[int, str]]:
    return [(study.days_since_baseline, study.label) for study in results.studies]


def _volumes(results: Results) -> _Series:
    kind = next(study.modality for study in results.studies if study.study_id == results.baseline_id)
    points = tuple(
        (study.days_since_baseline, study.totals.psma_tv_ml, volume(study.totals.psma_tv_ml))
        for study in results.studies
        if study.totals is not None and study.modality == kind
    )
    return _Series(tr("PSMA-TV (mL)"), "o", points)


def _psa(results: Results) -> _Series:
    start = next(study.acquired.date() for study in results.studies if study.study_id == results.baseline_id)
    points = tuple(((value.day - start).days, value.ng_ml, concentration(value)) for value in results.psa)
    return _Series(tr("PSA (ng/mL)"), "s", points)


def _draw(axes: Axes, series: _Series) -> None:
    days, values, _ = zip(*series.points, strict=True)
    axes.plot(
        days,
        values,
        color=_COLOR,
        linewidth=1.1,
        marker=series.marker,
        markersize=3.4,
        markeredgecolor="black",
        markeredgewidth=0.4,
    )
    name = series.name
    if min(values) > 0 and max(values) / min(values) > _LOGARITHMIC_FROM:
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 1.8, max(values) * 2.6)
        name = tr("{measure}, logarithmic").format(measure=name)
    else:
        axes.set_ylim(0, 1.28 * max(values) or 1.0)
    axes.yaxis.set_major_formatter(lambda value, _: decimal(f"{value:g}"))
    axes.set_ylabel(name, fontsize=NORMAL, color=INK)
    if len(values) <= _MOST_VALUES:
        for day, value, text in series.points:
            axes.annotate(
                text, (day, value), (0, 4), textcoords="offset points", fontsize=NORMAL, color=INK, ha="center"
            )


def _draw_days(axes: Axes, results: Results, first: bool, last: bool) -> None:
    """Studies are named below the last panel, treatments above the first one."""
    began = therapy_start_day(results)
    plot_image.draw_days(axes, _study_days(results), results.treatments, therapy_start=began, above=first)
    if not last:
        axes.set_xticklabels([])


def _align(rows: Sequence[Axes], days: Sequence[int]) -> None:
    """The same days along all panels, with room for every value."""
    low, high = rows[0].get_xlim()
    for axes in rows:
        axes.set_xlim(min(low, min(days) - _BESIDE_DAYS), max(high, max(days) + _BESIDE_DAYS))
