"""``statistics.csv`` says the same as the lesions of the case."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PSMATheranosticsLib.progress import silent
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.statistics_table import STATISTICS_COLUMNS, write_statistics_csv
from tiny_case import two_studies


def test_every_lesion_that_counts_has_a_row_that_agrees_with_its_measures(tmp_path: Path) -> None:
    with two_studies(tmp_path / "case") as case:
        case.decide_lesion(1, 1, "rejected")
        results = collect_results(case)
        write_statistics_csv(case, results, tmp_path / "statistics.csv", silent)
        expected = [(study, lesion) for study in results.studies for lesion in study.lesions]
    with (tmp_path / "statistics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(STATISTICS_COLUMNS)
    assert [(int(row["study_id"]), int(row["lesion"])) for row in rows] == [
        (study.study_id, lesion.lesion) for study, lesion in expected
    ]
    for row, (_, lesion) in zip(rows, expected, strict=True):
        measures = lesion.measures
        assert row["track"] == lesion.track
        assert int(row["voxels"]) == measures.voxels
        for column, value in (
            ("volume_ml", measures.volume_ml),
            ("mean", measures.suv_mean),
            ("maximum", measures.suv_max),
            ("global_peak", measures.suv_peak),
        ):
            assert float(row[column]) == pytest.approx(value, rel=1e-12)
        assert float(row["minimum"]) <= float(row["p10"]) <= float(row["median"]) <= float(row["p90"])
