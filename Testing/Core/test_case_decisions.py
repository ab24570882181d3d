"""Segmentations come back whole, and decisions on lesions outlive every new segmentation."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.records import LesionInput
from tiny_case import PATIENT, box, label_image, same_image, segment, snapshot, study, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)


def test_a_segmentation_comes_back_whole(tmp_path: Path):
    with two_studies(tmp_path) as case:
        labels = label_image(case, 1, [SECOND, FIRST])
        found = measure_lesions(case.load_image(case.study(1).emission_id), labels)
        lesions = [LesionInput(measures, f"origin {measures.lesion}", "hot") for measures in reversed(found)]
        provenance = {"threshold": np.float32(0.5), "rules": ("a", "b"), "made": datetime(2024, 1, 1)}
        case.save_segmentation(1, labels, lesions, [{"volume_ml": np.float64(1 / 3)}], provenance)
        record = case.segmentation(1)
        assert record is not None
        assert record.provenance == {"threshold": 0.5, "rules": ["a", "b"], "made": "2024-01-01T00:00:00"}
        assert record.removed == [{"volume_ml": 1 / 3}]
        assert [lesion.measures for lesion in case.lesions(1)] == found
        assert [(le.lesion, le.origin, le.reason, le.decision, le.track) for le in case.lesions(1)] == [
            (1, "origin 1", "hot", "undecided", None),
            (2, "origin 2", "hot", "undecided", None),
        ]
        assert same_image(case.labels(1), labels)


def test_a_study_may_have_no_lesions(tmp_path: Path):
    with two_studies(tmp_path) as case:
        segment(case, 1, [])
        assert case.lesions(1) == []
        assert not sitk.GetArrayFromImage(case.labels(1)).any()


def test_labels_need_a_segmentation(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(study(1))
        assert case.segmentation(1) is None
        assert case.lesions(1) == []
        with pytest.raises(CaseError, match="not segmented"):
            case.labels(1)


def test_segmentations_that_do_not_fit_are_refused_and_change_nothing(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        labels = label_image(case, 1, [FIRST, SECOND])
        found = [LesionInput(m) for m in measure_lesions(case.load_image(case.study(1).emission_id), labels)]
        shifted = sitk.Image(labels)
        shifted.SetOrigin((0, 0, 0))
        wrong_voxels = LesionInput(dataclasses.replace(found[0].measures, voxels=9))
        wrong_volume = LesionInput(dataclasses.replace(found[0].measures, volume_ml=1.0))
        not_finite = LesionInput(dataclasses.replace(found[0].measures, suv_mean=float("nan")))
        for refused, lesions, complaint in (
            (shifted, found, "grid"),
            (sitk.Cast(labels, sitk.sitkUInt8), found, "uint16"),
            (labels, found[:1], "one lesion for each value"),
            (labels, [*found, found[0]], "one lesion for each value"),
            (labels, [wrong_voxels, found[1]], "voxels"),
            (labels, [wrong_volume, found[1]], "mL"),
            (labels, [not_finite, found[1]], "finite"),
        ):
            with pytest.raises(InputError, match=complaint):
                case.save_segmentation(1, refused, lesions)
        with pytest.raises(InputError, match="object"):
            case.save_segmentation(1, labels, found, [], {"a": object()})
        assert snapshot(case) == before


def test_rejected_lesions_vanish_from_lists_and_labels_and_come_back(tmp_path: Path):
    with two_studies(tmp_path) as case:
        whole = case.labels(1)
        case.decide_lesion(1, 2, "rejected", "bladder")
        assert [lesion.lesion for lesion in case.lesions(1)] == [1]
        assert [(le.lesion, le.decision, le.decision_reason) for le in case.lesions(1, rejected=True)] == [
            (1, "undecided", ""),
            (2, "rejected", "bladder"),
        ]
        array = sitk.GetArrayFromImage(case.labels(1))
        assert (array[FIRST] == 1).all()
        assert array.sum() == 8
        case.decide_lesion(1, 2, "undecided")
        assert same_image(case.labels(1), whole)


def test_decisions_on_what_is_not_there_are_refused(tmp_path: Path):
    with two_studies(tmp_path) as case:
        with pytest.raises(CaseError, match="no lesion 3"):
            case.decide_lesion(1, 3, "rejected")
        with pytest.raises(InputError, match="Possible: undecided, accepted, rejected"):
            case.decide_lesion(1, 1, "maybe")
        with pytest.raises(CaseError, match="no study 7"):
            case.decide_lesion(7, 1, "rejected")


def decisions(case: CaseStore) -> dict[int, str]:
    return {lesion.lesion: lesion.decision for lesion in case.lesions(1, rejected=True)}


def test_decisions_follow_their_lesion_to_another_number(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 2, "rejected", "bladder")
        case.decide_lesion(1, 1, "accepted")
        segment(case, 1, [box(0, 6, 6), SECOND, FIRST])
        assert decisions(case) == {1: "undecided", 2: "rejected", 3: "accepted"}
        assert case.lesions(1, rejected=True)[1].decision_reason == "bladder"
        assert case.orphaned_decisions() == []


def test_a_decision_holds_for_every_part_that_is_mostly_inside_the_lesion(tmp_path: Path):
    with two_studies(tmp_path) as case:
        segment(case, 1, [box(0, 0, 0, 4)])
        case.decide_lesion(1, 1, "rejected")
        # lies inside; shares a half; shares one voxel of eight
        segment(case, 1, [box(0, 0, 0, 2), (slice(0, 2), slice(0, 1), slice(3, 5)), box(3, 3, 3, 2)])
        assert decisions(case) == {1: "rejected", 2: "undecided", 3: "undecided"}
        # a lesion that has grown beyond twice its size was not judged for the most part
        segment(case, 1, [box(0, 0, 0, 6)])
        assert decisions(case) == {1: "undecided"}
        assert [(o.what, o.about, o.decision) for o in case.orphaned_decisions()] == [
            ("lesion", "lesion 1 of Baseline", "rejected")
        ]


def test_an_orphaned_decision_applies_again_when_its_lesion_comes_back(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 2, "rejected", "bladder")
        segment(case, 1, [FIRST])
        orphan = case.orphaned_decisions()[0]
        assert (orphan.decision, orphan.reason, orphan.user) == ("rejected", "bladder", "tester")
        segment(case, 1, [SECOND, FIRST])
        assert decisions(case) == {1: "rejected", 2: "undecided"}
        assert case.orphaned_decisions() == []


def test_of_two_decisions_on_the_same_place_the_later_one_applies(tmp_path: Path):
    with two_studies(tmp_path) as case:
        segment(case, 1, [box(0, 0, 0, 4)])
        case.decide_lesion(1, 1, "rejected")
        segment(case, 1, [box(0, 0, 0, 2), box(0, 0, 2, 2)])
        case.decide_lesion(1, 2, "accepted")
        assert decisions(case) == {1: "rejected", 2: "accepted"}
        segment(case, 1, [box(0, 0, 2, 2), box(0, 0, 0, 2)])
        assert decisions(case) == {1: "accepted", 2: "rejected"}
        case.decide_lesion(1, 2, "undecided")
        segment(case, 1, [box(0, 0, 2, 2), box(0, 0, 0, 2)])
        assert decisions(case) == {1: "accepted", 2: "undecided"}
        assert case.orphaned_decisions() == []
