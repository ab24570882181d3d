"""Stored values of every type and what scanners do to them: rescaling, padding, and values that are no numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import write_series
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from pydicom.dataset import Dataset

STORED = np.random.default_rng(11).integers(0, 20000, (4, 5, 4))
Change = Callable[[int, Dataset], Dataset]


def as_type(values: np.ndarray, bits: int = 16) -> Change:
    """Pixels of another integer type, of which ``bits`` are used."""

    def change(k: int, dataset: Dataset) -> Dataset:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * values.itemsize, bits, bits - 1
        dataset.PixelRepresentation = int(np.issubdtype(values.dtype, np.signedinteger))
        dataset.PixelData = values[k].tobytes()
        return dataset

    return change


def as_float(values: np.ndarray) -> Change:
    """Pixels as floating-point numbers of 32 or 64 bits."""

    def change(k: int, dataset: Dataset) -> Dataset:
        for keyword in ("PixelData", "PixelRepresentation", "BitsStored", "HighBit"):
            delattr(dataset, keyword)
        dataset.BitsAllocated = 8 * values.itemsize
        setattr(dataset, "FloatPixelData" if values.itemsize == 4 else "DoubleFloatPixelData", values[k].tobytes())
        return dataset

    return change


@pytest.mark.parametrize(
    ("values", "change"),
    [
        (STORED + 40000, as_type((STORED + 40000).astype("<u2"))),
        (STORED - 10000, as_type((STORED - 10000).astype("<i2"))),
        (STORED % 4096 - 2048, as_type((STORED % 4096 - 2048).astype("<i2"), bits=12)),
        (STORED % 256, as_type((STORED % 256).astype("u1"), bits=8)),
        (STORED * -900, as_type((STORED * -900).astype("<i4"), bits=32)),
        (STORED / 3, as_float((STORED / 3).astype("<f4"))),
        (STORED / 3, as_float((STORED / 3).astype("<f8"))),
    ],
    ids=["u16", "i16", "i12", "u8", "i32", "f32", "f64"],
)
def test_stored_values_of_every_type_become_the_same_numbers(
    tmp_path: Path, values: np.ndarray, change: Change
) -> None:
    write_series(tmp_path, STORED, change=change)
    study = read_studies([tmp_path])[0]
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(study.emission), values * study.scaling.factor, rtol=1e-6, atol=1e-9
    )


def test_slope_of_each_slice_and_intercept_are_applied_and_an_intercept_of_pet_is_told(tmp_path: Path) -> None:
    slopes = [0.5, 1.0, 2.0, 0.25]
    write_series(tmp_path, STORED, slopes=slopes, intercept=-7.5)
    study = read_studies([tmp_path])[0]
    expected = STORED * np.array(slopes)[:, None, None] - 7.5
    np.testing.assert_allclose(sitk.GetArrayFromImage(study.emission), expected * study.scaling.factor, rtol=1e-5)
    assert any("RescaleIntercept (0028,1052) is from -7.5 to -7.5 where PET has 0" in line for line in study.warnings)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_values_that_are_no_finite_numbers_are_refused(tmp_path: Path, odd: float) -> None:
    values = (STORED / 3).astype("<f4")
    values[1, 2, 2] = odd
    write_series(tmp_path, STORED, change=as_float(values))
    with pytest.raises(InputError, match=r"IM0001 holds 1 values that are no finite numbers\. Reconstruct or export"):
        read_studies([tmp_path])


def test_slope_of_one_slice_that_makes_an_impossible_suv_is_told(tmp_path: Path) -> None:
    write_series(tmp_path, STORED, slopes=[1, 1, 1e6, 1])
    warnings = read_studies([tmp_path])[0].warnings
    assert any("SUVs go up to" in line and "RescaleSlope (0028,1053) of all images" in line for line in warnings)


@pytest.mark.parametrize(
    ("padding", "kind", "replaced"), [(-2000, "<i2", True), (63536, "<u2", True), (-32768, "<i2", True), (0, "<i2", 0)]
)
def test_padding_of_ct_becomes_air_where_it_lies_outside_of_all_tissue(
    tmp_path: Path, padding: int, kind: str, replaced: bool
) -> None:
    values = np.where(STORED < 3000, padding, 1 + STORED % 2000)
    padded = as_type(values.astype(kind))

    def change(k: int, dataset: Dataset) -> Dataset:
        dataset = padded(k, dataset)
        dataset.add_new("PixelPaddingValue", "SS" if kind == "<i2" else "US", padding)
        return dataset

    write_series(tmp_path / "pet", STORED)
    # with an intercept of 0 a padding of 0 is that of water as well, and may be real
    intercept = -1024.0 if replaced else 0.0
    write_series(tmp_path / "ct", STORED, "CT", intercept=intercept, change=change)
    ct = read_studies([tmp_path])[0].ct
    expected = np.where(values == padding, -1024.0, values + intercept) if replaced else values
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ct), expected)


def test_pet_and_ct_that_share_an_identifier_are_told_apart(tmp_path: Path) -> None:
    for modality in ("PT", "CT"):
        write_series(tmp_path / modality, STORED % 2000, modality, SeriesInstanceUID="1.2.3")
    study = read_studies([tmp_path])[0]
    assert study.ct is not None
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.ct), STORED % 2000)
