"""The study of diversity and Dice (``make diversity-study``): its subsets, and the training sets it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from diversity_and_dice import NETWORK, Plan, main
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.evaluation.body_frame import body_grid
from PSMASegmentLib.evaluation.occurrence_map import CaseSites, LesionSites
from PSMASegmentLib.phantom.organ_map_study import organ_map_study
from PSMASegmentLib.phantom.phantom_settings import PhantomSettings
from PSMASegmentLib.training.segmentation_cases import case_folders, read_case
from PSMATheranosticsLib.study_sets import read_sets
from PSMATheranosticsLib.training_set import FORMAT, SET_NAME, VERSION
from synthetic_pool import link_subset, write_study
from training_subsets import choose_subsets, pool_lesions

SIZE = 3
EXCHANGES = 80
"""Each takes a hundredth of a second."""


def cases(count: int = 16) -> list[CaseSites]:
    """Men of three lesions of 1 mL each; those of the first half at one place, of the others anywhere."""
    rng = np.random.default_rng(5)
    inside = np.flatnonzero(body_grid().inside)
    found = []
    for number in range(count):
        cells = [inside[inside.size // 2]] * 3 if number < count // 2 else rng.choice(inside, 3)
        lesions = tuple(LesionSites(np.asarray([cell]), np.ones(1), 1.0) for cell in cells)
        found.append(CaseSites(f"man-{number}/study-1", f"man-{number}", "", lesions))
    return found


def test_subsets_span_diversity_at_equal_number_of_lesions() -> None:
    pool = pool_lesions(cases())
    subsets = choose_subsets(pool, 6, SIZE, 1, EXCHANGES)
    first = choose_subsets(pool, 1, SIZE, 1, EXCHANGES)
    assert first.items() <= subsets.items()
    assert len({tuple(chosen) for _, chosen in subsets.values()}) == 6
    assert all(pool.lesions[chosen].sum() == 9 and len(set(chosen)) == SIZE for _, chosen in subsets.values())
    sites: dict[str, list[float]] = {}
    for kind, chosen in subsets.values():
        sites.setdefault(kind, []).append(pool.sites(chosen))
    assert max(sites["least"]) == pytest.approx(1.0, abs=0.01)
    assert min(sites["most"]) > 6.0 and min(sites["most"]) >= max(sites["random"])


def test_a_pool_of_too_few_studies_is_refused() -> None:
    with pytest.raises(ValueError, match="too small for so many different subsets"):
        choose_subsets(pool_lesions(cases(4)), 5, SIZE, 1, exchanges=1)


def test_a_subset_is_a_training_set(tmp_path: Path) -> None:
    study = "man-00aa/study-01"
    phantom = organ_map_study(organ_map(8.0), NAMES, 3, settings=PhantomSettings(lesions=3))
    pool, subset = tmp_path / "pool", tmp_path / "subsets" / "one"
    write_study(phantom, pool / study)
    (pool / SET_NAME).write_text(json.dumps({"format": FORMAT, "version": VERSION}))
    link_subset(pool, [study], subset)
    link_subset(pool, [study], subset)  # of a run that goes on
    (folder,) = case_folders(subset, ("PET",))
    case = read_case(folder, 8.0)
    assert case.tracer == phantom.tracer and case.lesions.any() and len(case.places[0]) >= 1
    (one,) = read_sets([subset])
    assert (one.name, one.tracer) == (study, phantom.tracer)
    assert np.array_equal(*map(sitk.GetArrayViewFromImage, (one.label_image(), phantom.truth)))
    organs = one.organ_map()
    assert organs is not None and dict(organs.names) == NAMES
    assert not sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "automatic.nii.gz"))).any()
    assert json.loads((folder / "meta.json").read_text())["synthetic"]


def test_other_settings_do_not_go_on_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(tmp_path, tmp_path, pool=4, size=2)
    (tmp_path / "study.json").write_text(json.dumps(plan.shaping() | {"network": dict(NETWORK) | {"batch": 1}}))
    assert main([str(tmp_path), "--organ-maps", str(tmp_path), "--pool", "4", "--size", "2"]) == 1
    assert "was begun with other settings" in capsys.readouterr().err
    assert main([str(tmp_path), "--organ-maps", str(tmp_path), "--pool", "4", "--size", "4"]) == 1
    assert "raise --pool" in capsys.readouterr().err
