"""Puts what any effect of the Segment Editor paints into the case, lesion by lesion and stroke by stroke."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from .corrections import Corrections
from .mask_corrections import STUDY, Schedule, Told
from .painted_edit import PaintedEdit, changedBox, paintedEdit
from .segment_layers import Box, layersOf
from .segments import lesionNumber, segmentId

if TYPE_CHECKING:
    from .open_study import OpenStudy

QUIET_MS = 200  # after this long without a change a stroke is over
RETRY_MS = 2000  # after this long a stroke that could not be stored is tried again
_EVENTS = ("SourceRepresentationModified", "RepresentationModified", "SegmentAdded", "SegmentRemoved")


class EditorCapture:
    """Watches the lesions of the study that ``corrections`` has open, until ``close``.

    ``node`` is the parameter node of the editor: its selected segment is the lesion at hand, no other changes. Reviewed
    lesions that are locked do not change at all. ``onStored`` gets what to tell when a stroke was stored or put back.
    ``schedule`` calls a function after some milliseconds, by default by Qt.
    """

    def __init__(
        self,
        node: slicer.vtkMRMLSegmentEditorNode,
        corrections: Corrections,
        onStored: Callable[[Told], None],
        schedule: Schedule | None = None,
    ) -> None:
        self._node = node
        self._corrections = corrections
        self._onStored = onStored
        self._schedule = schedule or qt.QTimer.singleShot
        self._changes = 0
        self._stored = 0  # of the changes
        self._seen = 0  # when the newest layer was modified, of those that were compared with the case
        self._isTryingAgain = False
        self._observers: list[tuple[vtk.vtkObject, int]] = []
        # Neighbors are safe by what is stored of a stroke. Slicer's own masks would take 0.5 s a stroke and more.
        node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        node.SetOverwriteMode(node.OverwriteNone)
        segmentation = corrections.study.node.GetSegmentation()
        for event in _EVENTS:
            self._observe(segmentation, getattr(segmentation, event), self._onChange)
        self._observe(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda _caller, _event: self.close())
        slicer.app.connect("aboutToQuit()", self.close)
        corrections.beforeChange = self.flush

    def close(self) -> None:
        """Store what is not stored yet and watch nothing any more."""
        if not self._observers:
            return
        try:
            self.flush()
        finally:
            for watched, tag in self._observers:
                watched.RemoveObserver(tag)
            self._observers = []
            slicer.app.disconnect("aboutToQuit()", self.close)
            self._corrections.beforeChange = None

    def flush(self) -> None:
        """Store what was painted and not stored yet, at once."""
        from PSMATheranosticsLib.errors import CaseError, InputError

        if self._stored == self._changes or self._corrections.studyId is None:
            return
        changes = self._changes
        try:
            if self._corrections.isDragging:
                self._corrections.endThreshold()
            told = self._store(self._corrections.study)
        except CaseError as error:  # such as a case that another program is writing to
            self._onStored(Told(str(error), isError=True))
            self._tryAgainLater()
            return
        except InputError as error:  # no number is left for a new lesion; what was painted is compared again next time
            self._stored = changes
            self._onStored(Told(str(error), isError=True))
            return
        self._stored = changes
        node = self._corrections.study.node
        self._seen = 0 if node is None else max((layer.modified for layer in layersOf(node)), default=0)
        if told is not None:
            self._onStored(told)

    def _tryAgainLater(self) -> None:
        if not self._isTryingAgain:
            self._isTryingAgain = True
            self._schedule(RETRY_MS, self._tryAgain)

    def _tryAgain(self) -> None:
        self._isTryingAgain = False
        self.flush()

    def _observe(self, watched: vtk.vtkObject, event: int, call: Callable[..., None]) -> None:
        self._observers.append((watched, watched.AddObserver(event, call)))

    def _onChange(self, _caller: object, _event: str) -> None:
        if self._corrections.studyId is None or self._corrections.study.shown.writer.isWriting:
            return
        self._changes += 1
        seen = self._changes
        self._schedule(QUIET_MS, lambda: self.flush() if seen == self._changes else None)

    def _store(self, study: OpenStudy) -> Told | None:
        """Store what the node shows other than the case; None where that is nothing."""
        node = study.node
        if node is None:
            return None
        wasCurrent = study.shown.isCurrent(study.case)
        if not wasCurrent:
            study.shown.follow(study.case)  # somebody else has changed the case meanwhile
        strangers = self._strangers(study)
        layers = layersOf(node)
        hidden = {lesion for lesion, found in study.lesions().items() if found.decision == "rejected"}
        labels = study.labels()
        boxes = study.case.masks(study.studyId).boxes if study.isSegmented else {}
        shown = {lesion: box for lesion, box in boxes.items() if lesion not in hidden}
        box = changedBox(layers, labels, shown, strangers, self._seen)
        if box is None:
            told = _("The lesions were changed elsewhere and are shown as they are now. Paint again what is missing.")
            return None if wasCurrent else Told(told, isError=True)
        edit = paintedEdit(layers, box, labels[box], hidden, strangers, self._lesionAtHand(strangers))
        stored = self._edit(study, box, edit)
        study.shown.refresh(study.case, box, strangers)
        chosen = strangers.get(self._node.GetSelectedSegmentID() or "")
        if chosen is not None and chosen in study.known():
            self._node.SetSelectedSegmentID(segmentId(chosen))
        return stored

    def _edit(self, study: OpenStudy, box: Box, edit: PaintedEdit) -> Told:
        from PSMASegmentLib.clicks.click import ClickResult
        from PSMATheranosticsLib.case_decisions import lesion_list

        if (edit.before == edit.after).all():
            return Told(_("Other lesions are safe from painting: nothing was changed."), isError=True)
        lesions = edit.lesions
        start = box[0].start, box[1].start, box[2].start
        listed = lesion_list(lesions)
        text = _("Stored: {lesions}.").format(lesions=listed)
        result = ClickResult("grown", lesions[0] if len(lesions) == 1 else 0, text, start, edit.before, edit.after)
        effect = self._node.GetActiveEffectName() or "Edit"
        return self._corrections.edit(result, f"{effect}: {listed} of {STUDY}")

    def _strangers(self, study: OpenStudy) -> dict[str, int]:
        """A number for each segment that is no lesion of the case yet."""
        ids = study.node.GetSegmentation().GetSegmentIDs()
        new = [each for each in ids if lesionNumber(each) not in study.known()]
        first = study.case.next_lesion_number(study.studyId) if new else 0
        return {each: first + place for place, each in enumerate(new)}

    def _lesionAtHand(self, strangers: dict[str, int]) -> int:
        selected = self._node.GetSelectedSegmentID() or ""
        return strangers.get(selected) or lesionNumber(selected) or 0
