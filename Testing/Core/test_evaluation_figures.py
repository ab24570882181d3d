"""Figures of patients, lesions, voxels and burden: by direct recomputation, MONAI, published examples, known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from PSMASegmentLib.evaluation import metrics
from PSMASegmentLib.evaluation.bootstrap import estimate, holm, mean, median, paired_test
from PSMASegmentLib.evaluation.burden_agreement import agreement, icc_2_1
from PSMASegmentLib.evaluation.detection import IOU, OVERLAP, SUV_MAX, Counts, counts, match, separate
from PSMASegmentLib.evaluation.patient_metrics import patient_figures
from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings, StudyFigures, evaluate_labels
from PSMASegmentLib.evaluation.voxel_metrics import voxel_figures
from scipy import ndimage, stats

SPACING = (2.0, 4.0, 3.0)  # z, y, x


def random_masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of blobs that partly overlap."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(14, 18, 16)), 1.2)
    other = smooth + 0.6 * ndimage.gaussian_filter(rng.normal(size=smooth.shape), 1.2)
    return smooth > np.quantile(smooth, 0.85), other > np.quantile(other, 0.8)


def surface(mask: np.ndarray) -> np.ndarray:
    """Places in mm of the voxels of a mask with a face outside of it."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(3):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return np.argwhere((padded & ~inner)[1:-1, 1:-1, 1:-1]) * np.asarray(SPACING)


@pytest.mark.parametrize("seed", range(6))
def test_voxel_figures_are_those_of_direct_counting(seed: int) -> None:
    pytest.importorskip("monai")
    truth, found = random_masks(seed)
    figures = voxel_figures(found, truth, SPACING, tolerance_mm=3.0)
    both, either = (truth & found).sum(), (truth | found).sum()
    assert figures.dice == pytest.approx(2 * both / (truth.sum() + found.sum()))
    assert figures.iou == pytest.approx(both / either)
    assert figures.ppv == pytest.approx(both / found.sum())
    assert figures.sensitivity == pytest.approx(both / truth.sum())
    apart = np.linalg.norm(surface(truth)[:, None] - surface(found)[None], axis=-1)
    there, said = apart.min(axis=1), apart.min(axis=0)
    assert figures.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(said, 95)), rel=1e-5)
    near = (there <= 3.0).sum() + (said <= 3.0).sum()
    assert figures.surface_dice == pytest.approx(near / (there.size + said.size), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_voxel_figures_are_those_of_monai(seed: int) -> None:
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    truth, found = random_masks(seed)
    one, two = (torch.from_numpy(mask)[None, None].float() for mask in (found, truth))
    figures = voxel_figures(found, truth, SPACING, tolerance_mm=0.0)
    assert figures.dice == pytest.approx(float(monai.compute_dice(one, two)), rel=1e-5)
    assert figures.iou == pytest.approx(float(monai.compute_iou(one, two)), rel=1e-5)
    matrix = monai.get_confusion_matrix(one, two)
    for name, value in (("ppv", figures.ppv), ("sensitivity", figures.sensitivity)):
        assert value == pytest.approx(float(monai.compute_confusion_matrix_metric(name, matrix)), rel=1e-5)
    near = monai.compute_surface_dice(one, two, [0.0], include_background=True, spacing=list(SPACING))
    assert figures.surface_dice == pytest.approx(float(near), rel=1e-5)


def test_one_voxel_and_empty_masks_have_the_figures_that_are_defined() -> None:
    pytest.importorskip("monai")
    empty = np.zeros((5, 6, 7), bool)
    one, beside = empty.copy(), empty.copy()
    one[0, 0, 0] = True  # in the corner of the image
    beside[2, 0, 0] = True  # two slices of 2 mm away
    same = voxel_figures(one, one, SPACING)
    assert (same.dice, same.surface_dice, same.hd95_mm, same.fpv_ml, same.fnv_ml) == (1.0, 1.0, 0.0, 0.0, 0.0)
    apart = voxel_figures(beside, one, SPACING, tolerance_mm=3.9)
    assert (apart.dice, apart.surface_dice, apart.hd95_mm) == (0.0, 0.0, pytest.approx(4.0))
    assert apart.fpv_ml == apart.fnv_ml == pytest.approx(0.024)
    assert voxel_figures(beside, one, SPACING, tolerance_mm=4.0).surface_dice == 1.0
    missed = voxel_figures(empty, one, SPACING)
    assert (missed.dice, missed.sensitivity, missed.surface_dice, missed.fnv_ml) == (0, 0, 0, pytest.approx(0.024))
    assert math.isnan(missed.ppv) and math.isnan(missed.hd95_mm)
    made_up = voxel_figures(one, empty, SPACING)
    assert made_up.fpv_ml == pytest.approx(0.024) and made_up.ppv == 0.0
    assert all(math.isnan(v) for v in (made_up.dice, made_up.iou, made_up.sensitivity, made_up.hd95_mm, made_up.fnv_ml))
    nothing = voxel_figures(empty, empty, SPACING)
    assert nothing.fpv_ml == 0.0 and math.isnan(nothing.dice)
    with pytest.raises(ValueError, match="different shapes"):
        voxel_figures(one, np.zeros((5, 6, 6), bool), SPACING)


def test_lesions_count_by_each_rule() -> None:
    truth, found = np.zeros((3, 4, 30), np.uint16), np.zeros((3, 4, 30), np.uint16)
    uptake = np.full(truth.shape, 1.0)
    truth[1, 1, 0:10] = 1  # only its cool end is found, by a large lesion
    uptake[1, 1, 0] = 9.0
    found[1, 1, 9:15] = 1
    found[0:3, 2:4, 9:15] = 1
    truth[1, 1, 18:20] = 2  # found as it is
    uptake[1, 1, 19] = 5.0
    found[1, 1, 18:20] = 2
    truth[1, 1, 23] = 3  # missed
    found[1, 1, 27:29] = 3  # made up
    true, said = match(truth, found, 0.1, uptake)
    assert [one.volume_ml for one in true] == pytest.approx([1.0, 0.2, 0.1])
    assert [one.suv_max for one in true] == [9.0, 5.0, 1.0]
    assert [one.best_iou for one in true] == pytest.approx([1 / 51, 1.0, 0.0])
    assert counts(true, said, OVERLAP, 0.0) == Counts(2, 1, 1)
    assert counts(true, said, IOU, 0.0) == counts(true, said, SUV_MAX, 0.0) == Counts(1, 2, 2)
    assert counts(true, said, OVERLAP, 0.15) == Counts(2, 0, 1)
    assert counts(true, said, OVERLAP, 0.5) == Counts(1, 0, 0)  # the small ones count for nothing
    assert counts(true, said, IOU, 0.5) == Counts(0, 1, 1)
    figures = counts(true, said, IOU, 0.0)
    assert (figures.sensitivity, figures.ppv, figures.f1) == pytest.approx((1 / 3, 1 / 3, 2 / 6))
    assert counts([], [], OVERLAP).f1 is None


def test_lesion_without_uptake_has_no_hottest_voxel() -> None:
    labels = np.zeros((2, 2, 2), np.uint16)
    labels[0, 0, 0] = 4
    true, said = match(labels, labels, 0.1)
    assert true[0].lesion == 4 and true[0].suv_max is None and true[0].met[SUV_MAX] is None
    assert said[0].met[OVERLAP]
    with pytest.raises(ValueError, match="one grid"):
        match(labels, labels[:1], 0.1)


@pytest.mark.parametrize("seed", range(5))
def test_lesion_f1_by_overlap_of_a_tenth_is_that_of_autopet(seed: int) -> None:
    truth, found = random_masks(seed)
    true, said = match(separate(truth), separate(found), 0.1)
    assert counts(true, said, IOU, 0.0).f1 == pytest.approx(metrics.lesion_f1(found, truth))


@pytest.mark.parametrize("seed", range(5))
def test_unmet_lesions_hold_the_volumes_of_autopet(seed: int) -> None:
    truth, found = random_masks(seed)
    true, said = match(separate(truth), separate(found), 0.024)
    figures = voxel_figures(found, truth, SPACING, surfaces=False)
    assert sum(one.volume_ml for one in said if not one.met[OVERLAP]) == pytest.approx(figures.fpv_ml)
    assert sum(one.volume_ml for one in true if not one.met[OVERLAP]) == pytest.approx(figures.fnv_ml)


def test_patient_figures_come_with_wilson_intervals() -> None:
    truth = [True] * 8 + [False] * 2
    found = [True] * 7 + [False] + [True, False]
    figures = patient_figures(truth, found)
    shares = {name: (one.hits, one.of) for name, one in figures.items()}
    expected = {"accuracy": (8, 10), "sensitivity": (7, 8), "specificity": (1, 2), "ppv": (7, 8), "npv": (1, 2)}
    assert shares == expected
    # Wilson for 8 of 10, worked out from the formula with z = 1.959964.
    z = 1.959964
    middle, half = 0.8 + z * z / 20, z * math.sqrt(0.8 * 0.2 / 10 + z * z / 400)
    low, high = ((middle + sign * half) / (1 + z * z / 10) for sign in (-1, 1))
    assert (figures["accuracy"].low, figures["accuracy"].high) == pytest.approx((low, high), abs=1e-6)
    assert patient_figures([True], [True])["specificity"].value is None


def test_icc_of_the_published_example() -> None:
    # Shrout and Fleiss 1979, table 2: six targets, four judges; ICC(2,1) = 0.29.
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert float(icc_2_1(ratings)) == pytest.approx(0.2898, abs=1e-4)
    assert np.isnan(icc_2_1(ratings[:1])) and np.isnan(icc_2_1(np.ones((5, 2))))


def test_agreement_of_burden_is_that_of_its_formulas() -> None:
    rng = np.random.default_rng(3)
    true = rng.lognormal(2.0, 1.0, 30)
    found = true * rng.normal(1.1, 0.1, 30) + 1.0
    figures = agreement(true.tolist(), found.tolist(), resamples=300)
    differences = found - true
    assert figures.n == 30
    assert figures.bias.value == pytest.approx(differences.mean())
    assert figures.upper_limit.value == pytest.approx(differences.mean() + 1.96 * differences.std(ddof=1))
    assert figures.lower_limit.value == pytest.approx(differences.mean() - 1.96 * differences.std(ddof=1))
    assert figures.pearson.value == pytest.approx(stats.pearsonr(true, found).statistic)
    assert figures.spearman.value == pytest.approx(stats.spearmanr(true, found).statistic)
    for figure in (figures.icc, figures.bias, figures.upper_limit, figures.pearson, figures.spearman):
        assert figure.low < figure.value < figure.high
    same = agreement([1.0, 5.0, 9.0], [1.0, 5.0, 9.0], resamples=50)
    assert same.icc.value == same.pearson.value == pytest.approx(1.0) and same.bias.value == 0.0
    assert agreement([], []).icc.value is None
    constant = agreement([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], resamples=50)  # whose mean is not exactly 0.1
    assert constant.icc.value is constant.pearson.value is constant.spearman.value is None
    assert (constant.bias.value, constant.bias.low, constant.bias.high) == (0.0, 0.0, 0.0)


def test_one_patient_drawn_again_and_again_says_nothing_of_agreement() -> None:
    # On one falling line; rounding alone would give the first man, drawn three times, a coefficient of +1.
    figures = agreement([15.2, 30.0, 41.0], [44.8, 30.0, 19.0], resamples=400)
    assert figures.pearson.low == pytest.approx(-1.0) and figures.pearson.high == pytest.approx(-1.0)
    assert figures.spearman.high == pytest.approx(-1.0)


def test_interval_of_a_mean_is_near_that_of_theory() -> None:
    values = np.random.default_rng(5).normal(10.0, 2.0, 60)
    figure = estimate(mean, [*values, math.nan], resamples=4000)
    half = stats.t.ppf(0.975, 59) * values.std(ddof=1) / math.sqrt(60)
    assert figure.n == 60 and figure.value == pytest.approx(values.mean())
    assert (figure.low, figure.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1)
    assert estimate(mean, values) == estimate(mean, values) != estimate(mean, values, seed=2)
    assert estimate(median, [0.5]).low is None and estimate(median, [math.nan]).n == 0
    constant = estimate(median, [1.0, 1.0, 1.0])
    assert (constant.value, constant.low, constant.high) == (1.0, 1.0, 1.0)


def test_paired_test_sees_a_shift_that_is_there() -> None:
    rng = np.random.default_rng(7)
    first = rng.uniform(0.4, 0.9, 40)
    better = first + rng.normal(0.05, 0.02, 40)
    seen = paired_test([*first, math.nan], [*better, 0.5])
    assert seen.n == 40 and seen.p == pytest.approx(stats.wilcoxon(better - first).pvalue) and seen.p < 1e-6
    assert seen.mean_difference.value == pytest.approx((better - first).mean())
    assert seen.mean_difference.low > 0.03
    assert paired_test(first, first).p == 1.0 and paired_test([math.nan], [1.0]).p is None


def test_holm_adjusts_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_study_survives_json_with_what_is_not_defined() -> None:
    truth, found = random_masks(1)
    labels = truth.astype(np.uint16)
    labels[:7] *= 2
    images = [sitk.GetImageFromArray(values) for values in (labels, found.astype(np.uint8), np.ones(truth.shape))]
    for image in images:
        image.SetSpacing(SPACING[::-1])
    settings = EvaluationSettings("labels", surfaces=False)
    figures = evaluate_labels(*images, {1: "bone", 2: "pelvic node"}, settings)
    assert len(figures.true_lesions) == 2 and figures.regions == {1: "bone", 2: "pelvic node"}
    assert figures.true_burden.psma_tv_ml == pytest.approx(truth.sum() * 0.024)
    assert figures.found_burden.tl_psma == pytest.approx(found.sum() * 0.024)
    assert figures.as_json()["voxels"]["hd95_mm"] is None
    again = StudyFigures.from_json(figures.as_json())
    assert again.as_json() == figures.as_json() and math.isnan(again.voxels.hd95_mm)
    separated = evaluate_labels(*images, {1: "bone"}, EvaluationSettings(surfaces=False))
    assert len(separated.true_lesions) == metrics.label_components(truth)[1]
    assert set(separated.regions.values()) == {"bone"}
    with pytest.raises(ValueError, match="kind of lesion"):
        EvaluationSettings("blobs")
    with pytest.raises(ValueError, match="grid"):
        evaluate_labels(images[0], images[1][1:])


def test_real_masks_of_a_psma_study() -> None:
    """A manual mask and one of nnU-Net of the same study; figures worked out here by another way."""
    name = "psma_95b833d46f153cd2_2018-04-16.nii.gz"
    truth = sitk.ReadImage(str(test_data("psma-lesion-masks", "gt", name)))
    found = sitk.ReadImage(str(test_data("psma-lesion-masks", "pred_nnunet_baseline", name)))
    figures = evaluate_labels(truth, found, settings=EvaluationSettings(surfaces=False))
    assert figures.voxels.dice == pytest.approx(0.6967, abs=5e-5)
    assert figures.true_burden.psma_tv_ml == pytest.approx(431.15, abs=0.01)
    assert figures.found_burden.psma_tv_ml == pytest.approx(550.12, abs=0.01)
    for image, other, value in ((found, truth, figures.voxels.fpv_ml), (truth, found, figures.voxels.fnv_ml)):
        numbers, count = ndimage.label(sitk.GetArrayFromImage(image) > 0, ndimage.generate_binary_structure(3, 2))
        hit = ndimage.maximum(sitk.GetArrayFromImage(other) > 0, numbers, range(1, count + 1))
        sizes = ndimage.sum_labels(numbers > 0, numbers, range(1, count + 1))
        assert value == pytest.approx(sizes[~np.asarray(hit, bool)].sum() * math.prod(image.GetSpacing()) / 1000.0)
    assert figures.voxels.fpv_ml > 1.0 and figures.voxels.fnv_ml > 1.0
