"""Images of a case come back bit for bit, are written once, and never come back changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.image_store import ImageStore
from tiny_case import image

PIXEL_TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64]


def geometry(some: sitk.Image) -> tuple[tuple[float, ...], ...]:
    return some.GetSize(), some.GetSpacing(), some.GetOrigin(), some.GetDirection()


@pytest.mark.parametrize("pixel_type", PIXEL_TYPES)
def test_voxels_geometry_and_type_come_back_bit_for_bit(tmp_path: Path, pixel_type: type):
    stored = image(1, pixel_type)[:7, :6, :5]  # three different sizes, not contiguous in memory
    images = ImageStore(tmp_path)
    loaded = images.load(images.save(stored))
    assert sitk.GetArrayFromImage(loaded).tobytes() == sitk.GetArrayFromImage(stored).tobytes()
    assert loaded.GetPixelID() == stored.GetPixelID()
    assert geometry(loaded) == geometry(stored)
    assert geometry(images.grid(images.save(stored))) == geometry(stored)


def test_files_are_ordinary_nrrd(tmp_path: Path):
    stored = image(2)
    images = ImageStore(tmp_path)
    read = sitk.ReadImage(images.path(images.save(stored)))
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(read), sitk.GetArrayViewFromImage(stored))
    for ours, itks in zip(geometry(stored)[1:], geometry(read)[1:], strict=True):
        np.testing.assert_allclose(itks, ours, rtol=0, atol=1e-12)  # the format itself rounds the last bits


def test_equal_images_get_equal_names_and_one_file(tmp_path: Path):
    images = ImageStore(tmp_path)
    first = images.save(image(3))
    written = images.path(first).stat()
    with_header = image(3)
    with_header.SetMetaData("0010|0010", "Doe^John")
    assert images.save(with_header) == first
    again = images.path(first).stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert images.stored_ids() == {first}
    assert b"Doe" not in images.path(first).read_bytes()
    elsewhere = ImageStore(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    assert elsewhere.save(image(3)) == first
    assert elsewhere.path(first).read_bytes() == images.path(first).read_bytes()


def test_every_difference_gives_another_name(tmp_path: Path):
    images = ImageStore(tmp_path)
    voxel, spacing, origin, direction = (image(4) for _ in range(4))
    voxel[0, 0, 0] = float(np.nextafter(np.float32(voxel[0, 0, 0]), np.float32(1e9)))
    spacing.SetSpacing((1.1, 2.2, 3.3))
    origin.SetOrigin((-100.1, 1 / 3, 2.1e-7))
    direction.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    others = [voxel, spacing, origin, direction, sitk.Cast(image(4), sitk.sitkFloat64)]
    assert len({images.save(one) for one in [image(4), *others]}) == 6


def test_images_that_are_no_volumes_are_refused(tmp_path: Path):
    for refused in (sitk.Image(4, 4, sitk.sitkFloat32), sitk.Image([4, 4, 4], sitk.sitkVectorFloat32, 3)):
        with pytest.raises(InputError, match="three dimensions"):
            ImageStore(tmp_path).save(refused)
    assert not list(tmp_path.rglob("*.*"))


def test_truncated_image_is_refused_at_every_length(tmp_path: Path):
    images = ImageStore(tmp_path)
    image_id = images.save(image(5)[:2, :2, :2])
    whole = images.path(image_id).read_bytes()
    for length in range(len(whole)):
        images.path(image_id).write_bytes(whole[:length])
        with pytest.raises(CaseError, match=image_id):
            images.load(image_id)
    images.path(image_id).write_bytes(whole + b"\0")
    with pytest.raises(CaseError, match=image_id):
        images.load(image_id)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bits_never_change_an_image_silently(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    stored = image(6)[:4, :4, :4]
    images = ImageStore(tmp_path_factory.mktemp("flip"))
    image_id = images.save(stored)
    content = bytearray(images.path(image_id).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    images.path(image_id).write_bytes(content)
    try:
        loaded = images.load(image_id)
    except CaseError:
        assert images.damage(image_id) is not None
    else:  # a byte without meaning, such as the time stamp in the gzip header
        assert sitk.GetArrayFromImage(loaded).tobytes() == sitk.GetArrayFromImage(stored).tobytes()
        assert geometry(loaded) == geometry(stored)
    try:
        images.grid(image_id)
    except CaseError as error:
        assert image_id in str(error)  # noqa: PT017 - a readable header is as good an outcome


def test_saving_again_mends_a_damaged_file(tmp_path: Path):
    images = ImageStore(tmp_path)
    image_id = images.save(image(7))
    images.path(image_id).write_bytes(b"NRRD0005\n")
    assert images.damage(image_id) is not None
    assert images.save(image(7)) == image_id
    assert images.damage(image_id) is None


def test_missing_image_is_named_with_what_to_do(tmp_path: Path):
    images = ImageStore(tmp_path)
    for read in (images.load, images.grid):
        with pytest.raises(CaseError, match=r"0123.*backup"):
            read("0123")
