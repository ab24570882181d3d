"""Regions of lesions: proposed with them, chosen by readers, kept through edits and new segmentations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.results import collect_results
from tiny_case import Box, box, label_image, segment, snapshot, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)
PROPOSED = Region("pelvic node", "left", "beside the left iliac vessels")
CHOSEN = Region("bone", "left ischium")


def regions(case: CaseStore, study_id: int = 1) -> dict[int, tuple[Region, str]]:
    return {lesion.lesion: (lesion.region, lesion.region_source) for lesion in case.lesions(study_id, rejected=True)}


def propose(case: CaseStore, boxes: list[Box], region: Region = PROPOSED) -> None:
    """Segment study 1 with a proposed region for each lesion."""
    labels = label_image(case, 1, boxes)
    found = measure_lesions(case.load_image(case.study(1).emission_id), labels)
    case.save_segmentation(1, labels, [LesionInput(each, region=region) for each in found])


def paint(case: CaseStore, where: Box, lesion: int, **more: object) -> None:
    start = tuple(part.start for part in where)
    shape = tuple(part.stop - part.start for part in where)
    case.edit_mask(1, MaskEdit(start, np.full(shape, lesion, np.uint16)), "Paint", **more)


def test_without_a_proposal_a_lesion_has_no_region(tmp_path: Path):
    with two_studies(tmp_path) as case:
        assert regions(case) == {1: (Region(""), ""), 2: (Region(""), "")}


def test_a_reader_overrides_the_proposal_and_can_go_back_to_it(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [FIRST, SECOND])
        assert regions(case) == {1: (PROPOSED, "proposed"), 2: (PROPOSED, "proposed")}
        case.set_region(1, 2, CHOSEN)
        assert case.next_undo() == "Set the region of lesion 2 of Baseline to bone (left ischium)"
        assert regions(case) == {1: (PROPOSED, "proposed"), 2: (CHOSEN, "reader")}
        steps = len(case.journal())
        case.set_region(1, 2, Region("bone", "left ischium", "a reason is not kept"))
        assert len(case.journal()) == steps
        case.set_region(1, 2, None)
        assert regions(case)[2] == (PROPOSED, "proposed")
        assert case.next_undo() == "Take the proposed region of lesion 2 of Baseline"
        case.undo()
        assert regions(case)[2] == (CHOSEN, "reader")
        case.undo()
        assert regions(case)[2] == (PROPOSED, "proposed")
    assert check_case(tmp_path) == []


def test_what_is_no_region_or_no_lesion_is_refused_and_changes_nothing(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        for wrong in ("", "rib"):
            with pytest.raises(InputError, match=f"'{wrong}' is no region of a lesion. Possible: prostate bed"):
                case.set_region(1, 1, Region(wrong))
        with pytest.raises(CaseError, match="no lesion 3"):
            case.set_region(1, 3, CHOSEN)
        with pytest.raises(InputError, match="proposed for lesion 2, which the edit does not make or change"):
            paint(case, box(0, 0, 0, 3), 1, regions={2: PROPOSED})
        with pytest.raises(InputError, match="'rib' is no region"):
            paint(case, box(0, 0, 0, 3), 1, regions={1: Region("rib")})
        assert snapshot(case) == before


def test_an_edit_brings_the_region_of_a_new_lesion_and_keeps_that_of_a_changed_one(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [FIRST, SECOND])
        visceral = Region("visceral", "liver", "in the liver of the organ map")
        paint(case, box(0, 4, 4), 3, regions={3: visceral})
        paint(case, box(0, 0, 0, 3), 1)
        assert regions(case) == {1: (PROPOSED, "proposed"), 2: (PROPOSED, "proposed"), 3: (visceral, "proposed")}
        paint(case, box(0, 0, 0, 4), 1, regions={1: visceral})
        assert regions(case)[1] == (visceral, "proposed")
        case.undo()
        assert regions(case)[1] == (PROPOSED, "proposed")


def test_both_parts_of_a_split_lesion_have_its_region_and_a_merger_has_that_of_the_one_that_stays(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [FIRST, SECOND])
        case.set_region(1, 2, CHOSEN)
        paint(case, (slice(4, 6), slice(4, 6), slice(4, 5)), 3)
        assert regions(case)[3] == regions(case)[2] == (CHOSEN, "reader")
        case.set_region(1, 3, Region("visceral"))  # does not change the other part
        assert regions(case)[2] == (CHOSEN, "reader")
        paint(case, (slice(4, 6), slice(4, 6), slice(4, 5)), 2)
        assert set(regions(case)) == {1, 2}
        assert regions(case)[2] == (CHOSEN, "reader")
        assert case.orphaned_decisions() == []
    assert check_case(tmp_path) == []


def test_a_chosen_region_follows_its_lesion_to_another_number_and_waits_while_it_is_gone(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [FIRST, SECOND])
        case.set_region(1, 2, CHOSEN)
        propose(case, [SECOND, FIRST])
        assert regions(case) == {1: (CHOSEN, "reader"), 2: (PROPOSED, "proposed")}
        propose(case, [FIRST])
        (orphan,) = case.orphaned_decisions()
        assert (orphan.what, orphan.about, orphan.decision, orphan.reason, orphan.user) == (
            "region",
            "lesion 2 of Baseline",
            "bone",
            "left ischium",
            "tester",
        )
        (warning,) = [found for found in collect_results(case).warnings if found.source == "decision"]
        assert "tester decided 'bone' on lesion 2 of Baseline" in warning.text
        assert "that lesion is not found any more" in warning.text
        propose(case, [box(0, 6, 6), SECOND])
        assert regions(case)[2] == (CHOSEN, "reader")
        assert case.orphaned_decisions() == []
    assert check_case(tmp_path) == []


def test_a_choice_that_was_taken_back_does_not_come_back_with_a_new_segmentation(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [box(0, 0, 0, 4)])
        case.set_region(1, 1, CHOSEN)
        propose(case, [box(0, 0, 0, 2), box(0, 0, 2, 2)])
        assert {source for _, source in regions(case).values()} == {"reader"}
        case.set_region(1, 2, None)
        propose(case, [box(0, 0, 2, 2), box(0, 0, 0, 2)])
        assert regions(case) == {1: (PROPOSED, "proposed"), 2: (CHOSEN, "reader")}


def test_a_corrected_lesion_keeps_its_chosen_region_when_the_study_is_segmented_again(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [FIRST, SECOND])
        case.set_region(1, 2, CHOSEN)
        paint(case, box(4, 4, 4, 3), 2)
        segment(case, 1, [FIRST])
        assert regions(case) == {1: (Region(""), ""), 2: (CHOSEN, "reader")}
    assert check_case(tmp_path) == []


def test_signed_lesions_keep_the_regions_of_that_time(tmp_path: Path):
    with two_studies(tmp_path) as case:
        propose(case, [FIRST, SECOND])
        case.set_region(1, 2, CHOSEN)
        case.sign(1, "Tumor board")
        case.set_region(1, 2, Region("visceral"))
        signed = case.versions(1)[-1].lesions
        assert [(lesion.region, lesion.region_source) for lesion in signed] == [
            (PROPOSED, "proposed"),
            (CHOSEN, "reader"),
        ]
        record = case.segmentation(1)
        assert record is not None
        assert record.version == "signed"  # masks are what is signed


def test_the_check_finds_a_chosen_region_and_a_click_that_no_lesion_has(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.set_region(1, 2, CHOSEN)
    connection = sqlite3.connect(tmp_path / "case.db")
    with connection:
        connection.execute("UPDATE region_decisions SET lesion = 9")
    connection.close()
    assert any("region that a reader chose refers to lesion 9" in found.what for found in check_case(tmp_path))
