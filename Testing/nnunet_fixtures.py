"""Small models that nnunetv2 trained, with the labels it gave; ``Testing/Parity/make_fixtures.py`` makes them anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import SimpleITK as sitk

DATA = Path(__file__).resolve().parent / "Core" / "data" / "nnunet"
NAMES = ("plain", "residual")
FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


def model_folder(name: str) -> Path:
    """The folder of a model."""
    return DATA / name / FOLDER


def study_images(name: str) -> list[sitk.Image]:
    """Its images, in the order of its channels."""
    return [sitk.ReadImage(str(path)) for path in sorted((DATA / name).glob("case_*.nii.gz"))]


def expected_labels(name: str) -> sitk.Image:
    """What nnunetv2 made of them."""
    return sitk.ReadImage(str(DATA / name / "expected.nii.gz"))


def changed_copy(
    name: str, base: Path, file: str = "plans.json", change: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """A copy of a model's folder below `base`, with one of its JSON files changed."""
    folder = base / FOLDER
    shutil.copytree(model_folder(name), folder)
    if change is not None:
        values = json.loads((folder / file).read_text(encoding="utf-8"))
        change(values)
        (folder / file).write_text(json.dumps(values), encoding="utf-8")
    return folder
