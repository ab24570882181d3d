"""Lesion labels as segments: nothing lost on the way there and back, whatever the geometry."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

COS, SIN = np.cos(0.4), np.sin(0.4)
DIRECTIONS = (
    (1, 0, 0, 0, 1, 0, 0, 0, 1),
    (-1, 0, 0, 0, 1, 0, 0, 0, -1),
    (COS, -SIN, 0, SIN, COS, 0, 0, 0, 1),
)
RED, GREEN = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)


def labels(direction=DIRECTIONS[0]) -> sitk.Image:
    """Synthetic labels on 12 x 10 x 8 voxels: lesions 1, 2 and 300, the last two touching."""
    array = np.zeros((8, 10, 12), np.uint16)
    array[1:3, 1:4, 1:4] = 1
    array[4:6, 4:6, 4:8] = 2
    array[6:8, 4:6, 4:8] = 300
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(direction)
    return image


def looks(*lesions, color=RED, **tags):
    from PSMATheranosticsMrml.segments import LesionSegment

    return [LesionSegment(each, f"Lesion {each}", color, tags) for each in lesions]


@pytest.fixture
def make_node(scene):
    """A segmentation node on the grid of the labels."""
    from PSMATheranosticsMrml.segments import createSegmentation
    from PSMATheranosticsMrml.volumes import volumeFromImage

    return lambda image: createSegmentation(volumeFromImage(sitk.Cast(image, sitk.sitkFloat32), "PET"), "Lesions")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_labels_to_segments_and_back_are_the_same_labels(make_node, direction):
    from PSMATheranosticsMrml.segments import labelsFromSegmentation, setLesions

    source = labels(direction)
    node = make_node(source)
    setLesions(node, source, looks(1, 2, 300))
    back = labelsFromSegmentation(node)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(source))
    assert back.GetPixelID() == sitk.sitkUInt16
    assert back.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-9)
    assert back.GetSpacing() == pytest.approx(source.GetSpacing(), abs=1e-12)
    assert back.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-12)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_slicer_finds_each_lesion_on_the_voxels_of_the_pet(make_node, direction):
    """Against Slicer's own way from a segment to an array, on the grid of the reference volume."""
    import slicer
    from PSMATheranosticsMrml.segments import segmentId, setLesions

    source = labels(direction)
    node = make_node(source)
    volume = slicer.util.getNode("PET")
    setLesions(node, source, looks(1, 2, 300))
    for lesion in (1, 2, 300):
        found = slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentId(lesion), volume)
        assert np.array_equal(found > 0, sitk.GetArrayFromImage(source) == lesion)


def test_all_lesions_share_one_layer(make_node):
    from PSMATheranosticsMrml.segments import setLesions

    node = make_node(labels())
    setLesions(node, labels(), looks(1, 2, 300))
    assert node.GetSegmentation().GetNumberOfLayers() == 1


def test_segments_have_fixed_ids_and_carry_name_color_and_tags(make_node):
    import vtk
    from PSMATheranosticsMrml import segments

    node = make_node(labels())
    tags = {segments.TAG_TRACK: "L07", segments.TAG_TRACKING_UID: "2.25.1", segments.TAG_STATUS: "new"}
    segments.setLesions(node, labels(), looks(2, color=GREEN, **tags))
    assert node.GetSegmentation().GetSegmentIDs() == ("lesion_002",)
    segment = node.GetSegmentation().GetSegment("lesion_002")
    assert segment.GetName() == "Lesion 2"
    assert segment.GetColor() == pytest.approx(GREEN)
    expected = {**tags, segments.TAG_LESION: "2"}
    for name, value in expected.items():
        text = vtk.reference("")
        assert segment.GetTag(name, text)
        assert str(text) == value


def test_recolor_changes_looks_and_leaves_voxels(make_node):
    from PSMATheranosticsMrml import segments

    node = make_node(labels())
    segments.setLesions(node, labels(), looks(1, 2, **{segments.TAG_STATUS: "new"}))
    segments.recolor(node, looks(1, color=GREEN))
    segment = node.GetSegmentation().GetSegment("lesion_001")
    assert segment.GetColor() == pytest.approx(GREEN)
    assert not segment.HasTag(segments.TAG_STATUS)
    array = sitk.GetArrayFromImage(segments.labelsFromSegmentation(node))
    assert np.array_equal(array, np.where(sitk.GetArrayFromImage(labels()) < 300, sitk.GetArrayFromImage(labels()), 0))


def test_removing_a_lesion_leaves_its_touching_neighbor_as_it_was(make_node):
    from PSMATheranosticsMrml import segments
    from PSMATheranosticsMrml.lesion_writer import LesionWriter

    node = make_node(labels())
    segments.setLesions(node, labels(), looks(1, 2, 300))
    LesionWriter().remove(node, [2])
    expected = sitk.GetArrayFromImage(labels())
    expected[expected == 2] = 0
    assert segments.shownLesions(node) == [1, 300]
    assert np.array_equal(sitk.GetArrayFromImage(segments.labelsFromSegmentation(node)), expected)


def test_setting_lesions_again_replaces_all_of_them(make_node):
    from PSMATheranosticsMrml import segments

    node = make_node(labels())
    segments.setLesions(node, labels(), looks(1, 2))
    segments.setLesions(node, labels(), looks(300))
    assert segments.shownLesions(node) == [300]


def test_a_segmentation_without_lesions_has_no_labels(make_node):
    from PSMATheranosticsMrml.segments import labelsFromSegmentation

    assert labelsFromSegmentation(make_node(labels())) is None


def test_lesions_that_overlap_are_refused_rather_than_merged(make_node):
    import slicer
    from PSMATheranosticsMrml import segments

    node = make_node(labels())
    segments.setLesions(node, labels(), looks(1, 2))
    other = make_node(labels())
    segments.setLesions(other, labels(), looks(2))
    copied = slicer.vtkSegment()
    copied.DeepCopy(other.GetSegmentation().GetSegment("lesion_002"))
    node.GetSegmentation().AddSegment(copied, "lesion_003")
    with pytest.raises(ValueError, match="overlap"):
        segments.labelsFromSegmentation(node)


@pytest.mark.parametrize(("idOfSegment", "expected"), [("lesion_001", 1), ("lesion_1234", 1234), ("Segment_1", None)])
def test_lesion_number_is_read_from_the_id(scene, idOfSegment, expected):
    from PSMATheranosticsMrml.segments import lesionNumber

    assert lesionNumber(idOfSegment) == expected


def test_sixty_lesions_on_a_whole_body_grid_are_shown_within_a_second(make_node):
    """The shared labelmap takes about 0.1 s here, one labelmap per lesion 5 s; 1 s leaves room for a busy machine."""
    import time

    from PSMATheranosticsMrml.segments import setLesions

    array = np.zeros((320, 168, 168), np.uint16)
    for lesion in range(1, 61):
        array[5 * lesion : 5 * lesion + 4, 50:55, 50:55] = lesion
    image = sitk.GetImageFromArray(array)
    node = make_node(image)
    start = time.perf_counter()
    setLesions(node, image, looks(*range(1, 61)))
    assert time.perf_counter() - start < 1.0
