"""Results collected from a real case folder with synthetic images."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from example_case import FIRST_DAY, PATIENT, SETTINGS, Spot, Visit, make_case
from PSMASegmentLib.measure import Measures
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.records import (
    LesionRecord,
    LinkInput,
    LinkRecord,
    SegmentationRecord,
    StudyRecord,
    TrackRecord,
)
from PSMATheranosticsLib.response_results import ReaderStatement
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import SCHEMA, Results, plain_value
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling

VOXEL_ML = 0.064
A = Spot(1, (10, 10, 10), (5, 5, 5), 12.0)  # 125 voxels, 8 mL
B = Spot(2, (30, 10, 20), (4, 5, 5), 20.0)  # 100 voxels, 6.4 mL
NEW = Spot(3, (45, 12, 12), (5, 5, 5), 9.0)
SMALL_A = replace(A, size=(3, 5, 5))  # 75 voxels


def results_of(tmp_path, visits, **options) -> Results:
    with make_case(tmp_path / "case", visits, **options) as case:
        return collect_results(case)


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


def test_response_is_given_for_each_follow_up_with_the_lesions_that_decided(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A]), Visit(84, [SMALL_A]), Visit(168, [SMALL_A, NEW])])
    partial, progression = results.responses
    assert (partial.category, partial.new_lesion_tracks) == ("RECIP-PR", ())
    assert partial.change_percent == pytest.approx(-40.0)
    assert partial.change_ml == pytest.approx(-50 * VOXEL_ML)
    assert (progression.category, progression.new_lesion_tracks) == ("RECIP-PD", ("L03",))
    assert progression.baseline_id == results.baseline_id
    assert partial.candidate
    assert progression.candidate


def test_growth_against_the_previous_study_is_not_progression(tmp_path):
    tiny = replace(A, size=(2, 2, 2))
    results = results_of(tmp_path, [Visit(0, [A]), Visit(84, [tiny]), Visit(168, [SMALL_A])])
    assert [response.category for response in results.responses] == ["RECIP-PR", "RECIP-PR"]


def test_rejected_lesion_counts_nowhere(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as case:
        followup = case.studies()[1].study_id
        assert collect_results(case).responses[0].category == "RECIP-PD"
        case.decide_lesion(followup, 2, "rejected", "rib fracture")
        results = collect_results(case)
    (response,) = results.responses
    assert (response.category, response.new_lesions, response.new_lesion_tracks) == ("RECIP-SD", False, ())
    assert response.followup_ttv_ml == pytest.approx(125 * VOXEL_ML)
    study = results.studies[1]
    assert [lesion.lesion for lesion in study.lesions] == [1]
    assert [(lesion.lesion, lesion.decision_reason) for lesion in study.rejected] == [(2, "rib fracture")]
    cell = next(track for track in results.tracks if track.label == "L03").cells[1]
    assert (cell.lesion, cell.volume_ml, cell.note) == (None, None, "rejected by a reader")


def test_lesion_whose_baseline_part_was_rejected_counts_as_new_and_says_so(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, B])]) as case:
        case.decide_lesion(case.studies()[0].study_id, 2, "rejected")
        results = collect_results(case)
    assert results.responses[0].new_lesion_tracks == ("L02",)
    assert any(warning.track == "L02" and "rejected" in warning.text for warning in results.warnings)


def test_fragment_of_a_baseline_lesion_is_not_new(tmp_path):
    fragment = Spot(2, (17, 10, 10), (3, 5, 5))
    visits = [Visit(0, [A]), Visit(84, [A, fragment], {2: "split"}), Visit(168, [A, fragment])]
    results = results_of(tmp_path, visits, parents={2: [1]}, joins=[(1, 1, 2)])
    assert [response.new_lesions for response in results.responses] == [False, False]


def test_new_lesion_that_later_takes_in_an_old_one_is_new_until_then(tmp_path):
    # Track 3 appears at visit 1; at visit 2 track 1 merges into it.
    visits = [Visit(0, [A, B]), Visit(84, [A, B, NEW]), Visit(168, [B, NEW], {1: "merged"})]
    results = results_of(tmp_path, visits, parents={3: [1]}, joins=[(2, 1, 3)])
    first, second = results.responses
    assert first.new_lesion_tracks == ("L03",)
    assert second.new_lesion_tracks == ()


def test_ancestry_is_followed_over_several_parents(tmp_path):
    child, grandchild = Spot(4, (20, 10, 10), (3, 3, 3)), Spot(5, (25, 10, 10), (3, 3, 3))
    visits = [Visit(0, [A]), Visit(84, [A, child], {4: "split"}), Visit(168, [A, child, grandchild], {5: "split"})]
    parents = {4: [1], 5: [4]}
    results = results_of(tmp_path, visits, parents=parents, joins=[(1, 1, 4), (2, 4, 5)])
    assert not results.responses[1].new_lesions


def test_baseline_lesions_outside_the_followup_are_counted_in_a_warning(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [A], {2: "not imaged"})]
    texts = [warning.text for warning in results_of(tmp_path, visits).warnings]
    assert any("The place of 1 of the lesions of the baseline (6.4 mL) was not imaged" in text for text in texts)


def test_gone_lesions_are_no_matter_of_coverage(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [A], {2: "gone"})]
    assert not any("was not imaged" in warning.text for warning in results_of(tmp_path, visits).warnings)


def test_place_not_imaged_at_baseline_is_no_new_lesion_but_noted(tmp_path):
    visits = [Visit(0, [A], {3: "not imaged"}), Visit(84, [A, NEW], {3: "baseline"})]
    results = results_of(tmp_path, visits)
    assert results.responses[0].new_lesions is False
    assert any(warning.track == "L03" and "not imaged at baseline" in warning.text for warning in results.warnings)


def test_reappeared_lesion_of_the_baseline_is_not_new_but_noted(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [A]), Visit(168, [A, B], {2: "reappeared"})]
    results = results_of(tmp_path, visits)
    assert results.responses[1].new_lesions is False
    assert any(warning.track == "L02" and "reappeared" in warning.text for warning in results.warnings)


def test_without_tracks_new_lesions_cannot_be_assessed(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A]), Visit(84, [SMALL_A])], followed=False)
    (response,) = results.responses
    assert response.new_lesions is None
    assert (response.category, response.branches) == ("NE", ("RECIP-PR", "RECIP-SD"))
    assert sum("not been followed yet" in warning.text for warning in results.warnings) == 2


def test_no_lesion_left_is_partial_response_until_a_reader_sees_no_uptake(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [])]) as case:
        followup = case.studies()[1].study_id
        assert collect_results(case).responses[0].category == "RECIP-PR"
        case.save_response(followup, "RECIP 1.0", ReaderStatement(residual_uptake=False).to_dict())
        assert collect_results(case).responses[0].category == "RECIP-CR"


def test_confirmation_holds_only_for_the_category_that_was_confirmed(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as case:
        followup = case.studies()[1].study_id
        statement = ReaderStatement(confirmed_category="RECIP-PD", confirmed_by="Reader One")
        case.save_response(followup, "RECIP 1.0", statement.to_dict())
        confirmed = collect_results(case).responses[0]
        assert (confirmed.candidate, confirmed.confirmed_by) == (False, "Reader One")
        case.decide_lesion(followup, 2, "rejected")
        changed = collect_results(case).responses[0]
    assert changed.category == "RECIP-SD"
    assert changed.candidate
    assert any("confirm again" in note for note in changed.notes)


def test_reader_can_say_that_new_lesions_are_not_assessable(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW])]) as case:
        statement = ReaderStatement(new_lesions_assessable=False)
        case.save_response(case.studies()[1].study_id, "RECIP 1.0", statement.to_dict())
        response = collect_results(case).responses[0]
    assert (response.category, response.branches) == ("NE", ("RECIP-SD", "RECIP-PD"))


def test_differences_between_the_scans_reach_notes_and_warnings(tmp_path):
    visits = [Visit(0, [A]), Visit(40, [A], tracer="18F-PSMA-1007", settings={**SETTINGS, "threshold": 4.0})]
    results = results_of(tmp_path, visits)
    notes = " ".join(results.responses[0].notes)
    assert "less than 8 weeks" in notes
    assert "68Ga-PSMA-11 and 18F-PSMA-1007" in notes
    assert "threshold 3 and 4" in notes
    assert {warning.text for warning in results.warnings} == set(results.responses[0].notes)


def test_small_new_lesion_that_alone_decides_is_named(tmp_path):
    speck = replace(NEW, size=(2, 2, 2), suv=3.1)
    results = results_of(tmp_path, [Visit(0, [A]), Visit(84, [SMALL_A, speck]), Visit(168, [SMALL_A, speck, B])])
    first, second = results.responses
    assert first.category == "RECIP-SD"
    assert (
        "Would be RECIP-PR if a reader rejects the new lesions, all below 1 mL: L03 (0.51 mL, SUVmax 3.1)."
        in first.notes
    )
    assert not second.notes


def test_new_lesions_are_listed_in_the_order_of_their_tracks(tmp_path):
    many = [
        Spot(number, (4 + 3 * (number % 10), 8, 8 + 2 * (number // 10)), (1, 1, 1)) for number in range(101, 91, -1)
    ]
    results = results_of(tmp_path, [Visit(0, [A]), Visit(84, many)])
    assert results.responses[0].new_lesion_tracks[0] == "L92"
    assert results.responses[0].new_lesion_tracks[-1] == "L101"


def test_studies_before_the_baseline_get_no_response(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A]), Visit(168, [A])]) as case:
        case.set_baseline(case.studies()[1].study_id)
        results = collect_results(case)
    assert [study.days_since_baseline for study in results.studies] == [-84, 0, 84]
    assert [results.study(response.followup_id).days_since_baseline for response in results.responses] == [84]
    assert results.studies[0].lesions[0].new_since_baseline is False


def test_new_is_against_the_chosen_baseline(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, NEW]), Visit(168, [A, NEW])]) as case:
        case.set_baseline(case.studies()[1].study_id)
        assert collect_results(case).responses[0].new_lesions is False


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


def test_study_without_segmentation_has_no_totals_and_the_response_is_open(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case:

        class NotSegmented:
            def __getattr__(self, name):
                return getattr(case, name)

            def segmentation(self, study_id):
                return None if study_id == case.studies()[1].study_id else case.segmentation(study_id)

            def lesions(self, study_id, rejected=False):
                return [] if self.segmentation(study_id) is None else case.lesions(study_id, rejected)

        results = collect_results(NotSegmented())  # type: ignore[arg-type]
    assert results.studies[1].totals is None
    assert results.responses[0].category == "NE"
    assert "no tumor volume at follow-up" in results.responses[0].why


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
    assert plain["schema"] == SCHEMA == "psma-results/1"
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


class LargeCase:
    """300 lesions on each of five studies, without images: what a store would hand over."""

    patient = PATIENT

    def __init__(self, studies: int = 5, lesions: int = 300) -> None:
        origin = DicomOrigin("1", "2", "3", "4", ())
        scaling = Scaling("SUVbw", 1.0, "none")
        numbers = range(1, lesions + 1)
        self._studies = [
            StudyRecord(
                study_id=index + 1,
                label=f"Study {index}",
                is_baseline=index == 0,
                acquired=FIRST_DAY.replace(month=1 + 2 * index),
                modality="PET",
                tracer="",
                emission_id=f"large {index}",
                ct_id=None,
                organs_id=None,
                organ_names={},
                scaling=scaling,
                origin=origin,
                source="synthetic",
                fingerprint=str(index),
                injected_activity_mbq=None,
                minutes_after_injection=None,
                weight_kg=None,
                scanner="",
                emission_max=20.0,
                warnings=(),
            )
            for index in range(studies)
        ]
        measures = [Measures(n, 10, 1.0, 9.0, 5.0, 7.0, 5.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)) for n in numbers]
        self._lesions = {
            study.study_id: [
                LesionRecord(study.study_id, m.lesion, m, "rules", "", "undecided", "", m.lesion) for m in measures
            ]
            for study in self._studies
        }
        ids = [study.study_id for study in self._studies]
        self._tracks = [
            TrackRecord(n, f"L{n:02d}", f"2.25.{n}", dict.fromkeys(ids, n), dict.fromkeys(ids, "persistent"), [])
            for n in numbers
        ]
        self._links = [
            LinkRecord(first, second, n, n, "one-to-one", 0.0, 1.0, 0.9, "", True, "proposed")
            for first in ids
            for second in ids
            if first < second
            for n in numbers
        ]

    def reading(self):
        from contextlib import nullcontext

        return nullcontext()

    def studies(self):
        return self._studies

    def baseline(self):
        return self._studies[0]

    def segmentation(self, study_id):
        return SegmentationRecord(study_id, "labels", {"method": "rules", "settings": SETTINGS}, [], FIRST_DAY)

    def lesions(self, study_id, rejected=False):
        return self._lesions[study_id]

    def tracks(self):
        return self._tracks

    def links(self):
        return self._links

    def registrations(self):
        return []

    def responses(self):
        return []

    def orphaned_decisions(self):
        return []

    def load_image(self, image_id):
        import SimpleITK as sitk

        return sitk.Image([2, 2, 2], sitk.sitkFloat32)


def test_300_lesions_on_5_studies_take_well_below_a_second():
    case = LargeCase()
    start = time.perf_counter()
    results = collect_results(case)  # type: ignore[arg-type]
    plain = results.to_dict()
    assert time.perf_counter() - start < 1.0
    assert len(results.tracks) == 300
    assert len(plain["studies"][4]["lesions"]) == 300
