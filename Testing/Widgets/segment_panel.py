"""PSMA Segment beside rendered views, for its tests: open it, click into the views, and compare what must agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from panel_case import lesion_texts

BASELINE = 1
FIRST, SECOND = 1, 2  # lesions of the baseline study
# Centers of the two balls of the synthetic case (z, y, x voxels), and two places without uptake.
FIRST_BALL, SECOND_BALL, SOFT_TISSUE, AIR = (8, 10, 10), (22, 10, 20), (8, 20, 10), (8, 12, 3)


def opened(host: Any, make_widget: Any, folder: Path, size: tuple[int, int] = (1280, 1000)) -> Iterator[Any]:
    """The panel beside the views of the first study of a case."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(folder)
    made = make_widget("PSMASegment")
    with host.show_window(made, size):
        made.parent.enter()
        choose_study(made, 0)
        host.process_events()
        yield made


def choose_study(widget: Any, index: int) -> None:
    """Choose a study as the user does."""
    box = widget.ui.studyComboBox
    box.setCurrentIndex(index)
    box.activated.emit(index)


def ras_of(voxel_zyx: Sequence[float]) -> tuple[float, float, float]:
    """Where a voxel of the synthetic case is: its grid has 4 mm, its first voxel is at LPS -64, -64, -500."""
    z, y, x = voxel_zyx
    return 64.0 - 4.0 * x, 64.0 - 4.0 * y, -500.0 + 4.0 * z


def click(host: Any, view: str, voxel_zyx: Sequence[float], *modifiers: str) -> None:
    """Bring a view to a voxel, unless it is a projection, and click there."""
    ras = ras_of(voxel_zyx)
    if not view.endswith("Mip"):
        host.gestures.view(view).mrmlSliceNode().JumpSliceByOffsetting(*ras)
    host.gestures.click(view, ras, *modifiers)


def told(widget: Any) -> str:
    """The line about what was done last."""
    return widget.ui.runMessageLabel.text


def labels_of(widget: Any) -> Any:
    """The stored labels of the baseline study."""
    import SimpleITK as sitk
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        return sitk.GetArrayFromImage(case.labels(BASELINE))


def shown_voxels(widget: Any, lesion: int) -> int:
    """How many voxels a lesion has in the scene."""
    import slicer
    from PSMATheranosticsMrml.case_scene import LESIONS
    from PSMATheranosticsMrml.segments import segmentId

    node = widget.logic.scene().node(BASELINE, LESIONS)
    return int((slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentId(lesion)) != 0).sum())


def assert_all_agree(widget: Any) -> None:
    """Voxels of the case, segments of the scene, the table and the totals say the same."""
    labels, study = labels_of(widget), widget.logic.results().study(BASELINE)
    for lesion in study.lesions:
        voxels = int((labels == lesion.lesion).sum())
        assert shown_voxels(widget, lesion.lesion) == voxels
        assert lesion_texts(widget, lesion.lesion)[3] == f"{voxels * 0.064:.2f}"  # mL of a voxel of 4 mm
    assert f"PSMA-TV {study.totals.psma_tv_ml:.1f} mL" in widget.ui.totalsLabel.text
