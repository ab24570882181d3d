"""Images between SimpleITK and MONAI: a study handed to a bundle's own reading step, and its labels taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.grids import same_grid

if TYPE_CHECKING:
    from monai.data import ImageReader, MetaTensor

SUFFIX = ".image-in-memory"
"""Images are handed over by a name that ends so, never as files."""


def memory_reader(images: Mapping[str, sitk.Image]) -> ImageReader:
    """A reader of MONAI for images that are there, by their names; each name has to end with ``SUFFIX``.

    It gives what MONAI's own readers give for a file of such an image: axes x, y, z, an affine to RAS in mm, several
    images stacked as channels.
    """
    from monai.data import ImageReader

    class MemoryReader(ImageReader):
        def verify_suffix(self, filename: Sequence[Any] | Any) -> bool:
            return all(str(name).endswith(SUFFIX) for name in _several(filename))

        def read(self, data: Sequence[Any] | Any, **_: Any) -> list[sitk.Image]:
            return [images[str(name)] for name in _several(data)]

        def get_data(self, img: list[sitk.Image]) -> tuple[npt.NDArray[Any], dict[str, Any]]:
            arrays = [sitk.GetArrayFromImage(image).T for image in img]
            affine = affine_ras(img[0])
            meta = {
                "affine": affine,
                "original_affine": affine.copy(),
                "space": "RAS",
                "spatial_shape": np.asarray(arrays[0].shape),
                "original_channel_dim": 0 if len(arrays) > 1 else float("nan"),
            }
            return np.stack(arrays) if len(arrays) > 1 else arrays[0], meta

    return MemoryReader()


def affine_ras(image: sitk.Image) -> npt.NDArray[np.float64]:
    """The matrix (4 x 4) from indices x, y, z to RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.GetDirection()).reshape(3, 3) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1.0
    return affine


def image_of(values: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> sitk.Image:
    """An image (LPS) of an array x, y, z and its affine to RAS mm. Raises ValueError for a shear or a flat axis."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if not (spacing > 0).all():
        raise ValueError("The bundle gave labels on a grid without extent along one axis.")
    direction = lps[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        raise ValueError("The bundle gave labels on a sheared grid, which no image here can have.")
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def on_grid(values: MetaTensor, grid: sitk.Image) -> sitk.Image:
    """Labels or shares (uint8) of one channel on the grid of an image, by nearest neighbor where it is another."""
    array = values.detach().cpu().numpy()
    affine = np.asarray(values.affine, dtype=np.float64)
    image = image_of(array.reshape(array.shape[-3:]).round().astype(np.uint8), affine)
    if not same_grid(image, grid):
        return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    image.CopyInformation(grid)  # to the last digit
    return image


def _several(names: Sequence[Any] | Any) -> Sequence[Any]:
    return names if isinstance(names, (list, tuple)) else [names]
