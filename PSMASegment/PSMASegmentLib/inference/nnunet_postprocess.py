"""What nnU-Net found to improve labels of its own validation: keeping only the largest piece of a label.

``postprocessing.pkl`` is a pickle of functions. It is taken apart without running any of it: the one function that
nnU-Net writes there is recognized by its name, and anything else is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.inference.labels import Labels

FILE = "postprocessing.pkl"
_FUNCTION = "remove_all_but_largest_component_from_segmentation"
_MODULE = "nnunetv2.postprocessing.remove_connected_components"


@dataclass(frozen=True)
class KeepLargest:
    """Of all voxels with one of these labels, those outside the largest piece become ``background``."""

    labels: tuple[int, ...]
    background: int = 0


def find_postprocessing(folder: Path, folds: Sequence[str]) -> Path | None:
    """The file for these folds, in the model folder or in that of its cross-validation, or None."""
    places = [folder / FILE, folder / f"crossval_results_folds_{'_'.join(folds)}" / FILE]
    return next((path for path in places if path.exists()), None)


def read_postprocessing(path: Path) -> list[KeepLargest]:
    """The steps of a ``postprocessing.pkl``. Raises ValueError for a file that holds anything else."""
    try:
        with path.open("rb") as file:
            functions, settings = _Steps(file).load()
        return [_step(function, values) for function, values in zip(functions, settings, strict=True)]
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is not what nnU-Net writes and was not run ({error}). Remove it to go without postprocessing."
        ) from error


def keep_largest(labels: Labels, step: KeepLargest) -> Labels:
    """Labels (z, y, x) after a step; pieces hang together by faces, edges or corners, equally large ones stay."""
    mask = np.isin(labels, step.labels)
    pieces = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    numbers = sitk.GetArrayViewFromImage(pieces)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    if len(sizes) < 2:
        return labels
    keep = sizes == sizes.max()
    result = labels.copy()
    result[mask & ~keep[numbers]] = step.background
    return result


class _Steps(pickle.Unpickler):
    """Gives the name of nnU-Net's function in place of the function, and nothing but numbers besides."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (_MODULE, _FUNCTION):
            return _FUNCTION
        if name == "scalar" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.float64(0).__reduce__()[0]
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _step(function: Any, values: dict[str, Any]) -> KeepLargest:
    if function != _FUNCTION:
        raise ValueError("a step is no function of nnU-Net")
    chosen = values["labels_or_regions"]
    labels: list[int] = []
    for entry in chosen if isinstance(chosen, list) else [chosen]:
        labels += [int(label) for label in (entry if isinstance(entry, tuple) else (entry,))]
    return KeepLargest(tuple(labels), int(values.get("background_label", 0)))
