"""What every click keeps to, whatever the image: thousands of random clicks on small synthetic bodies."""

from __future__ import annotations

import numpy as np
import pytest
from click_bodies import Body, applied, random_body, random_click, study_of
from PSMASegmentLib.clicks.click import Click, ClickResult, Labels
from PSMASegmentLib.clicks.growth import apply_click
from PSMASegmentLib.clicks.settings import LARGEST_VOLUME_ML, REACH_MM, REMOVAL_REACH_MM

BODIES = 40
CLICKS_PER_BODY = 60
NEW = 1000


def check_result(body: Body, labels: Labels, click: Click, result: ClickResult, protected: set[int]) -> None:
    """All that holds for a single click."""
    if result.outcome in ("refused", "satisfied"):
        assert not result.changes and result.after.size == 0
        assert result.message.endswith(".")
        return
    after = applied(labels, result)
    changed = after != labels
    assert (after[click.index_zyx] == result.lesion) if click.positive else (after[click.index_zyx] == 0)
    assert set(np.unique(labels[changed])) | set(np.unique(after[changed])) <= {0, result.lesion}
    assert result.lesion not in protected
    assert (after[changed] == (result.lesion if click.positive else 0)).all()
    away = (np.argwhere(changed) - click.index_zyx) * body.study.spacing_zyx
    assert np.sqrt((away**2).sum(axis=1)).max() <= (REACH_MM if click.positive else REMOVAL_REACH_MM) + 1e-3
    if click.positive:
        assert changed.sum() * body.study.voxel_ml <= LARGEST_VOLUME_ML + body.study.voxel_ml
    differs = result.before != result.after
    for axis in range(3):
        faces = differs.any(axis=tuple(other for other in range(3) if other != axis))
        assert faces[0] and faces[-1], "the box of a result is tight"


def is_satisfied(labels: Labels, click: Click) -> bool:
    """Whether a click that lies in the image has what it asks for."""
    inside = all(0 <= i < n for i, n in zip(click.index_zyx, labels.shape, strict=True))
    return inside and bool(labels[click.index_zyx]) == click.positive


@pytest.mark.parametrize("first_seed", range(0, BODIES, 10))
def test_random_clicks_keep_every_guarantee(first_seed):
    done = {"new": 0, "grown": 0, "shrunk": 0, "removed": 0, "satisfied": 0, "refused": 0}
    for seed in range(first_seed, first_seed + 10):
        body, rng = random_body(seed), np.random.default_rng(seed)
        labels = np.zeros(body.truth.shape, np.uint16)
        labels[(body.truth > 0) & (body.truth <= 2)] = body.truth[(body.truth > 0) & (body.truth <= 2)]
        protected: set[int] = {2} if seed % 3 == 0 else set()
        history: list[Click] = []
        for number in range(CLICKS_PER_BODY):
            click = random_click(rng, body, labels)
            frozen = labels.copy()
            result = apply_click(body.study, labels, click, NEW + number, history=history, protected=protected)
            assert np.array_equal(labels, frozen), "labels are read only"
            check_result(body, labels, click, result, protected)
            kept = [earlier for earlier in history if is_satisfied(labels, earlier)]
            labels = applied(labels, result)
            assert all(is_satisfied(labels, earlier) for earlier in kept if earlier.index_zyx != click.index_zyx)
            if seed % 2:
                history.append(click)
            done[result.outcome] += 1
    assert all(count >= 5 for count in done.values()), f"clicks of every kind were met: {done}"


def test_the_same_click_gives_the_same_mask_and_a_second_one_changes_nothing():
    changed = 0
    for seed in range(8):
        body, rng = random_body(seed), np.random.default_rng(100 + seed)
        labels = np.where(body.truth == 1, body.truth, 0).astype(np.uint16)
        for _ in range(20):
            click = random_click(rng, body, labels)
            first = apply_click(body.study, labels, click, NEW)
            second = apply_click(random_body(seed).study, labels.copy(), click, NEW)
            assert first.message == second.message and first.start_zyx == second.start_zyx
            assert np.array_equal(first.after, second.after)
            if first.changes:
                changed += 1
                again = apply_click(body.study, applied(labels, first), click, NEW + 1)
                assert again.outcome == "satisfied" and not again.changes
    assert changed > 40


def test_uptake_in_another_unit_gives_the_same_lesions():
    for seed in range(6):
        body, rng = random_body(seed), np.random.default_rng(200 + seed)
        scaled = random_body(seed).study

        raw = study_of(np.asarray(scaled.uptake) * 4096.0, scaled.spacing_zyx, np.asarray(scaled.physiology))
        labels = np.zeros(body.truth.shape, np.uint16)
        for _ in range(15):
            click = random_click(rng, body, labels)
            one, other = (apply_click(study, labels, click, NEW) for study in (body.study, raw))
            assert one.outcome == other.outcome
            assert np.array_equal(one.after, other.after)


def test_a_lesion_follows_the_threshold_and_comes_back_to_where_it_was():
    dragged = 0
    for seed in range(6):
        body = random_body(seed)
        labels = np.zeros(body.truth.shape, np.uint16)
        for place in np.argwhere(body.truth > 0)[::97]:
            click = Click((int(place[0]), int(place[1]), int(place[2])))
            result = apply_click(body.study, labels, click, 1)
            if result.threshold_range is None:
                continue
            low, high = result.threshold_range
            assert low <= result.threshold_suv <= high
            same = apply_click(body.study, labels, click, 1, threshold=result.threshold_suv)
            assert np.array_equal(same.after, result.after) and same.start_zyx == result.start_zyx
            wide, small = (
                applied(labels, apply_click(body.study, labels, click, 1, threshold=t)) > 0
                for t in (low - 1e6, high + 1e6)
            )
            middle = applied(labels, result) > 0
            assert wide[click.index_zyx] and small[click.index_zyx]
            assert small.sum() <= middle.sum() <= wide.sum() + 2
            dragged += 1
    assert dragged > 12
