"""Studies are registered once, in the way that was asked for; lesions are followed over all of them, SPECT included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tiny_case
from example_case import PATIENT, SPACING_MM, A, B, Spot, Visit, images_of, make_case
from followed_case import THREE, corners, fresh, methods, statuses
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.organs import OrganMap
from PSMATheranosticsLib import lesion_matching, study_registration
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import Cancelled, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.pipeline_tracking import (
    accept_track,
    link_lesions,
    mark_track,
    rematch,
    track_lesions,
    unlink_lesions,
)
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.study import DicomOrigin, Scaling, Study
from PSMATrackingLib.registration import RegistrationImages, register
from PSMATrackingLib.spline_field import from_displacement

SHIFT = sitk.TranslationTransform(3, (8.0, 0.0, 0.0))


def shifted(spot: Spot, voxels: int) -> Spot:
    """The same block further to the left of the patient (x in LPS)."""
    z, y, x = spot.start
    return Spot(spot.track, (z, y, x + voxels), spot.size, spot.suv)


def test_each_study_is_registered_once_and_links_and_tracks_are_one_step(tmp_path: Path):
    with fresh(tmp_path) as case:
        track_lesions(case, "identity")
        assert methods(case) == {2: "identity", 3: "identity"}
        record = case.registrations()[0].record
        assert record["device"] == "CPU"
        assert record["seconds"] >= 0
        assert [entry.action for entry in case.journal()[-3:]] == [
            "Register Follow-up 1 with Baseline",
            "Register Follow-up 2 with Baseline",
            "Follow lesions over the studies",
        ]
        steps = len(case.journal())
        track_lesions(case, "identity")
        assert len(case.journal()) == steps
        assert statuses(case)[2] == {1: "baseline", 2: "gone", 3: "reappeared"}


def test_a_registration_gets_lesions_and_organs_whose_uptake_stays_in_place(tmp_path: Path, monkeypatch):
    seen: list[RegistrationImages] = []

    def watched(fixed, moving, *arguments, **options):
        seen.extend([fixed, moving])
        return register(fixed, moving, *arguments, **options)

    monkeypatch.setattr(study_registration, "register", watched)
    study = tiny_case.study(1, with_ct=True)
    assert study.organs is not None
    labels = sitk.GetImageFromArray(np.full((8, 8, 8), 1, np.uint8))
    labels[0, 0, 0], labels[1, 0, 0] = 2, 3
    labels.CopyInformation(study.emission)
    organs = OrganMap(labels, {1: "liver", 2: "urinary_bladder", 3: "kidney_left"})
    grow = {"emission": big(study.emission), "ct": None, "organs": replace(organs, labels=big(labels))}
    later = replace(tiny_case.study(2), emission=big(tiny_case.image(2)))
    with CaseStore.create(tmp_path, tiny_case.PATIENT) as case:
        for each in (replace(study, **grow), later):
            study_id = case.add_study(each)
            case.begin_by_hand(study_id)
            sphere = np.zeros(each.emission.GetSize()[::-1], np.uint16)
            sphere[2, 2, 2] = 1
            case.edit_mask(study_id, MaskEdit((0, 0, 0), sphere), "Draw")
        track_lesions(case, "identity")
    fixed, moving = seen
    for images in (fixed, moving):
        assert images.lesions is not None and sitk.GetArrayFromImage(images.lesions).sum() == 1
    assert fixed.organs is not None and moving.organs is None
    assert set(np.unique(sitk.GetArrayFromImage(fixed.organs))) == {0, 1, 3}


def big(image: sitk.Image) -> sitk.Image:
    """The same voxels, 12 mm apart: large enough to be registered."""
    larger = sitk.Image(image)
    larger.SetSpacing((12.0, 12.0, 12.0))
    return larger


def test_a_registration_of_an_earlier_version_is_made_anew(tmp_path: Path):
    with make_case(tmp_path, THREE, followed=False) as case:
        assert "version" not in case.registrations()[0].record
        track_lesions(case, "identity")
        assert methods(case) == {2: "identity", 3: "identity"}


def test_a_given_transform_is_for_its_study_alone(tmp_path: Path):
    visits = (Visit(0, [A, B]), Visit(60, [shifted(A, 2), shifted(B, 2)]), Visit(120, [A, B]))
    with fresh(tmp_path, visits) as case:
        track_lesions(case, "identity")
        track_lesions(case, "given", given={2: SHIFT})
        assert methods(case) == {2: "given", 3: "identity"}
        found = case.registration(1, 2)
        assert found is not None
        assert np.allclose(found.transform.TransformPoint((0.0, 0.0, 0.0)), (8.0, 0.0, 0.0))
        assert all(link.overlap > 0.99 for link in case.links())
        with pytest.raises(InputError, match="for which study the transform is"):
            track_lesions(case, "given", given=SHIFT)


def test_landmarks_correct_what_is_stored_and_can_be_taken_back(tmp_path: Path):
    with fresh(tmp_path, (Visit(0, [A, B]), Visit(60, [shifted(A, 2), shifted(B, 2)]))) as case:
        track_lesions(case, "given", given=SHIFT)
        track_lesions(case, "landmarks", landmarks=corners(20.0))
        assert methods(case) == {2: "landmarks"}
        point = (0.0, 0.0, -400.0)
        found = case.registration(1, 2)
        assert found is not None
        assert np.allclose(found.transform.TransformPoint(point), (20.0, 0.0, -400.0), atol=0.01)
        steps = len(case.journal())
        track_lesions(case, "landmarks", landmarks=corners(20.0))
        assert len(case.journal()) == steps
        # Other landmarks correct the transform from before the first ones, not the corrected one: a single pair shifts.
        track_lesions(case, "landmarks", landmarks=[((0.0, 0.0, -400.0), (9.0, 1.0, -400.0))])
        found = case.registration(1, 2)
        assert found is not None
        assert np.allclose(found.transform.TransformPoint((30.0, 5.0, -350.0)), (39.0, 6.0, -350.0), atol=0.01)


def test_what_a_user_guided_stays_until_another_method_is_named(tmp_path: Path):
    with fresh(tmp_path) as case:
        track_lesions(case, "given", given={2: SHIFT, 3: SHIFT})
        track_lesions(case, "landmarks", landmarks={3: corners(8.0)})
        steps = len(case.journal())
        track_lesions(case)
        assert (methods(case), len(case.journal())) == ({2: "given", 3: "landmarks"}, steps)
        track_lesions(case, "identity")
        assert methods(case) == {2: "identity", 3: "identity"}


def test_links_along_two_registrations_are_sought_by_the_coarser_one(tmp_path: Path):
    with fresh(tmp_path) as case:
        for study, method in ((2, "lattice"), (3, "rigid")):
            case.save_registration(1, study, sitk.TranslationTransform(3), {"method": method})
        rematch(case)
        found = {pair: case.matching(*pair) for pair in ((1, 2), (1, 3), (2, 3))}
        gates = {pair: each.provenance["settings"]["gate_mm"] for pair, each in found.items() if each is not None}
        assert gates == {(1, 2): 10.0, (1, 3): 20.0, (2, 3): 20.0}


def test_registrations_to_a_former_baseline_are_told_until_there_are_others(tmp_path: Path):
    def told_pairs() -> list[tuple[int, int]]:
        return [(each.fixed_id, each.moving_id) for each in collect_results(case).registrations]

    with make_case(tmp_path, THREE, followed=False) as case:
        case.set_baseline(2)
        assert told_pairs() == [(1, 2), (1, 3)]
        track_lesions(case, "identity")
        assert told_pairs() == [(2, 1), (2, 3)]
        case.set_baseline(1)
        assert told_pairs() == [(1, 2), (1, 3)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"registration": "magic"}, "no registration method 'magic'"),
        ({"registration": "landmarks"}, "needs pairs of landmarks"),
        ({"registration": "given"}, "needs a transform"),
        ({"registration": "identity", "given": {2: SHIFT}}, "uses no given hints"),
        ({"registration": "given", "given": {1: SHIFT}}, "Study 1 cannot be registered"),
        ({"registration": "given", "given": {2: sitk.TranslationTransform(2)}}, "dimensions"),
        ({"registration": "landmarks", "landmarks": corners(0.0)}, "for which study"),
    ],
)
def test_requests_that_cannot_be_carried_out_are_refused(arguments: dict, complaint: str, tmp_path: Path):
    with fresh(tmp_path) as case:
        with pytest.raises(InputError, match=complaint):
            track_lesions(case, **arguments)
        assert (case.registrations(), case.tracks()) == ([], [])


def test_a_registration_method_that_is_not_installed_says_what_to_do(tmp_path: Path, monkeypatch):
    method = study_registration.REGISTRATION_METHODS["greedy"]
    monkeypatch.setattr(type(method), "available", lambda self: "install a package")
    with fresh(tmp_path) as case, pytest.raises(InputError, match="'greedy' cannot be used here: install a package"):
        track_lesions(case, "greedy")


def test_a_cancelled_run_keeps_finished_registrations(tmp_path: Path):
    def cancel(_fraction: float, message: str) -> None:
        if message.startswith("Registering Follow-up 2"):
            raise Cancelled

    with fresh(tmp_path) as case:
        with pytest.raises(Cancelled):
            track_lesions(case, "identity", cancel)
        assert (list(methods(case)), case.tracks()) == ([2], [])
        track_lesions(case, "identity")
        assert len(case.tracks()) == 3


def deformation(amplitude_mm: float) -> sitk.Transform:
    """A smooth deformation over the images of these tests: x moves by up to ``amplitude_mm`` along z."""
    domain = images_of(THREE[0])[0]
    z = np.linspace(0, np.pi, domain.GetSize()[2])
    field = np.zeros((*domain.GetSize()[::-1], 3))
    field[..., 0] = amplitude_mm * np.sin(z)[:, None, None]
    image = sitk.GetImageFromArray(field, isVector=True)
    image.CopyInformation(domain)
    return from_displacement(image)[0]


def test_later_studies_are_linked_through_deformable_registrations_to_the_baseline(tmp_path: Path):
    moved = [shifted(A, 1), shifted(B, 2)]  # where the field moves by about 4 and 8 mm
    with fresh(tmp_path, (Visit(0, [A, B]), Visit(60, moved), Visit(120, moved))) as case:
        field = deformation(8.0)
        track_lesions(case, "given", given={2: field, 3: field})
        for study in (2, 3):
            found = case.registration(1, study)
            assert found is not None
            there = found.transform.TransformPoint((10.0, 5.0, -400.0))
            assert np.allclose(there, field.TransformPoint((10.0, 5.0, -400.0)), atol=1 / 64)
            assert there[0] > 13.0
        between = {link.baseline_lesion: link.followup_lesion for link in case.links(2, 3)}
        assert between == {1: 1, 2: 2}
        assert min(link.overlap for link in case.links(2, 3)) > 0.9
        steps = len(case.journal())
        rematch(case)
        assert len(case.journal()) == steps
    assert check_case(tmp_path) == []


def test_lesions_of_different_tissue_are_not_linked(tmp_path: Path):
    near = shifted(B, 5)  # side by side, without overlap
    with fresh(tmp_path, (Visit(0, [B]), Visit(60, [near]))) as case:
        track_lesions(case, "identity")
        assert len(case.links()) == 1
        case.set_region(1, 1, Region("bone", "rib"))
        case.set_region(2, 1, Region("pelvic node"))
        rematch(case)
        assert case.links() == []


def add_spect(case: CaseStore, shift_mm: float, spots: Sequence[Spot] = (A, B), as_one: bool = False) -> int:
    """A SPECT some days after the baseline, blurred, and moved along x; with the labels of the first block alone.

    ``as_one``: or of two blocks that lie a few voxels apart, run together.
    """
    pet, labels = images_of(Visit(0, spots))
    emission = sitk.SmoothingRecursiveGaussian(pet, 5.0)
    visible = sitk.ChangeLabel(labels, changeMap={2: 0})
    if as_one:
        visible = sitk.Cast(
            sitk.BinaryMorphologicalClosing(sitk.Cast(labels > 0, sitk.sitkUInt8), [3] * 3), sitk.sitkUInt16
        )
    for image in (emission, visible):
        image.SetOrigin(np.add(image.GetOrigin(), (shift_mm, 0.0, 0.0)))
    study_id = case.add_study(
        Study(
            patient=PATIENT,
            acquired=datetime(2026, 1, 10) + timedelta(days=4),
            modality="SPECT",
            tracer="177Lu-PSMA-617",
            emission=emission,
            scaling=Scaling("SUVbw", 1.0, "synthetic"),
            origin=DicomOrigin("1.2.3", "1.2.3.9", "1.2.9", "1.2.840.10008.5.1.4.1.1.20", ("1.2.9.1",)),
            source="synthetic",
            fingerprint="synthetic SPECT",
        )
    )
    case.save_segmentation(study_id, visible, [LesionInput(each) for each in measure_lesions(emission, visible)])
    return study_id


def test_a_spect_is_refined_around_each_lesion_once(tmp_path: Path, monkeypatch):
    with fresh(tmp_path, (Visit(0, [A, B]),)) as case:
        spect = add_spect(case, 2 * SPACING_MM)
        track_lesions(case, "identity")
        matching = case.matching(1, spect)
        assert matching is not None
        fits = matching.provenance["local_shifts"]["fits"]
        assert set(fits) == {"1", "2"}
        assert fits["1"]["kept"]
        assert np.allclose(fits["1"]["shift_mm"], (8.0, 0.0, 0.0), atol=2.0)
        assert case.links(1, spect)[0].overlap > 0.9
        monkeypatch.setattr(lesion_matching, "refine_lesions", None)  # what was found is used again
        steps = len(case.journal())
        rematch(case)
        assert len(case.journal()) == steps


def test_a_lesion_that_a_spect_could_not_show_is_not_gone(tmp_path: Path):
    faint = Spot(5, (50, 20, 24), (2, 2, 2), 3.5)  # 0.5 mL
    with fresh(tmp_path, (Visit(0, [A, B, faint]), Visit(60, [A, B, faint]))) as case:
        spect = add_spect(case, 0.0)
        track_lesions(case, "identity")
        status = statuses(case)
        assert status[1] == {1: "baseline", spect: "persistent", 2: "persistent"}
        assert status[2] == {1: "baseline", spect: "gone", 2: "reappeared"}
        assert status[3] == {1: "baseline", spect: "below detection", 2: "persistent"}


def test_lesions_that_run_together_on_a_spect_stay_two_and_can_be_linked_with_it(tmp_path: Path):
    beside = shifted(A, 7)  # two voxels from A
    with fresh(tmp_path, (Visit(0, [A, beside]), Visit(60, [A, beside]))) as case:
        spect = add_spect(case, 0.0, [A, beside], as_one=True)
        track_lesions(case, "identity")
        status = statuses(case)
        assert status == {
            1: {1: "baseline", spect: "persistent", 2: "persistent"},
            2: {1: "baseline", spect: "merged", 2: "persistent"},
        }
        assert all(not track.parents for track in case.tracks())
        carrying = [lesion.carrying_link for lesion in collect_results(case).study(2).lesions]
        assert [link.earlier_study_id for link in carrying if link is not None] == [1, 1]  # not along the SPECT
        accept_track(case, 2, spect)
        assert [link.baseline_lesion for link in case.links(1, spect) if link.status == "accepted"] == [2]
        unlink_lesions(case, (1, 2), (spect, 1))
        assert statuses(case)[2] == {1: "baseline", spect: "gone", 2: "reappeared"}
        link_lesions(case, (1, 2), (spect, 1))
        assert statuses(case) == status


def test_decisions_stand_when_studies_are_registered_in_another_way(tmp_path: Path):
    with fresh(tmp_path) as case:
        track_lesions(case, "identity")
        unlink_lesions(case, (1, 1), (2, 1))
        mark_track(case, 2, 2, "not imaged")
        before = statuses(case)
        track_lesions(case, "given", given={2: sitk.TranslationTransform(3, (1.0, 0.0, 0.0))})
        assert statuses(case) == before
