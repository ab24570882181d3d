"""Layouts of the slice views, which study each view shows, and jumping to a lesion.

Two slots of views: slot 1 for one study or the earlier of two, slot 2 for the later. Each slot has a coronal maximum
intensity projection (a thick slab, which needs no graphics card), an axial and a coronal fusion.
"""

from __future__ import annotations

import slicer
import vtk

from .case_scene import CT, LESIONS, OVERLAY, PET, CaseScene
from .volumes import rasFromLps

STUDY_LAYOUT, COMPARE_LAYOUT = 57101, 57102  # layout ids above 100 are free for extensions
MIP, AXIAL, CORONAL = "Mip", "Axial", "Coronal"
SLOTS = (1, 2)
FUSION, PET_ONLY, CT_ONLY = "fusion", "PET", "CT"

MIP_THICKNESS_MM = 500.0  # more than any body is deep
FUSION_OPACITY = 0.5
_ORIENTATION = {MIP: "Coronal", AXIAL: "Axial", CORONAL: "Coronal"}
_MIP_NAMES = ("PSMA1Mip", "PSMA2Mip")  # an outline there would be of one slice, the image is of all
_COLORS = {1: "#0072B2", 2: "#D55E00"}


def viewName(slot: int, kind: str) -> str:
    """Layout name of a slice view, e.g. ``PSMA1Axial``."""
    return f"PSMA{slot}{kind}"


def layoutDescription(layout: int) -> str:
    """Layout XML: one study (MIP beside two fusions), or two studies side by side (MIP above fusion each)."""
    if layout == STUDY_LAYOUT:
        return _box("horizontal", _view(1, MIP), _box("vertical", _view(1, AXIAL), _view(1, CORONAL)))
    return _box("horizontal", *(_box("vertical", _view(slot, MIP), _view(slot, AXIAL)) for slot in SLOTS))


def setLayout(layout: int) -> None:
    """Switch the views to ``STUDY_LAYOUT`` or ``COMPARE_LAYOUT``."""
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if node is None:
        return  # no views at all, as in a script without a main window
    for each in (STUDY_LAYOUT, COMPARE_LAYOUT):
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


def compareStudies(scene: CaseScene, earlierId: int, laterId: int, mode: str = FUSION) -> None:
    """Show two loaded studies side by side, the lesions of each in its own views."""
    setLayout(COMPARE_LAYOUT)
    shown = {earlierId: 1, laterId: 2}
    for studyId, slot in shown.items():
        _fillSlot(scene, slot, studyId, mode)
    for other in scene.loadedStudies():
        own = _sliceNodes(shown[other], AXIAL, CORONAL) if other in shown else []
        _restrictLesions(scene, other, [node.GetID() for node in own], visible=other in shown)


def jumpToPoint(scene: CaseScene, studyId: int, pointLps: tuple[float, float, float]) -> None:
    """Move the slices that show a study to a point of it (LPS mm). Projections stay where they are."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        name = composite.GetLayoutName()
        node = None if name in _MIP_NAMES or not _shows(scene, composite, studyId) else _sliceNode(name)
        if node is not None:
            _jump(node, rasFromLps(pointLps))


def isShown(scene: CaseScene, studyId: int) -> bool:
    """Whether a slice view of the current layout shows the images of a study."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = _sliceNode(composite.GetLayoutName())
        if node is not None and node.IsMappedInLayout() and _shows(scene, composite, studyId):
            return True
    return False


def _box(kind: str, *items: str) -> str:
    inner = "".join(f"<item>{item}</item>" for item in items)
    return f'<layout type="{kind}">{inner}</layout>'


def _view(slot: int, kind: str) -> str:
    settings = {
        "orientation": _ORIENTATION[kind],
        "viewlabel": f"{slot}{kind[0]}",
        "viewcolor": _COLORS[slot],
        "viewgroup": str(slot),
    }
    inner = "".join(f'<property name="{name}" action="default">{value}</property>' for name, value in settings.items())
    return f'<view class="vtkMRMLSliceNode" singletontag="{viewName(slot, kind)}">{inner}</view>'


def _fillSlot(scene: CaseScene, slot: int, studyId: int, mode: str) -> None:
    pet = scene.node(studyId, PET)
    if pet is None:
        raise ValueError(f"Study {studyId} is not in the scene: load it first.")
    _setLayers(_composite(viewName(slot, MIP)), pet, None)
    for kind in (AXIAL, CORONAL):
        _show(scene, _composite(viewName(slot, kind)), studyId, mode)
    center = _centerRas(pet)
    for node in _sliceNodes(slot, MIP, AXIAL, CORONAL):
        node.JumpSliceByCentering(*center)
        _fit(node)
    mip = _sliceNode(viewName(slot, MIP))
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


def _jump(node: slicer.vtkMRMLSliceNode, ras: tuple[float, float, float]) -> None:
    """Move the slice through a point; pan only where the point would be outside the view."""
    node.JumpSliceByOffsetting(*ras)
    toXy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), toXy)
    xy = toXy.MultiplyPoint((*ras, 1.0))[:2]
    if not all(0 <= at < size for at, size in zip(xy, node.GetDimensions()[:2], strict=True)):
        node.JumpSliceByCentering(*ras)


def _allViews() -> list[slicer.vtkMRMLAbstractViewNode]:
    return [*slicer.util.getNodesByClass("vtkMRMLSliceNode"), *slicer.util.getNodesByClass("vtkMRMLViewNode")]


def _sliceNodes(slot: int, *kinds: str) -> list[slicer.vtkMRMLSliceNode]:
    nodes = (_sliceNode(viewName(slot, kind)) for kind in kinds)
    return [node for node in nodes if node is not None]


def _sliceNode(layoutName: str) -> slicer.vtkMRMLSliceNode | None:
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        if node.GetLayoutName() == layoutName:
            return node
    return None


def _composite(layoutName: str) -> slicer.vtkMRMLSliceCompositeNode | None:
    for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if node.GetLayoutName() == layoutName:
            return node
    return None


def _centerRas(volume: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float, float]:
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return (bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, (bounds[4] + bounds[5]) / 2


def _fit(node: slicer.vtkMRMLSliceNode) -> None:
    logic = slicer.app.applicationLogic().GetSliceLogic(node)
    if logic is not None:
        logic.FitSliceToBackground(True)
