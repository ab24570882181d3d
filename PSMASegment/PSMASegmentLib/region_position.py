"""Which region a place in soft tissue belongs to, and which bone a place in bone, by its position in the body."""

from __future__ import annotations

import numpy as np

from PSMASegmentLib.coarse import Vector
from PSMASegmentLib.lesion_regions import DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, Region
from PSMASegmentLib.region_ct import Points
from PSMASegmentLib.region_landmarks import Landmarks, Pelvis

# All distances and shares are choices of this project (mm, LPS).
_MIDLINE_MM, _PELVIS_ASIDE_MM = 25.0, 85.0
# Inguinal nodes lie aside and in front: at the height of the femoral heads well before the prostate, deeper down also
# beside it. What lies deeper than they do at that height is in the pelvis still, down to its floor.
_GROIN_ASIDE_MM, _GROIN_BELOW_MM, _GROIN_BEFORE_BED_MM, _GROIN_BEHIND_BED_MM = 30.0, 120.0, 20.0, 20.0
_PELVIC_FLOOR_BELOW_MM = 40.0
_COMMON_ILIAC_ABOVE_MM = 45.0  # the bifurcation of the aorta lies about a vertebra and a disc above L5/S1, at L4
_RETROPERITONEUM_ASIDE_MM, _BEFORE_SPINE_MM, _BEHIND_SPINE_FRONT_MM = 60.0, 60.0, 30.0
_MEDIASTINUM_ASIDE_MM, _AXILLA_ASIDE_MM, _AXILLA_FROM_SHARE = 60.0, 85.0, 0.5
_NECK_ASIDE_MM, _NECK_BELOW_LUNG_TOP_MM = 100.0, 20.0
# Muscles of back and buttock lie behind the bones: the column of bones around a place that is looked at, and how much
# of it must be in front.
_COLUMN_MM, _IN_FRONT_SHARE = 12.0, 0.8
_UNKNOWN = Region("")


class Skeleton:
    """Points in bone, ready to be looked up around a place."""

    def __init__(self, points: Points) -> None:
        self._points = points[np.argsort(points[:, 2])]

    def column(self, x: float, z: float, half_mm: float) -> Vector:
        """Depths (LPS y, mm, ascending) of the bone in a column of ``half_mm`` around a place."""
        first, last = np.searchsorted(self._points[:, 2], (z - half_mm, z + half_mm))
        slab = self._points[first:last]
        depths: Vector = np.sort(slab[np.abs(slab[:, 0] - x) <= half_mm, 1])
        return depths

    def is_in_front_of(self, place: Vector) -> bool:
        """Whether nearly all bone at a place's height and width lies in front of it."""
        depths = self.column(place[0], place[2], _COLUMN_MM)
        return bool(len(depths)) and float((depths < place[1]).mean()) >= _IN_FRONT_SHARE


def soft_tissue(place: Vector, known: Landmarks, skeleton: Skeleton | None) -> Region:
    """The region of a place (LPS mm) in soft tissue outside of known organs; "" where it cannot be told."""
    if known.pelvis is None:
        return _UNKNOWN
    pelvis = known.pelvis
    aside, z = place[0] - known.middle_x, place[2]
    side = "left" if aside > 0 else "right"
    if (np.abs(place - pelvis.bed.middle_mm) <= pelvis.bed.half_mm).all():
        return Region(PROSTATE_BED, "", f"position: where the prostate or its bed lies, by {pelvis.by}")
    if z < pelvis.femoral_heads_z:
        return _groin(place, aside, side, pelvis)
    if skeleton is not None and skeleton.is_in_front_of(place):
        return _UNKNOWN
    if z < pelvis.promontory_z:
        if abs(aside) > _PELVIS_ASIDE_MM:
            return _UNKNOWN
        site = f"{side} iliac" if abs(aside) > _MIDLINE_MM else "presacral or beside the rectum"
        return Region(PELVIC_NODE, site, f"position: between femoral heads and L5/S1, by {pelvis.by}")
    if known.chest is not None and z > known.chest[0]:
        return _chest_and_neck(aside, z, side, known.chest)
    common = z < pelvis.promontory_z + _COMMON_ILIAC_ABOVE_MM
    if abs(aside) > _RETROPERITONEUM_ASIDE_MM or not _beside_spine(place, known, skeleton):
        return _UNKNOWN
    if common:
        return Region(DISTANT_NODE, "common iliac", f"position: just above L5/S1, by {pelvis.by}")
    return Region(DISTANT_NODE, "retroperitoneal", "position: in front of the spine, between pelvis and chest")


def _groin(place: Vector, aside: float, side: str, pelvis: Pelvis) -> Region:
    """Below the top of the femoral heads: an inguinal node in front and aside, a pelvic one deep inside, else ""."""
    before_bed = pelvis.bed.middle_mm[1] - place[1]
    below = pelvis.femoral_heads_z - place[2]
    aside_enough = abs(aside) >= _GROIN_ASIDE_MM and below < _GROIN_BELOW_MM
    deep = below < _PELVIC_FLOOR_BELOW_MM
    if aside_enough and before_bed > (_GROIN_BEFORE_BED_MM if deep else -_GROIN_BEHIND_BED_MM):
        return Region(DISTANT_NODE, f"{side} inguinal", f"position: in front, below the femoral heads, by {pelvis.by}")
    if deep and abs(aside) <= _RETROPERITONEUM_ASIDE_MM:
        site = f"{side} obturator" if abs(aside) > _MIDLINE_MM else "beside bladder or rectum"
        return Region(PELVIC_NODE, site, f"position: deep in the pelvis beside the femoral heads, by {pelvis.by}")
    return _UNKNOWN


def _beside_spine(place: Vector, known: Landmarks, skeleton: Skeleton | None) -> bool:
    """Whether a place lies as deep as the great vessels; unknown counts as no."""
    if skeleton is None:
        return False
    spine = skeleton.column(known.middle_x, place[2], _COLUMN_MM)
    if not len(spine):
        return False
    front = spine[len(spine) // 50]  # but for single blocks of something else
    return bool(front - _BEFORE_SPINE_MM <= place[1] <= front + _BEHIND_SPINE_FRONT_MM)


def _chest_and_neck(aside: float, z: float, side: str, chest: tuple[float, float]) -> Region:
    bottom, top = chest
    if z > top - _NECK_BELOW_LUNG_TOP_MM:
        if abs(aside) > _NECK_ASIDE_MM:
            return _UNKNOWN
        return Region(DISTANT_NODE, f"{side} neck or supraclavicular", "position: at the top of the lungs or above")
    if abs(aside) <= _MEDIASTINUM_ASIDE_MM:
        return Region(DISTANT_NODE, "mediastinal or hilar", "position: between the lungs")
    if abs(aside) >= _AXILLA_ASIDE_MM and z > bottom + _AXILLA_FROM_SHARE * (top - bottom):
        return Region(DISTANT_NODE, f"{side} axillary", "position: beside the upper chest")
    return _UNKNOWN


# Where bones lie from the landmarks (mm): half-width of the spine and of the sternum, of the sacrum behind the middle
# of the pelvis, the shafts of the femora, where the skull begins above the lungs, and the shoulders beside them.
_SPINE_ASIDE_MM, _STERNUM_ASIDE_MM, _SACRUM_ASIDE_MM, _SACRUM_BEHIND_MM = 35.0, 30.0, 45.0, 35.0
_FEMUR_ASIDE_MM, _FEMUR_BELOW_MM, _SKULL_ABOVE_MM = 75.0, 40.0, 115.0
_SHOULDER_ASIDE_MM, _SHOULDER_FROM_SHARE, _CREST_ABOVE_MM = 100.0, 0.65, 60.0
_STERNUM_DEPTH = 0.35  # share of the way from the front of the bones to their back


def bone_site(place: Vector, known: Landmarks, skeleton: Skeleton) -> str:
    """The bone at a place (LPS mm) in bone, in plain words; "" where it cannot be told."""
    aside, z = place[0] - known.middle_x, place[2]
    side = "left" if aside > 0 else "right"
    pelvis = known.pelvis
    if pelvis is not None and z < pelvis.promontory_z + _CREST_ABOVE_MM:
        if z < pelvis.femoral_heads_z - _FEMUR_BELOW_MM and abs(aside) > _FEMUR_ASIDE_MM:
            return f"{side} femur"
        if z < pelvis.promontory_z:
            behind = place[1] > pelvis.bed.middle_mm[1] + _SACRUM_BEHIND_MM and z > pelvis.femoral_heads_z
            return "sacrum" if behind and abs(aside) < _SACRUM_ASIDE_MM else "pelvis"
        return "pelvis" if abs(aside) > _SPINE_ASIDE_MM else "lumbar spine"
    if known.chest is None:
        return "spine" if abs(aside) <= _SPINE_ASIDE_MM and pelvis is not None else ""
    bottom, top = known.chest
    if z > top + _SKULL_ABOVE_MM:
        return "skull"
    if np.isfinite(top) and abs(aside) >= _SHOULDER_ASIDE_MM and z > bottom + _SHOULDER_FROM_SHARE * (top - bottom):
        return f"{side} shoulder or arm"
    if abs(aside) > _SPINE_ASIDE_MM:
        return "ribs" if z <= top else ""
    if z > top:
        return "cervical spine"
    depths = skeleton.column(known.middle_x, z, _STERNUM_ASIDE_MM)
    is_front = len(depths) and place[1] < depths[0] + _STERNUM_DEPTH * (depths[-1] - depths[0])
    if z > bottom and is_front and abs(aside) <= _STERNUM_ASIDE_MM:
        return "sternum"
    return "thoracic spine" if z > bottom else "lumbar spine"
