"""What a click network is trained for: its structure, its loss and the rounds of clicks it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.training.click_rounds import Batch, ClickRounds, Target
from PSMASegmentLib.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch

# A lesion of this volume weighs half of a huge one in the cross entropy.
_CE_ML = 2.0
# Little of it: it tells apart where Dice does not, but makes the network hedge about borders.
_CE_SHARE = 0.05
_FIRST_LOGIT = -4.0


class ClickTask(ClickRounds):
    """Rounds of clicks with the network that answers them; a ``loop.Task``."""

    half = False

    def network(self) -> torch.nn.Module:
        """The network with random weights."""
        return new_network(self._config)

    def loss(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean loss of the lesions of a batch, and the mean Dice of the masks that it began with."""
        import torch

        losses = [_loss(answer[0], target) for answer, target in zip(logits, batch.targets, strict=True)]
        return torch.stack(losses).mean(), {"dice_before": float(np.mean(batch.dice))}

    def answers(self, logits: torch.Tensor) -> npt.NDArray[np.float32]:
        """The probabilities (n, z, y, x) that readers see."""
        import torch

        probabilities: npt.NDArray[np.float32] = torch.sigmoid(logits)[:, 0].cpu().numpy()
        return probabilities


def new_network(config: TrainingConfig) -> torch.nn.Module:
    """The network of a configuration with random weights; logits come out.

    MONAI's U-Net with residual units does the thinking on strided grids, two convolutions that also see the inputs
    draw the border on the full grid.
    """
    import torch
    from monai.networks.layers.simplelayers import SkipConnection
    from monai.networks.nets import UNet

    unet = UNet(
        spatial_dims=3,
        in_channels=len(config.channels),
        out_channels=1,
        channels=config.widths,
        strides=config.strides,
        num_res_units=1,
        norm="BATCH",
    )
    # Almost every voxel is no lesion: starting there spares the first rounds.
    last = [module for module in unet.modules() if isinstance(module, torch.nn.Conv3d)][-1]
    if last.bias is not None:
        torch.nn.init.constant_(last.bias, _FIRST_LOGIT)
    seen, fine = len(config.channels) + 1, config.fine_width
    details = torch.nn.Sequential(
        torch.nn.Conv3d(seen, fine, 3, padding=1, bias=False), torch.nn.BatchNorm3d(fine), torch.nn.PReLU()
    )
    border = torch.nn.Conv3d(seen + fine, 1, 3, padding=1)
    # At first the answer of the U-Net as it is: the last of what it is joined to.
    torch.nn.init.zeros_(border.weight)
    torch.nn.init.zeros_(border.bias)
    with torch.no_grad():
        border.weight[0, seen - 1, 1, 1, 1] = 1.0
    return torch.nn.Sequential(SkipConnection(unet), SkipConnection(details), border)


def _loss(logits: torch.Tensor, target: Target) -> torch.Tensor:
    """Dice and cross entropy of one lesion on voxels of the scan, which the logits (z, y, x) are brought to."""
    import torch
    from monai.losses import DiceLoss

    for axis, matrix in enumerate(target.matrices):
        weights = torch.from_numpy(matrix).to(logits.device)
        logits = torch.tensordot(weights, logits, dims=([1], [axis])).movedim(0, axis)
    truth = torch.from_numpy(target.truth).to(logits.device)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum")
    # Over the size of the lesion, so that a small one counts about as much as a large one.
    entropy = entropy * target.voxel_ml / (truth.sum() * target.voxel_ml + _CE_ML)
    # Per lesion, so that a small one counts as much as a large one.
    dice_loss = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)
    dice: torch.Tensor = dice_loss(logits[None, None], truth[None, None])
    return dice + _CE_SHARE * entropy
