"""A page about sets of studies: facts, tables and figures in one HTML file without scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .html_template import PageTable, template_environment
from .plot_image import PlotImage
from .whole_file import write_whole

TEMPLATE = "set_report.html.j2"


@dataclass(frozen=True)
class SetReport:
    """What the page holds; ``notes`` say what the figures can and cannot tell."""

    title: str
    lead: str
    notes: tuple[str, ...]
    figures: tuple[PlotImage, ...]
    tables: tuple[PageTable, ...]


def write_set_report(report: SetReport, path: Path) -> None:
    """Write the page. Raises OSError."""
    write_whole(path, template_environment().get_template(TEMPLATE).render(report=report).encode())
