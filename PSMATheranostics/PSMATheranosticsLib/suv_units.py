"""What the values of a PET series are: Bq/mL, an SUV of one kind or another, or counts of Philips.

Flow of the IBSI SUV project (https://github.com/oncoray/suv_computation); meaning of the Philips scale factors from
Philips' DICOM conformance statements as quoted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from .dicom_values import tag_text, text, texts
from .errors import InputError
from .suv_facts import Facts, not_constant
from .suv_norms import NORM_OF_SUV_TYPE, norm
from .suv_problems import Problems
from .vendor_tags import PHILIPS_ACTIVITY_FACTOR, PHILIPS_SUV_FACTOR, vendor_number

SUPPORTED_UNITS = ("BQML", "GML", "CM2ML", "CNTS")
_CORRECTIONS = {"ATTN": "attenuation", "DECY": "decay"}
_WHY_NOT = {
    "PROPCNTS": "proportional to counts by an unknown factor",
    "PROPCPS": "proportional to counts per second by an unknown factor",
    "CPS": "counts per second, not activity",
    "1CM": "an attenuation map",
}


@dataclass(frozen=True)
class Conversion:
    """What each image is multiplied with, in the order of the headers, to become SUVbw or Bq/mL."""

    method: str
    factors: tuple[float, ...]
    inputs: dict[str, Any] = field(default_factory=dict)


def read_units(headers: Sequence[Dataset], problems: Problems) -> str:
    """Units of the series in capitals; what cannot become SUV is added to ``problems``."""
    units = text(headers[0], "Units").upper()
    differs = not_constant(headers, "Units")
    if differs:
        problems.add(f"{differs}; hand in one series of one unit")
    elif units == "":
        problems.add(f"{tag_text('Units')} is missing")
    elif units not in SUPPORTED_UNITS:
        meaning = f" ({_WHY_NOT[units]})" if units in _WHY_NOT else ""
        problems.add(
            f"{tag_text('Units')} is {units}{meaning}: only BQML, GML, CM2ML and CNTS with scale factors of Philips "
            "can become SUV; export or reconstruct the series in Bq/mL"
        )
    return units


def check_corrections(headers: Sequence[Dataset], decay_correction: str, problems: Problems) -> None:
    """Add missing corrections to ``problems``: for attenuation, and for decay unless DecayCorrection is NONE."""
    differs = not_constant(headers, "CorrectedImage")
    if differs:
        problems.add(differs)
        return
    applied = [code.upper() for code in texts(headers[0], "CorrectedImage")]
    found = f"{tag_text('CorrectedImage')} is {chr(92).join(applied) or 'missing'}"
    if decay_correction == "NONE" and "DECY" in applied:
        problems.add(f"{found}, but {tag_text('DecayCorrection')} is NONE: they contradict each other")
    needed = [code for code in _CORRECTIONS if code == "ATTN" or decay_correction != "NONE"]
    missing = [f"{code} ({_CORRECTIONS[code]})" for code in needed if code not in applied]
    if missing:
        problems.add(f"{found} and lacks {' and '.join(missing)}")


def from_stored_suv(headers: Sequence[Dataset], units: str, facts: Facts, problems: Problems) -> Conversion | None:
    """Scaling of an image that holds an SUV already (GML or CM2ML) to SUVbw; None when a problem was added.

    An empty SUVType means body weight with GML and body surface with CM2ML.
    """
    differs = not_constant(headers, "SUVType")
    if differs:
        problems.add(differs)
        return None
    stated = text(headers[0], "SUVType").upper()
    suv_type = stated or ("BW" if units == "GML" else "BSA")
    inputs: dict[str, Any] = {"Units": units, "SUVType": stated or f"(empty, which means {suv_type})"}
    if (suv_type == "BSA") != (units == "CM2ML") or suv_type not in ("BW", *NORM_OF_SUV_TYPE):
        problems.add(
            f"{tag_text('SUVType')} is {suv_type} with {tag_text('Units')} {units}: known are BW, LBM, LBMJAMES128, "
            "LBMJANMA and IBW with GML, and BSA with CM2ML"
        )
        return None
    if suv_type == "BW":
        return Conversion("GML, the image holds SUVbw already; nothing was scaled", (1.0,) * len(headers), inputs)
    name = NORM_OF_SUV_TYPE[suv_type]
    try:
        factor = norm(name, facts.weight_kg, facts.height_m, facts.sex)
    except InputError as error:
        _add_missing_for_norm(headers[0], suv_type, error, problems)
        return None
    inputs |= {"PatientWeight [kg]": facts.weight_kg, "PatientSize [m]": facts.height_m}
    if suv_type != "BSA":
        inputs["PatientSex"] = facts.sex
    inputs[f"{name} / SUVbw"] = factor
    method = f"{units}, the image holds {name} (SUVType {suv_type}), converted to SUVbw"
    return Conversion(method, (1.0 / factor,) * len(headers), inputs)


def _add_missing_for_norm(header: Dataset, suv_type: str, error: InputError, problems: Problems) -> None:
    keywords = {"weight_kg": "PatientWeight", "height_m": "PatientSize", "sex": "PatientSex"}
    for name in error.missing:
        found = text(header, keywords[name])
        problems.add(
            f"{tag_text(keywords[name])} is {found or 'missing'}, and {tag_text('SUVType')} {suv_type} cannot become "
            f"SUVbw with that",
            name,
        )


def philips_factors(headers: Sequence[Dataset]) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Philips' factors of all images from counts to Bq/mL, and from counts to SUVbw; None where an image has none."""
    found = []
    for tag in (PHILIPS_ACTIVITY_FACTOR, PHILIPS_SUV_FACTOR):
        values = [vendor_number(header, tag) for header in headers]
        known = tuple(value for value in values if value is not None)
        found.append(known if len(known) == len(headers) else None)
    return found[0], found[1]


def suv_from_counts(
    headers: Sequence[Dataset], suv_factors: tuple[float, ...] | None, problems: Problems
) -> Conversion | None:
    """Scaling of counts by Philips' SUV factor; None, with a problem added, when there is none."""
    suv_type = text(headers[0], "SUVType").upper()
    if suv_factors is None:
        problems.add(
            f"{tag_text('Units')} is CNTS (counts), and the images have neither a {PHILIPS_ACTIVITY_FACTOR} nor a "
            f"{PHILIPS_SUV_FACTOR}; export or reconstruct the series in Bq/mL"
        )
    elif suv_type not in ("", "BW"):
        problems.add(f"{tag_text('SUVType')} is {suv_type}: the {PHILIPS_SUV_FACTOR} is understood for BW only")
    else:
        inputs = {"Units": "CNTS", str(PHILIPS_SUV_FACTOR): suv_factors[0]}
        return Conversion("CNTS, counts times the SUV scale factor of Philips", suv_factors, inputs)
    return None
