"""Voxel grids of SimpleITK images: are two the same, and what do they look like in a message."""

from __future__ import annotations

import SimpleITK as sitk

# Header round trips (DICOM decimal strings, NIfTI float32) change geometry by less than this share of a voxel.
_TOLERANCE_VOXELS = 0.01


def same_grid(first: sitk.Image, second: sitk.Image) -> bool:
    """True where every voxel center of both images lies at the same place, to a hundredth of a voxel."""
    if first.GetDimension() != second.GetDimension() or first.GetSize() != second.GetSize():
        return False
    tolerance_mm = _TOLERANCE_VOXELS * min(first.GetSpacing())
    last = [size - 1 for size in first.GetSize()]
    corners = [[0] * len(last), *([last[a] if a == axis else 0 for a in range(len(last))] for axis in range(len(last)))]
    # Three edges from one corner fix the whole affine grid.
    for corner in corners:
        here = first.TransformIndexToPhysicalPoint(corner)
        there = second.TransformIndexToPhysicalPoint(corner)
        if any(abs(a - b) > tolerance_mm for a, b in zip(here, there, strict=True)):
            return False
    return True


def describe_grid(image: sitk.Image) -> str:
    """One line for a message: size x, y, z in voxels, spacing and origin in mm (LPS), direction cosines."""
    size = " x ".join(str(n) for n in image.GetSize())
    spacing = " x ".join(f"{s:.4g}" for s in image.GetSpacing())
    origin = ", ".join(f"{o:.5g}" for o in image.GetOrigin())
    direction = ", ".join(f"{d:.3g}" for d in image.GetDirection())
    return f"{size} voxels of {spacing} mm, origin ({origin}), direction ({direction})"


def sampled(image: sitk.Image, about_mm: float) -> sitk.Image:
    """Every n-th voxel along each axis, so that the spacing is about as wide as asked for or stays as it is."""
    step = [max(1, round(about_mm / spacing)) for spacing in image.GetSpacing()]
    return image[:: step[0], :: step[1], :: step[2]]


def require_scalar_3d(image: sitk.Image, what: str) -> None:
    """Raise ValueError unless the image has three dimensions, one value per voxel and at least one voxel."""
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f"The {what} has {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} values per "
            "voxel; a volume of three dimensions with one value per voxel is needed. Pick one time point or channel."
        )
    if 0 in image.GetSize():
        raise ValueError(f"The {what} has no voxels ({describe_grid(image)}). Read the series again.")


def require_same_grid(emission: sitk.Image, labels: sitk.Image) -> None:
    """Raise ValueError, naming both grids, unless the labels lie on the grid of the emission image."""
    if not same_grid(emission, labels):
        raise ValueError(
            "The labels do not lie on the grid of the emission image. "
            f"Emission: {describe_grid(emission)}. Labels: {describe_grid(labels)}. "
            "Resample the labels (nearest neighbor) onto the emission image first."
        )
