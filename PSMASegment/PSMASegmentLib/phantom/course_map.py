"""Points that are the same at every visit of a course, and the way from visit to visit as a transform."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .canvas import Point
from .organ_map_body import Block
from .organ_map_fit import Fit, Places
from .skeleton import bone_site, rib, vertebrae
from .tissues import Tissue

_MARGIN_MM = 60.0
_PAIRED = (
    "ilium",
    "iliac crest",
    "acetabulum",
    "ischium",
    "femur",
    "trochanter",
    "sacroiliac",
    "scapula",
    "clavicle",
    "humerus",
)
_RIBS = (3, 6, 9)
_ORGANS = {
    "liver": Tissue.LIVER,
    "spleen": Tissue.SPLEEN,
    "urinary bladder": Tissue.BLADDER,
    "lungs": Tissue.LUNG,
    "heart": Tissue.BLOOD,
    "prostate": Tissue.PROSTATE,
    "brain": Tissue.BRAIN,
}
_BONES = (Tissue.CORTEX, Tissue.MARROW)


def bones_in_view(fit: Fit, block: Block) -> dict[str, Point]:
    """Points in named bones (LPS mm) where the man shows bone: vertebrae, ribs at the side, pelvis, limbs, skull."""
    sites = {name: bone_site(name) for name in (*vertebrae(), "sacrum", "sternum", "skull")}
    for side, sign in (("right", -1.0), ("left", 1.0)):
        sites |= {f"{name} {side}": bone_site(f"{name} {side}") for name in _PAIRED}
        for number in _RIBS:
            points = rib(number, sign)
            sites[f"rib {number} {side}"] = points[len(points) // 2]
    found = {}
    for name, place in sites.items():
        point = fit.to_real(place)
        index = [round((p - axis[0]) / step) for p, axis, step in zip(point, block.axes, block.spacing, strict=True)]
        inside = all(0 <= i < len(axis) for i, axis in zip(index, block.axes, strict=True))
        if inside and int(block.tissue[index[2], index[1], index[0]]) in _BONES:
            found[name] = point
    return found


def organs_in_view(block: Block, slices: int) -> dict[str, Point]:
    """Middles (LPS mm) of organs that lie whole within the scan of so many slices; kidneys by side.

    They come from the organ map, and are not the same points of the organ at every visit: an organ changes its shape.
    """
    masks = {name: block.tissue == int(tissue) for name, tissue in _ORGANS.items()}
    kidneys = (block.tissue == int(Tissue.KIDNEY)) | (block.tissue == int(Tissue.KIDNEY_SINUS))
    if kidneys.any():
        middle = float(np.mean(kidneys.nonzero()[2]))
        is_left = (np.arange(kidneys.shape[2]) > middle)[None, None, :]
        masks |= {"left kidney": kidneys & is_left, "right kidney": kidneys & ~is_left}
    found = {}
    first = block.window[0].start
    for name, mask in masks.items():
        window = ndimage.find_objects(mask.astype(np.uint8))
        if not window:
            continue
        cut = first + window[0][0].start == 0 or first + window[0][0].stop == slices
        if not cut:
            z, y, x = (float(c) for c in ndimage.center_of_mass(mask[window[0]]))
            starts = [part.start for part in window[0]]
            found[name] = (
                float(block.axes[0][0] + block.spacing[0] * (x + starts[2])),
                float(block.axes[1][0] + block.spacing[1] * (y + starts[1])),
                float(block.axes[2][0] + block.spacing[2] * (z + starts[0])),
            )
    return found


def displacement(image: sitk.Image, to_other: Callable[[Places], Places], spacing_mm: float) -> sitk.Transform:
    """A map of points as a transform: a shift and, within 60 mm of the image, what goes beyond it on a regular grid."""
    low = np.asarray(image.GetOrigin()) - _MARGIN_MM
    span = (np.asarray(image.GetSize()) - 1) * np.asarray(image.GetSpacing()) + 2.0 * _MARGIN_MM
    count = np.ceil(span / spacing_mm).astype(int) + 1
    x, y, z = (low[k] + spacing_mm * np.arange(count[k]) for k in range(3))
    grid = np.stack(np.broadcast_arrays(x[None, None, :], y[None, :, None], z[:, None, None]), axis=-1)
    points = grid.reshape(-1, 3)
    there = to_other(points)
    shift = np.median(there - points, axis=0)
    field = sitk.GetImageFromArray((there - points - shift).reshape(grid.shape), isVector=True)
    field.SetOrigin(low.tolist())
    field.SetSpacing((spacing_mm,) * 3)
    return sitk.CompositeTransform(
        [sitk.TranslationTransform(3, shift.tolist()), sitk.DisplacementFieldTransform(field)]
    )
