"""Segmentation by rules: a threshold, hot spots, physiological uptake taken away. Needs no trained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.lesions import Formed, form_lesions
from PSMASegmentLib.measure import physical_point, voxel_volume_ml
from PSMASegmentLib.physiology import Physiology, find_physiological
from PSMASegmentLib.physiology_labels import physiology_labels
from PSMASegmentLib.regions import Numbers, Splitting, crop_to, find_hot_spots
from PSMASegmentLib.rules import RuleSet, rule_set_from
from PSMASegmentLib.segmentation import Finding, Images, Removed, Segmentation

# Goes up whenever the same input may give another output.
VERSION = "1"

_FOCAL_REASON = "hot spot in liver or spleen, over twice the organ's median: metastasis, gallbladder or bile ducts?"


class RuleEngine:
    """Candidates are voxels at or above a threshold; see ``rules.RuleSet`` for the settings and their sources."""

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
        labels = sitk.Image(images.emission.GetSize(), sitk.sitkUInt16)
        labels.CopyInformation(images.emission)
        findings: list[Finding] = []
        removed: list[Removed] = []
        physiology = None
        part = crop_to(images.emission, rules.threshold, margin_voxels=2)
        if part is not None:
            emission = sitk.Cast(part, sitk.sitkFloat32)
            formed, physiology = _find(emission, images, rules, progress)
            labels = _paste(formed.lesions, emission, labels)
            findings = _findings(formed.lesions, physiology.focal, images, rules)
            removed = _removed(emission, formed.removed, formed.removed_reasons)
        organs = images.organs if rules.remove_physiological else None
        marked, names = physiology_labels(organs, physiology, part, labels)
        progress(1.0, f"{len(findings)} lesions")
        return Segmentation(labels, findings, removed, _provenance(images, rules), marked, names)


def _find(
    emission: sitk.Image, images: Images, rules: RuleSet, progress: Callable[[float, str], None]
) -> tuple[Formed, Physiology]:
    """Lesions and removed uptake, and what was taken for physiological, on the grid of the cropped emission image."""
    progress(0.1, "Splitting the uptake into hot spots")
    splitting = Splitting(rules.threshold, rules.split_depth, rules.smoothing_mm)
    numbers, spots = find_hot_spots(emission, splitting, rules.minimum_volume_ml)
    if rules.remove_physiological:
        progress(0.4, f"Looking for physiological uptake among {len(spots)} hot spots")
        physiology = find_physiological(images, emission, numbers, spots, splitting, rules.organ_margin_mm)
    else:
        physiology = Physiology(np.zeros_like(numbers), {}, np.zeros(numbers.shape, dtype=bool))
    progress(0.8, "Numbering the lesions")
    # A hair below the limit, so that a part of exactly the minimum volume is not lost to rounding.
    smallest_voxels = rules.minimum_volume_ml / voxel_volume_ml(emission) - 1e-6
    return form_lesions(numbers, physiology.taken, physiology.reasons, smallest_voxels), physiology


def _paste(lesions: npt.NDArray[np.uint16], emission: sitk.Image, whole: sitk.Image) -> sitk.Image:
    """The whole label image with the lesions of the cropped part put where it came from."""
    at = whole.TransformPhysicalPointToIndex(emission.GetOrigin())
    return sitk.Paste(whole, sitk.GetImageFromArray(lesions), emission.GetSize(), [0, 0, 0], at)


def _findings(
    lesions: npt.NDArray[np.uint16], focal: npt.NDArray[np.bool_], images: Images, rules: RuleSet
) -> list[Finding]:
    """One finding per lesion, ascending."""
    reason = f"uptake of SUV {rules.threshold:g} or more"
    if rules.remove_physiological:
        reason += ", outside physiological organs by " + ("organ map and rules" if images.organs else "rules")
    inside_organ = set(np.unique(lesions[focal]).tolist())
    return [
        Finding(lesion, RuleEngine.name, _FOCAL_REASON if lesion in inside_organ else reason)
        for lesion in range(1, int(lesions.max()) + 1)
    ]


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


def _provenance(images: Images, rules: RuleSet) -> dict[str, Any]:
    """Everything that decided the result but the images themselves; no times, so that equal runs are equal."""
    if not rules.remove_physiological:
        source = "not used"
    else:
        source = "organ map given" if images.organs is not None else "rules"
    return {
        "method": RuleEngine.name,
        "version": VERSION,
        "rule_set": rules.name,
        "settings": {key: value for key, value in asdict(rules).items() if key not in ("name", "description")},
        "units": images.units,
        "tracer": images.tracer,
        "organs": source,
        "organ_names": {str(v): n for v, n in images.organs.names.items()} if images.organs is not None else {},
        "ct_used": rules.remove_physiological and images.ct is not None,
        "warnings": _warnings(images, rules),
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
