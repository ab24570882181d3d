"""Every table of the results, in the order of the workbook. Adding one: a function like those, and a line below."""

from __future__ import annotations

from .results_model import Results
from .table_model import Column, Table, TableMaker
from .tables_lesions import change_table, lesion_table
from .tables_patient import provenance_table, psa_table, response_table, warning_table
from .tables_studies import reference_table, region_table, score_table, study_table

__all__ = ["TABLES", "Column", "Table", "all_tables"]

TABLES: tuple[TableMaker, ...] = (
    study_table,
    lesion_table,
    change_table,
    region_table,
    reference_table,
    score_table,
    response_table,
    psa_table,
    warning_table,
    provenance_table,
)


def all_tables(results: Results) -> tuple[Table, ...]:
    """All tables of ``results``. They are for programs and people alike, in English."""
    return tuple(make(results) for make in TABLES)
