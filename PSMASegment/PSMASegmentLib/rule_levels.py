"""The uptake that a voxel must reach in one study, as a rule set asks for it, and how that is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib import qpsma
from PSMASegmentLib.physiology import hounsfield_of
from PSMASegmentLib.relative_threshold import (
    LARGEST_GROWTH_MM,
    ReferenceUptake,
    reference_threshold,
    reference_uptake,
    rounded,
)
from PSMASegmentLib.rules import PERCENT, QPSMA, REFERENCE, RuleSet
from PSMASegmentLib.segmentation import Images

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Levels:
    """Thresholds of one study in SUVbw: ``suv`` everywhere, or in soft tissue where ``bone_suv`` counts in ``bone``.

    ``bone`` (z, y, x) lies on the grid of the study's emission image. With PERCENT, ``suv`` is what the hottest voxel
    of a lesion must reach.
    """

    rules: RuleSet
    suv: float
    reference: ReferenceUptake | None = None
    bone_suv: float | None = None
    bone: Mask | None = None
    bone_source: str = ""

    @classmethod
    def of(cls, images: Images, rules: RuleSet) -> Levels:
        """The levels of a study; ValueError where what they are made of is not there or cannot be measured."""
        if rules.threshold_rule not in (REFERENCE, QPSMA):
            return cls(rules, rules.threshold)
        hounsfield = hounsfield_of(images)
        reference = reference_uptake(images, rules, hounsfield)
        if rules.threshold_rule == QPSMA:
            bone, source = qpsma.bone_mask(images, hounsfield)
            soft = max(qpsma.soft_tissue_threshold(reference), rules.threshold)
            return cls(rules, soft, reference, rules.threshold, bone, source)
        return cls(rules, reference_threshold(reference, rules), reference)

    @property
    def candidate_suv(self) -> float:
        """What every candidate voxel reaches at least."""
        return self.suv if self.bone_suv is None else min(self.suv, self.bone_suv)

    @property
    def lowest_suv(self) -> float:
        """What every voxel of a lesion reaches at least."""
        share = self.rules.percent / 100.0 if self.rules.threshold_rule == PERCENT else 1.0
        return self.candidate_suv * share

    def bone_in(self, part: sitk.Image, whole: sitk.Image) -> Mask | None:
        """The bone on the grid of a part of the study's emission image."""
        if self.bone is None:
            return None
        x, y, z = whole.TransformPhysicalPointToIndex(part.GetOrigin())
        width, height, depth = part.GetSize()
        return self.bone[z : z + depth, y : y + height, x : x + width]

    def candidates(self, part: sitk.Image, bone: Mask | None) -> Mask | None:
        """The candidate voxels of a part of the emission image; None where ``candidate_suv`` alone tells them."""
        if bone is None or self.bone_suv is None:
            return None
        return sitk.GetArrayViewFromImage(part) >= np.where(bone, self.bone_suv, self.suv).astype(np.float32)

    def reason(self, in_bone: bool) -> str:
        """Why uptake is a candidate, for a lesion that peaks in bone or not."""
        if self.bone_suv is not None and in_bone:
            return f"uptake of SUV {rounded(self.bone_suv)} or more in bone (qPSMA)"
        text = f"uptake of SUV {rounded(self.suv)} or more"
        if self.reference is None:
            return text
        if self.bone_suv is not None:
            return f"{text} in soft tissue (qPSMA, by the {self.reference.organ})"
        if self.suv <= self.rules.threshold:
            return f"{text} (the {self.reference.organ} is cooler)"
        return f"{text} (by the SUVmean of the {self.reference.organ})"

    def percent_reason(self, suv_level: float, stopped: bool) -> str:
        """Why the outline of a lesion lies where it does, with PERCENT."""
        text = f"uptake of SUV {rounded(suv_level)} or more ({self.rules.percent:g} % of its SUVmax)"
        if not stopped:
            return text
        far = f"{LARGEST_GROWTH_MM:g} mm from the uptake above SUV {rounded(self.suv)}"
        return f"{text}; hardly stands out, outline stopped {far}"

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the provenance."""
        told: dict[str, Any] = {"rule": self.rules.threshold_rule, "suv": self.suv}
        if self.rules.threshold_rule == PERCENT:
            told["percent"] = self.rules.percent
        if self.bone_suv is not None:
            told |= {"bone_suv": self.bone_suv, "bone": self.bone_source, "verified": qpsma.FORMULA_VERIFIED}
        if self.reference is not None:
            told["reference"] = self.reference.to_dict()
        return told

    def warnings(self) -> list[str]:
        """What a reader must know about these levels."""
        told = [qpsma.NOT_VERIFIED] if self.bone_suv is not None and not qpsma.FORMULA_VERIFIED else []
        if self.reference is None:
            return told
        if self.bone_suv is not None and self.reference.organ != "liver":
            told.append("qPSMA was made for the liver's uptake; here the spleen takes its place.")
        if self.reference.note:
            told.append(f"Reference organ {self.reference.organ}: {self.reference.note}")
        return told
