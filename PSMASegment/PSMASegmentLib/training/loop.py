"""The training loop: network, loss, optimizer, averaged weights, checkpoints, and going on after any kill."""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.training.click_rounds import Batch, Target
from PSMASegmentLib.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch

Progress = Callable[[float, str], None]
# What may change between two parts of one run.
_FREE = ("output", "organ_maps", "threads", "device", "checkpoint_s", "test_crops", "title", "note")
# A lesion of this volume weighs half of a huge one in the cross entropy.
_CE_ML = 2.0
# Little of it: it tells apart where Dice does not, but makes the network hedge about borders.
_CE_SHARE = 0.05
_GRADIENT_NORM = 5.0
_FIRST_LOGIT = -4.0


class Rounds(Protocol):
    """Where batches come from."""

    def round(self, number: int) -> Generator[Batch, npt.NDArray[np.float32], None]:
        """Batches of one round, each answered by ``send`` of the probabilities."""


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


class Training:
    """A run that can be stopped at any moment; the same seed gives the same network, stopped or not."""

    def __init__(self, config: TrainingConfig, rounds: Rounds) -> None:
        import torch
        from monai.losses import DiceLoss

        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config = config
        self.finished_rounds = 0
        self.seconds = 0.0
        self._rounds = rounds
        self._device = torch.device(config.device)
        self.network = new_network(config).to(self._device, memory_format=torch.channels_last_3d)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        # Per lesion, so that a small one counts as much as a large one.
        self._dice_loss = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)
        self._checkpoint = config.output / "checkpoint.pt"
        if self._checkpoint.exists():
            self._resume()

    def run(self, progress: Progress | None = None, *, minutes: float | None = None) -> None:
        """Train to the last round, or for ``minutes``. Whatever stops it, the last checkpoint is complete."""
        from torch.utils.tensorboard import SummaryWriter

        self.config.output.mkdir(parents=True, exist_ok=True)
        with SummaryWriter(str(self.config.output / "tensorboard"), purge_step=self.finished_rounds) as writer:
            saved = begun = time.monotonic()
            while self.finished_rounds < self.config.rounds:
                started = time.monotonic()
                if minutes is not None and started - begun > 60.0 * minutes:
                    break
                losses, dices = self._round()
                self.finished_rounds += 1
                self.seconds += time.monotonic() - started
                self._write(writer, losses, dices)
                if time.monotonic() - saved > self.config.checkpoint_s:
                    self.save()
                    saved = time.monotonic()
                if progress is not None:
                    before = " ".join(f"{value:.3f}" for value in dices)
                    text = f"Round {self.finished_rounds}: loss {np.mean(losses):.3f}, Dice before each click {before}"
                    progress(self.finished_rounds / self.config.rounds, text)
        self.save()

    def save(self) -> None:
        """Write the checkpoint as a whole or not at all."""
        import torch

        values = {
            "settings": settings_hash(self.config),
            "round": self.finished_rounds,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        partial = self._checkpoint.with_suffix(".partial")
        self.config.output.mkdir(parents=True, exist_ok=True)
        torch.save(values, partial)
        partial.replace(self._checkpoint)

    def _resume(self) -> None:
        import torch

        try:
            values: dict[str, Any] = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
        except (OSError, RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"The checkpoint {self._checkpoint} cannot be read ({error}). Delete it to begin anew."
            ) from error
        if values.get("settings") != settings_hash(self.config):
            raise ValueError(
                f"The checkpoint {self._checkpoint} belongs to other settings. Go on with those it was made with, or "
                "give another output folder."
            )
        self.network.load_state_dict(values["network"])
        self.averaged.load_state_dict(values["averaged"])
        self._optimizer.load_state_dict(values["optimizer"])
        self.finished_rounds = int(values["round"])
        self.seconds = float(values["seconds"])

    def _round(self) -> tuple[list[float], list[float]]:
        """Train on one round: the loss of each batch, and the mean Dice of the masks that each batch began with."""
        losses, dices = [], []
        rate = self._learning_rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batches = self._rounds.round(self.finished_rounds)
        batch = next(batches)
        while True:
            loss, answers = self._step(batch)
            losses.append(loss)
            dices.append(float(np.mean(batch.dice)))
            try:
                batch = batches.send(answers)
            except StopIteration:
                return losses, dices

    def _step(self, batch: Batch) -> tuple[float, npt.NDArray[np.float32]]:
        """One step of the optimizer: the loss, and the probabilities (n, z, y, x) before it."""
        import torch

        self.network.train()
        inputs = torch.from_numpy(batch.inputs).to(self._device, memory_format=torch.channels_last_3d)
        logits = self.network(inputs)
        losses = [self._loss(answer[0], target) for answer, target in zip(logits, batch.targets, strict=True)]
        loss = torch.stack(losses).mean()
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_NORM)
        self._optimizer.step()
        self._average()
        return float(loss.detach()), torch.sigmoid(logits.detach())[:, 0].cpu().numpy()

    def _loss(self, logits: torch.Tensor, target: Target) -> torch.Tensor:
        """Dice and cross entropy of one lesion on voxels of the scan, which the logits (z, y, x) are brought to."""
        import torch

        for axis, matrix in enumerate(target.matrices):
            weights = torch.from_numpy(matrix).to(self._device)
            logits = torch.tensordot(weights, logits, dims=([1], [axis])).movedim(0, axis)
        truth = torch.from_numpy(target.truth).to(self._device)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum")
        # Over the size of the lesion, so that a small one counts about as much as a large one.
        entropy = entropy * target.voxel_ml / (truth.sum() * target.voxel_ml + _CE_ML)
        dice: torch.Tensor = self._dice_loss(logits[None, None], truth[None, None])
        return dice + _CE_SHARE * entropy

    def _average(self) -> None:
        """Move the averaged weights a little towards the present ones."""
        import torch

        # Fewer rounds than the span of the average: a plain mean over the later ones.
        share = min(self.config.averaging, (1.0 + self.finished_rounds) / (10.0 + self.finished_rounds))
        with torch.no_grad():
            own, other = self.averaged.state_dict(), self.network.state_dict()
            for name, value in own.items():
                if value.is_floating_point():
                    value.lerp_(other[name], 1.0 - share)
                else:
                    value.copy_(other[name])

    def _learning_rate(self) -> float:
        """A short warm-up, then half a cosine to a hundredth."""
        done = self.finished_rounds / self.config.rounds
        warm = min(1.0, (self.finished_rounds + 1) / max(1.0, 0.02 * self.config.rounds))
        return self.config.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))

    def _write(self, writer: Any, losses: list[float], dices: list[float]) -> None:
        for number, (loss, value) in enumerate(zip(losses, dices, strict=True)):
            writer.add_scalar(f"loss/click_{number + 1}", loss, self.finished_rounds)
            writer.add_scalar(f"dice_before/click_{number + 1}", value, self.finished_rounds)
        writer.add_scalar("learning_rate", self._learning_rate(), self.finished_rounds)


def shaping_settings(config: TrainingConfig) -> dict[str, Any]:
    """All settings that shape the network and what it sees; a checkpoint must agree with them to go on."""
    return {name: value for name, value in sorted(asdict(config).items()) if name not in _FREE}


def settings_hash(config: TrainingConfig) -> str:
    """SHA-256 of the shaping settings."""
    return hashlib.sha256(repr(shaping_settings(config)).encode()).hexdigest()
