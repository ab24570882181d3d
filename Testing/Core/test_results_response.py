"""Which lesions count as new, and what response the results give for each follow-up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_case import NEW, SETTINGS, SMALL_A, VOXEL_ML, A, B, Spot, Visit, make_case, results_of
from PSMATheranosticsLib.response_results import ReaderStatement
from PSMATheranosticsLib.results import collect_results


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
