"""The second painter of synthetic studies: lesions lie where they may, and ``psma evaluate`` reads what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from another_painter import KIDNEYS, Trunk, paint, read_trunk, write_studies
from data_dir import test_data
from PSMATheranosticsLib.evaluation_sources import FolderSource


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return read_trunk(test_data("ct-totalsegmentator"))


def test_organs_take_up_as_they_should_and_lesions_lie_beside_them(trunk):
    suv, truth = paint(np.random.default_rng([1, 0]), trunk)
    assert suv[trunk.where(*KIDNEYS)].mean() > 2.0 * suv[trunk.where("liver")].mean() > 2.0
    assert suv[trunk.hu < -900.0].mean() < 0.1
    numbers = np.unique(truth)
    assert len(numbers) > 1 and (numbers == np.arange(len(numbers))).all()
    assert not truth[trunk.where(*KIDNEYS, "liver", "spleen", "small_bowel", "colon")].any()
    for number in numbers[1:]:
        assert suv[truth == number].max() > 1.5


def test_bowel_is_hot_in_patches(trunk):
    suv, _ = paint(np.random.default_rng([1, 0]), trunk)
    colon = suv[trunk.where("colon")]
    assert np.percentile(colon, 99) > 2.5 * np.median(colon)


def test_written_studies_are_found_and_the_same_for_a_seed(trunk, tmp_path: Path):
    for name in ("one", "other"):
        write_studies(tmp_path / name, trunk, 2, 5)
    images = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / n / "study01_suv.nii.gz"))) for n in ("one", "other")
    ]
    assert np.array_equal(*images)
    source = FolderSource(tmp_path / "one", truth_alone=False)
    assert list(source.names) == ["study00", "study01"]
    assert [source.tracer(name) for name in source.names] == ["68Ga-PSMA-11", "18F-DCFPyL"]
    organs = source.load("study01").organs
    assert organs is not None and "colon" in organs.names.values()
    assert np.array_equal(sitk.GetArrayFromImage(organs.labels), trunk.labels)
