"""What was injected into whom and when: the facts of a SPECT that its header gives or a person enters.

A SPECT in Bq/mL can be read without them, and NM headers often lack them: what is missing stays unknown and is said in
a warning with the names under which it can be entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from .dicom_values import first_item, number, parse_date_time, tag_text, text, without_carets
from .entered_values import LONGEST_HALF_LIFE_S, Entered, told
from .nuclides import HALF_LIFE_S, nuclide_by_half_life, nuclide_in, nuclide_of
from .suv import suv_factor
from .suv_facts import INJECTION, activity_in_bq, half_life_doubt, not_constant, read_facts
from .suv_injection import Injection as SuvInjection
from .suv_injection import entered_injection, read_injection
from .suv_problems import Problems

_DATE_TIME = "RadiopharmaceuticalStartDateTime"
_NEEDED = ("weight_kg", "injected_activity_mbq")


@dataclass(frozen=True)
class Injection:
    """Facts of one study; None where neither the header nor a person gives them.

    ``inputs`` names each value by its DICOM keyword with its unit, ``entered`` those that were entered by hand.
    ``problems`` holds what is missing or cannot be for an SUV.
    """

    weight_kg: float | None
    height_m: float | None
    sex: str
    activity_mbq: float | None
    half_life_s: float | None
    injected: datetime | None
    tracer: str
    inputs: dict[str, Any]
    entered: tuple[str, ...]
    problems: Problems
    warnings: list[str] = field(default_factory=list)


def read_spect_injection(
    headers: Sequence[Dataset], entered: Entered | None, mid_scan: datetime, where: str
) -> Injection:
    """Facts of the injection from the headers of all images and from what was entered, which goes first.

    Raises InputError for a time of injection that was entered and cannot be right.
    """
    given = Entered() if entered is None else entered
    problems = Problems()
    facts = read_facts(headers, given, problems, _NEEDED)
    item = first_item(headers[0], INJECTION)
    tracer = given.tracer or _tracer(item)
    warnings = list(facts.warnings)
    inputs: dict[str, Any] = {}
    half_life_s = _half_life(headers[0], facts.half_life_s, tracer, inputs, warnings)
    if half_life_s is None:
        problems.add(
            f"{tag_text('RadionuclideHalfLife')} is missing and the header names no nuclide of known half-life",
            "half_life_s",
        )
    activity_bq = facts.activity_bq
    if activity_bq is None and facts.half_life_s is None and not not_constant(headers, "RadionuclideTotalDose"):
        # without the half-life of the nuclide 15 GBq, written in MBq, would not be taken as such
        activity_bq = activity_in_bq(number(item, "RadionuclideTotalDose") or 0.0, half_life_s)
    found = _injected(headers, given, mid_scan, half_life_s, problems, where)
    if found is not None:
        warnings += found.warnings
        inputs[f"{found.source} (injection)"] = found.moment.isoformat(sep=" ")
    if facts.weight_kg is not None:
        inputs["PatientWeight [kg]"] = facts.weight_kg
    if activity_bq is not None:
        inputs["RadionuclideTotalDose [Bq]"] = activity_bq
    names = list(facts.entered)
    if given.tracer:
        warnings.append(told("tracer", given.tracer))
        names.append("Radiopharmaceutical")
    elif not tracer:
        warnings.append("the header does not name the tracer")
    return Injection(
        weight_kg=facts.weight_kg,
        height_m=facts.height_m,
        sex=facts.sex,
        activity_mbq=None if activity_bq is None else activity_bq / 1e6,
        half_life_s=half_life_s,
        injected=None if found is None else found.moment,
        tracer=tracer,
        inputs=inputs,
        entered=tuple(names),
        problems=problems,
        warnings=warnings,
    )


def suv_per_bq_per_ml(facts: Injection, mid_scan: datetime) -> float | None:
    """SUVbw per Bq/mL at mid-scan, None where something is not known for it.

    SUVbw = C [Bq/mL] x weight [g] / (injected activity [Bq] x 2^(-(mid-scan - injection) / half-life)).
    """
    if facts.weight_kg is None or facts.activity_mbq is None or facts.injected is None or facts.half_life_s is None:
        return None
    elapsed_s = (mid_scan - facts.injected).total_seconds()
    return suv_factor(facts.weight_kg, facts.activity_mbq * 1e6, elapsed_s, facts.half_life_s)


def _injected(
    headers: Sequence[Dataset],
    given: Entered,
    mid_scan: datetime,
    half_life_s: float | None,
    problems: Problems,
    where: str,
) -> SuvInjection | None:
    """The moment of injection; None, with a problem added, when it is not known or cannot be right."""
    if given.injected is not None:
        own = Problems()
        found = entered_injection(given.injected, mid_scan, half_life_s or LONGEST_HALF_LIFE_S, own)
        if own:
            raise own.error(f"{where}: the time of injection that was entered cannot be right")
        return found
    stated = parse_date_time(
        text(first_item(headers[0], INJECTION), _DATE_TIME), text(headers[0], "TimezoneOffsetFromUTC")
    )
    if stated is not None and not not_constant(headers, _DATE_TIME):
        # PET images are taken within two half-lives, 99mTc after a night: here a date and time of injection counts
        # up to the ten half-lives after which nothing is left to see.
        own = Problems()
        found = entered_injection(stated, mid_scan, half_life_s or LONGEST_HALF_LIFE_S, own)
        if not own:
            return found
    own = Problems()
    read = read_injection(headers, mid_scan, half_life_s, own)
    if not own:
        return read
    read_injection(headers, mid_scan, half_life_s, problems)  # once more, to tell it with what else is missing
    return None


def _tracer(item: Dataset) -> str:
    meaning = text(first_item(item, "RadiopharmaceuticalCodeSequence"), "CodeMeaning")
    return without_carets(meaning) or text(item, "Radiopharmaceutical")


def _half_life(
    header: Dataset, known_s: float | None, tracer: str, inputs: dict[str, Any], warnings: list[str]
) -> float | None:
    """The half-life that the header states or a person entered, else that of the nuclide by ICRP 107."""
    nuclide = nuclide_of(header) or nuclide_in(tracer) or nuclide_by_half_life(header)
    of_nuclide_s = None if nuclide is None else HALF_LIFE_S.get(nuclide)
    if known_s is None:
        if of_nuclide_s is not None:
            stated_s = number(first_item(header, INJECTION), "RadionuclideHalfLife")
            if stated_s is not None:
                warnings.append(
                    f"{tag_text('RadionuclideHalfLife')} {stated_s:g} cannot be; that of {nuclide} was used"
                )
            inputs[f"half-life of {nuclide} (ICRP 107) [s]"] = of_nuclide_s
        return of_nuclide_s
    inputs["RadionuclideHalfLife [s]"] = known_s
    warnings += half_life_doubt(known_s, nuclide)
    return known_s
