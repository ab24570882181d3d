"""The report of a case: built once from blocks, then written as one HTML file (here) or as PDF (``report_pdf``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import i18n
from .html_template import data_uri, template_environment
from .i18n import tr
from .progress import Progress, part
from .report_blocks import Banner, Cell, Column, Figure, Report, Section, Span, Table, placed, plain, spans
from .report_sections import REPORT_SECTIONS
from .report_text import css_text, day, minute, person
from .results_model import Results
from .whole_file import write_whole

if TYPE_CHECKING:
    from .case_store import CaseStore

TEMPLATE = "report.html.j2"
# How long a section takes beside the others: nearly all of the time goes into images.
_WEIGHTS = {"images": 40, "plots": 20}


def build_report(results: Results, case: CaseStore, progress: Progress | None = None, language: str = "en") -> Report:
    """The report of ``case`` as blocks, for ``write_html`` and ``report_pdf.write_pdf``.

    Args:
        results: What ``collect_results(case)`` gave within ``i18n.language(language)``, so that its sentences are in
            that language too.
        case: The open case, for its images and its log.
        progress: Called with fraction and message; may raise to cancel.
        language: A key of ``i18n.LANGUAGES``.

    Raises:
        CaseError: an image of the case is missing or damaged.
        ValueError: there is no such language.
    """
    with i18n.language(language):
        sections = []
        whole, done = sum(_WEIGHTS.get(section.name, 1) for section in REPORT_SECTIONS), 0
        for section in REPORT_SECTIONS:
            weight = _WEIGHTS.get(section.name, 1)
            step = part(progress, done / whole, (done + weight) / whole, tr("Report"))
            step(0.0, "")
            built = section.build(results, case, step)
            if built is not None:
                sections.append(built)
            done += weight
        return _report(results, case, language, tuple(sections))


def _report(results: Results, case: CaseStore, language: str, sections: tuple[Section, ...]) -> Report:
    patient = results.patient
    banners = [
        Banner(
            (
                Span(tr("Research software, not a medical device."), bold=True),
                Span(f" {tr('Not for diagnosis or treatment decisions.')}"),
            )
        )
    ]
    if results.synthetic:
        banners.insert(0, Banner(tr("Synthetic data: images made by a program, not a patient."), inverted=True))
    footer = tr("PSMA report, patient {patient}. Research software, not a medical device.")
    return Report(
        title=tr("PSMA PET: lesions and response"),
        subtitle=_subtitle(results),
        language=language,
        patient_id=patient.patient_id,
        created=results.created,
        facts=(
            (tr("Patient"), person(patient.name) or "–"),
            (tr("Patient ID"), patient.patient_id),
            (tr("Born"), "–" if patient.birth_date is None else day(patient.birth_date)),
            (tr("Case"), case.folder.name),
            (tr("Report made"), f"{minute(results.created)} UTC"),
        ),
        banners=tuple(banners),
        footer=footer.format(patient=patient.patient_id),
        sections=sections,
    )


def _subtitle(results: Results) -> str:
    studies = results.studies
    if not studies:
        return tr("No study yet")
    if len(studies) == 1:
        return tr("1 study, {day}").format(day=day(studies[0].acquired))
    text = tr("{count} studies, {first} to {last}")
    return text.format(count=len(studies), first=day(studies[0].acquired), last=day(studies[-1].acquired))


def write_html(report: Report, path: Path) -> None:
    """Write a report as one HTML file with inline style and figures, without scripts; complete or not there at all.

    It prints on A4 and Letter. Raises OSError where the file cannot be written.
    """
    write_whole(path, render_html(report).encode())


def render_html(report: Report) -> str:
    """The text of the HTML file that ``write_html`` writes."""
    environment = template_environment()
    environment.filters.update(spans=spans, css_text=css_text, data_uri=_data_uri, placed=_placed, shares=_shares)
    environment.globals.update(plain=plain)
    return environment.get_template(TEMPLATE).render(report=report)


def _placed(rows: tuple[tuple[Cell, ...], ...], columns: tuple[Column, ...]) -> list[list[tuple[Cell, Column]]]:
    """Every cell with the column in which it begins."""
    return [[(cell, columns[at]) for cell, at in line] for line in placed(rows, len(columns))]


def _shares(table: Table) -> list[int]:
    """The width of each column in percent of the table; 0 for those that are as wide as their content needs.

    The shares add up to all of the room: a browser gives the other columns what they need before.
    """
    whole = sum(column.width or 0.0 for column in table.columns)
    return [round(100 * (column.width or 0.0) / whole) if whole else 0 for column in table.columns]


def _data_uri(figure: Figure) -> str:
    return data_uri(figure.image, "svg+xml" if figure.media == "svg" else figure.media)
