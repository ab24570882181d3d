"""A later study over an earlier one, as a fade or a checkerboard: shows whether the registration is right.

What is laid over is a second node on the later study's voxels, under the transform of the registration; the images
themselves stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from . import views
from .case_scene import CT, PET, CaseScene
from .study_points import Step, StudyPoints
from .transform_nodes import transformNode

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PSMATheranosticsLib.case_store import CaseStore

SQUARE_MM = 40.0
SLOT = 1  # whose axial slices show it
MOST_VOXELS = 20_000_000  # of a larger image only every second or third voxel is laid over
_HOLE = -30000.0  # far below all values, so that what interpolation makes of a border is below the threshold as well
_LOWEST = {CT: -1100.0, PET: -1.0}

Pair = tuple[int, int]


class OverlayCheck:
    """The overlay in the axial slices of the first slot; ``fade`` and ``isCheckered`` say what was asked for last."""

    def __init__(self) -> None:
        self._scene: CaseScene | None = None
        self._pair: Pair | None = None
        self._volumes: dict[bool, slicer.vtkMRMLScalarVolumeNode] = {}  # by whether they are checkered
        self._joined: slicer.vtkMRMLTransformNode | None = None
        self.fade = 0.0
        self.isCheckered = False

    @property
    def isShown(self) -> bool:
        """Whether something is laid over."""
        return self._pair is not None and (self.isCheckered or self.fade > 0.0)

    def show(
        self,
        openCase: Callable[[], CaseStore],
        scene: CaseScene,
        points: StudyPoints,
        pair: Pair,
        fade: float,
        checkered: bool,
    ) -> None:
        """Lay the later study of a pair (earlier, later) over the earlier; a fade of 0 without squares shows none.

        ``openCase`` opens the case for reading; that is done only where the transform has to be made.

        Raises:
            ValueError: no registration leads from one to the other, or ``fade`` is not from 0 to 1.
        """
        if not 0.0 <= fade <= 1.0:
            raise ValueError(f"A fade of {fade} is not possible; choose one from 0 to 1.")
        if not checkered and fade == 0.0:
            self.remove()
            return
        if pair != self._pair:
            self.remove()
            self._scene, self._pair = scene, pair
        kind = _kindOf(scene, pair)
        if checkered not in self._volumes:
            with openCase() as case:
                parent = self._transform(case, scene, points, pair)
            self._volumes[checkered] = _laidOver(scene.node(pair[1], kind), kind, checkered, parent)
        self.fade, self.isCheckered = fade, checkered
        composite = views.compositeOf(views.viewName(SLOT, views.AXIAL))
        if composite is not None:
            composite.SetBackgroundVolumeID(scene.node(pair[0], kind).GetID())
            composite.SetForegroundVolumeID(self._volumes[checkered].GetID())
            composite.SetForegroundOpacity(1.0 if checkered else fade)

    def remove(self) -> None:
        """Show the earlier study alone, as it was."""
        for node in (*self._volumes.values(), self._joined):
            if node is not None and node.GetScene() is not None:
                slicer.mrmlScene.RemoveNode(node)
        if self._pair is not None and self._scene is not None and self._scene.node(self._pair[0], PET) is not None:
            views.showLayers(self._scene, SLOT, self._pair[0])
        self._volumes, self._joined, self._pair = {}, None, None
        self.fade, self.isCheckered = 0.0, False

    def _transform(
        self, case: CaseStore, scene: CaseScene, points: StudyPoints, pair: Pair
    ) -> slicer.vtkMRMLTransformNode:
        """The node that brings the later study onto the earlier."""
        way = points.way(*pair)
        if way is None:
            earlier, later = (case.study(each).label for each in pair)
            told = _("{later} is not registered to {earlier}: follow the lesions first.")
            raise ValueError(told.format(later=later, earlier=earlier))
        nodes = [transformNode(case, scene, step.fixedId, step.movingId) for step in way]
        if [step.isForward for step in way] == [True]:
            return nodes[0]
        if self._joined is None:
            self._joined = _joinedNode(way, nodes)
        return self._joined


def _kindOf(scene: CaseScene, pair: Pair) -> str:
    """CT where both have one: bones show small errors."""
    return CT if all(scene.node(each, CT) is not None for each in pair) else PET


def _joinedNode(way: list[Step], nodes: list[slicer.vtkMRMLTransformNode]) -> slicer.vtkMRMLTransformNode:
    """The registrations of a way one after the other, forward or backward, as one node."""
    joined = vtk.vtkGeneralTransform()
    joined.PostMultiply()
    for step, node in zip(way, nodes, strict=True):
        joined.Concatenate(node.GetTransformFromParent() if step.isForward else node.GetTransformToParent())
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "PSMA overlay")
    made.SetHideFromEditors(True)
    made.SetSaveWithScene(False)
    made.SetAndObserveTransformFromParent(joined)
    return made


def _laidOver(
    volume: slicer.vtkMRMLScalarVolumeNode, kind: str, checkered: bool, parent: slicer.vtkMRMLTransformNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """A second node that looks like a volume and is under a transform; one with squares has a copy of the voxels."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{volume.GetName()} overlay")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    if checkered:
        array = slicer.util.arrayFromVolume(volume)
        step = _stepOf(array.size)
        for row in range(3):
            for column in range(3):
                matrix.SetElement(row, column, matrix.GetElement(row, column) * step)
        node.SetIJKToRASMatrix(matrix)
        slicer.util.updateVolumeFromArray(node, _withHoles(array[::step, ::step, ::step], node.GetSpacing()))
    else:
        node.SetAndObserveImageData(volume.GetImageData())
    node.CreateDefaultDisplayNodes()
    display, like = node.GetDisplayNode(), volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(like.GetWindowLevelMin(), like.GetWindowLevelMax())
    display.SetAndObserveColorNodeID(like.GetColorNodeID())
    if checkered:
        display.SetAutoThreshold(False)
        display.SetLowerThreshold(_LOWEST[kind])
        display.SetUpperThreshold(vtk.VTK_FLOAT_MAX)
        display.SetApplyThreshold(True)
    node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def _stepOf(voxels: int) -> int:
    step = 1
    while voxels / step**3 > MOST_VOXELS:
        step += 1
    return step


def _withHoles(array: npt.NDArray[np.number], spacing: tuple[float, float, float]) -> npt.NDArray[np.number]:
    """A copy (z, y, x) with every second cube of ``SQUARE_MM`` far below all values."""
    import numpy as np

    squares = [
        (np.arange(length) * size // SQUARE_MM).astype(np.uint8)
        for length, size in zip(array.shape, reversed(spacing), strict=True)
    ]
    isHole = (squares[0][:, None, None] + squares[1][:, None] + squares[2]) % 2 == 1
    signed = array if np.can_cast(np.int16, array.dtype) else array.astype(np.float32)
    return np.where(isHole, signed.dtype.type(_HOLE), signed)
