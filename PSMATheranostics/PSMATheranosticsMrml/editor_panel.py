"""Slicer's own Segment Editor in the panel, held to the lesion at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _

from . import session
from .case_scene import LESIONS, PET, CaseScene
from .editor_capture import EditorCapture
from .segments import lesionNumber, segmentId, shownLesions

if TYPE_CHECKING:
    from .corrections import Corrections, Told

NODE_TAG = "PSMASegment"  # of the editor's node: the panel has one of its own, beside that of Slicer's module
EFFECTS = (
    "Paint",
    "Draw",
    "Erase",
    "Level tracing",
    "Scissors",
    "Threshold",
    "Islands",
    "Margin",
    "Hollow",
    "Smoothing",
)


class EditorPanel:
    """Binds the section ``editorCollapsibleButton``. The editor works while the section is open.

    ``onStored`` gets what to tell when a change is in the case or was refused; ``onLesion`` is called with the lesion
    that was chosen in the editor's own list, ``onEffect`` when an effect takes the mouse.
    """

    def __init__(
        self,
        ui: Any,
        corrections: Corrections,
        onStored: Callable[[Told], None],
        onLesion: Callable[[int], None],
        onEffect: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._editor = ui.segmentEditorWidget
        self._corrections = corrections
        self._onStored = onStored
        self._onLesion = onLesion
        self._onEffect = onEffect
        self._capture: EditorCapture | None = None
        self._observed: tuple[slicer.vtkMRMLSegmentEditorNode, int] | None = None
        self._studyId: int | None = None
        self._lesion: int | None = None
        self._setUp()
        ui.editorCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self._update())
        self._editor.connect("currentSegmentIDChanged(QString)", self._onSegment)
        self._tell()

    def open(self, studyId: int) -> None:
        """Edit the lesions of a study that is shown."""
        self._studyId = studyId
        self._update()

    def close(self) -> None:
        """Store what is not stored yet, and edit nothing any more."""
        self._studyId = None
        self._update()

    def setLesion(self, lesion: int | None) -> None:
        """Edit this lesion; None: none is selected, or several are. A deleted one is not shown and cannot be edited."""
        self._lesion = lesion
        if self._capture is None:
            self._update()  # the first lesion of a study may just have been made
        elif lesion in shownLesions(self._editor.segmentationNode()):
            self._editor.setCurrentSegmentID(segmentId(lesion))
        else:
            self._lesion = None
        self._tell()

    def stopEffect(self) -> None:
        """Let the mouse be free for clicks."""
        if self._capture is not None:
            self._editor.setActiveEffectByName("")

    def _setUp(self) -> None:
        """Undo and masking are ours: one stack of steps for everything, and neighbors are always safe."""
        editor = self._editor
        for name in (
            "segmentationNodeSelectorVisible",
            "sourceVolumeNodeSelectorVisible",
            "addRemoveSegmentButtonsVisible",
            "maskingSectionVisible",
            "specifyGeometryButtonVisible",
            "switchToSegmentationsButtonVisible",
            "show3DButtonVisible",
            "undoEnabled",
            "unorderedEffectsVisible",
        ):
            setattr(editor, name, False)
        editor.setEffectNameOrder(list(EFFECTS))
        editor.setMRMLScene(slicer.mrmlScene)

    def _update(self) -> None:
        isWanted = self._studyId is not None and not self._ui.editorCollapsibleButton.collapsed
        if isWanted and self._capture is None:
            self._start()
        elif not isWanted and self._capture is not None:
            self._stop()
        self._tell()

    def _start(self) -> None:
        scene = CaseScene(session.requireCase())
        segmentation, pet = scene.node(self._studyId, LESIONS), scene.node(self._studyId, PET)
        if segmentation is None or pet is None:
            return
        node = _editorNode()
        self._editor.setMRMLSegmentEditorNode(node)
        self._editor.setSegmentationNode(segmentation)
        self._editor.setSourceVolumeNode(pet)
        self._capture = EditorCapture(node, self._corrections, self._onStored)
        self._observed = node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onNode)
        self._editor.setupViewObservations()
        self.setLesion(self._lesion)

    def _stop(self) -> None:
        if self._observed is not None:
            node, tag = self._observed
            node.RemoveObserver(tag)
            self._observed = None
        self._editor.setActiveEffectByName("")
        self._editor.removeViewObservations()
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()
        self._editor.setSegmentationNode(None)

    def _onNode(self, node: slicer.vtkMRMLSegmentEditorNode, _event: str) -> None:
        if node.GetActiveEffectName():
            self._onEffect()

    def _onSegment(self, idOfSegment: str) -> None:
        lesion = lesionNumber(idOfSegment or "")
        if self._capture is not None and lesion is not None and lesion != self._lesion:
            self._onLesion(lesion)

    def _tell(self) -> None:
        isEditing = self._capture is not None and self._lesion is not None
        told = _("Select one lesion in the table to edit it.")
        if isEditing:
            told = _("Editing lesion {lesion}. No other lesion changes, and every stroke is stored and can be undone.")
        self._ui.editorLabel.text = told.format(lesion=self._lesion)
        self._editor.enabled = isEditing


def _editorNode() -> slicer.vtkMRMLSegmentEditorNode:
    node = slicer.mrmlScene.GetSingletonNode(NODE_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(NODE_TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node
