"""Thresholds that the study itself sets: uptake of a reference organ, and a share of each lesion's maximum."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.coarse import Coarse, coarse_copy
from PSMASegmentLib.connected import grown_box
from PSMASegmentLib.constellation import body_middle_x, find_middle_of_kidneys
from PSMASegmentLib.large_organs import find_large_organs
from PSMASegmentLib.lesions import Formed, form_lesions
from PSMASegmentLib.measure import Point
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.reference_regions import Reference, place_references, regions_named
from PSMASegmentLib.regions import Numbers
from PSMASegmentLib.rules import BY_TRACER, LIVER, SPLEEN, RuleSet
from PSMASegmentLib.segmentation import Images

_NEIGHBORS = np.ones((3, 3, 3), dtype=bool)
# How far the outline at a share of the maximum may reach beyond the voxels above the fixed threshold: where the lesion
# hardly stands out from what surrounds it, the share lies in the background and the outline would run away. A choice of
# this project.
LARGEST_GROWTH_MM = 10.0


@dataclass(frozen=True)
class ReferenceUptake:
    """SUVmean and standard deviation of the reference organ, and where they come from.

    ``source`` is "organ map", "rules" (the organ was found by its uptake and place), "reader" (who placed the region by
    hand) or "entered". ``center_mm`` (LPS) and ``radius_mm`` are those of the sphere that was measured, None where the
    values were entered. ``suv_sd`` is None where none was entered and the threshold has no use for one.
    """

    organ: str
    suv_mean: float
    suv_sd: float | None
    source: str
    center_mm: Point | None = None
    radius_mm: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the provenance."""
        values = asdict(self)
        values["center_mm"] = None if self.center_mm is None else list(self.center_mm)
        return values


def reference_uptake(images: Images, rules: RuleSet, hounsfield: Coarse | None) -> ReferenceUptake:
    """Uptake of the reference organ of a rule set, entered or measured away from edges, foci and bile ducts.

    ``hounsfield`` is that of ``physiology.hounsfield_of``. A region that a reader placed counts as it is. Else the
    organ is taken from the organ map where its table of names tells about it, otherwise looked for by rules. Raises
    ValueError where the organ depends on a tracer that is not known, or cannot be measured.
    """
    organ = reference_organ(images.tracer, rules)
    if rules.reference_mean is not None:
        return ReferenceUptake(organ, rules.reference_mean, rules.reference_sd, "entered")
    for region in images.references:
        if region.name == organ:
            return _measured(region, organ, "reader")
    if images.organs is not None and organ in regions_named(images.organs):
        source = "organ map"
        placed = place_references(images.emission, images.organs, None, [organ])
    else:
        source = "rules"
        placed = place_references(images.emission, _organs_by_rules(images, hounsfield, rules.threshold), None, [organ])
    if organ in placed.missing or not placed.references:
        why = placed.missing.get(organ, "")
        if source == "rules":
            why = f"No organ map tells about it. Looked for by rules: {why}"
        raise ValueError(
            f"The rule set {rules.name} needs the uptake of the {organ}, which could not be measured. {why} "
            "Give an organ map that shows it, or enter its SUVmean (setting reference_mean)."
        )
    return _measured(placed.references[0], organ, source)


def reference_threshold(reference: ReferenceUptake, rules: RuleSet) -> float:
    """SUVbw from the uptake of the reference organ: factor x mean + factor x SD, at least the fixed threshold."""
    value = rules.reference_factor * reference.suv_mean
    if rules.reference_sd_factor > 0 and reference.suv_sd is not None:
        value += rules.reference_sd_factor * reference.suv_sd
    return max(value, rules.threshold)


def reference_organ(tracer: str, rules: RuleSet) -> str:
    """The organ that a rule set measures, "liver" or "spleen"; ValueError where a tracer decides that is not known."""
    if rules.reference != BY_TRACER:
        return rules.reference
    if not tracer.strip():
        raise ValueError(
            f"The rule set {rules.name} takes its reference organ by the tracer, which is not known. Enter the tracer, "
            f"or say which organ counts (setting reference: {LIVER} or {SPLEEN})."
        )
    return SPLEEN if re.search(r"psma[\s_-]*1007", tracer, re.IGNORECASE) else LIVER


def _measured(region: Reference, organ: str, source: str) -> ReferenceUptake:
    if region.suv_mean <= 0:
        where = "the region lies in the organ" if source == "reader" else "the organ map belongs to this study"
        raise ValueError(
            f"The SUVmean of the {organ} is {region.suv_mean:g}: no threshold can be made of it. "
            f"Check that {where} and the image is in SUV."
        )
    note = region.note
    if source == "rules":
        note = f"{note} The {organ} was found by its uptake and place: check it.".strip()
    return ReferenceUptake(organ, region.suv_mean, region.suv_sd, source, region.center_mm, region.radius_mm, note)


def _organs_by_rules(images: Images, hounsfield: Coarse | None, threshold: float) -> OrganMap | None:
    """Liver and spleen as the rules find them; None where the image shows no pattern of organs."""
    coarse = coarse_copy(images.emission)
    middle = find_middle_of_kidneys(coarse, body_middle_x(images.emission))
    found = find_large_organs(coarse, hounsfield, middle, False, frozenset(), threshold)
    if found is None:
        return None
    labels = np.zeros(coarse.values.shape, np.uint8)
    for number, organ in enumerate(found.found, start=1):
        labels[organ.mask] = number
    names = {number: organ.name for number, organ in enumerate(found.found, start=1)}
    return OrganMap(coarse.image(labels), names)


@dataclass(frozen=True)
class Outlined:
    """Lesions outlined at a share of their maximum; ``suv_level`` of each, and those whose growth was stopped."""

    formed: Formed
    suv_level: dict[int, float]
    stopped: frozenset[int]


def outline_at_percent(
    emission: sitk.Image,
    formed: Formed,
    percent: float,
    threshold: float,
    smallest_voxels: float,
    blocked: npt.NDArray[np.bool_] | None = None,
) -> Outlined:
    """Give every lesion the voxels of at least ``percent`` of its SUVmax that hang together with its hottest voxel.

    ``formed`` holds the lesions above the fixed ``threshold`` (SUVbw), on the grid of ``emission``. Where the share is
    lower, the outline grows, up to ``LARGEST_GROWTH_MM``, never into another lesion, into what was removed nor into
    ``blocked`` voxels (z, y, x), those of organs; the hotter lesion grows first. Where it is higher, voxels are left
    out; a piece that is cut off from the hottest voxel and has ``smallest_voxels`` or more is a lesion of its own. What
    is left out is added to what was removed, with the reason.
    """
    uptake = sitk.GetArrayViewFromImage(emission)
    spacing = np.asarray(emission.GetSpacing()[::-1])
    own = formed.lesions
    outlined = np.zeros(own.shape, np.int32)
    removed, reasons = formed.removed.copy(), dict(formed.removed_reasons)
    below, small = max(reasons, default=0) + 1, max(reasons, default=0) + 2
    reasons[below] = f"below {percent:g} % of the SUVmax of its lesion"
    reasons[small] = f"cut off at {percent:g} % of the SUVmax of its lesion, and smaller than the minimum volume"
    boxes = {lesion: box for lesion, box in enumerate(ndimage.find_objects(own.astype(np.int32)), start=1) if box}
    maxima = {lesion: float(uptake[box][own[box] == lesion].max()) for lesion, box in boxes.items()}
    levels: dict[int, float] = {}
    stopped: set[int] = set()
    for lesion in sorted(boxes, key=lambda number: (-maxima[number], number)):
        level = percent / 100.0 * maxima[lesion]
        around = boxes[lesion]
        if level < threshold:
            around = grown_box(around, LARGEST_GROWTH_MM, spacing.tolist(), own.shape)
        mine = own[around] == lesion
        free = (own[around] == 0) & (removed[around] == 0) & (outlined[around] == 0)
        if blocked is not None:
            free &= ~blocked[around]
        grown = _within(mine, free, spacing) if level < threshold else mine
        hot = grown & (uptake[around] >= level)
        for number, piece in enumerate(_pieces(hot, uptake[around], mine)):
            if number and piece.sum() < smallest_voxels:
                removed[around][piece & mine] = small
                continue
            levels[len(levels) + 1] = level
            outlined[around][piece] = len(levels)
            if _reaches_limit(piece, mine, uptake[around], level, spacing):
                stopped.add(len(levels))
        removed[around][mine & (outlined[around] == 0) & (removed[around] == 0)] = below
    final = form_lesions(outlined, removed, reasons, 0.0)
    return _renumbered(final, outlined, levels, stopped)


def _pieces(
    hot: npt.NDArray[np.bool_], uptake: npt.NDArray[np.floating], own: npt.NDArray[np.bool_]
) -> Iterator[npt.NDArray[np.bool_]]:
    """The connected piece with the lesion's hottest voxel, then those others that hold voxels of the lesion."""
    labeled, count = ndimage.label(hot, _NEIGHBORS)
    peak = np.unravel_index(int(np.where(own, uptake, -np.inf).argmax()), own.shape)
    first = int(labeled[peak])
    yield labeled == first
    for number in range(1, count + 1):
        piece = labeled == number
        if number != first and (piece & own).any():
            yield piece


def _within(
    own: npt.NDArray[np.bool_], free: npt.NDArray[np.bool_], spacing: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """The lesion and the free voxels whose centers are near enough to one of its own."""
    near: npt.NDArray[np.bool_] = ndimage.distance_transform_edt(~own, sampling=spacing) <= LARGEST_GROWTH_MM
    return own | (free & near)


def _reaches_limit(
    piece: npt.NDArray[np.bool_],
    own: npt.NDArray[np.bool_],
    uptake: npt.NDArray[np.floating],
    level: float,
    spacing: npt.NDArray[np.float64],
) -> bool:
    """Whether uptake of at least the level goes on just where the outline had to stop for its distance."""
    if not (piece & ~own).any():
        return False
    rim = ndimage.binary_dilation(piece, _NEIGHBORS) & ~piece & (uptake >= level)
    far = ndimage.distance_transform_edt(~own, sampling=spacing) > LARGEST_GROWTH_MM
    return bool((rim & far).any())


def _renumbered(final: Formed, outlined: Numbers, levels: dict[int, float], stopped: set[int]) -> Outlined:
    """The levels by the final numbers of the lesions, which go by volume."""
    inside = final.lesions > 0
    pairs = np.unique(np.stack([outlined[inside], final.lesions[inside]]), axis=1)
    new = {int(before): int(after) for before, after in pairs.T}
    return Outlined(
        final,
        {after: levels[before] for before, after in new.items()},
        frozenset(new[before] for before in stopped),
    )


def rounded(suv: float) -> str:
    """An SUV as it is written in a reason, to two digits behind the point at most."""
    return f"{math.floor(suv * 100 + 0.5) / 100:g}"
