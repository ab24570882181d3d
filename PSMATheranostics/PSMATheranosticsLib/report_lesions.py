"""The section of the report about the response of every lesion: tables, limits and figures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PSMATrackingLib.heterogeneity import COMPARED
from PSMATrackingLib.lesion_response import NOT_THERE
from PSMATrackingLib.repeatability import DEFAULT_LIMITS, LIMIT_SOURCES, METRIC_NAMES, METRICS, Limits

from . import track_figures
from .course_plots import draw_sankey, draw_swimmer
from .plot_image import PlotImage
from .progress import Progress
from .results_model import LesionChangeResult, LesionResponse, Results, TrackCell
from .status_colors import CLASS_MEANINGS, CLASS_SIGNS, CLASSES, class_hex
from .track_plots import draw_spaghetti, draw_waterfall

if TYPE_CHECKING:
    from .case_store import CaseStore

# Classes that follow from the numbers in the row.
SAID_BY_NUMBERS = (*COMPARED, "too small", "resolved")


class LesionResponseSection:
    """Response of every lesion against the baseline, and how differently they responded."""

    name, title, template = "lesion-response", "Lesion by lesion", "report_lesion_response.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """Sums of every comparison, the lesions of the latest one against the baseline, figures and limits."""
        if not results.responses_by_lesion:
            return None
        latest = _latest(results)
        shown = {change.class_ for response in results.responses_by_lesion for change in response.changes}
        return {
            "comparisons": [_comparison(response, results) for response in results.responses_by_lesion],
            "latest": _names(latest, results),
            "rows": _rows(latest, results),
            "metrics": [(name, METRIC_NAMES[name]) for name in METRICS],
            "limits": _limits(results.response_limits),
            "smallest_ml": results.response_limits.smallest_ml,
            "lowest_confidence": results.response_limits.lowest_confidence,
            "tracers": sorted(_tracers(results)),
            "legend": [_class(name) for name in CLASSES if name in shown],
            "notes": [
                (_names(response, results), note) for response in results.responses_by_lesion for note in response.notes
            ],
            "figures": list(_figures(results, latest, progress)),
        }


def _tracers(results: Results) -> set[str]:
    """Those of the scans that were compared."""
    compared = {study_id for one in results.responses_by_lesion for study_id in (one.earlier_id, one.later_id)}
    return {results.study(study_id).tracer for study_id in compared} - {""}


def _latest(results: Results) -> LesionResponse:
    """The last comparison with the baseline; where there is none, the last one."""
    to_baseline = [one for one in results.responses_by_lesion if "baseline" in one.against]
    return (to_baseline or list(results.responses_by_lesion))[-1]


def _names(response: LesionResponse, results: Results) -> str:
    return f"{results.study(response.later_id).label} against {results.study(response.earlier_id).label}"


def _comparison(response: LesionResponse, results: Results) -> dict[str, Any]:
    summary = response.heterogeneity
    counts = [{**_class(name), "count": summary.counts[name]} for name in CLASSES if summary.counts[name]]
    for found in counts:
        found["by_tl"] = summary.by_tl_psma.get(found["word"], 0.0)
    return {"names": _names(response, results), "summary": summary, "worst": response.worst_track, "counts": counts}


def _class(name: str) -> dict[str, Any]:
    return {"word": name, "sign": CLASS_SIGNS[name], "color": class_hex(name), "meaning": CLASS_MEANINGS[name]}


def _rows(response: LesionResponse, results: Results) -> list[dict[str, Any]]:
    """The lesions by class, within it from the largest ratio to the smallest."""
    metric = results.response_limits.metric
    cells = {
        track.label: cell for track in results.tracks for cell in track.cells if cell.study_id == response.later_id
    }
    order = {name: index for index, name in enumerate(track_figures.STACKING)}
    changes = sorted(response.changes, key=lambda change: (order[change.class_], -(change.ratios[metric] or 0.0)))
    return [_row(change, cells[change.track], response) for change in changes]


def _row(change: LesionChangeResult, cell: TrackCell, response: LesionResponse) -> dict[str, Any]:
    previous = "" if "previous" in response.against else cell.response_to_previous
    return {
        "change": change,
        **_class(change.class_),
        "previous": f"{CLASS_SIGNS[previous]} {previous}" if previous else "",
        "decided": f"{cell.decision}, {cell.decided_by}" if cell.decision else "",
        # The numbers of a group stand with the track that counts for it.
        "before_ml": change.before.volume_ml if change.before is not None and change.counted else None,
        "after_ml": change.after.volume_ml if change.after is not None and change.counted else None,
        "why": _why(change),
        "ratios": [(change.ratios[name] if change.counted else None, change.beyond.get(name, 0)) for name in METRICS],
    }


def _why(change: LesionChangeResult) -> str:
    """The part of the reason that neither the class nor the ratios and volumes beside it say."""
    together = len(change.group) > 1
    if change.class_ in SAID_BY_NUMBERS and change.counted:
        return change.reason.rpartition("; ")[2] if together else ""
    returned = change.class_ == "new" and change.reason != NOT_THERE
    return change.reason if change.class_ != "new" or returned else ""


def _limits(limits: Limits) -> list[dict[str, Any]]:
    return [
        {
            "name": METRIC_NAMES[name],
            "text": limits.of(name).text,
            "decides": name == limits.metric,
            "source": LIMIT_SOURCES[name] if limits.of(name) == DEFAULT_LIMITS.of(name) else "set for this case",
        }
        for name in METRICS
    ]


def _figures(results: Results, latest: LesionResponse, progress: Progress) -> Iterator[dict[str, Any]]:
    progress(0.1, "Drawing the change of the lesions")
    against = [kind for kind in ("baseline", "previous") if results.lesion_response(latest.later_id, kind) is not None]
    if "previous" in latest.against:
        against = ["previous"]
    for kind in against:
        bars = track_figures.waterfall(results, latest.later_id, kind)
        if bars is not None:
            yield _figure(draw_waterfall(bars), _left_out(bars))
    progress(0.4, "Drawing the lesions over time")
    lines = track_figures.spaghetti(results)
    if lines is not None:
        yield _figure(draw_spaghetti(lines))
    progress(0.6, "Drawing when the lesions were there")
    swim = track_figures.swimmer(results)
    if swim is not None:
        yield _figure(draw_swimmer(swim), _swimmer_caption(swim))
    flow = track_figures.sankey(results)
    if flow is not None:
        yield _figure(draw_sankey(flow))


def _swimmer_caption(swim: track_figures.SwimmerData) -> str:
    told = (
        "Bars: class of the last comparison with the baseline. Circle: there on that scan, square: not there; letters "
        "as in the overview. Dotted: not there in between. Arrow: there on the last scan of its place."
    )
    return told + (" Dashed: treatment." if swim.treatments else "")


def _left_out(bars: track_figures.WaterfallData) -> str:
    told = "New lesions reach the upper end of the axis, resolved ones the lower; a longer bar is cut there."
    if bars.left_out:
        told += " Without a bar: " + ", ".join(f"{count} {name}" for name, count in bars.left_out) + "."
    return told


def _figure(image: PlotImage, caption: str = "") -> dict[str, Any]:
    return {
        "source": "data:image/png;base64," + base64.b64encode(image.png).decode("ascii"),
        "width_mm": round(image.width_mm, 1),
        "description": image.description,
        "caption": caption,
    }
