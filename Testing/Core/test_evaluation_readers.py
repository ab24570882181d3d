"""Simulated readers: what they count, and what they reach on hot spheres in a cool block."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.clicks.click import Click, ClickResult, Index, Labels
from PSMASegmentLib.clicks.settings import REACH_MM
from PSMASegmentLib.clicks.study import ClickStudy, click_study
from PSMASegmentLib.engine import MODEL_METHODS, SegmentationEngine
from PSMASegmentLib.evaluation.cases import Start, TruthCase, starts_of, truth_case
from PSMASegmentLib.evaluation.missed_lesions import correct_missed
from PSMASegmentLib.evaluation.reader import Reader, ghost_voxels
from PSMASegmentLib.evaluation.scribbling import run_fixed_clicks, run_scribbles
from PSMASegmentLib.evaluation.summaries import courses_summary, lesions_summary, mean_of, spread
from PSMASegmentLib.rule_engine import RuleEngine
from PSMASegmentLib.segmentation import Images, Segmentation
from scipy import ndimage

SPACING = (3.0, 3.0, 3.0)
SHAPE = (40, 40, 60)


def sphere(center: Index, radius_mm: float) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    squares = sum(((axis - c) * 3.0) ** 2 for axis, c in zip(axes, center, strict=True))
    return np.asarray(squares <= radius_mm**2)


def image_of(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    return image


def spheres(centers_and_radii: Sequence[tuple[Index, float]]) -> TruthCase:
    """SUV 12 in spheres, 1 around them, through a scanner of 6 mm FWHM with noise."""
    truth = np.zeros(SHAPE, np.uint16)
    for number, (center, radius) in enumerate(centers_and_radii, start=1):
        truth[sphere(center, radius)] = number
    clean = ndimage.gaussian_filter(np.where(truth > 0, 12.0, 1.0), 6.0 / 2.355 / 3.0)
    noise = 0.1 * np.random.default_rng(5).standard_normal(SHAPE) * np.sqrt(clean)
    return truth_case("spheres", image_of((clean + noise).astype(np.float32)), image_of(truth))


def two_spheres() -> TruthCase:
    return spheres([((20, 20, 15), 10.0), ((20, 20, 45), 8.0)])


def from_nothing(case: TruthCase) -> tuple[Start, Labels]:
    study = click_study(case.emission)
    return Start(study, np.zeros(SHAPE, np.uint16)), sitk.GetArrayFromImage(case.truth)


def test_one_click_finds_a_missed_sphere_and_five_do_not_lose_it() -> None:
    start, truth = from_nothing(two_spheres())
    courses, tally = correct_missed(start, truth)
    assert [course.lesion for course in courses] == [1, 2]  # largest first
    for course in courses:
        assert course.outcomes[0] == "new"
        assert course.dice[0] > 0.75
        assert course.dice[-1] >= course.dice[0] - 0.02
        assert len(course.dice) == len(course.found_ml) == len(course.outcomes) == 5
    assert tally.ghost_voxels == 0
    assert not start.labels.any()  # the reader's labels are a copy


def test_lesions_that_are_found_or_small_are_no_targets() -> None:
    start, truth = from_nothing(spheres([((20, 20, 15), 10.0), ((20, 20, 45), 8.0), ((8, 8, 30), 5.0)]))
    start.labels[truth == 2] = 1
    courses, _ = correct_missed(start, truth)
    assert [course.lesion for course in courses] == [1]
    courses, _ = correct_missed(start, truth, smallest_ml=0.1)
    assert [course.lesion for course in courses] == [1, 3]


def test_case_without_lesions_has_no_courses_and_measures_that_are_not_defined() -> None:
    start, truth = from_nothing(spheres([]))
    assert correct_missed(start, truth)[0] == []
    iv, _ = run_fixed_clicks(start, truth)
    assert all(math.isnan(value) for value in iv.curves["dice"] + iv.curves["fnv_ml"])
    v, _ = run_scribbles(start, truth)
    assert v.curves["dice"] == [1.0] * 6
    assert v.summary()["auc_dice"] == 5.0
    assert math.isnan(v.summary()["auc_dmm"])


def test_perfect_start_is_left_as_it_is() -> None:
    start, truth = from_nothing(two_spheres())
    perfect = Start(start.study, truth)
    v, tally = run_scribbles(perfect, truth)
    assert v.curves == {"dice": [1.0] * 6, "dmm": [1.0] * 6}
    assert v.prompts == [""] * 5
    assert tally.clicks == 0
    iv, _ = run_fixed_clicks(perfect, truth)
    assert len(iv.curves["dice"]) == 11
    assert iv.curves["dice"] == [1.0] * 11  # clicks inside lesions and outside are satisfied


def test_scribbles_find_missed_spheres_step_by_step() -> None:
    start, truth = from_nothing(two_spheres())
    course, tally = run_scribbles(start, truth)
    assert course.curves["dice"][0] == 0.0
    assert course.curves["dice"][2] > 0.75
    assert course.curves["dmm"][2] == 1.0
    assert course.prompts[:2] == ["lesion", "lesion"]
    assert tally.ghost_voxels == 0


def test_fixed_clicks_find_missed_spheres() -> None:
    start, truth = from_nothing(two_spheres())
    course, tally = run_fixed_clicks(start, truth)
    assert course.curves["dice"][2] > 0.75
    assert course.curves["fnv_ml"][2] == 0.0 < course.curves["fnv_ml"][0]
    assert course.prompts[0] == "1+1" and course.prompts[-1] == "10+10"
    assert tally.clicks == 20


def test_reader_insists_where_a_click_on_an_organ_is_refused() -> None:
    case = two_spheres()
    organ = image_of(sphere((20, 20, 15), 14.0).astype(np.uint8))
    reader = Reader(
        click_study(case.emission, physiology=organ, physiology_names={1: "kidney"}), np.zeros(SHAPE, np.uint16)
    )
    assert reader.click((20, 20, 15), True).outcome == "new"
    assert reader.tally.insisted == 1
    assert reader.click((20, 20, 45), True).outcome == "new"
    assert (reader.tally.insisted, reader.tally.clicks, reader.tally.refused) == (1, 2, 0)
    assert reader.labels[20, 20, 15] == 1 and reader.labels[20, 20, 45] == 2


class _Shave:
    """A refinement that takes one voxel away, and remembers the clicks that it was asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def refine(self, study: ClickStudy, labels: Labels, lesion: int, clicks: Sequence[Click]) -> ClickResult:
        self.asked.append(len(clicks))
        z, y, x = (int(i) for i in np.argwhere(labels == lesion)[0])
        before = np.full((1, 1, 1), lesion, np.uint16)
        return ClickResult("shrunk", lesion, "", (z, y, x), before, np.zeros_like(before))


def test_refinement_follows_each_click_that_changes_something() -> None:
    start, _ = from_nothing(two_spheres())
    alone, refined, shave = Reader(start.study, start.labels), None, _Shave()
    refined = Reader(start.study, start.labels, shave)
    for reader in (alone, refined):
        reader.click((20, 20, 15), True)
        reader.click((20, 20, 16), True)  # satisfied
    assert shave.asked == [1]
    assert (refined.labels > 0).sum() == (alone.labels > 0).sum() - 1
    assert refined.tally.refinements == 1 and alone.tally.refinements == 0


def test_undo_gives_back_labels_and_clicks_of_growth_and_refinement() -> None:
    start, _ = from_nothing(two_spheres())
    shave = _Shave()
    reader = Reader(start.study, start.labels, shave)
    reader.click((20, 20, 15), True)
    before = reader.labels.copy()
    reader.click((20, 20, 45), True)
    assert not np.array_equal(reader.labels, before)
    reader.undo()
    assert np.array_equal(reader.labels, before)
    assert reader.tally.undone == 1
    reader.click((20, 20, 45), True)
    assert shave.asked == [1, 1, 1]  # the click that was taken back is forgotten


def test_correction_that_makes_a_lesion_worse_is_taken_back() -> None:
    start, truth = from_nothing(two_spheres())
    truth = ndimage.grey_dilation(truth, size=3)  # so that there is something to correct
    courses, tally = correct_missed(start, truth, _Spoil())
    assert tally.undone > 0
    for course in courses:
        assert "undone" in course.outcomes[1:]
        assert all(after >= before - 0.0101 for before, after in zip(course.dice, course.dice[1:], strict=False))


class _Spoil:
    """A refinement that takes a lesion away to one voxel, but not at its first click."""

    def refine(self, study: ClickStudy, labels: Labels, lesion: int, clicks: Sequence[Click]) -> ClickResult:
        box = ndimage.find_objects(labels)[lesion - 1]
        before = labels[box].copy()
        after = before.copy()
        if len(clicks) > 1:
            places = np.argwhere(before == lesion)[1:]
            after[tuple(places.T)] = 0
        z, y, x = (int(part.start) for part in box)
        return ClickResult("shrunk", lesion, "", (z, y, x), before, after)


def test_ghosts_are_voxels_of_others_voxels_beyond_reach_and_false_befores() -> None:
    start, _ = from_nothing(two_spheres())
    labels = np.zeros(SHAPE, np.uint16)
    labels[20, 20, 22] = 7
    click = Click((20, 20, 20))
    before = labels[20:21, 20:21, 19:24].copy()
    after = np.where(before == 0, 1, before).astype(np.uint16)
    assert ghost_voxels(start.study, labels, click, ClickResult("new", 1, "", (20, 20, 19), before, after)) == 0
    stolen = np.full_like(before, 1)
    assert ghost_voxels(start.study, labels, click, ClickResult("new", 1, "", (20, 20, 19), before, stolen)) == 1
    strange = np.full_like(before, 2)
    assert ghost_voxels(start.study, labels, click, ClickResult("new", 1, "", (20, 20, 19), before, strange)) == 5
    wrong = np.zeros_like(before)
    assert ghost_voxels(start.study, labels, click, ClickResult("new", 1, "", (20, 20, 19), wrong, after)) == 1
    far = 20 + int(REACH_MM / 3.0) + 1
    nothing, one = np.zeros((1, 1, 2), np.uint16), np.ones((1, 1, 2), np.uint16)
    assert ghost_voxels(start.study, labels, click, ClickResult("new", 1, "", (20, 20, far - 1), nothing, one)) == 1


def test_truth_of_zeros_and_ones_falls_into_its_parts_and_fractions_are_refused() -> None:
    case = two_spheres()
    joined = image_of((sitk.GetArrayFromImage(case.truth) > 0).astype(np.uint8))
    split = truth_case("x", case.emission, joined)
    assert set(np.unique(sitk.GetArrayFromImage(split.truth))) == {0, 1, 2}
    with pytest.raises(ValueError, match="whole numbers"):
        truth_case("x", case.emission, image_of(np.full(SHAPE, 0.5, np.float32)))
    with pytest.raises(ValueError, match="grid"):
        truth_case("x", case.emission, joined[:30])


def test_starts_are_automatic_or_empty_and_unknown_ones_are_refused() -> None:
    case = two_spheres()
    starts = starts_of(case, ("rules", "nothing"))
    assert starts["nothing"].study is starts["rules"].study
    assert not starts["nothing"].labels.any()
    assert starts["rules"].labels.max() == 2
    with pytest.raises(ValueError, match="no organ map"):
        starts_of(case, ("organ-map",))
    with pytest.raises(ValueError, match="Valid are"):
        starts_of(case, ("everything",))


def test_start_can_be_what_a_model_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    case = two_spheres()
    asked: list[str] = []

    class Model(RuleEngine):
        def segment(self, images: Images, settings: Mapping[str, Any], progress: Callable[..., None]) -> Segmentation:
            assert images.organs is None
            return super().segment(images, {"threshold": 1000.0}, progress)

    def made(which: str, _confirm: object) -> Model:
        asked.append(which)
        return Model()

    monkeypatch.setitem(MODEL_METHODS, "toy", made)
    engine = SegmentationEngine()
    starts = starts_of(case, ("toy:mine", "rules"), engine)
    assert not starts["toy:mine"].labels.any() and starts["rules"].labels.max() == 2
    starts_of(case, ("toy:mine",), engine)
    assert asked == ["mine"]  # it stays loaded


def test_summaries_leave_out_what_is_not_defined() -> None:
    assert spread([1.0, float("nan"), 3.0]) == {"n": 2, "median": 2.0, "q1": 1.5, "q3": 2.5}
    assert spread([]) == {"n": 0, "median": None, "q1": None, "q3": None}
    assert mean_of([float("nan"), 2.0]) == {"n": 1, "mean": 2.0}
    start, truth = from_nothing(two_spheres())
    courses, tally = correct_missed(start, truth)
    table = lesions_summary([("bone", courses[0]), ("node", courses[1])], [tally])
    assert table["lesions"] == 2 and table["dice"]["1"]["n"] == 2
    assert table["by_region"]["bone"]["one"]["median"] == pytest.approx(courses[0].dice[0], abs=1e-4)
    assert table["clicks"] == tally.clicks and table["refinement_ms_per_click"] is None
    empty_start, nothing = from_nothing(spheres([]))
    pair = [run_scribbles(start, truth), run_scribbles(empty_start, nothing)]
    table = courses_summary([course for course, _ in pair], [True, False], [tally for _, tally in pair])
    assert table["all_cases"]["auc_dice"]["n"] == 2
    assert table["all_cases"]["auc_dmm"]["n"] == table["cases_with_lesions"]["auc_dice"]["n"] == 1
    assert table["all_cases"]["by_step"]["dice"][0] == 0.5
