"""The study that is being corrected: its store, kept open for reading, and what clicks need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from . import session
from .case_scene import LESIONS, PET, CaseScene
from .projection_line import hottestVoxel, voxelsAlong
from .shown_lesions import ShownLesions

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMASegmentLib.clicks.click import Index, Labels
    from PSMASegmentLib.clicks.study import ClickStudy
    from PSMASegmentLib.lesion_regions import Region
    from PSMASegmentLib.region_proposal import RegionProposer
    from PSMASegmentLib.segmentation import Images
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.records import LesionRecord, StudyRecord

Ras = tuple[float, float, float]


class OpenStudy:
    """One study of a case with its nodes in the scene. Close it to let go of the case folder.

    The store stays open for reading, so that images and masks are read once; ``writing`` takes the writer's lock for a
    moment. What is prepared is made anew when the study was segmented again.
    """

    def __init__(self, folder: Path, studyId: int) -> None:
        """Bring the study into the scene, unless it is there.

        Raises:
            CaseError: the case cannot be read or has no such study.
        """
        from PSMATheranosticsLib.case_store import CaseStore

        self.studyId = studyId
        self.scene = CaseScene(folder)
        self.case: CaseStore = CaseStore.open(folder)
        isReady = False
        try:
            self.record = self.case.study(studyId)
            self.scene.loadStudy(self.case, self.record)
            self.shown = ShownLesions(self.scene, studyId)
            self.shown.follow(self.case)
            isReady = True
        finally:
            if not isReady:
                self.case.close()
        self._images: tuple[StudyRecord, Images] | None = None
        self._clickStudy: tuple[tuple[object, ...], ClickStudy] | None = None
        self._proposer: tuple[Images, RegionProposer] | None = None

    def close(self) -> None:
        """Let go of the case folder."""
        self.case.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which the case can be changed; whoever follows the case is told at its end.

        Raises:
            CaseLocked: another program is writing to it.
        """
        try:
            with self.case.writing():
                yield
        finally:
            session.caseChanged()

    @property
    def node(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The node that shows the lesions, None before the study was segmented."""
        return self.scene.node(self.studyId, LESIONS)

    @property
    def label(self) -> str:
        """What the study is called now: another baseline gives other names."""
        return self.case.study(self.studyId).label

    @property
    def isSegmented(self) -> bool:
        """Whether the study has lesions, or could have them: somebody has looked for them or begun by hand."""
        return self.case.segmentation(self.studyId) is not None

    @property
    def state(self) -> str:
        """Which state of the labels counts now, "" before the study was segmented."""
        segmentation = self.case.segmentation(self.studyId)
        return "" if segmentation is None else segmentation.labels_id

    def labels(self) -> Labels:
        """The labels of all lesions (uint16; z, y, x), of rejected ones as well; not to be changed."""
        import numpy as np

        if not self.isSegmented:
            return np.zeros(self.clickStudy().uptake.shape, np.uint16)
        return self.case.masks(self.studyId).labels

    def known(self) -> set[int]:
        """The numbers of all lesions, of rejected ones as well."""
        return set(self.case.masks(self.studyId).boxes) if self.isSegmented else set()

    def lesions(self) -> dict[int, LesionRecord]:
        """All lesions by number, rejected ones as well."""
        return {found.lesion: found for found in self.case.lesions(self.studyId, rejected=True)}

    def preparations(self) -> list[Callable[[], object]]:
        """What makes the first click as quick as all others: some steps of up to a second each, in their order."""
        steps: list[Callable[[], object]] = [self.clickStudy, self.proposer]
        return [lambda: self.isSegmented and self.case.prepare_edits(self.studyId), *steps]

    def clickStudy(self) -> ClickStudy:
        """What growth needs.

        Raises:
            InputError: a SPECT in Bq/mL whose SUVs are not known.
        """
        from PSMASegmentLib.clicks.study import click_study

        key = self._key()
        if self._clickStudy is None or self._clickStudy[0] != key:
            images = self._loaded()
            physiology = self.case.physiology(self.studyId) if self.isSegmented else None
            image, names = physiology or _physiologyOf(images)
            self._clickStudy = key, click_study(images.emission, self.record.modality, image, names, images.ct)
        return self._clickStudy[1]

    def proposer(self) -> RegionProposer:
        """What proposes regions for new lesions."""
        from PSMASegmentLib.region_proposal import region_proposer

        images = self._loaded()
        if self._proposer is None or self._proposer[0] is not images:
            self._proposer = images, region_proposer(images)
        return self._proposer[1]

    def propose(self, lesion: int, start: Index, labels: Labels) -> Region:
        """The region that is proposed for a lesion of some labels, which begin at a voxel of the study.

        Without a name where it cannot be told; the reason says why.
        """
        import numpy as np
        from PSMASegmentLib.lesion_regions import Region

        indices = np.argwhere(labels == lesion) + np.asarray(start)
        try:
            return self.proposer().propose(indices, self.clickStudy().uptake[tuple(indices.T)])
        except ValueError as error:  # an organ map that is none is no reason to refuse a click
            return Region("", "", str(error))

    def loadedImages(self) -> list[sitk.Image]:
        """The images of the study that are in memory already; none are read for this."""
        if self._images is None:
            return []
        images = self._images[1]
        organs = images.organs.labels if images.organs is not None else None
        return [image for image in (images.emission, images.ct, organs) if image is not None]

    def index(self, ras: Ras) -> Index:
        """The voxel (z, y, x) at a point, which may lie outside the image."""
        matrix = vtk.vtkMatrix4x4()
        self._emission().GetRASToIJKMatrix(matrix)
        i, j, k = (round(value) for value in matrix.MultiplyPoint((*ras, 1.0))[:3])
        return k, j, i

    def hottestAlong(self, ras: Ras, direction: Ras) -> Ras | None:
        """Center of the hottest voxel on a line through a point, None where the line misses the image."""
        pet = self._emission()
        return hottestVoxel(pet, voxelsAlong(pet, ras, direction))

    def _emission(self) -> slicer.vtkMRMLScalarVolumeNode:
        """The node with the emission image. Raises RuntimeError where the user took it out of the scene."""
        node = self.scene.node(self.studyId, PET)
        if node is None:
            raise RuntimeError(_("The images of this study are not in the scene any more. Choose the study again."))
        return node

    def _key(self) -> tuple[object, ...]:
        """Names what is prepared for clicks: images, and the result of the segmentation that edits begin from."""
        segmentation = self.case.segmentation(self.studyId)
        begun = None if segmentation is None else (segmentation.created, segmentation.labels_id.partition("@")[0])
        return self._loaded(), begun

    def _loaded(self) -> Images:
        """The images of the study, the emission in SUVbw; read again where the study was."""
        from PSMATheranosticsLib.study_images import images_of
        from PSMATheranosticsLib.suv_emission import suv_emission

        record = self.case.study(self.studyId)
        if self._images is None or not _sameImages(self._images[0], record):
            if self.isSegmented:
                suv = self.case.masks(self.studyId).suv
            else:
                suv = suv_emission(self.case.load_image(record.emission_id), record.scaling, record.label)
            self._images = record, images_of(self.case, record, suv)
        return self._images[1]


def _physiologyOf(images: Images) -> tuple[sitk.Image | None, dict[int, str]]:
    """What the organ map alone says is physiological: for lesions that no search of ours has found."""
    import SimpleITK as sitk
    from PSMASegmentLib.physiology_labels import physiology_labels

    if images.organs is None:
        return None, {}
    nothing = sitk.Image(images.emission.GetSize(), sitk.sitkUInt16)
    nothing.CopyInformation(images.emission)
    return physiology_labels(images.organs, None, None, nothing)


def _sameImages(first: StudyRecord, second: StudyRecord) -> bool:
    return all(
        getattr(first, name) == getattr(second, name) for name in ("emission_id", "scaling", "ct_id", "organs_id")
    )
