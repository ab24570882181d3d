"""The nodes of a case in the scene: images, lesions and where they stand in the subject hierarchy.

Nodes are found by attributes, so that they are found again in a saved scene and whatever the user renames them to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer

from . import segments, volumes
from .lesion_looks import lesionLook, looksNow, looksOf
from .lesion_writer import LesionWriter

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.records import StudyRecord
    from PSMATheranosticsLib.results_model import Results

CURRENT = "current"  # the version of the lesions that counts
CASE, STUDY, ROLE = "PSMATheranostics.Case", "PSMATheranostics.Study", "PSMATheranostics.Role"
LABELS = "PSMATheranostics.Labels"  # which stored label image a segmentation node shows
COLORING = "PSMATheranostics.Coloring"  # what the lesions of a segmentation node are colored by
PET, CT, OVERLAY, LESIONS = "PET", "CT", "overlay", "lesions"  # PET stands for the emission image, SPECT as well

UID_NAME = "DICOM"  # the name under which subject hierarchy plugins look for patient IDs and study instance UIDs


class CaseScene:
    """The nodes of the case in ``folder``. Holds no nodes itself: it looks them up, so a closed scene is no trouble."""

    def __init__(self, folder: Path) -> None:
        self._case = str(folder)

    @property
    def case(self) -> str:
        """What the attribute ``CASE`` of its nodes says."""
        return self._case

    def node(self, studyId: int, role: str) -> slicer.vtkMRMLNode | None:
        """The node of one study in one role (``PET``, ``CT``, ``OVERLAY``, ``LESIONS``), None where not loaded."""
        wanted = {CASE: self._case, STUDY: str(studyId), ROLE: role}
        kind = "vtkMRMLSegmentationNode" if role == LESIONS else "vtkMRMLScalarVolumeNode"
        for node in slicer.util.getNodesByClass(kind):
            if all(node.GetAttribute(key) == value for key, value in wanted.items()):
                return node
        return None

    def loadedStudies(self) -> list[int]:
        """Studies whose PET is in the scene."""
        found = []
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if node.GetAttribute(CASE) == self._case and node.GetAttribute(ROLE) == PET:
                found.append(int(node.GetAttribute(STUDY)))
        return sorted(found)

    def loadStudy(self, case: CaseStore, study: StudyRecord) -> None:
        """Bring the images of one study into the scene, unless they are there."""
        pet = self.node(study.study_id, PET)
        if pet is None or self.node(study.study_id, OVERLAY) is None:
            self._loadEmission(case, study, pet)
        if study.ct_id is not None and self.node(study.study_id, CT) is None:
            volumes.showAsCt(self._addVolume(case, study, case.load_image(study.ct_id), CT))

    def _loadEmission(self, case: CaseStore, study: StudyRecord, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        image = case.load_image(study.emission_id)
        look = volumes.emissionLook(study.scaling, image)
        if node is None:
            node = self._addVolume(case, study, image, PET)
            volumes.showAsEmission(node, look)
        if self.node(study.study_id, OVERLAY) is None:
            self._mark(volumes.overlayOf(node, f"{node.GetName()} over CT", look), study.study_id, OVERLAY)

    def showLesions(self, case: CaseStore, results: Results, studyId: int) -> slicer.vtkMRMLSegmentationNode | None:
        """Show the lesions of a loaded study as they are in the case now; None where it has none or is not loaded."""
        from .display_presets import colored

        study = results.study(studyId)
        pet = self.node(studyId, PET)
        if pet is None or study.segmentation is None:
            return None
        node = self.node(studyId, LESIONS) or self._newLesions(case, case.study(studyId), pet)
        regions = {lesion.lesion: lesion.region for lesion in study.lesions}
        self._update(node, case, studyId, colored(looksOf(study), self.coloringOf(node), regions))
        return node

    def followLesions(self, case: CaseStore, studyId: int) -> slicer.vtkMRMLSegmentationNode | None:
        """The same after a change of one study, without results of the whole case."""
        pet = self.node(studyId, PET)
        if pet is None or case.segmentation(studyId) is None:
            return None
        node = self.node(studyId, LESIONS) or self._newLesions(case, case.study(studyId), pet)
        self._update(node, case, studyId, looksNow(case, studyId, self.coloringOf(node)))
        return node

    def coloringOf(self, node: slicer.vtkMRMLSegmentationNode) -> str:
        """What the lesions of a node are colored by, see ``display_presets``."""
        from .display_presets import BY_STATUS  # which builds on this file

        return node.GetAttribute(COLORING) or BY_STATUS

    def showVersion(self, case: CaseStore, results: Results, studyId: int, version: str) -> None:
        """Show another version of the lesions of a loaded study until ``showLesions`` shows them as they are now."""
        node = self.showLesions(case, results, studyId)
        if node is None or version == CURRENT:
            return
        labels = case.labels(studyId, version)
        looks = {look.lesion: look for look in looksOf(results.study(studyId))}
        shown = [looks.get(lesion) or lesionLook(lesion) for lesion in segments.lesionsIn(labels)]
        segments.setLesions(node, labels, shown)
        node.SetAttribute(LABELS, version)

    def _newLesions(
        self, case: CaseStore, study: StudyRecord, pet: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLSegmentationNode:
        node = segments.createSegmentation(pet, f"{study.acquired:%Y-%m-%d} lesions")
        self._mark(node, study.study_id, LESIONS)
        self._place(case, study, node)
        return node

    def _addVolume(
        self, case: CaseStore, study: StudyRecord, image: sitk.Image, role: str
    ) -> slicer.vtkMRMLScalarVolumeNode:
        # Named by date: what is called baseline today may be called prior tomorrow.
        kind = study.modality if role == PET else role
        node = volumes.volumeFromImage(image, f"{study.acquired:%Y-%m-%d} {kind}")
        self._mark(node, study.study_id, role)
        self._place(case, study, node)
        return node

    def _update(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        case: CaseStore,
        studyId: int,
        looks: list[segments.LesionSegment],
    ) -> None:
        """Read the labels again only where lesions came back or the study was segmented anew."""
        record = case.segmentation(studyId)
        labelsId = record.labels_id if record is not None else ""
        wanted, shown = [look.lesion for look in looks], segments.shownLesions(node)
        if node.GetAttribute(LABELS) == labelsId and set(wanted) <= set(shown):
            LesionWriter().remove(node, set(shown) - set(wanted))
            segments.recolor(node, looks)
        else:
            segments.setLesions(node, case.labels(studyId), looks)
            node.SetAttribute(LABELS, labelsId)

    def _mark(self, node: slicer.vtkMRMLNode, studyId: int, role: str) -> None:
        for key, value in ((CASE, self._case), (STUDY, str(studyId)), (ROLE, role)):
            node.SetAttribute(key, value)

    def _place(self, case: CaseStore, study: StudyRecord, node: slicer.vtkMRMLNode) -> None:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        patient = case.patient
        patientItem = _itemByUid(hierarchy, patient.patient_id)
        if not patientItem:
            patientItem = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), patient.name or patient.patient_id)
            hierarchy.SetItemUID(patientItem, UID_NAME, patient.patient_id)
        studyItem = _itemByUid(hierarchy, study.origin.study_instance_uid)
        if not studyItem:
            studyItem = hierarchy.CreateStudyItem(patientItem, f"{study.acquired:%Y-%m-%d} {study.modality}")
            hierarchy.SetItemUID(studyItem, UID_NAME, study.origin.study_instance_uid)
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, studyItem)
        else:
            hierarchy.CreateItem(studyItem, node)


def _itemByUid(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, uid: str) -> int:
    return hierarchy.GetItemByUID(UID_NAME, uid) if uid else 0
