"""Projections in patient space, where labels go, and the figure."""

from __future__ import annotations

import csv
import io
import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.label_layout import Anchor, place_labels, spread
from PSMATheranosticsLib.mip import GoneMark, LesionMark, Panel, draw_mips
from PSMATheranosticsLib.projection import project_anterior
from PSMATheranosticsLib.status_colors import (
    STATUS_COLORS,
    STATUS_LETTERS,
    STATUS_MEANINGS,
    STATUSES,
    status_color,
    status_hex,
)
from PSMATrackingLib.tracks import STATUSES as TRACKING_STATUSES

SPACING = (2.0, 3.0, 5.0)


def blob_images(orientation: str = "LPS") -> tuple[sitk.Image, sitk.Image]:
    """One hot block high up on the patient's left side and one low on the right, in front of it nothing."""
    suv = np.full((20, 12, 16), 0.5, np.float32)
    labels = np.zeros(suv.shape, np.uint16)
    for number, block in ((1, np.s_[15:18, 3:6, 11:14]), (2, np.s_[2:4, 7:9, 2:4])):
        suv[block] = 10.0 * number
        labels[block] = number
    images = []
    for array in (suv, labels):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING)
        image.SetOrigin((-15.0, -20.0, -300.0))
        images.append(sitk.DICOMOrient(image, orientation))
    return images[0], images[1]


def test_patients_left_is_on_the_viewers_right_and_head_is_up():
    suv, labels = blob_images()
    projection = project_anterior(suv, labels)
    rows, columns = np.nonzero(projection.values == 10.0)
    assert rows.max() < projection.values.shape[0] / 2
    assert columns.min() > projection.values.shape[1] / 2
    assert projection.extent_mm == (-16.0, 16.0, -302.5, -202.5)


def test_value_is_the_highest_along_the_line_of_sight():
    suv, _ = blob_images()
    array = sitk.GetArrayFromImage(suv)
    assert np.array_equal(project_anterior(suv).values, array.max(axis=1)[::-1])


def test_outlines_lie_where_the_lesions_are():
    suv, labels = blob_images()
    first = project_anterior(suv, labels).outlines[1]
    # Columns 11 to 13 at 2 mm from -15, rows 15 to 17 at 5 mm from -300, edges half a voxel out.
    assert (first.left_mm, first.right_mm) == (6.0, 12.0)
    assert (first.bottom_mm, first.top_mm) == (-227.5, -212.5)
    assert first.center_mm == pytest.approx((9.0, -220.0))
    assert first.mask.all()


def test_outline_of_a_lesion_that_is_wider_below_is_wider_below():
    labels = np.zeros((8, 4, 8), np.uint16)
    labels[2, 1, 1:6] = 1  # low
    labels[3:6, 1, 5] = 1  # and up on the patient's left
    image = sitk.GetImageFromArray(labels)
    outline = project_anterior(sitk.Cast(image, sitk.sitkFloat32), image).outlines[1]
    assert outline.mask.tolist() == [[False] * 4 + [True]] * 3 + [[True] * 5]
    assert outline.center_mm == pytest.approx((30 / 8, 22 / 8))


@pytest.mark.parametrize("orientation", ["RAS", "LAI", "SPL", "PIR", "ALS"])
def test_flipped_and_turned_grids_give_the_same_projection(orientation):
    expected = project_anterior(*blob_images())
    turned = project_anterior(*blob_images(orientation))
    assert np.array_equal(turned.values, expected.values)
    assert turned.extent_mm == pytest.approx(expected.extent_mm)
    for lesion, outline in expected.outlines.items():
        assert np.array_equal(turned.outlines[lesion].mask, outline.mask)
        assert turned.outlines[lesion].center_mm == pytest.approx(outline.center_mm)


def test_oblique_grid_is_brought_to_the_patients_axes():
    """A block turned by 20 degrees about the line of sight is found at its place in the patient."""
    suv, labels = blob_images()
    angle = np.deg2rad(20)
    turn = [np.cos(angle), 0, np.sin(angle), 0, 1, 0, -np.sin(angle), 0, np.cos(angle)]
    centers = {}
    for image in (suv, labels):
        image.SetDirection(turn)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(labels)
    for lesion in (1, 2):
        x, _, z = statistics.GetCentroid(lesion)
        centers[lesion] = (x, z)
    projection = project_anterior(suv, labels)
    for lesion, center in centers.items():
        assert projection.outlines[lesion].center_mm == pytest.approx(center, abs=0.6)
    rows, columns = np.nonzero(projection.values > 15)
    height, width = projection.values.shape
    left, right, bottom, top = projection.extent_mm
    x = left + (columns.mean() + 0.5) * (right - left) / width
    z = top - (rows.mean() + 0.5) * (top - bottom) / height
    assert (x, z) == pytest.approx(centers[2], abs=0.6)


def test_lesion_behind_another_keeps_its_outline():
    labels = np.zeros((6, 8, 6), np.uint16)
    labels[2:4, 1:3, 2:4] = 1
    labels[2:4, 5:7, 2:4] = 2
    image = sitk.GetImageFromArray(labels)
    outlines = project_anterior(sitk.Cast(image, sitk.sitkFloat32), image).outlines
    assert outlines[1].center_mm == outlines[2].center_mm


positions = st.lists(st.floats(min_value=-50, max_value=150, allow_nan=False), max_size=20).map(sorted)


@given(positions)
def test_spread_positions_keep_order_gap_and_limits(wanted):
    placed = spread(wanted, 0.0, 100.0, 5.0)
    assert len(placed) == len(wanted)
    assert all(-1e-6 <= position <= 100.0 + 1e-6 for position in placed)
    assert all(after - before >= 5.0 - 1e-6 for before, after in itertools.pairwise(placed))


def test_positions_that_are_apart_stay_where_they_are():
    assert spread([10.0, 20.0, 40.0], 0.0, 100.0, 5.0) == [10.0, 20.0, 40.0]


def test_equal_positions_are_spread_evenly_around_their_place():
    assert spread([50.0, 50.0, 50.0], 0.0, 100.0, 10.0) == pytest.approx([40.0, 50.0, 60.0])


def test_more_positions_than_room_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        spread([1.0] * 22, 0.0, 100.0, 5.0)


anchor_lists = st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 100)), max_size=70).map(
    lambda places: [Anchor(key, x, y, (float(key),)) for key, (x, y) in enumerate(places)]
)


@given(anchor_lists)
def test_labels_never_overlap_and_the_most_important_stay(anchors):
    placements, dropped = place_labels(anchors, 0.0, 0.0, 100.0, 5.0)  # 21 on each side
    assert sorted([place.key for place in placements] + dropped) == list(range(len(anchors)))
    assert len(placements) == min(len(anchors), 42)
    assert dropped == list(range(42, len(anchors)))
    for left in (True, False):
        column = sorted(place.y for place in placements if place.left is left)
        assert all(after - before >= 5.0 - 1e-6 for before, after in itertools.pairwise(column))


def test_labels_stand_on_the_side_of_their_lesion_while_there_is_room():
    anchors = [Anchor(1, -5.0, 10.0), Anchor(2, 5.0, 10.0), Anchor(3, -1.0, 80.0)]
    placements, _ = place_labels(anchors, 0.0, 0.0, 100.0, 5.0)
    assert {place.key: place.left for place in placements} == {1: True, 2: False, 3: True}


def png_size(png: bytes) -> tuple[int, int]:
    from matplotlib.image import imread

    height, width = imread(io.BytesIO(png)).shape[:2]
    return width, height


def panel(title: str, gone: bool = False) -> Panel:
    projection = project_anterior(*blob_images())
    marks = {1: LesionMark("L01", "persistent", 1.0), 2: LesionMark("L02", "new", 2.0)}
    return Panel(title, "subtitle", projection, marks, [GoneMark("L03", 0.0, -250.0, 6.0)] if gone else [])


def pixels_of_color(png: bytes, color: tuple[float, float, float]) -> int:
    from matplotlib.image import imread

    image = imread(io.BytesIO(png))[..., :3]
    return int((np.abs(image - np.array(color)).max(axis=-1) < 0.03).sum())


def test_outlines_have_the_color_of_their_status():
    (figure,) = draw_mips([panel("Baseline")])
    assert pixels_of_color(figure.png, status_color("new")) > 50
    assert pixels_of_color(figure.png, status_color("persistent")) > 50
    assert pixels_of_color(figure.png, status_color("baseline")) == 0


def test_gone_lesions_are_marked():
    without, with_gone = draw_mips([panel("A")])[0], draw_mips([panel("A", gone=True)])[0]
    gray = status_color("gone")
    assert pixels_of_color(with_gone.png, gray) > pixels_of_color(without.png, gray) + 20


@pytest.mark.parametrize(("count", "per_figure"), [(0, []), (1, [1]), (3, [3]), (4, [4]), (5, [3, 2]), (9, [3, 3, 3])])
def test_time_points_stand_side_by_side_in_as_few_rows_as_fit(count, per_figure):
    figures = draw_mips([panel(f"Study {index}") for index in range(count)])
    assert [figure.description.count(" with ") for figure in figures] == per_figure
    widths = [png_size(figure.png)[0] / (figures[0].width_mm and figure.width_mm) for figure in figures]
    assert all(width == pytest.approx(widths[0], rel=0.01) for width in widths)


def test_no_room_for_all_labels_is_reported_and_new_lesions_keep_theirs():
    labels = np.zeros((40, 12, 40), np.uint16)
    places = list(itertools.product(range(1, 39, 3), range(1, 39, 3)))
    for number, (row, column) in enumerate(places, start=1):
        labels[row, 5, column] = number
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((4.0, 4.0, 4.0))
    suv = sitk.Cast(image > 0, sitk.sitkFloat32) * 10 + 1
    marks = {
        number: LesionMark(f"L{number:02d}", "new" if number % 10 == 0 else "persistent", 1.0)
        for number in range(1, len(places) + 1)
    }
    (figure,) = draw_mips([Panel("Baseline", "", project_anterior(suv, image), marks)] * 1)
    unlabeled = figure.unlabeled["Baseline"]
    assert 0 < len(unlabeled) < len(places)
    assert not {f"L{number:02d}" for number in range(10, len(places) + 1, 10)} & set(unlabeled)


def test_image_without_body_or_lesions_is_drawn():
    blank = sitk.Image([8, 8, 8], sitk.sitkFloat32)
    (figure,) = draw_mips([Panel("Baseline", "", project_anterior(blank), {})])
    assert figure.png.startswith(b"\x89PNG")


def test_every_status_has_its_own_color_letter_and_meaning():
    assert STATUSES == TRACKING_STATUSES
    for table in (STATUS_COLORS, STATUS_LETTERS, STATUS_MEANINGS):
        assert set(table) == set(STATUSES)
        assert len(set(table.values())) == len(STATUSES)
    assert status_hex("baseline") == "#0072b2"
    assert status_hex("") == "#000000"
    with pytest.raises(KeyError):
        status_color("vanished")


def test_organs_of_a_real_patient_lie_where_a_viewer_expects_them():
    folder = test_data("psma-organ-labels")
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        values = {row["organ"]: int(row["value"]) for row in csv.DictReader(file)}
    organs = sitk.ReadImage(str(min(folder.glob("psma_*.nii.gz"))))
    projection = project_anterior(sitk.Cast(organs, sitk.sitkFloat32), organs)
    left, right, bottom, top = projection.extent_mm
    center = {
        organ: ((x - left) / (right - left), (top - z) / (top - bottom))  # share of the picture's width and height
        for organ in ("liver", "spleen", "heart", "urinary bladder")
        for x, z in [projection.outlines[values[organ]].center_mm]
    }
    assert center["liver"][0] < 0.5 < center["spleen"][0]
    assert center["heart"][1] < center["liver"][1] < center["urinary bladder"][1]
