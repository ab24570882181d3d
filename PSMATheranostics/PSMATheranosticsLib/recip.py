"""RECIP 1.0: response evaluation criteria in PSMA imaging, from the change of the total tumor volume and new lesions.

A research criterion for the whole patient, never for one lesion. The category is a candidate until a reader
confirms it, because whether a lesion is new and whether uptake is left are a reader's decisions.

Sources: Gafita et al. 2022, J Nucl Med 63:1651-1658, doi 10.2967/jnumed.121.263072 (erratum: J Nucl Med
2023;64:1503); wording of the categories as on https://recip-criteria.com.
"""

from __future__ import annotations

import math

from .errors import InputError
from .i18n import decimal, tr
from .response import NOT_EVALUABLE, Response, ResponseInput
from .response_notes import comparison_notes, modality_problem

CR, PR, SD, PD = "RECIP-CR", "RECIP-PR", "RECIP-SD", "RECIP-PD"
TABLE = {
    ("decrease", False): PR,
    ("decrease", True): SD,
    ("neither", False): SD,
    ("neither", True): SD,
    ("increase", False): SD,
    ("increase", True): PD,
}

# Gafita 2022: a decrease of at least 30 % without new lesions is a partial response, an increase of at least 20 %
# with new lesions is progression. The limits belong to the categories.
PARTIAL_RESPONSE_RATIO = 0.7
PROGRESSION_RATIO = 1.2
# 1.0 -> 1.2 mL is +19.999999999999996 % in doubles. The limits are therefore compared with this relative tolerance,
# far below what a voxel adds and far above rounding.
RATIO_TOLERANCE = 1e-9

# Choices of this software, not part of RECIP 1.0, which knows no smallest volume: below them a few voxels decide.
SMALL_BASELINE_ML = 1.0
SMALL_CHANGE_ML = 0.5

Verdict = tuple[str, str, tuple[str, ...]]  # category, reason, and the categories possible where a question is open


class Recip1:
    """RECIP 1.0 on PET by measured volumes, against one fixed baseline (no nadir).

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
    modality = "PET"
    categories = (CR, PR, SD, PD)
    enabled = True

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category for ``inputs``, decided on the unrounded volumes.

        ``NE`` is given where a volume is missing, the baseline volume is 0, new lesions cannot be assessed and the
        possible answers differ (``branches`` names both), a scan is a SPECT, or the inputs contradict each
        other; ``why`` then starts its reason with "input conflict".

        Raises:
            InputError: a volume is negative, infinite or not a number.
        """
        verdict = decide_by_volumes(inputs, modality_problem(inputs, self.modality))
        notes = [*category_notes(inputs, verdict), *comparison_notes(inputs), *borders_notes(inputs)]
        return volume_response(self.name, inputs, verdict, notes)


def volume_response(name: str, inputs: ResponseInput, verdict: Verdict, notes: list[str]) -> Response:
    """The response of a criterion that rests on volumes and new lesions."""
    category, reason, branches = verdict
    why = tr("{volumes}, {new_lesions}: {reason}").format(
        volumes=volumes_text(inputs), new_lesions=new_lesions_text(inputs.new_lesions), reason=reason
    )
    return Response(name, category, change_percent(inputs), why, branches, tuple(notes))


def borders_notes(inputs: ResponseInput) -> list[str]:
    """A note where a volume has borders that a network drew: the limits of RECIP were studied with other ones.

    Those were of qPSMA (Gafita et al. 2019, J Nucl Med 60:1277-1283): SUV 3 in bone, a threshold by the liver
    elsewhere.
    """
    facts = (inputs.baseline, inputs.followup)
    if not any(scan is not None and scan.network_borders for scan in facts):
        return []
    text = tr(
        "Borders drawn by a network: volumes differ from those at thresholds, with which the limits of RECIP were "
        "studied, and may change by other percentages."
    )
    return [text]


def decide_by_volumes(inputs: ResponseInput, problem: str = "") -> Verdict:
    """The verdict by measured volumes. ``problem``: why the scans cannot be compared at all.

    Raises:
        InputError: a volume is negative, infinite or not a number.
    """
    base, followup = inputs.baseline_ttv_ml, inputs.followup_ttv_ml
    check_volumes(inputs)
    if base is None or followup is None:
        return NOT_EVALUABLE, _missing_text(base, followup), ()
    if problem:
        return NOT_EVALUABLE, problem, ()
    return decide(base, followup, inputs.new_lesions, inputs.residual_uptake)


def decide(base: float, followup: float, new_lesions: bool | None, residual_uptake: bool | None) -> Verdict:
    """The table of RECIP 1.0 for two volumes in mL, 0 or more, and the reader's two statements (None: open)."""
    conflict = uptake_conflict(followup, new_lesions, residual_uptake)
    if conflict:
        return NOT_EVALUABLE, conflict, ()
    if base == 0:
        return NOT_EVALUABLE, _no_baseline_reason(followup, new_lesions), ()
    if followup == 0 and residual_uptake is False:
        return CR, no_uptake_text(), ()
    change = change_class(base, followup)
    if new_lesions is not None:
        return TABLE[change, new_lesions], _clause(change, new_lesions), ()
    without, with_new = TABLE[change, False], TABLE[change, True]
    if without == with_new:
        text = tr(
            "less than 30 % decrease and less than 20 % increase, so that new lesions would not change the category"
        )
        return without, text, ()
    return NOT_EVALUABLE, either_text(without, with_new), (without, with_new)


def change_class(base: float, followup: float) -> str:
    """Which of "decrease", "increase" and "neither" the change of a volume above 0 mL is to RECIP 1.0."""
    tolerance = RATIO_TOLERANCE * base
    if followup <= PARTIAL_RESPONSE_RATIO * base + tolerance:
        return "decrease"
    return "increase" if followup >= PROGRESSION_RATIO * base - tolerance else "neither"


def change_percent(inputs: ResponseInput) -> float | None:
    """Change of the total tumor volume in percent, unrounded; None where the ratio is undefined."""
    base, followup = inputs.baseline_ttv_ml, inputs.followup_ttv_ml
    return None if base is None or followup is None or base == 0 else 100.0 * (followup - base) / base


def check_volumes(inputs: ResponseInput) -> None:
    """Raise ``InputError`` for a volume that is negative, infinite or not a number."""
    for volume_ml, scan in ((inputs.baseline_ttv_ml, "baseline"), (inputs.followup_ttv_ml, "follow-up")):
        if volume_ml is not None and not (math.isfinite(volume_ml) and volume_ml >= 0):
            raise InputError(
                f"The {scan} tumor volume is {volume_ml} mL: a response needs a volume of 0 mL or more. "
                "Measure the scan again."
            )


def uptake_conflict(followup: float | None, new_lesions: bool | None, residual_uptake: bool | None) -> str:
    """What volume, new lesions and residual uptake say against each other; "" when they agree."""
    if followup == 0 and new_lesions:
        return tr(
            "input conflict: new lesions are uptake, but the follow-up volume is 0 mL; "
            "segment the new lesions or reject them"
        )
    if residual_uptake is False and followup is not None and followup > 0:
        return tr(
            "input conflict: a reader sees no uptake left, but lesions are segmented; "
            "reject the lesions or withdraw the statement"
        )
    if residual_uptake is False and new_lesions:
        return tr("input conflict: a reader sees no uptake left, but there are new lesions")
    return ""


def category_notes(inputs: ResponseInput, verdict: Verdict) -> list[str]:
    """Notes on what the category needs, leaves open, or hangs on."""
    base, followup = inputs.baseline_ttv_ml, inputs.followup_ttv_ml
    category, _, branches = verdict
    notes = []
    if followup == 0 and category in (PR, NOT_EVALUABLE) and base:
        if inputs.residual_uptake is None:
            notes.append(tr("RECIP-CR needs a reader: is any PSMA uptake of tumor left at follow-up?"))
        elif inputs.residual_uptake:
            notes.append(tr("Not RECIP-CR: a reader sees uptake that is left, although none was segmented."))
    if category == CR:
        notes.append(loss_note())
    if PD in branches:
        notes.append(not_assessable_note())
    if base is not None and followup is not None and base > 0:
        if base < SMALL_BASELINE_ML:
            text = tr("The baseline volume is below {limit} mL: a few voxels can change the category.")
            notes.append(text.format(limit=f"{SMALL_BASELINE_ML:g}"))
        elif abs(followup - base) < SMALL_CHANGE_ML and change_class(base, followup) != "neither":
            text = tr("The volume changed by less than {limit} mL: a few voxels can change the category.")
            notes.append(text.format(limit=f"{SMALL_CHANGE_ML:g}"))
    return notes


def loss_note() -> str:
    """What a reader checks before believing in a complete response."""
    return tr("Loss of PSMA expression is possible: check CT, and FDG PET where available.")


def not_assessable_note() -> str:
    """What new lesions that cannot be assessed mean, as in diffuse marrow involvement (choice of this software)."""
    return tr(
        "RECIP-PD needs a new lesion: where new lesions cannot be assessed, as in diffuse marrow involvement, "
        "the rule cannot reach it."
    )


def no_uptake_text() -> str:
    """The clause of RECIP-CR."""
    return tr("no PSMA uptake left, stated by a reader")


def either_text(without: str, with_new: str) -> str:
    """The reason where only the answer on new lesions is missing."""
    return tr("{without} without new lesions, {with_new} with").format(without=without, with_new=with_new)


def volumes_text(inputs: ResponseInput) -> str:
    """Both total tumor volumes and their change in a few words."""
    before, after = _ml_text(inputs.baseline_ttv_ml), _ml_text(inputs.followup_ttv_ml)
    change = change_percent(inputs)
    if change is None:
        return tr("PSMA-TV {before} -> {after} mL").format(before=before, after=after)
    return tr("PSMA-TV {before} -> {after} mL ({change})").format(
        before=before, after=after, change=percent_text(change)
    )


def new_lesions_text(new_lesions: bool | None) -> str:
    """Whether there are new lesions, in words."""
    if new_lesions is None:
        return tr("new lesions not assessable")
    return tr("new lesions") if new_lesions else tr("no new lesion")


def percent_text(change: float) -> str:
    """A change in percent with one decimal, or more where rounding would move it across a limit of RECIP.

    -29.96 reads "-29.96 %" and not "-30.0 %", which would contradict the category.
    """
    side = _side(change)
    for decimals in range(1, 8):
        rounded = round(change, decimals)
        if _side(rounded) == side:
            break
    return decimal(f"{rounded:+.{decimals}f} %" if rounded else "0.0 %")


def _side(change: float) -> int:
    tolerance = 100 * RATIO_TOLERANCE
    if change <= 100 * (PARTIAL_RESPONSE_RATIO - 1) + tolerance:
        return -1
    return 1 if change >= 100 * (PROGRESSION_RATIO - 1) - tolerance else 0


def _clause(change: str, new_lesions: bool) -> str:
    if change == "decrease":
        if new_lesions:
            return tr("at least 30 % decrease, but with new lesions")
        return tr("at least 30 % decrease without new lesions")
    if change == "increase":
        if new_lesions:
            return tr("at least 20 % increase with new lesions")
        return tr("at least 20 % increase, but without new lesions")
    return tr("less than 30 % decrease and less than 20 % increase")


def _missing_text(base: float | None, followup: float | None) -> str:
    if base is None and followup is None:
        return tr("no tumor volume at baseline and follow-up")
    return tr("no tumor volume at baseline") if base is None else tr("no tumor volume at follow-up")


def _no_baseline_reason(followup: float, new_lesions: bool | None) -> str:
    if followup == 0:
        return tr("no PSMA-positive disease on either scan, the change is undefined")
    if new_lesions:
        return tr("new PSMA-positive disease; RECIP is not applicable because the baseline volume is 0 mL")
    return tr("the change is undefined because the baseline volume is 0 mL")


def _ml_text(volume_ml: float | None) -> str:
    if volume_ml is None:
        return tr("missing")
    # A volume that is not zero must not read as zero.
    return decimal(f"{volume_ml:.1f}" if volume_ml == 0 or volume_ml >= 0.05 else f"{volume_ml:.2g}")
