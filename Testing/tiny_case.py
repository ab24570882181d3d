"""Synthetic studies of 8 x 8 x 8 voxels, and random steps on a case made of them, for tests of the case store."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import REGIONS, Region
from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.organs import OrganMap
from PSMATheranosticsLib.case_schema import JOURNALED
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import ClickRecord, LesionInput, LinkInput, StudyRecord, TrackInput
from PSMATheranosticsLib.study import Alternative, DicomOrigin, Patient, Scaling, Study
from PSMATheranosticsLib.suv_emission import suv_emission

PATIENT = Patient("SYNTHETIC-TINY", "Synthetic^Tiny", date(1950, 2, 3), "M")
Box = tuple[slice, slice, slice]


def box(z: int, y: int, x: int, size: int = 2) -> Box:
    """A cube of ``size`` voxels a side that begins at z, y, x."""
    return (slice(z, z + size), slice(y, y + size), slice(x, x + size))


def image(seed: int, pixel_type: type = np.float32) -> sitk.Image:
    """Noise on a grid whose spacing, origin and direction have digits up to the last bit."""
    values = np.random.default_rng(seed).random((8, 8, 8)) * 100
    made = sitk.GetImageFromArray(values.astype(pixel_type))
    made.SetSpacing((1.1, 2.2, 10 / 3))
    made.SetOrigin((-100.1, 1 / 3, 2e-7))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.1, 0.02, -0.03)
    made.SetDirection(turn.GetMatrix())
    return made


def study(number: int, patient: Patient = PATIENT, with_ct: bool = False) -> Study:
    """The study of day ``number`` of 2024."""
    emission = image(number)
    organs = sitk.Cast(emission > 50, sitk.sitkUInt8)
    return Study(
        patient=patient,
        acquired=datetime(2024, 1, 1, 10, 30) + timedelta(days=number),
        modality="PET",
        tracer="68Ga-PSMA-11",
        emission=emission,
        scaling=Scaling(
            "SUVbw",
            1.0 / 3.0,
            "synthetic",
            {"PatientWeight": "80.2 kg"},
            entered=("PatientWeight",),
            alternatives=(Alternative("another way", 0.35),),
        ),
        origin=DicomOrigin("1.2.1", f"1.2.{number}", "1.2.3", "1.2.4", ("1.2.5.1", "1.2.5.2"), series_number=3),
        source=f"synthetic study {number}",
        fingerprint=f"synthetic {number}",
        ct=image(1000 + number, np.int16) if with_ct else None,
        organs=OrganMap(organs, {1: "liver"}) if with_ct else None,
        injected_activity_mbq=150.1,
        weight_kg=80.2,
        height_m=1.81,
        sex="M",
        warnings=["synthetic"],
    )


def label_image(case: CaseStore, study_id: int, boxes: Sequence[Box]) -> sitk.Image:
    """Labels 1..n on the grid of the study's emission image."""
    array = np.zeros((8, 8, 8), np.uint16)
    for number, where in enumerate(boxes, start=1):
        array[where] = number
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(case.load_image(case.study(study_id).emission_id))
    return labels


def segment(
    case: CaseStore,
    study_id: int,
    boxes: Sequence[Box],
    physiology: tuple[sitk.Image, Mapping[int, str]] | None = None,
    **provenance: object,
) -> None:
    """Store boxes as the automatic result of a study."""
    stored = case.study(study_id)
    emission = suv_emission(case.load_image(stored.emission_id), stored.scaling, stored.label)
    labels = label_image(case, study_id, boxes)
    lesions = [LesionInput(found, "box", "drawn") for found in measure_lesions(emission, labels)]
    removed = [{"reason": "kidney", "volume_ml": 3.5}]
    case.save_segmentation(study_id, labels, lesions, removed, dict(provenance), physiology=physiology)


def link(baseline: int, followup: int) -> LinkInput:
    """A proposed link."""
    return LinkInput(baseline, followup, "one-to-one", 1 / 3, 0.25, 0.75, "drawn", True)


def two_studies(folder: Path) -> CaseStore:
    """An open case with a baseline and a follow-up of two lesions each: ids 1 and 2."""
    case = CaseStore.create(folder, PATIENT, user="tester")
    for number in (1, 2):
        segment(case, case.add_study(study(number)), [box(0, 0, 0), box(4, 4, 4)])
    return case


def same_image(first: sitk.Image, second: sitk.Image) -> bool:
    """Equal in voxels, pixel type and geometry, to the last bit."""
    geometries = [
        (i.GetSize(), i.GetSpacing(), i.GetOrigin(), i.GetDirection(), i.GetPixelID()) for i in (first, second)
    ]
    return geometries[0] == geometries[1] and np.array_equal(*map(sitk.GetArrayFromImage, (first, second)))


def snapshot(case: CaseStore) -> str:
    """Hash of every journaled row, with types and all digits, and of the voxels of every label image in use."""
    digest = hashlib.sha256()
    for table in JOURNALED:
        for row in case._database.rows(f"SELECT * FROM {table}"):
            digest.update(repr((table, tuple(row))).encode())
    for item in case.studies():
        if case.segmentation(item.study_id) is not None:
            digest.update(sitk.GetArrayFromImage(case.labels(item.study_id)).tobytes())
    return digest.hexdigest()


def random_step(case: CaseStore, chance: random.Random) -> None:
    """Change the case in one of all possible ways, undo and redo among them. May find nothing to change."""
    studies = case.studies()
    segmented = [item.study_id for item in studies if case.segmentation(item.study_id) is not None]
    if not studies or (len(studies) < 4 and chance.random() < 0.1):
        case.add_study(study(chance.randrange(1, 300), with_ct=chance.random() < 0.3))
        return
    some = chance.choice(studies).study_id
    if not segmented or chance.random() < 0.15:
        _random_segmentation(case, some, chance)
        return
    kinds = [
        "lesion",
        "lesion",
        "links",
        "link",
        "draw",
        "tracks",
        "mark",
        "other",
        "group",
        "undo",
        "redo",
        "edit",
        "edit",
    ]
    kind = chance.choice(kinds)
    if kind == "lesion":
        _decide_some_lesion(case, chance.choice(segmented), chance)
    elif kind == "edit":
        _random_edit(case, chance.choice(segmented), chance)
    elif kind == "tracks":
        _random_tracks(case, chance)
    elif kind == "mark":
        _mark_some_track(case, studies, chance.choice(segmented), chance)
    elif kind in ("links", "link", "draw"):
        _random_link_step(case, kind, segmented, chance)
    elif kind == "other":
        chance.choice(
            [
                lambda: case.set_baseline(chance.choice([None, some])),
                lambda: _register_some(case, studies, chance),
                lambda: case.save_response(some, "RECIP 1.0", {"number": chance.random()}),
                lambda: case.sign(chance.choice(segmented), "seen"),
                lambda: case.add_sign_off({"form": chance.random()}, {"long": [some] * chance.randrange(2000)}, "seen"),
                lambda: case.save_setting("lesion response", chance.choice([{}, {"smallest_ml": chance.random()}])),
            ]
        )()
    elif kind == "group":
        with case.step("Several changes"):
            _decide_some_lesion(case, chance.choice(segmented), chance)
            _random_tracks(case, chance)
    else:
        (case.undo if kind == "undo" else case.redo)()


def _register_some(case: CaseStore, studies: list[StudyRecord], chance: random.Random) -> None:
    if len(studies) > 1:
        fixed, moving = chance.sample(studies, 2)
        shift = sitk.TranslationTransform(3, (1 / 3, 2, chance.random()))
        case.save_registration(fixed.study_id, moving.study_id, shift, {"good": True})


def _random_segmentation(case: CaseStore, study_id: int, chance: random.Random) -> None:
    corners = [(0, 0, 0), (0, 4, 0), (4, 0, 4), (4, 4, 4)]
    boxes = [box(*corner, size=chance.randrange(1, 5)) for corner in chance.sample(corners, chance.randrange(0, 5))]
    kidney = label_image(case, study_id, [box(0, 4, 4, size=chance.randrange(1, 4))]), {1: "left kidney"}
    segment(case, study_id, boxes, chance.choice([None, kidney]), seed=chance.random())


def _random_edit(case: CaseStore, study_id: int, chance: random.Random) -> None:
    """Give a box, or some of its voxels, to the background, a lesion that is there, or a new one."""
    low = [chance.randrange(0, 7) for _ in range(3)]
    where = tuple(slice(start, start + chance.randrange(1, 9 - start)) for start in low)
    before = sitk.GetArrayFromImage(case.labels(study_id))[where]
    known = [item.lesion for item in case.lesions(study_id)]
    lesion = np.uint16(chance.choice([0, *known, case.next_lesion_number(study_id)]))
    inside = np.random.default_rng(chance.randrange(1 << 30)).random(before.shape) < chance.choice([0.3, 1.0])
    edit = MaskEdit(tuple(low), np.where(inside, lesion, before), before)
    click = ClickRecord(study_id, (low[0], low[1], low[2]), bool(lesion), False, int(lesion), 3.5, "synthetic")
    case.edit_mask(study_id, edit, "Brush", clicks=[click] if chance.random() < 0.5 else [])


def _decide_some_lesion(case: CaseStore, study_id: int, chance: random.Random) -> None:
    lesions = case.lesions(study_id, rejected=True)
    if lesions:
        lesion = chance.choice(lesions).lesion
        if chance.random() < 0.3:
            region = Region(chance.choice(REGIONS), chance.choice(["", "left"]))
            case.set_region(study_id, lesion, chance.choice([region, None]))
            return
        decision = chance.choice(["accepted", "rejected", "undecided"])
        case.decide_lesion(study_id, lesion, decision, chance.choice(["", "bladder"]))


def _random_link_step(case: CaseStore, kind: str, segmented: list[int], chance: random.Random) -> None:
    first, second = chance.choice(segmented), chance.choice(segmented)
    ends = [[lesion.lesion for lesion in case.lesions(end, rejected=True)] for end in (first, second)]
    links = case.links()
    if first != second and all(ends) and kind == "links":
        pairs = {(chance.choice(ends[0]), chance.choice(ends[1])) for _ in range(3)}
        case.save_links(first, second, [link(*pair) for pair in sorted(pairs)], ends[0][:1])
    elif first != second and all(ends) and kind == "draw":
        case.add_link(first, second, link(chance.choice(ends[0]), chance.choice(ends[1])))
    elif links:
        it = chance.choice(links)
        status = chance.choice(["accepted", "rejected", "proposed"])
        case.decide_link(it.baseline_id, it.followup_id, it.baseline_lesion, it.followup_lesion, status)


def _mark_some_track(case: CaseStore, studies: list[StudyRecord], study_id: int, chance: random.Random) -> None:
    lesions = case.lesions(study_id, rejected=True)
    if not lesions:
        return
    lesion, at = chance.choice(lesions).lesion, chance.choice(studies).study_id
    if chance.random() < 0.3:
        case.comment_track(study_id, lesion, chance.choice(["", "flare"]))
        return
    marks = ["new"] if at == study_id else ["gone", "not imaged"]
    case.decide_track(study_id, lesion, at, chance.choice(["", "confirmed", *marks]))


def _random_tracks(case: CaseStore, chance: random.Random) -> None:
    tracks: list[TrackInput] = []
    for item in case.studies():
        for number, lesion in enumerate(case.lesions(item.study_id)):
            if number < len(tracks) and chance.random() < 0.7:
                tracks[number].lesions[item.study_id] = lesion.lesion
                tracks[number].status[item.study_id] = "persistent"
            else:
                tracks.append(TrackInput(len(tracks) + 1, {item.study_id: lesion.lesion}, {item.study_id: "new"}))
    case.save_tracks(tracks)
