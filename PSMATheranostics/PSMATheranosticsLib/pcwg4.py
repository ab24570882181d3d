"""PSMA PET by the Prostate Cancer Working Group 4: complete response, progression by new lesions, or neither.

Source: Armstrong et al. 2026, J Clin Oncol, PMID 41744290, as transcribed in secondary sources. The comparator is
always the scan before treatment. Changes of SUV or volume are no criteria, and there is no partial response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .i18n import tr
from .new_lesion_count import LesionCount, count_new_lesions
from .recip import check_volumes, loss_note, no_uptake_text
from .response import NOT_EVALUABLE, NewLesion, Response, ResponseInput
from .response_notes import EARLY_DAYS, modality_problem, scan_notes

CR, NON_PD, PD = "PCWG4-CR", "PCWG4-non-PD", "PCWG4-PD"
BETTER_TO_WORSE = (CR, NON_PD, PD)
POOLED = ("bone", "node", "lung")
AT_ONCE = 6  # new lesions of bone, node and lung together that are progression without a later scan
STILL_THERE = 2  # of fewer than that, these many must be seen on a scan at least 6 weeks later
LATER_DAYS = 42


class Pcwg4:
    """PSMA PET by PCWG4.

    * One new visceral lesion other than lung (liver, adrenal, pleura and others) is progression.
    * New lesions of bone, node and lung are counted together: 6 or more are progression at once; up to 5 are
      progression if at least 2 of them are still there on a scan 6 or more weeks later.
    * A lesion that is back after it was gone counts as new.
    * Scans in the first 8 weeks of a treatment are not read.
    * Complete response: all PSMA-positive disease is below the blood pool, by eye.

    Choices of this software: the rules do not place a new local lesion, so that the category has to be the same with it
    counted and not; segmented lesions without a measured blood pool are taken to be above it.
    """

    name = "PCWG4 PSMA PET"
    modality = "PET"
    categories = BETTER_TO_WORSE
    enabled = True

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Candidate category; ``NE`` with the possible ones where a later scan or an answer is missing.

        Raises:
            InputError: a volume is impossible, or the tissue of a lesion is not known.
        """
        check_volumes(inputs)
        inputs = _with_reappeared(inputs)
        new = count_new_lesions(inputs)
        problem = modality_problem(inputs, self.modality) or _too_early(inputs) or new.conflict
        if problem:
            return Response(
                self.name, NOT_EVALUABLE, None, problem, notes=tuple(scan_notes(inputs.baseline, inputs.followup))
            )
        kinds = _sorted_by_tissue(inputs.new_lesions_seen)
        possible = _possible(inputs, new, kinds)
        category, branches = (possible[0], ()) if len(possible) == 1 else (NOT_EVALUABLE, possible)
        why = tr("{new_lesions}: {reason}").format(
            new_lesions=_new_text(new, kinds), reason=_reason(category, branches, new, kinds)
        )
        notes = [*_notes(inputs, category, branches, kinds), *scan_notes(inputs.baseline, inputs.followup)]
        return Response(self.name, category, None, why, branches, tuple(notes))


def _with_reappeared(inputs: ResponseInput) -> ResponseInput:
    """With lesions that are back counted as new, where new lesions can be counted at all."""
    listed = inputs.new_lesions is False or (inputs.new_lesions and inputs.new_lesions_seen)
    if not listed or not inputs.reappeared:
        return inputs
    return replace(inputs, new_lesions=True, new_lesions_seen=(*inputs.new_lesions_seen, *inputs.reappeared))


@dataclass(frozen=True)
class _Kinds:
    """New lesions by what the rules do with them."""

    pooled: tuple[NewLesion, ...]
    visceral: tuple[NewLesion, ...]
    local: tuple[NewLesion, ...]
    unknown: tuple[NewLesion, ...]


def _sorted_by_tissue(lesions: Sequence[NewLesion]) -> _Kinds:
    def of(*tissues: str) -> tuple[NewLesion, ...]:
        return tuple(lesion for lesion in lesions if lesion.tissue in tissues)

    return _Kinds(of(*POOLED), of("visceral"), of("local"), of(""))


def _too_early(inputs: ResponseInput) -> str:
    """Why the scan must not be read yet; "" where it may be.

    The treatment begins after the baseline scan, so that the interval of the scans is the most it can have lasted.
    """
    days, interval = inputs.days_since_treatment, inputs.interval_days
    if days is not None and days < EARLY_DAYS:
        text = tr("not interpretable: {days} days after the start of the treatment, less than 8 weeks")
        return text.format(days=f"{days:.0f}")
    if days is None and interval is not None and interval < EARLY_DAYS:
        text = tr("not interpretable: {days} days after the baseline, less than 8 weeks")
        return text.format(days=f"{interval:.0f}")
    return ""


def _possible(inputs: ResponseInput, new: LesionCount, kinds: _Kinds) -> tuple[str, ...]:
    """The categories under every answer that is still possible, the best first."""
    if new.most > new.least:
        progression = {False, True}  # what is listed may be a part, and none of it is sure
    else:
        best = _progression(kinds.pooled + kinds.unknown, kinds.visceral)
        worst = _progression(kinds.pooled + kinds.local, kinds.visceral + kinds.unknown)
        progression = best | worst
    found = {PD} if True in progression else set()
    if False in progression:
        found |= _without_progression(inputs)
    return tuple(category for category in BETTER_TO_WORSE if category in found)


def _progression(pooled: Sequence[NewLesion], visceral: Sequence[NewLesion]) -> set[bool]:
    """Whether new lesions are progression: both answers where that waits for a later scan."""
    if visceral or len(pooled) >= AT_ONCE:
        return {True}
    seen = sum(_later_seen(lesion) is True for lesion in pooled)
    open_ = sum(_later_seen(lesion) is None for lesion in pooled)
    if seen >= STILL_THERE:
        return {True}
    return {False, True} if seen + open_ >= STILL_THERE else {False}


def _later_seen(lesion: NewLesion) -> bool | None:
    too_soon = lesion.days_to_later is not None and lesion.days_to_later < LATER_DAYS
    return None if too_soon else lesion.later_seen


def _without_progression(inputs: ResponseInput) -> set[str]:
    """The categories that are possible where there is no progression."""
    if inputs.baseline_ttv_ml == 0 or inputs.new_lesions:
        return {NON_PD}
    if inputs.residual_uptake is False and not inputs.lesions_above_blood_pool:
        return {CR}
    above = inputs.lesions_above_blood_pool
    if above is None:
        nothing = inputs.followup_ttv_ml == 0 and inputs.residual_uptake is None
        return {CR, NON_PD} if nothing else {NON_PD}
    return {NON_PD} if above else {CR, NON_PD}


def _new_text(new: LesionCount, kinds: _Kinds) -> str:
    counts = [
        tr("{count} of bone, node or lung").format(count=len(kinds.pooled)) if kinds.pooled else "",
        tr("{count} visceral").format(count=len(kinds.visceral)) if kinds.visceral else "",
        tr("{count} local").format(count=len(kinds.local)) if kinds.local else "",
        tr("{count} of unknown site").format(count=len(kinds.unknown)) if kinds.unknown else "",
    ]
    listed = ", ".join(count for count in counts if count)
    return tr("{new_lesions} ({counts})").format(new_lesions=new.text, counts=listed) if listed else new.text


def _reason(category: str, branches: tuple[str, ...], new: LesionCount, kinds: _Kinds) -> str:
    if category == PD:
        if kinds.visceral:
            return tr("a new visceral lesion other than lung")
        if len(kinds.pooled) >= AT_ONCE:
            return tr("6 or more new lesions of bone, node and lung")
        if len(kinds.pooled + kinds.unknown) >= AT_ONCE:
            return tr("6 or more new lesions, wherever those of unknown site are")
        return tr("at least 2 of the new lesions are still there 6 or more weeks later")
    if category == CR:
        return no_uptake_text()
    if category == NON_PD:
        if new.least:
            return tr("fewer than 6 new lesions are progression only if 2 are still there 6 or more weeks later")
        return tr("no rule of progression or complete response is met")
    if PD not in branches:
        return tr("complete response only if a reader sees all disease below the blood pool")
    if kinds.unknown or kinds.local or new.most > new.least:
        return tr("number or site of the new lesions leave it open")
    return tr("up to 5 new lesions: progression if at least 2 are still there on a scan 6 or more weeks later")


def _notes(inputs: ResponseInput, category: str, branches: tuple[str, ...], kinds: _Kinds) -> list[str]:
    notes = []
    if category == CR:
        notes.append(loss_note())
    if CR in branches:
        notes.append(tr("PCWG4-CR needs a reader: is all PSMA-positive disease below the blood pool?"))
    gone = [lesion.track for lesion in kinds.pooled if _later_seen(lesion) is False]
    if gone and category != PD:
        text = tr("New lesions that are gone on the later scan, a pseudoprogression: {tracks}.")
        notes.append(text.format(tracks=", ".join(gone)))
    if inputs.reappeared and inputs.new_lesions:
        text = tr("PCWG4 counts lesions that are back after they were gone as new: {tracks}.")
        notes.append(text.format(tracks=", ".join(lesion.track for lesion in inputs.reappeared)))
    if kinds.local:
        text = tr("PCWG4 has no rule on new local lesions: {tracks}.")
        notes.append(text.format(tracks=", ".join(lesion.track for lesion in kinds.local)))
    if inputs.days_since_treatment is None:
        notes.append(tr("The start of the treatment is not known: scans in its first 8 weeks must not be read."))
    return notes
