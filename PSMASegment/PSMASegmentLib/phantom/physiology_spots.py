"""Small physiological uptake that can be taken for lesions: ganglia, throat, thyroid, bowel, urine, bone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..lesion_regions import Region
from .canvas import Array, Point, as_point
from .lesions import Lesion
from .organ_map_body import Block, voxel_at
from .organ_map_fit import Fit
from .organ_map_lesions import Planned
from .organ_map_painting import lesion_fractions
from .skeleton import rib
from .tissues import Tissue
from .viscera import URETER

_KEPT_A_DAY = 0.4  # a working value
_LEAST_RECOVERY = 0.12  # the smallest spots would need more activity than tissue holds


@dataclass(frozen=True)
class _Known:
    """A place with uptake in many men: of the reference man (mm), and how often and how hot (SUVmax) it is."""

    name: str
    at: Point
    paired: bool
    radii: Point
    tissue: Tissue
    share: float
    mean: float
    sd: float


_FIXED = (
    _Known("celiac ganglion", (14.0, 0.0, 252.0), True, (9.0, 2.8, 2.8), Tissue.GANGLION, 0.9, 2.1, 0.65),
    _Known("cervical ganglion", (24.0, 26.0, 556.0), True, (7.0, 2.8, 2.8), Tissue.GANGLION, 0.9, 2.0, 0.5),
    _Known("sacral ganglion", (20.0, 42.0, 60.0), True, (6.0, 2.6, 2.6), Tissue.GANGLION, 0.45, 1.3, 0.4),
    _Known("lumbar ganglion", (24.0, 2.0, 172.0), True, (8.0, 2.6, 2.6), Tissue.GANGLION, 0.3, 1.9, 0.5),
    _Known("vocal cord", (6.0, -27.0, 596.0), True, (4.0, 7.0, 3.5), Tissue.THROAT, 0.65, 9.0, 3.0),
    _Known("palatine tonsil", (16.0, -34.0, 664.0), True, (9.0, 5.0, 6.0), Tissue.THROAT, 0.8, 8.5, 3.5),
    _Known("lingual tonsil", (0.0, -44.0, 646.0), False, (5.0, 9.0, 5.0), Tissue.THROAT, 0.7, 7.0, 3.0),
    _Known("nasopharynx", (0.0, -20.0, 694.0), False, (6.0, 9.0, 5.0), Tissue.THROAT, 0.7, 7.0, 3.0),
    _Known("thyroid lobe", (18.0, -32.0, 562.0), True, (17.0, 8.0, 8.0), Tissue.THYROID, 0.22, 3.5, 1.0),
)
"""Radii are along z, x, y. SUVmax before noise, so that the highest of both sides shows, in the image with noise, the
published values of 68Ga-PSMA-11: ganglia 2.9 (SD 0.8) celiac, 2.4 (0.6) cervical, 1.7 (0.5) sacral (JNM 59:1406), vocal
cords 8.4 (3), Waldeyer's ring 10.4 (4.3), thyroid 4.5 (1.2; in 22 % of men) (Clin Nucl Med 2017;42(7), 55 men). Sizes,
other shares, lumbar ganglia and the parts of Waldeyer's ring are working values without a source."""

_THROAT_FACTOR = {"18F-DCFPyL": 0.5, "18F-PSMA-1007": 1.0}  # follows the salivary glands
_GANGLION_FACTOR = {"18F-DCFPyL": 1.15, "18F-PSMA-1007": 1.3}
_BOWEL_FACTOR = {"18F-DCFPyL": 0.75, "18F-PSMA-1007": 0.9}
_URINE_FACTOR = {"18F-PSMA-1007": 0.15}
"""Against 68Ga-PSMA-11: working values without a source."""

_COLON = (0.65, 8.0, 0.75)  # share of men, median SUVmax, SD of its logarithm: mean 10.6, SD 9.2 in 65 % of 55 men
_RECTUM = (0.36, 3.55, 0.29)  # mean 3.7, SD 1.1 in 36 %
_JEJUNUM = (2.5, 8.0, 0.45)  # mean number; working values
_URETER = (1.5, 9.0, 0.6)
_URETHRA = (0.3, 7.0, 0.6)
_SKIN = (0.04, 6.0, 0.6)
_BONE = {
    "18F-PSMA-1007": 1.0
}  # mean number of spots; five times as many as with the others (10.1186/s40658-022-00487-7)
_BONE_OTHERS, _BONE_SUV = 0.2, (3.5, 0.3)


@dataclass(frozen=True)
class Spot:
    """Physiological uptake of some millimeters: what it is made of and its shape with the wanted SUVmax (LPS mm)."""

    name: str
    tissue: Tissue
    body: Lesion


def draw_spots(man: np.random.Generator, visit: np.random.Generator, fit: Fit, block: Block, tracer: str) -> list[Spot]:
    """Spots of a man at one visit, in the part of him that ``block`` holds.

    ``man`` draws what he has at every visit (ganglia, throat, thyroid, bone), ``visit`` what differs from day to day
    (bowel and urine); each is used alike whatever the block holds, so that one man can be drawn twice.
    """
    found = [*_lasting(man, fit, tracer), *_passing(visit, fit, block, tracer)]
    return [spot for spot in found if _code_at(block, spot.body.center) not in (None, Tissue.AIR)]


def add_spots(suv: Array, block: Block, spots: Sequence[Spot], sigma_mm: float) -> NDArray[np.uint8]:
    """Paint spots into the uptake ``suv`` (z, y, x; SUVbw before the blur), which they never lower.

    Returns the tissue codes with the spots in them; those of bowel and bone keep the codes of bowel and bone. The blur
    of ``sigma_mm`` takes part of a spot away; what it takes is added, as far as tissue may hold so much.
    """
    codes = block.tissue.copy()
    for spot in spots:
        body = spot.body
        found = lesion_fractions(Planned(Region("", spot.name), (body,), body.suv_max), block)
        if found is None:
            continue
        window, inside, _ = found
        inside = np.where(block.tissue[window] == int(Tissue.AIR), np.float32(0.0), inside)
        part = suv[window]
        around = float(np.median(part))
        peak = around + max(body.suv_max - around, 0.0) / _recovery(inside, block, sigma_mm)
        part += inside * np.maximum(peak - part, 0.0)
        if inside.any():
            codes[window][inside >= min(0.5, float(inside.max()))] = int(spot.tissue)
    return codes


def _recovery(inside: Array, block: Block, sigma_mm: float) -> float:
    """Share of its uptake that the middle of a spot keeps in the blur; ``inside`` is its part of each voxel."""
    sigma = [sigma_mm / step for step in reversed(block.spacing)]
    wide = np.pad(inside, [(int(np.ceil(2.0 * value)),) * 2 for value in sigma])
    return max(float(ndimage.gaussian_filter(wide, sigma, mode="constant").max()), _LEAST_RECOVERY)


def day_after(spots: Sequence[Spot]) -> list[Spot]:
    """The spots as they are a day after 177Lu-PSMA, fainter than on PET."""
    return [replace(spot, body=replace(spot.body, suv_max=_KEPT_A_DAY * spot.body.suv_max)) for spot in spots]


def _lasting(rng: np.random.Generator, fit: Fit, tracer: str) -> Iterator[Spot]:
    for known in _FIXED:
        is_there = rng.random() < known.share
        level = float(np.clip(rng.normal(known.mean, known.sd), 0.4 * known.mean, known.mean + 3.0 * known.sd))
        table = _GANGLION_FACTOR if known.tissue is Tissue.GANGLION else _THROAT_FACTOR
        for sign in (-1.0, 1.0) if known.paired else (1.0,):
            x, y, z = np.multiply(known.at, (sign, 1.0, 1.0)) + rng.normal(0.0, 2.0, 3)
            suv = level * table.get(tracer, 1.0) * float(np.exp(rng.normal(0.0, 0.12)))
            radii = as_point(np.asarray(known.radii) * rng.uniform(0.85, 1.15))
            bumps = int(rng.integers(2**31))
            if is_there:
                yield _spot(known.name, known.tissue, fit.to_real((x, y, z)), radii, (0.0, 0.0, 1.0), suv, bumps)
    for _ in range(int(rng.poisson(_BONE.get(tracer, _BONE_OTHERS)))):
        points = rib(int(rng.integers(2, 11)), float(rng.choice((-1.0, 1.0))))
        k = int(rng.integers(4, len(points) - 2))
        radius = float(rng.uniform(2.5, 4.0))
        suv = float(np.clip(rng.lognormal(np.log(_BONE_SUV[0]), _BONE_SUV[1]), 1.5, 8.0))
        along = as_point(np.subtract(points[k + 1], points[k - 1]))
        place = fit.to_real(points[k])
        bumps = int(rng.integers(2**31))
        yield _spot("unspecific bone uptake", Tissue.MARROW, place, (1.5 * radius, radius, radius), along, suv, bumps)


def _passing(rng: np.random.Generator, fit: Fit, block: Block, tracer: str) -> Iterator[Spot]:
    bowel, urine = _BOWEL_FACTOR.get(tracer, 1.0), _URINE_FACTOR.get(tracer, 1.0)
    if rng.random() < _COLON[0]:
        for _ in range(int(rng.integers(1, 4))):
            height = float(rng.uniform(105.0, 225.0))
            at = (float(np.interp(height, (105.0, 130.0, 190.0, 225.0), (92.0, 108.0, 112.0, 106.0))), 12.0, height)
            yield _bowel(rng, fit, block, "descending colon", Tissue.COLON, at, _COLON[1:], bowel)
    if rng.random() < _RECTUM[0]:
        yield _bowel(rng, fit, block, "rectum", Tissue.COLON, (0.0, 44.0, 8.0), _RECTUM[1:], bowel)
    for _ in range(int(rng.poisson(_JEJUNUM[0]))):
        at = (float(rng.uniform(30.0, 92.0)), float(rng.uniform(-66.0, -36.0)), float(rng.uniform(170.0, 230.0)))
        yield _bowel(rng, fit, block, "jejunum", Tissue.SMALL_BOWEL, at, _JEJUNUM[1:], bowel)
    rows = np.asarray(URETER)
    for _ in range(int(rng.poisson(_URETER[0]))):
        place, side = float(rng.uniform(0.0, len(rows) - 1.0)), float(rng.choice((-1.0, 1.0)))
        x, y, z = (float(np.interp(place, np.arange(len(rows)), rows[:, k])) for k in range(3))
        step = int(min(place, len(rows) - 2))
        along = as_point((rows[step + 1] - rows[step]) * (side, 1.0, 1.0))
        wide = float(rng.uniform(2.2, 3.8))
        radii = (float(rng.uniform(4.0, 24.0)), wide, wide)
        yield _urine(rng, "ureter", Tissue.URETER, fit.to_real((side * x, y, z)), radii, along, _URETER[1:], urine)
    if rng.random() < _URETHRA[0]:
        below, radii = fit.to_real((0.0, -50.0, -46.0)), (float(rng.uniform(4.0, 12.0)), 3.5, 3.5)
        yield _urine(rng, "urethra", Tissue.URINE, below, radii, (0.0, -0.7, -0.7), _URETHRA[1:], urine)
    if rng.random() < _SKIN[0]:
        groin = fit.to_real((float(rng.uniform(-60.0, 60.0)), -88.0, -80.0))
        yield _urine(rng, "urine on the skin", Tissue.URINE, groin, (9.0, 9.0, 4.0), (1.0, 0.0, 0.0), _SKIN[1:], urine)


def _bowel(
    rng: np.random.Generator,
    fit: Fit,
    block: Block,
    name: str,
    tissue: Tissue,
    at: Point,
    suv: tuple[float, float],
    factor: float,
) -> Spot:
    """A hot stretch of bowel near a point of the reference man, in the nearest bowel where there is some."""
    wide = float(rng.uniform(6.0, 9.0))
    radii = (wide * float(rng.uniform(1.0, 2.5)), wide, wide)
    along = as_point(rng.normal(0.0, (0.5, 0.5, 1.0)))
    value = float(np.clip(rng.lognormal(np.log(suv[0]), suv[1]), 1.5, 40.0)) * factor
    return _spot(name, tissue, _nearest(block, tissue, fit.to_real(at)), radii, along, value, int(rng.integers(2**31)))


def _urine(
    rng: np.random.Generator,
    name: str,
    tissue: Tissue,
    place: Point,
    radii: Point,
    along: Point,
    suv: tuple[float, float],
    factor: float,
) -> Spot:
    value = float(np.clip(rng.lognormal(np.log(suv[0]), suv[1]), 1.5, 60.0)) * factor
    return _spot(name, tissue, place, radii, along, value, int(rng.integers(2**31)))


def _nearest(block: Block, tissue: Tissue, place: Point, reach_mm: float = 40.0) -> Point:
    """The voxel of a tissue nearest to a place, or the place itself where there is none within reach."""
    parts = []
    for axis, value in zip(block.axes, place, strict=True):
        start, stop = np.searchsorted(axis, (value - reach_mm, value + reach_mm))
        parts.append(slice(int(start), int(stop)))
    voxels = np.argwhere(block.tissue[parts[2], parts[1], parts[0]] == int(tissue))
    if not len(voxels):
        return place
    there = np.stack([block.axes[k][parts[k]][voxels[:, 2 - k]] for k in range(3)], axis=1)
    return as_point(there[int(np.square(there - place).sum(axis=1).argmin())])


def _spot(name: str, tissue: Tissue, place: Point, radii: Point, along: Point, suv: float, bumps: int) -> Spot:
    return Spot(name, tissue, Lesion(("",), name, "", place, radii, along, suv, bumps))


def _code_at(block: Block, place: Point) -> Tissue | None:
    index = voxel_at(block.axes, block.spacing, place)
    return None if index is None else Tissue(int(block.tissue[index]))
