"""Pictures of the modules for the README and the Extensions Index, made with the synthetic demo patient.

    python Testing/screenshots.py [--case FOLDER] [--out FOLDER] [--work FOLDER]

``--work`` is for the pictures of the work in PSMA Segment, for the user guide (see ``workflow_pictures``).

Panels come from the Qt host, views from MRML's own slice pipeline: they show what Slicer shows, without its frame.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("PSMATheranostics", "PSMASegment", "PSMATracking")
sys.path[:0] = [str(ROOT / folder) for folder in ("Testing", "Testing/Mrml", "Testing/Widgets", *MODULES)]

PANEL_WIDTH, HEIGHT, GAP = 472, 1010, 8
COLUMN_WIDTH, VIEW_HEIGHT = 400, 560
TRACKING_SIZE = (1480, 1000)
PSA_NG_ML = (48.0, 21.5, 30.2)  # invented, as the demo patient is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", type=Path, help="case folder of an earlier demo (default: make one, takes minutes)")
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots", help="folder for the pictures")
    parser.add_argument("--work", type=Path, default=ROOT / "Docs" / "pictures", help="folder for those of the work")
    options = parser.parse_args()
    for out in (options.out, options.work):
        out.mkdir(parents=True, exist_ok=True)

    import slicer_host as host
    import workflow_pictures

    host.start()
    with tempfile.TemporaryDirectory() as folder:
        case = options.case or make_demo(Path(folder) / "demo-case")
        read = Path(shutil.copytree(case, Path(folder) / "read"))
        for name, shown, prepare, views in (
            ("PSMATheranostics", read, prepare_case, (("PSMA1Mip", "PSMA1Axial"), ("PSMA2Mip", "PSMA2Axial"))),
            ("PSMASegment", case, prepare_segment, (("PSMA1Mip",), ("PSMA1Axial", "PSMA1Coronal"))),
        ):
            picture = options.out / f"{name}.png"
            take(host, name, shown, prepare, views, picture)
            sys.stdout.write(f"{picture}\n")
        for picture in (
            take_results(host, read, options.work / "results.png"),
            take_tracking(host, case, options.out / "PSMATracking.png"),
            take_views(host, case, options.out / "views.png"),
            take_report(case, options.out / "report.png"),
        ):
            sys.stdout.write(f"{picture or 'no picture of the report: chromium is not installed'}\n")
        copy = Path(shutil.copytree(case, Path(folder) / "work"))
        for picture in workflow_pictures.draw(host, copy, options.work):
            sys.stdout.write(f"{picture}\n")
    problems = host.errors.take()
    if problems:
        sys.exit("\n".join(str(problem) for problem in problems))


def make_demo(folder: Path) -> Path:
    """Make the synthetic demo patient and run the whole job on him; returns the case folder."""
    from PSMATheranosticsLib.demo import write_demo
    from PSMATheranosticsLib.pipeline import run
    from PSMATheranosticsLib.read_input import read_studies

    write_demo(folder / "images")
    run(read_studies([folder / "images" / "dicom"]), folder / "case")
    return folder / "case"


def prepare_case(widget: Any) -> None:
    """A reading in the middle: PSA and treatment entered, one follow-up confirmed, the last one beside the baseline."""
    from PSMATheranosticsLib.clinical_facts import save_clinical_facts
    from PSMATheranosticsLib.clinical_model import ClinicalFacts
    from PSMATheranosticsLib.psa_values import add_psa

    studies = widget._results.studies
    days = [study.acquired.date() for study in studies]
    facts = ClinicalFacts("mCRPC, progression on abiraterone", "177Lu-PSMA-617", days[0] + timedelta(days=7))
    widget.change(lambda case: save_clinical_facts(case, facts), "The facts cannot be stored.")
    for day, value in zip(days, PSA_NG_ML, strict=False):
        widget.change(lambda case, day=day, value=value: add_psa(case, day, value), "The value cannot be stored.")
    widget._response.choose(studies[1].study_id)
    widget.ui.confirmButton.click()
    widget._response.choose(studies[-1].study_id)
    widget.ui.compareButton.click()
    for study in studies:
        largest = max(study.lesions, key=lambda lesion: lesion.measures.volume_ml)
        widget.logic.jumpToLesion(widget._results, study.study_id, largest.lesion)


def prepare_segment(widget: Any) -> None:
    """The third lesion of the baseline, with the click tool on."""
    box = widget.ui.studyComboBox
    box.setCurrentIndex(0)
    box.activated.emit(0)
    widget.ui.clickButton.click()
    widget._review.select(3)
    widget._review.jump()


def take_results(host: Any, case: Path, path: Path) -> Path:
    """The whole results panel, cut into columns as high as a window."""
    import slicer
    from PSMATheranosticsMrml import session
    from PySide6 import QtGui

    slicer.mrmlScene.Clear(False)
    session.setCaseFolder(case)
    widget = host.make_widget(host.load_module(ROOT / "PSMATheranostics" / "PSMATheranostics.py"))
    widget.parent.enter()
    widget.ui.plotsCollapsibleButton.collapsed = False
    panel = QtGui.QImage(str(grab_whole(host, widget, path)))
    columns = -(-panel.height() // HEIGHT)
    height = -(-panel.height() // columns)
    width = columns * (PANEL_WIDTH + GAP) - GAP
    picture = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtGui.QColor("white"))
    painter = QtGui.QPainter(picture)
    for column in range(columns):
        painter.drawImage(column * (PANEL_WIDTH + GAP), 0, panel.copy(0, column * height, PANEL_WIDTH, height))
    painter.end()
    picture.save(str(path), "PNG", 0)
    host.remove_widget(widget)
    return path


def grab_whole(host: Any, widget: Any, path: Path) -> Path:
    """A picture of a panel as high as its words need at the usual width; in Slicer it would be scrolled."""
    panel = widget.parent
    panel.resize(PANEL_WIDTH, HEIGHT)
    panel.show()
    host.process_events()
    return host.grab(widget, path, PANEL_WIDTH, max(panel.layout().totalHeightForWidth(PANEL_WIDTH), HEIGHT))


def take_tracking(host: Any, case: Path, path: Path) -> Path:
    """All studies side by side with the third lesion, as the window shows them."""
    import slicer
    from PSMATheranosticsMrml import session
    from tracking_panel import choose_cell

    slicer.mrmlScene.Clear(False)
    session.setCaseFolder(case)
    widget = host.make_widget(host.load_module(ROOT / "PSMATracking" / "PSMATracking.py"))
    with host.show_window(widget, TRACKING_SIZE) as window:
        widget.parent.enter()
        host.process_events()
        choose_cell(widget, "L03", widget._results.studies[-1].study_id)
        host.process_events()
        window.grab().save(str(path), "PNG", 0)  # 0: smallest file
    host.remove_widget(widget)
    return path


def take(
    host: Any, name: str, case: Path, prepare: Callable[[Any], None], views: tuple[tuple[str, ...], ...], path: Path
) -> None:
    """Open the case in a module, prepare it, and save its panel beside the columns of views."""
    import slicer
    from PSMATheranosticsMrml import session
    from PySide6 import QtGui

    slicer.mrmlScene.Clear(False)
    session.setCaseFolder(case)
    widget = host.make_widget(host.load_module(ROOT / name / f"{name}.py"))
    widget.parent.enter()
    prepare(widget)
    panel = QtGui.QImage(str(grab_whole(host, widget, path)))
    picture = QtGui.QImage(PANEL_WIDTH + len(views) * (COLUMN_WIDTH + GAP), HEIGHT, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtGui.QColor("#202020"))
    painter = QtGui.QPainter(picture)
    painter.drawImage(0, 0, panel)
    for column, names in enumerate(views):
        height = (HEIGHT - GAP * (len(names) - 1)) // len(names)
        for row, view in enumerate(names):
            x, y = PANEL_WIDTH + GAP + column * (COLUMN_WIDTH + GAP), row * (height + GAP)
            painter.drawImage(x, y, view_image(view, (COLUMN_WIDTH, height)))
    painter.end()
    picture.save(str(path), "PNG", 0)  # 0: smallest file
    host.remove_widget(widget)


def take_views(host: Any, case: Path, path: Path) -> Path:
    """MIP, axial and coronal fusion with lesion outlines of the last study, at its largest lesion."""
    import slicer
    from PSMATheranosticsMrml import session
    from PySide6 import QtGui

    slicer.mrmlScene.Clear(False)
    session.setCaseFolder(case)
    widget = host.make_widget(host.load_module(ROOT / "PSMATheranostics" / "PSMATheranostics.py"))
    widget.parent.enter()
    study = widget._results.studies[-1]
    lesion = max(study.lesions, key=lambda lesion: lesion.measures.volume_ml)
    widget.logic.showStudy(study.study_id, "fusion", widget._results)
    widget.logic.jumpToLesion(widget._results, study.study_id, lesion.lesion)
    names = ("PSMA1Mip", "PSMA1Coronal", "PSMA1Axial")
    picture = QtGui.QImage(len(names) * (COLUMN_WIDTH + GAP) - GAP, VIEW_HEIGHT, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtGui.QColor("#202020"))
    painter = QtGui.QPainter(picture)
    for column, name in enumerate(names):
        painter.drawImage(column * (COLUMN_WIDTH + GAP), 0, view_image(name, (COLUMN_WIDTH, VIEW_HEIGHT)))
    painter.end()
    picture.save(str(path), "PNG", 0)
    host.remove_widget(widget)
    return path


def take_report(case: Path, path: Path) -> Path | None:
    """The top of the report as a browser shows it; None where there is no chromium to draw it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return None
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *(
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--disable-background-networking",
                ),
                *("--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={profile}"),
                *("--window-size=1000,1180", f"--screenshot={path}", (case / "report.html").resolve().as_uri()),
            ],
            check=True,
            capture_output=True,
        )
    return path


def view_image(name: str, size: tuple[int, int]) -> Any:
    """A slice view as it stands."""
    import slicer
    from PySide6 import QtGui
    from slice_views import render_view

    pixels = render_view(slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode(), size)
    height, width, _channels = pixels.shape
    return QtGui.QImage(pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format.Format_RGB888).copy()


if __name__ == "__main__":
    main()
