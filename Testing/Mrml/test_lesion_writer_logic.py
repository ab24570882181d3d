"""Changes of shown lesions stay local, keep neighbors, and fit whatever layers Slicer has made (synthetic labels)."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

SHAPE = (30, 24, 26)
RED = (1.0, 0.0, 0.0)


def look(lesion):
    from PSMATheranosticsMrml.segments import LesionSegment

    return LesionSegment(int(lesion), f"Lesion {lesion}", RED)


@pytest.fixture
def small_layers(monkeypatch):
    """Layers of so few voxels that a small image has several."""
    from PSMATheranosticsMrml import lesion_writer, segments

    for module in (segments, lesion_writer):
        monkeypatch.setattr(module, "LAYER_VOXELS", 10_000)


@pytest.fixture
def shown(scene, small_layers):
    """A node that shows four blocks at random places, and their labels."""
    from PSMATheranosticsMrml import segments
    from PSMATheranosticsMrml.volumes import volumeFromImage

    def make(seed):
        rng = np.random.default_rng(seed)
        labels = np.zeros(SHAPE, np.uint16)
        for lesion in (1, 2, 3, 300):
            z, y, x = (int(rng.integers(0, size - 6)) for size in SHAPE)
            labels[z : z + 6, y : y + 6, x : x + 5] = lesion
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing((2.0, 3.0, 4.0))
        node = segments.createSegmentation(volumeFromImage(sitk.Cast(image, sitk.sitkFloat32), "PET"), "Lesions")
        segments.setLesions(node, image, [look(lesion) for lesion in np.unique(labels[labels > 0])])
        return node, labels, rng

    return make


def read(node):
    from PSMATheranosticsMrml.segments import labelsFromSegmentation

    labels = labelsFromSegmentation(node)
    return np.zeros(SHAPE, np.uint16) if labels is None else sitk.GetArrayFromImage(labels)


def write(writer, node, labels, box, after):
    """Write into the node, take out what has no voxels any more, and do the same to the labels."""
    from PSMATheranosticsMrml.segments import shownLesions

    start = tuple(part.start for part in box)
    writer.write(node, start, after, {int(lesion): look(lesion) for lesion in np.unique(after) if lesion})
    labels[box] = after
    writer.remove(node, [lesion for lesion in shownLesions(node) if not (labels == lesion).any()])


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_show_exactly_the_labels(shown, seed):
    from PSMATheranosticsMrml.lesion_writer import LesionWriter

    node, labels, rng = shown(seed)
    writer, number = LesionWriter(), 400
    for step in range(60):
        size = rng.integers(1, 8, 3)
        box = tuple(slice(int(a), int(a + b)) for a, b in zip(rng.integers(0, 18, 3), size, strict=True))
        after = labels[box].copy()
        brush = rng.random(after.shape) < 0.7
        known = np.unique(labels[labels > 0])
        number += 1
        after[brush] = rng.choice([0, number, *known])
        if step % 20 == 10:
            node.GetSegmentation().CollapseBinaryLabelmaps(False)  # as Slicer does when a scene is saved
        write(writer, node, labels, box, after)
        assert np.array_equal(read(node), labels)
    assert not writer.isWriting


def test_lesions_of_one_slab_share_a_layer_and_new_ones_join_it(shown):
    from PSMATheranosticsMrml.lesion_writer import LesionWriter

    node, labels, _rng = shown(1)
    layers = node.GetSegmentation().GetNumberOfLayers()
    assert layers == 2
    z, y, x = (int(at) for at in np.argwhere(labels == 0)[0])
    write(
        LesionWriter(), node, labels, (slice(z, z + 1), slice(y, y + 1), slice(x, x + 1)), np.full((1, 1, 1), 7, "u2")
    )
    assert node.GetSegmentation().GetNumberOfLayers() == layers
    assert np.array_equal(read(node), labels)


def test_a_lesion_that_changes_is_told_once_and_one_that_does_not_never(shown):
    from PSMATheranosticsMrml.lesion_writer import LesionWriter

    node, labels, _rng = shown(2)
    heard = []
    segmentation = node.GetSegmentation()
    segmentation.AddObserver(segmentation.SourceRepresentationModified, lambda _caller, _event: heard.append(1))
    places = np.argwhere(labels == 1)
    box = tuple(slice(int(low), int(high) + 1) for low, high in zip(places.min(0), places.max(0), strict=True))
    after = labels[box].copy()
    after[:2] = np.where(after[:2] == 1, 0, after[:2])
    write(LesionWriter(), node, labels, box, after)
    assert len(heard) == 1
    write(LesionWriter(), node, labels, box, after)
    assert len(heard) == 1


def test_a_number_beyond_a_byte_keeps_its_voxels_where_the_first_layer_is_made_by_it(scene, small_layers):
    from PSMATheranosticsMrml import segments
    from PSMATheranosticsMrml.lesion_writer import LesionWriter
    from PSMATheranosticsMrml.volumes import volumeFromImage

    labels = np.zeros(SHAPE, np.uint16)
    node = segments.createSegmentation(volumeFromImage(sitk.GetImageFromArray(labels.astype("f4")), "PET"), "Lesions")
    box = (slice(3, 6), slice(3, 6), slice(3, 6))
    write(LesionWriter(), node, labels, box, np.full((3, 3, 3), 1000, np.uint16))
    write(LesionWriter(), node, labels, (slice(6, 8), *box[1:]), np.full((2, 3, 3), 2000, np.uint16))
    assert np.array_equal(read(node), labels)
    assert segments.shownLesions(node) == [1000, 2000]
