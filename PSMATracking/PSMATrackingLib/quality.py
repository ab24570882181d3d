"""Whether a registration can be relied on: numbers, a verdict and its reasons in plain words."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .points import BoolArray, FloatArray, continuous_indices, linear_part, map_points, map_points_back
from .preparation import CT_WINDOW_HU, GRID_MM, Prepared
from .spline_field import grid_of, slopes, volume_factors

# Similarity below which an alignment is poor, and from which on it is good. Measured on synthetic men (CT and PET) and
# on CT-like images made from organ maps of real men, never on CT of real men. Visits of one man: 0.77 to 0.96 (CT of
# synthetic men), 0.73 to 0.93 (their PET), 0.56 to 0.86 with median 0.79 (organ maps). Visits of different men: up to
# 0.62, 0.74 and 0.68, with medians of 0.48, 0.62 and 0.50.
SIMILARITY_LIMITS = {"CT": (0.6, 0.72), "PET": (0.65, 0.75)}
# A deformable fit makes even different men alike, so what it started from and how much it had to change lengths are
# judged too. Whole-body CT of synthetic men, lattice method: visits of one man, bent and breathing ones included, had
# a correlation of 0.72 to 0.81 before it and a strain of 0.05 to 0.06; different men 0.39 and 0.60, 0.23 and 0.12.
# CT-like images from organ maps of real men, which lack bones: visits of one man 0.58 to 0.76 and 0.16 to 0.21,
# different men 0.41 to 0.61 and 0.26 to 0.42. PET of synthetic men: visits of one man 0.79 and 0.86, 0.08 and 0.10;
# different men 0.54 and 0.72, 0.19 and 0.14. CT painted on organ maps of real men, bones included: visits of one man
# 0.86 and 0.92, 0.04 both; different men 0.50, 0.30. Few pairs each, and never CT or PET of real men.
LINEAR_LIMITS = {"CT": (0.65, 0.72), "PET": (0.75, 0.78)}
STRAIN_OF_OTHERS = {"CT": 0.09, "PET": 0.12}
IMPOSSIBLE_STRAIN = 0.24
WHOLE_OVERLAP = 0.9  # below this the reasons say how much was imaged
LITTLE_OVERLAP = 0.25
LARGE_ROTATION_DEG = 10.0
BONE = (200.0 - CT_WINDOW_HU[0]) / (CT_WINDOW_HU[1] - CT_WINDOW_HU[0])  # as a prepared value
PROBES = 3000  # points of the body that are mapped there and back


def rate(fixed: Prepared, moving: Prepared, transform: sitk.Transform) -> tuple[str, list[str], dict[str, float]]:
    """Judge an alignment of two studies.

    Parameters
    ----------
    fixed, moving : Prepared
        Both from CT or both from PET.
    transform : sitk.Transform
        Maps points of the fixed to the moving study.

    Returns
    -------
    verdict : str
        "good", "doubtful" or "poor": the worst that any of the numbers deserves.
    reasons : list of str
        Whole sentences, the gravest first.
    quality : dict of str to float
        ``similarity``: correlation of the images within the fixed body and within the moving body, averaged, -1 to 1;
        ``linear_similarity``: the same for the linear part of the transform alone;
        ``overlap``: share of the fixed body that the moving study imaged, 0 to 1;
        ``translation_mm``, ``rotation_deg``: how far the linear part moves the middle of the fixed body and turns it;
        ``deformation_mm``, ``deformation_p95_mm``: root mean square and 95th percentile, over the fixed body, of the
        distance between the transform and the linear one nearest to it;
        ``jacobian_min``, ``jacobian_p01``, ``jacobian_max``: lowest, first percentile and highest of the factor by
        which volumes in the fixed body change; ``strain``: median, over the body as far as both studies show it, of
        how much lengths are changed around a place (Frobenius norm of the Green strain); ``bone_strain``: the same
        over bone on CT, where a man's own bones keep their lengths;
        ``inverse_consistency_mm``, ``inverse_consistency_p95_mm``: mean and 95th percentile of the distance between x
        and T^-1(T(x)) over the body, with the numerical inverse (not with a registration in the other direction);
        on CT ``bone_overlap`` and the same for the lower, middle and upper third of what both studies imaged, as far
        as there is bone: Dice coefficient of what is denser than 200 HU.
    """
    quality = measure(fixed, moving, transform)
    verdict, reasons = _judge(quality, fixed.reference)
    return verdict, reasons, quality


def measure(fixed: Prepared, moving: Prepared, transform: sitk.Transform) -> dict[str, float]:
    """The numbers behind the verdict, see :func:`rate`."""
    linear = linear_part(transform)
    places = grid_of(fixed.values, transform)
    aligned = _values_at(moving.values, places)
    body = sitk.GetArrayViewFromImage(fixed.body) > 0
    middle = fixed.middle_mm[None]
    quality = {
        "similarity": _similarity(fixed, moving, places, aligned),
        "overlap": float((aligned >= 0)[body].mean()),
        "translation_mm": float(np.linalg.norm(map_points(linear, middle) - middle)),
        "rotation_deg": _rotation_deg(linear, middle),
    }
    if transform.IsLinear():
        quality["linear_similarity"] = quality["similarity"]
    else:
        before = grid_of(fixed.values, linear)
        quality["linear_similarity"] = _similarity(fixed, moving, before, _values_at(moving.values, before))
    quality |= _deformation(fixed, transform, places, body, aligned >= 0)
    if fixed.reference == "CT":
        quality |= _bone_overlaps(sitk.GetArrayViewFromImage(fixed.values), aligned)
    return quality


def _values_at(image: sitk.Image, places: FloatArray) -> FloatArray:
    """Values of an image at places of shape (z, y, x, 3), linear between voxels; -1 where it has none."""
    indices = continuous_indices(image, places.reshape(-1, 3))[:, ::-1].T
    values = ndimage.map_coordinates(sitk.GetArrayViewFromImage(image), indices, order=1, cval=-1.0, output=np.float64)
    inside = ((indices >= 0) & (indices <= np.array(image.GetSize()[::-1])[:, None] - 1)).all(axis=0)
    return np.where(inside, values, -1.0).reshape(places.shape[:3])


def _similarity(fixed: Prepared, moving: Prepared, places: FloatArray, aligned: FloatArray) -> float:
    """Correlation within the fixed and within the moving body, averaged."""
    values = sitk.GetArrayViewFromImage(fixed.values)
    imaged = aligned >= 0
    body = sitk.GetArrayViewFromImage(fixed.body) > 0
    moved = _values_at(moving.body, places) > 0.5
    return 0.5 * sum(_correlation(values[mask], aligned[mask]) for mask in (imaged & body, imaged & moved))


def _deformation(
    fixed: Prepared, transform: sitk.Transform, places: FloatArray, body: BoolArray, imaged: BoolArray
) -> dict[str, float]:
    """How strongly the transform deforms the body, and whether it can be turned back."""
    start = grid_of(fixed.values, sitk.Transform(3, sitk.sitkIdentity))[body]
    moved = places[body]
    columns = np.column_stack([start - start.mean(axis=0), np.ones(len(start))])
    nearest = columns @ np.linalg.lstsq(columns, moved, rcond=None)[0]
    strength = np.linalg.norm(moved - nearest, axis=1)
    matrices = slopes(places, GRID_MM)[body]
    volume = volume_factors(matrices)
    strain = np.where(imaged[body], _strain(matrices), np.nan)  # beyond the later study nothing was fitted
    bone = imaged[body] & (sitk.GetArrayViewFromImage(fixed.values)[body] > BONE) & (fixed.reference == "CT")
    probes = start[:: max(1, len(start) // PROBES)]
    missed = np.linalg.norm(map_points_back(transform, map_points(transform, probes)) - probes, axis=1)
    return {
        "deformation_mm": float(np.sqrt((strength**2).mean())),
        "deformation_p95_mm": float(np.percentile(strength, 95)),
        "jacobian_min": float(volume.min()),
        "jacobian_p01": float(np.percentile(volume, 1)),
        "jacobian_max": float(volume.max()),
        "strain": float(np.nanmedian(strain)) if imaged[body].any() else 0.0,
        **({"bone_strain": float(np.median(strain[bone]))} if bone.any() else {}),
        "inverse_consistency_mm": float(missed.mean()),
        "inverse_consistency_p95_mm": float(np.percentile(missed, 95)),
    }


def _strain(matrices: FloatArray) -> FloatArray:
    """Frobenius norm of the Green strain (F'F - 1) / 2 of matrices F of shape (n, 3, 3)."""
    squares = np.zeros(len(matrices))
    for j in range(3):
        for k in range(3):
            squares += (np.einsum("ni,ni->n", matrices[..., j], matrices[..., k]) - (j == k)) ** 2
    return 0.5 * np.sqrt(squares)


def _bone_overlaps(values: FloatArray, aligned: FloatArray) -> dict[str, float]:
    """Dice coefficients of bone, whole and by thirds along the body, bottom first."""
    imaged = aligned >= 0
    first, second = (values > BONE) & imaged, (aligned > BONE) & imaged
    planes = np.flatnonzero(imaged.any(axis=(1, 2)))
    if not planes.size:
        return {}
    ends = np.linspace(planes[0], planes[-1] + 1, 4).astype(int)
    parts = {"bone_overlap": slice(None)}
    parts |= {
        f"bone_overlap_{name}": slice(ends[k], ends[k + 1]) for k, name in enumerate(("lower", "middle", "upper"))
    }
    overlaps = {}
    for name, part in parts.items():
        sizes = float(first[part].sum() + second[part].sum())
        if sizes:
            overlaps[name] = 2.0 * float((first[part] & second[part]).sum()) / sizes
    return overlaps


def _judge(quality: dict[str, float], reference: str) -> tuple[str, list[str]]:
    poor_below, good_from = SIMILARITY_LIMITS[reference]
    similarity, overlap, rotation = quality["similarity"], quality["overlap"], quality["rotation_deg"]
    bad: list[str] = []
    doubts: list[str] = []
    notes: list[str] = []
    if similarity < poor_below:
        bad.append(
            f"The images hardly agree (correlation {similarity:.2f}): the registration failed, or a study belongs to "
            "another patient."
        )
    elif similarity < good_from:
        doubts.append(
            f"The images agree only in part (correlation {similarity:.2f}): the patient may lie differently; "
            "look at the overlay."
        )
    else:
        notes.append(f"The images agree (correlation {similarity:.2f}).")
    before, strain = quality["linear_similarity"], quality["strain"]
    other_below, same_from = LINEAR_LIMITS[reference]
    if strain >= IMPOSSIBLE_STRAIN or (strain >= STRAIN_OF_OTHERS[reference] and before < same_from):
        (bad if strain >= IMPOSSIBLE_STRAIN or before < other_below else doubts).append(
            f"The body had to be reshaped to fit (lengths by {100 * strain:.0f} %, correlation {before:.2f} without): "
            "a study may belong to another patient."
        )
    if overlap < WHOLE_OVERLAP:
        (doubts if overlap < LITTLE_OVERLAP else notes).append(
            f"The later study shows {100 * overlap:.0f} % of the body in the earlier one; lesions elsewhere cannot be "
            "followed."
        )
    if rotation > LARGE_ROTATION_DEG:
        doubts.append(f"The later study is turned by {rotation:.0f} degrees; look at the overlay.")
    return "poor" if bad else "doubtful" if doubts else "good", bad + doubts + notes


def _correlation(first: FloatArray, second: FloatArray) -> float:
    if first.size < 2 or first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])


def _rotation_deg(transform: sitk.Transform, middle: FloatArray) -> float:
    """Angle of the rotation nearest to what the transform does to axes of 100 mm at the middle of the body."""
    axes = (map_points(transform, middle + 100.0 * np.eye(3)) - map_points(transform, middle)) / 100.0
    left, _, right = np.linalg.svd(axes)
    return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1.0) / 2.0, -1.0, 1.0))))
