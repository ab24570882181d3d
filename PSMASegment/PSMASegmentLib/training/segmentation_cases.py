"""Crops of corrected cases, for a network that goes on learning from what readers changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.training.segmentation_config import NO_CT_HU, SegmentationConfig
from PSMASegmentLib.training.study_crops import StudyCrop

_SET, _META, _FORMAT, _VERSION = "set.json", "meta.json", "psma-training-set", 1
_AT_A_TIME, _ROUNDS = 8, 50
"""Cases are used so many at a time, for so many rounds, since they take memory and time to read."""
_BY_LESION, _BY_UPTAKE = 0.6, 0.85
_HOT_SUV, _BODY_SUV = 3.0, 0.1
_AIR_HU = -1000.0
_ASIDE = 0.3  # of the side of a crop: how far from its middle lies what it was chosen for
_HALF = 0.499  # what is half but for rounding too, on either side of a lesion
_SCALE = (0.9, 1.1)  # of the uptake: a working value
_SEED = 1_000_007


@dataclass(frozen=True, eq=False)
class Case:
    """A study on cubic voxels (z, y, x; axes to the left, back and head); ``places`` are voxels to cut crops around.

    ``places`` holds voxels (n, 3) of each lesion, and then of warm places that are none, and of the body. ``beyond_hu``
    is what the CT shows where there is nothing.
    """

    emission: npt.NDArray[np.float32]
    ct: npt.NDArray[np.float32]
    lesions: npt.NDArray[np.uint16]
    places: tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.int64], npt.NDArray[np.int64]]
    beyond_hu: float
    modality: str
    tracer: str


def case_folders(folder: Path, modalities: tuple[str, ...]) -> list[Path]:
    """Studies of these modalities in a training set of ``psma training-set``, by name.

    Raises ValueError where the folder is none, or holds no such study.
    """
    said = _json(folder / _SET)
    if (said.get("format"), said.get("version")) != (_FORMAT, _VERSION):
        raise ValueError(f"{folder} is no training set of version {_VERSION}. Make one with psma training-set.")
    found = [path.parent for path in sorted(folder.glob(f"man-*/study-*/{_META}"))]
    found = [path for path in found if _json(path / _META).get("modality") in modalities]
    if not found:
        raise ValueError(f"The training set {folder} holds no study of {' or '.join(modalities)}.")
    return found


@lru_cache(maxsize=_AT_A_TIME)
def read_case(folder: Path, spacing_mm: float) -> Case:
    """A study of a training set on cubic voxels. Raises ValueError where a file is missing or cannot be read."""
    meta = _json(folder / _META)
    emission = _image(folder / "suv.nii.gz", sitk.sitkFloat32)
    grid = _cubes(emission, spacing_mm)
    ct_file = folder / "ct.nii.gz"
    beyond_hu = _AIR_HU if ct_file.exists() else NO_CT_HU
    uptake = np.maximum(_on(grid, emission, sitk.sitkBSpline, 0.0), 0.0)
    lesions = _lesions_on(grid, _image(folder / "corrected.nii.gz", sitk.sitkUInt16))
    ct = np.full(uptake.shape, beyond_hu, np.float32)
    if ct_file.exists():
        ct = _on(grid, _image(ct_file, sitk.sitkFloat32), sitk.sitkLinear, _AIR_HU)
    marked = [np.argwhere(lesions == value) for value in range(1, int(lesions.max()) + 1)]
    warm = np.argwhere((uptake >= _HOT_SUV) & (lesions == 0))
    body = np.argwhere(uptake >= _BODY_SUV)
    places = (marked, warm, body)
    return Case(uptake, ct, lesions, places, beyond_hu, str(meta["modality"]), str(meta.get("tracer", "")))


class CaseCrops:
    """Crops of cases; equal arguments give equal crops of a round, whatever was asked before."""

    def __init__(self, config: SegmentationConfig) -> None:
        """Raises ValueError as ``case_folders``."""
        assert config.cases is not None
        self._config = config
        self._folders = case_folders(config.cases, config.modalities)

    def crop(self, number: int, place: int) -> StudyCrop:
        """The crop of a round at a place of its batch. Raises ValueError for a damaged case."""
        config = self._config
        chosen = np.random.default_rng([config.seed, number // _ROUNDS, _SEED])
        folders = chosen.permutation(len(self._folders))[:_AT_A_TIME]
        rng = np.random.default_rng([config.seed, number, place, _SEED])
        case = read_case(self._folders[int(rng.choice(folders))], config.spacing_mm)
        return _cut(rng, case, config)


def _cut(rng: np.random.Generator, case: Case, config: SegmentationConfig) -> StudyCrop:
    side = config.voxels
    middle = _aim(rng, case) + rng.uniform(-_ASIDE, _ASIDE, 3) * side
    low = np.rint(middle - 0.5 * side).astype(int)
    uptake = _window(case.emission, low, side, 0.0) * np.float32(rng.uniform(*_SCALE))
    ct = _window(case.ct, low, side, case.beyond_hu)
    lesions = _window(case.lesions, low, side, 0)
    if rng.random() < 0.5:
        uptake, ct, lesions = (np.ascontiguousarray(values[:, :, ::-1]) for values in (uptake, ct, lesions))
    numbered, _ = ndimage.label(lesions > 0, np.ones((3, 3, 3)))
    nothing = np.zeros(lesions.shape, np.uint8)
    return StudyCrop(
        uptake,
        ct,
        numbered.astype(np.uint16),
        nothing.astype(bool),
        nothing,
        None,
        case.modality,
        case.tracer,
        config.spacing_mm,
    )


def _aim(rng: np.random.Generator, case: Case) -> npt.NDArray[np.int64]:
    """A voxel of a lesion (each as likely, large or small), of warm uptake that is none, or of the body."""
    lesions, warm, body = case.places
    kind = rng.random()
    if lesions and kind < _BY_LESION:
        voxels = lesions[int(rng.integers(len(lesions)))]
    elif len(warm) and kind < _BY_UPTAKE:
        voxels = warm
    else:
        voxels = body if len(body) else np.array([case.emission.shape]) // 2
    voxel: npt.NDArray[np.int64] = voxels[int(rng.integers(len(voxels)))]
    return voxel


def _window(values: npt.NDArray[Any], low: npt.NDArray[np.int64], side: int, outside: float) -> npt.NDArray[Any]:
    """A cube of an array; ``outside`` where it reaches beyond."""
    cube = np.full((side,) * 3, outside, values.dtype)
    here, there = [], []
    for first, size in zip(low.tolist(), values.shape, strict=True):
        start, stop = max(first, 0), min(first + side, size)
        there.append(slice(start, max(stop, start)))
        here.append(slice(start - first, max(stop, start) - first))
    cube[tuple(here)] = values[tuple(there)]
    return cube


def _cubes(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """A grid of cubic voxels over the field of view of an image, its axes to the left, back and head."""
    turned = sitk.DICOMOrient(image, "LPS")
    spacing = turned.GetSpacing()
    count = [max(1, round(n * s / spacing_mm)) for n, s in zip(turned.GetSize(), spacing, strict=True)]
    grid = sitk.Image(count, sitk.sitkUInt8)
    grid.SetSpacing((spacing_mm,) * 3)
    grid.SetDirection(turned.GetDirection())
    grid.SetOrigin(turned.TransformContinuousIndexToPhysicalPoint([0.5 * (spacing_mm / s - 1.0) for s in spacing]))
    return grid


def _on(grid: sitk.Image, image: sitk.Image, how: int, outside: float) -> npt.NDArray[Any]:
    return sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), how, outside))


def _lesions_on(grid: sitk.Image, labels: sitk.Image) -> npt.NDArray[np.uint16]:
    """Lesions by number, those that touch as one: voxels that half or more of is lesion, of a small one its fullest."""
    share = _on(grid, sitk.Cast(labels != 0, sitk.sitkFloat32), sitk.sitkLinear, 0.0)
    parts, count = ndimage.label(share > 0.0, np.ones((3, 3, 3)))
    fullest = np.zeros(count + 1, np.float32)
    fullest[1:] = ndimage.maximum(share, parts, np.arange(1, count + 1))
    found, _ = ndimage.label((parts > 0) & (share >= np.minimum(fullest[parts], _HALF)), np.ones((3, 3, 3)))
    return np.asarray(found, dtype=np.uint16)


def _image(path: Path, kind: int) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path), kind)
    except RuntimeError as error:
        raise ValueError(f"{path} of the training set cannot be read. Export the case again.") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}): it belongs to a training set.") from error
    if not isinstance(said, dict):
        raise ValueError(f"{path} holds no description of a training set.")
    return said
