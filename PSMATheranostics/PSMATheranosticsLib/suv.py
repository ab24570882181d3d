"""SUV by body weight (SUVbw) from the headers of a PET series.

    SUVbw = concentration [Bq/mL] x weight [g] / (injected activity [Bq] x 2^(-t / half-life))
    t = reference time of the decay correction - time of injection

Follows the calculation flow of the IBSI SUV project, https://github.com/oncoray/suv_computation, and compares with
QIBA, "PET SUV vendor-neutral pseudo-code" (2018-06-26). What cannot be decided is refused with its remedy; nothing is
assumed, and what is converted, taken from elsewhere or entered by hand is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

from .dicom_values import scan_time, series_time, tag_text, text
from .entered_values import Entered
from .nuclides import nuclide_of
from .study import Scaling
from .suv_alternatives import OtherWay, compare, other_references
from .suv_facts import Facts, half_life_doubt, not_constant, read_facts
from .suv_injection import Injection, entered_injection, read_injection
from .suv_problems import Problems
from .suv_times import MOST_HALF_LIVES, Reference, reference_of_none, reference_of_start
from .suv_units import Conversion, check_corrections, from_stored_suv, philips_factors, read_units, suv_from_counts
from .vendor_tags import PHILIPS_ACTIVITY_FACTOR, PHILIPS_SUV_FACTOR

SAME_FACTOR = 1e-9  # relative; images whose factors are closer than that have one factor
_EXACT_REFERENCE = "DecayCorrectionDateTime"  # entered by hand or stated by an enhanced image: nothing to compare
_METHODS = {
    "START": "decay corrected to the start of the scan (DecayCorrection START)",
    "ADMIN": "decay corrected to the injection (DecayCorrection ADMIN)",
    "NONE": "not decay corrected (DecayCorrection NONE), each image by its own time",
}


@dataclass(frozen=True)
class SuvScaling:
    """Scaling to SUVbw and the facts of patient and injection (None or "" where they are not known).

    ``factors`` are those of the images in the order of the headers when they differ, as they do without decay
    correction; ``scaling.factor`` is then their median. None means that ``scaling.factor`` holds for all images.
    ``minutes_after_injection`` is to the earliest reference time of the decay correction, and to the start of the
    scan where the image is corrected to the injection or holds SUV already.
    """

    scaling: Scaling
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""
    injected_activity_mbq: float | None = None
    minutes_after_injection: float | None = None
    warnings: list[str] = field(default_factory=list)
    factors: tuple[float, ...] | None = None


@dataclass(frozen=True)
class _Decay:
    """The injection, and the reference time of each image that the injected activity is decayed to."""

    half_life_s: float
    injection: Injection
    reference: Reference

    def seconds(self, moment: datetime) -> float:
        """From the injection to a reference time."""
        return (moment - self.injection.moment).total_seconds()


def suv_factor(weight_kg: float, activity_bq: float, decay_s: float, half_life_s: float) -> float:
    """SUVbw per Bq/mL: weight in g over what is left of the injected activity ``decay_s`` after the injection."""
    return weight_kg * 1000.0 / (activity_bq * 2.0 ** (-decay_s / half_life_s))


def suv_scaling(headers: Sequence[Dataset], where: str, entered: Entered | None = None) -> SuvScaling:
    """Scaling of one PET series from the headers of all its images.

    ``where`` names the series in messages. Values of ``entered`` replace those of the headers. Raises one InputError
    that lists every attribute that is missing, contradictory or not supported, with its tag and remedy.
    """
    entered = entered or Entered()
    problems = Problems()
    units = read_units(headers, problems)
    by_activity, by_suv = philips_factors(headers)
    if units in ("GML", "CM2ML") or (units == "CNTS" and by_activity is None):
        found = _holding_suv(headers, units, by_suv, entered, problems)
    else:
        found = _from_concentration(headers, units, entered, problems)
    if problems or found is None:
        taken = scan_time(headers)
        day = "" if taken is None else f", taken on {taken.date()}"
        raise problems.error(f"No SUV can be computed for {where}{day}")
    return replace(found, warnings=[f"{where}: {warning}" for warning in found.warnings])


def _holding_suv(
    headers: Sequence[Dataset], units: str, by_suv: tuple[float, ...] | None, entered: Entered, problems: Problems
) -> SuvScaling | None:
    """Scaling of images that hold an SUV of some kind, or counts that Philips' factor makes one."""
    check_corrections(headers, "", problems)
    facts = read_facts(headers, entered, problems, needed=())
    if units == "CNTS":
        conversion = suv_from_counts(headers, by_suv, problems)
    else:
        conversion = from_stored_suv(headers, units, facts, problems)
    if conversion is None:
        return None
    warnings = list(facts.warnings)
    if facts.entered and "PatientWeight [kg]" not in conversion.inputs:
        warnings.append("the image holds SUVbw as the scanner computed it, which values entered by hand do not change")
    return _result(conversion, facts, _minutes_to_start(headers, facts, entered), warnings, ())


def _from_concentration(
    headers: Sequence[Dataset], units: str, entered: Entered, problems: Problems
) -> SuvScaling | None:
    """Scaling of images in Bq/mL, or in counts that Philips' factor makes Bq/mL."""
    decay_correction = _decay_correction(headers, problems)
    check_corrections(headers, decay_correction, problems)
    needed = ["weight_kg", "injected_activity_mbq"] + (["half_life_s"] if decay_correction != "ADMIN" else [])
    facts = read_facts(headers, entered, problems, needed)
    decay = None if decay_correction == "ADMIN" else _decay(headers, decay_correction, facts, entered, problems)
    if problems or facts.weight_kg is None or facts.activity_bq is None:
        return None
    conversion = _to_bq_per_ml(headers, units)
    inputs = {
        **conversion.inputs,
        "DecayCorrection": decay_correction,
        "PatientWeight [kg]": facts.weight_kg,
        "RadionuclideTotalDose [Bq]": facts.activity_bq,
        **facts.as_written,
    }
    method = f"{conversion.method}, {_METHODS[decay_correction]}"
    if decay is None:
        factor = suv_factor(facts.weight_kg, facts.activity_bq, 0.0, 1.0)
        factors = tuple(factor * value for value in conversion.factors)
        minutes = _minutes_to_start(headers, facts, entered)
        ways = _ways_of_philips(headers, units, factors)
        return _result(Conversion(method, factors, inputs), facts, minutes, list(facts.warnings), ways)
    at_moments = [
        suv_factor(facts.weight_kg, facts.activity_bq, decay.seconds(moment), decay.half_life_s)
        for moment in decay.reference.moments
    ]
    factors = tuple(at * value for at, value in zip(at_moments, conversion.factors, strict=True))
    doubt = half_life_doubt(decay.half_life_s, nuclide_of(headers[0]))
    warnings = [*facts.warnings, *doubt, *decay.reference.warnings, *decay.injection.warnings]
    ways = [*_ways_of_philips(headers, units, factors), *_ways_of_time(headers, decay_correction, decay, factors)]
    minutes = decay.seconds(decay.reference.first) / 60.0
    return _result(Conversion(method, factors, inputs | _inputs_of(decay)), facts, minutes, warnings, ways)


def _result(
    conversion: Conversion, facts: Facts, minutes: float | None, warnings: list[str], ways: Sequence[OtherWay]
) -> SuvScaling:
    """Everything put together; the median factor stands for a series whose images have different ones."""
    lowest, highest = min(conversion.factors), max(conversion.factors)
    is_one = highest - lowest <= SAME_FACTOR * highest
    factor = conversion.factors[_median_index(conversion.factors)]
    inputs = dict(conversion.inputs)
    if not is_one:
        inputs["factors of the images"] = f"{lowest:.6g} to {highest:.6g}, median {factor:.6g}"
    alternatives, compared = compare(factor, ways)
    return SuvScaling(
        Scaling("SUVbw", factor, conversion.method, inputs, entered=facts.entered, alternatives=alternatives),
        weight_kg=facts.weight_kg,
        height_m=facts.height_m,
        sex=facts.sex,
        injected_activity_mbq=None if facts.activity_bq is None else facts.activity_bq / 1e6,
        minutes_after_injection=minutes,
        warnings=[*warnings, *compared],
        factors=None if is_one else conversion.factors,
    )


def _median_index(factors: Sequence[float]) -> int:
    """Which image stands for all: that of the median factor, of an even number the smaller one."""
    return sorted(range(len(factors)), key=factors.__getitem__)[(len(factors) - 1) // 2]


def _decay_correction(headers: Sequence[Dataset], problems: Problems) -> str:
    value = text(headers[0], "DecayCorrection").upper()
    differs = not_constant(headers, "DecayCorrection")
    if differs:
        problems.add(differs)
    elif value not in _METHODS:
        found = f"is {value}, which is none of {', '.join(_METHODS)}" if value else "is missing"
        problems.add(f"{tag_text('DecayCorrection')} {found}")
    return value


def _to_bq_per_ml(headers: Sequence[Dataset], units: str) -> Conversion:
    by_activity, _ = philips_factors(headers)
    if units != "CNTS" or by_activity is None:
        return Conversion("BQML", (1.0,) * len(headers), {"Units": "BQML"})
    inputs = {"Units": "CNTS", str(PHILIPS_ACTIVITY_FACTOR): by_activity[0]}
    return Conversion("CNTS times the activity concentration scale factor of Philips", by_activity, inputs)


def _decay(
    headers: Sequence[Dataset], decay_correction: str, facts: Facts, entered: Entered, problems: Problems
) -> _Decay | None:
    """Injection and reference times; None when a problem was added, each of which is found even beside others."""
    half_life_s = facts.half_life_s
    to_check_with = half_life_s or timedelta(days=1).total_seconds()  # the result is not used without a half-life
    if entered.reference_time is not None and decay_correction == "NONE":
        problems.add(
            f"reference_time was entered by hand, but {tag_text('DecayCorrection')} is NONE and each image has a "
            "time of its own: leave it away"
        )
    if entered.reference_time is not None and decay_correction != "NONE":
        reference: Reference | None = Reference((entered.reference_time,) * len(headers), _EXACT_REFERENCE)
    elif decay_correction == "NONE":
        reference = reference_of_none(headers, to_check_with, problems)
    else:
        reference = reference_of_start(headers, to_check_with, problems)
    if entered.injected is None:
        injection = read_injection(headers, None if reference is None else reference.first, half_life_s, problems)
    elif reference is None or half_life_s is None:
        injection = None
    else:
        injection = entered_injection(entered.injected, reference.first, half_life_s, problems)
    if half_life_s is None or reference is None or injection is None:
        return None
    return _Decay(half_life_s, injection, reference)


def _inputs_of(decay: _Decay) -> dict[str, Any]:
    reference, injection = decay.reference, decay.injection
    first, last = reference.first, max(reference.moments)
    until = "" if first == last else f" to {last.isoformat(sep=' ')}"
    return {
        f"{injection.source} (injection)": injection.moment.isoformat(sep=" "),
        f"{reference.source} (reference time)": first.isoformat(sep=" ") + until,
        "t, from injection to reference time [s]": decay.seconds(first),
        "RadionuclideHalfLife [s]": decay.half_life_s,
    }


def _ways_of_philips(headers: Sequence[Dataset], units: str, factors: Sequence[float]) -> list[OtherWay]:
    """What the scanner's own SUV factor gives where there are both of Philips' factors."""
    by_activity, by_suv = philips_factors(headers)
    if by_activity is None or by_suv is None:
        return []
    median = _median_index(factors)
    if units == "CNTS":
        return [OtherWay(f"{PHILIPS_SUV_FACTOR} (QIBA)", by_suv[median], f"{PHILIPS_ACTIVITY_FACTOR} (IBSI)")]
    ratio = by_suv[median] / by_activity[median]
    return [OtherWay(f"{PHILIPS_SUV_FACTOR} over {PHILIPS_ACTIVITY_FACTOR}", ratio, "weight, activity and times")]


def _ways_of_time(
    headers: Sequence[Dataset], decay_correction: str, decay: _Decay, factors: Sequence[float]
) -> list[OtherWay]:
    """What other admissible times of decay correction and of injection give."""
    median = _median_index(factors)
    reference, injection = decay.reference, decay.injection

    def later_by(seconds: float) -> float:
        return factors[median] * 2.0 ** (seconds / decay.half_life_s)

    ways = []
    if decay_correction == "START" and reference.source != _EXACT_REFERENCE:
        for source, moment in other_references(headers, reference, decay.half_life_s):
            seconds = (moment - reference.moments[median]).total_seconds()
            if abs(seconds) > MOST_HALF_LIVES * decay.half_life_s:
                continue  # a date that was changed, which no one could take for the time of this scan
            ways.append(OtherWay(source, later_by(seconds), f"{reference.source}, {reference.moments[median]},"))
    if injection.by_clock is not None:
        seconds = (injection.moment - injection.by_clock).total_seconds()
        ways.append(OtherWay("RadiopharmaceuticalStartTime", later_by(seconds), injection.source))
    return ways


def _minutes_to_start(headers: Sequence[Dataset], facts: Facts, entered: Entered) -> float | None:
    """Minutes from injection to the start of the scan where no SUV depends on them; None when they are not known."""
    not_needed = Problems()
    acquired, series = scan_time(headers), series_time(headers[0])
    started = series if series is not None and (acquired is None or series <= acquired) else acquired
    started = entered.reference_time or started
    if started is None:
        return None
    if entered.injected is not None:
        moment = entered.injected
    else:
        injection = read_injection(headers, started, facts.half_life_s, not_needed)
        if injection is None or not_needed:
            return None
        moment = injection.moment
    return (started - moment).total_seconds() / 60.0 if moment <= started else None
