"""Names of organ maps: which region a lesion in that structure belongs to."""

from __future__ import annotations

import pytest
from PSMASegmentLib.lesion_regions import BONE, PROSTATE_BED, VISCERAL
from PSMASegmentLib.region_names import Place, place_of

PLACES = {
    "vertebrae_L3": (BONE, "vertebra L3"),
    "vertebrae_S1": (BONE, "vertebra S1"),
    "hip_left": (BONE, "left hip bone"),
    "rib_left_4": (BONE, "left rib 4"),
    "rib_right_12": (BONE, "right rib 12"),
    "sacrum": (BONE, "sacrum"),
    "femur_right": (BONE, "right femur"),
    "clavicula_left": (BONE, "left clavicle"),
    "costal_cartilages": (BONE, "costal cartilage"),
    "intervertebral_discs": (BONE, "spine"),
    "prostate": (PROSTATE_BED, "prostate"),
    "urinary bladder": (PROSTATE_BED, "urinary bladder"),
    "seminal vesicles": (PROSTATE_BED, "seminal vesicle"),
    "gallbladder": (VISCERAL, "gallbladder"),
    "kidneys (both)": (VISCERAL, "kidney"),
    "kidney_cyst_left": (VISCERAL, "left kidney"),
    "lung_upper_lobe_right": (VISCERAL, "right lung"),
    "adrenal_gland_left": (VISCERAL, "left adrenal gland"),
    "head glands (parotid and submandibular)": (VISCERAL, "salivary gland"),
    "brain": (VISCERAL, "brain"),
    "small_bowel": (VISCERAL, "small bowel"),
}


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_structure_stands_for_a_region(name: str, place: tuple[str, str]):
    assert place_of(name) == Place(*place)


@pytest.mark.parametrize(
    "name",
    [
        "background",
        "aorta",
        "iliac_artery_left",
        "portal_vein_and_splenic_vein",
        "pulmonary_vein",
        "heart and vessels",
        "gluteus_maximus_left",
        "spinal_cord",
        "liver lesion",
        "bone metastases",
        "lung cancer",
        "trachea",
        "",
    ],
)
def test_vessels_muscles_and_lesions_are_no_place(name: str):
    assert place_of(name) is None
