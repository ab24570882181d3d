"""Why uptake is no lesion: the reasons that a reader chooses from, and how they are written into a decision.

What takes up PSMA without being a metastasis: salivary and lacrimal glands, liver, spleen, kidneys, ureters, bladder,
duodenum, bowel, thyroid, vocal cords and Waldeyer's ring (55 men, Clin Nucl Med 2017;42(7)); cervical, celiac and
sacral ganglia, one of which 98.5 % of 407 patients show (J Nucl Med 2018;59:1406); fractures, degeneration, unspecific
bone uptake and unspecific lymph nodes, counted for 68Ga-PSMA-11 and 18F-PSMA-1007 in 102 patients each (J Nucl Med
2020;61:51, table 2); gallbladder, Paget's disease and other benign findings (Tomography 2018;4:182). That urine on the
skin, injection site, contamination and noise are on the list is a choice of this project.
"""

from __future__ import annotations

PHYSIOLOGICAL_REASONS: tuple[str, ...] = (
    "kidney",
    "ureter",
    "urinary bladder",
    "urethra or urine on the skin",
    "bowel",
    "liver",
    "gallbladder or bile duct",
    "spleen",
    "salivary gland",
    "lacrimal gland",
    "pharynx, larynx or thyroid",
    "ganglion",
    "fracture",
    "degenerative bone change",
    "unspecific bone uptake",
    "unspecific lymph node uptake",
    "other benign finding",
    "injection site",
    "contamination",
    "noise or artifact",
)
_PREFIX = "Physiological: "


def physiological_reason(text: str) -> str:
    """The reason of a rejected lesion as it is stored and shown, e.g. "Physiological: ureter".

    ``text`` is one of ``PHYSIOLOGICAL_REASONS`` or a reader's own words; one that is marked already stays as it is.
    Raises ValueError for an empty one.
    """
    said = text.strip()
    if said.lower().startswith(_PREFIX.strip().lower()):
        said = said[len(_PREFIX.strip()) :].strip()
    if not said:
        raise ValueError("A reason is needed for uptake that is no lesion. Choose one of the list, or write your own.")
    return _PREFIX + said


def is_physiological(reason: str) -> bool:
    """Whether the reason of a decision says that the uptake is no lesion, whatever it is instead."""
    return reason.startswith(_PREFIX) and bool(reason[len(_PREFIX) :].strip())
