"""Cases of schema 1 to 5, made by the program of that time, are brought up to date with their whole history.

``data/case_schema_1.zip`` is such a case folder: two synthetic studies, links, tracks, decisions, and steps that were
undone or discarded, written by version 0.1.0 before edits of masks and signatures were there. ``case_schema_2.zip``
holds the same and edits, a signature and a study that was segmented again after edits; it knows no regions and clicks.
``case_schema_3.zip`` has three studies, regions, clicks, physiological uptake, registrations, decided links and tracks
one of which came from another, but no decisions on tracks and no settings. ``case_schema_4.zip`` has these too, a
reader's statements on two responses and a signature of one study, but no results that were signed.
``case_schema_5.zip`` goes on from there: its results were signed, and a fourth study has lesions of a network, one of
them rejected, whose reasons say in words alone which are of low evidence.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib import case_schema
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_migrations import MIGRATIONS
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import ClinicalFacts
from PSMATheranosticsLib.errors import CaseError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.pipeline_tracking import retrack
from PSMATheranosticsLib.reader_statement import ReaderStatement, category_by_rules, confirm, state_inputs
from PSMATheranosticsLib.records import ClickRecord, LesionInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.sign_off import sign
from tiny_case import PATIENT, image, same_image, snapshot, study

DATA = Path(__file__).parent / "data"


def unpacked(schema: int, folder: Path) -> Path:
    """The folder of a case of an old schema."""
    with zipfile.ZipFile(DATA / f"case_schema_{schema}.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def old_case(tmp_path: Path) -> Path:
    """The folder of a case of schema 1."""
    return unpacked(1, tmp_path / "old")


@pytest.fixture
def case_2(tmp_path: Path) -> Path:
    """The folder of a case of schema 2."""
    return unpacked(2, tmp_path / "old")


@pytest.fixture
def case_3(tmp_path: Path) -> Path:
    """The folder of a case of schema 3."""
    return unpacked(3, tmp_path / "old")


@pytest.fixture
def case_4(tmp_path: Path) -> Path:
    """The folder of a case of schema 4."""
    return unpacked(4, tmp_path / "old")


@pytest.fixture
def case_5(tmp_path: Path) -> Path:
    """The folder of a case of schema 5."""
    return unpacked(5, tmp_path / "old")


def columns(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Name, type, constraints and default of every column of every table."""
    connection = sqlite3.connect(folder / "case.db")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in tables}
    found["indexes"] = connection.execute(
        "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    ).fetchall()
    connection.close()
    return found


@pytest.mark.parametrize("schema", [1, 2, 3, 4, 5])
def test_a_reader_is_told_to_open_an_old_case_for_writing_once(schema: int, tmp_path: Path):
    folder = unpacked(schema, tmp_path / "old")
    with pytest.raises(CaseError, match="for writing"):
        CaseStore.open(folder)
    connection = sqlite3.connect(folder / "case.db")
    assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == (str(schema),)
    connection.close()


@pytest.mark.parametrize("schema", [1, 2, 3, 4, 5])
def test_an_old_case_has_the_tables_of_a_new_one_afterwards(schema: int, tmp_path: Path):
    folder = unpacked(schema, tmp_path / "old")
    CaseStore.open(folder, write=True).close()
    CaseStore.create(tmp_path / "new", PATIENT).close()
    assert columns(folder) == columns(tmp_path / "new")
    assert check_case(folder) == []


def test_what_an_old_case_holds_is_still_there(old_case: Path):
    with CaseStore.open(old_case, write=True) as case:
        assert [(item.study_id, item.height_m, item.sex) for item in case.studies()] == [(1, None, ""), (2, None, "")]
        scaling = case.study(1).scaling
        assert (scaling.quantity, scaling.entered, scaling.alternatives, scaling.suv_factor) == ("SUVbw", (), (), None)
        assert case.study(1).weight_kg == study(1).weight_kg
        assert same_image(case.load_image(case.study(1).emission_id), image(1))
        found = [(item.lesion, item.decision, item.mask, item.track) for item in case.lesions(1, rejected=True)]
        assert found == [(1, "accepted", "automatic", 1), (2, "undecided", "automatic", 2)]
        assert [item.decision for item in case.lesions(2, rejected=True)] == ["undecided", "rejected"]
        assert [row["sources"] for row in case._database.rows("SELECT sources FROM lesions")] == ["[1]", "[2]"] * 2
        assert [(item.baseline_lesion, item.followup_lesion, item.status) for item in case.links()] == [
            (1, 1, "proposed"),
            (2, 2, "edited"),
        ]
        record = case.segmentation(1)
        assert record is not None
        assert (record.version, record.signed_state_differs) == ("automatic", False)


def test_steps_made_before_the_migration_can_be_undone_and_redone(old_case: Path):
    with CaseStore.open(old_case, write=True, user="tester") as case:
        now = snapshot(case)
        undone = []
        while (action := case.undo()) is not None:
            undone.append(action)
        assert undone[-1] == "Add PET study of 2024-01-02"
        assert len(undone) == 9
        assert case.studies() == []
        while case.redo() is not None:
            pass
        # Two steps of the old case were undone when it was stored: they have been redone as well.
        assert case.baseline().study_id == 2
        assert [case.undo(), case.undo()] == ["Take the study of 2024-01-03 as baseline", "Segment Follow-up 1"]
        assert snapshot(case) == now
    assert check_case(old_case) == []


def test_an_old_case_can_be_edited_signed_and_undone_to_its_beginning(old_case: Path):
    with CaseStore.open(old_case, write=True, user="tester") as case:
        before = snapshot(case)
        erase = MaskEdit((0, 0, 0), np.zeros((2, 2, 2), np.uint16))
        assert case.edit_mask(1, erase, "Erase").removed == (1,)
        case.sign(1, "seen")
        assert check_case(old_case) == []
        case.undo()
        case.undo()
        assert snapshot(case) == before
        while case.undo() is not None:
            pass
        assert case.studies() == []
    assert check_case(old_case) == []


def test_the_journal_of_an_old_case_is_rewritten_for_all_its_rows(old_case: Path):
    CaseStore.open(old_case, write=True).close()
    connection = sqlite3.connect(old_case / "case.db")
    texts = [row[0] for row in connection.execute("SELECT changes FROM journal WHERE typeof(changes) = 'text'")]
    connection.close()
    rows = [(table, row) for text in texts for table, *sides in json.loads(text) for row in sides if row]
    assert {table for table, _ in rows} >= {"studies", "lesions"}
    for table, row in rows:
        if table in ("studies", "lesions"):
            added = {"mask", "sources", "region", "region_site", "region_reason", "region_decision_id"}
            added |= {"probability", "low_evidence"}
            wanted = {"studies": {"height_m", "sex"}, "lesions": added}[table]
            assert wanted <= set(row)


def test_what_a_case_of_schema_2_holds_is_still_there(case_2: Path):
    with CaseStore.open(case_2, write=True) as case:
        found = [(item.lesion, item.decision, item.mask) for item in case.lesions(1, rejected=True)]
        assert found == [
            (1, "accepted", "corrected"),
            (2, "undecided", "automatic"),
            (3, "undecided", "automatic"),
            (4, "undecided", "drawn"),
        ]
        assert [(item.decision, item.decision_reason) for item in case.lesions(2, rejected=True)] == [
            ("accepted", ""),
            ("rejected", "bladder"),
        ]
        everything = [*case.lesions(1, rejected=True), *case.lesions(2, rejected=True)]
        assert {(item.region, item.region_source) for item in everything} == {(Region(""), "")}
        assert (case.clicks(1), case.physiology(1)) == ([], None)
        record = case.segmentation(1)
        assert record is not None
        assert (record.version, record.signed_state_differs) == ("corrected", True)
        signed = case.versions(1)[-1]
        assert (signed.note, [item.measures.voxels for item in signed.lesions]) == ("Tumor board", [12, 8, 8])
        assert {(item.region, item.region_source) for item in signed.lesions} == {(Region(""), "")}
        assert sitk.GetArrayFromImage(case.labels(1, "signed"))[0, 6, 6] == 3
        study_1 = collect_results(case).study(1)
        assert list(study_1.by_region) == ["unknown"]
        assert study_1.by_region["unknown"] == study_1.totals


def test_steps_made_with_schema_2_can_be_undone_and_redone(case_2: Path):
    with CaseStore.open(case_2, write=True, user="tester") as case:
        now = snapshot(case)
        while case.undo() is not None:
            pass
        assert case.studies() == []
        while case.redo() is not None:
            pass
        assert case.next_undo() == "Draw a third"  # undone when the case was stored, and the step before it as well
        assert [case.undo(), case.undo()] == ["Draw a third", "Take the study of 2024-01-03 as baseline"]
        assert snapshot(case) == now
    assert check_case(case_2) == []


def test_regions_and_clicks_can_be_added_to_a_case_of_schema_2(case_2: Path):
    with CaseStore.open(case_2, write=True, user="tester") as case:
        before = snapshot(case)
        grow = MaskEdit((4, 4, 4), np.full((3, 2, 2), 2, np.uint16))
        case.edit_mask(1, grow, "Click", clicks=[ClickRecord(1, (6, 4, 4), True, False, 2)])
        case.set_region(1, 2, Region("bone", "rib"))
        assert [item.lesion for item in case.clicks(1)] == [2]
        assert check_case(case_2) == []
        case.undo()
        case.undo()
        assert snapshot(case) == before
    assert check_case(case_2) == []


def test_what_a_case_of_schema_3_holds_is_still_there(case_3: Path):
    with CaseStore.open(case_3, write=True) as case:
        tracks = [(track.number, track.lesions, track.parents, track.parents_since) for track in case.tracks()]
        assert tracks == [(1, {1: 1, 2: 1, 3: 1}, [], {}), (2, {1: 2, 2: 2}, [1], {})]
        assert case.tracks()[1].status == {1: "baseline", 2: "persistent", 3: "not imaged"}
        statuses = {
            (each.baseline_id, each.followup_id, each.baseline_lesion, each.followup_lesion): each.status
            for each in case.links()
        }
        assert statuses == {
            (1, 2, 1, 1): "accepted",
            (1, 2, 2, 2): "proposed",
            (1, 3, 1, 1): "proposed",
            (1, 3, 2, 1): "rejected",
            (2, 3, 1, 1): "proposed",
        }
        matching = case.matching(2, 3)
        assert matching is not None
        assert (matching.not_imaged_baseline, matching.below_detection, matching.confluent) == ([2], [], [])
        assert [(each.moving_id, each.record["verdict"]) for each in case.registrations()] == [
            (2, "good"),
            (3, "doubtful"),
        ]
        assert case.registrations()[0].transform.GetParameters() == (0.1, 0.2, 0.3, 4.0, 5.0, 1 / 3)
        assert [item.lesion for item in case.clicks(1)] == [2]
        assert (case.track_decisions(), case.setting("lesion response")) == ([], {})


@pytest.mark.parametrize(
    ("schema", "last"),
    [
        (3, ["Follow lesions over the studies", "Set the region of lesion 1 of Follow-up 1 to prostate bed"]),
        (4, ["Accept lesion 2 of Follow-up 2", "Accept lesion 1 of Follow-up 2"]),
    ],
)
def test_steps_made_with_schema_3_and_4_can_be_undone_and_redone(schema: int, last: list[str], tmp_path: Path):
    folder = unpacked(schema, tmp_path / "old")
    with CaseStore.open(folder, write=True, user="tester") as case:
        now = snapshot(case)
        while case.undo() is not None:
            pass
        assert case.studies() == []
        while case.redo() is not None:
            pass
        # Two steps of the old case were undone when it was stored: they have been redone as well.
        assert [case.undo(), case.undo()] == last
        assert snapshot(case) == now
    assert check_case(folder) == []


def test_decisions_on_tracks_and_settings_can_be_added_to_a_case_of_schema_3(case_3: Path):
    with CaseStore.open(case_3, write=True, user="tester") as case:
        before = snapshot(case)
        case.decide_track(1, 2, 3, "gone", "flare")
        case.save_setting("lesion response", {"smallest_ml": 4.2})
        assert [(each.proposed, each.track) for each in case.track_decisions()] == [("not imaged", 2)]
        retrack(case)
        assert case.tracks()[1].status[3] == "gone"
        assert check_case(case_3) == []
        while case.next_undo() != "Reject lesion 2 of Follow-up 1":
            case.undo()
        assert snapshot(case) == before
    assert check_case(case_3) == []


def test_what_a_case_of_schema_4_holds_is_still_there(case_4: Path):
    with CaseStore.open(case_4, write=True) as case:
        assert [(each.status, each.comment, each.track) for each in case.track_decisions()] == [
            ("new", "fracture excluded", 3),
            ("", "index lesion", 1),
        ]
        assert case.setting("lesion response") == {"smallest_ml": 4.2}
        assert case.tracks()[1].parents_since == {1: 2}
        said = [ReaderStatement.from_dict(stored.record) for stored in case.responses()]
        assert said == [
            ReaderStatement(residual_uptake=True, confirmed_category="RECIP-SD", confirmed_by="Reader A"),
            ReaderStatement(new_lesions_assessable=False),
        ]
        record = case.segmentation(1)
        assert record is not None
        assert record.version == "signed"
        assert (case.sign_offs(), case.last_sign_off()) == ([], None)
        results = collect_results(case)
        assert (results.sign_off.state, results.psa, results.clinical) == ("open", (), ClinicalFacts())


def test_a_case_of_schema_4_can_be_signed(case_4: Path):
    with CaseStore.open(case_4, write=True, user="tester") as case:
        before = snapshot(case)
        case.decide_lesion(3, 2, "accepted")
        state_inputs(case, 3, new_lesions_assessable=True)
        for followup in (2, 3):
            confirm(case, followup, "RECIP 1.0", category_by_rules(case, followup, "RECIP 1.0"))
        assert sign(case, collect_results(case)).state == "signed"
        assert [each.number for each in case.sign_offs()] == [1]
        assert check_case(case_4) == []
        while case.next_undo() != "Sign the lesions of Baseline":
            case.undo()
        assert snapshot(case) == before
    assert check_case(case_4) == []


def test_what_a_case_of_schema_5_holds_is_still_there(case_5: Path):
    with CaseStore.open(case_5, write=True) as case:
        found = [(item.lesion, item.decision, item.low_evidence, item.probability) for item in case.lesions(4, True)]
        assert found == [
            (1, "undecided", False, None),
            (2, "rejected", True, None),
            (3, "undecided", True, None),
        ]
        assert not any(item.low_evidence for item in case.lesions(1, rejected=True))
        (signed,) = [version for version in case.versions(4) if version.version == "signed"]
        assert [(item.probability, item.low_evidence) for item in signed.lesions] == [(None, False)] * 3
        results = collect_results(case)
        assert [lesion.low_evidence for lesion in results.study(4).lesions] == [False, True]
        assert [lesion.low_evidence for lesion in results.study(4).rejected] == [True]
        assert (len(case.sign_offs()), results.sign_off.state) == (1, "reopened")  # for the study that was added since


def test_lesions_of_a_case_of_schema_5_keep_their_evidence_through_undo(case_5: Path):
    with CaseStore.open(case_5, write=True, user="tester") as case:
        now = snapshot(case)
        assert [case.undo() for _ in range(3)][-1] == "Segment Follow-up 1"
        assert case.segmentation(4) is None
        case.redo()
        assert [item.low_evidence for item in case.lesions(4)] == [False, True, True]
        assert [case.redo() for _ in range(2)][-1] == "Reject lesion 2 of Follow-up 1"
        assert snapshot(case) == now
        labels = case.labels(4)
        emission = case.load_image(case.study(4).emission_id)
        found = [
            LesionInput(one, "package:tiny-whole", "said", probability=0.25 * one.lesion, low_evidence=one.lesion == 1)
            for one in measure_lesions(emission, labels)
        ]
        case.save_segmentation(4, labels, found)
        assert [(item.probability, item.low_evidence) for item in case.lesions(4)] == [(0.25, True), (0.75, False)]
    assert check_case(case_5) == []


def test_a_new_version_of_the_schema_needs_a_migration():
    assert sorted(MIGRATIONS) == list(range(1, case_schema.SCHEMA_VERSION))
