"""A patch of a mask comes back whole, can be taken back, and is refused where it does not belong or is damaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PSMATheranosticsLib.mask_patch import Labels, MaskPatch, decode

SHAPE = (7, 6, 5)
# Few values make runs, as masks have; the two highest numbers catch anything that is narrower than uint16.
labels = st.sampled_from([0, 1, 2, 65534, 65535])


@st.composite
def patches(draw: st.DrawFn) -> tuple[Labels, MaskPatch]:
    """Labels of ``SHAPE`` and a patch that fits them."""
    image = draw(arrays(np.uint16, SHAPE, elements=labels))
    start = tuple(draw(st.integers(0, size - 1)) for size in SHAPE)
    stop = tuple(draw(st.integers(low + 1, size)) for low, size in zip(start, SHAPE, strict=True))
    box = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
    before = image[box].copy()
    return image, MaskPatch(start, before, draw(arrays(np.uint16, before.shape, elements=labels)))


@given(patches())
@settings(deadline=None)
def test_a_patch_comes_back_from_its_bytes(made: tuple[Labels, MaskPatch]):
    _, patch = made
    back = decode(patch.encode())
    assert (back.start, back.before.dtype, back.after.dtype) == (patch.start, np.uint16, np.uint16)
    assert np.array_equal(back.before, patch.before)
    assert np.array_equal(back.after, patch.after)
    assert back.encode() == patch.encode()


@given(patches())
@settings(deadline=None)
def test_a_patch_changes_its_box_only_and_its_inverse_takes_it_back(made: tuple[Labels, MaskPatch]):
    image, patch = made
    changed = image.copy()
    patch.apply(changed)
    assert np.array_equal(changed[patch.box], patch.after)
    outside = np.ones(SHAPE, bool)
    outside[patch.box] = False
    assert np.array_equal(changed[outside], image[outside])
    patch.inverse().apply(changed)
    assert np.array_equal(changed, image)


@given(patches(), st.data())
@settings(deadline=None)
def test_a_patch_refuses_labels_that_it_was_not_made_on(made: tuple[Labels, MaskPatch], data: st.DataObject):
    image, patch = made
    where = tuple(data.draw(st.integers(part.start, part.stop - 1)) for part in patch.box)
    image[where] ^= 1
    before = image.copy()
    with pytest.raises(ValueError, match="not those"):
        patch.apply(image)
    assert np.array_equal(image, before)


def test_a_patch_that_reaches_out_of_the_image_is_refused():
    ones = np.ones((2, 2, 2), np.uint16)
    for start in ((6, 0, 0), (0, 5, 0), (0, 0, 4), (9, 9, 9)):
        with pytest.raises(ValueError, match="not those"):
            MaskPatch(start, 0 * ones, ones).apply(np.zeros(SHAPE, np.uint16))


@given(patches(), st.data())
@settings(deadline=None)
def test_any_flipped_bit_and_any_cut_is_noticed(made: tuple[Labels, MaskPatch], data: st.DataObject):
    content = made[1].encode()
    flipped = bytearray(content)
    flipped[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), content[: data.draw(st.integers(0, len(content) - 1))], content + b"\0"):
        with pytest.raises(ValueError, match="it"):
            decode(damaged)


def test_wrong_shapes_and_types_are_no_patch():
    box = np.zeros((2, 2, 2), np.uint16)
    for start, before, after in (
        ((0, 0, 0), box, box[:1]),
        ((0, 0, 0), box[0], box[0]),
        ((0, 0, 0), box[:0], box[:0]),
        ((0, -1, 0), box, box),
        ((0, 0, 0), box, box.astype(np.int32)),
    ):
        with pytest.raises(ValueError, match="patch"):
            MaskPatch(start, before, after)


def test_a_lesion_of_2_ml_costs_a_few_hundred_bytes():
    """A sphere of 2 mL in voxels of 2 x 2 x 2.5 mm, drawn on an empty background."""
    z, y, x = np.ogrid[-4:5, -5:6, -5:6]
    sphere = (2.5 * z) ** 2 + (2.0 * y) ** 2 + (2.0 * x) ** 2 <= 7.8**2
    after = np.where(sphere, np.uint16(7), np.uint16(0))
    assert len(MaskPatch((10, 20, 30), np.zeros_like(after), after).encode()) < 500
