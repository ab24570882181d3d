"""RECIP 1.0: response evaluation criteria in PSMA imaging, from the change of the total tumor volume and new lesions.

A research criterion for the whole patient, never for one lesion. The category is a candidate until a reader
confirms it, because whether a lesion is new and whether uptake is left are a reader's decisions.

Sources: Gafita et al. 2022, J Nucl Med 63:1651-1658, doi 10.2967/jnumed.121.263072 (erratum: J Nucl Med
2023;64:1503); wording of the categories as on https://recip-criteria.com.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from .errors import InputError
from .response import NOT_EVALUABLE, Response, ResponseInput, ScanFacts

CR, PR, SD, PD = "RECIP-CR", "RECIP-PR", "RECIP-SD", "RECIP-PD"

# Gafita 2022: a decrease of at least 30 % without new lesions is a partial response, an increase of at least 20 %
# with new lesions is progression. The limits belong to the categories.
PARTIAL_RESPONSE_RATIO = 0.7
PROGRESSION_RATIO = 1.2
# 1.0 -> 1.2 mL is +19.999999999999996 % in doubles. The limits are therefore compared with this relative tolerance,
# far below what a voxel adds and far above rounding.
RATIO_TOLERANCE = 1e-9

# Design choices of this software, not part of RECIP 1.0. The criterion was developed with an interim scan at about
# 12 weeks, and PSMA expression may change in the first 8 weeks of a treatment without a change of the disease.
EARLY_DAYS = 56
USUAL_DAYS = 84
# Below this baseline volume a few voxels decide the category.
SMALL_BASELINE_ML = 1.0


class Recip1:
    """RECIP 1.0 against one fixed baseline (no nadir).

    ==========  ==============  =================
    change      no new lesion   new lesion(s)
    ==========  ==============  =================
    no uptake   CR              input conflict
    <= -30 %    PR              SD
    between     SD              SD
    >= +20 %    SD              PD
    ==========  ==============  =================
    """

    name = "RECIP 1.0"

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category for ``inputs``, decided on the unrounded volumes.

        ``NE`` is given where a volume is missing, the baseline volume is 0, new lesions cannot be assessed and the
        possible answers differ (``branches`` names both), PET is compared with SPECT, or the inputs contradict each
        other; ``why`` then starts its reason with "input conflict".

        Raises:
            InputError: a volume is negative, infinite or not a number.
        """
        base = _checked(inputs.baseline_ttv_ml, "baseline")
        followup = _checked(inputs.followup_ttv_ml, "follow-up")
        change = None if base is None or followup is None or base == 0 else 100.0 * (followup - base) / base
        category, reason, branches = _decide(base, followup, inputs)
        why = f"{_volumes_text(base, followup, change)}, {_new_lesions_text(inputs.new_lesions)}: {reason}"
        return Response(self.name, category, change, why, branches, _notes(inputs, base, followup, category))


def _checked(volume_ml: float | None, scan: str) -> float | None:
    if volume_ml is not None and not (math.isfinite(volume_ml) and volume_ml >= 0):
        raise InputError(
            f"The {scan} tumor volume is {volume_ml} mL: RECIP needs a volume of 0 mL or more. Measure the scan again."
        )
    return volume_ml


def _decide(base: float | None, followup: float | None, inputs: ResponseInput) -> tuple[str, str, tuple[str, ...]]:
    """Category, reason, and the categories that are possible where a question is open."""
    missing = [name for name, volume in (("baseline", base), ("follow-up", followup)) if volume is None]
    if base is None or followup is None:
        return NOT_EVALUABLE, f"no tumor volume at {' and '.join(missing)}", ()
    if _pet_against_spect(inputs):
        return NOT_EVALUABLE, "volumes of different modalities cannot be compared", ()
    conflict = _conflict(followup, inputs)
    if conflict:
        return NOT_EVALUABLE, f"input conflict: {conflict}", ()
    if base == 0:
        return NOT_EVALUABLE, _no_baseline_reason(followup, inputs.new_lesions), ()
    if followup == 0 and inputs.residual_uptake is False:
        return CR, "no PSMA uptake left, stated by a reader", ()
    if inputs.new_lesions is not None:
        return *_by_table(base, followup, inputs.new_lesions), ()
    without, with_new = _by_table(base, followup, False), _by_table(base, followup, True)
    if without[0] == with_new[0]:
        return without[0], f"{_between_text()}, so that new lesions would not change the category", ()
    return NOT_EVALUABLE, f"{without[0]} without new lesions, {with_new[0]} with", (without[0], with_new[0])


def _by_table(base: float, followup: float, new_lesions: bool) -> tuple[str, str]:
    tolerance = RATIO_TOLERANCE * base
    if followup <= PARTIAL_RESPONSE_RATIO * base + tolerance:
        if new_lesions:
            return SD, "at least 30 % decrease, but with new lesions"
        return PR, "at least 30 % decrease without new lesions"
    if followup >= PROGRESSION_RATIO * base - tolerance:
        if new_lesions:
            return PD, "at least 20 % increase with new lesions"
        return SD, "at least 20 % increase, but without new lesions"
    return SD, _between_text()


def _between_text() -> str:
    return "less than 30 % decrease and less than 20 % increase"


def _pet_against_spect(inputs: ResponseInput) -> bool:
    return _differ(inputs.baseline, inputs.followup, "modality")


def _conflict(followup: float, inputs: ResponseInput) -> str:
    """What the inputs say against each other; "" when they agree."""
    if followup == 0 and inputs.new_lesions:
        return "new lesions are uptake, but the follow-up volume is 0 mL; segment the new lesions or reject them"
    if inputs.residual_uptake is False and followup > 0:
        return "a reader sees no uptake left, but lesions are segmented; reject the lesions or withdraw the statement"
    if inputs.residual_uptake is False and inputs.new_lesions:
        return "a reader sees no uptake left, but there are new lesions"
    return ""


def _no_baseline_reason(followup: float, new_lesions: bool | None) -> str:
    if followup == 0:
        return "no PSMA-positive disease on either scan, the change is undefined"
    if new_lesions:
        return "new PSMA-positive disease; RECIP is not applicable because the baseline volume is 0 mL"
    return "the change is undefined because the baseline volume is 0 mL"


def _notes(inputs: ResponseInput, base: float | None, followup: float | None, category: str) -> tuple[str, ...]:
    notes = []
    if followup == 0 and category in (PR, NOT_EVALUABLE) and base:
        if inputs.residual_uptake is None:
            notes.append("RECIP-CR needs a reader: is any PSMA uptake of tumor left at follow-up?")
        elif inputs.residual_uptake:
            notes.append("Not RECIP-CR: a reader sees uptake that is left, although none was segmented.")
    if category == CR:
        notes.append("Loss of PSMA expression is possible: check CT, and FDG PET where available.")
    if base is not None and 0 < base < SMALL_BASELINE_ML:
        notes.append(f"The baseline volume is below {SMALL_BASELINE_ML:g} mL: a few voxels can change the category.")
    notes += _interval_notes(inputs.interval_days) + _scan_notes(inputs.baseline, inputs.followup)
    return tuple(notes)


def _interval_notes(days: float | None) -> list[str]:
    if days is None or days >= USUAL_DAYS:
        return []
    if days < EARLY_DAYS:
        return [f"The scans are {days:.0f} days apart, less than 8 weeks: too early to read progression."]
    return [f"The scans are {days:.0f} days apart, less than the 12 weeks after which RECIP was studied."]


def _scan_notes(baseline: ScanFacts | None, followup: ScanFacts | None) -> list[str]:
    if baseline is None or followup is None:
        return []
    notes = []
    if _differ(baseline, followup, "modality"):
        notes.append(f"The baseline is {baseline.modality}, the follow-up {followup.modality}.")
    elif baseline.modality == "SPECT":
        notes.append("RECIP on SPECT is exploratory: small new lesions can be missed.")
    if _differ(baseline, followup, "tracer"):
        notes.append(f"The tracers differ: {baseline.tracer} and {followup.tracer}.")
    notes += _segmentation_notes(baseline.segmentation, followup.segmentation)
    return notes


def _segmentation_notes(baseline: Mapping[str, str], followup: Mapping[str, str]) -> list[str]:
    if not baseline or not followup:
        return []
    names = dict.fromkeys([*baseline, *followup])
    differing = [
        f"{name} {baseline.get(name, 'none')} and {followup.get(name, 'none')}"
        for name in names
        if baseline.get(name) != followup.get(name)
    ]
    if not differing:
        return []
    return [f"The scans were segmented differently ({'; '.join(differing)}): the change mixes method and disease."]


def _differ(baseline: ScanFacts | None, followup: ScanFacts | None, fact: str) -> bool:
    """Whether both scans state ``fact`` and state it differently."""
    if baseline is None or followup is None:
        return False
    first, second = getattr(baseline, fact), getattr(followup, fact)
    return bool(first and second and first.casefold() != second.casefold())


def _volumes_text(base: float | None, followup: float | None, change: float | None) -> str:
    text = f"PSMA-TV {_ml_text(base)} -> {_ml_text(followup)} mL"
    return text if change is None else f"{text} ({percent_text(change)})"


def _ml_text(volume_ml: float | None) -> str:
    if volume_ml is None:
        return "missing"
    # A volume that is not zero must not read as zero.
    return f"{volume_ml:.1f}" if volume_ml == 0 or volume_ml >= 0.05 else f"{volume_ml:.2g}"


def percent_text(change: float) -> str:
    """A change in percent with one decimal, or more where rounding would move it across a limit of RECIP.

    -29.96 reads "-29.96 %" and not "-30.0 %", which would contradict the category.
    """
    side = _side(change)
    for decimals in range(1, 8):
        rounded = round(change, decimals)
        if _side(rounded) == side:
            break
    return f"{rounded:+.{decimals}f} %" if rounded else "0.0 %"


def _side(change: float) -> int:
    tolerance = 100 * RATIO_TOLERANCE
    if change <= 100 * (PARTIAL_RESPONSE_RATIO - 1) + tolerance:
        return -1
    return 1 if change >= 100 * (PROGRESSION_RATIO - 1) - tolerance else 0


def _new_lesions_text(new_lesions: bool | None) -> str:
    if new_lesions is None:
        return "new lesions not assessable"
    return "new lesions" if new_lesions else "no new lesion"
