"""A trunk of simple shapes on CT and PET, in any pose and under any deformation: the truth of a registration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

SPACING_MM = 5.0
LOW, HIGH = np.array([-220.0, -150.0, 0.0]), np.array([220.0, 170.0, 700.0])

Array = np.ndarray
Map = Callable[[Array], Array]


def inside(p: Array, center: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    return sum(((p[..., k] - center[k]) / radii[k]) ** 2 for k in range(3)) <= 1.0


def body_hu(p: Array) -> Array:
    """CT numbers of a trunk of simple shapes at LPS points in mm; z = 0 at the thighs, 700 at the chin."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    hu = np.full(p.shape[:-1], -1000.0)
    girth = 1.0 + 0.12 * np.cos((z - 500.0) / 120.0)
    radius = np.hypot(x / (170.0 * girth), y / (110.0 * girth))
    trunk = (z > 20) & (z < 690)
    hu[trunk & (radius < 1.0)] = -90.0
    hu[trunk & (radius < 0.88)] = 45.0
    for side in (-1, 1):
        hu[inside(p, (side * 75.0, -5.0, 560.0), (55.0, 75.0, 110.0))] = -820.0
        hu[inside(p, (side * 60.0, 45.0, 330.0), (25.0, 22.0, 50.0))] = 130.0
        hu[inside(p, (side * 85.0, 20.0, 130.0), (40.0, 15.0, 55.0))] = 450.0
        hu[inside(p, (side * 95.0, 0.0, 30.0), (22.0, 22.0, 70.0))] = 400.0
    hu[inside(p, (-75.0, -10.0, 410.0), (80.0, 70.0, 65.0))] = 110.0
    hu[inside(p, (0.0, -50.0, 110.0), (40.0, 35.0, 35.0))] = 5.0
    spine = (np.hypot(x, y - 70.0) < 20.0) & trunk
    hu[spine] = (250.0 + 120.0 * np.cos(z / 30.0 * 2 * np.pi))[spine]
    hu[(np.abs(y - 140.0) < 6.0) & (np.abs(x) < 200.0)] = -150.0  # the table
    return hu


def uptake(p: Array, seed: int) -> Array:
    """A PET of the same body with noise: warm tissue, hot kidneys, liver and bladder, no table."""
    hu = body_hu(p)
    suv = np.where(hu > -950, 0.5, 0.02)
    suv[(hu < -700) & (hu > -950)] = 0.3
    suv[(hu == -150.0)] = 0.02
    suv[hu == 110.0] = 5.0
    suv[hu == 130.0] = 30.0
    suv[hu == 5.0] = 20.0
    suv = ndimage.gaussian_filter(suv, 1.0)
    return suv * np.random.default_rng(seed).lognormal(0.0, 0.15, suv.shape)


def image_of(
    function: Callable[..., Array],
    pose: sitk.Transform,
    low: Array,
    high: Array,
    *arguments: int,
    bent: Map | None = None,
) -> sitk.Image:
    """The body as it lies after ``pose`` (anatomy to scanner, LPS mm), on a grid from low to high.

    ``bent`` takes points of the posture in this study back to the anatomy, before the pose moves and turns them.
    """
    size = np.round((high - low) / SPACING_MM).astype(int)
    axes = [low[k] + SPACING_MM * np.arange(size[k]) for k in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    back = pose.GetInverse()
    origin = np.array(back.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.stack([np.array(back.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()])
    anatomy = points @ matrix + origin
    if bent is not None:
        anatomy = bent(anatomy)
    image = sitk.GetImageFromArray(function(anatomy, *arguments).astype(np.float32))
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin(low.tolist())
    return image


def pose(angles_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> sitk.Euler3DTransform:
    transform = sitk.Euler3DTransform((0.0, 0.0, 350.0))
    transform.SetRotation(*np.radians(angles_deg).tolist())
    transform.SetTranslation(shift_mm)
    return transform


LANDMARKS_MM = [(0, 70, 100), (0, 70, 600), (85, 20, 130), (-85, 20, 130), (60, 45, 330), (-75, -10, 410), (100, 0, 30)]


def worst_mm(found: sitk.Transform, truth: sitk.Transform) -> float:
    return max(
        float(np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p)))) for p in LANDMARKS_MM
    )


def bent_and_breathing(points: Array) -> Array:
    """Anatomy of points of a man bowed sideways by 18 mm who breathed in by 15 mm: smooth and without folds."""
    bowed = points.copy()
    bowed[..., 0] -= 18.0 * np.sin(np.pi * np.clip(points[..., 2] / 700.0, 0.0, 1.0))
    depth = np.exp(-(((points[..., 2] - 420.0) / 90.0) ** 2)) * np.clip((60.0 - points[..., 1]) / 120.0, 0.0, 1.0)
    bowed[..., 2] += 15.0 * depth
    return bowed


def to_posture(anatomy: Array, bent: Map) -> Array:
    """Where points of the anatomy, shape (n, 3), lie in the posture that ``bent`` leads back from."""
    posture = anatomy.copy()
    for _ in range(100):
        posture += anatomy - bent(posture)
    assert np.abs(bent(posture) - anatomy).max() < 1e-3
    return posture
