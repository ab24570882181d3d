"""The uptake of a SPECT in Bq/mL, from the image through the store to every file: in SUVbw, scaled once."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from example_case import A, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.outputs import write_results_json, write_tables
from PSMATheranosticsLib.pipeline_tracking import track_lesions
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.report import build_report
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results
from PSMATheranosticsLib.summary import summary_lines
from PSMATheranosticsLib.tables_studies import region_table
from report_page import words_of
from spect_case import add_spect, draw_lesion

# 216 voxels of 8e5 and 36 of 2e4 Bq/mL; 4.8 mm cubes; 1e-5 and 2e-5 SUVbw per Bq/mL.
VOLUME_ML = 252 * 0.110592
EXPECTED = {2: (8.0, (216 * 8.0 + 36 * 0.2) / 252), 3: (16.0, (216 * 16.0 + 36 * 0.4) / 252)}  # SUVmax, SUVmean


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PET and two SPECT, whose lesions come from files, followed."""
    made = tmp_path_factory.mktemp("spect") / "case"
    make_case(made, [Visit(0, [A])], followed=False).close()
    for factor, days in ((1e-5, 0), (2e-5, 42)):
        draw_lesion(made, add_spect(made, factor, days))
    with CaseStore.open(made, write=True) as case:
        for study in EXPECTED:
            case.set_region(study, 1, Region("bone", "", "seen on CT"))
        track_lesions(case, "identity")
    return made


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    with CaseStore.open(folder) as case:
        return collect_results(case)


def rows_of(path: Path) -> dict[int, dict[str, str]]:
    """Rows of one lesion each by study."""
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["study_id"]): row for row in csv.DictReader(file) if row["lesion"]}


def test_store_results_and_files_hold_the_same_suv(folder: Path, results: Results, tmp_path: Path):
    write_results_json(results, tmp_path / "results.json")
    write_tables(results, tmp_path)
    rows, stored = rows_of(tmp_path / "lesions.csv"), json.loads((tmp_path / "results.json").read_text("utf-8"))
    with CaseStore.open(folder) as case:
        measured = {study: case.lesions(study)[0].measures for study in EXPECTED}
    for index, (study, (highest, mean)) in enumerate(EXPECTED.items(), start=1):
        found, row, told = measured[study], rows[study], stored["studies"][index]
        figures = (found.suv_max, found.suv_mean, found.suv_peak, found.volume_ml, found.tl_psma)
        assert figures == pytest.approx((highest, mean, highest, VOLUME_ML, mean * VOLUME_ML))
        names = ("suv_max_suvbw", "suv_mean_suvbw", "suv_peak_suvbw", "volume_ml", "tl_psma_suvbw_ml")
        assert tuple(float(row[name]) for name in names) == figures
        assert told["lesions"][0]["measures"]["suv_max"] == told["totals"]["suv_max"] == found.suv_max
        assert (told["totals"]["tl_psma"], told["totals"]["suv_mean"]) == pytest.approx((found.tl_psma, mean))
        assert told["image_suv_max"] == pytest.approx(highest)
        (cell,) = [t["cells"][index] for t in stored["tracks"] if t["cells"][index]["lesion"] is not None]
        assert (cell["suv_max"], cell["tl_psma"]) == (found.suv_max, found.tl_psma)


def test_changes_and_responses_compare_suv(results: Results):
    assert results.studies[2].change_from_previous_percent["suv_max"] == pytest.approx(100.0)
    assert results.studies[2].change_from_previous_percent["psma_tv_ml"] == pytest.approx(0.0)
    (response,) = [one for one in results.responses_by_lesion if one.later_id == 3]
    (change,) = [one for one in response.changes if one.ratios["suv_max"]]
    assert change.ratios["suv_max"] == pytest.approx(2.0)
    assert (change.before.suv_max, change.after.suv_max) == pytest.approx((8.0, 16.0))


def test_tables_scores_and_summary_give_suv(results: Results):
    totals = {row["study_id"]: row for row in region_table(results).rows if row["region"] == "all"}
    for study, (highest, _mean) in EXPECTED.items():
        assert totals[study]["suv_max_suvbw"] == pytest.approx(highest)
        (burden,) = [score for score in results.study(study).scores if score.name == "Burden"]
        assert dict(burden.inputs)["SUVmax metastatic"] == f"{highest:.1f}"
    lines = [line for line in summary_lines(results) if line.startswith("SPECT") and "TL-PSMA" in line]
    assert [line.partition("mL, ")[2] for line in lines] == [
        "TL-PSMA 192 SUV x mL, image SUVmax 8.00",
        "TL-PSMA 384 SUV x mL, image SUVmax 16.00",
    ]


def test_the_report_gives_suv(folder: Path, results: Results):
    with CaseStore.open(folder) as case:
        sections = {section.name: words_of(section) for section in build_report(results, case).sections}
    totals = r"SPECT 1 \S+ day 92 1 27\.9 .* 191\.9 – 6\.9 8\.0 – SPECT 2 .* 383\.8 – 13\.8 16\.0"
    assert re.search(totals, sections["totals"])
    assert "persistent link 1.00 27.9 8.0 8.0 persistent link 1.00 27.9 16.0 16.0" in sections["lesions"]


def test_without_suv_no_lesions_can_be_stored(tmp_path: Path):
    folder = tmp_path / "case"
    make_case(folder, [Visit(0, [A])]).close()
    spect = add_spect(folder)
    with pytest.raises(InputError, match="its SUVs are not known"):
        draw_lesion(folder, spect)
    with CaseStore.open(folder, write=True) as case:
        measures = case.lesions(1)[0].measures
        with pytest.raises(InputError, match="lesions cannot be measured"):
            case.save_segmentation(spect, case.labels(1), [LesionInput(measures)])
        assert case.segmentation(spect) is None
        assert collect_results(case).study(spect).image_suv_max is None
