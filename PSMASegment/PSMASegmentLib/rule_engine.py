"""Segmentation by rules: a threshold, hot spots, physiological uptake taken away. Needs no trained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.lesions import Formed, form_lesions
from PSMASegmentLib.measure import physical_point, voxel_volume_ml
from PSMASegmentLib.organ_sources import source_of
from PSMASegmentLib.organ_uptake import map_on_grid
from PSMASegmentLib.physiology import Physiology, find_physiological
from PSMASegmentLib.physiology_labels import physiology_labels
from PSMASegmentLib.regions import Numbers, Splitting, crop_to, find_hot_spots
from PSMASegmentLib.relative_threshold import Outlined, outline_at_percent
from PSMASegmentLib.rule_levels import Levels, Mask
from PSMASegmentLib.rules import PERCENT, REFERENCE, RuleSet, rule_set_from
from PSMASegmentLib.segmentation import Finding, Images, Removed, Segmentation

# Goes up whenever the same input may give another output.
VERSION = "1"

_FOCAL_REASON = "hot spot in liver or spleen, over twice the organ's median: metastasis, gallbladder or bile ducts?"


class RuleEngine:
    """Candidates are voxels at or above a threshold; ``rules.RuleSet`` tells the rules, the settings, their sources."""

    name = "rules"

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for settings that the rules do not know or that are out of range."""
        rule_set_from(settings)

    def segment(
        self, images: Images, settings: Mapping[str, Any], progress: Callable[[float, str], None]
    ) -> Segmentation:
        """Find lesions in SUVbw images; ValueError for other units and for unknown settings."""
        rules = rule_set_from(settings)
        if images.units != "SUVbw":
            raise ValueError(
                f'The rules hold for emission images in "SUVbw", not in "{images.units}". Convert the image with the '
                "patient's weight and the injected activity first."
            )
        progress(0.0, "Looking for uptake above the threshold")
        levels = Levels.of(images, rules)
        labels = sitk.Image(images.emission.GetSize(), sitk.sitkUInt16)
        labels.CopyInformation(images.emission)
        findings: list[Finding] = []
        removed: list[Removed] = []
        physiology = None
        part = crop_to(images.emission, levels.lowest_suv, margin_voxels=2)
        if part is not None:
            emission = part if part.GetPixelID() == sitk.sitkFloat32 else sitk.Cast(part, sitk.sitkFloat32)
            bone = levels.bone_in(emission, images.emission)
            found = _find(emission, images, levels, bone, progress)
            physiology = found.physiology
            labels = _paste(found.formed.lesions, emission, labels)
            findings = _findings(emission, found, images, levels, bone)
            removed = _removed(emission, found.formed.removed, found.formed.removed_reasons)
        organs = images.organs if rules.remove_physiological else None
        marked, names = physiology_labels(organs, physiology, part, labels)
        progress(1.0, f"{len(findings)} lesions")
        return Segmentation(labels, findings, removed, _provenance(images, levels), marked, names)


@dataclass(frozen=True, eq=False)
class _Found:
    """Lesions and removed uptake, and what was taken for physiological, on the grid of the cropped emission image."""

    formed: Formed
    physiology: Physiology
    outlined: Outlined | None


def _find(
    emission: sitk.Image, images: Images, levels: Levels, bone: Mask | None, progress: Callable[[float, str], None]
) -> _Found:
    rules = levels.rules
    progress(0.1, "Splitting the uptake into hot spots")
    splitting = Splitting(levels.candidate_suv, rules.split_depth, rules.smoothing_mm)
    candidates = levels.candidates(emission, bone)
    numbers, spots = find_hot_spots(emission, splitting, rules.minimum_volume_ml, candidates)
    if rules.remove_physiological:
        progress(0.4, f"Looking for physiological uptake among {len(spots)} hot spots")
        organs_from = rules.threshold if rules.threshold_rule == REFERENCE else None
        margin_mm = rules.organ_margin_mm
        physiology = find_physiological(images, emission, numbers, spots, splitting, margin_mm, organs_from)
    else:
        physiology = Physiology(np.zeros_like(numbers), {}, np.zeros(numbers.shape, dtype=bool))
    progress(0.8, "Numbering the lesions")
    # A hair below the limit, so that a part of exactly the minimum volume is not lost to rounding.
    smallest_voxels = rules.minimum_volume_ml / voxel_volume_ml(emission) - 1e-6
    formed = form_lesions(numbers, physiology.taken, physiology.reasons, smallest_voxels)
    if rules.threshold_rule != PERCENT:
        return _Found(formed, physiology, None)
    progress(0.9, f"Outlining the lesions at {rules.percent:g} % of their maximum")
    blocked = _organs_of_map(images, emission) if rules.remove_physiological else None
    outlined = outline_at_percent(emission, formed, rules.percent, rules.threshold, smallest_voxels, blocked)
    return _Found(outlined.formed, physiology, outlined)


def _organs_of_map(images: Images, emission: sitk.Image) -> Mask | None:
    """Voxels of the organs with physiological uptake of an organ map; None without one."""
    if images.organs is None:
        return None
    voxels = map_on_grid(images.organs, emission)
    return np.isin(voxels.exact, list(voxels.organs))


def _paste(lesions: npt.NDArray[np.uint16], emission: sitk.Image, whole: sitk.Image) -> sitk.Image:
    """The whole label image with the lesions of the cropped part put where it came from."""
    at = whole.TransformPhysicalPointToIndex(emission.GetOrigin())
    return sitk.Paste(whole, sitk.GetImageFromArray(lesions), emission.GetSize(), [0, 0, 0], at)


def _findings(emission: sitk.Image, found: _Found, images: Images, levels: Levels, bone: Mask | None) -> list[Finding]:
    """One finding per lesion, ascending."""
    lesions = found.formed.lesions
    outside = ""
    if levels.rules.remove_physiological:
        outside = ", outside physiological organs by " + ("organ map and rules" if images.organs else "rules")
    inside_organ = set(np.unique(lesions[found.physiology.focal]).tolist())
    in_bone = set() if bone is None else _peaking_in(emission, lesions, bone)
    findings = []
    for lesion in range(1, int(lesions.max()) + 1):
        if found.outlined is not None:
            level, stopped = found.outlined.suv_level[lesion], lesion in found.outlined.stopped
            reason = levels.percent_reason(level, stopped) + outside
        else:
            reason = levels.reason(lesion in in_bone) + outside
        findings.append(Finding(lesion, RuleEngine.name, _FOCAL_REASON if lesion in inside_organ else reason))
    return findings


def _peaking_in(emission: sitk.Image, lesions: npt.NDArray[np.uint16], bone: Mask) -> set[int]:
    """The lesions whose hottest voxel is bone."""
    uptake = sitk.GetArrayViewFromImage(emission)
    peaking = set()
    for lesion, box in enumerate(ndimage.find_objects(lesions.astype(np.int32)), start=1):
        hottest = np.where(lesions[box] == lesion, uptake[box], -np.inf).argmax()
        if bone[box].ravel()[hottest]:
            peaking.add(lesion)
    return peaking


def _removed(emission: sitk.Image, numbers: Numbers, reasons: Mapping[int, str]) -> list[Removed]:
    """One record per reason; hottest voxel of all uptake removed for it. In descending volume."""
    uptake = sitk.GetArrayViewFromImage(emission)
    records = []
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if box is None:
            continue
        indices = np.argwhere(numbers[box] == number) + [part.start for part in box]
        values: npt.NDArray[np.float32] = uptake[tuple(indices.T)]
        records.append(
            Removed(
                reason=reasons[number],
                volume_ml=values.size * voxel_volume_ml(emission),
                suv_max=float(values.max()),
                hottest_mm=physical_point(emission, indices[int(values.argmax())]),
            )
        )
    return sorted(records, key=lambda record: -record.volume_ml)


def _provenance(images: Images, levels: Levels) -> dict[str, Any]:
    """Everything that decided the result but the images themselves; no times, so that equal runs are equal."""
    rules = levels.rules
    if not rules.remove_physiological:
        source = "not used"
    else:
        source = "organ map given" if images.organs is not None else "rules"
    return {
        "method": RuleEngine.name,
        "version": VERSION,
        "rule_set": rules.name,
        "settings": rules.settings(),
        "threshold": levels.to_dict(),
        "units": images.units,
        "tracer": images.tracer,
        "organs": source,
        "organ_source": source_of(images.organs) if rules.remove_physiological else source,
        "organ_names": {str(v): n for v, n in images.organs.names.items()} if images.organs is not None else {},
        "ct_used": images.ct is not None and (rules.remove_physiological or levels.bone_suv is not None),
        "warnings": [*levels.warnings(), *_warnings(images, rules)],
        "software": {"SimpleITK": sitk.Version.VersionString(), "numpy": np.__version__, "scipy": scipy.__version__},
    }


def _warnings(images: Images, rules: RuleSet) -> list[str]:
    """What a reader must know about how these lesions came about."""
    if rules.remove_physiological and images.organs is None and "1007" in images.tracer:
        return [
            "18F-PSMA-1007 without an organ map: liver, spleen and kidneys are about equally hot, so that the rules "
            "cannot tell organs and lesions apart. Give an organ map, or check every lesion and everything removed."
        ]
    return []
