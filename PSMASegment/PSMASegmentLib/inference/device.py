"""On which processor a network runs, with how many threads, and what happens when its memory is not enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Device:
    """Where a network runs: ``name`` as torch says it ("cpu", "cuda:0"), ``title`` for people, threads of the CPU."""

    name: str
    title: str
    threads: int

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU of NVIDIA (or AMD under torch's name for it)."""
        return self.name.startswith("cuda")


@dataclass(frozen=True)
class Attempt:
    """One way to run: a device, how many windows are asked at a time, and by how much their sides are divided."""

    device: Device
    batch: int
    divided: int = 1

    def describe(self) -> str:
        """For a message."""
        windows = f"{self.batch} window{'s' if self.batch > 1 else ''} at a time"
        return f"{self.device.title}, {windows}" + (", windows of half the side" if self.divided > 1 else "")


def cpu_threads() -> int:
    """Threads for computing: one core of those this process may use stays free for the user interface.

    A number in OMP_NUM_THREADS is obeyed.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said) > 0:
        return int(said)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def choose_device(wanted: str | None = None) -> Device:
    """The device to run on: ``wanted`` ("cpu", "cuda", "cuda:1"), else a GPU where torch finds one, else the CPU.

    Without torch there is the CPU alone, on which an OpenVINO export runs. Raises ValueError for a device that is not
    there.
    """
    threads = cpu_threads()
    cpu = Device("cpu", f"CPU ({threads} thread{'s' if threads > 1 else ''})", threads)
    if wanted == "cpu":
        return cpu
    try:
        import torch
    except ImportError as error:
        if wanted is None:
            return cpu
        raise ValueError(
            f'There is no device "{wanted}" here: torch, which finds GPUs, is not installed. Use "cpu", or leave it '
            "out."
        ) from error
    if wanted is None:
        if not torch.cuda.is_available():
            return cpu
        wanted = "cuda:0"
    kind, _, number = wanted.partition(":")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind != "cuda" or not (number or "0").isdigit() or int(number or 0) >= count:
        raise ValueError(f'There is no device "{wanted}" here: torch finds {count} GPU(s). Use "cpu", or leave it out.')
    return Device(f"cuda:{number or 0}", torch.cuda.get_device_name(int(number or 0)), threads)


def attempts(device: Device, mirrorings: int) -> list[Attempt]:
    """Ways to run, the fastest first: on a GPU all mirrorings of a window together, one, a smaller one; then the CPU.

    Smaller windows see less around a voxel, so that their labels differ a little; whoever runs has to say so.
    """
    if not device.is_cuda:
        return [Attempt(device, 1)]
    together = [Attempt(device, mirrorings)] if mirrorings > 1 else []
    return [*together, Attempt(device, 1), Attempt(device, 1, 2), Attempt(choose_device("cpu"), 1)]


def first_that_fits(
    ways: Sequence[Attempt], run: Callable[[Attempt], Result], say: Callable[[str], None]
) -> tuple[Result, Attempt]:
    """What ``run`` gives for the first way whose memory is enough, and that way.

    ``say`` is told whenever another way has to be taken. Raises MemoryError, saying what to do, when none fits.
    """
    for number, way in enumerate(ways):
        try:
            return run(way), way
        except MemoryError as error:
            release_memory()
            if number + 1 == len(ways):
                raise MemoryError(
                    f"The memory is not enough for this network ({way.describe()}: {error}). Close other programs, or "
                    "use a smaller model."
                ) from error
            say(f"Memory of {way.describe()} was not enough; went on with {ways[number + 1].describe()}.")
    raise ValueError("There is no way to run the network.")


def release_memory() -> None:
    """Give the memory of a GPU that torch keeps for later back; it keeps none where nobody imported it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
