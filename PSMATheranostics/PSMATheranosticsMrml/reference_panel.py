"""The part of the panel about reference regions: where normal uptake was measured, shown in the views and movable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from math import pi
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from . import session, views
from .item_table import Cell, fillTable, selectedKey
from .process import PsmaProcess
from .process_events import DONE
from .reference_markers import COLORS, ReferenceMarkers
from .result_tables import UI_FOLDER
from .slice_geometry import middleOf
from .tables import number, studyName
from .volumes import lpsFromRas

if TYPE_CHECKING:
    from pathlib import Path

    import qt
    import SimpleITK as sitk
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.clinical_model import ReferenceRegionResult
    from PSMATheranosticsLib.results_model import Results

    from .case_logic import CaseLogic
    from .panel_rows import Row
    from .process_events import PsmaRun

Point = tuple[float, float, float]

_SAME_MM = 1e-6


class ReferencePanel:
    """Fills ``frame``, an empty frame with a layout. Every change is one step of the journal.

    ``onChanged`` is called when a region was placed, moved or removed; ``trying`` is ``CaseWidget.trying``.

    Usage:
        panel = ReferencePanel(ui.referenceRegionsFrame, logic, self.refresh, self.trying)
        panel.show(results, studyId)
        panel.close()  # in exit, and when the scene is closed: the spheres leave the views
        panel.stop()  # in cleanup
    """

    def __init__(
        self,
        frame: qt.QFrame,
        logic: CaseLogic,
        onChanged: Callable[[], Any],
        trying: Callable[..., AbstractContextManager[None]],
    ) -> None:
        widget = slicer.util.loadUI(str(UI_FOLDER / "ReferenceRegions.ui"))
        frame.layout().addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        self._logic = logic
        self._onChanged = onChanged
        self._trying = trying
        self._results: Results | None = None
        self._missing: dict[int, dict[str, str]] = {}  # why a region is not there, by study and name
        self._studies: list[int] = []
        self._asked: int | None = None  # the study that was asked for last from outside
        self._observed: list[tuple[Any, int]] = []
        self._isFollowing = False
        self._said = ""
        self._folder: Path | None = None
        self._isOpen = False  # from ``show`` to ``close``: only then the views are ours
        self._image: tuple[tuple[Path, str], sitk.Image] | None = None  # in SUV, with case and name
        self.markers = ReferenceMarkers(self.move)
        self.process = PsmaProcess(self._onProgress, self._onPlaced)
        self.ui.referenceTable.horizontalHeader().setStretchLastSection(True)
        self._connect()
        self._update()

    def show(self, results: Results | None, studyId: int | None = None) -> None:
        """Show the regions of a case; ``studyId`` is chosen where it is another one than was asked for before."""
        self._results, self._isOpen = results, True
        self._missing = {} if results is None else _missingRegions()
        if session.caseFolder() != self._folder:  # what was told is about another man
            self._folder, self._said = session.caseFolder(), ""
        before = self.study()
        wanted = before if studyId == self._asked or studyId is None else studyId
        self._asked = studyId if studyId is not None else self._asked
        names = [] if results is None else [studyName(study) for study in results.studies]
        box = self.ui.referenceStudyComboBox
        if [box.itemText(index) for index in range(box.count)] != names:
            box.clear()
            for name in names:
                box.addItem(name)
        self._studies = [] if results is None else [study.study_id for study in results.studies]
        box.setCurrentIndex(self._studies.index(wanted) if wanted in self._studies else len(self._studies) - 1)
        self._update()

    def study(self) -> int | None:
        """The study whose regions are shown."""
        at = self.ui.referenceStudyComboBox.currentIndex
        return self._studies[at] if 0 <= at < len(self._studies) else None

    def close(self) -> None:
        """Take the regions out of the views; they are back at the next ``show``."""
        self._isOpen = False
        self._unfollow()
        self.markers.remove()
        self._image = None

    def stop(self) -> None:
        """Let go of everything, when the module is closed."""
        self.process.close()
        self.close()

    # What the user does

    def place(self) -> None:
        """Place all regions of the study by its organ map, in the background; those placed by hand stay."""
        studyId = self.study()
        if studyId is not None and not self.process.isRunning:
            with self._trying(_("The reference regions cannot be placed.")):
                self._said = _("Placing...")
                case = str(session.requireCase())
                self.process.start(["references", case, "--study", str(studyId), "--place"])
                self._update()

    def putHere(self) -> None:
        """Put the selected region where the first view of the study is centered."""
        name, studyId = selectedKey(self.ui.referenceTable), self.study()
        if not name or studyId is None:
            return
        with self._trying(_("The region cannot be placed.")):
            if not views.isShown(self._logic.scene(), studyId):
                self._logic.showStudy(studyId, results=self._results)
            shown = views.slicesOf(self._logic.scene(), studyId)
            if shown:
                self.ui.referenceShowCheckBox.checked = True
                self.move(name, lpsFromRas(middleOf(shown[0])))

    def move(self, name: str, center: Point) -> None:
        """Measure a region anew around another center (LPS mm) and store it."""
        studyId, region = self.study(), self._region(name)
        if studyId is not None:
            self._change(partial(self._measure, studyId, name, center, None if region is None else region.radius_mm))

    def setRadius(self, radius: float) -> None:
        """Measure the selected region anew with another radius in mm and store it."""
        studyId, region = self.study(), self._region(selectedKey(self.ui.referenceTable))
        if studyId is not None and region is not None and abs(radius - region.radius_mm) > _SAME_MM:
            self._change(partial(self._measure, studyId, region.name, region.center_mm, radius))

    def remove(self) -> None:
        """Remove the selected region."""
        from PSMATheranosticsLib.reference_regions import remove_reference

        studyId, region = self.study(), self._region(selectedKey(self.ui.referenceTable))
        if studyId is not None and region is not None:
            self._change(lambda case: remove_reference(case, studyId, region.name))

    def _change(self, act: Callable[[CaseStore], Any]) -> None:
        """Make one step of the journal. What was refused is told, and the regions are shown as they are stored."""
        from PSMATheranosticsLib.errors import InputError

        self._said = ""
        try:
            with self._trying(_("The reference region cannot be stored."), waitCursor=True):
                try:
                    with session.openStore(write=True) as case:
                        act(case)
                except InputError as error:
                    self._said = str(error)
                    return
                self._onChanged()
        finally:
            self._update()

    def _measure(self, studyId: int, name: str, center: Point, radius: float | None, case: CaseStore) -> None:
        """Store a sphere with what is measured in it. The image is read once: each next move takes milliseconds."""
        from PSMATheranosticsLib.reference_regions import move_reference, suv_image

        key = case.folder, case.study(studyId).emission_id
        if self._image is None or self._image[0] != key:
            self._image = None  # before the next one is read: they are large
            self._image = key, suv_image(case, studyId)
        move_reference(case, studyId, name, center, radius, self._image[1])

    def _connect(self) -> None:
        ui = self.ui
        ui.referenceStudyComboBox.connect("activated(int)", lambda _index: self._update())
        ui.referenceTable.connect("currentCellChanged(int,int,int,int)", lambda *_cells: self._onSelected())
        ui.referenceTable.connect("cellClicked(int,int)", lambda _row, _column: self._jump())
        ui.referenceShowCheckBox.connect("toggled(bool)", lambda _checked: self._showMarkers())
        ui.referenceRadiusSpinBox.connect("valueChanged(double)", self.setRadius)
        for button, action in (
            (ui.referencePlaceButton, self.place),
            (ui.referenceByHandButton, self.putHere),
            (ui.referenceRemoveButton, self.remove),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def _onProgress(self, run: PsmaRun) -> None:
        self._said = run.message
        self._showNote()

    def _onPlaced(self, run: PsmaRun) -> None:
        self._said = "" if run.state == DONE else run.errorMessage
        session.caseChanged()
        self._onChanged()
        self._update()

    def _onSelected(self) -> None:
        self._showRadius()
        self._showMarkers()

    def _jump(self) -> None:
        """Bring the views of the study to the selected region, and show it there."""
        region, studyId = self._region(selectedKey(self.ui.referenceTable)), self.study()
        if region is not None and studyId is not None:
            self.ui.referenceShowCheckBox.checked = True
            views.jumpToPoint(self._logic.scene(), studyId, region.center_mm)

    # Showing

    def _regions(self) -> Sequence[ReferenceRegionResult]:
        studyId = self.study()
        return () if self._results is None or studyId is None else self._results.study(studyId).references

    def _region(self, name: str) -> ReferenceRegionResult | None:
        return next((region for region in self._regions() if region.name == name), None)

    def _update(self) -> None:
        table = self.ui.referenceTable
        fillTable(table, [_("Region"), _("SUVmean"), _("SD"), _("mL"), _("Placed")], self._rows())
        height = table.horizontalHeader().sizeHint.height() + table.rowCount * table.verticalHeader().defaultSectionSize
        table.setFixedHeight(height + table.horizontalScrollBar().sizeHint.height() + 2 * table.frameWidth)
        self._showNote()
        self._onSelected()

    def _rows(self) -> list[Row]:
        """One row per region that there can be, those without a sphere faint."""
        from PSMATheranosticsLib.clinical_model import REFERENCE_REGIONS

        rows: list[Row] = []
        for name in REFERENCE_REGIONS if self.study() is not None else ():
            region = self._region(name)
            if region is None:
                why = self._missing.get(self.study(), {}).get(name, "")
                there = [Cell(name, isFaint=True, toolTip=why), *[Cell("")] * 3]
                rows.append((name, [*there, Cell(_("not placed"), isFaint=True, toolTip=why)]))
                continue
            tip = _("{voxels} voxels within {radius} mm. {note}").format(
                voxels=region.voxels, radius=f"{region.radius_mm:g}", note=region.note
            )
            cells = [
                Cell(name, color=COLORS.get(name), toolTip=tip),
                Cell(number(region.suv_mean, 2), isNumber=True, toolTip=tip),
                Cell(number(region.suv_sd, 2), isNumber=True, toolTip=tip),
                Cell(number(_ballMl(region.radius_mm), 1), isNumber=True, toolTip=tip),
                Cell(_("by hand") if region.source == "by hand" else _("automatic"), toolTip=region.note),
            ]
            rows.append((name, cells))
        return rows

    def _showNote(self) -> None:
        """Tell what was done or refused, what limits a region, and why others are not there."""
        notes: dict[str, list[str]] = {}  # names by what is said of them
        for name, note in (
            *((region.name, region.note) for region in self._regions() if region.note),
            *self._missing.get(self.study(), {}).items(),
        ):
            notes.setdefault(note, []).append(name)
        told = [*([self._said] if self._said else []), *(f"{', '.join(of)}: {note}" for note, of in notes.items())]
        self.ui.referenceNoteLabel.text = "\n".join(told)
        self.ui.referenceNoteLabel.setVisible(bool(told))

    def _showRadius(self) -> None:
        """Offer what can be done with the selected region."""
        ui, region = self.ui, self._region(selectedKey(self.ui.referenceTable))
        isIdle = self.study() is not None and not self.process.isRunning
        ui.referencePlaceButton.enabled = isIdle
        ui.referenceByHandButton.enabled = isIdle and bool(selectedKey(ui.referenceTable))
        ui.referenceRemoveButton.enabled = ui.referenceRadiusSpinBox.enabled = isIdle and region is not None
        ui.referenceStudyComboBox.enabled = len(self._studies) > 1
        if region is not None:
            wasBlocked = ui.referenceRadiusSpinBox.blockSignals(True)
            ui.referenceRadiusSpinBox.value = region.radius_mm
            ui.referenceRadiusSpinBox.blockSignals(wasBlocked)

    def _showMarkers(self) -> None:
        """Show the spheres in the slices that show the study, and follow the views to other studies and layouts."""
        isShown = self._isOpen and self.ui.referenceShowCheckBox.checked and self.study() is not None
        if isShown and not self._isFollowing and slicer.app.layoutManager() is not None:
            slicer.app.layoutManager().connect("layoutChanged(int)", self._onLayout)
            self._isFollowing = True
        if isShown:
            self._onLayout()
        else:
            self._unfollow()
            self.markers.show((), ())

    def _onLayout(self, *_layout: int) -> None:
        """Follow the views of this layout."""
        self._forgetViews()
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            shown = [composite.GetBackgroundVolumeID()]
            self._observed.append((composite, composite.AddObserver("ModifiedEvent", self._onComposite(shown))))
        self._onViews()

    def _onComposite(self, shown: list[str | None]) -> Callable[[Any, str], None]:
        """An observer that follows a view to other images, and stays quiet while only their look changes."""

        def changed(composite: slicer.vtkMRMLSliceCompositeNode, _event: str) -> None:
            if composite.GetBackgroundVolumeID() != shown[0]:
                shown[0] = composite.GetBackgroundVolumeID()
                self._onViews()

        return changed

    def _onViews(self) -> None:
        studyId = self.study()
        nodes = [] if studyId is None else views.slicesOf(self._logic.scene(), studyId)
        self.markers.show(self._regions(), [node.GetID() for node in nodes], selectedKey(self.ui.referenceTable))

    def _forgetViews(self) -> None:
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []

    def _unfollow(self) -> None:
        self._forgetViews()
        if self._isFollowing and slicer.app.layoutManager() is not None:
            slicer.app.layoutManager().disconnect("layoutChanged(int)", self._onLayout)
        self._isFollowing = False


def _ballMl(radius: float) -> float:
    """Volume in mL of a ball with a radius in mm."""
    return 4.0 / 3.0 * pi * radius**3 / 1000.0


def _missingRegions() -> dict[int, dict[str, str]]:
    from PSMATheranosticsLib.reference_regions import missing_references

    with session.openStore() as case:
        return missing_references(case)
