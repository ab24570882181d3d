"""Organ maps of men that may be trained on, as the anatomy that crops are painted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.phantom.held_out import is_held_out, patient_of

_PLACES = 200  # of each organ, spread evenly

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class OrganMap:
    """Organ values (z, y, x; uint8) of the box that holds all organs with a rim of 0, and the voxel spacing in mm.

    ``places`` holds indices (n, 3) of some voxels of each organ, organ after organ.
    """

    patient: str
    values: npt.NDArray[np.uint8]
    spacing_zyx: tuple[float, float, float]
    places: tuple[npt.NDArray[np.int64], ...]


def maps_to_train_on(folder: Path) -> list[Path]:
    """Files ``KIND_PATIENT_DATE.nii.gz`` of a folder, those of held-out men left out, in the order of their names.

    Raises ValueError where none is left.
    """
    files = sorted(path for path in folder.glob("*.nii.gz") if not is_held_out(patient_of(path)))
    if not files:
        raise ValueError(f"{folder} holds no organ maps (KIND_PATIENT_DATE.nii.gz) of men that may be trained on.")
    return files


def maps_to_test_on(folder: Path) -> list[Path]:
    """Files of held-out men, in the order of their names. Raises ValueError where there are none."""
    files = sorted(path for path in folder.glob("*.nii.gz") if is_held_out(patient_of(path)))
    if not files:
        raise ValueError(f"{folder} holds no organ maps (KIND_PATIENT_DATE.nii.gz) of held-out men to test on.")
    return files


def spread(files: Sequence[Path], count: int) -> list[Path]:
    """So many of the files, spread evenly; all for a count of 0 or more than there are."""
    if not 0 < count < len(files):
        return list(files)
    return [files[number * len(files) // count] for number in range(count)]


def read_organ_maps(files: Sequence[Path], progress: Progress | None = None) -> list[OrganMap]:
    """Read organ maps. Raises ValueError for a file that cannot be read or holds no organ."""
    maps = []
    for number, path in enumerate(files):
        if progress is not None:
            progress(number / len(files), f"Reading organ map {path.name}")
        maps.append(_read(path))
    return maps


def _read(path: Path) -> OrganMap:
    try:
        image = sitk.ReadImage(str(path), sitk.sitkUInt8)
    except RuntimeError as error:
        raise ValueError(f"The organ map {path} cannot be read: {error}") from error
    values = sitk.GetArrayViewFromImage(image)
    box = []
    for axis in range(3):
        filled = np.flatnonzero(values.any(axis=tuple(other for other in range(3) if other != axis)))
        if not filled.size:
            raise ValueError(f"The organ map {path} holds no organ.")
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    organs = np.pad(values[tuple(box)], 1)
    places = []
    for value in np.unique(organs[organs > 0]):
        voxels = np.flatnonzero(organs == value)
        chosen = voxels[:: 1 + len(voxels) // _PLACES]
        places.append(np.stack(np.unravel_index(chosen, organs.shape), axis=1))
    x, y, z = image.GetSpacing()
    return OrganMap(patient_of(path), organs, (z, y, x), tuple(places))
