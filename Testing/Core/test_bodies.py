"""Men to paint crops on: built once, read as they were built, and refused with a reason where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from organ_map_maker import NAMES
from PSMASegmentLib.phantom.organ_map_fit import organ_tissues
from PSMASegmentLib.phantom.tissues import Tissue
from PSMASegmentLib.training.bodies import Body, body_files, read_body, shape_files
from study_crop_men import SPACING_MM, write_map


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("men")


@pytest.fixture(scope="module")
def organ_maps(folder) -> list[Path]:
    return [write_map(folder / "maps", "00aa"), write_map(folder / "maps", "00ab", 1.06)]


@pytest.fixture(scope="module")
def files(folder, organ_maps) -> list[Path]:
    return body_files(organ_maps, NAMES, folder / "bodies", SPACING_MM, 1)


@pytest.fixture(scope="module")
def man(files) -> Body:
    return read_body(files[0])


def test_men_are_built_once_and_in_the_order_of_their_maps(folder, organ_maps, files):
    assert [read_body(file).patient for file in files] == ["00aa", "00ab"]
    before = [file.stat().st_mtime_ns for file in files]
    told: list[str] = []
    again = body_files(organ_maps, NAMES, folder / "bodies", SPACING_MM, 1, lambda _, text: told.append(text))
    assert again == files and [file.stat().st_mtime_ns for file in again] == before and not told
    assert sorted((folder / "bodies").iterdir()) == sorted(files)


def test_another_seed_spacing_or_map_makes_another_man(tmp_path: Path, files, man):
    path = write_map(tmp_path / "maps")
    told: list[str] = []
    built = [
        body_files([path], NAMES, tmp_path / "bodies", spacing, seed, lambda _, text: told.append(text))[0]
        for spacing, seed in ((SPACING_MM, 1), (8.0, 2))
    ]
    write_map(tmp_path / "maps", scale=1.1)
    built += body_files([path], NAMES, tmp_path / "bodies", SPACING_MM, 1)
    assert len({file.name for file in built}) == 3 and len(told) == 2
    assert built[0].name == files[0].name
    same, coarser, wider = (read_body(file) for file in built)
    assert np.array_equal(same.block.tissue, man.block.tissue) and same.plans == man.plans
    assert coarser.plans != man.plans
    assert coarser.block.spacing == (8.0, 8.0, 8.0)
    lungs = int(Tissue.LUNG)
    assert (wider.block.tissue == lungs).sum() > 1.05 * (man.block.tissue == lungs).sum()


def test_organs_keep_their_place_and_volume_on_the_voxels_of_the_training(organ_maps, man):
    image = sitk.ReadImage(str(organ_maps[0]))
    values = sitk.GetArrayViewFromImage(image)
    off = []
    for value, tissue in organ_tissues(NAMES).items():
        codes = {Tissue.KIDNEY: (Tissue.KIDNEY, Tissue.KIDNEY_SINUS)}.get(tissue, (tissue,))
        if tissue not in (Tissue.LIVER, Tissue.KIDNEY, Tissue.BLADDER, Tissue.SPLEEN):
            continue
        there, here = np.argwhere(values == value), np.argwhere(np.isin(man.block.tissue, [int(c) for c in codes]))
        assert len(here) * SPACING_MM**3 == pytest.approx(len(there) * 5.0**3, rel=0.08)
        middle = image.TransformContinuousIndexToPhysicalPoint(there.mean(axis=0)[::-1].tolist())
        ours = [float(man.block.axes[k][0] + SPACING_MM * here.mean(axis=0)[2 - k]) for k in range(3)]
        off.append(np.subtract(ours, middle))
    assert np.abs(off).max() < 0.5 * SPACING_MM and np.abs(np.mean(off, axis=0)).max() < 1.5


def test_plans_hold_lesions_within_the_man_and_the_last_one_fills_his_marrow(man):
    assert len(man.plans) >= 4 and all(man.plans)
    bone = [p for p in man.plans[-1] if p.region.name == "bone"]
    assert len(bone) >= 12
    for planned in (p for plan in man.plans for p in plan):
        for value, axis in zip(planned.lobes[0].center, man.block.axes, strict=True):
            assert axis[0] - SPACING_MM <= value <= axis[-1] + SPACING_MM
        assert 0.0 < planned.suv_max < 200.0


def test_the_fit_tells_where_points_of_the_reference_man_lie(man):
    """The dome of the liver of the reference man is at a height of 335 to 355 mm."""
    heights = np.nonzero((man.block.tissue == int(Tissue.LIVER)).any(axis=(1, 2)))[0]
    top = float(man.block.axes[2][heights[-1]])
    assert man.fit.to_real((0.0, 0.0, 320.0))[2] < top < man.fit.to_real((0.0, 0.0, 370.0))[2]


def test_files_that_hold_no_man_are_refused_by_name(tmp_path: Path, files):
    cut = tmp_path / "cut.npz"
    cut.write_bytes(files[0].read_bytes()[:2000])
    other = tmp_path / "other.npz"
    np.savez(other, tissue=np.zeros(3))
    for path in (cut, other, tmp_path / "absent.npz"):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read"):
            read_body(path)


def test_maps_that_no_man_can_be_built_around_are_refused_and_leave_nothing(tmp_path: Path):
    broken = tmp_path / "psma_00aa_2020-01-01.nii.gz"
    broken.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"psma_00aa_2020-01-01.* cannot be read"):
        body_files([broken], NAMES, tmp_path / "bodies", SPACING_MM, 1)
    sitk.WriteImage(sitk.Image([20, 20, 20], sitk.sitkUInt8), str(broken))
    with pytest.raises(ValueError, match=r"psma_00aa_2020-01-01.*no man can be built"):
        body_files([broken], NAMES, tmp_path / "bodies", SPACING_MM, 1)
    assert not list((tmp_path / "bodies").iterdir())


def test_a_real_organ_map_becomes_a_man(tmp_path: Path):
    folder = test_data("psma-organ-labels")
    rows = (line.split(",", 1) for line in (folder / "labels.csv").read_text().splitlines()[1:])
    names = {int(value): name.strip() for value, name in rows}
    path = min(folder.glob("psma_*.nii.gz"))
    man = read_body(body_files([path], names, tmp_path, 6.0, 1)[0])
    liver = (man.block.tissue == int(Tissue.LIVER)).sum() * 6.0**3
    image = sitk.ReadImage(str(path))
    real = (sitk.GetArrayViewFromImage(image) == 3).sum() * np.prod(image.GetSpacing())
    assert liver == pytest.approx(real, rel=0.03)
    assert all(man.plans)


def test_men_of_simple_shapes_are_built_once_and_are_no_two_alike(tmp_path):
    told: list[str] = []
    files = shape_files(2, tmp_path, SPACING_MM, 1, lambda _, text: told.append(text))
    first, second = (read_body(path) for path in files)
    assert [first.patient, second.patient] == ["shapes_0000", "shapes_0001"]
    assert all(man.plans and all(man.plans) for man in (first, second)) and len(told) == 2
    for tissue in (Tissue.KIDNEY, Tissue.LIVER, Tissue.PAROTID, Tissue.COLON, Tissue.MARROW):
        assert all((man.block.tissue == int(tissue)).sum() > 5 for man in (first, second)), tissue
    assert first.block.tissue.shape != second.block.tissue.shape or (first.block.tissue != second.block.tissue).any()
    assert shape_files(2, tmp_path, SPACING_MM, 1, lambda _, text: told.append(text)) == files and len(told) == 2
    assert shape_files(1, tmp_path, SPACING_MM, 2) != files[:1]
