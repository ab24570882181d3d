"""qPSMA's rule: one threshold in bone, another, made of the liver's uptake, in soft tissue.

The threshold in bone, an SUV of 3 inside a bone mask made of the CT, was read in Gafita 2019, J Nucl Med 60:1277. The
formula of the one in soft tissue, 4.30 / mean x (mean + SD) over a sphere in the liver, was not: it is written here
from second hand (``FORMULA_VERIFIED``), and every result says so. It is 4.30 x (1 + SD / mean), hence about 5 whatever
the liver's uptake.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.coarse import Coarse
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.physiology import find_bone
from PSMASegmentLib.relative_threshold import ReferenceUptake
from PSMASegmentLib.segmentation import Images

LIVER_FACTOR = 4.30
FORMULA_VERIFIED = False
NOT_VERIFIED = (
    "The threshold in soft tissue follows a formula that was not checked against its publication: 4.30 / mean x "
    "(mean + SD) of the reference organ."
)
# Names of bones in organ maps, TotalSegmentator's among them. Cartilage and discs are none.
_BONES = re.compile(
    r"\b(bones?|skeleton|vertebrae?|spine|sacrum|ribs?|sternum|skull|mandible|humerus|femur|scapula|clavicula|clavicle"
    r"|hips?|pelvis bone|ilium|ischium|pubis|tibia|fibula|patella|ulna|radius)\b"
)


def soft_tissue_threshold(reference: ReferenceUptake) -> float:
    """SUVbw that soft tissue must reach, by the uptake of the reference organ."""
    if reference.suv_sd is None:
        raise ValueError(
            f"qPSMA needs the standard deviation of the uptake of the {reference.organ}. Enter it with the mean."
        )
    return LIVER_FACTOR / reference.suv_mean * (reference.suv_mean + reference.suv_sd)


def bone_mask(images: Images, hounsfield: Coarse | None) -> tuple[npt.NDArray[np.bool_], str]:
    """Voxels (z, y, x) of bone on the grid of the emission image, and where they come from: organ map, CT or both.

    ``hounsfield`` is that of ``physiology.hounsfield_of``. In a CT, bone is the largest connected region of at least
    200 HU after smoothing to 5 mm, with marrow and gaps up to 10 mm filled in: a choice of this project, as is that
    both sources count where both are there. Raises ValueError without CT and without bones in the organ map, and where
    neither shows any bone.
    """
    emission = images.emission
    mask = np.zeros(emission.GetSize()[::-1], dtype=bool)
    sources = []
    if images.organs is not None and (values := bones_named(images.organs)):
        sources.append("organ map")
        mask |= _of_map(images.organs, values, emission)
    if hounsfield is not None:
        sources.append("CT")
        mask |= find_bone(hounsfield, emission)[1]
    if not sources:
        raise ValueError(
            "The rule set qpsma needs to know where bone is: give the CT of the study, or an organ map with bones."
        )
    if not mask.any():
        raise ValueError(
            f"No bone was found by {' and '.join(sources)} within the emission image. Check that they belong to this "
            "study, or use another rule set."
        )
    return mask, " and ".join(sources)


def bones_named(organs: OrganMap) -> list[int]:
    """The values of an organ map that stand for bone."""
    words = {value: re.sub(r"[^a-z]+", " ", name.lower()) for value, name in organs.names.items() if value > 0}
    return [value for value, name in words.items() if _BONES.search(name)]


def _of_map(organs: OrganMap, values: list[int], emission: sitk.Image) -> npt.NDArray[np.bool_]:
    bones = sitk.GetImageFromArray(np.isin(sitk.GetArrayViewFromImage(organs.labels), values).astype(np.uint8))
    bones.CopyInformation(organs.labels)
    on_grid = sitk.Resample(bones, emission, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    mask: npt.NDArray[np.bool_] = sitk.GetArrayViewFromImage(on_grid) > 0
    return mask
