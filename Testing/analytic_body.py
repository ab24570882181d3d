"""A small synthetic body made of ellipsoids, with PSMA uptake, organ map, CT and lesions at known places.

Centers stand in mm from the point between the kidneys (LPS), close to the medians of real organ maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.organs import OrganMap
from scipy import ndimage

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Ellipsoid:
    center: Place
    half: Place
    suv: float


ORGANS: dict[str, Ellipsoid] = {
    "kidney_right": Ellipsoid((-78, 0, 0), (26, 24, 52), 35.0),
    "kidney_left": Ellipsoid((78, 0, 5), (26, 24, 52), 35.0),
    "liver": Ellipsoid((-78, -50, 85), (62, 65, 62), 5.5),
    "spleen": Ellipsoid((105, 20, 85), (22, 35, 40), 8.0),
    "urinary_bladder": Ellipsoid((0, -40, -235), (34, 30, 30), 30.0),
    "prostate": Ellipsoid((0, -20, -290), (18, 15, 16), 2.0),
    "parotid_right": Ellipsoid((-65, -60, 420), (13, 16, 22), 15.0),
    "parotid_left": Ellipsoid((65, -60, 420), (13, 16, 22), 15.0),
    "submandibular_right": Ellipsoid((-32, -80, 372), (11, 14, 12), 14.0),
    "submandibular_left": Ellipsoid((32, -80, 372), (11, 14, 12), 14.0),
    "small_bowel": Ellipsoid((35, -95, -35), (35, 18, 22), 8.0),
}
SPINE = Ellipsoid((0, 15, 0), (18, 18, 450), 0.0)


@dataclass(frozen=True)
class Body:
    """Emission (SUVbw), truth (uint16, lesion k is the k-th of the list), organ map and CT (HU), all on one grid."""

    emission: sitk.Image
    truth: sitk.Image
    organs: OrganMap
    ct: sitk.Image


def make_body(
    lesions: Sequence[Ellipsoid] = (),
    without: Sequence[str] = (),
    suv: Mapping[str, float] | None = None,
    z_range: tuple[float, float] = (-340.0, 500.0),
    spacing_mm: float = 6.0,
    direction: Sequence[float] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
    noise: float = 0.03,
) -> Body:
    """Paint the body; ``without`` leaves organs out of the organ map only, ``suv`` changes their uptake.

    The grid covers the body along the axes of ``direction``; uptake is blurred with 6 mm FWHM and given relative noise.
    """
    axes = np.asarray(direction, dtype=float).reshape(3, 3)
    low = np.array([-190.0, -130.0, z_range[0]])
    high = np.array([190.0, 100.0, z_range[1]])
    corners = np.array([[(low, high)[bit][axis] for axis, bit in enumerate(at)] for at in np.ndindex(2, 2, 2)]) @ axes
    size = np.ceil((corners.max(axis=0) - corners.min(axis=0)) / spacing_mm).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetDirection([float(v) for v in direction])
    grid.SetOrigin([float(v) for v in axes @ corners.min(axis=0)])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1)
    points = np.asarray(grid.GetOrigin()) + (index * spacing_mm) @ axes.T  # x, y, z, 3

    def inside(shape: Ellipsoid) -> np.ndarray:
        return ((((points - shape.center) / shape.half) ** 2).sum(axis=-1) <= 1.0).transpose(2, 1, 0)

    trunk = (((points[..., 0] / 180) ** 2 + ((points[..., 1] + 15) / 115) ** 2) <= 1).transpose(2, 1, 0)
    uptake = np.where(trunk, 0.5, 0.0)
    hounsfield = np.where(trunk, 40.0, -1000.0)
    hounsfield[inside(SPINE)] = 400.0
    labels = np.zeros(uptake.shape, dtype=np.uint8)
    truth = np.zeros(uptake.shape, dtype=np.uint16)
    names = {}
    for value, (name, organ) in enumerate(ORGANS.items(), start=1):
        uptake[inside(organ)] = (suv or {}).get(name, organ.suv)
        if name == "urinary_bladder":
            hounsfield[inside(organ)] = 5.0
        if name not in without:
            labels[inside(organ)] = value
            names[value] = name
    for number, lesion in enumerate(lesions, start=1):
        uptake[inside(lesion)] = lesion.suv
        truth[inside(lesion)] = number
    uptake = ndimage.gaussian_filter(uptake, 6.0 / 2.355 / spacing_mm)
    uptake *= 1.0 + noise * np.random.default_rng(11).standard_normal(uptake.shape)

    def image(values: np.ndarray) -> sitk.Image:
        made = sitk.GetImageFromArray(values)
        made.CopyInformation(grid)
        return made

    return Body(
        image(uptake.astype(np.float32)),
        image(truth),
        OrganMap(image(labels), names),
        image(hounsfield.astype(np.float32)),
    )
