"""What the sections of the report share: cells, the study that is reported on, and names of studies in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .report_blocks import Cell, Column, Section, Table
from .report_text import NOTHING, day
from .results_model import Results, StudyResult

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .progress import Progress

# More studies than this make tables with columns for each too wide for an upright page.
STUDIES_UPRIGHT = 3
# Up to this number lesions are listed and counted; more are "> 20" (SPARC: Eur Urol 2025,
# doi 10.1016/j.eururo.2025.08.005, as transcribed in secondary sources).
MOST_COUNTED = 20
MOST_KEPT = 12  # rows of a table that is to stay on one page

TEXT = Column()
KEPT = Column(kept=True)
LONG = Column(width=1.0)
NUMBER = Column(align="right", kept=True)
GROUP = Column(kept=True, rule=True)
NONE = Cell(NOTHING, muted=True)


class ReportSection(Protocol):
    """One section of the report."""

    name: str

    def build(self, results: Results, case: CaseStore, progress: Progress) -> Section | None:
        """The section in the language of ``i18n.current_language()``; None leaves it out of the report.

        Raises:
            CaseError: an image of the case is missing or damaged.
        """
        ...


def head(*titles: str | tuple[str, str]) -> tuple[tuple[Cell, ...], ...]:
    """A single row of column titles, some of them with a unit below."""
    return (tuple(Cell(title) if isinstance(title, str) else Cell(title[0], title[1:]) for title in titles),)


def number_cell(text: str, *below: str, bold: bool = False) -> Cell:
    """A number that is ready to be shown; a missing one is pale."""
    return Cell(text, below, bold=bold, muted=text == NOTHING)


def dated(study: StudyResult) -> str:
    """A study with its date, for sentences and headings."""
    return f"{study.label}, {day(study.acquired)}"


def facts_table(caption: str, names: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> Table:
    """A table with one row per fact and one column per study, whose names stand in the head."""
    columns = (KEPT, *(Column(width=1.0) for _ in names))
    return Table(caption, columns, head("", *names), tuple(rows), compact=True, keep=len(rows) <= MOST_KEPT)


def reported(results: Results) -> StudyResult | None:
    """The study that findings and impression are about: the latest one of the baseline's kind that was segmented.

    Without any of that kind, the latest segmented one; None where no study was segmented.
    """
    segmented = [study for study in results.studies if study.segmentation is not None]
    if results.baseline_id is not None:
        kind = results.study(results.baseline_id).modality
        segmented = [study for study in segmented if study.modality == kind] or segmented
    return segmented[-1] if segmented else None


def counted(count: int) -> str:
    """A number of lesions as it is reported; see ``MOST_COUNTED``."""
    return str(count) if count <= MOST_COUNTED else f"> {MOST_COUNTED}"
