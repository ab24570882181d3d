"""Painted crops of whole studies to train segmentation networks on: men, organs, lesions, scanners, all drawn anew.

The crops are synthetic. A crop is one cube of a PET/CT or SPECT/CT of a man on a real organ map, with the truth about
every lesion and organ in it; :mod:`bodies` builds the men, and this module paints one crop in about a tenth of a
second. All is drawn far wider than any one scanner, tracer or man has it (domain randomization).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from PSMASegmentLib.phantom.canvas import Array, as_point
from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.organ_map_course import LUTETIUM
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.organ_map_painting import plant
from PSMASegmentLib.phantom.tissues import TRACERS, Tissue
from PSMASegmentLib.training.bodies import Body
from PSMASegmentLib.training.crop_anatomy import vary_anatomy
from PSMASegmentLib.training.crop_lesions import (
    lesion_anywhere,
    lesions_in,
    place_anywhere,
    prior_of,
    target_of,
)
from PSMASegmentLib.training.crop_scan import Scanner, beyond_view, crop_ct, largest_margin_mm, random_scanner
from PSMASegmentLib.training.crop_uptake import crop_uptake, paint_physiology, scale_of, spots_anywhere, spots_of
from PSMASegmentLib.training.crop_view import inner, place_of, random_view

Mask = NDArray[np.bool_]

MODALITIES = ("PET", "SPECT")
ORGAN_CLASSES = (
    "kidneys",
    "liver",
    "spleen",
    "salivary and lacrimal glands",
    "bladder and ureters",
    "bowel",
    "other uptake",
)
"""Groups of physiological uptake; value k of :attr:`StudyCrop.organs` is ``ORGAN_CLASSES[k - 1]``.

Bowel and ureters are labeled where they show; what reaches SUV 3 on PET (1.5 on SPECT) without a lesion and is none of
the others is other uptake.
"""

_CLASS_OF = {
    Tissue.KIDNEY: 1,
    Tissue.KIDNEY_SINUS: 1,
    Tissue.LIVER: 2,
    Tissue.SPLEEN: 3,
    Tissue.PAROTID: 4,
    Tissue.SUBMANDIBULAR: 4,
    Tissue.LACRIMAL: 4,
    Tissue.BLADDER: 5,
    Tissue.URETER: 5,
    Tissue.URINE: 5,
    Tissue.DUODENUM: 6,
    Tissue.SMALL_BOWEL: 6,
    Tissue.COLON: 6,
}
_WHERE_WARM = (
    Tissue.URETER,
    Tissue.URINE,
    Tissue.DUODENUM,
    Tissue.SMALL_BOWEL,
    Tissue.COLON,
)  # labeled only where they show
_OTHER = 7
_NO_SPILL = (Tissue.GALLBLADDER, Tissue.STOMACH, Tissue.PROSTATE, Tissue.NASAL, Tissue.THROAT, Tissue.THYROID)
"""Tissue without a class that is hot by itself where it is hot, and not by the blur of an organ beside it."""
_WARM_SUV = {"PET": 2.0, "SPECT": 1.0}
HOT_SUV = {"PET": 3.0, "SPECT": 1.5}
"""What looks like a lesion reaches it; for SPECT a working value."""
_SPILL_VOXELS = 2  # how far around an organ its blur belongs to it
_BY_PLAN = 0.65  # of the crops with lesions; the others show one at any place
_HOT_PLACES, _HOT_AND_LESION = 0.8, 0.5  # of the crops without lesions, and of those with one at any place
_IN_BODY = 0.8  # of the crops without lesions or hot places
_AIMED: tuple[tuple[tuple[Tissue, ...], float], ...] = (
    ((Tissue.PAROTID, Tissue.SUBMANDIBULAR, Tissue.LACRIMAL, Tissue.NASAL), 0.4),
    ((Tissue.DUODENUM, Tissue.SMALL_BOWEL, Tissue.COLON), 0.25),
    ((Tissue.BLADDER, Tissue.URETER), 0.15),
    ((Tissue.KIDNEY, Tissue.LIVER, Tissue.SPLEEN), 0.2),
)
"""Hot tissues and how often crops are aimed at them. Left to chance, few crops show the head, and networks take its
glands for lesions."""
_ASIDE = 0.3  # of the side of a crop: how far from its middle lies what it was chosen for
_CUT = 0.12  # share of crops that an end of the scan goes through

# What an image must show of a lesion for its voxels to be counted: part of what lies around it, standard deviations of
# the noise, and SUV in all. Working values.
_CONTRAST = {"PET": 0.4, "SPECT": 0.5}
_NOISES = {"PET": 2.0, "SPECT": 3.0}
_LEAST_SUV = {"PET": 1.5, "SPECT": 0.0}
_LEFT_ON_SPECT = (0.4, 1.2)  # of the uptake of lesions and small spots on PET: a working value


@dataclass(frozen=True, eq=False)
class StudyCrop:
    """A painted crop; arrays are z, y, x on cubic voxels of ``spacing_mm``.

    ``emission`` is SUVbw (float32), ``ct`` HU (float32) as far off the emission image as in patients. ``lesions``
    (uint16) numbers lesions by their true shape: voxels that half or more of is lesion. ``unseen`` are voxels of
    lesions that the emission image does not show: they are in no other mask, and nothing should be learned there.
    ``organs`` (uint8) holds :data:`ORGAN_CLASSES` counted from 1, 0 elsewhere. ``prior`` (SPECT only) is what a
    registered lesion mask of a PET of the same man may show, with the errors such masks have.
    """

    emission: Array
    ct: Array
    lesions: NDArray[np.uint16]
    unseen: Mask
    organs: NDArray[np.uint8]
    prior: Mask | None
    modality: str
    tracer: str
    spacing_mm: float


class StudyCrops:
    """Rounds of painted crops. Equal arguments give equal crops of a round, whatever was asked before.

    ``voxels`` is the side of a crop, at the spacing of the bodies. ``modalities`` and ``tracers`` (of the PET crops)
    are drawn evenly; ``lesion_free`` is the share of crops without any lesion. Raises ValueError for what cannot be
    painted.
    """

    def __init__(
        self,
        bodies: Sequence[Body],
        seed: int,
        batch: int,
        voxels: int,
        modalities: Sequence[str],
        tracers: Sequence[str],
        lesion_free: float = 0.3,
    ) -> None:
        _check(bodies, batch, voxels, modalities, tracers, lesion_free)
        self._bodies = tuple(bodies)
        self._seed, self._batch, self._voxels = seed, batch, voxels
        self._modalities, self._tracers = tuple(modalities), tuple(tracers)
        self._lesion_free = lesion_free

    def crops(self, number: int) -> list[StudyCrop]:
        """The crops of a round."""
        return [self._crop(np.random.default_rng([self._seed, number, place])) for place in range(self._batch)]

    def _crop(self, rng: np.random.Generator) -> StudyCrop:
        body = self._bodies[int(rng.integers(len(self._bodies)))]
        modality = self._modalities[int(rng.integers(len(self._modalities)))]
        tracer = self._tracers[int(rng.integers(len(self._tracers)))] if modality == "PET" else LUTETIUM
        spacing = body.block.spacing[0]
        margin = int(np.ceil(largest_margin_mm(modality) / spacing))
        plan = body.plans[int(rng.integers(len(body.plans)))]
        free = rng.random() < self._lesion_free
        target = None if free or rng.random() >= _BY_PLAN else target_of(rng, plan)
        at = _aim(rng, body, free, target)
        view = random_view(rng, at, _ASIDE * self._voxels * spacing)
        block = view.cut(body.block, self._voxels + 2 * margin)
        vary_anatomy(rng, block)
        scanner = random_scanner(rng, modality)
        scale = scale_of(rng, modality)
        uptake = crop_uptake(rng, tracer, modality, scale, () if free else plan)
        kept = 1.0 if modality == "PET" else float(rng.uniform(*_LEFT_ON_SPECT))
        level = scale * kept
        spots = [*spots_of(rng, body, view, tracer, level), *spots_anywhere(rng, block, tracer, level)]
        suv, block = paint_physiology(rng, block, uptake, spots, scanner.mean_sigma_mm)
        lesions: list[Planned] = []
        gone = [view.lesion(planned, 1.0, planned.suv_max) for planned in plan] if free else []
        if not free:
            lesions, gone = lesions_in(rng, plan, target, view, block, uptake, level)
            place = None if target else place_anywhere(rng, inner(block, margin))
            if place is not None:
                lesions.append(lesion_anywhere(rng, as_point(place), block, uptake, level))
        return _painted(rng, block, suv, lesions, gone, scanner, margin, modality, tracer)


def _check(
    bodies: Sequence[Body],
    batch: int,
    voxels: int,
    modalities: Sequence[str],
    tracers: Sequence[str],
    lesion_free: float,
) -> None:
    if not bodies:
        raise ValueError("There are no men to paint crops on.")
    spacings = sorted({body.block.spacing[0] for body in bodies})
    if len(spacings) > 1:
        raise ValueError(f"The men lie on voxels of {spacings} mm; crops need men of one spacing.")
    if batch < 1 or voxels < 16:
        raise ValueError(f"Crops of {voxels} voxels a side in batches of {batch} cannot be painted: 16 and 1 at least.")
    if not 0.0 <= lesion_free <= 1.0:
        raise ValueError(f"The share of crops without lesions is {lesion_free}; it must lie between 0 and 1.")
    if not modalities or any(modality not in MODALITIES for modality in modalities):
        raise ValueError(
            f"Crops are painted for {' and '.join(MODALITIES)}, not for {', '.join(modalities) or 'none'}."
        )
    unknown = [tracer for tracer in tracers if tracer not in TRACERS]
    if unknown or ("PET" in modalities and not tracers):
        raise ValueError(
            f"No crops are painted for {', '.join(unknown) or 'no tracer'}: choose of {', '.join(TRACERS)}."
        )


def _aim(rng: np.random.Generator, body: Body, free: bool, target: Planned | None) -> NDArray[np.float64]:
    """The point of the man (x, y, z; LPS mm) that a crop is to show."""
    if target is not None:
        return np.asarray(target.lobes[0].center)
    place = None
    if rng.random() < (_HOT_PLACES if free else _HOT_AND_LESION):
        chosen = int(rng.choice(len(_AIMED), p=[share for _, share in _AIMED]))
        place = place_of(body.block, _AIMED[chosen][0], rng)
    elif not free:
        place = place_anywhere(rng, body.block)
    elif rng.random() < _IN_BODY:
        place = place_of(body.block, (Tissue.FAT, Tissue.MUSCLE, Tissue.MARROW, Tissue.LUNG, Tissue.BRAIN), rng)
    if place is None:
        place = np.asarray([rng.uniform(axis[0], axis[-1]) for axis in body.block.axes])
    return place


def _painted(
    rng: np.random.Generator,
    block: Block,
    suv: Array,
    lesions: Sequence[Planned],
    gone: Sequence[Planned],
    scanner: Scanner,
    margin: int,
    modality: str,
    tracer: str,
) -> StudyCrop:
    """Lesions, scanner and truth for a block with its physiological uptake."""
    step, voxels = block.spacing[0], len(suv) - 2 * margin
    inner = (slice(margin, margin + voxels),) * 3
    ground = suv.copy()
    labels, kept = plant(suv, block, lesions, scanner.mean_sigma_mm, rng)
    around = scanner.blurred(ground, step)
    clean = around + scanner.blurred(suv - ground, step) if kept else around
    spread = scanner.spread(clean)
    emission = scanner.noisy(rng, clean, spread, step)[inner]
    ct = crop_ct(rng, block, margin)
    organs = physiological(block.tissue, around, modality)[inner].copy()  # an organ just outside has its blur inside
    labels, around, clean, spread = labels[inner], around[inner], clean[inner], spread[inner]
    shown = _shown(labels, len(kept), around, clean, spread, modality)
    unseen = (labels > 0) & ~shown[labels]
    numbers = np.zeros(len(kept) + 1, np.uint16)
    numbers[shown] = np.arange(1, int(shown.sum()) + 1)
    organs[labels > 0] = 0
    prior = prior_of(rng, lesions, gone, block)[inner] if modality == "SPECT" else None
    crop = StudyCrop(emission, ct, numbers[labels], unseen, organs, prior, modality, tracer, step)
    return _within_view(crop, beyond_view(rng, voxels, _CUT))


def _shown(labels: NDArray[np.uint16], count: int, around: Array, clean: Array, spread: Array, modality: str) -> Mask:
    """Which labels the image shows (entry 0 is False); those beyond the crop are not."""
    shown = np.zeros(count + 1, bool)
    for number, window in enumerate(ndimage.find_objects(labels, count), start=1):
        if window is None:
            continue
        own = labels[window] == number
        ground, total, noise = (image[window][own] for image in (around, clean, spread))
        peak = int((total - ground).argmax())
        added = total[peak] - ground[peak]
        shown[number] = (
            added >= _CONTRAST[modality] * ground[peak]
            and added >= _NOISES[modality] * noise[peak]
            and total[peak] >= _LEAST_SUV[modality]
        )
    return shown


def physiological(tissue: NDArray[np.uint8], around: Array, modality: str) -> NDArray[np.uint8]:
    """Classes (z, y, x; :data:`ORGAN_CLASSES` counted from 1) of tissue codes and their blurred uptake without lesions.

    Organs by their tissue, the blur about them with them, and what else is hot.
    """
    table = np.zeros(256, np.uint8)
    for code, value in _CLASS_OF.items():
        table[int(code)] = value
    organs = table[tissue]
    warm = np.zeros(256, bool)
    warm[[int(code) for code in _WHERE_WARM]] = True
    organs[warm[tissue] & (around < _WARM_SUV[modality])] = 0
    hot = (around >= HOT_SUV[modality]) & (organs == 0)
    if hot.any():
        near = ndimage.maximum_filter(organs, size=2 * _SPILL_VOXELS + 1)
        near[(near == 0) | np.isin(tissue, [int(code) for code in _NO_SPILL])] = _OTHER
        organs[hot] = near[hot]
    return organs


def _within_view(crop: StudyCrop, beyond: Mask | None) -> StudyCrop:
    """The crop with nothing where the scan had ended."""
    if beyond is None:
        return crop
    for array in (crop.emission, crop.lesions, crop.organs, crop.unseen):
        array[beyond] = 0
    crop.ct[beyond] = -1000.0
    if crop.prior is not None:
        crop.prior[beyond] = False
    return crop
