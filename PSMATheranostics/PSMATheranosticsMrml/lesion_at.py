"""Which lesion of a study a click into a view meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vtk

from .case_scene import LESIONS, PET, CaseScene
from .projection_line import hottestVoxel, voxelsAlong
from .segment_layers import layersOf
from .segments import lesionOfValue

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Ras = tuple[float, float, float]


def lesionAt(scene: CaseScene, studyId: int, ras: Ras) -> int | None:
    """The lesion at a point (RAS mm) of a loaded study, or beside it by a voxel: small ones are hard to hit."""
    import numpy as np

    pet = scene.node(studyId, PET)
    if pet is None:
        return None
    toIjk = vtk.vtkMatrix4x4()
    pet.GetRASToIJKMatrix(toIjk)
    center = np.asarray(toIjk.MultiplyPoint((*ras, 1.0))[:3])[::-1]
    around = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    indices = np.rint(center).astype(np.intp) + around
    nearest = np.argsort(((indices - center) ** 2).sum(axis=1), kind="stable")
    found = _lesionsOf(scene, studyId, indices[nearest])
    return int(found[found > 0][0]) if (found > 0).any() else None


def lesionAlong(scene: CaseScene, studyId: int, ras: Ras, direction: Ras) -> tuple[int | None, Ras | None]:
    """What a click on a projection means: the lesion with the hottest voxel on the line, and that voxel (RAS mm).

    Without a lesion there the hottest voxel of the line; None where the line misses the image.
    """
    pet = scene.node(studyId, PET)
    if pet is None:
        return None, None
    indices = voxelsAlong(pet, ras, direction)
    lesions = _lesionsOf(scene, studyId, indices)
    hottest = hottestVoxel(pet, indices[lesions > 0] if (lesions > 0).any() else indices)
    if hottest is None or not (lesions > 0).any():
        return None, hottest
    return lesionAt(scene, studyId, hottest), hottest


def _lesionsOf(scene: CaseScene, studyId: int, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The number of the lesion at each voxel (z, y, x), 0 for none; shape (n, 3) in, (n,) out."""
    import numpy as np

    lesions = np.zeros(len(indices), np.intp)
    node = scene.node(studyId, LESIONS)
    for layer in layersOf(node) if node is not None else []:
        values, box = layer.array(), layer.box
        local = indices - [part.start for part in box]
        inside = np.all((local >= 0) & (local < values.shape), axis=1)
        lesions[inside] = np.maximum(lesions[inside], lesionOfValue(layer)[values[tuple(local[inside].T)]])
    return lesions
