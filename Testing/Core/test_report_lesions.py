"""The sections of the report about single lesions: classes and ratios, and all of them over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from example_case import A, B, Spot, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.progress import silent
from PSMATheranosticsLib.report_lesions import LesionResponseSection, TracksSection
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results
from report_page import built, rows_of, tables_of, words_of

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
VISITS = [Visit(0, [A, B]), Visit(84, [A, NEW]), Visit(170, [NEW])]


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Iterator[CaseStore]:
    with make_case(tmp_path_factory.mktemp("lesions") / "case", VISITS) as made:
        yield made


@pytest.fixture(scope="module")
def results(case) -> Results:
    return collect_results(case)


def test_lesion_by_lesion_tells_classes_ratios_limits_and_tracer(results, case):
    section = built(LesionResponseSection(), results, case)
    comparisons, changes, limits = tables_of(section)
    assert [row[0] for row in rows_of(comparisons)] == [
        "Follow-up 1 against Baseline",
        "Follow-up 2 against Baseline",
        "Follow-up 2 against Follow-up 1",
    ]
    # L03 is new, L01 and L02 are resolved at the second follow-up
    assert rows_of(comparisons)[1][1:3] == ["3", "1 new, 2 resolved (100\N{NO-BREAK SPACE}% TL)"]
    assert changes.caption.startswith("Follow-up 2 against Baseline: volume in mL")
    assert rows_of(changes)[0] == ["L03", "new", "–", "13.8", "–", "–", "–", "–", "–", "= stable"]
    assert rows_of(changes)[1][:4] == ["L01", "resolved", "8.0", "–"]
    assert set(rows_of(changes)[1][4:9]) == {"▼\N{NO-BREAK SPACE}0"}
    assert "Tracers of these scans: 68Ga-PSMA-11" in limits.caption
    assert ["TL-PSMA (decides)", "0.51 to 1.95", "CV 24.0 % (Werner 2022, 18F-DCFPyL)"] in rows_of(limits)
    assert "derived from published test-retest studies of other men" in words_of(section)


def test_limits_that_were_chosen_for_the_case_are_called_so(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        case.save_setting("lesion response", {"metric": "suv_max", "suv_max": {"low": 0.7, "high": 1.3}})
        limits = tables_of(built(LesionResponseSection(), collect_results(case), case))[-1]
    assert ["SUVmax (decides)", "0.70 to 1.30", "set for this case"] in rows_of(limits)
    assert rows_of(limits)[-1][:2] == ["TL-PSMA", "0.51 to 1.95"]


def test_a_mixed_response_and_the_worst_lesion_are_named(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [replace(A, size=(8, 8, 8)), replace(B, size=(2, 2, 2))])]
    with make_case(tmp_path / "case", visits) as case:
        comparisons, changes, _ = tables_of(built(LesionResponseSection(), collect_results(case), case))
    (row,) = comparisons.rows
    # 512 of 125 voxels, 8 of 100
    assert row[5].text == "L01" and row[5].below == ("×4.10",)
    assert row[7].text == "yes"
    assert rows_of(changes)[0][4] == "▲\N{NO-BREAK SPACE}×4.10"
    assert rows_of(changes)[1][4] == "▼\N{NO-BREAK SPACE}×0.08"


def test_one_study_has_no_section_about_the_response_of_its_lesions(tmp_path):
    with make_case(tmp_path / "case", VISITS[:1]) as case:
        assert LesionResponseSection().build(collect_results(case), case, silent) is None


def test_lesions_over_time_show_all_studies_with_change_class_and_link(results, case):
    section = built(TracksSection(), results, case)
    (table,) = tables_of(section)
    assert rows_of(table) == [
        ["L01", "baseline", "8.0", "12.0", "persistent", "8.0", "12.0", "gone", "–", "–"],
        ["L02", "baseline", "6.4", "20.0", "gone", "–", "–", "gone", "–", "–"],
        ["L03", "–", "–", "–", "new", "13.8", "9.0", "persistent", "13.8", "9.0"],
    ]
    persistent, volume = table.rows[0][4], table.rows[0][5]
    assert persistent.below == ("= stable", "link 0.95")
    assert volume.below == ("0.0 %",)
    assert not section.wide
    assert "Region" not in words_of(section)  # no lesion of that case has one


def test_regions_have_a_column_where_they_are_known(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        case.set_region(1, 1, Region("pelvic node"))
        case.set_region(2, 1, Region("pelvic node", "right internal iliac"))
        case.set_region(1, 2, Region("bone", "the reader's own place"))
        (table,) = tables_of(built(TracksSection(), collect_results(case), case))
    assert [(row[1].text, row[1].below) for row in table.rows] == [
        ("pelvic node", ("right internal iliac, by a reader",)),
        ("bone", ("the reader's own place, by a reader",)),
        ("–", ()),
    ]


def test_mipsma_stands_below_the_status(results, case):
    lesion = replace(results.studies[0].lesions[0], mi_psma=3)
    scored = replace(results.studies[0], lesions=(lesion, *results.studies[0].lesions[1:]))
    (table,) = tables_of(built(TracksSection(), replace(results, studies=(scored, *results.studies[1:])), case))
    assert table.rows[0][1].below == ("miPSMA 3",)
    assert table.rows[1][1].below == ()


def test_decisions_on_tracks_and_comments_stand_in_the_report(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        case.decide_track(2, 2, 2, "confirmed", "seen on CT")
        case.comment_track(1, 1, "rib fracture?")
        results = collect_results(case)
        (table,) = tables_of(built(TracksSection(), results, case))
        changes = tables_of(built(LesionResponseSection(), results, case))[1]
        user = case.user
    assert table.rows[0][0].comments == ("rib fracture?",)
    assert f"confirmed: {user}" in table.rows[2][4].below
    assert table.rows[2][4].comments == ("seen on CT",)
    assert changes.rows[0][1].below == (f"confirmed, {user}",)


def test_lesions_that_were_not_followed_are_listed(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2], followed=False) as case:
        case.set_region(2, 1, Region("bone", "rib"))
        (table,) = tables_of(built(TracksSection(), collect_results(case), case))
    assert table.caption == "Lesions that were not followed yet."
    assert rows_of(table)[0] == ["Baseline", "1", "–", "8.0", "12.0", "12.0", "–"]
    assert table.rows[2][2].text == "bone" and table.rows[2][2].below == ("rib, by a reader",)


def test_more_than_three_studies_turn_the_table_sideways(tmp_path):
    with make_case(tmp_path / "case", [Visit(84 * index, [A]) for index in range(4)]) as case:
        assert built(TracksSection(), collect_results(case), case).wide
