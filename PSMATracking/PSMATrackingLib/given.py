"""A transform that comes from elsewhere: a file, or another program."""

from __future__ import annotations

from os import PathLike, fspath

import numpy as np
import SimpleITK as sitk

from .deformable import found_from_transform
from .points import map_points, steps_of
from .preparation import Prepared
from .progress import Progress
from .registration_method import Found, Hints

LARGEST_SCALE = 1.5  # no man grows or shrinks like that; a matrix beyond it is of another unit or of another purpose


class Given:
    """Takes the transform in ``hints.initial`` as it is."""

    name = "given"

    def available(self) -> str:
        """Always there."""
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """The transform itself where it can be kept, else the spline nearest to it.

        Raises
        ------
        ValueError
            Without a transform, or where it is not one of a man: two-dimensional, not finite, mirroring, or scaling
            by more than a half.
        """
        if hints.initial is None:
            raise ValueError("the method 'given' needs a transform: name its file, or choose another method")
        transform = hints.initial
        check_transform(transform, fixed)
        progress(0.2, "Taking over the transform")
        if transform.IsLinear():
            return Found(as_affine(transform))
        if is_kept_form(transform):
            steps = [as_affine(step) if step.IsLinear() else step for step in steps_of(transform)]
            return Found(sitk.CompositeTransform(steps[::-1]))
        return found_from_transform(transform, fixed)


def read_transform(path: str | PathLike[str]) -> sitk.Transform:
    """Read a transform file as ITK, SimpleITK, elastix' ITK output, ANTs or Slicer write it (.tfm, .txt, .h5, .mat).

    Such files map points of the fixed to the moving image in LPS mm, which is what is wanted here: the fixed image is
    the earlier study.

    Raises
    ------
    ValueError
        Where the file cannot be read or holds no transform of three-dimensional points.
    """
    try:
        transform = sitk.ReadTransform(fspath(path))
    except RuntimeError as error:
        raise ValueError(
            f"{fspath(path)} cannot be read as a transform; give a file as ITK or Slicer write it (.tfm, .txt, .h5)"
        ) from error
    if transform.GetDimension() != 3:
        raise ValueError(f"{fspath(path)} holds a transform in {transform.GetDimension()} dimensions; three are needed")
    return transform


def check_transform(transform: sitk.Transform, fixed: Prepared) -> None:
    """Refuse a transform that cannot be one between two studies of a man; raises ValueError."""
    if transform.GetDimension() != 3:
        raise ValueError(f"the transform given has {transform.GetDimension()} dimensions; three are needed")
    middle = fixed.middle_mm
    around = np.concatenate([middle[None], middle + 50.0 * np.eye(3), middle - 50.0 * np.eye(3)])
    try:
        mapped = map_points(transform, around)
    except RuntimeError as error:
        raise ValueError("the transform given cannot map points; write it again") from error
    if not np.isfinite(mapped).all():
        raise ValueError("the transform given maps points to values that are not finite numbers; write it again")
    slope = (mapped[1:4] - mapped[4:]).T / 100.0
    scales = np.linalg.svd(slope, compute_uv=False)
    if np.linalg.det(slope) <= 0:
        raise ValueError("the transform given mirrors the man or flattens him; check how it was exported (RAS or LPS)")
    if scales.max() > LARGEST_SCALE or scales.min() < 1.0 / LARGEST_SCALE:
        raise ValueError(
            f"the transform given scales by {scales.min():.2f} to {scales.max():.2f}; the same man at two visits has "
            "one size, so check that it is in millimetres and between these two studies"
        )


def as_affine(transform: sitk.Transform) -> sitk.AffineTransform:
    """Any linear transform as one that can be stored."""
    origin, *axes = map_points(transform, np.concatenate([np.zeros((1, 3)), np.eye(3)]))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((np.array(axes) - origin).T.ravel().tolist())
    affine.SetTranslation(origin.tolist())
    return affine


def is_kept_form(transform: sitk.Transform) -> bool:
    """Whether a transform is made of linear ones and cubic B-splines only, which a case can store."""
    return all(
        step.IsLinear() or (isinstance(step, sitk.BSplineTransform) and step.GetOrder() == 3)
        for step in steps_of(transform)
    )
