"""Corrections of the lesions of one study: what a click, a key or a button does to scene and case.

Every correction is one step of the journal, on the disk before the method returns, and the scene follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .click_corrections import ClickCorrections, Threshold
from .mask_corrections import STUDY, Told
from .open_study import Ras

if TYPE_CHECKING:
    from PSMASegmentLib.clicks.click import ClickResult
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.records import LesionRecord

__all__ = ["Corrections", "Ras", "Threshold", "Told"]


class Corrections(ClickCorrections):
    """Corrects one shown study of the open case. No widget: a panel shows what each method tells.

    A locked case (``CaseLocked``) or a damaged one (``CaseError``) raises; what cannot be done is told as an error.

    Usage:
        corrections = Corrections()
        corrections.open(studyId)
        told = corrections.click(ras)
    """

    def accept(self, lesions: Sequence[int], isReviewed: bool = True) -> Told:
        """Mark lesions as reviewed, or not reviewed any more."""
        if isReviewed:
            return self._decide(lesions, "accepted", "", "Accept {lesions} of {study}", _("Reviewed: {lesions}."))
        name, text = "Take back the review of {lesions} of {study}", _("Not reviewed any more: {lesions}.")
        return self._decide(lesions, "undecided", "", name, text, of="accepted")

    def delete(self, lesions: Sequence[int], reason: str = "") -> Told:
        """Let lesions not count any more."""
        return self._decide(lesions, "rejected", reason, "Delete {lesions} of {study}", _("Deleted: {lesions}."))

    def physiological(self, lesions: Sequence[int], reason: str) -> Told:
        """Let lesions not count any more, because the uptake is physiological; ``reason`` says what it is."""
        from PSMASegmentLib.physiology_reasons import physiological_reason

        try:
            said = physiological_reason(reason)
        except ValueError as error:
            return Told(str(error), isError=True)
        text = _("Taken for physiological: {lesions}.")
        return self._decide(lesions, "rejected", said, "Delete {lesions} of {study}", text)

    def restore(self, lesions: Sequence[int]) -> Told:
        """Let deleted lesions count again."""
        name, text = "Restore {lesions} of {study}", _("Back again: {lesions}.")
        return self._decide(lesions, "undecided", "", name, text, of="rejected")

    def setRegion(self, lesions: Sequence[int], name: str, site: str = "") -> Told:
        """Put lesions into a region of ``lesion_regions.REGIONS``; "" goes back to what was proposed."""
        from PSMASegmentLib.lesion_regions import Region

        region = Region(name, site) if name else None

        def isNew(found: LesionRecord) -> bool:
            chosen = (found.region.name, found.region.site) if found.region_source == "reader" else None
            return chosen != ((name, site) if name else None)

        def change(case: CaseStore, chosen: Sequence[int]) -> None:
            for lesion in chosen:
                case.set_region(self.study.studyId, lesion, region)

        where = f"{name} ({site})" if site else name
        step = (
            f"Set the region of {{lesions}} of {STUDY} to {where}"
            if name
            else "Take the proposed region of {lesions} of {study}"
        )
        text = _("Region of {lesions}: {region}.").replace("{region}", where or _("as proposed"))
        return self._change(lesions, isNew, change, step, text)

    def split(self, lesion: int, rasPoints: Sequence[Ras]) -> Told:
        """Split a lesion at one or two points of it: at a valley of the uptake, else across its longest axis."""
        from PSMASegmentLib.clicks.editing import split_at
        from PSMATheranosticsLib.errors import InputError

        self.settle()
        study = self.study
        points = [study.index(point) for point in rasPoints]
        try:
            number = study.case.next_lesion_number(study.studyId)
        except InputError as error:
            return Told(str(error), isError=True, lesion=lesion)
        result = split_at(study.clickStudy(), study.labels(), lesion, points, number)
        return self._edit(result, f"Split lesion {lesion} of {STUDY}")

    def merge(self, lesions: Sequence[int], apart: bool = False) -> Told:
        """Make lesions one, with the lowest of their numbers; ``apart``: also where they lie far from each other."""
        from PSMASegmentLib.clicks.editing import merge

        self.settle()
        study = self.study
        found = study.lesions()
        deleted = sorted(each for each in lesions if each in found and found[each].decision == "rejected")
        if deleted:
            told = _("Deleted lesions cannot be merged: restore {lesions} first.")
            return Told(told.format(lesions=_listed(deleted)), isError=True)
        try:
            result = merge(study.clickStudy(), study.labels(), lesions, apart=apart)
        except ValueError as error:
            return Told(str(error), isError=True)
        return self._edit(result, f"Merge {_listed(sorted(set(lesions)))} of {STUDY}")

    def undo(self) -> Told:
        """Take the last step of the case back, whoever made it."""
        return self._move(lambda case: case.undo(), _("Undone: {step}"), _("There is nothing to undo."))

    def redo(self) -> Told:
        """Repeat the step that was taken back last."""
        return self._move(lambda case: case.redo(), _("Done again: {step}"), _("There is nothing to do again."))

    def nextUnreviewed(self, lesion: int, step: int = +1) -> int | None:
        """The next lesion (``step`` -1: the one before) that was not reviewed, None where all were.

        By number, from the first again after the last; ``lesion`` 0 begins before the first.
        """
        lesions = [found.lesion for found in self.study.case.lesions(self.study.studyId) if not found.reviewed]
        if not lesions:
            return None
        ahead = [each for each in lesions if (each > lesion if step > 0 else each < lesion)]
        if step > 0:
            return ahead[0] if ahead else lesions[0]
        return ahead[-1] if ahead else lesions[-1]

    def edit(self, result: ClickResult, name: str) -> Told:
        """Store what was painted: for ``EditorCapture``."""
        return self._edit(result, name)

    def _decide(self, lesions: Sequence[int], decision: str, reason: str, name: str, text: str, of: str = "") -> Told:
        """``of``: only lesions with this decision, which is taken back, so that no lock keeps it."""

        def isNew(found: LesionRecord) -> bool:
            isOther = (found.decision, found.decision_reason) != (decision, reason)
            return isOther and (not of or found.decision == of)

        def change(case: CaseStore, chosen: Sequence[int]) -> None:
            case.decide_lesions(self.study.studyId, chosen, decision, reason)

        step = f"{name} ({reason})" if reason else name
        return self._change(lesions, isNew, change, step, text, isLockable=not of and decision != "accepted")

    def _change(
        self,
        lesions: Sequence[int],
        isNew: Callable[[LesionRecord], bool],
        change: Callable[[CaseStore, Sequence[int]], None],
        name: str,
        text: str,
        isLockable: bool = True,
    ) -> Told:
        """Change what is recorded of lesions, those for which it is new; locked ones refuse."""
        self.settle()
        wanted = set(lesions)
        found = self.study.lesions()
        missing = sorted(wanted - set(found))
        if missing:
            return Told(_("There is no {lesions} any more.").format(lesions=_listed(missing)), isError=True)
        chosen = sorted(lesion for lesion in wanted if isNew(found[lesion]))
        lesion = chosen[0] if len(chosen) == 1 else 0
        if not chosen:
            return Told(_("That is so already."))
        locked = sorted(self.locked(found) & set(chosen)) if isLockable else []
        if locked:
            told = _("Reviewed and locked: {lesions}. Take the review back to change that.")
            return Told(told.format(lesions=_listed(locked)), isError=True, lesion=locked[0])
        listed = _listed(chosen)
        return self._step(
            name.replace("{lesions}", listed),
            lambda case: change(case, chosen),
            text.replace("{lesions}", listed),
            lesion,
        )

    def _move(self, move: Callable[[CaseStore], str | None], told: str, nothing: str) -> Told:
        self.settle()
        study = self.study
        with study.writing():
            step = move(study.case)
        if all(each.study_id != study.studyId for each in study.case.studies()):
            self.close()  # the step was the one that brought the study into the case
        else:
            study.shown.follow(study.case)
        return Told(told.format(step=step), step=step) if step else Told(nothing)


def _listed(lesions: Sequence[int]) -> str:
    """Such as "lesion 3" or "lesions 3, 4 and 7", in the words of the journal."""
    from PSMATheranosticsLib.case_decisions import lesion_list

    return lesion_list(lesions)
