"""Reference regions: spheres in which normal uptake is measured, placed in organs away from their edges and lesions.

A sphere of 3 cm in the right lobe of the liver follows PERCIST (Wahl et al. 2009, J Nucl Med 50:122S). The
sizes of the others, how far spheres keep from edges, lesions and foci, and that the heart stands for blood where no
aorta is mapped are choices of this project.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.grids import require_same_grid, require_scalar_3d
from PSMASegmentLib.measure import Box, Point, physical_point
from PSMASegmentLib.organs import OrganMap

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint8]

BLOOD_POOL, LIVER, SPLEEN, RIGHT_PAROTID, LEFT_PAROTID = (
    "blood pool",
    "liver",
    "spleen",
    "right parotid",
    "left parotid",
)
# Radius in mm of the sphere of each region; that of the blood pool is for the aorta. Liver: PERCIST.
RADIUS_MM = {BLOOD_POOL: 5.0, LIVER: 15.0, SPLEEN: 10.0, RIGHT_PAROTID: 6.0, LEFT_PAROTID: 6.0}
# How far a sphere keeps from the nearest voxel outside of its organ (mm), so that the blur of what is there does not
# count.
_EDGE_MM = {BLOOD_POOL: 3.0, LIVER: 5.0, SPLEEN: 4.0, RIGHT_PAROTID: 0.0, LEFT_PAROTID: 0.0}
_FROM_LESIONS_MM = 10.0
# A focus in liver or spleen: smoothed uptake of so many times the organ's median, or the inverse (bile ducts, cysts).
_EVEN = (LIVER, SPLEEN)
_FOCUS_RATIO, _SMOOTHING_FWHM_MM = 1.6, 8.0
# A standard deviation of more than this share of the mean is said; the noise of a usual scan stays below.
_UNEVEN = 0.3
# Where a map has one name for all salivary glands: the parotids lie farther from the midline (mm) than the others, in
# the organ maps that the positions of glands in ``constellation.SITES`` come from.
_PAROTID_ASIDE_MM = 50.0

# What a name in a map is, by the first pattern that matches.
_AORTA, _HEART_CAVITY, _HEART, _GLANDS = "aorta", "heart cavity", "heart", "salivary glands"
_NAMES: tuple[tuple[str, str], ...] = (
    (r"lesions?|tumou?rs?|cancer|metasta\w*|cysts?|submandibular|sublingual|lacrimal|myocardium|liver vessels?", ""),
    (r"head glands?|salivary", _GLANDS),
    (r"parotid.*right|right.*parotid", RIGHT_PAROTID),
    (r"parotid.*left|left.*parotid", LEFT_PAROTID),
    (r"parotid", _GLANDS),
    (r"liver", LIVER),
    (r"spleen", SPLEEN),
    (r"aorta", _AORTA),
    (r"heart.*(?:atrium|ventricle)|(?:atrium|ventricle).*heart|blood pool", _HEART_CAVITY),
    (r"heart", _HEART),
)
# Where blood is measured: the first that is mapped and wide enough, with the radius (mm) and what is said of it.
_BLOOD_SOURCES = (
    (_AORTA, RADIUS_MM[BLOOD_POOL], ""),
    (_HEART_CAVITY, 10.0, "Measured in the heart: no aorta is mapped, or none wide enough."),
    (_HEART, 10.0, "Measured in the middle of the heart: no aorta is mapped, or none wide enough."),
)


@dataclass(frozen=True)
class Reference:
    """A sphere (LPS mm) and the uptake in it, in the units of the emission image. ``note`` says what limits it."""

    name: str
    center_mm: Point
    radius_mm: float
    suv_mean: float
    suv_sd: float
    voxels: int
    note: str = ""


@dataclass(frozen=True)
class Placement:
    """The regions that could be placed, and why the others could not, by name."""

    references: tuple[Reference, ...]
    missing: dict[str, str] = field(default_factory=dict)


def place_references(
    emission: sitk.Image, organs: OrganMap | None, lesions: sitk.Image | None, wanted: Sequence[str] = tuple(RADIUS_MM)
) -> Placement:
    """Place and measure the ``wanted`` regions in the organs of a map; TotalSegmentator's names are understood too.

    Each sphere is put where it is farthest from the edge of its organ, from ``lesions`` (labels on the grid of
    ``emission``, any number but 0) and, in liver and spleen, from foci; in the liver right of its middle. Where no such
    place is far enough from all of them, the region is not placed.

    Raises ValueError for images that are no volumes and for lesions on another grid.
    """
    require_scalar_3d(emission, "emission image")
    if lesions is not None:
        require_same_grid(emission, lesions)
    if organs is None:
        return Placement((), dict.fromkeys(wanted, "There is no organ map."))
    require_scalar_3d(organs.labels, "organ map")
    mapped = _Mapped.of(organs, emission, lesions)
    placed: list[Reference] = []
    missing: dict[str, str] = {}
    for name in wanted:
        found = mapped.place(name)
        if isinstance(found, Reference):
            placed.append(found)
        else:
            missing[name] = found
    return Placement(tuple(placed), missing)


def measure_reference(emission: sitk.Image, center_mm: Point, radius_mm: float) -> tuple[float, float, int]:
    """Mean and standard deviation over, and number of, the voxels whose centers lie in a sphere (LPS mm).

    Raises ValueError where the sphere reaches out of the image, holds no voxel or values that are no finite numbers.
    """
    spacing = np.asarray(emission.GetSpacing()[::-1])
    if not np.isfinite((*center_mm, radius_mm)).all():
        raise ValueError(f"A sphere of {radius_mm} mm at {tuple(center_mm)} is nowhere. Give finite numbers.")
    center = np.asarray(emission.TransformPhysicalPointToContinuousIndex(center_mm)[::-1])
    low = np.ceil(center - radius_mm / spacing - 1e-9).astype(int)
    high = np.floor(center + radius_mm / spacing + 1e-9).astype(int)
    place = ", ".join(f"{value:.1f}" for value in center_mm)
    if (low < 0).any() or (high >= np.asarray(emission.GetSize()[::-1])).any():
        raise ValueError(f"A sphere of {radius_mm:g} mm at ({place}) reaches out of the image. Move it inside.")
    box = tuple(slice(first, last + 1) for first, last in zip(low, high, strict=True))
    axes = np.ogrid[box]
    squares = sum(((axis - at) * step) ** 2 for axis, at, step in zip(axes, center, spacing, strict=True))
    values = sitk.GetArrayViewFromImage(emission)[box][squares <= radius_mm**2 * (1 + 1e-9)].astype(np.float64)
    if not values.size:
        raise ValueError(f"A sphere of {radius_mm:g} mm at ({place}) holds no voxel. Make it larger.")
    if not np.isfinite(values).all():
        raise ValueError(f"The image holds no finite number at ({place}). Move the sphere elsewhere.")
    return float(values.mean()), float(values.std()), int(values.size)


@dataclass(frozen=True, eq=False)
class _Mapped:
    """What organs of interest a map shows on the grid of the emission image."""

    emission: sitk.Image
    lesions: sitk.Image | None
    codes: Numbers  # z, y, x: places in ``kinds`` from 1 on
    kinds: tuple[str, ...]  # of all names of the map, whether there are voxels of them or not
    boxes: tuple[Box | None, ...]

    @classmethod
    def of(cls, organs: OrganMap, emission: sitk.Image, lesions: sitk.Image | None) -> _Mapped:
        """Bring the organs of interest onto the grid of the emission image (nearest neighbor)."""
        kind_of = {value: kind for value, name in organs.names.items() if value > 0 and (kind := kind_of_name(name))}
        kinds = tuple(dict.fromkeys(kind_of.values()))
        values = sitk.GetArrayViewFromImage(organs.labels)
        coded = np.zeros(values.shape, np.uint8)
        for value, kind in kind_of.items():
            coded[values == value] = kinds.index(kind) + 1
        image = sitk.GetImageFromArray(coded)
        image.CopyInformation(organs.labels)
        on_grid = sitk.Resample(image, emission, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
        codes = sitk.GetArrayFromImage(on_grid)
        boxes = tuple(ndimage.find_objects(codes, len(kinds)))
        return cls(emission, lesions, codes, kinds, boxes)

    def place(self, name: str) -> Reference | str:
        """The sphere of a region, or why there is none."""
        if name == BLOOD_POOL:
            return self._blood_pool()
        organ = name if name in (LIVER, SPLEEN) else f"{name} gland"
        kind = name if name in self.kinds or name in (LIVER, SPLEEN) else _GLANDS
        if kind not in self.kinds:
            return f"The organ map has no {organ}."
        region = self._region(kind)
        if region is None:
            return f"The organ map shows no {organ} within the image."
        box, inside = region
        if kind == _GLANDS:
            inside &= self._is_parotid(box, inside, right=name == RIGHT_PAROTID)
            if not inside.any():
                return f"The organ map shows no {organ} within the image."
        return self._in_organ(name, organ, box, inside, RADIUS_MM[name])

    def _blood_pool(self) -> Reference | str:
        missing = "The organ map has neither aorta nor heart."
        for kind, radius_mm, note in _BLOOD_SOURCES:
            region = self._region(kind)
            if region is not None:
                found = self._in_organ(BLOOD_POOL, kind, *region, radius_mm, note)
                if isinstance(found, Reference):
                    return found
                missing = found
        return missing

    def _region(self, kind: str) -> tuple[Box, Mask] | None:
        """Box, widened by one voxel where the image allows, and mask of a kind of organ; None where there is none."""
        number = self.kinds.index(kind) + 1 if kind in self.kinds else 0
        box = self.boxes[number - 1] if number else None
        if box is None:
            return None
        z, y, x = (
            slice(max(part.start - 1, 0), min(part.stop + 1, size))
            for part, size in zip(box, self.codes.shape, strict=True)
        )
        return (z, y, x), self.codes[z, y, x] == number

    def _is_parotid(self, box: Box, inside: Mask, right: bool) -> Mask:
        """Voxels so far to one side of the middle of all glands that they are of a parotid."""
        x = self._x_mm(box)
        across = x[inside]
        middle = 0.5 * (across.min() + across.max())
        return (x <= middle - _PAROTID_ASIDE_MM) if right else (x >= middle + _PAROTID_ASIDE_MM)

    def _in_organ(
        self, name: str, organ: str, box: Box, inside: Mask, radius_mm: float, note: str = ""
    ) -> Reference | str:
        """The sphere at the place of the organ that is farthest from edge, lesions and foci."""
        free = inside & ~self._near_lesions(box)
        if name in _EVEN:
            free &= ~self._foci(box, inside)
        spacing = self.emission.GetSpacing()[::-1]
        depth = ndimage.distance_transform_edt(np.pad(free, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
        if name == LIVER:  # the right lobe is the larger one: what lies right of the median is of it
            x = self._x_mm(box)
            depth[x > np.median(x[inside]) - radius_mm] = 0.0
        needed = radius_mm + _EDGE_MM[name]
        if depth.max() <= needed * (1.0 + 1e-6):  # at just that distance a voxel outside would be in the sphere
            return f"No place in the {organ} is over {needed:g} mm away from its edge and from lesions."
        index = np.array(np.unravel_index(int(depth.argmax()), depth.shape)) + [part.start for part in box]
        center = physical_point(self.emission, index)
        mean, sd, voxels = measure_reference(self.emission, center, radius_mm)
        if sd > _UNEVEN * abs(mean):
            uneven = (
                f"Uneven: the standard deviation is {100 * sd / abs(mean):.0f} % of the mean." if mean else "No uptake."
            )
            note = f"{note} {uneven}".strip()
        return Reference(name, center, radius_mm, mean, sd, voxels, note)

    def _near_lesions(self, box: Box) -> Mask:
        """Voxels of the box within the distance that spheres keep from lesions."""
        spacing = np.asarray(self.emission.GetSpacing()[::-1])
        if self.lesions is None:
            return np.zeros([part.stop - part.start for part in box], dtype=bool)
        reach = np.ceil(_FROM_LESIONS_MM / spacing).astype(int)
        start = [max(part.start - r, 0) for part, r in zip(box, reach, strict=True)]
        around = tuple(slice(a, part.stop + r) for a, part, r in zip(start, box, reach, strict=True))
        lesions = sitk.GetArrayViewFromImage(self.lesions)[around] > 0
        inner = tuple(slice(part.start - a, part.stop - a) for a, part in zip(start, box, strict=True))
        if not lesions.any():
            return lesions[inner]
        near: Mask = ndimage.distance_transform_edt(~lesions, sampling=spacing)[inner] <= _FROM_LESIONS_MM
        return near

    def _foci(self, box: Box, inside: Mask) -> Mask:
        """Voxels much hotter or colder than the organ, after smoothing."""
        uptake = sitk.GetArrayViewFromImage(self.emission)[box].astype(np.float32)
        sigma = _SMOOTHING_FWHM_MM / (2.0 * np.sqrt(2.0 * np.log(2.0))) / np.asarray(self.emission.GetSpacing()[::-1])
        # Only the organ's own voxels count, so that what lies beside it makes no focus of its edge.
        weights = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
        smooth = ndimage.gaussian_filter(np.where(inside, uptake, 0.0), sigma) / np.maximum(weights, 1e-6)
        median = float(np.median(uptake[inside]))
        foci: Mask = inside & ((smooth > _FOCUS_RATIO * median) | (smooth < median / _FOCUS_RATIO))
        return foci

    def _x_mm(self, box: Box) -> npt.NDArray[np.float64]:
        """LPS x in mm of the voxels of a box."""
        to_x = np.asarray(self.emission.GetDirection()).reshape(3, 3)[0] * self.emission.GetSpacing()
        z, y, x = np.ogrid[box]
        shape = [part.stop - part.start for part in box]
        across = self.emission.GetOrigin()[0] + x * to_x[0] + y * to_x[1] + z * to_x[2]
        return np.broadcast_to(across, shape)


def regions_named(organs: OrganMap) -> frozenset[str]:
    """The regions that a map's table of names tells about, whether it shows their organs or not."""
    kinds = {kind_of_name(name) for value, name in organs.names.items() if value > 0}
    named = kinds & RADIUS_MM.keys()
    if _GLANDS in kinds:
        named |= {RIGHT_PAROTID, LEFT_PAROTID}
    if kinds & {source for source, _, _ in _BLOOD_SOURCES}:
        named |= {BLOOD_POOL}
    return frozenset(named)


def kind_of_name(name: str) -> str:
    """What a name in an organ map means here: a region, a source of blood, or salivary glands; "" for all others."""
    words = re.sub(r"[^a-z]+", " ", name.lower()).strip()
    if re.search(r"head glands?|salivary", words):  # also where the name says which glands these are
        return _GLANDS
    return next((kind for pattern, kind in _NAMES if re.search(rf"\b(?:{pattern})\b", words)), "")
