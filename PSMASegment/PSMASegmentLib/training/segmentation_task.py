"""What a network for whole studies is trained for: its structure and its loss."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from PSMASegmentLib.training.loop import checkpoint_of
from PSMASegmentLib.training.segmentation_batches import IGNORED, NOT_LESION, Batch, Regions
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.segmentation_start import take_weights

if TYPE_CHECKING:
    import torch

_LESION = 1
_FREE_VOXELS = 50.0
"""Voxels taken for lesion, where there is none, that make half of the loss there."""
_SMOOTH = 1.0
_ORGAN_SHARE, _LESION_ENTROPY_SHARE = 0.5, 0.1
_SPOT_SHARE = 2.0  # most spots are glands and bowel that are told apart early, and dilute the mean
_FIRST_LOGIT = 3.0


class SegmentationTask:
    """Painted crops with the network that labels them; a ``loop.Task``."""

    half = True

    def __init__(self, config: SegmentationConfig, batch: Callable[[int], Batch]) -> None:
        """``batch`` gives the batch of a round."""
        self._config, self._batch = config, batch

    def network(self) -> torch.nn.Module:
        """The network with the weights that training begins with. Raises ValueError where ``start_from`` is wrong."""
        network = new_network(self._config)
        if self._config.start_from and not checkpoint_of(self._config).exists():
            take_weights(network, self._config.start_from)
        return network

    def round(self, number: int) -> Generator[Batch, None, None]:
        """The one batch of a round."""
        yield self._batch(number)

    def loss(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of a batch, and its parts to show."""
        import torch

        parts = loss_parts(logits, batch)
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(value.detach()) for name, value in parts.items()}

    def answers(self, logits: torch.Tensor) -> None:
        """Nothing: a round does not depend on what the network says."""


def new_network(config: SegmentationConfig) -> torch.nn.Module:
    """The network of a configuration with random weights; logits (n, classes, z, y, x) come out.

    A U-Net of MONAI's double convolutions that thinks on a grid of half the voxels a side, where every 2 x 2 x 2 voxels
    are channels, so that nothing is lost. On the full grid there is only the last step: convolutions there cost most of
    the time and gain little at voxels as wide as the blur.
    """
    import torch

    gathered = 8 * len(config.channels)
    last = torch.nn.ConvTranspose3d(config.widths[0], len(config.classes), 2, stride=2)
    # Almost every voxel is background: starting there spares the first rounds.
    assert last.bias is not None
    torch.nn.init.zeros_(last.bias)
    with torch.no_grad():
        last.bias[0] = _FIRST_LOGIT
    gather = torch.nn.Conv3d(len(config.channels), gathered, 2, stride=2)
    return torch.nn.Sequential(gather, *_level(gathered, config.widths, config.strides), last)


def _level(inputs: int, widths: Sequence[int], strides: Sequence[int]) -> list[torch.nn.Module]:
    """One level of the U-Net with those below it: ``inputs`` channels become ``widths[0]``."""
    import torch
    from monai.networks.layers.simplelayers import SkipConnection
    from monai.networks.nets.basic_unet import TwoConv

    def convolved(before: int) -> torch.nn.Module:
        return TwoConv(3, before, widths[0], ("RELU", {"inplace": True}), "BATCH", bias=False)

    if not strides:
        return [convolved(inputs)]
    below = torch.nn.Sequential(
        torch.nn.Conv3d(widths[0], widths[0], strides[0], stride=strides[0]),
        *_level(widths[0], widths[1:], strides[1:]),
        torch.nn.ConvTranspose3d(widths[1], widths[0], strides[0], stride=strides[0]),
    )
    return [convolved(inputs), SkipConnection(below), convolved(2 * widths[0])]


def loss_parts(logits: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Parts of the loss of logits (n, classes, z, y, x), to be added.

    Cross entropy of all voxels, and of each lesion by itself; Dice of all lesion voxels, of each lesion by itself with
    what is around it (so that 0.5 mL counts as much as 50 mL), and of organs; what is taken for lesion of each hot spot
    that is none, and in crops that have none, s / (s + c). MONAI's losses want a volume for each class, which costs
    more than the network here.
    """
    import torch

    labels = torch.from_numpy(batch.labels).to(logits.device).long()
    told, known = labels != IGNORED, labels < NOT_LESION
    log_p = torch.log_softmax(logits, 1)
    lesion = log_p[:, _LESION].exp() * told
    truth = (labels == _LESION).float()
    own = log_p.gather(1, labels.clamp(max=logits.shape[1] - 1)[:, None])[:, 0]
    entropy = -own * known
    if bool((labels == NOT_LESION).any()):
        entropy = entropy - torch.log1p(-lesion.clamp(max=1.0 - 1e-6)) * (labels == NOT_LESION)
    parts = {
        "entropy": entropy.mean(),
        "dice_loss": _dice_loss((lesion * truth).sum(), lesion.sum() + truth.sum()),
    }
    free = torch.from_numpy(batch.free).to(logits.device)
    if bool(free.any()):
        taken = lesion[free].flatten(1).sum(1)
        parts["false_positive"] = (taken / (taken + _FREE_VOXELS)).sum() / len(free)
    if batch.lesions.count:
        parts.update(_each_lesion(lesion, entropy, batch.lesions))
    if batch.spots.count:
        parts["spots"] = _SPOT_SHARE * _each_spot(lesion, batch.spots)
    if logits.shape[1] > 2:
        parts["organ_dice_loss"] = _ORGAN_SHARE * _organ_loss(log_p, own, labels, known)
    return parts


def _dice_loss(common: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
    return 1.0 - (2.0 * common + _SMOOTH) / (both + _SMOOTH)


def _each_lesion(lesion: torch.Tensor, entropy: torch.Tensor, lesions: Regions) -> dict[str, torch.Tensor]:
    """Mean Dice loss and cross entropy of lesions, each with what is around it."""
    places, inside, summed = _on(lesion, lesions)
    taken, size = lesion.flatten()[places], summed(inside)
    dice = _dice_loss(summed(taken * inside), summed(taken) + size)
    missed = summed(entropy.flatten()[places] * inside) / size
    return {"lesion_dice_loss": dice.mean(), "lesion_entropy": _LESION_ENTROPY_SHARE * missed.mean()}


def _each_spot(lesion: torch.Tensor, spots: Regions) -> torch.Tensor:
    """Mean share that is taken for lesion of hot spots, with its cross entropy: what lesions get, the other way round.

    Without it a network learns that each spot that is hot alone is a lesion, since a few voxels of bowel cost nothing.
    """
    import torch

    places, inside, summed = _on(lesion, spots)
    taken = lesion.flatten()[places]
    entropy = -torch.log1p(-taken.clamp(max=1.0 - 1e-6))
    return (summed(taken + _LESION_ENTROPY_SHARE * entropy) / summed(inside)).mean()


def _on(lesion: torch.Tensor, regions: Regions) -> tuple[torch.Tensor, torch.Tensor, Callable[..., torch.Tensor]]:
    """Places and what is inside on a device, and what sums values at the places for each region."""
    import torch

    places = torch.from_numpy(regions.places).to(lesion.device)
    owners = torch.from_numpy(regions.owners).to(lesion.device)
    inside = torch.from_numpy(regions.inside).to(lesion.device).float()

    def summed(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros(regions.count, device=lesion.device).index_add(0, owners, values)

    return places, inside, summed


def _organ_loss(log_p: torch.Tensor, own: torch.Tensor, labels: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean Dice loss of the organs that are in the batch."""
    import torch

    classes = log_p.shape[1]
    flat = labels.clamp(max=classes - 1).flatten()
    used = known.flatten().float()
    zeros = torch.zeros(classes, device=log_p.device)
    common = zeros.index_add(0, flat, own.exp().flatten() * used)[2:]
    size = zeros.index_add(0, flat, used)[2:]
    taken = (log_p[:, 2:].exp() * known[:, None]).sum((0, 2, 3, 4))
    there = size > 0
    if not bool(there.any()):
        return taken.sum() * 0.0
    return _dice_loss(common, taken + size)[there].mean()
