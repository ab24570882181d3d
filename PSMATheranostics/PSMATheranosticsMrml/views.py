"""Layouts of the slice views, which study each view shows, and jumping to a lesion.

Four slots of views, one for each study that is shown, the earliest in slot 1. Each slot has a coronal maximum intensity
projection (a thick slab, which needs no graphics card), an axial and a coronal fusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import slicer
import vtk

from .case_scene import CT, LESIONS, OVERLAY, PET, CaseScene
from .volumes import rasFromLps

# Layout ids above 100 are free for extensions.
STUDY_LAYOUT, COMPARE_LAYOUT, COMPARE_THREE_LAYOUT, COMPARE_FOUR_LAYOUT = 57101, 57102, 57103, 57104
_COMPARED = {COMPARE_LAYOUT: 2, COMPARE_THREE_LAYOUT: 3, COMPARE_FOUR_LAYOUT: 4}  # studies side by side
MIP, AXIAL, CORONAL = "Mip", "Axial", "Coronal"
SLOTS = (1, 2, 3, 4)
FUSION, PET_ONLY, CT_ONLY = "fusion", "PET", "CT"

MIP_THICKNESS_MM = 500.0  # more than any body is deep
FUSION_OPACITY = 0.5
_ORIENTATION = {MIP: "Coronal", AXIAL: "Axial", CORONAL: "Coronal"}
_MIP_NAMES = tuple(f"PSMA{slot}Mip" for slot in SLOTS)  # an outline there would be of one slice, the image is of all
# Okabe and Ito (Color Universal Design, 2008), told apart with any common color vision.
SLOT_COLORS = {1: "#0072B2", 2: "#D55E00", 3: "#009E73", 4: "#CC79A7"}


def viewName(slot: int, kind: str) -> str:
    """Layout name of a slice view, e.g. ``PSMA1Axial``."""
    return f"PSMA{slot}{kind}"


def layoutDescription(layout: int) -> str:
    """Layout XML: one study (MIP beside two fusions), or two to four side by side (MIP above fusion each)."""
    if layout == STUDY_LAYOUT:
        return _box("horizontal", _view(1, MIP), _box("vertical", _view(1, AXIAL), _view(1, CORONAL)))
    slots = SLOTS[: _COMPARED[layout]]
    return _box("horizontal", *(_box("vertical", _view(slot, MIP), _view(slot, AXIAL)) for slot in slots))


def compareLayout(count: int) -> int:
    """The layout with ``count`` studies side by side. Raises ValueError where there is none."""
    for layout, studies in _COMPARED.items():
        if studies == count:
            return layout
    raise ValueError(f"{count} studies cannot be shown side by side; two, three or four can.")


def setLayout(layout: int) -> None:
    """Switch the views to one of the layouts above."""
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if node is None:
        return  # no views at all, as in a script without a main window
    for each in (STUDY_LAYOUT, *_COMPARED):
        if not node.IsLayoutDescription(each):
            node.AddLayoutDescription(each, layoutDescription(each))
    node.SetViewArrangement(layout)


def showStudy(scene: CaseScene, studyId: int, mode: str = FUSION) -> None:
    """Show one loaded study in the layout for one study, and its lesions alone."""
    setLayout(STUDY_LAYOUT)
    _fillSlot(scene, 1, studyId, mode)
    own = {viewName(slot, kind) for slot in SLOTS for kind in (MIP, AXIAL, CORONAL)}
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() not in own:  # Slicer's own views, for those who switch to another layout
            _show(scene, composite, studyId, mode)
    ids = [node.GetID() for node in _allViews() if node.GetLayoutName() not in _MIP_NAMES]
    for other in scene.loadedStudies():
        _restrictLesions(scene, other, ids, visible=other == studyId)


def compareStudies(scene: CaseScene, studyIds: Sequence[int], mode: str = FUSION) -> None:
    """Show two to four loaded studies side by side in this order, the lesions of each in its own views."""
    setLayout(compareLayout(len(studyIds)))
    for slot, studyId in enumerate(studyIds, start=1):
        _fillSlot(scene, slot, studyId, mode)
    showLesionsInSlots(scene, dict(enumerate(studyIds, start=1)))


def showLesionsInSlots(scene: CaseScene, shown: Mapping[int, int]) -> None:
    """Show the lesions of studies (by slot) in the views of their slots and nowhere else."""
    for studyId in scene.loadedStudies():
        slots = [slot for slot, each in shown.items() if each == studyId]
        own = [node.GetID() for slot in slots for node in _sliceNodes(slot, AXIAL, CORONAL)]
        _restrictLesions(scene, studyId, own, visible=bool(slots))


def showLayers(scene: CaseScene, slot: int, studyId: int, mode: str = FUSION) -> None:
    """Show the images of a loaded study in the views of a slot, which stay where they are."""
    pet = scene.node(studyId, PET)
    if pet is None:
        raise ValueError(f"Study {studyId} is not in the scene: load it first.")
    _setLayers(compositeOf(viewName(slot, MIP)), pet, None)
    for kind in (AXIAL, CORONAL):
        _show(scene, compositeOf(viewName(slot, kind)), studyId, mode)


def jumpToPoint(scene: CaseScene, studyId: int, pointLps: tuple[float, float, float]) -> None:
    """Move the slices that show a study to a point of it (LPS mm). Projections stay where they are."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        name = composite.GetLayoutName()
        node = None if name in _MIP_NAMES or not _shows(scene, composite, studyId) else sliceNodeOf(name)
        if node is not None:
            jumpSlice(node, rasFromLps(pointLps))


def jumpSlice(node: slicer.vtkMRMLSliceNode, ras: tuple[float, float, float]) -> None:
    """Move the slice through a point; pan only where the point would be outside the view."""
    node.JumpSliceByOffsetting(*ras)
    toXy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), toXy)
    xy = toXy.MultiplyPoint((*ras, 1.0))[:2]
    if not all(0 <= at < size for at, size in zip(xy, node.GetDimensions()[:2], strict=True)):
        node.JumpSliceByCentering(*ras)


def fitView(node: slicer.vtkMRMLSliceNode) -> None:
    """Show the whole of what is in the background of a view."""
    logic = slicer.app.applicationLogic().GetSliceLogic(node)
    if logic is not None:
        logic.FitSliceToBackground(True)


def isShown(scene: CaseScene, studyId: int) -> bool:
    """Whether a slice view of the current layout shows the images of a study."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = sliceNodeOf(composite.GetLayoutName())
        if node is not None and node.IsMappedInLayout() and _shows(scene, composite, studyId):
            return True
    return False


def sliceNodeOf(layoutName: str) -> slicer.vtkMRMLSliceNode | None:
    """The slice node of a view by its layout name, None before the layout was shown."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        if node.GetLayoutName() == layoutName:
            return node
    return None


def compositeOf(layoutName: str) -> slicer.vtkMRMLSliceCompositeNode | None:
    """What a view shows, by its layout name; None before the layout was shown."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if node.GetLayoutName() == layoutName:
            return node
    return None


def slicesOf(scene: CaseScene, studyId: int) -> list[slicer.vtkMRMLSliceNode]:
    """The slice views of the current layout that show the images of a study, without projections."""
    found = []
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        name = composite.GetLayoutName()
        node = None if name in _MIP_NAMES or not _shows(scene, composite, studyId) else sliceNodeOf(name)
        if node is not None and node.IsMappedInLayout():
            found.append(node)
    return found


def _box(kind: str, *items: str) -> str:
    inner = "".join(f"<item>{item}</item>" for item in items)
    return f'<layout type="{kind}">{inner}</layout>'


def _view(slot: int, kind: str) -> str:
    settings = {
        "orientation": _ORIENTATION[kind],
        "viewlabel": f"{slot}{kind[0]}",
        "viewcolor": SLOT_COLORS[slot],
        "viewgroup": str(slot),
    }
    inner = "".join(f'<property name="{name}" action="default">{value}</property>' for name, value in settings.items())
    return f'<view class="vtkMRMLSliceNode" singletontag="{viewName(slot, kind)}">{inner}</view>'


def _fillSlot(scene: CaseScene, slot: int, studyId: int, mode: str) -> None:
    showLayers(scene, slot, studyId, mode)
    center = _centerRas(scene.node(studyId, PET))
    for node in _sliceNodes(slot, MIP, AXIAL, CORONAL):
        node.JumpSliceByCentering(*center)
        fitView(node)
    mip = sliceNodeOf(viewName(slot, MIP))
    if mip is not None:
        mip.SetSlabReconstructionEnabled(True)
        mip.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
        mip.SetSlabReconstructionThickness(MIP_THICKNESS_MM)


def _show(scene: CaseScene, composite: slicer.vtkMRMLSliceCompositeNode | None, studyId: int, mode: str) -> None:
    pet, overlay, ct = (scene.node(studyId, role) for role in (PET, OVERLAY, CT))
    if mode == FUSION and ct is not None:
        _setLayers(composite, ct, overlay)
    elif mode == CT_ONLY and ct is not None:
        _setLayers(composite, ct, None)
    else:
        _setLayers(composite, pet, None)


def _setLayers(
    composite: slicer.vtkMRMLSliceCompositeNode | None,
    background: slicer.vtkMRMLScalarVolumeNode,
    foreground: slicer.vtkMRMLScalarVolumeNode | None,
) -> None:
    if composite is None:
        return
    composite.SetBackgroundVolumeID(background.GetID())
    composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
    composite.SetForegroundOpacity(FUSION_OPACITY if foreground is not None else 0.0)


def _restrictLesions(scene: CaseScene, studyId: int, viewIds: list[str], visible: bool) -> None:
    node = scene.node(studyId, LESIONS)
    if node is not None and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetViewNodeIDs(viewIds)
        node.GetDisplayNode().SetVisibility(visible)


def _shows(scene: CaseScene, composite: slicer.vtkMRMLSliceCompositeNode, studyId: int) -> bool:
    ids = {node.GetID() for role in (PET, CT) if (node := scene.node(studyId, role)) is not None}
    return composite.GetBackgroundVolumeID() in ids


def _allViews() -> list[slicer.vtkMRMLAbstractViewNode]:
    return [*slicer.util.getNodesByClass("vtkMRMLSliceNode"), *slicer.util.getNodesByClass("vtkMRMLViewNode")]


def _sliceNodes(slot: int, *kinds: str) -> list[slicer.vtkMRMLSliceNode]:
    nodes = (sliceNodeOf(viewName(slot, kind)) for kind in kinds)
    return [node for node in nodes if node is not None]


def _centerRas(volume: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float, float]:
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return (bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, (bounds[4] + bounds[5]) / 2
