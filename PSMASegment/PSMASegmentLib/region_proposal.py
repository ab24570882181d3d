"""In which region a lesion lies: proposed from organ map, CT and position, with the reason in plain words.

A proposal is a starting point for a reader, never a finding. The regions are those of miTNM (PROMISE V2, Eur Urol
2023;83:405): prostate bed (T, with structures that a prostate tumor grows into), pelvic node (N), distant node (M1a),
bone (M1b), visceral (M1c). Shares are of the hottest voxels of a lesion, which the blur of the image displaces least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.coarse import coarse_copy
from PSMASegmentLib.constellation import body_middle_x, find_middle_of_kidneys
from PSMASegmentLib.grids import require_same_grid, sampled
from PSMASegmentLib.large_organs import find_large_organs
from PSMASegmentLib.lesion_regions import BONE, PROSTATE_BED, VISCERAL, Region
from PSMASegmentLib.region_ct import BodyCT, Lookup, Points, points_of, read_ct
from PSMASegmentLib.region_landmarks import Landmarks, find_landmarks
from PSMASegmentLib.region_names import Place, place_of
from PSMASegmentLib.region_position import Skeleton, bone_site, soft_tissue
from PSMASegmentLib.regions import crop_to
from PSMASegmentLib.segmentation import Images

# All of these are choices of this project, the shares as measured on synthetic patients.
_HOT_SHARE = 0.5  # of the lesion's highest value: its hottest voxels
_MOST_VOXELS = 600  # of which so many are looked at
_BONE_SHARE, _BESIDE_BONE_SHARE, _ORGAN_SHARE, _PROSTATE_SHARE = 0.3, 0.1, 0.5, 0.3
# How far around a lesion its surroundings are looked at, and how much of them is lung: near the hila, and aside.
_AROUND_MM, _LUNG_AROUND, _LUNG_AROUND_ASIDE, _ASIDE_MM, _ORGAN_AROUND = 12.0, 0.75, 0.5, 50.0, 0.6
_BESIDE_LUNG_SHARE = 0.3
_SAMPLED_MM = 6.0
_LUNG, _BLADDER = "lung", "urinary bladder"
_HEAT_SUV = 3.0  # above which organs are looked for by their uptake


@dataclass(frozen=True, eq=False)
class RegionProposer:
    """Proposes regions in one study; made by ``region_proposer``."""

    emission: sitk.Image
    places: Mapping[int, Place]
    values_at: Lookup | None
    uptake_places: Mapping[int, Place]
    uptake_at: Lookup | None
    body: BodyCT | None
    known: Landmarks
    skeleton: Skeleton | None

    def propose(self, indices: npt.NDArray[np.int64], values: npt.NDArray[np.floating]) -> Region:
        """The region of a lesion from its voxels: indices (n, 3) z, y, x on the emission grid, uptake (n).

        The name is "" where the region cannot be told; the reason then says why. Raises ValueError for a lesion
        without voxels and for indices and values that are not of one length.
        """
        if len(indices) == 0 or len(indices) != len(values):
            raise ValueError(f"A lesion needs voxels, each with its uptake, not {len(indices)} and {len(values)}.")
        hot = np.flatnonzero(values >= _HOT_SHARE * values.max())
        points = points_of(self.emission, indices[hot[:: -(-len(hot) // _MOST_VOXELS)]])
        on_ct = 0.0 if self.body is None else float(self.body.bone_at.at(points).mean())
        around = _around(points)
        lung, source = self._lung_share(around)
        return (
            self._in_structure(points, on_ct)
            or self._in_organ_by_uptake(points, around)
            or self._in_lung(around, lung, source)
            or self._by_position(points, on_ct, lung)
        )

    def propose_all(self, labels: sitk.Image) -> dict[int, Region]:
        """The region of every lesion of a label image on the emission grid, by its number."""
        require_same_grid(self.emission, labels)
        numbers, uptake = sitk.GetArrayViewFromImage(labels), sitk.GetArrayViewFromImage(self.emission)
        regions = {}
        for number, box in enumerate(ndimage.find_objects(numbers), start=1):
            if box is not None:
                inside = np.argwhere(numbers[box] == number)
                values = uptake[box][tuple(inside.T)]
                regions[number] = self.propose(inside + [part.start for part in box], values)
        return regions

    def _in_structure(self, points: Points, on_ct: float) -> Region | None:
        """The region where enough of the voxels lie in one structure of organ map or CT (``on_ct``: share in bone)."""
        mapped = _shares(points, self.places, self.values_at)
        bone = sum(share for place, share in mapped.items() if place.region == BONE)
        if bone >= _BONE_SHARE:
            return _of_map(mapped, BONE, bone)
        local = {place: share for place, share in mapped.items() if place.region == PROSTATE_BED}
        bladder = sum(share for place, share in local.items() if place.site == _BLADDER)
        prostate = sum(local.values()) - bladder
        if (prostate >= _PROSTATE_SHARE or bladder >= _ORGAN_SHARE) and prostate + bladder > on_ct:
            return _of_map(local, PROSTATE_BED, prostate + bladder)
        viscera = {
            place: share
            for place, share in mapped.items()
            if place.region == VISCERAL and not place.site.endswith(_LUNG)
        }
        organ = max(viscera.values(), default=0.0)
        if organ >= _ORGAN_SHARE and organ > on_ct:
            return _of_map(viscera, VISCERAL, organ)
        if self.body is not None and self.skeleton is not None and on_ct >= _BONE_SHARE:
            site = bone_site(np.median(points, axis=0), self.known, self.skeleton)
            reason = f"CT: {100 * on_ct:.0f} % in bone ({self.body.bone_hu:.0f} HU or more, with its marrow)"
            return Region(BONE, site, reason)
        return None

    def _in_organ_by_uptake(self, points: Points, around: Points) -> Region | None:
        """A large organ that the uptake shows, or a hot spot of another height in it."""
        for where, least, what in ((points, _ORGAN_SHARE, "it"), (around, _ORGAN_AROUND, "what surrounds it")):
            for place, share in _shares(where, self.uptake_places, self.uptake_at).items():
                if share >= least:
                    reason = f"uptake: {100 * share:.0f} % of {what} in what is taken for the {place.site}"
                    return Region(place.region, place.site, reason)
        return None

    def _lung_share(self, around: Points) -> tuple[float, str]:
        """How much of what surrounds a lesion is lung, by CT or organ map, and which of them says so."""
        lungs = {value: place for value, place in self.places.items() if place.site.endswith(_LUNG)}
        by_map = sum(_shares(around, lungs, self.values_at).values())
        on_ct = 0.0 if self.body is None else float(self.body.lungs_at.at(around).mean())
        return max((on_ct, "CT"), (by_map, "organ map"))

    def _in_lung(self, around: Points, lung: float, source: str) -> Region | None:
        """Lung where most of what surrounds the lesion is lung: nodules are dense, and nodes of the hila lie beside."""
        aside = float(around[:, 0].mean()) - self.known.middle_x
        if lung < (_LUNG_AROUND if abs(aside) < _ASIDE_MM else _LUNG_AROUND_ASIDE):
            return None
        site = f"{'left' if aside > 0 else 'right'} {_LUNG}"
        return Region(VISCERAL, site, f"{source}: {100 * lung:.0f} % of what surrounds it is lung")

    def _by_position(self, points: Points, on_ct: float, lung: float) -> Region:
        region = soft_tissue(np.median(points, axis=0), self.known, self.skeleton)
        if region.name == PROSTATE_BED:
            return region
        if self.skeleton is None:
            return Region("", "", "without CT or bones in the organ map, bone and soft tissue cannot be told apart")
        if not region.name:
            return Region("", "", "neither organ map, CT nor position tells")
        if on_ct >= _BESIDE_BONE_SHARE:
            return Region("", "", f"CT: {100 * on_ct:.0f} % in bone, too little for a bone and much for a node")
        if region.site.endswith("axillary") and lung >= _BESIDE_LUNG_SHARE:
            return Region("", "", f"{100 * lung:.0f} % of what surrounds it is lung: lung, chest wall or a node")
        return region


def region_proposer(images: Images) -> RegionProposer:
    """Look once at organ map, CT and, for organs that the map does not name, uptake of a study.

    Uptake tells of organs only in SUVbw. Raises ValueError where the organ map is no volume.
    """
    places: dict[int, Place] = {}
    values_at = None
    organs: dict[str, Points] = {}
    bones: dict[str, Points] = {}
    if images.organs is not None:
        named = {value: place_of(name) for value, name in images.organs.names.items() if value > 0}
        places = {value: place for value, place in named.items() if place is not None}
        values_at = Lookup(images.organs.labels)
        organs, bones = _points_of_places(images.organs.labels, places)
    uptake_places: dict[int, Place] = {}
    uptake_at = None
    if images.units == "SUVbw" and not {"kidney", "urinary bladder", "liver"} <= set(organs):
        uptake_places, uptake_at, found = _organs_by_uptake(images, frozenset(organs))
        organs = found | organs
    body = None if images.ct is None else read_ct(images.ct, organs.get("kidney"))
    known = find_landmarks(organs, bones, body, _ceiling(images.emission))
    in_bone = [*bones.values()] if body is None else [body.bone_points]
    skeleton = Skeleton(np.concatenate(in_bone)) if in_bone else None
    return RegionProposer(images.emission, places, values_at, uptake_places, uptake_at, body, known, skeleton)


def _ceiling(image: sitk.Image) -> float:
    """The highest LPS z (mm) that an image reaches."""
    last = np.asarray(image.GetSize()[::-1]) - 1
    return float(points_of(image, np.array(list(np.ndindex(2, 2, 2))) * last)[:, 2].max())


# Points on a ball, about evenly (Fibonacci's spiral).
_STEPS = np.arange(64) + 0.5
_HEIGHTS, _TURNS = 1.0 - 2.0 * _STEPS / 64, np.pi * (1.0 + 5.0**0.5) * _STEPS
_DIRECTIONS = np.stack(
    [np.sqrt(1.0 - _HEIGHTS**2) * np.cos(_TURNS), np.sqrt(1.0 - _HEIGHTS**2) * np.sin(_TURNS), _HEIGHTS], axis=1
)


def _around(points: Points) -> Points:
    """Points of a ball a little larger than a lesion."""
    middle = points.mean(axis=0)
    radius = np.linalg.norm(points - middle, axis=1).max() + _AROUND_MM
    ball: Points = middle + radius * _DIRECTIONS
    return ball


def _shares(points: Points, places: Mapping[int, Place], values_at: Lookup | None) -> dict[Place, float]:
    """Share of the points in each place, largest first."""
    if values_at is None:
        return {}
    counts = Counter(values_at.at(points).tolist())
    shares: Counter[Place] = Counter()
    for value, count in counts.items():
        if int(value) in places:
            shares[places[int(value)]] += count
    return {place: count / len(points) for place, count in shares.most_common()}


def _of_map(mapped: Mapping[Place, float], region: str, share: float) -> Region:
    site = next(place.site for place in mapped if place.region == region)
    return Region(region, site, f"organ map: {100 * share:.0f} % in {site}")


def _points_of_places(labels: sitk.Image, places: Mapping[int, Place]) -> tuple[dict[str, Points], dict[str, Points]]:
    """Points (LPS mm) in the organs and in the bones of a map, by site without its side."""
    few = sampled(labels, _SAMPLED_MM)
    values = sitk.GetArrayViewFromImage(few)
    filled = np.argwhere(values)
    of_filled = values[tuple(filled.T)]
    points = points_of(few, filled)
    gathered: dict[tuple[bool, str], list[Points]] = {}
    for value, place in places.items():
        inside = points[of_filled == value]
        if len(inside):
            site = place.site.removeprefix("left ").removeprefix("right ")
            site = "sacrum" if site == "vertebra S1" else site
            gathered.setdefault((place.region == BONE, site), []).append(inside)
    organs = {site: np.concatenate(parts) for (is_bone, site), parts in gathered.items() if not is_bone}
    bones = {site: np.concatenate(parts) for (is_bone, site), parts in gathered.items() if is_bone}
    return organs, bones


def _organs_by_uptake(
    images: Images, known: frozenset[str]
) -> tuple[dict[int, Place], Lookup | None, dict[str, Points]]:
    """Large organs that the map does not name, looked for by their uptake."""
    part = crop_to(images.emission, _HEAT_SUV, margin_voxels=2)
    if part is None:
        return {}, None, {}
    coarse = coarse_copy(part)
    middle = find_middle_of_kidneys(coarse, body_middle_x(images.emission))
    organs = find_large_organs(coarse, None, middle, False, known, _HEAT_SUV)
    if organs is None:
        return {}, None, {}
    labels = np.zeros(coarse.values.shape, dtype=np.uint8)
    places: dict[int, Place] = {}
    points: dict[str, list[Points]] = {}
    for number, organ in enumerate(organs.found, start=1):
        place = place_of(organ.name)
        if place is not None:
            labels[organ.mask] = number
            places[number] = place
            site = place.site.removeprefix("left ").removeprefix("right ")
            points.setdefault(site, []).append(coarse.point(np.argwhere(organ.mask)))
    return places, Lookup(coarse.image(labels)), {site: np.concatenate(parts) for site, parts in points.items()}
