"""What an organ's name in an organ map means for PSMA uptake: physiological there, or not."""

from __future__ import annotations

import re

# Word in a name -> the organ it stands for, as it is written in reasons. Order matters: the first match counts. Which
# organs take up PSMA in health: 55 men, Clin Nucl Med 2017;42(7) (lacrimal and salivary glands, Waldeyer's ring,
# vocal cords, thyroid, liver, spleen, kidneys, duodenum, bowel, ureters, bladder). Gallbladder and stomach: a choice
# of this project.
_PHYSIOLOGICAL: tuple[tuple[str, str], ...] = (
    (r"gall ?bladder|bile|choledoch", "gallbladder"),
    (r"bladder", "urinary bladder"),
    (r"kidneys?|renal pelvis", "kidney"),
    (r"ureters?", "ureter"),
    (r"liver", "liver"),
    (r"spleen", "spleen"),
    (r"parotid|submandibular|sublingual|salivary|head glands?", "salivary gland"),
    (r"lacrimal|lachrymal", "lacrimal gland"),
    (r"tonsils?|pharynx|nasopharynx|oropharynx|waldeyer", "pharynx"),
    (r"larynx|vocal", "larynx"),
    (r"thyroid", "thyroid"),
    (r"duodenum", "duodenum"),
    (r"colon|large bowel|large intestine|sigmoid|rectum|caecum|cecum", "colon"),
    (r"small bowel|small intestine|jejunum|ileum|bowel|intestines?", "small bowel"),
    (r"stomach|gastric", "stomach"),
)


def physiological_organ(name: str) -> str | None:
    """The organ with physiological PSMA uptake that a name stands for, or None for every other structure.

    Understands plain words and TotalSegmentator's names ("kidney_left", "small_bowel", "urinary_bladder"). The side is
    kept: "kidney_left" gives "left kidney". Lungs, heart, brain, prostate, vessels, muscles and bones are not
    physiological: uptake there stays a candidate, and so it does in anything named a lesion, tumor, cancer or
    metastasis. Cysts ("kidney_cyst_left") hold no tracer and count as their organ.
    """
    words = re.sub(r"[^a-z]+", " ", name.lower()).strip()
    if re.search(r"lesion|tumou?r|cancer|metasta|malign", words):
        return None
    for pattern, organ in _PHYSIOLOGICAL:
        if re.search(rf"\b({pattern})\b", words):
            side = re.search(r"\b(left|right)\b", words)
            return f"{side.group(1)} {organ}" if side else organ
    return None
