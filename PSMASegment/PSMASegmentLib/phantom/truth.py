"""What is known about a synthetic patient: his visits, the lesions planted in him and which of them belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..organs import OrganMap
from .canvas import Array, Point
from .lesions import Lesion
from .motion import Warp

HALO_MM = 9.0
"""How far beyond the true shape of a lesion its blur is followed for ``volume_suv3_ml``."""


@dataclass(frozen=True)
class TrueLesion:
    """What was planted as one lesion of one visit.

    ``label`` is its value in the truth image. ``center_mm`` is LPS in the scanner. ``volume_ml`` counts the truth
    voxels, that is the true shape; ``volume_suv3_ml`` is what the image without noise holds at SUV 3 or more up to 9 mm
    around it. The blur makes that larger for hot lesions; it is the fair reference for a method with that threshold.
    ``suv_max`` is the highest value of the image without noise. ``foci`` decide which lesions belong together.
    """

    label: int
    site: str
    kind: str
    foci: tuple[str, ...]
    center_mm: Point
    volume_ml: float
    volume_suv3_ml: float
    suv_max: float


@dataclass(frozen=True)
class PhantomVisit:
    """One visit.

    Images are LPS: ``pet`` SUVbw float32, ``ct`` HU int16 on its own grid, ``lesions`` uint16 and ``organs`` on the
    grid of the PET. ``date`` is the start of the PET scan. ``truth`` describes the labels of ``lesions``; ``warp``
    tells where each point of the man's anatomy lay.
    """

    date: datetime
    pet: sitk.Image
    ct: sitk.Image
    lesions: sitk.Image
    organs: OrganMap
    weight_kg: float
    injected_activity_mbq: float
    minutes_after_injection: float
    half_life_s: float
    tracer: str
    truth: tuple[TrueLesion, ...]
    warp: Warp


@dataclass(frozen=True)
class TrueLink:
    """A lesion of one visit is, or is part of, a lesion of a later visit. Visits by index, lesions by label."""

    baseline_visit: int
    followup_visit: int
    baseline_lesion: int
    followup_lesion: int


@dataclass(frozen=True)
class PhantomPatient:
    """A synthetic man. ``links`` hold all pairs of consecutive visits and of the first visit with every later one."""

    patient_id: str
    name: str
    visits: list[PhantomVisit]
    links: list[TrueLink]
    seed: int = 0


def true_lesions(
    lesions: Sequence[Lesion],
    labels: NDArray[np.uint16],
    clean: Array,
    warp: Warp,
    spacing: tuple[float, float, float],
) -> tuple[TrueLesion, ...]:
    """Describe the lesions whose labels are 1, 2, ... in the order given; ``clean`` is the PET without noise."""
    voxel_ml = float(np.prod(spacing)) / 1000.0
    windows = ndimage.find_objects(labels, len(lesions))
    truth = []
    for number, lesion in enumerate(lesions, start=1):
        window = windows[number - 1]
        if window is None:  # outside the field of view
            continue
        margin = [int(np.ceil(HALO_MM / s)) for s in reversed(spacing)]
        wide = tuple(slice(max(w.start - m, 0), w.stop + m) for w, m in zip(window, margin, strict=True))
        part, values = labels[wide], clean[wide]
        distance, nearest = ndimage.distance_transform_edt(part == 0, sampling=spacing[::-1], return_indices=True)
        owner = part[tuple(nearest)]
        halo = (owner == number) & (distance <= HALO_MM) & (values >= 3.0)
        own = part == number
        x, y, z = (float(v) for v in warp.to_scanner(np.asarray([lesion.center]))[0])
        truth.append(
            TrueLesion(
                label=number,
                site=lesion.site,
                kind=lesion.kind,
                foci=lesion.foci,
                center_mm=(x, y, z),
                volume_ml=float(own.sum()) * voxel_ml,
                volume_suv3_ml=float(halo.sum()) * voxel_ml,
                suv_max=float(values[own].max()),
            )
        )
    return tuple(truth)


def true_links(visits: Sequence[PhantomVisit]) -> list[TrueLink]:
    """Links of consecutive visits and of the first with every later one: lesions that share a focus."""
    pairs = sorted({(k, k + 1) for k in range(len(visits) - 1)} | {(0, k) for k in range(1, len(visits))})
    return [
        TrueLink(a, b, before.label, after.label)
        for a, b in pairs
        for before in visits[a].truth
        for after in visits[b].truth
        if set(before.foci) & set(after.foci)
    ]
