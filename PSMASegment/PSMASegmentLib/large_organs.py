"""Kidneys, liver, spleen and bladder by rules of position, size and uptake, where no organ map says where they are.

Rules of thumb, made from the usual anatomy of men lying on their back. They fail for a transplanted or pelvic kidney,
for an organ that disease has replaced or moved, and for lesions that hide an organ. What they take away is reported,
so that a reader can look at it.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from PSMASegmentLib.coarse import Blob, Coarse, Mask, Vector, ball, blobs
from PSMASegmentLib.constellation import SITES
from PSMASegmentLib.measure import Box

# How far from its usual place an organ's window reaches (x, y, z in mm): the spread of the centers in the organ maps
# of 203 PSMA PET/CT studies of autoPET III (2.5th to 97.5th percentile), and half the organ.
_KIDNEY_WINDOW = (45.0, 50.0, 80.0)
_LIVER_WINDOW = (110.0, 110.0, 120.0)
_SPLEEN_WINDOW = (50.0, 60.0, 75.0)
_BLADDER_WINDOW = (50.0, 80.0, 95.0)
# How far the center of the bladder may be from its usual place: about twice the same spread, for full bladders.
_BLADDER_CENTER = (25.0, 50.0, 70.0)
# Distance between the two kidneys, left to right, back to front and along the body, and volume: the extremes of these
# maps.
_PAIR_APART, _PAIR_BACK, _PAIR_UP = (120.0, 205.0), 50.0, 60.0
_KIDNEY_LARGEST_ML = 415.0
# How much hotter one kidney may be. A choice of this project.
_PAIR_RATIO = 4.0
# Middle of the liver's window, and where the liver is sampled: well inside it in nearly all of these maps.
_LIVER_CENTER = np.array([-60.0, -50.0, 60.0])
_LIVER_SAMPLE_CENTER, _LIVER_SAMPLE_HALF = (-85.0, -45.0, 75.0), (30.0, 35.0, 35.0)

# Mean attenuation (HU) above which a region in the pelvis is not filled with urine. A choice of this project: water
# is 0 HU, muscle and prostate are well above 30.
_URINE_HU = 25.0


@dataclass(frozen=True)
class FoundOrgan:
    """An organ on the coarse grid: its name and why it was taken for this organ."""

    name: str
    reason: str
    mask: Mask


@dataclass(frozen=True)
class Organs:
    """What was found, and the point between the kidneys (LPS mm) that all positions are told from."""

    found: list[FoundOrgan]
    middle_mm: Vector


def find_large_organs(
    coarse: Coarse, hounsfield: Coarse | None, middle_mm: Vector, sure: bool, known: Set[str], threshold: float
) -> Organs | None:
    """Look for the large organs around the point between the kidneys, or a first guess of it.

    ``coarse`` is the uptake, ``hounsfield`` the CT on the same grid if there is one; ``sure`` says that the point is
    no guess; ``known`` names the organs that an organ map tells about ("kidney", "liver", ...), which are not looked
    for. Returns None where the point is a guess and neither a kidney nor two other organs are found around it: the
    positions then mean nothing.
    """
    found: list[FoundOrgan] = []
    taken = np.zeros(coarse.values.shape, dtype=bool)
    middle = middle_mm
    if "kidney" not in known:
        kidneys = _kidneys(coarse, middle_mm, threshold)
        pair = len(kidneys) == 2 and _are_a_pair(coarse, kidneys["right kidney"], kidneys["left kidney"])
        for name, kidney in kidneys.items():
            which = "pair of large hot regions" if pair else "large hot region"
            found.append(FoundOrgan(name, f"{name}: {which} beside the spine", kidney.mask))
            taken |= kidney.mask
        if pair:
            middle = (kidneys["right kidney"].center + kidneys["left kidney"].center) / 2
    liver = None if "liver" in known else _liver(coarse, middle, taken, threshold)
    if liver is not None:
        found.append(FoundOrgan("liver", "liver: large evenly warm region in the right upper abdomen", liver))
        taken |= liver
    spleen = None if "spleen" in known else _spleen(coarse, middle, taken, threshold)
    if spleen is not None:
        found.append(FoundOrgan("spleen", "spleen: warm region in the left upper abdomen above the kidney", spleen))
    bladder = None if "urinary bladder" in known else _bladder(coarse, hounsfield, middle, threshold)
    if bladder is not None:
        reason = "urinary bladder: largest hot region in the midline of the low pelvis, in front"
        found.append(FoundOrgan("urinary bladder", reason, bladder))
    has_kidney = any("kidney" in organ.name for organ in found)
    return Organs(found, middle) if sure or has_kidney or len(found) >= 2 else None


def _kidneys(coarse: Coarse, middle_mm: Vector, threshold: float) -> dict[str, Blob]:
    """The largest hot region in each of the two windows, as far as there is one of a kidney's size."""
    kidneys = {}
    for name in ("right kidney", "left kidney"):
        box = coarse.box(middle_mm + SITES[name].center, _KIDNEY_WINDOW)
        part = coarse.cut(box)
        if not part.values.size:
            continue
        level = max(1.5 * threshold, 0.45 * float(np.percentile(part.values, 95)))
        hot = ndimage.binary_opening(part.values >= level, ball(5.0))
        regions = [blob for blob in blobs(part, hot, 30.0) if (blob.high - blob.low)[2] >= 40.0]
        if regions:
            best = max(regions, key=lambda blob: _kidney_weight(blob, middle_mm + SITES[name].center))
            kidneys[name] = replace(best, mask=_put(coarse, box, best.mask))
    return kidneys


def _kidney_weight(blob: Blob, usual: Vector) -> float:
    """Volume, counted less the farther the region lies from a kidney's usual place."""
    return blob.volume_ml * math.exp(-0.5 * (float(np.linalg.norm(blob.center - usual)) / 40.0) ** 2)


def _are_a_pair(coarse: Coarse, right: Blob, left: Blob) -> bool:
    """Whether two regions are placed, sized and filled like two kidneys and nothing more."""
    across, back, up = left.center - right.center
    placed = _PAIR_APART[0] <= across <= _PAIR_APART[1] and abs(back) <= _PAIR_BACK and abs(up) <= _PAIR_UP
    cooler, hotter = sorted(float(np.median(coarse.values[kidney.mask])) for kidney in (right, left))
    return placed and max(right.volume_ml, left.volume_ml) <= _KIDNEY_LARGEST_ML and hotter <= _PAIR_RATIO * cooler


def _liver(coarse: Coarse, middle_mm: Vector, kidneys: Mask, threshold: float) -> Mask | None:
    """The large evenly warm region; None where it is too cool for its noise to reach the threshold."""
    sample_box = coarse.box(middle_mm + _LIVER_SAMPLE_CENTER, _LIVER_SAMPLE_HALF)
    sample = coarse.values[sample_box][~kidneys[sample_box]]
    sample = sample[sample >= 0.4 * threshold]
    if sample.size < 50:
        return None
    level = float(np.median(sample))
    box = coarse.box(middle_mm + _LIVER_CENTER, _LIVER_WINDOW)
    part = coarse.cut(box)
    even = (part.values >= 0.55 * level) & (part.values <= 1.8 * level)
    even &= ~ndimage.binary_dilation(kidneys[box], ball(10.0))
    core = ndimage.binary_opening(even, ball(10.0))
    largest = max(blobs(part, core, 250.0), key=lambda blob: blob.volume_ml, default=None)
    if largest is None:
        return None
    return _put(coarse, box, ndimage.binary_dilation(largest.mask, ball(7.5)) & even)


def _spleen(coarse: Coarse, middle_mm: Vector, others: Mask, threshold: float) -> Mask | None:
    """The largest warm region beside and above the left kidney."""
    box = coarse.box(middle_mm + SITES["spleen"].center, _SPLEEN_WINDOW)
    part = coarse.cut(box)
    free = ~ndimage.binary_dilation(others[box], ball(10.0))
    if not free.any():
        return None
    level = max(0.8 * threshold, 0.55 * float(np.percentile(part.values[free], 85)))
    core = ndimage.binary_opening((part.values >= level) & free, ball(7.5))
    largest = max(blobs(part, core, 30.0), key=lambda blob: blob.volume_ml, default=None)
    if largest is None:
        return None
    return _put(coarse, box, ndimage.binary_dilation(largest.mask, ball(5.0)) & (part.values >= level) & free)


def _bladder(coarse: Coarse, hounsfield: Coarse | None, middle_mm: Vector, threshold: float) -> Mask | None:
    """The hottest region with a bladder's place and size, grown to half its uptake."""
    usual = middle_mm + SITES["urinary bladder"].center
    box = coarse.box(usual, _BLADDER_WINDOW)
    part = coarse.cut(box)
    if not part.values.size:
        return None
    level = 0.6 * float(part.values.max())
    while level >= threshold:
        fitting = [
            blob
            for blob in blobs(part, part.values >= level, 12.0, 900.0)
            if (np.abs(blob.center - usual) <= _BLADDER_CENTER).all()
            and (hounsfield is None or float(np.median(hounsfield.values[box][blob.mask])) <= _URINE_HU)
        ]
        if fitting:
            largest = max(fitting, key=lambda blob: blob.volume_ml)
            floor = max(threshold, 0.5 * float(np.median(part.values[largest.mask])))
            return _put(coarse, box, ndimage.binary_propagation(largest.mask, mask=part.values >= floor))
        level *= 0.75
    return None


def _put(coarse: Coarse, box: Box, mask: Mask) -> Mask:
    """A mask of a box as a mask of the whole grid."""
    whole = np.zeros(coarse.values.shape, dtype=bool)
    whole[box] = mask
    return whole
