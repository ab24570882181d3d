"""What must not change the links: numbers, axes, grids, the place of the table, the order of the studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from hypothesis import given, settings
from hypothesis import strategies as st
from label_balls import IDENTITY, Ball, edges, kinds, moved, paint, primary
from PSMASegmentLib.measure import components
from PSMATrackingLib.matching import LesionFacts, match_lesions

# Places 48 mm apart: lesions of different places are never taken for each other.
PLACES = [(40 + 48 * i, 40 + 48 * j, 40 + 48 * k) for i in range(4) for j in range(3) for k in range(4)]
INVERSE = {"one-to-one": "one-to-one", "split": "merge", "merge": "split", "complex": "complex"}
TISSUES = ("bone", "node", "visceral", "")


@dataclass(frozen=True)
class Scene:
    """Two studies, the planted links, and facts that agree with them."""

    baseline: list[Ball | list[Ball]]
    followup: list[Ball | list[Ball]]
    links: set[tuple[int, int]]


def scene(seed: int, lesions: int = 12, error_mm: float = 4.0) -> Scene:
    """Lesions that persist, vanish, appear, fall apart and run together, each off by ``error_mm`` per axis at most."""
    rng = np.random.default_rng(seed)
    made = Scene([], [], set())
    for index in rng.permutation(len(PLACES))[:lesions]:
        x, y, z = PLACES[index]
        off = rng.uniform(-error_mm, error_mm, 3)
        fate = rng.uniform()
        whole: list[Ball] = [(x, y, z - 9, 9), (x, y, z + 4, 9)]
        parts: list[Ball] = [(x, y, z - 11, 6.5), (x, y, z + 8, 7)]
        one: Ball = (x, y, z, rng.uniform(6, 11))
        if fate < 0.55:
            grown = moved(one, (off[0], off[1], off[2]))
            _add(made, [one], [(*grown[:3], grown[3] * rng.uniform(0.75, 1.25))])
        elif fate < 0.65:
            _add(made, [one], [])
        elif fate < 0.75:
            _add(made, [], [one])
        elif fate < 0.88:
            _add(made, [whole], [moved(ball, (off[0], off[1], off[2])) for ball in parts])
        else:
            _add(made, list(parts), [[moved(ball, (off[0], off[1], off[2])) for ball in whole]])
    return made


def _add(made: Scene, before: list[Ball | list[Ball]], after: list[Ball | list[Ball]]) -> None:
    made.baseline.extend(before)
    made.followup.extend(after)
    first, second = len(made.baseline), len(made.followup)
    made.links.update((first - i, second - j) for i in range(len(before)) for j in range(len(after)))


seeds = st.integers(0, 10**6)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_planted_links_are_found_and_nothing_else(seed: int):
    made = scene(seed)
    matching = match_lesions(paint(*made.baseline), paint(*made.followup), IDENTITY)
    assert edges(matching) == made.links
    assert set(matching.gone) == set(range(1, len(made.baseline) + 1)) - {a for a, _ in made.links}
    assert set(matching.new) == set(range(1, len(made.followup) + 1)) - {b for _, b in made.links}


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_the_swapped_order_gives_the_inverse_result(seed: int):
    made = scene(seed)
    baseline, followup = paint(*made.baseline), paint(*made.followup)
    shift = sitk.TranslationTransform(3, (30.0, -200.0, 500.0))
    followup.SetOrigin(shift.GetOffset())
    forth = match_lesions(baseline, followup, shift)
    back = match_lesions(followup, baseline, shift.GetInverse())
    assert {(b, a): INVERSE[kind] for (a, b), kind in kinds(forth).items()} == kinds(back)
    assert {(b, a) for a, b in primary(forth)} == primary(back)
    assert (forth.gone, forth.new) == (back.new, back.gone)


@settings(max_examples=10, deadline=None)
@given(seeds, st.randoms(use_true_random=False))
def test_new_numbers_renumber_the_result_and_nothing_else(seed: int, random):
    made = scene(seed)
    numbers = random.sample(range(1, 60), len(made.baseline)), random.sample(range(1, 60), len(made.followup))
    facts = [{n: LesionFacts(random.choice(TISSUES)) for n in range(1, len(side) + 1)} for side in numbers]
    images = paint(*made.baseline), paint(*made.followup)
    before = match_lesions(*images, IDENTITY, baseline_facts=facts[0], followup_facts=facts[1])
    renamed = [{name[n - 1]: fact for n, fact in side.items()} for name, side in zip(numbers, facts, strict=True)]
    after = match_lesions(
        _renumbered(images[0], numbers[0]), _renumbered(images[1], numbers[1]), IDENTITY,
        baseline_facts=renamed[0], followup_facts=renamed[1],
    )  # fmt: skip
    assert kinds(after) == {(numbers[0][a - 1], numbers[1][b - 1]): kind for (a, b), kind in kinds(before).items()}
    assert primary(after) == {(numbers[0][a - 1], numbers[1][b - 1]) for a, b in primary(before)}
    assert set(after.gone) == {numbers[0][a - 1] for a in before.gone}
    assert set(after.new) == {numbers[1][b - 1] for b in before.new}


def _renumbered(labels: sitk.Image, numbers: list[int]) -> sitk.Image:
    array = np.array([0, *numbers], dtype=np.uint16)[sitk.GetArrayFromImage(labels)]
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(labels)
    return image


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from(["RAI", "LPI", "SAL", "PIR", "ILP"]), st.booleans(), st.booleans())
def test_axes_in_another_order_or_flipped_change_nothing(seed: int, orientation: str, first: bool, second: bool):
    made = scene(seed)
    images = paint(*made.baseline), paint(*made.followup)
    straight = match_lesions(*images, IDENTITY)
    turned = [
        sitk.DICOMOrient(image, orientation) if turn else image
        for image, turn in zip(images, (first, second), strict=True)
    ]
    after = match_lesions(*turned, IDENTITY)
    assert kinds(after) == kinds(straight)
    assert (after.gone, after.new, primary(after)) == (straight.gone, straight.new, primary(straight))


@settings(max_examples=12, deadline=None)
@given(seeds, st.tuples(*[st.floats(2.5, 5.0)] * 3), st.booleans())
def test_a_resampled_grid_keeps_the_links(seed: int, spacing: tuple[float, float, float], of_baseline: bool):
    made = scene(seed, error_mm=3.0)
    images = [paint(*made.baseline), paint(*made.followup)]
    straight = match_lesions(*images, IDENTITY)
    which = 0 if of_baseline else 1
    images[which] = _resampled(images[which], spacing)
    after = match_lesions(*images, IDENTITY)
    assert kinds(after) == kinds(straight)
    assert (after.gone, after.new) == (straight.gone, straight.new)
    change = [link.overlap - other.overlap for link, other in zip(after.links, straight.links, strict=True)]
    # A fragment of two dozen voxels loses or gains some of them on another grid; all together they hardly do.
    assert abs(np.mean(change)) < 0.12
    for link, other in zip(after.links, straight.links, strict=True):
        assert link.gap_mm == pytest.approx(other.gap_mm, abs=max(spacing))


def _resampled(labels: sitk.Image, spacing: tuple[float, float, float]) -> sitk.Image:
    size = [int(n * 4.0 / s) for n, s in zip(labels.GetSize(), spacing, strict=True)]
    return sitk.Resample(labels, size, sitk.Transform(), sitk.sitkNearestNeighbor, labels.GetOrigin(), spacing)


@settings(max_examples=10, deadline=None)
@given(seeds, st.tuples(*[st.floats(-1200, 1200)] * 3), st.floats(-0.4, 0.4))
def test_another_place_on_the_table_changes_nothing(seed: int, offset: tuple[float, float, float], angle: float):
    made = scene(seed)
    baseline, followup = paint(*made.baseline), paint(*made.followup)
    before = match_lesions(baseline, followup, IDENTITY)
    # The later study is turned about an axis and moved; the transform says so.
    placed = sitk.Euler3DTransform((120.0, 100.0, 130.0), angle, -angle / 2, angle / 3, offset)
    turn = np.array(placed.GetMatrix()).reshape(3, 3)
    followup.SetOrigin(placed.TransformPoint(followup.GetOrigin()))
    followup.SetDirection((turn @ np.array(followup.GetDirection()).reshape(3, 3)).ravel().tolist())
    after = match_lesions(baseline, followup, placed)
    assert kinds(after) == kinds(before)
    assert (after.gone, after.new, primary(after)) == (before.gone, before.new, primary(before))


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_identical_studies_link_each_lesion_with_itself_alone(seed: int):
    made = scene(seed, lesions=30)
    labels = paint(*made.baseline)
    matching = match_lesions(labels, labels, IDENTITY)
    assert edges(matching) == {(n, n) for n in range(1, len(made.baseline) + 1)}
    assert {link.kind for link in matching.links} == {"one-to-one"}
    assert not (matching.gone or matching.new or matching.confluent)


def test_lesions_that_touch_each_other_are_told_apart_in_identical_studies():
    row: list[Ball | list[Ball]] = [(60, 60, 30 + 10 * k, 7) for k in range(8)]  # each cuts into the one before
    labels = paint(*row)
    assert edges(match_lesions(labels, labels, IDENTITY)) == {(n, n) for n in range(1, 9)}


def test_a_real_study_is_matched_with_itself_without_an_error():
    path = test_data("psma-lesion-masks", "gt", "psma_95b833d46f153cd2_2018-04-16.nii.gz")
    labels = components(sitk.ReadImage(str(path)) > 0)
    matching = match_lesions(labels, labels, IDENTITY)
    assert edges(matching) == {(n, n) for n in range(1, 112)}
    assert not (matching.gone or matching.new)
