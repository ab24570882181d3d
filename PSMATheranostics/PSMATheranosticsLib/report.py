"""The report of a case: one HTML file that needs nothing else, made for reading on screen and printing on A4."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import report_text
from .progress import Progress, part
from .report_sections import REPORT_SECTIONS
from .results_model import Results
from .status_colors import CLASS_SIGNS, STATUS_LETTERS, status_hex
from .whole_file import write_whole

if TYPE_CHECKING:
    from .case_store import CaseStore

TEMPLATE = "report.html.j2"


def write_report(results: Results, case: CaseStore, path: Path, progress: Progress | None = None) -> None:
    """Write the report of ``case`` as one HTML file with inline style and figures, without scripts.

    Args:
        results: What ``collect_results(case)`` gave.
        case: The open case, for its images.
        path: The HTML file. It is complete or not there at all.
        progress: Called with fraction and message; may raise to cancel.

    Raises:
        CaseError: an image of the case is missing or damaged.
        OSError: the file cannot be written.
    """
    html = render_report(results, case, progress)
    write_whole(path, html.encode())


def render_report(results: Results, case: CaseStore, progress: Progress | None = None) -> str:
    """The text of the HTML file that ``write_report`` writes."""
    environment = _environment()
    sections = []
    for index, section in enumerate(REPORT_SECTIONS):
        step = part(progress, index / len(REPORT_SECTIONS), (index + 1) / len(REPORT_SECTIONS))
        step(0.0, f"Report: {section.title}")
        data = section.data(results, case, step)
        if data is not None:
            body = environment.get_template(section.template).render(results=results, **data)
            wide = bool(data.get("wide", False))
            sections.append({"name": section.name, "title": section.title, "body": body, "wide": wide})
    return environment.get_template(TEMPLATE).render(results=results, sections=sections, case_name=case.folder.name)


def _environment() -> Any:
    """Jinja2 with escaping on for every template; texts from headers can hold anything."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        volume=report_text.volume,
        volume_change=report_text.volume_change,
        number=report_text.number,
        percent=report_text.percent,
        typeset=report_text.typeset,
        day=report_text.day,
        minute=report_text.minute,
        person=report_text.person,
        css_text=report_text.css_text,
        nuclide=report_text.nuclide,
        header_value=report_text.header_value,
        waiting=report_text.waiting,
        setting=report_text.setting,
        status_hex=status_hex,
        exponential=math.exp,
    )
    environment.globals.update(STATUS_LETTERS=STATUS_LETTERS, CLASS_SIGNS=CLASS_SIGNS)
    return environment
