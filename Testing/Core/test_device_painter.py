"""Painting with NumPy and torch: one result for one seed, noise without patterns, and the blur that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.grids import same_grid
from PSMASegmentLib.phantom.device_painter import (
    Deposit,
    ct_numbers,
    ground,
    paint,
    paint_block,
    scanned,
)
from PSMASegmentLib.phantom.device_study import device_study
from PSMASegmentLib.phantom.hash_noise import Arrays, Seed, arrays_on, normals, philox
from PSMASegmentLib.phantom.organ_map_body import Block, build_around, default_roughness
from PSMASegmentLib.phantom.organ_map_lesions import Plan, Planned, plan_lesions
from PSMASegmentLib.phantom.organ_map_painting import measured
from PSMASegmentLib.phantom.organ_map_study import organ_map_study
from PSMASegmentLib.phantom.phantom_settings import PhantomSettings
from PSMASegmentLib.phantom.tissues import Tissue, draw_uptake
from scipy import ndimage, stats

NUMPY = arrays_on(None)
SPACING = (4.0, 4.0, 2.0)
SHAPE = (48, 30, 41)
SIGMA_MM = 3.0
MANY = 10  # a seed with many lesions


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image).astype(np.float32)


def torch_cpu() -> Arrays:
    pytest.importorskip("torch")
    return arrays_on("cpu")


def tables() -> tuple[np.ndarray, np.ndarray]:
    """A kidney in muscle, and what they take up."""
    codes = np.full(SHAPE, int(Tissue.MUSCLE), np.uint8)
    codes[10:30, 8:20, 5:18] = int(Tissue.KIDNEY)
    uptake = np.zeros(256, np.float32)
    uptake[[int(Tissue.MUSCLE), int(Tissue.KIDNEY)]] = 0.6, 45.0
    return codes, uptake


def ball() -> Deposit:
    z, y, x = np.mgrid[-4:5, -3:4, -3:4] * np.array([2.0, 4.0, 4.0]).reshape(3, 1, 1, 1)
    inside = np.clip(1.5 - np.sqrt(x**2 + y**2 + z**2) / 6.0, 0.0, 1.0).astype(np.float32)
    return Deposit((slice(30, 39), slice(15, 22), slice(25, 32)), inside, np.full(inside.shape, 120.0, np.float32))


def painted(device: str | None, seed: Seed = 5, deposits: Sequence[Deposit] | None = None) -> np.ndarray:
    codes, uptake = tables()
    laid = [ball()] if deposits is None else deposits
    return np.asarray(paint(codes, uptake, laid, SIGMA_MM, SPACING, 0.3, seed, device))


@pytest.mark.parametrize(
    ("counter", "key", "rounds", "expected"),
    [
        ((0,) * 4, (0,) * 2, 7, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, 7, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            10,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_random_words_are_those_published_with_the_generator(
    kind: str, counter: tuple[int, ...], key: tuple[int, ...], rounds: int, expected: tuple[int, ...]
) -> None:
    arrays = NUMPY if kind == "numpy" else torch_cpu()
    words = philox([arrays.of([word], arrays.xp.int64) for word in counter], key, rounds)
    assert tuple(int(word[0]) for word in words) == expected  # kat_vectors of Random123


def test_normal_numbers_are_normal_and_their_number_does_not_change_them() -> None:
    values = normals(NUMPY, (80, 81, 79), 3)
    assert values.dtype == np.float32
    assert stats.kstest(values.ravel()[:200_000], "norm").pvalue > 1e-3
    assert abs(values.mean()) < 4.0 / values.size**0.5
    assert values.var() == pytest.approx(1.0, abs=4.0 * (2.0 / values.size) ** 0.5)
    assert stats.kurtosis(values.ravel()) == pytest.approx(0.0, abs=4.0 * (24.0 / values.size) ** 0.5)
    assert 4.0 < np.abs(values).max() < 5.9
    assert np.array_equal(normals(NUMPY, (80 * 81 * 79,), 3), values.ravel())
    assert normals(NUMPY, (2, 0, 3), 3).shape == (2, 0, 3)


def test_noise_has_no_lattice() -> None:
    """The strongest of N waves of white noise has about ln N times the mean power; a pattern would have far more."""
    for seed in (0, 1, 2**40):
        power = np.abs(np.fft.rfftn(normals(NUMPY, (64, 64, 64), seed))[:, :, 1:-1]) ** 2
        assert power.max() / power.mean() < np.log(power.size) + 8.0
        for lag in (1, 2, 4, 64, 64 * 64, 64**3 // 4, 64**3 // 2):  # a counter gives four voxels a quarter apart
            line = normals(NUMPY, (64**3,), seed)
            assert abs(np.mean(line[:-lag] * line[lag:])) < 5.0 / (line.size - lag) ** 0.5


def test_seeds_and_streams_are_independent() -> None:
    seeds: list[Seed] = [0, 1, 2, 2**32, 2**64 + 1, (1, 5), (5, 1), (7, 3)]
    rows = [normals(NUMPY, (40_000,), seed, stream).ravel() for seed in seeds for stream in (0, 1)]
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5.0 / 40_000**0.5
    assert np.array_equal(normals(NUMPY, (9,), (7, 3)), normals(NUMPY, (9,), [7, 3]))


def test_numpy_and_torch_paint_the_same() -> None:
    torch_cpu()
    one, other = painted(None), painted("cpu")
    assert one.dtype == other.dtype == np.float32
    assert one.max() > 50.0
    assert np.abs(one - other).max() < 1e-4  # SUV
    assert np.abs(painted("cpu", seed=6) - other).max() > 0.5


class AsOnGpu(Arrays):
    """Arrays of the CPU, worked on as those of a GPU are."""

    is_gpu = True  # type: ignore[assignment]


def test_the_way_of_a_gpu_gives_the_same() -> None:
    codes, uptake = tables()
    arrays = torch_cpu()
    one, other = (
        scanned(kind, ground(kind, codes, uptake, SPACING, 5), SIGMA_MM, SPACING, 0.3, 5)[1].numpy()
        for kind in (arrays, AsOnGpu(arrays.xp, "cpu"))
    )
    assert 0.0 < np.abs(one - other).max() < 1e-4  # float64 rounds otherwise
    many = (2**18 + 3,)  # more than are drawn at a time on a CPU
    assert np.array_equal(normals(arrays, many, 1), normals(AsOnGpu(arrays.xp, "cpu"), many, 1))


def test_a_gpu_paints_what_the_cpu_does() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    codes, uptake = tables()
    there = paint(codes, uptake, [ball()], SIGMA_MM, SPACING, 0.3, 5, "cuda")
    assert there.is_cuda and np.abs(there.cpu().numpy() - painted(None)).max() < 1e-4


def test_the_blur_is_that_of_scipy_up_to_the_border() -> None:
    suv = np.random.default_rng(1).random(SHAPE, dtype=np.float32) ** 8 * 100
    clean, noisy = scanned(NUMPY, suv, SIGMA_MM, SPACING, 0.2, 1)
    wanted = ndimage.gaussian_filter(suv.astype(np.float64), [SIGMA_MM / s for s in SPACING[::-1]], truncate=3.5)
    assert np.abs(clean - wanted).max() < 1e-4
    assert noisy.min() >= 0.0
    narrow = scanned(NUMPY, suv[:5, :1], 12.0, SPACING, 0.0, 1)[0]  # less voxels than the blur reaches
    assert np.abs(narrow - ndimage.gaussian_filter(suv[:5, :1], [6.0, 3.0, 3.0], truncate=3.5)).max() < 1e-4


def test_noise_is_as_strong_and_as_coarse_as_that_of_organ_map_studies() -> None:
    shape, spacing, seen = (60, 60, 60), (4.0, 4.0, 3.0), []
    block = Block(np.zeros(shape, np.uint8), np.zeros(shape, np.int16), (slice(None),) * 3, (np.zeros(1),) * 3, spacing)
    flat = np.full(shape, 9.0, np.float32)
    for clean, noisy in (
        measured(flat, block, SIGMA_MM, 0.2, np.random.default_rng(1)),
        scanned(NUMPY, flat, SIGMA_MM, spacing, 0.2, 1),
    ):
        noise = (noisy - clean) / noisy.std()
        lags = [float(np.mean(noise * np.roll(noise, lag, axis))) for axis in range(3) for lag in (1, 2)]
        seen.append([float(noisy.std()), *lags])
    assert seen[1][0] == pytest.approx(0.2 * 3.0 + 0.01, rel=0.01)
    assert seen[1] == pytest.approx(seen[0], abs=0.012)
    assert seen[1][1] > 0.4 > seen[1][3] > 0.2  # along z, where voxels are closer, neighbors are more alike
    edge = np.stack([scanned(NUMPY, flat[:6, :6, :6], SIGMA_MM, spacing, 0.2, k)[1] for k in range(400)])
    assert edge.std(axis=0) == pytest.approx(np.full((6, 6, 6), 0.61), rel=0.2)  # at the border too


def test_uptake_varies_slowly_within_a_tissue_and_more_in_bowel() -> None:
    shape, spacing = (60, 60, 60), (4.0, 4.0, 4.0)
    codes = np.full(shape, int(Tissue.LIVER), np.uint8)
    codes[:, :, 30:] = int(Tissue.COLON)
    uptake = np.ones(256, np.float32)
    suv = np.stack([ground(NUMPY, codes, uptake, spacing, seed) for seed in range(8)])
    liver, colon = suv[..., :30], suv[..., 30:]
    assert liver.std() == pytest.approx(0.08, rel=0.25)
    assert colon.std() == pytest.approx(0.35, rel=0.25)
    assert suv.mean() == pytest.approx(1.0, abs=0.05)
    steps = np.diff(liver, axis=1)
    assert np.abs(steps).max() < 0.06  # no blocks
    smooth = ground(NUMPY, codes, uptake, spacing, 0, np.zeros(256, np.float32))
    assert np.array_equal(smooth, np.ones(shape, np.float32))
    assert default_roughness()[int(Tissue.LIVER)] == np.float32(0.08)


def test_deposits_are_laid_one_over_the_other_and_stay_the_callers() -> None:
    codes, uptake = tables()
    whole, half = ball(), replace(ball(), wanted=np.full((9, 7, 7), 10.0, np.float32))
    before = whole.inside.copy()
    spot = tuple(part.start + (part.stop - part.start) // 2 for part in whole.window)
    hot, cold, none = (painted(None, deposits=d)[spot] for d in ([whole], [whole, half], []))
    assert hot > 60.0 > 30.0 > cold > 10.0 > 2.0 > none
    assert np.array_equal(before, whole.inside) and np.array_equal(codes, tables()[0])
    assert uptake[int(Tissue.KIDNEY)] == 45.0


def test_ct_noise_is_that_of_a_scanner_and_stays_in_its_range() -> None:
    hu = np.full((30, 30, 30), 40, np.int16)
    ct = ct_numbers(NUMPY, hu, 2)
    assert ct.dtype == np.int16
    assert ct.std() == pytest.approx(14.0, rel=0.03) and ct.mean() == pytest.approx(40.0, abs=0.5)
    assert ct_numbers(NUMPY, np.full((9, 9, 9), -1024, np.int16), 2).min() == -1024
    arrays = torch_cpu()
    assert np.abs(ct_numbers(arrays, hu, 2).numpy() - ct).max() <= 1  # rounding at a half


@pytest.fixture(scope="module")
def man() -> tuple[Block, dict[Tissue, float], list[Planned]]:
    rng = np.random.default_rng(MANY)
    uptake = draw_uptake(rng, "68Ga-PSMA-11")
    fit, block = build_around(organ_map(5.0), NAMES, rng)
    return block, uptake, plan_lesions(rng, Plan(fit, block.tissue, block.axes, block.spacing, uptake))


def test_a_whole_man_is_painted_alike_by_both(man: tuple[Block, dict[Tissue, float], list[Planned]]) -> None:
    torch_cpu()
    block, uptake, plan = man
    assert len(plan) > 5
    hu = block.hu.copy()
    one, other, third = (
        paint_block(block, uptake, plan, "68Ga-PSMA-11", SIGMA_MM, 0.2, seed, device)
        for seed, device in ((1, None), (1, "cpu"), (2, None))
    )
    assert np.abs(one.emission - other.emission.numpy()).max() < 1e-4
    assert np.abs(one.ct - other.ct.numpy()).max() <= 1
    assert np.array_equal(one.truth, other.truth) and one.lesions == other.lesions
    assert not np.array_equal(one.emission, third.emission)
    assert np.array_equal(block.hu, hu) and np.abs(one.ct.astype(int) - hu).max() > 100  # lesions show on CT
    assert one.truth.max() == len(one.lesions) > 5
    for label, lesion in enumerate(one.lesions, start=1):
        own = one.truth == label
        if own.sum() >= 9:  # the scanner takes less of it
            assert one.clean[own].max() == pytest.approx(lesion.suv_max, rel=0.5)
    kidneys = one.clean[(block.tissue == int(Tissue.KIDNEY)) & (one.truth == 0)]
    assert kidneys.mean() == pytest.approx(uptake[Tissue.KIDNEY], rel=0.5)


def test_a_study_is_of_the_same_man_as_without_a_device() -> None:
    torch_cpu()
    labels, spacing = organ_map(5.0), (6.0, 6.0, 6.0)
    plain = organ_map_study(labels, NAMES, 4, settings=PhantomSettings(spacing_mm=spacing))
    one, other = (device_study(labels, NAMES, 4, device=device, spacing_mm=spacing) for device in (None, "cpu"))
    for name in ("emission", "truth", "tissues", "activity"):
        assert same_grid(getattr(one, name), plain.emission)
        assert np.abs(array(getattr(one, name)) - array(getattr(other, name))).max() < 1e-4
    assert np.array_equal(array(one.truth), array(plain.truth))
    assert np.array_equal(array(one.tissues), array(plain.tissues))
    assert [lesion.region for lesion in one.lesions] == [lesion.region for lesion in plain.lesions]
    assert len(one.lesions) > 5
    mine, theirs = array(one.emission), array(plain.emission)
    assert not np.array_equal(mine, theirs)
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.95
    assert mine.mean() == pytest.approx(theirs.mean(), rel=0.1)


def test_what_cannot_be_painted_is_named() -> None:
    codes, uptake = tables()
    with pytest.raises(ValueError, match="no volume"):
        paint(codes[0], uptake, [], SIGMA_MM, SPACING, 0.3, 1)
    with pytest.raises(ValueError, match="codes 0 to 255"):
        paint(codes, uptake[:9], [], SIGMA_MM, SPACING, 0.3, 1)
    for sigma, noise, grain in ((0.0, 0.3, 2.0), (3.0, -0.1, 2.0), (3.0, 0.3, 0.0)):
        with pytest.raises(ValueError, match="millimeters above 0"):
            paint(codes, uptake, [], sigma, SPACING, noise, 1, grain_mm=grain)


def test_devices_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_cpu()
    with pytest.raises(ValueError, match="There is no device"):
        arrays_on("tpu")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install"):
        arrays_on("cpu")
    assert arrays_on(None).xp is np
