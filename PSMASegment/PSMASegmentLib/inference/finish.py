"""From what a network marked to lesions: the same steps for every network, so that their results can be compared.

Marked regions grow a little into uptake above the threshold, never into physiological uptake, keep what reaches the
threshold, and are split where the uptake falls off between two maxima. Nothing that a network marked vanishes: what
speaks little for a lesion stays as a lesion whose finding says so, for a reader to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.connected import (
    Box,
    Voxels,
    box_of,
    connected_parts_of,
    grown_box,
    mask_in_box,
    voxels_by_label,
    within,
)
from PSMASegmentLib.grids import require_same_grid
from PSMASegmentLib.inference.blurred_ball import APPARENT_AT, STEEP_AT
from PSMASegmentLib.inference.finish_borders import (
    SURROUNDINGS_MM,
    border_share,
    height,
    is_narrow,
    study_blur,
    surroundings_level,
)
from PSMASegmentLib.inference.finish_findings import describe_lesions, removed_uptake
from PSMASegmentLib.inference.finish_organs import BY_NETWORK, PhysiologicalVoxels, physiological_voxels
from PSMASegmentLib.inference.finish_settings import FinishSettings
from PSMASegmentLib.inference.network import FULL_PROBABILITY, RawResult
from PSMASegmentLib.lesions import form_lesions
from PSMASegmentLib.measure import LARGEST_LABEL, voxel_volume_ml
from PSMASegmentLib.organ_sources import source_of
from PSMASegmentLib.regions import Splitting, smoothed, watershed
from PSMASegmentLib.segmentation import Images, Segmentation

Mask = npt.NDArray[np.bool_]
Progress = Callable[[float, str], None]

# Goes up whenever the same network result may give other lesions.
VERSION = "2"

_NEIGHBORS = np.ones((3, 3, 3), dtype=bool)


def finish(
    images: Images, raw: RawResult, settings: FinishSettings | None = None, progress: Progress | None = None
) -> Segmentation:
    """Lesions of a study from what a network says of it; ``raw.provenance["method"]`` is the origin of each.

    Raises ValueError for an emission image that is not in SUVbw and for results that are not on its grid.
    """
    settings = settings or FinishSettings()
    tell = progress or _silent
    if images.units != "SUVbw":
        raise ValueError(
            f'Lesions of a network are finished at a threshold in "SUVbw"; this emission image is in "{images.units}". '
            "Convert it with the patient's weight and the injected activity first."
        )
    for result in (raw.lesion, raw.probability, raw.physiology):
        if result is not None:
            require_same_grid(images.emission, result)
    tell(0.0, "Looking for physiological uptake")
    organs = physiological_voxels(images, raw, settings)
    tell(0.5, "Finishing what the network marked")
    marked: Mask = sitk.GetArrayViewFromImage(raw.lesion) > 0
    likely = _likely(raw, settings)
    kept, blur_mm = _kept(images.emission, marked, organs.values, likely, settings)
    tell(0.7, "Splitting it into lesions")
    lesions = _split(images.emission, kept, settings)
    tell(0.9, "Weighing the evidence")
    findings = describe_lesions(images.emission, lesions, marked, raw, organs, settings)
    removed = removed_uptake(images.emission, kept, marked, organs, settings)
    numbers = np.zeros(kept.shape, np.uint16)
    for number, voxels in enumerate(lesions, start=1):
        numbers.reshape(-1)[voxels] = number
        organs.values.reshape(-1)[voxels] = 0
    labels, physiology = _image(numbers, images.emission), _image(organs.values, images.emission)
    tell(1.0, f"{len(findings)} lesions")
    provenance = _provenance(images, raw, settings, organs, blur_mm)
    return Segmentation(labels, findings, removed, provenance, physiology, organs.names)


def _likely(raw: RawResult, settings: FinishSettings) -> Callable[[Voxels], bool]:
    """Whether a marked region, given by flat indices, has no low probability; also where the network gives none."""
    if raw.probability is None:
        return lambda _: True
    shares = sitk.GetArrayViewFromImage(raw.probability).reshape(-1)
    least = settings.low_probability * FULL_PROBABILITY
    return lambda region: bool(shares[region].mean() >= least)


def _kept(
    emission: sitk.Image,
    marked: Mask,
    blocked: npt.NDArray[np.uint8],
    likely: Callable[[Voxels], bool],
    settings: FinishSettings,
) -> tuple[Mask, float]:
    """The voxels that belong to lesions, and the blur (mm) that the study shows, 0 where it does not matter.

    A marked region takes what reaches the threshold within ``expand_mm``, is connected to it and is not blocked; then
    what does not reach it falls away. A region where nothing does stays as it was marked. Where borders are drawn anew,
    voxels must reach those too, and regions of low probability stay as marked: they may be no lesions at all. Borders
    of narrow regions wait until all have told how wide the blur is.
    """
    kept = np.zeros(marked.shape, bool)
    voxel_ml = voxel_volume_ml(emission)
    follows_blur = settings.border > 0.0 and settings.blur_mm > 0.0
    narrow: list[tuple[_Region, float]] = []
    for voxels in connected_parts_of(marked):
        if settings.border and not likely(voxels):
            kept.reshape(-1)[voxels] = True
            continue
        region = _region(emission, marked, blocked, voxels, settings)
        apparent_ml = region.count(APPARENT_AT) * voxel_ml
        if follows_blur and is_narrow(apparent_ml, settings.blur_mm):
            narrow.append((region, apparent_ml))
        else:
            kept[region.box] |= region.drawn(settings.border)
    told = [(apparent_ml, region.count(STEEP_AT) * voxel_ml) for region, apparent_ml in narrow]
    blur_mm = study_blur(told, settings.blur_mm) if follows_blur else 0.0
    for region, apparent_ml in narrow:
        kept[region.box] |= region.drawn(border_share(apparent_ml, settings.border, blur_mm))
    return kept, blur_mm


@dataclass(frozen=True, eq=False)
class _Region:
    """A marked region in a box (z, y, x) of the volume.

    ``inside`` is what was marked, ``free`` what may belong to the lesion, and ``height`` where each voxel lies between
    surroundings (0) and peak (1); None where borders are not drawn anew.
    """

    box: Box
    inside: Mask
    free: Mask
    height: npt.NDArray[np.float32] | None

    def drawn(self, share: float) -> Mask:
        """What belongs to the lesion when its border lies at a share of the way."""
        high = self._from(share)
        connected = ndimage.binary_propagation(self.inside, _NEIGHBORS, mask=self.inside | high)
        reached: Mask = connected & high
        return reached if reached.any() else self.inside

    def count(self, share: float) -> int:
        """How many voxels may belong to the lesion and reach a share of the way."""
        return int(np.count_nonzero(self._from(share)))

    def _from(self, share: float) -> Mask:
        return self.free if self.height is None else self.free & (self.height >= share)


def _region(
    emission: sitk.Image, marked: Mask, blocked: npt.NDArray[np.uint8], voxels: Voxels, settings: FinishSettings
) -> _Region:
    """A marked region, given by its flat indices, with what is around it."""
    uptake = sitk.GetArrayViewFromImage(emission)
    spacing = emission.GetSpacing()[::-1]
    tight = box_of(voxels, marked.shape)
    box = grown_box(tight, settings.expand_mm, spacing, marked.shape)
    wide = grown_box(tight, SURROUNDINGS_MM[1], spacing, marked.shape) if settings.border else box
    distance = ndimage.distance_transform_edt(~mask_in_box(voxels, marked.shape, wide), sampling=spacing)
    away = distance[within(box, wide)]
    inside = away == 0.0
    free = (uptake[box] >= settings.threshold) & (inside | ((away <= settings.expand_mm) & (blocked[box] == 0)))
    if not settings.border:
        return _Region(box, inside, free, None)
    ground = surroundings_level(uptake[wide], marked[wide], distance)
    return _Region(box, inside, free, height(uptake[box], inside, ground, spacing))


def _split(emission: sitk.Image, kept: Mask, settings: FinishSettings) -> list[Voxels]:
    """Flat indices of the voxels of each lesion, one for each maximum, largest first.

    Small parts join a neighbor, or stay where they have none. Equally large ones come in the order z, y, x. Each
    connected region is worked on alone: arrays of the whole volume would cost more than all the rest.
    """
    uptake = sitk.GetArrayViewFromImage(emission)
    sigma = Splitting(settings.threshold, settings.split_depth, settings.smoothing_mm).sigma_voxels(emission)
    # A hair below the limit, so that a part of exactly the minimum volume is not lost to rounding.
    smallest = settings.minimum_volume_ml / voxel_volume_ml(emission) - 1e-6
    found: list[Voxels] = []
    for region in connected_parts_of(kept):
        if region.size < 2 * smallest or settings.split_depth == 0:
            found.append(region)
            continue
        box = box_of(region, kept.shape)
        inside = mask_in_box(region, kept.shape, box)
        basins = watershed(smoothed(uptake, box, sigma), inside, settings.threshold, settings.split_depth)
        if (basins[inside] == basins[inside][0]).all():
            found.append(region)
            continue
        formed = form_lesions(basins, np.zeros_like(basins), {}, smallest)
        found += [_flat(own, box, kept.shape) for own in voxels_by_label(formed.lesions).values()]
    if len(found) > LARGEST_LABEL:
        raise ValueError(
            f"The network marked {len(found)} separate regions; at most {LARGEST_LABEL} can be numbered. It was "
            "probably not made for such images."
        )
    return sorted(found, key=lambda own: (-own.size, int(own[0])))


def _flat(voxels: Voxels, box: Box, shape: tuple[int, ...]) -> Voxels:
    """Flat indices into a box as flat indices into an array of a shape."""
    inner = np.unravel_index(voxels, [part.stop - part.start for part in box])
    place = tuple(axis + part.start for axis, part in zip(inner, box, strict=True))
    flat: Voxels = np.ravel_multi_index(place, shape)
    return flat


def _image(values: npt.NDArray[np.unsignedinteger], grid: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(grid)
    return image


def _provenance(
    images: Images, raw: RawResult, settings: FinishSettings, organs: PhysiologicalVoxels, blur_mm: float
) -> dict[str, Any]:
    """What the network's method says of itself, and how its result was finished."""
    return {
        **raw.provenance,
        "units": images.units,
        "tracer": images.tracer,
        "finish": {"version": VERSION, "settings": settings.to_json(), "blur_mm": round(blur_mm, 2)},
        "organs": organs.source,
        "organ_source": BY_NETWORK if organs.source == BY_NETWORK else source_of(images.organs),
        "organ_names": {str(value): name for value, name in organs.names.items()},
        "warnings": list(raw.provenance.get("warnings", [])),
        "software": {
            **raw.provenance.get("software", {}),
            "SimpleITK": sitk.Version.VersionString(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }


def _silent(fraction: float, message: str) -> None:
    """Nobody wants to be told."""
