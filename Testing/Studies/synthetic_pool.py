"""Training sets of synthetic studies: a pool of them, and subsets of it, in the files of ``psma training-set``.

Nothing was found or corrected in these studies: ``automatic`` is empty and ``corrected`` the truth.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.phantom.organ_map_study import OrganMapPhantom, organ_map_study
from PSMASegmentLib.phantom.phantom_settings import VARIED
from PSMASegmentLib.training.organ_maps import maps_to_train_on, spread
from PSMATheranosticsLib.image_files import read_image
from PSMATheranosticsLib.organ_files import read_organ_names
from PSMATheranosticsLib.training_set import CLICKS_NAME, FORMAT, META_NAME, SET_NAME, VERSION
from PSMATheranosticsLib.whole_file import write_whole

TRACER = "68Ga-PSMA-11"
_SEED = 7_000_000  # of the studies: apart from those of evaluations, which begin at 1000
_TRIES = 50  # to plant a lesion in a man; one of seven has none


def write_pool(pool: Path, organ_maps: Path, count: int, seed: int) -> None:
    """Paint the studies that the folder ``pool`` lacks, each of another man who may be trained on.

    Raises ValueError where there are fewer than ``count`` men, or no lesion can be planted in one.
    """
    maps = _one_of_each_man(maps_to_train_on(organ_maps))
    if len(maps) < count:
        raise ValueError(f"{organ_maps} holds organ maps of {len(maps)} men to train on; --pool asks for {count}.")
    names = read_organ_names(organ_maps / "labels.csv")
    write_whole(pool / SET_NAME, as_json({"format": FORMAT, "version": VERSION, "synthetic": True}))
    for number, path in enumerate(spread(maps, count)):
        folder = pool / f"man-{_hash(patient_of(path), 12)}" / f"study-{_hash(f'{path.name} {seed}', 8)}"
        if not folder.exists():
            phantom = _with_lesions(path, names, _SEED + 1_000_000 * seed + 100 * number)
            write_study(phantom, folder)
            print(f"   {number + 1} of {count}: {path.name}, {len(phantom.lesions)} lesions", flush=True)


def _one_of_each_man(maps: Sequence[Path]) -> list[Path]:
    """The first map of each man."""
    return list({patient_of(path): path for path in reversed(maps)}.values())[::-1]


def _with_lesions(path: Path, names: Mapping[int, str], seed: int) -> OrganMapPhantom:
    """A synthetic study that shows a lesion. Raises ValueError where none can be planted."""
    image = read_image(path)
    for attempt in range(_TRIES):
        phantom = organ_map_study(image, names, seed + attempt, TRACER, VARIED)
        if phantom.lesions:
            return phantom
    raise ValueError(f"No lesion could be planted in the man of {path}; leave his organ map out.")


def write_study(phantom: OrganMapPhantom, folder: Path) -> None:
    """A study in the files of ``psma training-set``, complete or not at all; the truth is its corrected mask."""
    unfinished = folder.parent / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unfinished.mkdir(parents=True)
    images = {
        "suv": sitk.Cast(phantom.emission, sitk.sitkFloat32),
        "ct": sitk.Cast(phantom.ct, sitk.sitkInt16),
        "organs": sitk.Cast(phantom.organs.labels, sitk.sitkUInt16),
        "automatic": sitk.Cast(phantom.truth * 0, sitk.sitkUInt16),
        "corrected": sitk.Cast(phantom.truth, sitk.sitkUInt16),
    }
    for name, image in images.items():
        sitk.WriteImage(image, str(unfinished / f"{name}.nii.gz"), useCompression=True)
    write_whole(unfinished / CLICKS_NAME, as_json([]))
    write_whole(unfinished / META_NAME, as_json(_meta(phantom)))
    unfinished.rename(folder)


def _meta(phantom: OrganMapPhantom) -> dict[str, Any]:
    """As ``training_set`` says, and that it is synthetic."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "synthetic": True,
        "units": {"suv": "SUVbw", "ct": "HU"},
        "modality": "PET",
        "tracer": phantom.tracer,
        "spacing_mm_xyz": list(phantom.emission.GetSpacing()),
        "size_xyz": list(phantom.emission.GetSize()),
        "organs_names": {str(value): name for value, name in sorted(phantom.organs.names.items())},
        "lesions": [
            {
                "lesion": lesion.label,
                "mask": "corrected",
                "decision": "accepted",
                "reason": "",
                "region": lesion.region.name,
            }
            for lesion in phantom.lesions
        ],
    }


def link_subset(pool: Path, cases: Sequence[str], folder: Path) -> None:
    """A training set of some studies MAN/STUDY of another, which are linked to; links are relative."""
    for case in cases:
        place = folder / case
        if not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(os.path.relpath(pool / case, place.parent), target_is_directory=True)
    write_whole(folder / SET_NAME, (pool / SET_NAME).read_bytes())


def as_json(value: Any) -> bytes:
    """The bytes of a JSON file."""
    return f"{json.dumps(value, indent=1, allow_nan=False)}\n".encode()


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
