"""The sections of the report, in order. Adding one: a class like these with a template, and a line in the table."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PSMASegmentLib.lesion_regions import REGIONS
from PSMATrackingLib.heterogeneity import COMPARED

from . import recip
from .mip import WINDOW_SUV, GoneMark, LesionMark, MipFigure, Panel, draw_mips
from .progress import Progress
from .projection import project_anterior
from .records import READER
from .report_lesions import LesionResponseSection
from .report_text import header_value, runs
from .results_model import UNKNOWN_REGION, LesionResult, Results, StudyResult, TrackCell, TrackResult
from .status_colors import STATUS_LETTERS, STATUS_MEANINGS, STATUSES, status_hex

if TYPE_CHECKING:
    from .case_store import CaseStore

CATEGORY_MEANINGS = {
    recip.CR: "complete response",
    recip.PR: "partial response",
    recip.SD: "stable disease",
    recip.PD: "progressive disease",
    "NE": "not evaluable",
}
# The share of a projection that is not black where the window follows from the image.
OWN_WINDOW = 0.995
# More studies than this make the table of lesions too wide for an upright page.
STUDIES_UPRIGHT = 3
# Response classes that a status does not say already.
CLASSES_TO_NAME = (*COMPARED, "too small", "uncertain")


class ReportSection(Protocol):
    """One section of the report."""

    name: str
    title: str
    template: str

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """What the template is given beside ``results``; None leaves the section out.

        ``wide`` true puts the section on pages of its own, turned sideways.
        """
        ...


class ResponseSection:
    """Response of every follow-up against the baseline."""

    name, title, template = "response", "Response", "report_response.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """Cards in the order of the follow-ups."""
        cards = [
            {
                "response": response,
                "study": results.study(response.followup_id),
                "baseline": results.study(response.baseline_id),
                "meaning": CATEGORY_MEANINGS.get(response.category, ""),
                "new_lesions": runs(response.new_lesion_tracks),
            }
            for response in results.responses
        ]
        # Up to four side by side, so that cards and projections fit on the first page.
        return {"cards": cards, "columns": len(cards) if len(cards) <= 4 else 3}


class ProjectionSection:
    """Anterior projections of all time points side by side."""

    name, title, template = "projections", "Overview", "report_projections.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """The figures as data URIs, and the statuses that occur in them."""
        panels = []
        for index, study in enumerate(results.studies):
            progress(index / (len(results.studies) + 1), f"Projecting {study.label}")
            panels.append(_panel(study, results, case))
        if not panels:
            return None
        progress(len(panels) / (len(panels) + 1), "Drawing projections")
        shown = {mark.status for panel in panels for mark in panel.marks.values()}
        shown |= {"gone" for panel in panels if panel.gone}
        return {
            "figures": [_figure(figure) for figure in draw_mips(panels)],
            "own_window": any(study.scaling.quantity != "SUVbw" for study in results.studies),
            "legend": [_status(status) for status in STATUSES if status in shown],
        }


def _panel(study: StudyResult, results: Results, case: CaseStore) -> Panel:
    emission = case.load_image(case.study(study.study_id).emission_id)
    labels = None if study.segmentation is None else case.labels(study.study_id)
    subtitle = f"{study.acquired:%Y-%m-%d}, day {study.days_since_baseline}"
    projection = project_anterior(emission, labels)
    black_at = WINDOW_SUV[1]
    if study.scaling.quantity != "SUVbw":
        # Its window follows from the image: without SUV no fixed one would fit.
        black_at = float(np.quantile(projection.values, OWN_WINDOW)) or 1.0
        subtitle += f"\nblack from {black_at:.2g} {study.scaling.quantity}"
    if study.totals is not None:
        subtitle += f"\nPSMA-TV {study.totals.psma_tv_ml:.1f} mL"
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


def _figure(figure: MipFigure) -> dict[str, Any]:
    return {
        "source": "data:image/png;base64," + base64.b64encode(figure.png).decode("ascii"),
        "width_mm": round(figure.width_mm, 1),
        "description": figure.description,
        "unlabeled": [(title, len(labels)) for title, labels in figure.unlabeled.items() if labels],
    }


def _status(status: str) -> dict[str, str]:
    return {
        "word": status,
        "letter": STATUS_LETTERS[status],
        "color": status_hex(status),
        "meaning": STATUS_MEANINGS[status],
    }


class TotalsSection:
    """Totals of every study, with the change against the baseline."""

    name, title, template = "totals", "Whole-body totals", "report_totals.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """Totals of all lesions come from the results, those of each region by study where any region is known.

        The tables share their pages with that of the lesions.
        """
        if not results.studies:
            return None
        counted = [study for study in results.studies if study.segmentation is not None]
        named = {name for study in counted for name in study.by_region}
        regions = [name for name in (*REGIONS, UNKNOWN_REGION) if name in named]
        return {
            "wide": len(results.studies) > STUDIES_UPRIGHT,
            "studies": counted,
            "regions": [] if regions == [UNKNOWN_REGION] else regions,
        }


class TracksSection:
    """Every lesion over time."""

    name, title, template = "lesions", "Lesions over time", "report_tracks.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """Rows of tracks that have a lesion on some study, and lesions that were not followed."""
        lesions = {(study.study_id, lesion.lesion): lesion for study in results.studies for lesion in study.lesions}
        followed = [study for study in results.studies if study.segmentation is not None]
        shown = {study.study_id for study in followed}
        rows = [
            {
                "track": track,
                "region": _latest_region(track, lesions),
                "cells": [(cell, _link_text(cell, lesions)) for cell in track.cells if cell.study_id in shown],
            }
            for track in results.tracks
            if any(cell.lesion is not None for cell in track.cells)
        ]
        loose = [(study, lesion) for study in results.studies for lesion in study.lesions if not lesion.track]
        if not rows and not loose:
            return None
        return {
            "rows": rows,
            "studies": followed,
            "loose": [(study, lesion, _region_text(lesion)) for study, lesion in loose],
            "classes": CLASSES_TO_NAME,
            "has_regions": any(lesion.region.name for lesion in lesions.values()),
            "wide": len(followed) > STUDIES_UPRIGHT,
        }


def _latest_region(track: TrackResult, lesions: dict[tuple[int, int], LesionResult]) -> tuple[str, str]:
    """The region of a track by its latest lesion, because a reader may have chosen another one on one study."""
    last = [cell for cell in track.cells if cell.lesion is not None][-1]
    return _region_text(lesions[last.study_id, last.lesion or 0])


def _region_text(lesion: LesionResult) -> tuple[str, str]:
    """Region, and what is to be said below it: the place, and that a reader chose it."""
    about = [lesion.region.site, "by a reader" if lesion.region_source == READER else ""]
    return lesion.region.name, ", ".join(part for part in about if part)


def _link_text(cell: TrackCell, lesions: dict[tuple[int, int], LesionResult]) -> str:
    """How sure the link is that brought the track to this lesion."""
    link = None if cell.lesion is None else lesions[cell.study_id, cell.lesion].carrying_link
    if link is None:
        return ""
    return f"link {link.confidence:.2f}" if link.status == "proposed" else f"link {link.status}"


class TechniqueSection:
    """How every study was acquired, scaled, segmented and registered."""

    name, title, template = "technique", "Technique", "report_technique.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """Scaling inputs as text, and each study's registration to the baseline."""
        registrations = {
            registration.moving_id: registration
            for registration in results.registrations
            if registration.fixed_id == results.baseline_id
        }
        columns: list[dict[str, Any]] = [
            {
                "study": study,
                "inputs": {name: header_value(value) for name, value in study.scaling.inputs.items()},
                "factor": header_value(study.scaling.factor),
                "segmentation": {} if study.segmentation is None else study.segmentation.compared(),
                "registration": registrations.get(study.study_id),
                "corrected": sum(lesion.mask != "automatic" for lesion in study.lesions),
            }
            for study in results.studies
        ]
        if not columns:
            return None
        return {
            "columns": columns,
            "norm_names": list(dict.fromkeys(name for study in results.studies for name in study.norms)),
            "input_names": list(dict.fromkeys(name for column in columns for name in column["inputs"])),
            "setting_names": list(dict.fromkeys(name for column in columns for name in column["segmentation"])),
            "removed": _removed(results),
        }


def _removed(results: Results) -> list[tuple[str, list[tuple[int, float, float] | None]]]:
    """Regions that were not taken for lesions: reason, and for each study how many, mL and highest SUV."""
    reasons = sorted({str(region["reason"]) for study in results.studies for region in study.removed})
    return [(reason, [_regions(study, reason) for study in results.studies]) for reason in reasons]


def _regions(study: StudyResult, reason: str) -> tuple[int, float, float] | None:
    regions = [region for region in study.removed if region["reason"] == reason]
    if not regions:
        return None
    return len(regions), sum(region["volume_ml"] for region in regions), max(region["suv_max"] for region in regions)


class WarningsSection:
    """What limits the results."""

    name, title, template = "warnings", "Warnings", "report_warnings.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """Warnings with the label of the study they are about."""
        labels: dict[int | None, str] = {study.study_id: study.label for study in results.studies}
        return {"warnings": [(labels.get(warning.study_id, "Case"), warning) for warning in results.warnings]}


class ProvenanceSection:
    """Where the numbers come from and what they are not."""

    name, title, template = "provenance", "Provenance and limits", "report_provenance.html.j2"

    def data(self, results: Results, case: CaseStore, progress: Progress) -> dict[str, Any] | None:
        """The template takes everything from the results."""
        return {"origins": [(study, case.study(study.study_id).origin) for study in results.studies]}


REPORT_SECTIONS: tuple[ReportSection, ...] = (
    ResponseSection(),
    ProjectionSection(),
    TotalsSection(),
    LesionResponseSection(),
    TracksSection(),
    TechniqueSection(),
    WarningsSection(),
    ProvenanceSection(),
)
