"""Which studies are compared lesion by lesion, and what results say about it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from example_case import FIRST_DAY, NEW, SMALL_A, A, B, Spot, Visit, make_case, results_of
from PSMATheranosticsLib.errors import CaseError
from PSMATheranosticsLib.lesion_results import SETTING
from PSMATheranosticsLib.records import TrackDecisionRecord, TrackRecord
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.study import Scaling
from PSMATheranosticsLib.summary import summary_lines
from PSMATrackingLib.repeatability import DEFAULT_LIMITS
from recorded_case import RecordedCase, course, lesion_record, link_record, study_record

C = Spot(4, (20, 10, 22), (3, 3, 3), 9.0)


def test_every_follow_up_is_compared_with_the_baseline_and_with_the_one_before(tmp_path):
    results = results_of(tmp_path, [Visit(-30, [A]), Visit(0, [A]), Visit(84, [A]), Visit(168, [A])])
    pairs = [(one.earlier_id, one.later_id, one.against) for one in results.responses_by_lesion]
    # the first study of a case is its baseline until another one is chosen
    assert pairs == [(1, 2, ("baseline", "previous")), (1, 3, ("baseline",)), (2, 3, ("previous",)),
                     (1, 4, ("baseline",)), (3, 4, ("previous",))]  # fmt: skip
    found = results.lesion_response(3, "previous")
    assert found is not None
    assert found.earlier_id == 2
    assert results.lesion_response(1) is None


def test_a_study_before_the_baseline_is_compared_with_the_next_only():
    studies = [
        study_record(1, -40, "Prior 1", is_baseline=False),
        study_record(2, 0, is_baseline=True),
        study_record(3, 84),
    ]
    lesions = {study.study_id: [lesion_record(study.study_id, 1, 4.0)] for study in studies}
    tracks = [
        TrackRecord(1, "L01", "2.25.1", {1: 1, 2: 1, 3: 1}, {1: "baseline", 2: "persistent", 3: "persistent"}, [])
    ]
    results = RecordedCase(studies, lesions, tracks).results()
    pairs = [(one.earlier_id, one.later_id, one.against) for one in results.responses_by_lesion]
    assert pairs == [(1, 2, ("previous",)), (2, 3, ("baseline", "previous"))]


def test_classes_stand_in_the_cells_of_the_tracks(tmp_path):
    visits = [Visit(0, [A, B, C]), Visit(84, [SMALL_A, replace(B, suv=80.0), NEW]), Visit(168, [SMALL_A, B, NEW])]
    results = results_of(tmp_path, visits)
    rows = {track.label: track.cells for track in results.tracks}
    assert [cell.response for cell in rows["L01"]] == ["", "stable", "stable"]
    assert [cell.response for cell in rows["L02"]] == ["", "increasing", "stable"]
    assert [cell.response for cell in rows["L03"]] == ["", "new", "new"]
    assert [cell.response for cell in rows["L04"]] == ["", "resolved", "resolved"]
    assert [cell.response_to_previous for cell in rows["L02"]] == ["", "increasing", "decreasing"]
    assert [cell.response_to_previous for cell in rows["L03"]] == ["", "new", "stable"]
    assert rows["L01"][1].ratios["tl_psma"] == pytest.approx(0.6)
    assert rows["L02"][2].ratios_to_previous["suv_max"] == pytest.approx(0.25)
    assert rows["L01"][1].tl_psma == pytest.approx(75 * 0.064 * 12)


def test_merged_lesions_are_one_with_the_sum_of_their_measures(tmp_path):
    whole = replace(A, size=(5, 5, 7))
    options = {"parents": {1: [4]}, "joins": [(1, 4, 1)]}
    results = results_of(tmp_path, [Visit(0, [A, C]), Visit(84, [whole], {4: "merged"})], **options)
    (response,) = results.responses_by_lesion
    into, part = response.of("L01"), response.of("L04")
    assert into is not None
    assert part is not None
    assert (into.class_, into.group, into.counted) == ("stable", ("L01", "L04"), True)
    assert into.ratios["volume"] == pytest.approx(175 / (125 + 27))
    assert "together with L04 (2 lesions before, 1 after)" in into.reason
    assert (part.class_, part.standing) == ("merged", "L01")
    assert part.reason.endswith("counted with L01")
    assert response.heterogeneity.lesions == 1


@pytest.mark.parametrize("seed", range(6))
def test_new_against_the_baseline_is_what_counts_as_new_for_the_whole_patient(seed):
    results = course(40, [0, 60, 120, 180], seed).results()
    assert any(lesion.new_since_baseline for study in results.studies for lesion in study.lesions)
    for study in results.studies[1:]:
        response = results.lesion_response(study.study_id)
        assert response is not None
        new = {lesion.track for lesion in study.lesions if lesion.new_since_baseline}
        assert {change.track for change in response.changes if change.class_ == "new"} == new


def test_limits_of_the_case_are_used_and_told(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [SMALL_A])]) as case:
        assert collect_results(case).responses_by_lesion[0].changes[0].class_ == "stable"
        case.save_setting(SETTING, {"metric": "volume", "volume": {"low": 0.7, "high": 1.3}})
        results = collect_results(case)
        assert results.responses_by_lesion[0].changes[0].class_ == "decreasing"
        assert results.response_limits.metric == results.responses_by_lesion[0].heterogeneity.metric == "volume"
        case.save_setting(SETTING, {"volume": {"low": 7.0, "high": 1.3}})
        with pytest.raises(CaseError, match="limits of the lesion response"):
            collect_results(case)
    assert results.response_limits.tl_psma == DEFAULT_LIMITS.tl_psma


def two_visits(confidence=0.3, status="proposed", **second) -> RecordedCase:
    """One lesion that shrank from 8 to 2 mL."""
    studies = [study_record(1, 0), study_record(2, 84, **second)]
    lesions = {1: [lesion_record(1, 1, 8.0)], 2: [lesion_record(2, 1, 2.0)]}
    tracks = [TrackRecord(1, "L01", "2.25.1", {1: 1, 2: 1}, {1: "baseline", 2: "persistent"}, [])]
    return RecordedCase(studies, lesions, tracks, [link_record(1, 2, 1, 1, confidence=confidence, status=status)])


def only_class(case: RecordedCase) -> str:
    (change,) = case.results().responses_by_lesion[0].changes
    return change.class_


def test_a_doubtful_link_counts_once_a_reader_accepted_or_drew_it_or_confirmed_the_track():
    assert only_class(two_visits()) == "uncertain"
    assert only_class(two_visits(status="accepted")) == "decreasing"
    assert only_class(two_visits(status="edited")) == "decreasing"
    said = TrackDecisionRecord(1, 1, 2, "confirmed", "persistent", "seen on CT", "Dr. One", FIRST_DAY, track=1)
    confirmed = two_visits()
    confirmed.decisions = [said]
    assert only_class(confirmed) == "decreasing"
    cell = confirmed.results().tracks[0].cells[1]
    assert (cell.decision, cell.decided_by, cell.comment) == ("confirmed", "Dr. One", "seen on CT")


def test_comments_stand_with_their_track():
    case = two_visits()
    case.decisions = [TrackDecisionRecord(1, 1, None, "", "", "fracture?", "Dr. One", FIRST_DAY, track=1)]
    assert case.results().tracks[0].comments == ("fracture?",)


def test_another_tracer_is_told():
    (response,) = two_visits(tracer="18F-PSMA-1007").results().responses_by_lesion
    assert any("68Ga-PSMA-11 and 18F-PSMA-1007" in note for note in response.notes)
    (same,) = two_visits().results().responses_by_lesion
    assert same.notes == ()


def spect(study_id, day, wait_min=1440.0, **values):
    """A SPECT in Bq/mL of an injection of 7.4 GBq."""
    plain = {
        "label": f"SPECT {study_id}",
        "modality": "SPECT",
        "tracer": "177Lu-PSMA-617",
        "is_baseline": False,
        "scaling": Scaling("Bq/mL", 1.0, "calibrated", suv_factor=0.001),
        "injected_activity_mbq": 7400.0,
        "minutes_after_injection": wait_min,
    }
    return study_record(study_id, day, **{**plain, **values})


def with_spects(*spects) -> RecordedCase:
    studies = [study_record(1, 0), *spects]
    lesions = {study.study_id: [lesion_record(study.study_id, 1, 8.0, 5.0)] for study in studies}
    places = {study.study_id: 1 for study in studies}
    tracks = [TrackRecord(1, "L01", "2.25.1", places, dict.fromkeys(places, "persistent"), [])]
    return RecordedCase(studies, lesions, tracks)


def test_spect_is_compared_with_spect_of_the_same_time_after_injection():
    results = with_spects(spect(2, 1), spect(3, 43)).results()
    (response,) = results.responses_by_lesion
    assert (response.earlier_id, response.later_id, response.against) == (2, 3, ("previous",))
    assert response.changes[0].ratios["suv_max"] == 1.0
    assert any("exploratory" in note for note in response.notes)


@pytest.mark.parametrize("wait_min", [1440.0 * 4, None])
def test_spects_that_cannot_be_compared_are_named_with_the_reason(wait_min):
    results = with_spects(spect(2, 1), spect(3, 43, wait_min)).results()
    assert results.responses_by_lesion == ()
    (warning,) = [found for found in results.warnings if "not compared" in found.text]
    assert (warning.study_id, warning.source) == (3, "tracking")
    assert "times after injection differ" in warning.text


def test_treatments_are_the_injections_that_spects_tell_of():
    first, again = spect(2, 8), spect(3, 11, wait_min=1440.0 * 4)
    tracer = spect(4, 20, tracer="99mTc-PSMA-I&S")
    results = with_spects(first, again, tracer, spect(5, 50), spect(6, 60, wait_min=None)).results()
    assert [(one.days_since_baseline, one.label) for one in results.treatments] == [
        (7, "177Lu 7.4 GBq"),
        (49, "177Lu 7.4 GBq"),
    ]
    assert results.treatments[0].given == FIRST_DAY + timedelta(days=7)


def test_lesions_that_were_not_followed_are_not_compared(tmp_path):
    assert results_of(tmp_path, [Visit(0, [A]), Visit(84, [A])], followed=False).responses_by_lesion == ()


def test_json_holds_classes_ratios_and_limits():
    plain = two_visits().results().to_dict()
    (response,) = plain["responses_by_lesion"]
    (change,) = response["changes"]
    assert (change["class"], change["track"], change["ratios"]["volume"]) == ("uncertain", "L01", 0.25)
    assert response["heterogeneity"]["counts"]["uncertain"] == 1
    assert plain["response_limits"]["tl_psma"] == {"low": 0.51, "high": 1.95}
    assert plain["tracks"][0]["cells"][1]["response"] == "uncertain"


def test_the_facts_of_a_registration_are_told(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case:
        stored = case.registrations()[0]
        facts = {"requested": "auto", "seconds": 12.5, "device": "CPU", "notes": ["stiffer than usual"]}
        case.save_registration(1, 2, stored.transform, {**stored.record, **facts})
        (found,) = collect_results(case).registrations
    assert (found.requested, found.seconds, found.device, found.notes) == ("auto", 12.5, "CPU", ("stiffer than usual",))


def test_the_summary_of_a_run_counts_the_classes(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A, B]), Visit(84, [A, NEW])])
    assert "Lesions, Follow-up 1 against Baseline: 1 new, 1 stable, 1 resolved; mixed response" in summary_lines(
        results
    )
    same = results_of(tmp_path / "same", [Visit(0, [A]), Visit(84, [A])])
    assert "Lesions, Follow-up 1 against Baseline: 1 stable" in summary_lines(same)


def test_the_worst_lesion_is_named():
    results = course(30, [0, 84], 3).results()
    (response,) = results.responses_by_lesion
    compared = [one for one in response.changes if one.class_ in ("increasing", "stable", "decreasing")]
    worst = max(compared, key=lambda one: one.ratios["tl_psma"] or 0.0)
    assert (response.worst_track, response.heterogeneity.worst_ratio) == (worst.track, worst.ratios["tl_psma"])
    spread = [math.log(one.ratios["tl_psma"] or 1.0) for one in compared]
    assert response.heterogeneity.ln_ratio_range == pytest.approx(max(spread) - min(spread))
