"""Slice pictures show what lies where in the scene (a synthetic PET/CT)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPACING_MM = 4.0
SIZE = 48
LESION_IJK = (30, 20, 14)


def _volume(slicer: Any, array: np.ndarray, name: str, window: tuple[float, float]) -> Any:
    volume = slicer.util.addVolumeFromArray(array, name=name)
    volume.SetSpacing(SPACING_MM, SPACING_MM, SPACING_MM)
    volume.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    volume.SetOrigin(SIZE * SPACING_MM / 2, SIZE * SPACING_MM / 2, -SIZE * SPACING_MM / 2)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(*window)
    return volume


@pytest.fixture
def study(host: Any) -> Any:
    """(ct, pet, segmentation, position of the lesion in RAS mm, distance of each voxel to it in mm)."""
    import slicer

    z, y, x = np.mgrid[:SIZE, :SIZE, :SIZE]
    distance = SPACING_MM * np.sqrt(sum((a - i) ** 2 for a, i in zip((x, y, z), LESION_IJK, strict=True)))
    body = ((x - 24) / 18) ** 2 + ((y - 24) / 14) ** 2 < 1
    ct = _volume(slicer, np.where(body, 40, -1000).astype(np.int16), "CT", (-200, 400))
    pet = _volume(slicer, np.where(distance < 10, 20, body).astype(np.float32), "PET", (0, 15))
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lesions")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(pet)
    segment = segmentation.GetSegmentation().AddEmptySegment("lesion")
    segmentation.GetSegmentation().GetSegment(segment).SetColor(1, 0, 0)
    mask = (distance < 10).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, pet)
    ras = (96 - 30 * SPACING_MM, 96 - 20 * SPACING_MM, -96 + 14 * SPACING_MM)
    return ct, pet, segmentation, ras


def _redness(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(int) - pixels[..., 2]


def test_lesion_is_drawn_where_it_lies(study: Any) -> None:
    import slicer
    from slice_views import render_slice

    ct, pet, _, ras = study
    picture = render_slice(slicer.mrmlScene, "Axial", ct, pet, 0.5, (0, 0, ras[2]), field_of_view=200, size=(400, 400))
    rows, columns = np.nonzero(_redness(picture) > 60)
    # 2 pixels per mm; anterior is up, the patient's right is left: the view's center is RAS (0, 0).
    assert abs(rows.mean() - (200 - 2 * ras[1])) < 3
    assert abs(columns.mean() - (200 - 2 * ras[0])) < 3
    # A ball of 10 mm radius made of 4 mm voxels is 4 to 6 voxels wide.
    assert 32 <= np.ptp(columns) <= 48


def test_other_slice_shows_no_lesion(study: Any) -> None:
    import slicer
    from slice_views import render_slice

    ct, pet, _, ras = study
    picture = render_slice(slicer.mrmlScene, "Axial", ct, pet, 0.5, (0, 0, ras[2] + 40), field_of_view=200)
    assert _redness(picture).max() < 20


def test_projection_shows_the_lesion_from_any_depth(study: Any) -> None:
    import slicer
    from slice_views import render_mip

    _, pet, segmentation, ras = study
    segmentation.GetDisplayNode().SetVisibility(False)
    picture = render_mip(slicer.mrmlScene, pet, center=(0, 0, 0), field_of_view=200, size=(400, 400))
    rows, columns = np.nonzero(picture[..., 0] > 200)
    assert abs(rows.mean() - (200 - 2 * ras[2])) < 3
    assert abs(columns.mean() - (200 - 2 * ras[0])) < 3


def test_pictures_leave_the_scene_as_it_was(study: Any) -> None:
    import slicer
    from slice_views import render_slice

    before = slicer.mrmlScene.GetNumberOfNodes()
    logics = slicer.app.applicationLogic().GetSliceLogics().GetNumberOfItems()
    render_slice(slicer.mrmlScene, "Coronal", study[0])
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert slicer.app.applicationLogic().GetSliceLogics().GetNumberOfItems() == logics


def test_view_of_the_layout_is_drawn_with_its_own_layers(study: Any, tmp_path: Path) -> None:
    import slicer
    from slice_views import SliceView, render_view, save_png

    ct, _, _, ras = study
    slicer.util.setSliceViewerLayers(background=ct, fit=True)
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    node.JumpSliceByCentering(*ras)
    with SliceView(node, (300, 200)) as view:
        row, column = view.pixel(ras)
        picture = view.render()
    assert (row, column) == pytest.approx((100, 150), abs=1)
    assert _redness(picture)[row, column] > 60
    assert render_view(node, (300, 200)).shape == (200, 300, 3)
    assert save_png(picture, tmp_path / "view.png").stat().st_size > 500
