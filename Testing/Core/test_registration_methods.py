"""Registration methods beside rigid and lattice: demons, greedy, landmarks and given transforms, on small bodies."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMATrackingLib import demons
from PSMATrackingLib.deformable import displacement_of, found_from_field, smallest_jacobian
from PSMATrackingLib.demons import Demons
from PSMATrackingLib.given import Given, is_kept_form, read_transform
from PSMATrackingLib.greedy import Greedy
from PSMATrackingLib.landmarks import Landmarks
from PSMATrackingLib.points import map_points
from PSMATrackingLib.preparation import Prepared, prepare_ct
from PSMATrackingLib.progress import silent
from PSMATrackingLib.registration_method import Hints

Array = np.ndarray
SPACING_MM = 5.0
SIZE = (56, 44, 64)  # x, y, z
TABLE_MM = np.array([12.0, -20.0, 300.0])
START = sitk.TranslationTransform(3, TABLE_MM.tolist())
MIDDLE = np.array([137.5, 107.5, 157.5])


def bend(points: Array) -> Array:
    """Where points of the earlier study lie in the later one: the table, and a smooth bend of up to 9 mm."""
    z = (points[..., 2] - 160.0) / 320.0
    moved = points + TABLE_MM
    moved[..., 0] += 9.0 * np.cos(2.0 * z)
    moved[..., 1] -= 6.0 * np.sin(3.0 * z)
    return moved


def body_hu(points: Array) -> Array:
    """A body of soft tissue with bones and organs at points (mm) of the earlier study."""
    x, y, z = (points[..., k] - MIDDLE[k] for k in range(3))
    hu = np.where((x / 100.0) ** 2 + (y / 75.0) ** 2 < 1.0, 40.0, -1000.0)
    for cx, cy, cz, r, value in (
        (40, 10, 60, 25, 180),
        (-40, 5, 40, 30, 150),
        (30, -20, -60, 22, -700),
        (0, -30, 10, 20, 5),
    ):
        hu[(x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < r * r] = value
    hu[(np.hypot(x, y - 45.0) < 14.0) & (np.abs(z % 32.0 - 16.0) < 13.0)] = 500.0
    for side in (-1, 1):
        hu[(np.hypot(np.hypot(x, y) - 66.0, (z + 0.4 * side * x) % 40.0 - 20.0) < 6.0) & (x * side > 10)] = 450.0
    return hu


def image_of(points_at: Array, origin: Array) -> sitk.Image:
    image = sitk.GetImageFromArray(body_hu(points_at).astype(np.float32))
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin(origin.tolist())
    return image


def grid(origin: Array) -> Array:
    z, y, x = np.meshgrid(*(np.arange(n) * SPACING_MM for n in reversed(SIZE)), indexing="ij")
    return np.stack([x, y, z], axis=-1) + origin


@pytest.fixture(scope="module")
def fixed() -> Prepared:
    return prepare_ct(image_of(grid(np.zeros(3)), np.zeros(3)), "earlier CT")


@pytest.fixture(scope="module")
def moving() -> Prepared:
    there = grid(TABLE_MM)
    home = there - TABLE_MM
    for _ in range(20):
        home += there - bend(home)
    return prepare_ct(image_of(home, TABLE_MM), "later CT")


PLACES = MIDDLE + np.array(
    [[40.0, 10, 60], [-40, 5, 40], [30, -20, -60], [0, -30, 10], [0, 45, -90], [0, 45, 90], [0, 45, 0], [60, 0, 20]]
)


def missed_mm(transform: sitk.Transform) -> Array:
    return np.linalg.norm(map_points(transform, PLACES) - bend(PLACES), axis=1)


def test_demons_follow_a_bend_without_folds(fixed, moving):
    assert missed_mm(START).mean() > 7.0
    seen: list[float] = []
    found = Demons().find(fixed, moving, lambda fraction, message: seen.append(fraction), Hints(START))
    assert missed_mm(found.transform).mean() < 1.5
    assert smallest_jacobian(displacement_of(found.transform, fixed.values)) > 0.3
    assert is_kept_form(found.transform)
    assert seen == sorted(seen) and seen[0] > 0.0 and seen[-1] < 1.0


def test_demons_do_not_follow_what_counts_for_nothing(fixed, moving, monkeypatch):
    monkeypatch.setattr(demons, "LEVELS", demons.LEVELS[:2])
    array = np.ones(sitk.GetArrayViewFromImage(fixed.values).shape, np.float32)
    array[len(array) // 2 :] = 0.0
    weight = sitk.GetImageFromArray(array)
    weight.CopyInformation(fixed.values)
    weighted = Prepared(fixed.values, fixed.body, fixed.reference, weight)
    all_ = missed_mm(Demons().find(fixed, moving, silent, Hints(START)).transform)
    half = missed_mm(Demons().find(weighted, moving, silent, Hints(START)).transform)
    top, bottom = PLACES[:, 2] > MIDDLE[2] + 30.0, PLACES[:, 2] < MIDDLE[2] - 30.0
    assert half[top].mean() > all_[top].mean() + 3.0
    assert half[bottom].mean() < all_[bottom].mean() + 1.0


def test_demons_are_cancelled_between_steps(fixed, moving):
    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.42:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Demons().find(fixed, moving, cancel, Hints(START))


def test_demons_give_the_same_result_on_repeat(fixed, moving, monkeypatch):
    monkeypatch.setattr(demons, "LEVELS", demons.LEVELS[:1])
    first, second = (Demons().find(fixed, moving, silent, Hints(START)).transform for _ in range(2))
    assert np.array_equal(map_points(first, PLACES), map_points(second, PLACES))


def test_a_field_with_a_fold_is_smoothed_until_it_has_none_and_says_so():
    z, y, x = np.meshgrid(*(np.arange(24) * 8.0,) * 3, indexing="ij")
    moves = np.zeros((24, 24, 24, 3))
    moves[..., 0] = -30.0 * np.tanh((x - 92.0) / 12.0) + 0.0 * (y + z)
    field = sitk.GetImageFromArray(moves, isVector=True)
    field.SetSpacing([8.0] * 3)
    assert smallest_jacobian(field) < 0.0
    found = found_from_field(field, sitk.AffineTransform(3))
    assert smallest_jacobian(displacement_of(found.transform, field)) > 0.0
    assert "folds" in found.notes[0]


# A package that behaves as picsl_greedy does, for the program around it: shifts by a voxel, tells its steps, or fails.
STANDS_IN = """
import sys
import numpy as np
import SimpleITK as sitk

class Greedy3D:
    def execute(self, command, **images):
        assert "-gm mask" in command and "-o warp" in command, command
        fixed, moving, mask = images["fixed"], images["moving"], images["mask"]
        assert fixed.GetSize() == mask.GetSize() and moving.GetSize() > fixed.GetSize()
        if {fail}:
            print("not enough memory")
            sys.exit(3)
        for number in range(3):
            print(f"Level 000  Iter {{number:05d}}    Energy = 0.9", flush=True)
        warp = np.zeros((*reversed(fixed.GetSize()), 3))
        warp[..., 0] = 4.0
        self.warp = sitk.GetImageFromArray(warp, isVector=True)
        self.warp.CopyInformation(fixed)

    def __getitem__(self, name):
        return self.warp
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, fail: bool) -> None:
    (folder / "picsl_greedy.py").write_text(STANDS_IN.format(fail=fail), encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    importlib.invalidate_caches()


def test_what_greedy_finds_is_done_before_the_start(fixed, moving, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, fail=False)
    turned = sitk.Euler3DTransform(MIDDLE.tolist(), 0.0, 0.0, np.pi / 2, TABLE_MM.tolist())
    seen: list[float] = []
    found = Greedy().find(fixed, moving, lambda fraction, message: seen.append(fraction), Hints(turned))
    expected = map_points(turned, PLACES + np.array([4.0, 0.0, 0.0]))
    assert np.abs(map_points(found.transform, PLACES) - expected).max() < 0.05
    assert len(seen) >= 4 and seen == sorted(seen)


def test_the_last_words_of_greedy_are_repeated_when_it_fails(fixed, moving, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, fail=True)
    with pytest.raises(ValueError, match=r"choose another method.*not enough memory"):
        Greedy().find(fixed, moving, silent, Hints(START))


def test_greedy_that_is_not_installed_says_what_to_install(fixed, moving, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install picsl_greedy" in Greedy().available()
    with pytest.raises(ValueError, match="picsl_greedy is not installed"):
        Greedy().find(fixed, moving, silent, Hints(START))


@pytest.mark.skipif(importlib.util.find_spec("picsl_greedy") is None, reason="picsl_greedy is not installed")
def test_greedy_follows_a_bend(fixed, moving):
    found = Greedy().find(fixed, moving, silent, Hints(START))
    assert missed_mm(found.transform).mean() < 2.0


def pairs_of(places: Array, there: Array) -> tuple:
    return tuple((tuple(a), tuple(b)) for a, b in zip(places.tolist(), there.tolist(), strict=True))


def corrected(fixed: Prepared, places: Array, there: Array, start: sitk.Transform = START):
    return Landmarks().find(fixed, fixed, silent, Hints(start, pairs_of(places, there)))


def test_one_landmark_shifts_everything_by_what_it_misses(fixed):
    found = corrected(fixed, PLACES[:1], PLACES[:1] + TABLE_MM + [5.0, 6.0, -7.0])
    assert np.allclose(map_points(found.transform, PLACES), PLACES + TABLE_MM + [5.0, 6.0, -7.0])
    assert found.notes[0] == "The landmarks are met to 0.0 mm on average, pair 1 to 0.0 mm."


def test_two_landmarks_turn_only_as_far_as_they_need(fixed):
    places = MIDDLE + np.array([[0.0, 0, -80], [0, 0, 80]])
    turn = sitk.Euler3DTransform(MIDDLE.tolist(), 0.1, 0.0, 0.0, TABLE_MM.tolist())
    found = corrected(fixed, places, map_points(turn, places))
    # The turn about the line of both is not known, and none is made up.
    assert np.allclose(map_points(found.transform, PLACES), map_points(turn, PLACES), atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-0.4, 0.4)] * 3),
    shift=st.tuples(*[st.floats(-300.0, 300.0)] * 3),
    count=st.integers(3, 8),
)
def test_landmarks_of_a_rigid_motion_give_that_motion(fixed, angles, shift, count):
    motion = sitk.Euler3DTransform(MIDDLE.tolist(), *angles, shift)
    found = corrected(fixed, PLACES[:count], map_points(motion, PLACES[:count]))
    assert np.abs(map_points(found.transform, PLACES) - map_points(motion, PLACES)).max() < 0.1


def test_many_landmarks_are_met_by_a_smooth_deformation(fixed):
    found = corrected(fixed, PLACES, bend(PLACES))
    assert missed_mm(found.transform).max() < 1.5
    assert smallest_jacobian(displacement_of(found.transform, fixed.values)) > 0.5
    assert is_kept_form(found.transform)
    beside = PLACES + np.array([8.0, -8.0, 5.0])
    off = np.linalg.norm(map_points(found.transform, beside) - bend(beside), axis=1)
    assert off.mean() < 2.5


def test_landmarks_correct_a_deformable_start(fixed):
    start = corrected(fixed, PLACES, bend(PLACES)).transform
    shift = np.array([0.0, 10.0, 0.0])
    found = corrected(fixed, PLACES[:1], map_points(start, PLACES[:1]) + shift, start)
    assert np.abs(map_points(found.transform, PLACES) - map_points(start, PLACES) - shift).max() < 1.0
    assert is_kept_form(found.transform)


def test_without_a_start_landmarks_correct_a_rigid_registration(fixed, moving):
    found = Landmarks().find(fixed, moving, silent, Hints(None, pairs_of(PLACES[:5], bend(PLACES[:5]))))
    assert missed_mm(found.transform)[:5].max() < 1.5


MISTAKEN = bend(PLACES[:5])
MISTAKEN[4, 2] += 150.0


@pytest.mark.parametrize(
    ("places", "there", "message"),
    [
        ([], [], "needs pairs of points"),
        (PLACES[[0, 1, 0]], bend(PLACES[[0, 1, 2]]), "pairs 1 and 3 mark the same point of the earlier study"),
        (PLACES[:2], bend(PLACES[[0, 0]]), "pairs 1 and 2 mark the same point of the later study"),
        (PLACES[[4, 5, 6]], PLACES[[4, 5, 6]] + TABLE_MM, "earlier study lie on one line"),
        (PLACES[:4], bend(PLACES[:4]) * [1.0, np.nan, 1.0], "pair 1 holds coordinates that are not finite"),
        (PLACES[:5], MISTAKEN, r"pair 5 lies .* check that both its points"),
    ],
)
def test_landmarks_that_cannot_be_right_are_refused_by_number(fixed, places, there, message):
    with pytest.raises(ValueError, match=message):
        corrected(fixed, np.asarray(places).reshape(-1, 3), np.asarray(there).reshape(-1, 3))


def test_neighboring_landmarks_that_contradict_each_other_are_named(fixed):
    places = np.concatenate([PLACES, PLACES[:1] + np.array([12.0, 0.0, 0.0])])
    there = places + TABLE_MM
    there[8] -= [45.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="pairs 1 and 9 contradict each other: they lie 12 mm apart"):
        corrected(fixed, places, there)


def test_a_given_transform_is_read_and_taken_as_it_is(fixed, tmp_path):
    written = sitk.Euler3DTransform(MIDDLE.tolist(), 0.1, -0.05, 0.2, TABLE_MM.tolist())
    sitk.WriteTransform(written, str(tmp_path / "given.tfm"))
    found = Given().find(fixed, fixed, silent, Hints(read_transform(tmp_path / "given.tfm")))
    assert np.allclose(map_points(found.transform, PLACES), map_points(written, PLACES))
    assert found.transform.IsLinear()


def test_a_given_spline_stays_that_spline(fixed):
    spline = corrected(fixed, PLACES, bend(PLACES)).transform
    found = Given().find(fixed, fixed, silent, Hints(spline)).transform
    assert np.allclose(map_points(found, PLACES), map_points(spline, PLACES), atol=1e-9)
    assert is_kept_form(found)


def test_a_given_displacement_field_is_kept_as_the_spline_nearest_to_it(fixed):
    spline = corrected(fixed, PLACES, bend(PLACES)).transform
    field = sitk.DisplacementFieldTransform(displacement_of(spline, fixed.values))
    found = Given().find(fixed, fixed, silent, Hints(field))
    assert is_kept_form(found.transform)
    assert np.abs(map_points(found.transform, PLACES) - map_points(spline, PLACES)).max() < 0.3


def test_a_given_field_that_ends_within_the_study_is_refused(fixed):
    part = fixed.values[:, :, : fixed.values.GetSize()[2] * 4 // 5]
    far = sitk.TranslationTransform(3, (0.0, 0.0, 400.0))
    field = sitk.DisplacementFieldTransform(displacement_of(far, part))
    with pytest.raises(ValueError, match="ends within the earlier study"):
        Given().find(fixed, fixed, silent, Hints(field))


def scaled(factors: tuple[float, float, float]) -> sitk.Transform:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(np.diag(factors).ravel().tolist())
    return transform


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (None, "needs a transform"),
        (sitk.Euler2DTransform(), "has 2 dimensions"),
        (scaled((-1.0, 1.0, 1.0)), "mirrors the man"),
        (scaled((1.0, 0.0, 1.0)), "mirrors the man or flattens him"),
        (scaled((10.0, 10.0, 10.0)), "scales by 10.00 to 10.00"),
        (sitk.TranslationTransform(3, (0.0, float("nan"), 0.0)), "not finite"),
    ],
)
def test_a_transform_that_is_none_between_two_studies_of_a_man_is_refused(fixed, transform, message):
    with pytest.raises(ValueError, match=message):
        Given().find(fixed, fixed, silent, Hints(transform))


def test_files_that_hold_no_transform_are_refused_by_name(tmp_path):
    (tmp_path / "notes.tfm").write_text("breakfast at nine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes.tfm cannot be read as a transform"):
        read_transform(tmp_path / "notes.tfm")
    with pytest.raises(ValueError, match=r"absent.tfm cannot be read"):
        read_transform(tmp_path / "absent.tfm")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    with pytest.raises(ValueError, match="2 dimensions; three are needed"):
        read_transform(tmp_path / "flat.tfm")
