"""The lesion mask of a PET study as it arrives on a SPECT study: outlined and registered with errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

_CONTROL_MM, _SMOOTH_MM = 30.0, 60.0  # grid of the errors of a registration, and the distance over which they change


@dataclass(frozen=True)
class PriorErrors:
    """What is wrong with a registered lesion mask. All are working values.

    ``shift_mm`` and ``bend_mm`` are standard deviations along each axis of what the registration left over, as a whole
    and from place to place; ``edge_mm`` that of the outlines' distance from the true surface; ``missed`` the share of
    lesions that are not in the mask; ``extra`` the mean number of places in it that are no lesions.
    """

    shift_mm: float = 1.5
    bend_mm: float = 1.5
    edge_mm: float = 1.2
    missed: float = 0.08
    extra: float = 0.3


def registered_prior(
    truth: sitk.Image,
    physiological: sitk.Image,
    onto: sitk.Image,
    shift_mm: tuple[float, float, float],
    errors: PriorErrors,
    rng: np.random.Generator,
) -> sitk.Image:
    """The lesions of a PET study (labels of ``truth``) on the grid of ``onto``: uint8, 1 where the mask has a lesion.

    ``shift_mm`` takes points of the PET to the SPECT; ``physiological`` (0 and others, grid of ``truth``) is where
    places that are no lesions come from.
    """
    labels = sitk.GetArrayFromImage(truth)
    spacing = truth.GetSpacing()[::-1]
    mask = np.zeros(labels.shape, bool)
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        edge, dropped = float(rng.normal(0.0, errors.edge_mm)), rng.random() < errors.missed
        if not dropped:
            _outline(mask, labels, label, window, edge, spacing)
    _add_extra(mask, sitk.GetArrayViewFromImage(physiological) > 0, int(rng.poisson(errors.extra)), spacing, rng)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.CopyInformation(truth)
    off = np.asarray(shift_mm) + rng.normal(0.0, errors.shift_mm, 3)
    back = sitk.CompositeTransform([sitk.TranslationTransform(3, (-off).tolist()), _bend(onto, errors.bend_mm, rng)])
    return sitk.Resample(image, onto, back, sitk.sitkNearestNeighbor, 0.0, sitk.sitkUInt8)


def _bend(onto: sitk.Image, bend_mm: float, rng: np.random.Generator) -> sitk.Transform:
    """Smooth random displacements over the field of view of an image, with this standard deviation along each axis."""
    extent = [n * step for n, step in zip(onto.GetSize(), onto.GetSpacing(), strict=True)]
    size = [int(np.ceil(length / _CONTROL_MM)) + 3 for length in reversed(extent)]
    noise = rng.standard_normal((*size, 3))
    sigma = _SMOOTH_MM / _CONTROL_MM
    smooth = ndimage.gaussian_filter(noise, (sigma, sigma, sigma, 0.0), mode="wrap")
    field = sitk.GetImageFromArray(smooth * (bend_mm / smooth.std()), isVector=True)
    field.SetSpacing((_CONTROL_MM,) * 3)
    field.SetOrigin([float(o - _CONTROL_MM) for o in onto.GetOrigin()])
    return sitk.DisplacementFieldTransform(field)


def _outline(
    mask: NDArray[np.bool_],
    labels: NDArray[np.uint16],
    label: int,
    window: tuple[slice, ...],
    edge_mm: float,
    spacing: tuple[float, ...],
) -> None:
    """Add a lesion whose outline lies ``edge_mm`` outside of the true one; its innermost voxel stays."""
    margin = [int(np.ceil(max(edge_mm, 0.0) / step)) + 1 for step in spacing]
    wide = tuple(slice(max(w.start - m, 0), w.stop + m) for w, m in zip(window, margin, strict=True))
    own = labels[wide] == label
    depth = ndimage.distance_transform_edt(np.pad(own, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    if edge_mm > 0.0:
        mask[wide] |= ndimage.distance_transform_edt(~own, sampling=spacing) <= edge_mm
    else:
        mask[wide] |= own & (depth > min(-edge_mm, 0.99 * float(depth.max())))


def _add_extra(
    mask: NDArray[np.bool_],
    physiological: NDArray[np.bool_],
    count: int,
    spacing: tuple[float, ...],
    rng: np.random.Generator,
) -> None:
    """Add balls of 4 to 9 mm radius at places of physiological uptake."""
    places = np.flatnonzero(physiological)
    for _ in range(count if len(places) else 0):
        middle = np.unravel_index(int(places[rng.integers(len(places))]), physiological.shape)
        radius = float(rng.uniform(4.0, 9.0))
        parts, squares = [], []
        for at, n, step in zip(middle, mask.shape, spacing, strict=True):
            reach = int(np.ceil(radius / step))
            parts.append(slice(max(int(at) - reach, 0), min(int(at) + reach + 1, n)))
            squares.append((step * (np.arange(parts[-1].start, parts[-1].stop) - int(at))) ** 2)
        mask[tuple(parts)] |= squares[0][:, None, None] + squares[1][:, None] + squares[2] <= radius**2
