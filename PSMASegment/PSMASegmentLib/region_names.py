"""Which region an organ map's name stands for when uptake lies in that structure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from PSMASegmentLib.lesion_regions import BONE, PROSTATE_BED, VISCERAL


@dataclass(frozen=True)
class Place:
    """What a structure of an organ map means for a lesion in it: one of ``REGIONS`` and a site in plain words."""

    region: str
    site: str


# Words of a name -> site; the first match counts. All of it is a choice of this project but two rules of miTNM (PROMISE
# V2, Eur Urol 2023;83:405, PMID 36935345): bone is miM1b and any organ miM1c, and what a prostate tumor grows into
# counts with the tumor, as miT4.
_BONES: tuple[tuple[str, str], ...] = (
    (r"vertebra[e]? ([cstl]\d{1,2})", "vertebra {0}"),
    (r"vertebra[e]?|spine|intervertebral discs?", "spine"),
    (r"ribs?.* (1[0-3]|[1-9])", "rib {0}"),
    (r"ribs?", "rib"),
    (r"costal cartilages?", "costal cartilage"),
    (r"hips?|pelvi[cs] bones?|ilium|iliac bone|ischium|pubis", "hip bone"),
    (r"sacrum", "sacrum"),
    (r"coccyx", "coccyx"),
    (r"femur|femora", "femur"),
    (r"humer(?:us|i)", "humerus"),
    (r"scapulae?", "scapula"),
    (r"clavicul?ae?|clavicles?", "clavicle"),
    (r"sternum|manubrium", "sternum"),
    (r"skull|cranium", "skull"),
    (r"mandible|jaw", "mandible"),
    (r"tibia|fibula|patella|ulna|carpal|tarsal|metacarpal|metatarsal", "limb bone"),
    (r"bones?|skeleton", "bone"),
)
_PROSTATE: tuple[tuple[str, str], ...] = (
    (r"prostate|prostatic", "prostate"),
    (r"seminal vesicles?", "seminal vesicle"),
    (r"gall ?bladder", ""),  # not the bladder
    (r"urinary bladder|bladder", "urinary bladder"),
)
_VISCERA: tuple[tuple[str, str], ...] = (
    (r"adrenals?|suprarenal", "adrenal gland"),
    (r"liver|hepatic", "liver"),
    (r"lungs?|pulmonary lobe", "lung"),
    (r"spleen", "spleen"),
    (r"kidneys?", "kidney"),
    (r"brain", "brain"),
    (r"stomach", "stomach"),
    (r"pancreas", "pancreas"),
    (r"gall ?bladder", "gallbladder"),
    (r"duodenum", "duodenum"),
    (r"small bowel|small intestine|jejunum|ileum", "small bowel"),
    (r"colon|large bowel|large intestine|sigmoid|rectum|cecum|caecum", "colon"),
    (r"esophagus|oesophagus", "esophagus"),
    (r"thyroid", "thyroid"),
    (r"parotid|submandibular|sublingual|salivary|head glands?", "salivary gland"),
    (r"lacrimal", "lacrimal gland"),
)
# The words above in names of what lies around the organ: vessels, muscles, nerves and cavities say nothing.
_NO_PLACE = r"arter\w*|veins?|vena|aorta|vessels?|trunk|muscles?|gluteus|iliopsoas|autochthon|cord|canal|heart|atri\w*"
_NO_TISSUE = r"lesions?|tumou?rs?|cancer|metasta\w*|malign\w*"


def place_of(name: str) -> Place | None:
    """The place that a name of an organ map stands for; None where uptake in it may be of any kind.

    Understands plain words and TotalSegmentator's names ("vertebrae_L3", "rib_left_4", "lung_upper_lobe_right"). The
    side is kept: "hip_left" is the left hip bone. Heart, vessels, muscles and the spinal cord are no places: uptake
    there is most often of a node or bone beside them (a choice of this project).
    """
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    if re.search(rf"\b(?:{_NO_TISSUE}|{_NO_PLACE})\b", words):
        return None
    for region, table in ((BONE, _BONES), (PROSTATE_BED, _PROSTATE), (VISCERAL, _VISCERA)):
        for pattern, site in table:
            found = re.search(rf"\b(?:{pattern})\b", words)
            if found is None:
                continue
            if not site:
                break
            text = site.format(*(group.upper() for group in found.groups()))
            side = re.search(r"\b(left|right)\b", words)
            return Place(region, f"{side.group(1)} {text}" if side else text)
    return None
