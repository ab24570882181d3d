"""Where a network's lesions must not grow: physiological uptake by the network itself, an organ map, or rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.inference.finish_settings import FinishSettings
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.organ_uptake import check_organ_map
from PSMASegmentLib.physiology import find_physiological
from PSMASegmentLib.physiology_labels import physiology_labels
from PSMASegmentLib.regions import Splitting, crop_to, find_hot_spots
from PSMASegmentLib.segmentation import Images

BY_NETWORK, BY_NETWORK_AND_MAP, BY_MAP, BY_RULES = (
    "the network's own classes",
    "the network's own classes and the organ map given",
    "organ map given",
    "rules",
)


@dataclass(frozen=True, eq=False)
class PhysiologicalVoxels:
    """``values`` (uint8, z, y, x on the emission grid) with their ``names``, and where they are known from."""

    values: npt.NDArray[np.uint8]
    names: Mapping[int, str]
    source: str


def physiological_voxels(images: Images, raw: RawResult, settings: FinishSettings) -> PhysiologicalVoxels:
    """Physiological uptake of a study.

    A network that knows organs is believed, and an organ map beside it is added. Without such classes an organ map
    counts, and rules look for the organs that it does not tell about, as for the method "rules". Raises ValueError for
    an organ map that cannot be this study's.
    """
    if raw.physiology is None:
        return _by_map_and_rules(images, settings)
    values = np.array(sitk.GetArrayViewFromImage(raw.physiology), dtype=np.uint8)
    names = dict(raw.names)
    if images.organs is None:
        return PhysiologicalVoxels(values, names, BY_NETWORK)
    check_organ_map(images.organs, images.emission)
    marked, of_map = physiology_labels(images.organs, None, None, _nothing(images.emission))
    added = sitk.GetArrayViewFromImage(marked)
    codes = {organ: value for value, organ in names.items()}
    for value, organ in of_map.items():
        code = codes.setdefault(organ, max([*names, 0]) + 1)
        names[code] = organ
        values[(added == value) & (values == 0)] = code
    return PhysiologicalVoxels(values, names, BY_NETWORK_AND_MAP)


def _by_map_and_rules(images: Images, settings: FinishSettings) -> PhysiologicalVoxels:
    taken = None
    part = crop_to(images.emission, settings.threshold, margin_voxels=2)
    if part is not None:
        part = sitk.Cast(part, sitk.sitkFloat32)
        splitting = Splitting(settings.threshold, settings.split_depth, settings.smoothing_mm)
        numbers, spots = find_hot_spots(part, splitting, settings.minimum_volume_ml)
        taken = find_physiological(images, part, numbers, spots, splitting, settings.organ_margin_mm)
    marked, names = physiology_labels(images.organs, taken, part, _nothing(images.emission))
    source = BY_RULES if images.organs is None else BY_MAP
    return PhysiologicalVoxels(sitk.GetArrayFromImage(marked), names, source)


def _nothing(emission: sitk.Image) -> sitk.Image:
    labels = sitk.Image(emission.GetSize(), sitk.sitkUInt16)
    labels.CopyInformation(emission)
    return labels
