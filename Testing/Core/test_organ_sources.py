"""Organ maps from other programs: their label tables, two maps as one, and how a source is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from PSMASegmentLib.organ_names import physiological_organ
from PSMASegmentLib.organ_sources import (
    HEAD_GLANDS,
    RULES,
    TABLES,
    TOTAL,
    TOTAL_V1,
    label_table,
    merged,
    organ_map_by_table,
    source_of,
)
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.qpsma import bones_named
from PSMATheranosticsLib.commands_job import _organ_map
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.organ_files import attach_organ_map
from tiny_case import study as tiny_study


def labels(values, spacing=(4.0, 4.0, 4.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.asarray(values, np.uint8))
    image.SetSpacing(spacing)
    return image


@pytest.mark.parametrize(("name", "count"), [(TOTAL, 117), (TOTAL_V1, 104), (HEAD_GLANDS, 19)])
def test_the_tables_are_complete_and_name_each_value_once(name, count):
    table = label_table(name)
    assert list(table) == list(range(1, count + 1))
    assert len(set(table.values())) == count


def test_the_tables_are_those_of_the_program():
    scope: dict[str, dict[str, dict[int, str]]] = {}
    exec(test_data("ct-totalsegmentator", "LABELS_map_to_binary.py.txt").read_text(), scope)  # a class list, as data
    for name in TABLES:
        assert label_table(name) == scope["class_map"][name]


def test_organs_with_physiological_uptake_are_known_by_the_names_of_the_tables():
    known = {physiological_organ(organ) for name in (TOTAL, HEAD_GLANDS) for organ in label_table(name).values()}
    assert {"left kidney", "right kidney", "liver", "spleen", "urinary bladder", "duodenum", "colon"} <= known
    assert {"left salivary gland", "right salivary gland", "pharynx", "thyroid", "gallbladder", "small bowel"} <= known
    assert physiological_organ("prostate") is None
    names = label_table(TOTAL)
    bones = {names[value] for value in bones_named(OrganMap(labels(np.zeros((2, 2, 2))), names))}
    assert len(bones) == 26 + 24 + 10 + 2  # sacrum and vertebrae, ribs, paired bones, sternum and skull


def test_a_real_map_of_the_program_gets_the_right_names():
    image = sitk.ReadImage(str(test_data("ct-totalsegmentator", "example_seg_fast_force_split.nii.gz")))
    organs = organ_map_by_table(sitk.Cast(image, sitk.sitkUInt16), TOTAL)
    values = sitk.GetArrayViewFromImage(image)
    volume = {
        organ: float((values == value).sum() * np.prod(image.GetSpacing())) / 1000.0
        for value, organ in organs.names.items()
        if organ in ("liver", "spleen", "urinary_bladder")
    }
    assert volume == pytest.approx({"liver": 1125.7, "spleen": 261.0, "urinary_bladder": 479.4}, abs=0.05)
    assert len(organs.names) == 61
    assert source_of(organs) == "TotalSegmentator 2, task total"


def test_only_organs_that_the_map_shows_are_named():
    shown = np.zeros((3, 3, 3))
    shown[1, 1, 1] = 5
    assert organ_map_by_table(labels(shown), TOTAL).names == {5: "liver"}


def test_values_beyond_the_table_are_refused_and_a_table_that_fits_is_named():
    values = np.zeros((3, 3, 3))
    values[0, 0, 0] = 104
    with pytest.raises(ValueError, match=r"\[104\].*head_glands_cavities.*would fit the table total or total_v1"):
        organ_map_by_table(labels(values), HEAD_GLANDS)
    values[0, 0, 0] = 200
    with pytest.raises(ValueError, match=r"\[200\]") as refused:
        organ_map_by_table(labels(values), TOTAL)
    assert "would fit" not in str(refused.value)


def test_an_empty_map_fractions_and_an_unknown_table_are_refused():
    with pytest.raises(ValueError, match="is empty"):
        organ_map_by_table(labels(np.zeros((2, 2, 2))), TOTAL)
    with pytest.raises(ValueError, match="floating point"):
        organ_map_by_table(sitk.Image([2, 2, 2], sitk.sitkFloat32), TOTAL)
    with pytest.raises(ValueError, match="There are: total, total_v1, head_glands_cavities"):
        label_table("body")


def test_two_maps_become_one_on_the_grid_of_the_first():
    first, second = np.zeros((4, 4, 4)), np.zeros((8, 8, 8))
    first[0] = 5  # liver
    first[1] = 91  # skull, which a gland of the other map takes voxels of
    second[0:6, 0:4, 0:4] = 7  # parotid, left
    second[6:, 4:, 4:] = 1  # eye, where the first map has nothing
    one = organ_map_by_table(labels(first), TOTAL)
    other_image = labels(second, (2.0, 2.0, 2.0))
    other_image.SetOrigin((-1.0, -1.0, -1.0))
    both = merged(one, organ_map_by_table(other_image, HEAD_GLANDS))
    values = sitk.GetArrayFromImage(both.labels)
    assert both.labels.GetSpacing() == one.labels.GetSpacing()
    named = {both.names[value]: (values == value).sum() for value in np.unique(values) if value}
    # The liver keeps its layer; the gland takes 2 x 2 voxels of the skull's layer and as many of the empty one.
    assert named == {"liver": 16, "skull": 12, "parotid_gland_left": 8, "eye_left": 4}
    assert both.source == "TotalSegmentator 2, task total; TotalSegmentator 2, task head_glands_cavities"


def test_where_organs_come_from_is_told():
    image = labels(np.ones((2, 2, 2)))
    assert source_of(None) == RULES
    of_total = OrganMap(image, {5: "liver", 2: "kidney_right"})
    assert source_of(of_total) == "map named as by TotalSegmentator 2, task total"
    assert source_of(OrganMap(image, {5: "liver", 124: "parotid_gland_left"})) == "map named as by TotalSegmentator 2"
    assert source_of(OrganMap(image, {1: "Leber"})) == "map with a table of its own"
    assert source_of(OrganMap(image, {1: "liver"}, "a program, 3.1")) == "a program, 3.1"


def test_an_organ_map_is_attached_with_a_table_that_comes_along(tmp_path):
    study = tiny_study(1)
    values = np.zeros(study.emission.GetSize()[::-1], np.uint8)
    values[0] = 5
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(study.emission)
    file = tmp_path / "organs.nii.gz"
    sitk.WriteImage(image, str(file))
    attach_organ_map(study, file, Path("total"))
    assert study.organs is not None and study.organs.names == {5: "liver"}
    with pytest.raises(InputError, match="one of the tables total, total_v1, head_glands_cavities"):
        attach_organ_map(study, file, None)
    sitk.WriteImage(image * 40, str(file))
    with pytest.raises(InputError, match=r"organs.nii.gz: The organ map holds the values \[200\]"):
        attach_organ_map(study, file, Path("total"))


def test_two_organ_maps_of_one_day_are_laid_together(tmp_path):
    study = tiny_study(1)
    shape = study.emission.GetSize()[::-1]
    for name, layer, value in (("organs", 0, 5), ("glands", 1, 7)):
        values = np.zeros(shape, np.uint8)
        values[layer] = value
        image = sitk.GetImageFromArray(values)
        image.CopyInformation(study.emission)
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    attach_organ_map(study, tmp_path / "organs.nii.gz", Path(TOTAL))
    attach_organ_map(study, tmp_path / "glands.nii.gz", Path(HEAD_GLANDS), add=True)
    assert study.organs is not None
    values = sitk.GetArrayFromImage(study.organs.labels)
    assert [study.organs.names[int(values[z, 0, 0])] for z in (0, 1)] == ["liver", "parotid_gland_left"]
    attach_organ_map(study, tmp_path / "glands.nii.gz", Path(HEAD_GLANDS))
    assert study.organs.names == {7: "parotid_gland_left"}


def test_an_organ_map_of_the_command_line_may_name_its_table():
    names = Path("labels.csv")
    assert _organ_map("2026-01-10=a/organs.nii.gz@total", names) == (
        "2026-01-10",
        (Path("a/organs.nii.gz"), Path("total")),
    )
    assert _organ_map("2026-01-10=me@home/organs.nii.gz", names)[1] == (Path("me@home/organs.nii.gz"), names)
    with pytest.raises(InputError, match="YYYY-MM-DD=FILE"):
        _organ_map("organs.nii.gz", None)
