"""From the displacement field that a method found to the one form in which deformable results are kept."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .points import FloatArray, map_points
from .preparation import Prepared
from .registration_method import Found
from .spline_field import from_displacement

FIELD_MM = 8.0  # at which deformable transforms are sampled
SMALLEST_JACOBIAN = 0.05  # of a field that counts as free of folds: no tissue shrinks to less than a twentieth
FIRST_SMOOTHING_MM = 6.0
SMOOTHINGS = 4  # each twice as strong as the one before
TELL_RESIDUAL_MM = 1.0  # a spline that misses the field by more is worth a word


def found_from_field(field: sitk.Image, linear: sitk.Transform | None) -> Found:
    """The result of a method from its displacement field, without folds.

    Where the field folds, its deviation from the linear part is smoothed until it does not, and a note says so.

    Parameters
    ----------
    field : sitk.Image
        Vector image of three components: displacement in mm, LPS, from each voxel to the moving study.
    linear : sitk.Transform or None
        The linear part where it is known.

    Returns
    -------
    Found

    Raises
    ------
    ValueError
        Where the field still folds after the strongest smoothing: no body moves like that.
    """
    notes: list[str] = []
    main = linear
    for attempt in range(SMOOTHINGS + 1):
        transform, residual_mm = from_displacement(field, linear=main)
        if main is None:
            main = sitk.CompositeTransform(transform).GetNthTransform(0)
        if smallest_jacobian(displacement_of(transform, field)) >= SMALLEST_JACOBIAN:
            break
        if attempt == SMOOTHINGS:
            raise ValueError(
                "the deformation turns tissue inside out or ends within the earlier study, so it is none of a body; "
                "choose method 'rigid', or give landmarks or another transform"
            )
        field = _smoothed(field, main, FIRST_SMOOTHING_MM * 2.0**attempt)
    if attempt:
        notes.append("The deformation found had folds and was smoothed until it had none.")
    if residual_mm > TELL_RESIDUAL_MM:
        notes.append(f"The deformation is kept as a spline that is up to {residual_mm:.1f} mm from what was found.")
    return Found(transform, notes=notes)


def found_before(start: sitk.Transform, deformation: sitk.Image, fixed: Prepared) -> Found:
    """The result x -> start(x + deformation(x)) in the form that is kept; ``deformation`` is a field in mm, LPS."""
    grid = field_grid(fixed)
    places = grid_points(grid)
    moved = map_points(start, places + field_at(deformation, places)) - places
    return found_from_field(field_image(moved, grid), start if start.IsLinear() else None)


def found_from_transform(transform: sitk.Transform, fixed: Prepared) -> Found:
    """The result for a deformable transform of any kind in the form that is kept."""
    return found_from_field(displacement_of(transform, field_grid(fixed)), None)


def displacement_of(transform: sitk.Transform, grid: sitk.Image) -> sitk.Image:
    """Displacement of any transform at the voxels of a grid; vector image, mm, LPS."""
    return sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, grid.GetSize(), grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection()
    )


def field_grid(fixed: Prepared) -> sitk.Image:
    """The grid on which deformable transforms are sampled: the field of view of the earlier study at 8 mm."""
    shrink = [max(1, round(FIELD_MM / s)) for s in fixed.values.GetSpacing()]
    return sitk.Shrink(fixed.values, [min(k, n) for k, n in zip(shrink, fixed.values.GetSize(), strict=True)])


def grid_points(grid: sitk.Image) -> FloatArray:
    """Voxel centers of a grid along the patient axes, x running fastest; shape (n, 3), LPS mm."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in reversed(grid.GetSize())), indexing="ij")
    indices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    points: FloatArray = indices * np.array(grid.GetSpacing()) + np.array(grid.GetOrigin())
    return points


def field_at(field: sitk.Image, points_mm: FloatArray) -> FloatArray:
    """A field (grid along the patient axes) at points of shape (n, 3); beyond the border as at the border."""
    indices = ((points_mm - np.array(field.GetOrigin())) / np.array(field.GetSpacing())).T[::-1]
    values = sitk.GetArrayViewFromImage(field)
    return np.stack(
        [ndimage.map_coordinates(values[..., k], indices, order=1, mode="nearest") for k in range(3)], axis=1
    )


def field_image(moves_mm: FloatArray, grid: sitk.Image) -> sitk.Image:
    """Displacements of shape (n, 3) in the order of :func:`grid_points` as a vector image."""
    field = sitk.GetImageFromArray(moves_mm.reshape(*reversed(grid.GetSize()), 3), isVector=True)
    field.CopyInformation(grid)
    return field


def smallest_jacobian(field: sitk.Image) -> float:
    """Lowest Jacobian determinant of x -> x + field(x) between neighboring voxels; 0 or less where it folds."""
    return float(sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field)).min())


def _smoothed(field: sitk.Image, linear: sitk.Transform, sigma_mm: float) -> sitk.Image:
    """A field whose deviation from a linear transform is smoothed."""
    main = displacement_of(linear, field)
    rest = sitk.SmoothingRecursiveGaussian(sitk.Subtract(field, main), sigma_mm)
    return sitk.Add(main, sitk.Cast(rest, main.GetPixelID()))
