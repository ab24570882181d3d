"""SUV by body weight (SUVbw) from the header of a PET series.

Accepted are images in Bq/mL that are decay corrected to the start of the scan (Units BQML, DecayCorrection START), and
images that hold SUVbw already (Units GML). Everything else is refused: no value is assumed and none is repaired.

    SUVbw = concentration [Bq/mL] x weight [g] / (injected activity [Bq] x 2^(-t / half-life))
    t = reference time of the decay correction - time of injection

Sources: QIBA, "PET SUV vendor-neutral pseudo-code" (2018-06-26); the calculation flow and digital reference
objects of the IBSI SUV project, https://github.com/oncoray/suv_computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydicom.dataset import Dataset

from .dicom_values import first_item, number, scan_time, series_time, tag_text, text, texts
from .errors import InputError
from .study import Scaling
from .suv_times import check_uptake, injection_time, missing_times, scan_start

SMALLEST_ACTIVITY_BQ = 1e6  # less than 1 MBq gives no image of a man: the value is in MBq or kBq
LARGEST_WEIGHT_KG = 500.0  # more is a weight in grams

_CONSTANT = ("Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesDate", "SeriesTime")
_CONSTANT_INJECTION = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)


@dataclass(frozen=True)
class SuvScaling:
    """Scaling to SUVbw and the facts of the injection that the header gives (None where it does not)."""

    scaling: Scaling
    weight_kg: float | None = None
    injected_activity_mbq: float | None = None
    minutes_after_injection: float | None = None
    warnings: list[str] = field(default_factory=list)


def suv_scaling(headers: Sequence[Dataset], where: str) -> SuvScaling:
    """Scaling of one PET series from the headers of all its images.

    ``where`` names the series in messages. Raises InputError that lists every attribute that is missing, contradictory
    or not supported, with its tag.
    """
    header = headers[0]
    problems = _not_constant(headers) + _missing_corrections(header)
    units = text(header, "Units").upper()
    if units == "":
        problems.append(f"{tag_text('Units')} is missing")
    elif units not in ("BQML", "GML"):
        problems.append(
            f"{tag_text('Units')} is {units}: only BQML (Bq/mL) and GML (SUV) are supported; "
            "export or reconstruct the series in Bq/mL"
        )
    if units == "GML":
        return _stored_as_suv(header, problems, where)
    return _from_concentration(headers, problems, where)


def _stored_as_suv(header: Dataset, problems: list[str], where: str) -> SuvScaling:
    suv_type = text(header, "SUVType").upper()
    if suv_type not in ("", "BW"):
        problems.append(f"{tag_text('SUVType')} is {suv_type}: only SUV by body weight (BW) is supported")
    if problems:
        raise _refusal(problems, where)
    not_needed: list[str] = []  # the image is usable without the facts of the injection
    activity_bq = _activity_bq(header, not_needed)
    half_life_s = _half_life_s(header, not_needed)
    started = series_time(header) or scan_time([header])
    minutes = None
    if started is not None:
        injected = injection_time(header, started, half_life_s, not_needed)
        if injected is not None and injected.moment <= started:
            minutes = (started - injected.moment).total_seconds() / 60.0
    return SuvScaling(
        Scaling(
            "SUVbw",
            1.0,
            "GML, the image holds SUVbw already; nothing was scaled",
            {"Units": "GML", "SUVType": suv_type or "(empty, which means BW)"},
        ),
        weight_kg=_weight_kg(header, not_needed),
        injected_activity_mbq=None if activity_bq is None else activity_bq / 1e6,
        minutes_after_injection=minutes,
    )


def _from_concentration(headers: Sequence[Dataset], problems: list[str], where: str) -> SuvScaling:
    header = headers[0]
    decay_correction = text(header, "DecayCorrection").upper()
    if decay_correction == "":
        problems.append(f"{tag_text('DecayCorrection')} is missing")
    elif decay_correction != "START":
        problems.append(f"{tag_text('DecayCorrection')} is {decay_correction}: only START is supported")
    weight_kg = _weight_kg(header, problems)
    activity_bq = _activity_bq(header, problems)
    half_life_s = _half_life_s(header, problems)
    injected = injection_time(header, scan_time(headers) or datetime.max, half_life_s, problems)
    problems += missing_times(headers)
    if problems or weight_kg is None or activity_bq is None or half_life_s is None:
        raise _refusal(problems, where)

    scan = scan_start(headers, half_life_s)
    injected = injection_time(header, scan.moment, half_life_s, problems)
    if injected is not None:
        check_uptake(scan, injected, half_life_s, problems)
    if problems or injected is None:
        raise _refusal(problems, where)

    decay_s = (scan.moment - injected.moment).total_seconds()
    factor = weight_kg * 1000.0 / (activity_bq * 2.0 ** (-decay_s / half_life_s))
    inputs = {
        "Units": "BQML",
        "DecayCorrection": decay_correction,
        "PatientWeight [kg]": weight_kg,
        "RadionuclideTotalDose [Bq]": activity_bq,
        f"{injected.source} (injection)": injected.moment.isoformat(sep=" "),
        f"{scan.source} (reference time)": scan.moment.isoformat(sep=" "),
        "t, from injection to reference time [s]": decay_s,
        "RadionuclideHalfLife [s]": half_life_s,
    }
    return SuvScaling(
        Scaling("SUVbw", factor, "BQML, decay corrected to the start of the scan (DecayCorrection START)", inputs),
        weight_kg=weight_kg,
        injected_activity_mbq=activity_bq / 1e6,
        minutes_after_injection=decay_s / 60.0,
        warnings=[f"{where}: {warning}" for warning in [*scan.warnings, *injected.warnings]],
    )


def _refusal(problems: Sequence[str], where: str) -> InputError:
    return InputError(
        f"No SUV can be computed for {where}: "
        + "; ".join(problems)
        + ". Complete the header at the scanner or archive and export the series again."
    )


def _positive(header: Dataset, keyword: str, problems: list[str]) -> float | None:
    value = number(header, keyword)
    if value is not None and value > 0:
        return value
    problems.append(f"{tag_text(keyword)} is missing or not above zero")
    return None


def _weight_kg(header: Dataset, problems: list[str]) -> float | None:
    weight_kg = _positive(header, "PatientWeight", problems)
    if weight_kg is not None and weight_kg > LARGEST_WEIGHT_KG:
        problems.append(
            f"{tag_text('PatientWeight')} is {weight_kg:g}: it must be in kg, and this is more than "
            f"{LARGEST_WEIGHT_KG:g} kg; is it in g?"
        )
        return None
    return weight_kg


def _activity_bq(header: Dataset, problems: list[str]) -> float | None:
    item = first_item(header, "RadiopharmaceuticalInformationSequence")
    activity_bq = _positive(item, "RadionuclideTotalDose", problems)
    if activity_bq is not None and activity_bq < SMALLEST_ACTIVITY_BQ:
        problems.append(
            f"{tag_text('RadionuclideTotalDose')} is {activity_bq:g}: it must be in Bq, and this looks like MBq or kBq"
        )
        return None
    return activity_bq


def _half_life_s(header: Dataset, problems: list[str]) -> float | None:
    return _positive(first_item(header, "RadiopharmaceuticalInformationSequence"), "RadionuclideHalfLife", problems)


def _missing_corrections(header: Dataset) -> list[str]:
    corrections = [item.upper() for item in texts(header, "CorrectedImage")]
    needed = {"ATTN": "attenuation", "DECY": "decay"}
    missing = [f"{code} ({meaning})" for code, meaning in needed.items() if code not in corrections]
    if not missing:
        return []
    found = "\\".join(corrections) or "missing"
    return [f"{tag_text('CorrectedImage')} is {found} and lacks {' and '.join(missing)}"]


def _not_constant(headers: Sequence[Dataset]) -> list[str]:
    """One series has one scaling: an attribute that changes from image to image contradicts itself."""
    injections = [first_item(header, "RadiopharmaceuticalInformationSequence") for header in headers]
    problems = []
    for keywords, datasets in ((_CONSTANT, headers), (_CONSTANT_INJECTION, injections)):
        for keyword in keywords:
            values = sorted({"\\".join(texts(dataset, keyword)) or "(empty)" for dataset in datasets})
            if len(values) > 1:
                problems.append(f"{tag_text(keyword)} differs within the series: {', '.join(values[:4])}")
    return problems
