"""Radionuclides of nuclear medicine: recognized by code, name or half-life, and told apart by how they are imaged."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from .dicom_values import first_item, number, text

_DAY_S, _HOUR_S, _MINUTE_S = 86_400.0, 3_600.0, 60.0

# ICRP Publication 107 (2008), Nuclear Decay Data for Dosimetric Calculations.
HALF_LIFE_S = {
    "177Lu": 6.647 * _DAY_S,
    "161Tb": 6.906 * _DAY_S,
    "131I": 8.0207 * _DAY_S,
    "68Ga": 67.71 * _MINUTE_S,
    "18F": 109.77 * _MINUTE_S,
}
# Good enough to recognize a nuclide, too coarse to compute with: table 1 of doi 10.3389/fphar.2018.00996.
_ROUNDED_HALF_LIFE_S = {"99mTc": 6.0 * _HOUR_S, "111In": 2.80 * _DAY_S, "123I": 13.2 * _HOUR_S, "67Ga": 3.26 * _DAY_S}
_SAME_HALF_LIFE = 0.015  # relative

# Imaged by SPECT. 90Y is in neither list: it is imaged by both.
SINGLE_PHOTON = tuple(
    """
    177Lu 99mTc 131I 123I 111In 161Tb 67Ga 67Cu 201Tl 153Sm 166Ho 186Re 188Re 225Ac 223Ra 212Pb 203Pb 213Bi
    """.split()  # noqa: SIM905
)
POSITRON = tuple(
    """
    18F 68Ga 64Cu 61Cu 62Cu 89Zr 124I 11C 13N 15O 82Rb 44Sc 43Sc 86Y 152Tb 76Br 52Mn 55Co 22Na 68Ge 66Ga
    """.split()  # noqa: SIM905
)
_ELEMENTS = dict(
    pair.split(":")
    for pair in """
    Lu:lutetium Tc:technetium I:iodine In:indium Tb:terbium Ga:gallium Cu:copper Tl:thallium Sm:samarium Ho:holmium
    Re:rhenium Ac:actinium Ra:radium Pb:lead Bi:bismuth Xe:xenon F:fluorine Zr:zirconium C:carbon N:nitrogen O:oxygen
    Rb:rubidium Sc:scandium Y:yttrium Br:bromine Mn:manganese Co:cobalt Na:sodium Ge:germanium
    """.split()  # noqa: SIM905
)
# DICOM CID 18, Radiopharmaceutical Isotope (SNOMED CT).
_CODES = {"447553000": "177Lu", "72454006": "99mTc", "1368003": "131I", "21572004": "123I", "56609000": "111In"}
_BETWEEN = r"[\s\^\-_\[\]()]*"


def nuclide_in(words: str) -> str | None:
    """The nuclide that a text names, e.g. "177Lu" for "Lu-177 PSMA-617", "^177^Lutetium" or "177LuPSMA"."""
    lowered = words.lower()
    for nuclide in (*SINGLE_PHOTON, *POSITRON):
        mass, symbol = _split(nuclide)
        element = f"(?:{_ELEMENTS[symbol]}|{symbol.lower()})"
        if re.search(rf"(?<!\d){mass}{_BETWEEN}{element}", lowered) is not None:
            return nuclide
        if re.search(rf"(?<![a-z]){element}{_BETWEEN}{mass}(?![\da-z])", lowered) is not None:
            return nuclide
    return None


def nuclide_of(header: Dataset) -> str | None:
    """The nuclide of an image by the code of the radionuclide, else by the names that the header gives; None if none.

    The half-life is not looked at: see ``nuclide_by_half_life``.
    """
    item = first_item(header, "RadiopharmaceuticalInformationSequence")
    radionuclide = first_item(item, "RadionuclideCodeSequence")
    code = text(radionuclide, "CodeValue")
    if code in _CODES:
        return _CODES[code]
    names = (
        text(radionuclide, "CodeMeaning"),
        text(first_item(item, "RadiopharmaceuticalCodeSequence"), "CodeMeaning"),
        text(item, "Radiopharmaceutical"),
    )
    return next((found for name in names if (found := nuclide_in(name)) is not None), None)


def nuclide_by_half_life(header: Dataset) -> str | None:
    """The nuclide whose half-life the header states (to 1.5 %), None where it states none or an unknown one."""
    stated_s = number(first_item(header, "RadiopharmaceuticalInformationSequence"), "RadionuclideHalfLife")
    if stated_s is None:
        return None
    for nuclide, half_life_s in {**HALF_LIFE_S, **_ROUNDED_HALF_LIFE_S}.items():
        if abs(stated_s / half_life_s - 1.0) <= _SAME_HALF_LIFE:
            return nuclide
    return None


def _split(nuclide: str) -> tuple[str, str]:
    """ "99mTc" as ("99m", "Tc")."""
    match = re.fullmatch(r"(\d+m?)([A-Z][a-z]?)", nuclide)
    if match is None:
        raise ValueError(f"{nuclide} is not written as mass number and symbol")
    return match[1], match[2]
