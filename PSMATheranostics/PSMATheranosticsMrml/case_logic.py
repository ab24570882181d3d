"""What the logics of all three modules can do with the open case: read it, load it, show it, jump in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from . import session, views
from .case_scene import CaseScene

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results


class CaseLogic:
    """Mixed into the logics of the modules. Holds no state: the case folder is in the scene, the rest in the case."""

    def results(self) -> Results:
        """What the case says now.

        Raises:
            RuntimeError: no case is open.
            CaseError: the case is damaged.
        """
        return session.results()

    def scene(self) -> CaseScene:
        """The nodes of the open case."""
        return CaseScene(session.caseFolder() or Path())

    def loadStudies(
        self,
        studyIds: Sequence[int],
        results: Results | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        """Bring images and lesions of studies into the scene; those that are there already stay."""
        scene = self.scene()
        results = results or self.results()
        with session.openStore() as case:
            for index, studyId in enumerate(studyIds):
                study = case.study(studyId)
                if progress is not None:
                    progress(index / len(studyIds), _("Loading {study}").format(study=study.label))
                scene.loadStudy(case, study)
                scene.showLesions(case, results, studyId)
        if progress is not None:
            progress(1.0, "")

    def showStudy(self, studyId: int, mode: str = views.FUSION, results: Results | None = None) -> None:
        """Load a study where needed and show it alone; ``mode`` is "fusion", "PET" or "CT"."""
        self.loadStudies([studyId], results)
        views.showStudy(self.scene(), studyId, mode)

    def compareStudies(
        self, earlierId: int, laterId: int, mode: str = views.FUSION, results: Results | None = None
    ) -> None:
        """Load two studies where needed and show them side by side."""
        self.loadStudies([earlierId, laterId], results)
        views.compareStudies(self.scene(), [earlierId, laterId], mode)

    def updateScene(self, results: Results) -> None:
        """Let the lesions that are in the scene look as the case says now."""
        scene = self.scene()
        loaded = set(scene.loadedStudies())
        with session.openStore() as case:
            for study in results.studies:
                if study.study_id in loaded:
                    scene.showLesions(case, results, study.study_id)

    def showVersion(self, results: Results, studyId: int, version: str) -> None:
        """Show a study with another version of its lesions: "automatic", "signed" or "current"."""
        if not views.isShown(self.scene(), studyId):
            self.showStudy(studyId, results=results)
        with session.openStore() as case:
            self.scene().showVersion(case, results, studyId, version)

    def jumpToLesion(self, results: Results, studyId: int, lesion: int) -> bool:
        """Center the views that show a study on the hottest point of a lesion; false where it has no such lesion."""
        study = results.study(studyId)
        for found in (*study.lesions, *study.rejected):
            if found.lesion == lesion:
                views.jumpToPoint(self.scene(), studyId, found.measures.hottest_mm)
                return True
        return False
