"""Corrected cases as a training set: images, masks before and after correction, and clicks, without who and when.

A set is a folder. Each study is a folder of its own, complete or not there at all::

    set.json                        {"format": "psma-training-set", "version": 1}
    man-3f9c1a2b4d5e/               all studies of one man: keep them together when splitting into folds
      study-7a1b2c3d/
        suv.nii.gz                  emission image, SUVbw, float32; all others but the CT and organ map on its grid
        ct.nii.gz                   HU on its own grid; not there without CT
        organs.nii.gz               organ map on its own grid, names in meta.json; not there without one
        automatic.nii.gz            lesions as found, one value each, uint16; empty where all were drawn by hand
        corrected.nii.gz            lesions as they are now; those that a reader rejected are 0
        physiology.nii.gz           what the search took for physiological, names in meta.json; not always there
        clicks.json                 [{"index_zyx", "positive", "insist", "lesion", "threshold_suv", "method"}, ...] in
                                    the order made; "lesion" is the value in ``corrected`` that it is about, or 0
        meta.json                   see ``_meta``

Numbers of men and studies are keyed hashes (HMAC-SHA256). The key is made with the set and lies beside it, in
``NAME.salt``: with it, more cases of the same man are put beside the first; without it, nobody can try out patient IDs.
It must not be handed on with the set. No name, ID, birth date, date, UID, user or free text is written; images still
show a body, and a head in them shows a face.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.organ_names import physiological_organ
from PSMASegmentLib.physiology_reasons import PHYSIOLOGICAL_REASONS, physiological_reason
from PSMASegmentLib.region_names import place_of

from .case_store import CaseStore
from .errors import CaseError, InputError
from .image_files import fits_int16
from .nuclides import nuclide_in
from .progress import Progress, part
from .records import LesionRecord, StudyRecord
from .suv_emission import suv_emission
from .whole_file import write_whole

FORMAT, VERSION = "psma-training-set", 1
SET_NAME, META_NAME, CLICKS_NAME = "set.json", "meta.json", "clicks.json"
_UNFINISHED = ".unfinished"
_KEY_BYTES = 32
# Radiopharmaceuticals by the part of their name that is neither nuclide nor company.
_COMPOUNDS = ("PSMA-11", "PSMA-1007", "DCFPyL", "rhPSMA-7.3", "rhPSMA-7", "rhPSMA-10.1", "PSMA-617", "PSMA-I&T")
# Words that describe an organ without telling about a person.
_PLAIN_ORGANS = ("heart", "vessels", "aorta", "muscle", "spinal cord", "skin", "fat", "body")


@dataclass(frozen=True)
class Candidate:
    """A study of a case and why it does not go into a set; "" where it does."""

    study: StudyRecord
    left_out: str = ""


def training_candidates(case: CaseStore, only_reviewed: bool = True) -> list[Candidate]:
    """All studies of a case, and which of them can go into a training set.

    A study is reviewed when it is signed as it is, or when a reader accepted or rejected every one of its lesions.
    """
    return [Candidate(study, _left_out(case, study, only_reviewed)) for study in case.studies()]


def _left_out(case: CaseStore, study: StudyRecord, only_reviewed: bool) -> str:
    segmentation = case.segmentation(study.study_id)
    if segmentation is None:
        return "it is not segmented"
    lesions = case.lesions(study.study_id, rejected=True)
    undecided = sum(lesion.decision == "undecided" for lesion in lesions)
    if not only_reviewed or segmentation.version == "signed":
        return ""
    if not lesions:
        return "it has no lesions and is not signed"
    return f"{undecided} of its {len(lesions)} lesions are not reviewed" if undecided else ""


def export_training_set(
    case: CaseStore, to: Path, *, only_reviewed: bool = True, progress: Progress | None = None
) -> list[Path]:
    """Add the studies of a case to the training set in the folder ``to``; return their folders.

    The set is made where there is none. A study that is in it already is replaced. ``only_reviewed`` leaves out
    studies that ``training_candidates`` says nobody has looked through. A stop (``progress`` raises) leaves complete
    studies only.

    Raises InputError for a folder that holds something else, lies in the case, or whose key is gone; CaseError where
    images of the case are damaged or files cannot be written.
    """
    to = Path(to).absolute()
    chosen = [item.study for item in training_candidates(case, only_reviewed) if not item.left_out]
    if not chosen:
        return []
    key = _open_set(case, to)
    man = to / f"man-{_number(key, 'man', case.patient.patient_id, 12)}"
    folders = []
    for index, study in enumerate(chosen):
        step = part(progress, index / len(chosen), (index + 1) / len(chosen), study.label)
        folder = man / f"study-{_number(key, 'study', study.fingerprint, 8)}"
        try:
            _write_study(case, study, folder, step)
        except OSError as error:
            raise _not_written(folder, error.strerror or str(error)) from error
        folders.append(folder)
    return folders


def _open_set(case: CaseStore, to: Path) -> bytes:
    """The key of a set; the set is made where there is none."""
    salt, about = to.with_name(f"{to.name}.salt"), to / SET_NAME
    if to.is_relative_to(case.folder):
        raise InputError(f"{to} lies in the case folder {case.folder}. Choose a place outside of it.")
    if to.exists() and not to.is_dir():
        raise InputError(f"{to} is a file. Choose a folder for the training set.")
    if about.is_file():
        _require_set(about)
        if not salt.is_file() or salt.stat().st_size != _KEY_BYTES:
            raise InputError(
                f"The key {salt} of the training set {to} is missing or damaged, so that a man's studies would not "
                "come together. Put it back, or export all cases into a new folder."
            )
        return salt.read_bytes()
    if to.is_dir() and any(to.iterdir()):
        raise InputError(f"{to} holds other files and no training set. Choose an empty folder.")
    try:
        if not salt.is_file() or salt.stat().st_size != _KEY_BYTES:
            write_whole(salt, secrets.token_bytes(_KEY_BYTES))
        write_whole(about, _json({"format": FORMAT, "version": VERSION}))
        return salt.read_bytes()
    except OSError as error:
        raise _not_written(to, error.strerror or str(error)) from error


def _require_set(about: Path) -> None:
    try:
        said = json.loads(about.read_bytes())
    except ValueError:
        said = None
    if not isinstance(said, dict) or (said.get("format"), said.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{about} does not belong to a training set of version {VERSION}. Choose another folder.")


def _not_written(target: Path, reason: str) -> CaseError:
    return CaseError(f"{target} could not be written: {reason}. Check the free space and permissions there.")


def _number(key: bytes, what: str, name: str, digits: int) -> str:
    return hmac.new(key, f"{what}:{name}".encode(), hashlib.sha256).hexdigest()[:digits]


def _write_study(case: CaseStore, study: StudyRecord, folder: Path, progress: Progress) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".*{_UNFINISHED}"):
        shutil.rmtree(leftover)  # of an export that was killed
    unfinished = folder.parent / f".{folder.name}{_UNFINISHED}"
    try:
        unfinished.mkdir()
        _write_files(case, study, unfinished, progress)
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished)
    progress(1.0, "stored")


def _write_files(case: CaseStore, study: StudyRecord, folder: Path, progress: Progress) -> None:
    progress(0.0, "reading")
    with case.reading():
        emission = suv_emission(case.load_image(study.emission_id), study.scaling, study.label)
        images = {
            "suv": _plain(emission, np.dtype(np.float32)),
            "automatic": _plain(case.labels(study.study_id, "automatic"), np.dtype(np.uint16)),
            "corrected": _plain(case.labels(study.study_id), np.dtype(np.uint16)),
        }
        names: dict[str, dict[int, str]] = {}
        if study.ct_id is not None:
            ct = case.load_image(study.ct_id)
            images["ct"] = _plain(ct, np.dtype(np.int16 if fits_int16(ct) else np.float32))
        if study.organs_id is not None:
            images["organs"] = _plain(case.load_image(study.organs_id), np.dtype(np.uint16))
            names["organs"] = study.organ_names
        physiology = case.physiology(study.study_id)
        if physiology is not None:
            images["physiology"] = _plain(physiology[0], np.dtype(np.uint16))
            names["physiology"] = physiology[1]
        lesions = case.lesions(study.study_id, rejected=True)
        counted = {lesion.lesion for lesion in lesions if lesion.decision != "rejected"}
        clicks = [
            {
                "index_zyx": list(click.index_zyx),
                "positive": click.positive,
                "insist": click.insist,
                "lesion": click.lesion if click.lesion in counted else 0,
                "threshold_suv": click.threshold_suv,
                "method": click.method if re.fullmatch(r"[a-z-]{1,24}", click.method) else "",
            }
            for click in case.clicks(study.study_id)
        ]
    for index, (name, image) in enumerate(images.items()):
        progress(0.2 + 0.7 * index / len(images), f"writing {name}")
        _write_image(image, folder / f"{name}.nii.gz")
    write_whole(folder / CLICKS_NAME, _json(clicks))
    write_whole(folder / META_NAME, _json(_meta(study, emission, lesions, names)))


def _write_image(image: sitk.Image, path: Path) -> None:
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:  # so SimpleITK tells of a full disk
        raise _not_written(path, str(error)) from error


def _plain(image: sitk.Image, kind: npt.DTypeLike) -> sitk.Image:
    """Voxels and geometry of an image and nothing else: files keep notes that came with it."""
    plain = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image).astype(kind))
    plain.SetSpacing(image.GetSpacing())
    plain.SetOrigin(image.GetOrigin())
    plain.SetDirection(image.GetDirection())
    return plain


def _meta(
    study: StudyRecord, emission: sitk.Image, lesions: Sequence[LesionRecord], names: Mapping[str, Mapping[int, str]]
) -> dict[str, Any]:
    """What ``meta.json`` says: units, tracer ("68Ga-PSMA-11", "" when not known), grid, names of label values, lesions.

    A rejected lesion has the reason where it is one of ``PHYSIOLOGICAL_REASONS``, else "".
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "units": {"suv": "SUVbw", "ct": "HU"},
        "modality": study.modality,
        "tracer": _tracer(study.tracer),
        "spacing_mm_xyz": list(emission.GetSpacing()),
        "size_xyz": list(emission.GetSize()),
        **{
            f"{what}_names": {str(value): _organ(name, value) for value, name in sorted(table.items())}
            for what, table in names.items()
        },
        "lesions": [_lesion(lesion) for lesion in lesions],
    }


def _lesion(lesion: LesionRecord) -> dict[str, Any]:
    reasons = {physiological_reason(reason): reason for reason in PHYSIOLOGICAL_REASONS}
    return {
        "lesion": lesion.lesion,
        "mask": lesion.mask,
        "decision": lesion.decision,
        "reason": reasons.get(lesion.decision_reason, ""),
        "region": lesion.region.name if lesion.region.name in REGIONS else "",
    }


def _tracer(name: str) -> str:
    """Nuclide and compound as far as they are known ones: a header's own words could hold anything."""
    nuclide = nuclide_in(name) or ""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    known = sorted(_COMPOUNDS, key=len, reverse=True)
    compound = next((item for item in known if re.sub(r"[^a-z0-9]", "", item.lower()) in letters), "")
    return "-".join(filter(None, (nuclide, compound)))


def _organ(name: str, value: int) -> str:
    """The organ that a name stands for in plain words: a table of names could hold anything."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    place = place_of(name)
    if place is not None:
        return place.site
    known = (plain for plain in _PLAIN_ORGANS if re.search(rf"\b{plain}\b", words))
    return physiological_organ(name) or next(known, f"structure {value}")


def _json(value: Any) -> bytes:
    return f"{json.dumps(value, allow_nan=False, indent=1)}\n".encode()
