"""What speaks for each lesion that a network marked, and what is said of uptake that it did not mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.connected import Voxels
from PSMASegmentLib.inference.finish_organs import PhysiologicalVoxels
from PSMASegmentLib.inference.finish_settings import FinishSettings
from PSMASegmentLib.inference.network import FULL_PROBABILITY, RawResult
from PSMASegmentLib.measure import physical_point, voxel_volume_ml
from PSMASegmentLib.segmentation import Finding, Removed

Mask = npt.NDArray[np.bool_]

NOT_MARKED = "not marked by the network"
BELOW_THRESHOLD = "marked by the network, below the threshold"
BEYOND_BORDER = "marked by the network, beyond the border of the lesion"
_PLANES = 8
LOW_EVIDENCE = "low evidence, to be decided by a reader: "


def describe_lesions(
    emission: sitk.Image,
    lesions: Sequence[Voxels],
    marked: Mask,
    raw: RawResult,
    organs: PhysiologicalVoxels,
    settings: FinishSettings,
) -> list[Finding]:
    """One finding per lesion, from 1 on; ``lesions`` holds the flat indices of their voxels.

    The probability is the mean over the voxels that the network marked.
    """
    uptake = sitk.GetArrayViewFromImage(emission).reshape(-1)
    shares = None if raw.probability is None else sitk.GetArrayViewFromImage(raw.probability).reshape(-1)
    origin = str(raw.provenance["method"])
    findings = []
    for lesion, voxels in enumerate(lesions, start=1):
        seeds = voxels[marked.reshape(-1)[voxels]]
        probability = None
        if shares is not None and seeds.size:
            probability = float(shares[seeds].mean()) / FULL_PROBABILITY
        hottest = voxels[int(uptake[voxels].argmax())]
        organ = organs.names.get(int(organs.values.reshape(-1)[hottest]), "")
        volume_ml = voxels.size * voxel_volume_ml(emission)
        doubts = _doubts(float(uptake[hottest]), volume_ml, probability, organ, organs.source, settings)
        if not seeds.size:
            doubts.append(f"within {settings.expand_mm:g} mm of what the network marked, not marked itself")
        findings.append(Finding(lesion, origin, _reason(doubts, probability), probability, bool(doubts)))
    return findings


def _doubts(
    suv_max: float,
    volume_ml: float,
    probability: float | None,
    organ: str,
    source: str,
    settings: FinishSettings,
) -> list[str]:
    """What speaks against a lesion, as parts of a sentence."""
    doubts = []
    if suv_max < settings.threshold:
        doubts.append(f"SUVmax {suv_max:.1f} does not reach the threshold of {settings.threshold:g}")
    elif suv_max < settings.low_suv_max:
        doubts.append(f"SUVmax {suv_max:.1f} is below {settings.low_suv_max:g}")
    if probability is not None and probability < settings.low_probability:
        doubts.append(f"mean probability {probability:.2f} is below {settings.low_probability:g}")
    # The same hair as where lesions are formed.
    if volume_ml < settings.minimum_volume_ml - 1e-9:
        doubts.append(f"volume {volume_ml:.2f} mL is below {settings.minimum_volume_ml:g} mL")
    if organ:
        doubts.append(f"its hottest voxel lies in physiological uptake: {organ} (by {source})")
    return doubts


def _reason(doubts: list[str], probability: float | None) -> str:
    if doubts:
        return LOW_EVIDENCE + "; ".join(doubts)
    return "marked by the network" + ("" if probability is None else f", mean probability {probability:.2f}")


def removed_uptake(
    emission: sitk.Image, kept: Mask, marked: Mask, organs: PhysiologicalVoxels, settings: FinishSettings
) -> list[Removed]:
    """One record per reason why high uptake, or what the network marked, is no lesion; largest first.

    ``kept`` is true in lesions.
    """
    uptake = sitk.GetArrayViewFromImage(emission)
    left = _left(uptake, kept, marked, settings.told_from)
    values, dropped = uptake.reshape(-1)[left], marked.reshape(-1)[left]
    codes = organs.values.reshape(-1)[left].astype(np.int64)
    reasons = _reasons(organs, BEYOND_BORDER if settings.border else BELOW_THRESHOLD)
    codes[dropped] = max(reasons)
    records = []
    for code, reason in reasons.items():
        chosen = np.flatnonzero(codes == code)
        if chosen.size:
            hottest = chosen[int(values[chosen].argmax())]
            index = np.asarray(np.unravel_index(left[hottest], uptake.shape))
            volume_ml = chosen.size * voxel_volume_ml(emission)
            records.append(Removed(reason, volume_ml, float(values[hottest]), physical_point(emission, index)))
    return sorted(records, key=lambda record: -record.volume_ml)


def _left(uptake: npt.NDArray[np.floating], kept: Mask, marked: Mask, threshold: float) -> Voxels:
    """Flat indices of voxels that reach the threshold or were marked, and are in no lesion.

    Some planes at a time: masks of a large volume take longer to make than to look at.
    """
    plane = kept[0].size
    found = []
    for first in range(0, len(kept), _PLANES):
        part = slice(first, first + _PLANES)
        left = ((uptake[part] >= threshold) | marked[part]) & ~kept[part]
        found.append(np.flatnonzero(left) + first * plane)
    return np.concatenate(found)


def _reasons(organs: PhysiologicalVoxels, dropped: str) -> Mapping[int, str]:
    """Why a voxel is no lesion, by the value of its physiological uptake; 0 is none, the last the dropped marks."""
    named = {value: f"{name}: physiological uptake by {organs.source}" for value, name in organs.names.items()}
    return {0: NOT_MARKED, **named, max([0, *named]) + 1: dropped}
