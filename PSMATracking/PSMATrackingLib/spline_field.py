"""Deformable transforms in one form: a linear transform and, applied before it, a cubic B-spline.

That form is small, exact for what the lattice method finds, read by ITK and Slicer and stored as text. Fields of other
methods are brought into it by :func:`from_displacement`; fields for the views are made from it by
:func:`displacement_field`.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .bspline import FloatArray, Spline, fit
from .points import extent_of, is_imaged, is_spline, map_points, steps_of
from .preparation import GRID_MM

SPLINE_SPACING_MM = 16.0
PADDING = 2  # control points beyond the samples: the field does not end where the image does
POINTS_AT_ONCE = 500_000


def compose(linear: sitk.Transform, spline: Spline) -> sitk.CompositeTransform:
    """The transform x -> linear(x + spline(x))."""
    return sitk.CompositeTransform([linear, spline.to_transform()])


def from_displacement(
    field: sitk.Image, spacing_mm: float = SPLINE_SPACING_MM, linear: sitk.Transform | None = None
) -> tuple[sitk.Transform, float]:
    """Approximate a displacement field by a linear transform and a cubic B-spline.

    Parameters
    ----------
    field : sitk.Image
        Vector image of three components: displacement in mm, LPS, from its voxel to the other study.
    spacing_mm : float
        Between control points; what the field does on a smaller scale is smoothed away.
    linear : sitk.Transform, optional
        The linear part where it is known; else the affine transform that fits the field best.

    Returns
    -------
    transform : sitk.Transform
        A sitk.CompositeTransform; valid two control points beyond the field.
    residual_mm : float
        The distance between field and transform that 95 % of the voxels keep.

    Raises
    ------
    ValueError
        For an image that is not a volume of three finite components, or a spacing that is not positive.
    """
    if field.GetDimension() != 3 or field.GetNumberOfComponentsPerPixel() != 3:
        raise ValueError("a displacement field is a volume with three values per voxel; this image is none")
    if not spacing_mm > 0:
        raise ValueError(f"the spacing of control points must be positive, not {spacing_mm}")
    displacement = sitk.GetArrayFromImage(field).astype(np.float64)
    if not np.isfinite(displacement).all():
        raise ValueError("the displacement field holds values that are not finite numbers")
    places = _voxel_places(field)
    targets = places + displacement
    main = linear if linear is not None else _affine_fit(places, targets)
    wanted = map_points(main.GetInverse(), targets.reshape(-1, 3)).reshape(targets.shape) - places

    size, spacing = np.array(field.GetSize()), np.array(field.GetSpacing())
    lattice_spacing = np.full(3, float(spacing_mm))
    counts = np.ceil((size - 1) * spacing / lattice_spacing).astype(int) + 2 + 2 * PADDING
    coefficients = fit(wanted, [1.0 * PADDING] * 3, (spacing / lattice_spacing)[::-1].tolist(), counts[::-1].tolist())
    direction = np.array(field.GetDirection()).reshape(3, 3)
    origin = np.array(field.GetOrigin()) - direction @ (PADDING * lattice_spacing)
    transform = compose(main, Spline(coefficients, origin, lattice_spacing, direction))
    residual = np.linalg.norm(map_points(transform, places.reshape(-1, 3)) - targets.reshape(-1, 3), axis=1)
    return transform, float(np.percentile(residual, 95))


def mapped_grid(transform: sitk.Transform, origin_mm: FloatArray, spacing_mm: float, size: list[int]) -> FloatArray:
    """Where a transform takes the places of a regular grid along the patient axes.

    Parameters
    ----------
    transform : sitk.Transform
    origin_mm : array, shape (3,)
        LPS position of the first place.
    spacing_mm : float
    size : list of int
        Places along x, y and z.

    Returns
    -------
    array, shape (z, y, x, 3), LPS mm.
    """
    axes = [origin_mm[k] + spacing_mm * np.arange(size[k]) for k in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    places = np.stack([x, y, z], axis=-1)
    steps = steps_of(transform)
    first = Spline.of(steps[0]) if is_spline(steps[0]) else None
    if first is not None and first.lies_along_patient_axes:
        places += first.on_axes(axes)
        steps = steps[1:]
    flat = places.reshape(-1, 3)
    for start in range(0, len(flat), POINTS_AT_ONCE):
        part = slice(start, start + POINTS_AT_ONCE)
        for step in steps:
            flat[part] = map_points(step, flat[part])
    return places


def grid_of(image: sitk.Image, transform: sitk.Transform) -> FloatArray:
    """Where a transform takes the voxels of an image along the patient axes with equal spacings; shape (z, y, x, 3)."""
    return mapped_grid(transform, np.array(image.GetOrigin()), image.GetSpacing()[0], list(image.GetSize()))


def jacobian(transform: sitk.Transform, grid: sitk.Image) -> FloatArray:
    """How many times larger a volume becomes at every voxel of a grid, from neighboring voxels; 0 or less: a fold.

    ``grid`` lies along the patient axes with equal spacings, as prepared images do. Shape (z, y, x).
    """
    return volume_factors(slopes(grid_of(grid, transform), grid.GetSpacing()[0]))


def volume_factors(matrices: FloatArray) -> FloatArray:
    """Determinants of matrices of shape (..., 3, 3)."""
    (a, b, c), (d, e, f), (g, h, i) = (tuple(matrices[..., j, k] for k in range(3)) for j in range(3))
    determinants: FloatArray = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return determinants


def slopes(places: FloatArray, spacing_mm: float) -> FloatArray:
    """Jacobian matrices of a map from where it takes a grid along the patient axes; shape (z, y, x, 3, 3)."""
    matrices = np.empty((*places.shape, 3))
    for k in range(3):
        matrices[..., k] = np.gradient(places, spacing_mm, axis=2 - k)
    return matrices


def displacement_field(transform: sitk.Transform, domain: sitk.Image, spacing_mm: float = 8.0) -> sitk.Image:
    """Sample a transform as a displacement field.

    Parameters
    ----------
    transform : sitk.Transform
    domain : sitk.Image
        Its extent is covered; only its geometry is used.
    spacing_mm : float
        Of the samples, along the patient axes.

    Returns
    -------
    sitk.Image
        Vector image of float32: T(x) - x at every voxel, mm, LPS.
    """
    low, high = extent_of(domain)
    size = (np.ceil((high - low) / spacing_mm - 1e-6).astype(int) + 1).tolist()
    places = mapped_grid(transform, low, spacing_mm, size)
    start = mapped_grid(sitk.Transform(3, sitk.sitkIdentity), low, spacing_mm, size)
    field = sitk.GetImageFromArray((places - start).astype(np.float32), isVector=True)
    field.SetOrigin(low.tolist())
    field.SetSpacing([spacing_mm] * 3)
    return field


def field_of_view(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """Where in the fixed study the moving study was imaged.

    Parameters
    ----------
    fixed, moving : sitk.Image
        Only their geometry is used.
    transform : sitk.Transform
        Maps points of the fixed to the moving study.

    Returns
    -------
    sitk.Image
        uint8 on a 4 mm grid along the patient axes over the fixed image: 1 where the mapped point lies in the moving
        image, else 0.
    """
    low, high = extent_of(fixed)
    size = (np.floor((high - low) / GRID_MM + 1e-3).astype(int) + 1).tolist()
    places = mapped_grid(transform, low, GRID_MM, size)
    inside = np.concatenate([is_imaged(moving, plane.reshape(-1, 3)).reshape(1, *plane.shape[:2]) for plane in places])
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.SetOrigin(low.tolist())
    mask.SetSpacing([GRID_MM] * 3)
    return mask


def _voxel_places(image: sitk.Image) -> FloatArray:
    """LPS positions of all voxels, shape (z, y, x, 3)."""
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    x, y, z = (np.arange(n) for n in image.GetSize())
    along = [np.multiply.outer(n, direction[:, k]) for k, n in enumerate((x, y, z))]
    places: FloatArray = along[2][:, None, None] + along[1][None, :, None] + along[0][None, None] + image.GetOrigin()
    return places


def _affine_fit(places: FloatArray, targets: FloatArray) -> sitk.AffineTransform:
    """The affine transform that takes places nearest to targets, both of shape (..., 3)."""
    stride = (slice(None, None, 3),) * 3
    x, y = places[stride].reshape(-1, 3), targets[stride].reshape(-1, 3)
    middle = x.mean(axis=0)
    solution, *_ = np.linalg.lstsq(np.column_stack([x - middle, np.ones(len(x))]), y, rcond=None)
    transform = sitk.AffineTransform(3)
    transform.SetCenter(middle.tolist())
    transform.SetMatrix(solution[:3].T.ravel().tolist())
    transform.SetTranslation((solution[3] - middle).tolist())
    return transform
