"""Whether a registration can be relied on: numbers, a verdict and its reasons in plain words."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .points import FloatArray, map_points
from .preparation import Prepared

# Similarity below which an alignment is poor, and from which on it is good. Measured on synthetic men (CT and PET) and
# on CT-like images made from organ maps of real men, never on CT of real men. Visits of one man: 0.77 to 0.96 (CT of
# synthetic men), 0.73 to 0.93 (their PET), 0.56 to 0.86 with median 0.79 (organ maps). Visits of different men: up to
# 0.62, 0.74 and 0.68, with medians of 0.48, 0.62 and 0.50.
SIMILARITY_LIMITS = {"CT": (0.6, 0.72), "PET": (0.65, 0.75)}
WHOLE_OVERLAP = 0.9  # below this the reasons say how much was imaged
LITTLE_OVERLAP = 0.25
LARGE_ROTATION_DEG = 10.0


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
        ``overlap``: share of the fixed body that the moving study imaged, 0 to 1; ``translation_mm``: how far the
        middle of the fixed body moves; ``rotation_deg``: angle of the rotation about whatever axis.
    """
    quality = measure(fixed, moving, transform)
    verdict, reasons = _judge(quality, fixed.reference)
    return verdict, reasons, quality


def measure(fixed: Prepared, moving: Prepared, transform: sitk.Transform) -> dict[str, float]:
    """The numbers behind the verdict, see :func:`rate`."""
    aligned = sitk.GetArrayFromImage(sitk.Resample(moving.values, fixed.values, transform, sitk.sitkLinear, -1.0))
    moved_body = sitk.Resample(moving.body, fixed.values, transform, sitk.sitkNearestNeighbor, 0.0)
    moved = sitk.GetArrayFromImage(moved_body) > 0
    body = sitk.GetArrayViewFromImage(fixed.body) > 0
    imaged = aligned >= 0
    values = sitk.GetArrayViewFromImage(fixed.values)
    middle = fixed.middle_mm[None]
    return {
        "similarity": 0.5 * sum(_correlation(values[mask], aligned[mask]) for mask in (imaged & body, imaged & moved)),
        "overlap": float((imaged & body).sum() / body.sum()),
        "translation_mm": float(np.linalg.norm(map_points(transform, middle) - middle)),
        "rotation_deg": _rotation_deg(transform, middle),
    }


def _judge(quality: dict[str, float], reference: str) -> tuple[str, list[str]]:
    poor_below, good_from = SIMILARITY_LIMITS[reference]
    similarity, overlap, rotation = quality["similarity"], quality["overlap"], quality["rotation_deg"]
    bad, doubts, notes = [], [], []
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
