"""The report of a case as files: HTML always, and the same as PDF, in a language and on a paper of choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import i18n
from .errors import InputError
from .output_names import PAPERS, REPORT, REPORT_PDF
from .progress import Progress, part
from .report import build_report, write_html
from .report_pdf import require_typst, write_pdf
from .results import collect_results
from .results_model import Results

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .report_blocks import Report


@dataclass(frozen=True)
class ReportOptions:
    """``language``: a key of ``i18n.LANGUAGES``. ``paper``: one of ``PAPERS``, for the PDF; the HTML fits either."""

    language: str = "en"
    paper: str = PAPERS[0]
    pdf: bool = True

    def check(self) -> None:
        """Raise InputError for a language or paper that there is not."""
        if self.language not in i18n.LANGUAGES:
            raise InputError(f"There is no language '{self.language}'. Possible: {', '.join(i18n.LANGUAGES)}.")
        if self.paper not in PAPERS:
            raise InputError(f"There is no paper '{self.paper}'. Possible: {', '.join(PAPERS)}.")


def report_in(case: CaseStore, results: Results, language: str = "en", progress: Progress | None = None) -> Report:
    """The report of ``case`` in a language; ``results`` are those in English, and are collected anew for another one.

    Raises:
        CaseError: an image of the case is missing or damaged.
    """
    with i18n.language(language):
        told = results if language == "en" else collect_results(case)
        return build_report(told, case, progress, language)


def write_reports(
    case: CaseStore,
    results: Results,
    folder: Path,
    options: ReportOptions | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write ``report.html`` and, unless the options leave it out, ``report.pdf`` with the same content into ``folder``.

    Returns:
        The files written.

    Raises:
        InputError: there is no such language or paper; or the package for the PDF is missing, the HTML being written.
        CaseError: an image of the case is missing or damaged.
        OSError: the folder cannot be written.
    """
    options = options or ReportOptions()
    options.check()
    report = report_in(case, results, options.language, part(progress, 0.0, 0.9))
    written = [folder / REPORT]
    write_html(report, written[0])
    if options.pdf:
        require_typst()
        part(progress, 0.9, 1.0)(0.0, i18n.tr("Writing the PDF"))
        written.append(folder / REPORT_PDF)
        write_pdf(report, written[1], options.paper)
    return written
