"""What a click needs to know of a study, prepared once when it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.clicks.click import Index
from PSMASegmentLib.grids import require_same_grid, require_scalar_3d

_SAMPLES_PER_AXIS = 32


@dataclass(frozen=True, eq=False)
class ClickStudy:
    """Views on the images of one study; arrays are z, y, x and must not be written to.

    ``uptake`` is in SUVbw, ``level`` its mean over a sparse sample of the whole image, which tells air from tissue.
    ``physiology`` holds a value of ``physiology_names`` in every voxel taken for physiological, 0 elsewhere.
    """

    emission: sitk.Image
    uptake: npt.NDArray[Any]
    spacing_zyx: tuple[float, float, float]
    modality: str
    level: float
    physiology_image: sitk.Image | None
    physiology: npt.NDArray[Any] | None
    physiology_names: Mapping[int, str]
    ct: sitk.Image | None

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        z, y, x = self.spacing_zyx
        return z * y * x / 1000.0

    def holds(self, index_zyx: Index) -> bool:
        """Whether the index lies inside the emission image."""
        return all(0 <= i < n for i, n in zip(index_zyx, self.uptake.shape, strict=True))

    def organ_at(self, index_zyx: Index) -> str:
        """The physiological organ at a voxel, "" for none."""
        if self.physiology is None:
            return ""
        value = int(self.physiology[index_zyx])
        return self.physiology_names.get(value, "physiological uptake") if value else ""

    def hounsfield_at(self, index_zyx: Index) -> float | None:
        """CT in HU at the center of a voxel; None without CT there."""
        if self.ct is None:
            return None
        point = self.emission.TransformIndexToPhysicalPoint([int(i) for i in index_zyx[::-1]])
        index = self.ct.TransformPhysicalPointToIndex(point)
        if any(not 0 <= i < n for i, n in zip(index, self.ct.GetSize(), strict=True)):
            return None
        return float(self.ct.GetPixel(index))


def click_study(
    emission: sitk.Image,
    modality: str = "PET",
    physiology: sitk.Image | None = None,
    physiology_names: Mapping[int, str] | None = None,
    ct: sitk.Image | None = None,
) -> ClickStudy:
    """Prepare a study for clicks; costs some milliseconds whatever its size.

    ``emission`` is in SUVbw, ``modality`` "PET" or "SPECT". ``physiology`` (integers, on the grid of the emission)
    holds a value of ``physiology_names`` where uptake is physiological. ``ct`` (HU, any grid) serves messages only.

    Raises ValueError for images that are not 3-D volumes of one value, for a physiology that lies on another grid or
    holds fractions, and for another modality.
    """
    if modality not in ("PET", "SPECT"):
        raise ValueError(f'Clicks know studies of modality "PET" and "SPECT", not "{modality}".')
    require_scalar_3d(emission, "emission image")
    uptake = sitk.GetArrayViewFromImage(emission)
    organs = None
    if physiology is not None:
        require_same_grid(emission, physiology)
        organs = sitk.GetArrayViewFromImage(physiology)
        if not np.issubdtype(organs.dtype, np.integer):
            raise ValueError("The physiological uptake must be given as integers; cast it to uint8 first.")
    if ct is not None:
        require_scalar_3d(ct, "CT")
    x, y, z = emission.GetSpacing()
    return ClickStudy(
        emission=emission,
        uptake=uptake,
        spacing_zyx=(z, y, x),
        modality=modality,
        level=_sampled_mean(uptake),
        physiology_image=physiology,
        physiology=organs,
        physiology_names=dict(physiology_names or {}),
        ct=ct,
    )


def _sampled_mean(uptake: npt.NDArray[Any]) -> float:
    """Mean of the finite values of a sparse regular sample, 0 where there are none."""
    z, y, x = (slice(None, None, max(1, n // _SAMPLES_PER_AXIS)) for n in uptake.shape)
    sample = np.asarray(uptake[z, y, x], dtype=np.float64)
    finite = sample[np.isfinite(sample)]
    return float(finite.mean()) if finite.size else 0.0
