"""results.json, lesions.csv and lesion_response.csv."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from example_case import NEW, PATIENT, A, B, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.outputs import write_results_json, write_table_csv
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results
from PSMATheranosticsLib.tables_lesions import CHANGE_COLUMNS, LESION_COLUMNS, change_table, lesion_table
from PSMATheranosticsLib.whole_file import write_whole


@pytest.fixture
def results(tmp_path) -> Results:
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as case:
        return collect_results(case)


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_json_file_holds_the_results(results, tmp_path):
    path = tmp_path / "results.json"
    write_results_json(results, path)
    assert json.loads(path.read_text(encoding="utf-8")) == results.to_dict()


def test_csv_has_one_row_per_lesion_and_study_and_the_tracks_that_are_gone(results, tmp_path):
    path = tmp_path / "lesions.csv"
    write_table_csv(lesion_table(results), path)
    rows = rows_of(path)
    assert [(row["study"], row["track"], row["status"], row["lesion"]) for row in rows] == [
        ("Baseline", "L01", "baseline", "1"),
        ("Baseline", "L02", "baseline", "2"),
        ("Follow-up 1", "L01", "persistent", "1"),
        ("Follow-up 1", "L03", "new", "2"),
        ("Follow-up 1", "L02", "gone", ""),
    ]
    assert [row["new_since_baseline"] for row in rows] == ["no", "no", "no", "yes", ""]
    assert rows[4]["volume_ml"] == ""
    assert rows[4]["tracking_uid"] == rows[1]["tracking_uid"]


def test_csv_numbers_come_back_without_loss(results, tmp_path):
    path = tmp_path / "lesions.csv"
    write_table_csv(lesion_table(results), path)
    first = rows_of(path)[0]
    measures = results.studies[0].lesions[0].measures
    assert float(first["volume_ml"]) == measures.volume_ml
    assert float(first["suv_peak_suvbw"]) == measures.suv_peak
    centroid = tuple(float(first[f"centroid_{axis}_mm"]) for axis in ("left", "posterior", "superior"))
    assert centroid == measures.centroid_mm


def test_csv_is_rfc_4180_in_utf8_with_documented_columns(results, tmp_path):
    named = replace(results, patient=replace(PATIENT, patient_id='Möller, "7"\nB'))
    path = tmp_path / "lesions.csv"
    write_table_csv(lesion_table(named), path)
    raw = path.read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"\r\n")
    header = raw.split(b"\r\n", 1)[0].decode()
    assert header.split(",") == [column.name for column in LESION_COLUMNS]
    assert all(column.about for column in LESION_COLUMNS)
    assert b'"M\xc3\xb6ller, ""7""\nB"' in raw
    rows = list(csv.DictReader(io.StringIO(raw.decode(), newline=""), strict=True))
    assert {row["patient_id"] for row in rows} == {'Möller, "7"\nB'}


def test_csv_lists_tracks_in_their_order_beyond_99(results, tmp_path):
    track, lesion = results.tracks[0], results.studies[0].lesions[0]
    tracks = [replace(track, label=label) for label in ("L99", "L100")]
    lesions = tuple(replace(lesion, track=label) for label in ("L100", "L99"))
    one = replace(results, tracks=tuple(tracks), studies=(replace(results.studies[0], lesions=lesions),))
    path = tmp_path / "lesions.csv"
    write_table_csv(lesion_table(one), path)
    assert [row["track"] for row in rows_of(path)] == ["L99", "L100"]


def test_lesions_that_were_not_followed_are_in_the_csv(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B])], followed=False) as case:
        write_table_csv(lesion_table(collect_results(case)), tmp_path / "lesions.csv")
    rows = rows_of(tmp_path / "lesions.csv")
    assert [(row["track"], row["lesion"], row["status"]) for row in rows] == [("", "1", ""), ("", "2", "")]


def test_rejected_lesions_are_not_in_the_csv(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B])]) as case:
        case.decide_lesion(case.studies()[0].study_id, 2, "rejected")
        write_table_csv(lesion_table(collect_results(case)), tmp_path / "lesions.csv")
    assert [row["lesion"] for row in rows_of(tmp_path / "lesions.csv")] == ["1"]


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"first")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_makes_the_folder_and_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "file"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_region_and_review_stand_in_new_columns_after_those_of_before(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as case:
        case.set_region(1, 2, Region("bone", "third lumbar vertebra"))
        case.decide_lesion(1, 1, "accepted")
        results = collect_results(case)
    write_table_csv(lesion_table(results), tmp_path / "lesions.csv")
    rows = rows_of(tmp_path / "lesions.csv")
    columns = ["region", "region_site", "region_source", "reviewed"]
    added = ["response", "response_to_previous", "track_decision", "track_decision_by", "mi_psma"]
    added += ["probability", "low_evidence"]
    assert list(rows[0])[-12:] == ["linked_to", *columns, *added]
    assert [[row[name] for name in columns] for row in rows] == [
        ["", "", "", "yes"],
        ["bone", "third lumbar vertebra", "reader", "no"],
        ["", "", "", "no"],
        ["", "", "", "no"],
        ["", "", "", ""],  # the track that is gone
    ]


def test_json_holds_region_review_and_totals_by_region(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B])]) as case:
        case.set_region(1, 2, Region("bone", "rib"))
        case.decide_lesion(1, 2, "accepted")
        results = collect_results(case)
    write_results_json(results, tmp_path / "results.json")
    (study,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["studies"]
    first, second = study["lesions"]
    assert (first["region"], first["region_source"], first["reviewed"]) == (
        {"name": "", "site": "", "reason": ""},
        "",
        False,
    )
    assert (second["region"], second["region_source"], second["reviewed"]) == (
        {"name": "bone", "site": "rib", "reason": ""},
        "reader",
        True,
    )
    assert list(study["by_region"]) == ["bone", "unknown"]
    assert study["by_region"]["bone"]["psma_tv_ml"] == second["measures"]["volume_ml"]


def test_classes_stand_in_the_lesion_table_also_of_lesions_that_are_gone(results, tmp_path):
    write_table_csv(lesion_table(results), tmp_path / "lesions.csv")
    rows = rows_of(tmp_path / "lesions.csv")
    assert [(row["track"], row["response"], row["response_to_previous"]) for row in rows[2:]] == [
        ("L01", "stable", "stable"),
        ("L03", "new", "new"),
        ("L02", "resolved", "resolved"),
    ]


def test_the_response_table_has_a_row_for_each_comparison_and_track_without_loss(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [A, NEW]), Visit(168, [A, NEW])]
    with make_case(tmp_path / "case", visits) as case:
        case.decide_link(1, 2, 1, 1, "accepted")
        results = collect_results(case)
    write_table_csv(change_table(results), tmp_path / "lesion_response.csv")
    rows = rows_of(tmp_path / "lesion_response.csv")
    assert list(rows[0]) == [column.name for column in CHANGE_COLUMNS]
    assert all(column.about for column in CHANGE_COLUMNS)
    assert [(row["later_study"], row["against"], row["track"], row["class"]) for row in rows] == [
        ("Follow-up 1", "baseline; previous", "L01", "stable"),
        ("Follow-up 1", "baseline; previous", "L02", "resolved"),
        ("Follow-up 1", "baseline; previous", "L03", "new"),
        ("Follow-up 2", "baseline", "L01", "stable"),
        ("Follow-up 2", "baseline", "L02", "resolved"),
        ("Follow-up 2", "baseline", "L03", "new"),
        ("Follow-up 2", "previous", "L01", "stable"),
        ("Follow-up 2", "previous", "L03", "stable"),
    ]
    first, gone, new = rows[:3]
    change = results.responses_by_lesion[0].changes[0]
    assert change.before is not None
    assert float(first["tl_psma_before"]) == change.before.tl_psma
    assert float(first["volume_ratio"]) == change.ratios["volume"] == 1.0
    assert (first["confidence"], first["tl_psma_beyond"], first["counted"]) == ("1.0", "0", "yes")
    assert (gone["tl_psma_ratio"], gone["volume_after_ml"], gone["lesions_before"]) == ("0.0", "", "2")
    assert (new["tl_psma_ratio"], new["tl_psma_beyond"], new["lesions_after"]) == ("", "", "2")
    assert (first["deciding_measure"], first["low_limit"], first["high_limit"]) == ("TL-PSMA", "0.51", "1.95")


def test_the_response_table_of_one_study_has_only_its_header(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        write_table_csv(change_table(collect_results(case)), tmp_path / "lesion_response.csv")
    assert rows_of(tmp_path / "lesion_response.csv") == []
    assert (tmp_path / "lesion_response.csv").read_text(encoding="utf-8").startswith("patient_id,")
