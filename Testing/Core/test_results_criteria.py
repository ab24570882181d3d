"""What the criteria are told, and what results make of their answers and of a reader's: from records without images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pytest
from dicom_maker import write_series
from example_case import FIRST_DAY, A, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import ReferenceRegionResult
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.psa_values import add_psa
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.reader_statement import ReaderStatement
from PSMATheranosticsLib.records import ResponseRecord
from PSMATheranosticsLib.response import Growth, NewLesion, Response, ResponseInput
from PSMATheranosticsLib.response_inputs import tissue
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import ResponseResult, Results
from recorded_case import RecordedCase, lesion_record, pets, recorded, spect_record, study_record


@dataclass
class Probe:
    """A criterion that keeps what it was told, by follow-up day."""

    name: str = "probe"
    modality: str = ""
    enabled: bool = True
    categories: tuple[str, ...] = ("asked",)

    def __post_init__(self) -> None:
        self.told: dict[date, ResponseInput] = {}

    def evaluate(self, inputs: ResponseInput) -> Response:
        assert inputs.followup_day is not None
        self.told[inputs.followup_day] = inputs
        return Response(self.name, "asked", None, "")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    found = Probe()
    monkeypatch.setitem(CRITERIA, found.name, found)  # type: ignore[arg-type]
    return found


def told(probe: Probe, days: int) -> ResponseInput:
    """What the probe was told about the follow-up of that day after the first."""
    return probe.told[(FIRST_DAY + timedelta(days=days)).date()]


def by(results: Results, criterion: str) -> list[ResponseResult]:
    return [one for one in (*results.responses, *results.other_responses) if one.criterion == criterion]


# Changes without a category.


def test_change_against_previous_and_nadir_are_numbers_beside_the_response():
    case = recorded(pets(0, 84, 168), {1: {1: 100.0}, 2: {1: 50.0}, 3: {1: 62.0}})
    results = case.results()
    last = results.studies[2]
    assert last.change_from_baseline_percent["psma_tv_ml"] == pytest.approx(-38.0)
    assert last.change_from_previous_percent["psma_tv_ml"] == pytest.approx(24.0)
    assert last.change_from_nadir_percent["psma_tv_ml"] == pytest.approx(24.0)
    assert by(results, "RECIP 1.0")[1].category == "RECIP-PR"  # never against the nadir
    assert set(results.studies[0].change_from_previous_percent.values()) == {None}


def test_the_nadir_is_the_lowest_study_since_the_baseline_the_baseline_itself_included():
    studies = [study_record(1, -84, is_baseline=False), *pets(0, 0, 84, 168, 252)[1:]]
    studies[1] = replace(studies[1], is_baseline=True)
    for index, study in enumerate(studies, start=1):
        studies[index - 1] = replace(study, study_id=index, is_baseline=index == 2)
    case = recorded(studies, {1: {1: 10.0}, 2: {1: 100.0}, 3: {1: 40.0}, 4: {1: 80.0}, 5: {1: 60.0}})
    changes = [study.change_from_nadir_percent["psma_tv_ml"] for study in case.results().studies]
    assert changes == [None, None, pytest.approx(-60.0), pytest.approx(100.0), pytest.approx(50.0)]


def test_a_spect_is_compared_with_spect_alone():
    studies = [study_record(1, 0), spect_record(2, 7), spect_record(3, 49)]
    case = recorded(studies, {1: {1: 10.0}, 2: {1: 8.0}, 3: {1: 4.0}})
    results = case.results()
    assert set(results.studies[1].change_from_baseline_percent.values()) == {None}
    later = results.studies[2].change_from_previous_percent
    assert later["psma_tv_ml"] == pytest.approx(-50.0)
    cells = results.tracks[0].cells
    assert [cell.volume_change_percent for cell in cells] == [0.0, None, None]


def test_lesions_that_were_gone_in_between_are_told_as_back_and_new_ones_are_not(probe: Probe):
    case = recorded(pets(0, 84, 168, 252), {1: {1: 9.0, 2: 9.0}, 2: {1: 9.0}, 3: {1: 9.0, 2: 5.0, 3: 1.0}, 4: {2: 5.0}})
    collect_results(case, "probe")  # type: ignore[arg-type]
    assert [told(probe, days).reappeared for days in (84,)] == [()]
    assert [lesion.track for lesion in told(probe, 168).reappeared] == ["L02"]
    assert told(probe, 168).reappeared[0].later_seen is True
    assert [lesion.track for lesion in told(probe, 252).reappeared] == ["L02"]


# Which criteria, and for which studies.


def test_enabled_criteria_answer_for_every_follow_up_in_order():
    case = recorded(pets(0, 84, 168), {1: {1: 100.0}, 2: {1: 50.0}, 3: {1: 62.0}})
    results = case.results()
    assert [one.criterion for one in results.responses] == ["RECIP 1.0"] * 2
    expected = [
        name for name, one in CRITERIA.items() if one.enabled and name not in ("RECIP 1.0", "RECIP 1.0 on SPECT")
    ]
    assert [one.criterion for one in results.other_responses] == expected * 2
    assert [one.followup_id for one in results.other_responses] == [2] * len(expected) + [3] * len(expected)
    assert all(one.verified for one in results.other_responses)


def test_a_case_can_leave_criteria_out_and_take_others_in():
    case = recorded(pets(0, 84), {1: {1: 100.0}, 2: {1: 50.0}})
    unverified = next(name for name, one in CRITERIA.items() if not one.enabled)
    case.settings["criteria"] = {"enabled": {"PPP": False, unverified: True, "of another version": True}}
    names = [one.criterion for one in case.results().other_responses]
    assert "PPP" not in names
    assert unverified in names
    assert not by(case.results(), unverified)[0].verified


def test_another_main_criterion_leaves_recip_among_the_others():
    case = recorded(pets(0, 84), {1: {1: 100.0}, 2: {1: 50.0}})
    results = collect_results(case, "PPP")  # type: ignore[arg-type]
    assert [one.criterion for one in results.responses] == ["PPP"]
    assert "RECIP 1.0" in [one.criterion for one in results.other_responses]


def test_spect_is_compared_with_the_first_spect_at_the_same_time_after_injection():
    day, days = 24 * 60, 96 * 60
    studies = [
        study_record(1, 0),
        spect_record(2, 8, day),
        spect_record(3, 11, days),
        spect_record(4, 50, day + 60),
        spect_record(5, 53, days),
        spect_record(6, 92, day),
    ]
    volumes = {1: {1: 500.0}, 2: {1: 100.0}, 3: {1: 30.0}, 4: {1: 60.0}, 5: {1: 33.0}, 6: {1: 130.0, 2: 5.0}}
    found = by(recorded(studies, volumes).results(), "RECIP 1.0 on SPECT")
    assert [(one.baseline_id, one.followup_id) for one in found] == [(2, 4), (3, 5), (2, 6)]
    assert [one.category for one in found] == ["RECIP-PR", "RECIP-SD", "RECIP-PD"]
    assert found[0].change_percent == pytest.approx(-40.0)
    assert found[2].new_lesion_tracks == ("L02",)
    assert all(one.exploratory for one in found)


def test_what_the_pet_showed_is_not_new_on_a_later_spect():
    studies = [study_record(1, 0), spect_record(2, 8), spect_record(3, 50)]
    case = recorded(studies, {1: {1: 50.0, 2: 1.0}, 2: {1: 40.0}, 3: {1: 60.0, 2: 2.0}})
    (found,) = by(case.results(), "RECIP 1.0 on SPECT")
    assert (found.category, found.new_lesions, found.new_lesion_tracks) == ("RECIP-SD", False, ())


def test_what_the_first_spect_showed_is_not_new_on_a_later_one():
    studies = [study_record(1, 0), spect_record(2, 8), spect_record(3, 50)]
    case = recorded(studies, {1: {1: 50.0}, 2: {1: 40.0, 2: 1.0}, 3: {1: 60.0, 2: 2.0, 3: 1.0}})
    results = case.results()
    assert [lesion.new_since_baseline for lesion in results.studies[2].lesions] == [False, True, True]
    assert by(results, "RECIP 1.0 on SPECT")[0].new_lesion_tracks == ("L03",)


def test_a_spect_before_the_baseline_or_not_segmented_is_no_comparator():
    studies = [spect_record(1, -30), study_record(2, 0), spect_record(3, 8), spect_record(4, 50), spect_record(5, 92)]
    case = recorded(studies, {1: {1: 9.0}, 2: {1: 50.0}, 4: {1: 40.0}, 5: {1: 44.0}})
    found = by(case.results(), "RECIP 1.0 on SPECT")
    assert [(one.baseline_id, one.followup_id) for one in found] == [(4, 5)]


def test_notes_on_spect_become_warnings_and_those_of_other_criteria_do_not():
    studies = [study_record(1, 0), study_record(2, 84), spect_record(3, 90), spect_record(4, 140)]
    case = recorded(studies, {1: {1: 10.0}, 2: {1: 10.0}, 3: {1: 10.0}, 4: {1: 10.0}})
    results = case.results()
    texts = [warning.text for warning in results.warnings if warning.source == "response"]
    (spect,) = by(results, "RECIP 1.0 on SPECT")
    assert set(spect.notes) <= set(texts)
    others = {note for one in results.other_responses if one.criterion != spect.criterion for note in one.notes}
    assert others - set(spect.notes) - set(results.responses[0].notes)
    assert not (others - set(spect.notes) - set(results.responses[0].notes)) & set(texts)


# What criteria are told.


def test_new_lesions_are_told_with_tissue_and_whether_a_scan_six_weeks_later_has_them(probe: Probe):
    volumes = {1: {1: 9.0}, 2: {1: 9.0, 2: 1.0, 3: 1.0}, 3: {1: 9.0}, 4: {1: 9.0, 2: 1.0, 4: 1.0}}
    case = recorded(pets(0, 84, 84 + 41, 84 + 42), volumes)
    case.lesions_[2][1] = replace(case.lesions_[2][1], region=Region("bone", "rib"))
    case.lesions_[2][2] = replace(case.lesions_[2][2], region=Region("visceral", "lung"))
    case.results()
    assert told(probe, 84).new_lesions_seen == (
        NewLesion("L02", "bone", True, 42.0),  # not asked of the scan after 41 days, on which it is gone
        NewLesion("L03", "lung", False, 42.0),
    )
    assert told(probe, 126).new_lesions_seen == (NewLesion("L02"), NewLesion("L04"))


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (Region("prostate bed"), "local"),
        (Region("pelvic node", "left iliac"), "node"),
        (Region("distant node"), "node"),
        (Region("bone", "rib"), "bone"),
        (Region("visceral", "lung"), "lung"),
        (Region("visceral", "Lung"), "lung"),
        (Region("visceral", "right lung"), "lung"),
        (Region("visceral", "liver"), "visceral"),
        (Region("visceral"), "visceral"),
        (Region(""), ""),
    ],
)
def test_tissue_follows_from_the_region(region: Region, expected: str):
    case = recorded(pets(0), {1: {1: 1.0}})
    case.lesions_[1][0] = replace(case.lesions_[1][0], region=region)
    assert tissue(case.results().studies[0].lesions[0]) == expected


def test_a_place_that_was_not_imaged_later_tells_nothing_of_a_new_lesion(probe: Probe):
    case = recorded(pets(0, 84, 168), {1: {1: 9.0}, 2: {1: 9.0, 2: 1.0}, 3: {1: 9.0}})
    case.tracks_[1] = replace(case.tracks_[1], status={2: "new", 3: "not imaged"})
    case.results()
    assert told(probe, 84).new_lesions_seen == (NewLesion("L02"),)


def test_new_lesions_are_not_told_where_a_reader_cannot_assess_them(probe: Probe):
    case = recorded(pets(0, 84), {1: {1: 9.0}, 2: {1: 9.0, 2: 1.0}})
    stated(case, 2, ReaderStatement(new_lesions_assessable=False))
    case.results()
    assert (told(probe, 84).new_lesions, told(probe, 84).new_lesions_seen) == (None, ())


def stated(case: RecordedCase, study_id: int, statement: ReaderStatement, criterion: str = "RECIP 1.0") -> None:
    """Let the case have a statement."""
    before = list(case.responses())
    record = ResponseRecord(study_id, criterion, statement.to_dict(), FIRST_DAY)
    case.responses = lambda: [*before, record]  # type: ignore[method-assign]


def test_the_largest_growth_is_that_of_one_lesion_by_volume_or_suv_max(probe: Probe):
    case = recorded(pets(0, 84), {1: {1: 10.0, 2: 10.0, 3: 0.1}, 2: {1: 12.0, 2: 11.0, 3: 0.4}})
    case.lesions_[2][1] = lesion_record(2, 2, 11.0, 14.0)  # SUVmax +40 %; track 3 is too small to tell
    case.results()
    growth = told(probe, 84).largest_growth
    assert growth == Growth("L02", pytest.approx(40.0), "SUVmax", False)


@pytest.mark.parametrize(("day", "confirmed"), [(84 + 92, True), (84 + 93, False)])
def test_growth_is_confirmed_by_a_scan_within_three_months(probe: Probe, day: int, confirmed: bool):
    case = recorded(pets(0, 84, day), {1: {1: 10.0}, 2: {1: 15.0}, 3: {1: 13.0}})
    case.results()
    assert told(probe, 84).largest_growth == Growth("L01", pytest.approx(50.0), "volume", confirmed)


def test_growth_that_is_confirmed_counts_before_a_larger_one_that_is_not(probe: Probe):
    case = recorded(pets(0, 84, 150), {1: {1: 10.0, 2: 10.0}, 2: {1: 20.0, 2: 14.0}, 3: {1: 10.0, 2: 14.0}})
    case.results()
    assert told(probe, 84).largest_growth == Growth("L02", pytest.approx(40.0), "volume", True)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (None, None),
        (FIRST_DAY.date() + timedelta(days=14), 70.0),
        (FIRST_DAY.date() - timedelta(days=30), 114.0),
        (FIRST_DAY.date() + timedelta(days=100), None),  # not begun yet
    ],
)
def test_days_since_treatment_count_from_the_start_of_the_line(
    probe: Probe, start: date | None, expected: float | None
):
    case = recorded(pets(0, 84), {1: {1: 10.0}, 2: {1: 10.0}})
    if start is not None:
        case.settings["clinical"] = {"therapy_start": start.isoformat()}
    case.results()
    assert told(probe, 84).days_since_treatment == expected


def test_an_injection_after_the_baseline_counts_before_a_line_that_began_earlier(probe: Probe):
    case = recorded([study_record(1, 0), spect_record(2, 15), study_record(3, 84)], {1: {1: 9.0}, 3: {1: 9.0}})
    case.settings["clinical"] = {"therapy_start": (FIRST_DAY - timedelta(days=400)).date().isoformat()}
    case.results()
    assert told(probe, 84).days_since_treatment == 70.0


def test_lesions_above_the_blood_pool_are_counted_where_it_was_measured(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    case = recorded(pets(0, 84, 168, 252), {1: {1: 9.0}, 2: {1: 9.0, 2: 1.0}, 3: {1: 9.0}, 4: {}}, suv=2.0)  # SUVmax 3
    blood = ReferenceRegionResult("blood pool", (0.0, 0.0, 0.0), 10.0, 3.0, 0.1, 50, "automatic")
    case.lesions_[2][1] = lesion_record(2, 2, 1.0, 2.1)
    monkeypatch.setattr("PSMATheranosticsLib.results.references_of", lambda _: {2: (blood,)})
    case.results()
    found = [told(probe, days).lesions_above_blood_pool for days in (84, 168, 252)]
    assert found == [1, None, 0]  # a lesion at the level of the blood pool is not above it


def test_scans_are_told_with_scanner_reconstruction_and_time_after_injection(probe: Probe):
    studies = pets(0, 84)
    origin = replace(studies[1].origin, reconstruction="PSF+TOF 4i5s")
    studies[1] = replace(studies[1], scanner="Vendor One", origin=origin, minutes_after_injection=75.0)
    case = recorded(studies, {1: {1: 9.0}, 2: {1: 9.0}})
    results = case.results()
    facts = told(probe, 84).followup
    assert facts is not None
    assert (facts.scanner, facts.reconstruction, facts.minutes_after_injection) == ("Vendor One", "PSF+TOF 4i5s", 75.0)
    assert results.studies[1].reconstruction == "PSF+TOF 4i5s"


def test_other_scanner_and_reconstruction_are_warnings():
    studies = pets(0, 84)
    changed = [
        replace(study, scanner=name, origin=replace(study.origin, reconstruction=f"method {name}"))
        for study, name in zip(studies, ("One", "Two"), strict=True)
    ]
    texts = [warning.text for warning in recorded(changed, {1: {1: 9.0}, 2: {1: 9.0}}).results().warnings]
    assert "The scanners differ: One and Two." in texts
    assert "The reconstructions differ: method One and method Two." in texts


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ReconstructionMethod": "PSF+TOF 4i5s", "ConvolutionKernel": "XYZ Gauss2.00"}, "PSF+TOF 4i5s, XYZ Gauss2.00"),
        ({"ReconstructionMethod": "OSEM"}, "OSEM"),
        ({}, ""),
    ],
)
def test_the_reconstruction_comes_from_the_header_and_stays_in_the_case(
    tmp_path, attributes: dict[str, str], expected: str
):
    write_series(tmp_path / "pet", np.full((3, 4, 5), 100), **attributes)
    (study,) = read_studies([tmp_path / "pet"])
    with CaseStore.create(tmp_path / "case", study.patient) as case:
        case.add_study(study)
        assert collect_results(case).studies[0].reconstruction == expected


def test_psa_and_days_of_the_scans_are_told(tmp_path, probe: Probe):
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case:
        add_psa(case, date(2026, 1, 5), 10.0)
        results = collect_results(case)
    inputs = told(probe, 84)
    assert inputs.psa == results.psa
    assert [value.ng_ml for value in inputs.psa] == [10.0]
    assert (inputs.baseline_day, inputs.followup_day) == (date(2026, 1, 10), date(2026, 4, 4))


def test_inputs_hold_for_the_main_criterion_whichever_it_is(probe: Probe):
    case = recorded(pets(0, 84), {1: {1: 9.0}, 2: {1: 9.0}})
    stated(case, 2, ReaderStatement(clinical_progression=True))
    collect_results(case, "probe")  # type: ignore[arg-type]
    assert told(probe, 84).clinical_progression is True
