"""What all corrections of one study rest on: the open study, edits of its labels as steps of the journal, the scene."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from . import session
from .open_study import OpenStudy

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMASegmentLib.clicks.click import ClickResult
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.records import ClickRecord, LesionRecord

STUDY = "{study}"
Schedule = Callable[[int, Callable[[], None]], None]


@dataclass(frozen=True)
class Told:
    """What to tell the user in the status line. ``lesion`` is the one it is about, 0 for none.

    ``step`` is the step of the journal that was made, undone or done again, "" where nothing changed.
    """

    text: str
    isError: bool = False
    lesion: int = 0
    step: str = ""


class MaskCorrections:
    """Opens one study for corrections and carries out edits of its labels.

    ``schedule`` calls a function after some milliseconds, by default by Qt. Steps are named in English, as all steps of
    the journal are. ``beforeChange``, where it is set, is called before anything is read or changed, so that what a
    reader painted is stored first.
    """

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.lockReviewed = True  # lesions that were accepted stay as they are
        self.beforeChange: Callable[[], None] | None = None
        self._schedule = schedule or qt.QTimer.singleShot
        self._study: OpenStudy | None = None

    @property
    def studyId(self) -> int | None:
        """The study that is corrected, None where none is."""
        return None if self._study is None else self._study.studyId

    @property
    def study(self) -> OpenStudy:
        """The study that is corrected.

        Raises:
            RuntimeError: none is.
        """
        if self._study is None:
            raise RuntimeError(_("No study is open for corrections. Choose one first."))
        return self._study

    def loadedImages(self, studyId: int) -> list[sitk.Image]:
        """The images of a study that are in memory because it is open here; none are read for this."""
        return self._study.loadedImages() if self._study is not None and self.studyId == studyId else []

    def open(self, studyId: int) -> None:
        """Correct a study from now on; its images are brought into the scene unless they are there.

        What clicks need is prepared right afterwards, step by step, so that no click waits for it.

        Raises:
            CaseError: the case cannot be read or has no such study.
        """
        self.close()
        self._study = study = OpenStudy(session.requireCase(), studyId)
        self._prepare(study, study.preparations())

    def close(self) -> None:
        """Correct nothing any more. What was done is in the case already."""
        if self._study is None:
            return
        try:
            self.settle()
        finally:  # also where another program is writing, so that the last stroke cannot be stored
            study, self._study = self._study, None
            study.close()

    def settle(self) -> None:
        """Store what was painted and not stored yet."""
        if self.beforeChange is not None:
            self.beforeChange()

    def locked(self, lesions: Mapping[int, LesionRecord] | None = None) -> set[int]:
        """Lesions that must not change, because they are reviewed. ``lesions``: all, where they are at hand."""
        if not self.lockReviewed:
            return set()
        found = self.study.lesions() if lesions is None else lesions
        return {lesion for lesion, record in found.items() if record.reviewed}

    def _prepare(self, study: OpenStudy, steps: Sequence[Callable[[], object]]) -> None:
        from PSMATheranosticsLib.errors import CaseError

        def next_() -> None:
            if self._study is not study:
                return
            try:
                steps[0]()
            except (ValueError, CaseError):
                return  # such as a SPECT without SUVs, or a damaged image: the first click says so
            self._prepare(study, steps[1:])

        if steps:
            self._schedule(0, next_)

    def _edit(
        self,
        result: ClickResult,
        name: str,
        clicks: Sequence[ClickRecord] = (),
        locked: Collection[int] | None = None,
        isShown: bool = False,
    ) -> Told:
        """Make the change of a result one step called ``name`` and show it; the text is the message of the result.

        ``STUDY`` in the name stands for the study. ``locked``: lesions that must not change, where they are at hand.
        ``isShown``: the scene shows the change already.
        """
        import numpy as np
        from PSMATheranosticsLib.errors import InputError
        from PSMATheranosticsLib.mask_edit import MaskEdit

        study = self.study
        if not result.changes:
            return Told(result.message, isError=result.outcome == "refused", lesion=result.lesion)
        step = name.replace(STUDY, study.label)
        edit = MaskEdit(result.start_zyx, result.after, result.before)
        made = set(map(int, np.unique(result.after))) - {0} - study.known()
        regions = {lesion: study.propose(lesion, result.start_zyx, result.after) for lesion in made}
        isCurrent = study.shown.isCurrent(study.case)
        try:
            with study.writing(), study.case.step(step):
                study.case.begin_by_hand(study.studyId)
                study.case.edit_mask(
                    study.studyId,
                    edit,
                    step,
                    clicks=clicks,
                    protect=self.locked() if locked is None else locked,
                    regions=regions,
                )
        except InputError as error:
            return Told(str(error), isError=True, lesion=result.lesion)
        if isShown and isCurrent:
            study.shown.acknowledge(study.case)
        else:
            study.shown.follow(study.case)
        return Told(result.message, lesion=result.lesion, step=step)

    def _step(self, name: str, change: Callable[[CaseStore], object], text: str, lesion: int = 0) -> Told:
        """Make a change of decisions, which there must be, one step called ``name`` and show it."""
        from PSMATheranosticsLib.errors import InputError

        study = self.study
        step = name.replace(STUDY, study.label)
        try:
            with study.writing(), study.case.step(step):
                change(study.case)
        except InputError as error:
            return Told(str(error), isError=True, lesion=lesion)
        study.shown.follow(study.case)
        return Told(text, lesion=lesion, step=step)
