"""What results say of studies, tracks, links and registrations, from real case folders with synthetic images."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from example_case import NEW, PATIENT, SMALL_A, VOXEL_ML, A, B, Visit, make_case, results_of
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.records import LinkInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import SCHEMA, SegmentationResult, plain_value
from PSMATheranosticsLib.study import Patient


def test_totals_and_changes_are_those_of_the_voxels(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A, B]), Visit(84, [SMALL_A, B])])
    baseline, followup = results.studies
    assert baseline.totals is not None
    assert followup.totals is not None
    assert baseline.totals.psma_tv_ml == pytest.approx(225 * VOXEL_ML)
    assert followup.totals.psma_tv_ml == pytest.approx(175 * VOXEL_ML)
    assert baseline.totals.tl_psma == pytest.approx((125 * 12 + 100 * 20) * VOXEL_ML)
    assert baseline.totals.suv_mean == pytest.approx((125 * 12 + 100 * 20) / 225)
    assert baseline.totals.suv_max == pytest.approx(20.0)
    assert baseline.totals.lesion_count == 2
    assert followup.change_from_baseline_percent["psma_tv_ml"] == pytest.approx(-100 * 50 / 225)
    assert followup.change_from_baseline_percent["lesion_count"] == 0
    assert baseline.image_suv_max == pytest.approx(20.0)
    assert (baseline.days_since_baseline, followup.days_since_baseline) == (0, 84)


def test_totals_by_region_count_what_counts_in_the_order_of_the_regions(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B, NEW])]) as case:
        (study,) = case.studies()
        case.set_region(study.study_id, 1, Region("visceral", "liver"))
        case.set_region(study.study_id, 2, Region("prostate bed"))
        before = collect_results(case).study(study.study_id)
        case.decide_lesion(study.study_id, 1, "rejected", "liver")
        after = collect_results(case).study(study.study_id)
    assert list(before.by_region) == ["prostate bed", "visceral", "unknown"]
    assert before.by_region["prostate bed"].psma_tv_ml == pytest.approx(100 * VOXEL_ML)
    assert before.by_region["prostate bed"].tl_psma == pytest.approx(100 * 20 * VOXEL_ML)
    assert before.by_region["visceral"].psma_tv_ml == pytest.approx(125 * VOXEL_ML)
    assert list(after.by_region) == ["prostate bed", "unknown"]
    assert after.rejected[0].region == Region("visceral", "liver")


def test_studies_keep_how_they_were_made(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A], warnings=["The CT is shorter than the PET."])])
    (study,) = results.studies
    assert study.scaling.inputs["PatientWeight (kg)"] == 82.5
    assert study.tracer == "68Ga-PSMA-11"
    assert study.segmentation is not None
    assert study.segmentation.threshold_suv == 3.0
    assert study.segmentation.rule_set == "suv3"
    assert study.removed[0]["reason"] == "kidney"
    assert [(warning.source, warning.study_id) for warning in results.warnings] == [("study", study.study_id)]
    assert results.synthetic


def test_a_patient_of_whom_nothing_says_synthetic_is_not_called_so(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        studies = [
            replace(study, source="PET/1.dcm", scanner="Scanner", origin=replace(study.origin, series_description="WB"))
            for study in case.studies()
        ]

        class Renamed:
            patient = Patient("P1", "Doe^John")

            def __getattr__(self, name):
                return getattr(case, name)

            def studies(self):
                return studies

        assert not collect_results(Renamed()).synthetic  # type: ignore[arg-type]


def test_track_cells_hold_measures_changes_and_status(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A, B]), Visit(84, [replace(SMALL_A, suv=6.0), NEW])])
    rows = {track.label: track.cells for track in results.tracks}
    assert [cell.status for cell in rows["L01"]] == ["baseline", "persistent"]
    assert [cell.status for cell in rows["L02"]] == ["baseline", "gone"]
    assert [cell.status for cell in rows["L03"]] == ["", "new"]
    assert rows["L01"][1].volume_change_percent == pytest.approx(-40.0)
    assert rows["L01"][1].suv_max_change_percent == pytest.approx(-50.0)
    assert rows["L02"][1].volume_ml is None
    assert rows["L03"][1].volume_change_percent is None
    link = results.studies[1].lesions[0].links[0]
    assert (link.earlier_lesion, link.confidence, link.status) == (1, 0.95, "proposed")


def test_only_an_uncertain_link_that_carries_the_track_and_is_undecided_is_a_warning(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, B]), Visit(168, [A, B])]) as case:
        first, second, third = (study.study_id for study in case.studies())
        doubtful = LinkInput(1, 1, "one-to-one", 9.0, 0.0, 0.31, "gap 9 mm", True)
        sure = LinkInput(2, 2, "one-to-one", 0.0, 1.0, 0.98, "overlap 100 %", True)
        case.save_links(first, third, [doubtful, sure])  # not on the way of the track, which goes through the second
        assert collect_results(case).warnings == ()
        case.save_links(second, third, [doubtful, sure])
        (warning,) = collect_results(case).warnings
        assert (warning.track, warning.study_id) == ("L01", third)
        assert "0.31 (gap 9 mm)" in warning.text
        case.decide_link(second, third, 1, 1, "accepted")
        results = collect_results(case)
    assert results.warnings == ()
    link = results.studies[2].lesions[0].carrying_link
    assert link is not None
    assert (link.earlier_study_id, link.status) == (second, "accepted")


def test_rejected_link_is_not_shown(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case:
        first, second = (study.study_id for study in case.studies())
        case.decide_link(first, second, 1, 1, "rejected")
        assert collect_results(case).studies[1].lesions[0].links == ()


def test_registration_that_is_not_good_is_a_warning(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case:
        first, second = (study.study_id for study in case.studies())
        transform = case.registrations()[0].transform
        record = {"method": "rigid", "reference": "PET", "verdict": "doubtful", "reasons": ["bodies overlap by 70 %"]}
        case.save_registration(first, second, transform, record)
        results = collect_results(case)
    (warning,) = results.warnings
    assert (warning.source, warning.study_id) == ("registration", second)
    assert "bodies overlap by 70 %" in warning.text
    assert results.registrations[0].verdict == "doubtful"


def test_empty_case_gives_empty_results(tmp_path):
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        results = collect_results(case)
    assert results.studies == ()
    assert results.baseline_id is None
    assert json.loads(json.dumps(results.to_dict()))["patient"]["patient_id"] == "SYNTHETIC-7"


def test_json_has_schema_first_and_only_plain_values(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A]), Visit(84, [A, NEW])])
    plain = results.to_dict()
    assert next(iter(plain)) == "schema"
    assert plain["schema"] == SCHEMA == "psma-results/2"
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again == plain
    assert again["studies"][0]["acquired"] == "2026-01-10T09:30:00"
    assert again["patient"]["birth_date"] == "1950-03-02"
    assert again["studies"][1]["lesions"][1]["measures"]["volume_ml"] == pytest.approx(8.0)


def test_numbers_that_json_does_not_know_become_null_and_numpy_becomes_plain():
    mixed = {1: math.nan, "b": (np.float32(1.5), np.int64(2)), "c": {math.inf}}
    assert plain_value(mixed) == {"1": None, "b": [1.5, 2], "c": [None]}


def test_results_do_not_change_the_case(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case:
        before = len(case.journal())
        first, second = collect_results(case), collect_results(case)
        assert len(case.journal()) == before
    assert replace(first, created=second.created) == second


def found_by(**provenance) -> SegmentationResult:
    return SegmentationResult("torchscript:net.ts", "", None, {}, datetime(2024, 1, 2), provenance)


def test_networks_of_one_name_and_other_files_do_not_count_as_the_same_method():
    first, again, second = (
        found_by(model="net", sha256=hashlib.sha256(program).hexdigest()).compared() for program in (b"1", b"1", b"2")
    )
    assert first == again != second
    assert first["network"] == f"net ({hashlib.sha256(b'1').hexdigest()[:8]})"


def test_one_network_with_borders_drawn_in_another_way_does_not_count_as_the_same_method():
    told = [
        found_by(model="net", sha256="a" * 64, finish={"version": "1", "settings": {"border": share}}).compared()
        for share in (0.37, 0.37, 0.41)
    ]
    assert told[0] == told[1] != told[2] and told[0]["border"] == "0.37"


@pytest.mark.parametrize(
    ("finish", "drawn_by_network"),
    [
        ({"threshold": 0.1, "border": 0.36}, True),
        ({"threshold": 0.1}, True),  # as the network drew them; written before there were borders
        ({"threshold": 3.0, "border": 0.36}, True),
        ({"threshold": 3.0, "border": 0.0}, False),
        ({}, False),  # rules
    ],
)
def test_whose_borders_the_volumes_have_is_known_from_the_finish(finish, drawn_by_network):
    assert found_by(finish={"settings": finish}).network_borders is drawn_by_network


def test_folders_of_a_network_differ_when_one_of_their_files_does():
    files = {"plans.json": "a" * 64, "fold_0/checkpoint_final.pth": "b" * 64}
    told = [found_by(model="Dataset001", sha256=hashes).compared() for hashes in (files, dict(reversed(files.items())))]
    assert told[0] == told[1] != found_by(model="Dataset001", sha256={**files, "plans.json": "c" * 64}).compared()


def test_labels_read_from_two_files_were_made_in_the_same_way():
    told = [found_by(file=f"{name}.dcm", sha256=name * 64, version="9.1").compared() for name in "ab"]
    assert told[0] == told[1] == {"method": "torchscript:net.ts", "version": "9.1"}
