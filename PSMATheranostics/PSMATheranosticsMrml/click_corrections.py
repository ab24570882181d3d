"""Clicks: a lesion appears, grows or shrinks, its threshold is dragged, and the click network refines it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .lesion_writer import boxAt
from .mask_corrections import STUDY, MaskCorrections, Told
from .open_study import Ras
from .segment_layers import Box, union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PSMASegmentLib.clicks.click import Click, ClickResult, Labels
    from PSMASegmentLib.networks.click_request import ClickRequest
    from PSMATheranosticsLib.records import ClickRecord, LesionRecord

_NAMES = {
    "new": f"Add lesion {{lesion}} of {STUDY} by a click",
    "grown": f"Grow lesion {{lesion}} of {STUDY} by a click",
    "shrunk": f"Shrink lesion {{lesion}} of {STUDY} by a click",
    "removed": f"Remove lesion {{lesion}} of {STUDY} by a click",
}


@dataclass(frozen=True)
class Threshold:
    """The threshold (SUVbw) that bounds the lesion of the last click, and how far it can be dragged."""

    suv: float
    low: float
    high: float


@dataclass
class _LastClick:
    """The last click, from which a threshold can be dragged and a lesion refined.

    ``before`` are the labels of ``box`` from before the click; ``state`` is what the case held after it.
    """

    click: Click
    history: list[Click]
    lesion: int
    box: Box
    before: Labels
    threshold: Threshold | None
    state: str


class ClickCorrections(MaskCorrections):
    """What clicks do to the open study."""

    _last: _LastClick | None = None
    _dragged: ClickResult | None = None  # the lesion with a threshold that is shown and not stored yet
    _asked: str = ""  # the state of the labels for which the network was asked last

    @property
    def threshold(self) -> Threshold | None:
        """That of the last click, None where none decided or the lesions have changed since."""
        last = self._lastClick()
        return None if last is None else last.threshold

    @property
    def isDragging(self) -> bool:
        """Whether a threshold is shown that is not stored yet."""
        return self._dragged is not None

    def settle(self) -> None:
        """Store what was dragged or painted and not stored yet."""
        self.endThreshold()
        super().settle()

    def close(self) -> None:
        """Correct nothing any more. What was done is in the case already."""
        try:
            super().close()
        finally:
            self._last = self._dragged = None

    def click(self, ras: Ras, positive: bool = True, insist: bool = False) -> Told:
        """Make a lesion at a point or grow the one that it belongs to; not ``positive``: the point is no lesion.

        ``insist``: also in physiological uptake, and where a lesion was deleted.
        """
        from PSMASegmentLib.clicks.click import Click
        from PSMASegmentLib.clicks.growth import apply_click
        from PSMATheranosticsLib.errors import InputError

        self.settle()
        click = Click(self.study.index(ras), positive, insist)
        lesions = self.study.lesions()
        locked = self.locked(lesions)
        # What was said about any lesion that counts stays true, not only about the one that this click is about.
        counted = {number for number, each in lesions.items() if each.decision != "rejected"}
        history = self._clicks(counted, allNegative=True)
        try:
            number = self.study.case.next_lesion_number(self.study.studyId)
            prepared, labels = self.study.clickStudy(), self.study.labels()
        except InputError as error:  # also a SPECT without SUVs
            return Told(str(error), isError=True)
        result = apply_click(prepared, labels, click, number, history=history, protected=locked)
        found = lesions.get(result.lesion)
        if found is not None and found.decision == "rejected":
            return self._onRejected(click, found)
        if not result.changes:
            return Told(result.message, isError=result.outcome == "refused", lesion=result.lesion)
        name = _NAMES[result.outcome].replace("{lesion}", str(result.lesion))
        told = self._edit(result, name, [self._record(click, result)], locked)
        self._last = self._after(click, history, result) if told.step else None
        return told

    def dragThreshold(self, suv: float) -> Told:
        """Show the lesion of the last click with another threshold (SUVbw); stored by ``endThreshold``."""
        from PSMASegmentLib.clicks.growth import apply_click

        super().settle()  # what was painted is stored before its place is shown otherwise
        last = self._lastClick()
        if last is None or last.threshold is None:
            return Told(_("Click on a lesion first, then its threshold can be changed."), isError=True)
        study = self.study
        with self._beforeClick(last) as labels:
            result = apply_click(
                study.clickStudy(),
                labels,
                last.click,
                last.lesion,
                history=last.history,
                protected=self.locked(),
                threshold=suv,
            )
            if not result.changes:
                return Told(result.message, isError=True, lesion=last.lesion)
            box = _around(last.box, boxAt(result.start_zyx, result.after.shape))
            if self._dragged is not None:
                box = _around(box, boxAt(self._dragged.start_zyx, self._dragged.after.shape))
            before = labels[box].copy()
        after = before.copy()
        after[_inside(boxAt(result.start_zyx, result.after.shape), box)] = result.after
        self._dragged = _moved(result, box, study.labels()[box].copy(), after)
        study.shown.show(box, after)
        last.threshold = Threshold(result.threshold_suv or suv, last.threshold.low, last.threshold.high)
        last.box, last.before = box, before
        return Told(result.message, lesion=last.lesion)

    def endThreshold(self) -> Told:
        """Store the lesion with the threshold that is shown: one step, however long it was dragged."""
        last, dragged = self._last, self._dragged
        if last is None or dragged is None:
            return Told("")
        name = f"Set the threshold of lesion {last.lesion} of {STUDY} to SUV {dragged.threshold_suv:.3g}"
        told = self._edit(dragged, name, [self._record(last.click, dragged)], isShown=True)
        self._dragged = None  # not before it is stored: a locked case is no reason to lose it
        if told.step:
            last.state = self.study.state
        elif told.isError:
            self.study.shown.refresh(self.study.case, last.box)
        return told

    def refineRequest(self) -> ClickRequest | None:
        """What to ask the click network about the lesion of the last click; None where there is nothing to refine."""
        from PSMASegmentLib.networks.click_request import click_request

        self.settle()
        last = self._lastClick()
        study = self.study
        if last is None or last.lesion not in study.known():
            return None
        self._asked = study.state
        return click_request(study.clickStudy(), study.labels(), last.lesion, self._clicks({last.lesion}))

    def refined(self, request: ClickRequest, probability: npt.NDArray[np.float32]) -> Told:
        """Take the answer of the click network; it is left out where the lesions were changed meanwhile."""
        from PSMASegmentLib.networks.click_finish import finish_click

        self.settle()
        study = self.study
        found = study.lesions().get(request.lesion)
        if study.state != self._asked or found is None or found.decision == "rejected":
            told = _("Lesion {lesion} was changed meanwhile, the refinement is left out.")
            return Told(told.format(lesion=request.lesion), lesion=request.lesion)
        result = finish_click(study.clickStudy(), study.labels(), request, probability, protected=self.locked())
        last = self._lastClick()
        told = self._edit(result, f"Refine lesion {request.lesion} of {STUDY}")
        if told.step and last is not None:
            self._extend(last, result)
        return told

    def lesionAt(self, ras: Ras) -> int:
        """The lesion at a point, 0 for none and for one that was deleted."""
        study = self.study
        index = study.index(ras)
        if not study.isSegmented:
            return 0
        labels = study.labels()
        if not all(0 <= at < size for at, size in zip(index, labels.shape, strict=True)):
            return 0
        lesion = int(labels[index])
        return lesion if study.shown.isShown(lesion) else 0

    def mipPoint(self, ras: Ras, directionRas: Ras) -> Ras | None:
        """The center of the hottest voxel along a projection through a point, None where it misses the image."""
        return self.study.hottestAlong(ras, directionRas)

    def _clicks(self, lesions: Collection[int], allNegative: bool = False) -> list[Click]:
        """The clicks on lesions, oldest first; ``allNegative``: and those that said "not here" of any other."""
        from PSMASegmentLib.clicks.click import Click

        return [
            Click(record.index_zyx, record.positive, record.insist)
            for record in self.study.case.clicks(self.study.studyId)
            if record.lesion in lesions or (allNegative and not record.positive)
        ]

    def _record(self, click: Click, result: ClickResult) -> ClickRecord:
        from PSMATheranosticsLib.records import ClickRecord

        return ClickRecord(
            study_id=self.study.studyId,
            index_zyx=click.index_zyx,
            positive=click.positive,
            insist=click.insist,
            lesion=result.lesion,
            threshold_suv=result.threshold_suv,
            method="growth",
        )

    def _onRejected(self, click: Click, found: LesionRecord) -> Told:
        """A click on uptake that belongs to a deleted lesion brings that back."""
        from PSMASegmentLib.clicks.settings import INSIST_HINT
        from PSMASegmentLib.physiology_reasons import is_physiological

        if not click.positive:
            return Told(_("There is no lesion here."))
        lesion, reason = found.lesion, found.decision_reason
        if is_physiological(reason) and not click.insist:
            told = _("Lesion {lesion} was deleted here: {reason}. {hint}")
            return Told(told.format(lesion=lesion, reason=reason, hint=INSIST_HINT), isError=True, lesion=lesion)
        told = _("Lesion {lesion} was deleted before and is back.").format(lesion=lesion)
        return self._step(
            f"Restore lesion {lesion} of {STUDY} by a click",
            lambda case: case.decide_lesions(self.study.studyId, [lesion], "undecided"),
            told,
            lesion,
        )

    def _after(self, click: Click, history: list[Click], result: ClickResult) -> _LastClick:
        threshold = None
        if result.threshold_suv is not None and result.threshold_range is not None:
            threshold = Threshold(result.threshold_suv, *result.threshold_range)
        box = boxAt(result.start_zyx, result.after.shape)
        return _LastClick(click, history, result.lesion, box, result.before.copy(), threshold, self.study.state)

    def _lastClick(self) -> _LastClick | None:
        """The last click, where nothing has changed the labels since."""
        if self._last is not None and (self._study is None or self._last.state != self._study.state):
            self._last = None
        return self._last

    @contextmanager
    def _beforeClick(self, last: _LastClick) -> Iterator[Labels]:
        """The labels from before the last click: a few voxels of those in memory are put back for a moment."""
        labels = self.study.labels()
        now = labels[last.box].copy()
        labels[last.box] = last.before
        try:
            yield labels
        finally:
            labels[last.box] = now

    def _extend(self, last: _LastClick, result: ClickResult) -> None:
        """Remember what was there before the click where the refinement reached beyond it."""
        changed = boxAt(result.start_zyx, result.after.shape)
        box = _around(last.box, changed)
        before = self.study.labels()[box].copy()
        before[_inside(changed, box)] = result.before
        before[_inside(last.box, box)] = last.before
        last.box, last.before, last.state = box, before, self.study.state


def _around(first: Box, second: Box) -> Box:
    return union(iter((first, second))) or first


def _inside(box: Box, outer: Box) -> Box:
    """A box as seen from the beginning of one that holds it."""
    z, y, x = (slice(part.start - low.start, part.stop - low.start) for part, low in zip(box, outer, strict=True))
    return z, y, x


def _moved(result: ClickResult, box: Box, before: Labels, after: Labels) -> ClickResult:
    """The result as a change of another box."""
    from dataclasses import replace

    start = box[0].start, box[1].start, box[2].start
    return replace(result, start_zyx=start, before=before, after=after)
