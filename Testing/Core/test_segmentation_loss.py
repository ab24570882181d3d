"""What networks for whole studies are compared with, and by how much each error costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PSMASegmentLib.training.segmentation_batches import IGNORED, NOT_LESION, Batch, inputs_of, joined, labels_of
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.segmentation_test import Tally
from PSMASegmentLib.training.study_crops import ORGAN_CLASSES, StudyCrop

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="training needs MONAI")

SIDE = 24
CLASSES = 2 + len(ORGAN_CLASSES)
LARGE, SMALL = (slice(2, 10),) * 3, (slice(16, 18),) * 3


def crop(with_lesions: bool = True) -> StudyCrop:
    """Lesions of 512 and 8 voxels, one that cannot be seen, and kidneys beside them."""
    lesions = np.zeros((SIDE,) * 3, np.uint16)
    unseen, organs = np.zeros(lesions.shape, bool), np.zeros(lesions.shape, np.uint8)
    if with_lesions:
        lesions[LARGE], lesions[SMALL] = 1, 2
        unseen[20:22, 2:4, 2:4] = True
    organs[12:15, 4:10, 4:10] = 1
    rng = np.random.default_rng(1)
    emission = rng.uniform(0.0, 120.0, lesions.shape).astype(np.float32)
    ct = rng.uniform(-1500.0, 1500.0, lesions.shape).astype(np.float32)
    return StudyCrop(emission, ct, lesions, unseen, organs, lesions > 1, "SPECT", "177Lu-PSMA-617", 4.0)


def config(tmp_path, **more) -> SegmentationConfig:
    return SegmentationConfig("x", tmp_path, tmp_path, channels=("emission", "ct", "prior"), **more)


def batch(*crops: StudyCrop, background: int = 0) -> Batch:
    empty = [np.zeros((1, SIDE, SIDE, SIDE), np.float32)] * len(crops)
    return joined(crops, empty, [labels_of(one, True, background) for one in crops])


def certain(labels: np.ndarray, sure: float = 12.0) -> torch.Tensor:
    """Logits of a network that answers these classes."""
    answer = np.where(labels >= CLASSES, 0, labels)
    return sure * torch.nn.functional.one_hot(torch.from_numpy(answer).long(), CLASSES).movedim(-1, 1).float()


def parts(logits: torch.Tensor, target: Batch) -> dict[str, float]:
    from PSMASegmentLib.training.segmentation_task import loss_parts

    return {name: float(value) for name, value in loss_parts(logits, target).items()}


def test_labels_are_lesions_then_organs_and_nothing_is_learned_where_a_lesion_cannot_be_seen():
    labels = labels_of(crop(), True)
    assert (labels[LARGE] == 1).all() and (labels[SMALL] == 1).all() and (labels[12:15, 4:10, 4:10] == 2).all()
    assert (labels[20:22, 2:4, 2:4] == IGNORED).all() and labels[0, 0, 0] == 0
    assert set(np.unique(labels_of(crop(), False))) == {0, 1, IGNORED}
    unknown = labels_of(replace(crop(), organs=np.zeros((SIDE,) * 3, np.uint8)), True, background=NOT_LESION)
    assert set(np.unique(unknown)) == {1, NOT_LESION, IGNORED}


def test_each_lesion_is_compared_with_what_is_around_it_but_not_with_others():
    target = batch(crop(with_lesions=False), crop())
    lesions = target.lesions
    assert lesions.count == 2 and target.free.tolist() == [True, False]
    for lesion, size in enumerate((512, 8)):
        mine = lesions.owners == lesion
        assert lesions.inside[mine].sum() == size
        flat = target.labels.ravel()[lesions.places[mine]]
        assert (flat[lesions.inside[mine]] == 1).all() and (flat[~lesions.inside[mine]] != 1).all()
        assert (flat != IGNORED).all()
        assert mine.sum() == {512: 12**3, 8: 6**3}[size]


def test_a_perfect_answer_costs_nothing_and_voxels_that_are_ignored_never_do():
    target = batch(crop(), crop(with_lesions=False))
    logits = certain(target.labels)
    assert sum(parts(logits, target).values()) < 0.03
    from PSMASegmentLib.training.segmentation_task import loss_parts

    logits = torch.randn_like(logits).requires_grad_()
    sum(loss_parts(logits, target).values()).backward()
    slope = logits.grad.abs().sum(1).numpy()
    assert (slope[target.labels == IGNORED] == 0.0).all() and (slope[target.labels != IGNORED] > 0.0).all()


def test_missing_a_small_lesion_costs_about_as_much_as_missing_a_large_one():
    target = batch(crop())
    without = {}
    for name, where in (("large", LARGE), ("small", SMALL)):
        answer = target.labels.copy()
        answer[0][where] = 0
        without[name] = parts(certain(answer), target)
    for part in ("lesion_dice_loss", "lesion_entropy"):
        assert without["small"][part] == pytest.approx(without["large"][part], rel=0.15)
    assert without["large"]["dice_loss"] > 10.0 * without["small"]["dice_loss"]  # all voxels together forget it


def test_each_hot_spot_that_is_no_lesion_costs_alike_and_organs_are_none():
    one = crop(with_lesions=False)
    emission, organs = np.zeros_like(one.emission), np.zeros_like(one.organs)
    large, cold, noise = (slice(2, 9),) * 3, (slice(12, 14),) * 3, (22, 22, slice(21, 23))
    for where, kind, suv in ((large, 6, 9.0), (SMALL, 5, 4.0), (cold, 6, 1.0), (noise, 6, 4.0), (np.s_[0], 1, 40.0)):
        emission[where], organs[where] = suv, kind  # the last is a kidney of 37 mL
    target = batch(replace(one, emission=emission, organs=organs))
    spots = target.spots
    assert spots.count == 2 and spots.inside.all()  # not the cold one, noise or an organ
    assert np.bincount(spots.owners).tolist() in ([343, 8], [8, 343])
    cost = []
    for where in (large, SMALL):
        answer = target.labels.copy()
        answer[0][where] = 1
        cost.append(parts(certain(answer), target)["spots"])
    assert cost[0] == pytest.approx(cost[1], rel=1e-3) and cost[0] > 1.0
    assert parts(certain(target.labels), target)["spots"] < 1e-3


def test_dice_and_entropy_are_those_of_monai_and_torch():
    from monai.losses import DiceLoss

    one = replace(crop(), unseen=np.zeros((SIDE,) * 3, bool))
    target = batch(one, crop(with_lesions=False))
    logits = 3.0 * torch.randn(2, CLASSES, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    labels = torch.from_numpy(target.labels).long()
    told = parts(logits, target)
    assert told["entropy"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    loss = DiceLoss(softmax=True, to_onehot_y=True, batch=True, smooth_nr=1.0, smooth_dr=1.0, reduction="none")
    each = loss(logits, labels[:, None]).flatten()
    assert told["dice_loss"] == pytest.approx(float(each[1]), rel=1e-5)
    assert told["organ_dice_loss"] == pytest.approx(0.5 * float(each[2]), rel=1e-5)  # half; only kidneys are there
    taken = float(logits.softmax(1)[1, 1].sum())
    assert told["false_positive"] == pytest.approx(0.5 * taken / (taken + 50.0), rel=1e-5)


def test_where_organs_are_not_known_only_lesion_or_not_is_learned():
    target = batch(replace(crop(), organs=np.zeros((SIDE,) * 3, np.uint8)), background=NOT_LESION)
    kidneys, liver = target.labels.copy(), target.labels.copy()
    kidneys[kidneys == NOT_LESION], liver[liver == NOT_LESION] = 2, 3
    assert parts(certain(kidneys), target) == pytest.approx(parts(certain(liver), target))
    everywhere = parts(certain(np.ones_like(target.labels)), target)
    assert everywhere["entropy"] > 5.0 and everywhere["dice_loss"] > 0.8


def test_inputs_are_normalized_as_in_inference_and_left_out_by_chance(tmp_path):
    one = crop()
    emission, ct, prior = inputs_of(one, config(tmp_path), None)
    assert np.allclose(emission, np.log1p(np.clip(one.emission, 0.0, 90.0) / 3.0), atol=1e-6)
    assert np.allclose(ct, (np.clip(one.ct, -832.0, 1128.0) - 108.0) / 286.0, atol=1e-5)
    assert np.array_equal(prior, one.prior.astype(np.float32))
    rng = np.random.default_rng(3)
    seen = [inputs_of(one, config(tmp_path), rng).any(axis=(1, 2, 3)) for _ in range(400)]
    emission_share, ct_share, prior_share = np.mean(seen, axis=0)
    assert emission_share == 1.0 and 0.63 < ct_share < 0.77 and 0.42 < prior_share < 0.58
    assert not inputs_of(replace(one, prior=None), config(tmp_path), None)[2].any()


def test_figures_of_answers_whose_errors_are_known():
    tally, one = Tally(), crop()
    answer = np.where(one.lesions == 1, 1, 0).astype(np.uint8)
    answer[20:22, 2:4, 2:4] = 1  # the one that cannot be seen: neither right nor wrong
    answer[20:22, 10:12, 10:12] = 1  # 8 voxels that are no lesion
    tally.add(one, answer)
    false = np.zeros_like(answer)
    false[:1, :5, :5] = 1
    tally.add(crop(with_lesions=False), false)
    figures = tally.figures()
    assert figures["median_dice"] == pytest.approx(2 * 512 / (520 + 520), abs=1e-4)
    assert (figures["lesions"], figures["sensitivity"], figures["crops"]) == (2.0, 0.5, 2.0)
    assert figures["mean_false_positive_ml_lesion_free"] == pytest.approx(25 * 0.064)
    assert figures["mean_false_positive_ml"] == pytest.approx((8 + 25) * 0.064 / 2, abs=1e-4)
