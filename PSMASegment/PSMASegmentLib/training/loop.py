"""The training loop: optimizer, averaged weights, checkpoints, and going on after any kill."""

from __future__ import annotations

import copy
import math
import pickle
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PSMASegmentLib.training.run_config import RunConfig

if TYPE_CHECKING:
    import torch

Progress = Callable[[float, str], None]
_GRADIENT_NORM = 5.0
_MOST_LEFT_OUT = 20  # steps in a row
_UNREADABLE = (OSError, RuntimeError, EOFError, LookupError, pickle.UnpicklingError)


class Task(Protocol):
    """What a network is trained for."""

    half: bool
    """Whether it is computed in half precision where the device has it."""

    def network(self) -> torch.nn.Module:
        """The network with the weights that training begins with; logits come out."""

    def round(self, number: int) -> Generator[Any, Any, None]:
        """Batches of one round with their ``inputs`` (n, channels, z, y, x), each answered by ``send``."""

    def loss(self, logits: torch.Tensor, batch: Any) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of a batch, and other figures of it by name to show."""

    def answers(self, logits: torch.Tensor) -> Any:
        """What is sent back to the round for logits."""


class Training:
    """A run that can be stopped at any moment; on one kind of CPU the same seed gives the same network, stopped or not.

    CPUs that compute in bfloat16 do so, which takes two thirds of the time. On a GPU sums are added up in another order
    each time, so that networks of one seed differ by rounding.
    """

    def __init__(self, config: RunConfig, task: Task) -> None:
        import torch

        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config = config
        self.finished_rounds = 0
        self.seconds = 0.0
        self._task = task
        self._left_out = 0
        self._device = _device(config)
        self._half = _half_type(self._device) if task.half else None
        self.network = task.network().to(self._device, memory_format=torch.channels_last_3d)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        # float16 loses small gradients unless the loss is scaled up; bfloat16 does not.
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._half == torch.float16)
        self._checkpoint = checkpoint_of(config)
        if self._checkpoint.exists():
            self._resume()

    def run(self, progress: Progress | None = None, *, minutes: float | None = None) -> None:
        """Train to the last round, or for ``minutes``. Whatever stops it, the last checkpoint is complete."""
        from torch.utils.tensorboard import SummaryWriter

        self.config.output.mkdir(parents=True, exist_ok=True)
        with SummaryWriter(str(self.config.output / "tensorboard"), purge_step=self.finished_rounds + 1) as writer:
            saved = begun = time.monotonic()
            while self.finished_rounds < self.config.rounds:
                started = time.monotonic()
                if minutes is not None and started - begun > 60.0 * minutes:
                    break
                steps = self._round()
                self.finished_rounds += 1
                self.seconds += time.monotonic() - started
                self._write(writer, steps)
                if time.monotonic() - saved > self.config.checkpoint_s:
                    self.save()
                    saved = time.monotonic()
                if progress is not None:
                    progress(self.finished_rounds / self.config.rounds, _message(self.finished_rounds, steps))
        self.save()

    def save(self) -> None:
        """Write the checkpoint as a whole or not at all."""
        import torch

        values = {
            "settings": self.config.settings_hash(),
            "round": self.finished_rounds,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }
        partial = self._checkpoint.with_suffix(".partial")
        self.config.output.mkdir(parents=True, exist_ok=True)
        torch.save(values, partial)
        partial.replace(self._checkpoint)

    def _resume(self) -> None:
        values = read_checkpoint(self._checkpoint, self.config.device)
        if values.get("settings") != self.config.settings_hash():
            raise ValueError(
                f"The checkpoint {self._checkpoint} belongs to other settings. Go on with those it was made with, or "
                "give another output folder."
            )
        self.network.load_state_dict(values["network"])
        self.averaged.load_state_dict(values["averaged"])
        self._optimizer.load_state_dict(values["optimizer"])
        if self._scaler.is_enabled() and values.get("scaler"):
            self._scaler.load_state_dict(values["scaler"])
        self.finished_rounds = int(values["round"])
        self.seconds = float(values["seconds"])

    def _round(self) -> list[dict[str, float]]:
        """Train on one round: the figures of each batch."""
        steps = []
        rate = self._learning_rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batches = self._task.round(self.finished_rounds)
        batch = next(batches)
        while True:
            figures, answers = self._step(batch)
            steps.append(figures)
            try:
                batch = batches.send(answers)
            except StopIteration:
                return steps

    def _step(self, batch: Any) -> tuple[dict[str, float], Any]:
        """One step of the optimizer: the figures of the batch, and the answers before it."""
        import torch

        self.network.train()
        inputs = torch.from_numpy(batch.inputs).to(self._device, memory_format=torch.channels_last_3d)
        with torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None):
            logits = self.network(inputs)
        logits = logits.float()
        loss, figures = self._task.loss(logits, batch)
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_NORM)
        self._count_left_out(bool(torch.isfinite(norm)))
        if not self._left_out:
            self._scaler.step(self._optimizer)
            self._average()
        self._scaler.update()
        return {"loss": float(loss.detach()), **figures}, self._task.answers(logits.detach())

    def _count_left_out(self, is_finite: bool) -> None:
        """Steps whose gradients are not finite are left out: half precision has such at times. Raise where all are.

        Torch 2.13 was seen to give arbitrary gradients in bfloat16 on the CPU for kernels larger than their grid.
        """
        self._left_out = 0 if is_finite else self._left_out + 1
        if self._left_out > _MOST_LEFT_OUT:
            raise ValueError(
                f"The gradients of {self._left_out} steps in a row were not finite (round {self.finished_rounds + 1}). "
                "Delete the checkpoint and train with a lower learning_rate, or with fewer strides, so that the "
                "coarsest grid has four voxels a side."
            )

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

    def _write(self, writer: Any, steps: list[dict[str, float]]) -> None:
        for number, figures in enumerate(steps, start=1):
            for name, value in figures.items():
                writer.add_scalar(f"{name}/step_{number}", value, self.finished_rounds)
        writer.add_scalar("learning_rate", self._learning_rate(), self.finished_rounds)


def checkpoint_of(config: RunConfig) -> Path:
    """Where a run keeps its checkpoint."""
    return config.output / "checkpoint.pt"


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """What a checkpoint holds. Raises ValueError where it cannot be read."""
    import torch

    try:
        values: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if not {"round", "network", "averaged"} <= set(values):
            raise LookupError("it is no checkpoint of a training")
    except _UNREADABLE as error:
        raise ValueError(f"The checkpoint {path} cannot be read ({error}). Delete it to begin anew.") from error
    return values


def _message(number: int, steps: list[dict[str, float]]) -> str:
    """The figures of a round in one line."""
    told = [f"{name.replace('_', ' ')} {' '.join(f'{figures[name]:.3f}' for figures in steps)}" for name in steps[0]]
    return f"Round {number}: {', '.join(told)}"


def _device(config: RunConfig) -> torch.device:
    import torch

    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("The configuration says device: cuda, and torch finds no such device here. Set device: cpu.")
    return torch.device(config.device)


def _half_type(device: torch.device) -> torch.dtype | None:
    """The half precision that a device computes fast in; None for CPUs that would only emulate it."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # Older torch cannot tell what the CPU is able to.
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else None


def part(progress: Progress | None, low: float, high: float) -> Progress | None:
    """The progress of a part of the work, which goes from ``low`` to ``high`` of the whole."""
    if progress is None:
        return None
    return lambda fraction, message: progress(low + (high - low) * fraction, message)
