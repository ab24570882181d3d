"""The pictures of the user guide that show how lesions are found and corrected; ``screenshots.py`` makes them.

Everything is done with mouse and keys in the Qt host: panel and views are those of the modules, the frame around them
is not Slicer's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from data_dir import ROOT

SIZE = (1080, 980)
LARGEST_BYTES = 150_000
FIND_THRESHOLD_SUV = 15.0  # so high that the fainter lesions are missed
ZOOM = 2.5
Ras = tuple[float, float, float]


def draw(host: Any, case: Path, out: Path) -> list[Path]:
    """Go the whole way from finding to a signed reading and take a picture at each stage."""
    import slicer
    from PSMATheranosticsMrml import session

    slicer.mrmlScene.Clear(False)  # views would show what pictures before left there
    session.setCaseFolder(case)
    widget = host.make_widget(host.load_module(ROOT / "PSMASegment" / "PSMASegment.py"))
    with host.show_window(widget, SIZE) as window:
        widget.parent.enter()
        workflow = Workflow(host, widget)
        pictures = []
        for name, stage in (
            ("1-find", workflow.find),
            ("2-click", workflow.click),
            ("3-threshold", workflow.drag_threshold),
            ("4-not-a-lesion", workflow.take_for_physiological),
            ("5-accept", workflow.accept),
            ("6-done", workflow.finish),
        ):
            pointer = stage()
            host.process_events()
            pictures.append(save(host, window, out / f"{name}.png", pointer))
    host.remove_widget(widget)
    return pictures


class Workflow:
    """One reader at work. Each stage returns where his mouse is (RAS mm), None where it is not in a view."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host, self.widget, self.ui = host, widget, widget.ui
        self.faint: list[Any] = []  # lesions that a high threshold misses, largest first

    def find(self) -> None:
        """The real program finds what is hot; what a lower threshold found before tells what it misses."""
        box = self.ui.studyComboBox
        box.setCurrentIndex(0)
        box.activated.emit(0)
        found = [lesion.measures for lesion in self.widget._study().lesions]
        self.faint = [each for each in found if each.suv_max < FIND_THRESHOLD_SUV]
        self.ui.findCollapsibleButton.collapsed = False
        self.ui.thresholdSliderWidget.value = FIND_THRESHOLD_SUV
        self.ui.runButton.click()
        self.host.wait_until(lambda: not self.widget._runPanel.isRunning, timeout_s=300)

    def click(self) -> Ras:
        """A click on the largest lesion that was missed."""
        from PSMATheranosticsMrml.volumes import rasFromLps

        self.ui.findCollapsibleButton.collapsed = True
        self.ui.clickButton.click()
        place = rasFromLps(max(self.faint, key=lambda each: each.volume_ml).hottest_mm)
        for name in ("PSMA1Axial", "PSMA1Coronal"):
            node = self.host.gestures.view(name).mrmlSliceNode()
            node.SetFieldOfView(*(size / ZOOM for size in node.GetFieldOfView()[:2]), node.GetFieldOfView()[2])
            node.JumpSliceByCentering(*place)
        self.host.gestures.click("PSMA1Axial", place)
        return place

    def drag_threshold(self) -> None:
        """The lesion of the click, larger."""
        threshold = self.widget._corrections.threshold
        self.ui.clickThresholdSliderWidget.value = (threshold.low + threshold.suv) / 2

    def take_for_physiological(self) -> None:
        """A lesion that is none, with its reason."""
        from panel_case import choose_entry, click_lesion

        self.ui.clickButton.click()
        click_lesion(self.widget, self.widget._study().lesions[-2].lesion)
        choose_entry(self.ui.physiologicalButton, "lacrimal gland")

    def accept(self) -> None:
        """Lesion after lesion with the key A."""
        from panel_case import click_lesion

        click_lesion(self.widget, 1)
        for _ in range(5):
            self.host.gestures.press("A", self.ui.lesionTable)

    def finish(self) -> None:
        """All are reviewed and the reading is signed."""
        study = self.widget._study()
        self.widget._review.table.select([each.lesion for each in study.lesions if not each.reviewed])
        self.widget._review.accept()
        self.widget._review.select(study.lesions[0].lesion)
        self.host.dialogs.expect("Sign the lesions", 1)
        self.ui.signButton.click()
        self.ui.clickCollapsibleButton.collapsed = True
        self.ui.versionsCollapsibleButton.collapsed = False


def save(host: Any, window: Any, path: Path, pointer: Ras | None) -> Path:
    """The window as it is, with an arrow at a point of the axial view, in so few colors that the file is small."""
    from PIL import Image
    from PySide6 import QtCore, QtGui

    picture = window.grab()
    if pointer is not None:
        x, y = host.gestures.pixel_of("PSMA1Axial", pointer)
        view = host.gestures.view("PSMA1Axial")
        at = view.mapTo(window, QtCore.QPoint(x, y))
        arrow = [(0, 0), (0, 20), (5, 15), (9, 23), (12, 21), (8, 14), (15, 14)]
        painter = QtGui.QPainter(picture)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setBrush(QtGui.QColor("white"))
        painter.drawPolygon(QtGui.QPolygon([at + QtCore.QPoint(*corner) for corner in arrow]))
        painter.end()
    picture.save(str(path), "PNG")
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    if path.stat().st_size > LARGEST_BYTES:
        sys.exit(f"{path} has {path.stat().st_size} bytes, more than the {LARGEST_BYTES} that pages should load")
    return path
