"""Registrations as transform nodes: the same as in the case, for looking at and for Slicer's own tools.

A node brings the later (moving) study onto the earlier (fixed) one when the later one is put under it. Measures are
taken on the images as they were acquired, whatever is under a transform.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from .case_scene import CASE, PET, CaseScene
from .volumes import imageFromVolume, matrixFromTransform, transformFromField

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMATheranosticsLib.case_store import CaseStore

FIXED, MOVING = "PSMATheranostics.Fixed", "PSMATheranostics.Moving"
REGISTERED = "PSMATheranostics.Registered"  # which registration a node shows
FIELD_MM = 8.0  # between the vectors of a displacement field


def transformNode(case: CaseStore, scene: CaseScene, fixedId: int, movingId: int) -> slicer.vtkMRMLTransformNode | None:
    """The registration of two studies as a node, made or brought up to date; None where there is none.

    A rigid or affine one is a linear transform node, any other a grid transform node. The later study is brought onto
    the earlier one without an inverse having to be computed.
    """
    from PSMATheranosticsLib.transform_text import transform_to_text

    record = case.registration(fixedId, movingId)
    if record is None:
        return None
    kind = "vtkMRMLLinearTransformNode" if record.transform.IsLinear() else "vtkMRMLGridTransformNode"
    stamp = sha256(transform_to_text(record.transform).encode()).hexdigest()
    node = _nodeOf(scene, fixedId, movingId)
    if node is not None and node.GetClassName() != kind:
        slicer.mrmlScene.RemoveNode(node)
        node = None
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass(kind, _nameOf(case, fixedId, movingId))
        for key, value in _marks(scene, fixedId, movingId).items():
            node.SetAttribute(key, value)
    if node.GetAttribute(REGISTERED) != stamp:
        _fill(node, record.transform, _domain(case, scene, fixedId))
        node.SetAttribute(REGISTERED, stamp)
    return node


def _fill(node: slicer.vtkMRMLTransformNode, transform: sitk.Transform, domain: sitk.Image) -> None:
    """From parent: a registration maps points of the fixed study, where the node brings images to, to the moving."""
    if transform.IsLinear():
        node.SetMatrixTransformFromParent(matrixFromTransform(transform))
        return
    from PSMATrackingLib.spline_field import displacement_field

    node.SetAndObserveTransformFromParent(transformFromField(displacement_field(transform, domain, FIELD_MM)))


def _domain(case: CaseStore, scene: CaseScene, studyId: int) -> sitk.Image:
    """An image with the extent of a study, in the scene or not."""
    pet = scene.node(studyId, PET)
    return case.load_image(case.study(studyId).emission_id) if pet is None else imageFromVolume(pet)


def _nodeOf(scene: CaseScene, fixedId: int, movingId: int) -> slicer.vtkMRMLTransformNode | None:
    wanted = _marks(scene, fixedId, movingId)
    for node in slicer.util.getNodesByClass("vtkMRMLTransformNode"):
        if all(node.GetAttribute(key) == value for key, value in wanted.items()):
            return node
    return None


def _marks(scene: CaseScene, fixedId: int, movingId: int) -> dict[str, str]:
    return {CASE: scene.case, FIXED: str(fixedId), MOVING: str(movingId)}


def _nameOf(case: CaseStore, fixedId: int, movingId: int) -> str:
    fixed, moving = (case.study(each) for each in (fixedId, movingId))
    return _("{moving} onto {fixed}").format(
        moving=f"{moving.acquired:%Y-%m-%d} {moving.modality}", fixed=f"{fixed.acquired:%Y-%m-%d} {fixed.modality}"
    )
