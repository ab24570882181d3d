"""A click network at work: the probability of lesion around a click."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import special

from PSMASegmentLib.networks.channels import CHANNELS, input_channels
from PSMASegmentLib.networks.openvino_ir import compiled_for_cpu, model_of, read_ir
from PSMASegmentLib.networks.package import Flips, ModelPackage, require_trust, runs_as_data
from PSMASegmentLib.networks.request import ClickRequest

if TYPE_CHECKING:
    import torch

Answer = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Gives the probability (z, y, x) for input channels (c, z, y, x)."""


class ClickNetwork:
    """A loaded network; keep it, loading costs more than asking."""

    def __init__(self, package: ModelPackage, answer: Answer, sha256: str | Mapping[str, str]) -> None:
        """``answer`` is the network; ``sha256`` is that of what it was loaded from, or of each file by its name."""
        self.package, self.sha256 = package, sha256
        self._answer = answer

    @classmethod
    def load(cls, package: ModelPackage, threads: int | None = None) -> ClickNetwork:
        """Load the network of a package on the CPU; ``threads`` of it are used by the whole process (None: as it is).

        It is the OpenVINO export where the package has one and openvino is installed, else the TorchScript program.
        Raises ImportError where nothing is installed that runs it, and ValueError for a program that is not trusted,
        for a file that is not the one that was verified, and for a package that wants what this version does not know.
        """
        unknown = [name for name in package.channels if name not in CHANNELS]
        if unknown or package.kind != "click":
            raise ValueError(
                f"The model package {package.folder} cannot be used here: kind {package.kind}, channels that this "
                f"version does not know: {', '.join(unknown) or 'none'}. Update the software."
            )
        as_data = runs_as_data(package)
        answer = _exported(package, threads) if as_data else _trusted_program(package, threads)
        # Twice on nothing, so that the first click does not pay for what is prepared then.
        for _ in range(2):
            answer(np.zeros((len(package.channels), *(package.voxels,) * 3), np.float32))
        return cls(package, answer, package.openvino if as_data else package.sha256)

    def probability(self, request: ClickRequest) -> npt.NDArray[np.float32]:
        """Probability (z, y, x on the grid of the request) that a voxel belongs to the lesion.

        It is scaled so that 0.5 is where the package draws the border. Raises ValueError for a request that the network
        was not trained on: another grid or modality.
        """
        package, grid = self.package, request.grid
        if grid.voxels != package.voxels or abs(grid.spacing_mm - package.spacing_mm) > 1e-6:
            raise ValueError(
                f"The network {package.name} wants {package.voxels} voxels of {package.spacing_mm} mm a side, not "
                f"{grid.voxels} of {grid.spacing_mm} mm."
            )
        if request.modality not in package.modalities:
            raise ValueError(
                f"The network {package.name} was trained for {', '.join(package.modalities)}, not {request.modality}. "
                "Clicks without network work all the same."
            )
        channels = input_channels(request, package.channels)
        return with_level(self._answer(channels), package.level)


def _trusted_program(package: ModelPackage, threads: int | None) -> Answer:
    """The TorchScript program of a package. Raises as ``ClickNetwork.load``."""
    try:
        import torch
    except ImportError as error:
        if not package.openvino:
            raise
        raise ImportError(
            "openvino (pip install 'psmatheranostics[openvino]') or torch (pip install 'psmatheranostics[network]'), "
            f"one of which the network {package.name} needs: {error}"
        ) from error
    require_trust(package)
    if threads is not None:
        torch.set_num_threads(threads)
    # Verified and loaded are the same bytes, even if the file changes meanwhile.
    content = package.network_file.read_bytes()
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise ValueError(f"{package.network_file} has changed since it was verified. Install the package again.")
    try:
        network = load_program(content)
    except RuntimeError as error:
        raise ValueError(f"{package.network_file} cannot be loaded by torch {torch.__version__}: {error}") from error
    return lambda channels: run_program(network, channels, package.flips)


def _exported(package: ModelPackage, threads: int | None) -> Answer:
    """The OpenVINO export of a package. Raises ValueError where it has changed or cannot be loaded."""
    import openvino

    ir = read_ir(package.folder, package.openvino)
    shape = (1, len(package.channels), *(package.voxels,) * 3)
    try:
        network = compiled_for_cpu(model_of(ir, shape), threads or 0)  # 0: as many as openvino wants
    except RuntimeError as error:
        raise ValueError(
            f"The OpenVINO export of {package.folder} cannot be loaded by openvino {openvino.__version__}: {error}"
        ) from error
    return lambda channels: run_export(network, channels, package.flips)


def load_program(content: bytes) -> torch.jit.ScriptModule:
    """A TorchScript program on the CPU. Raises RuntimeError where the bytes are none. Only for trusted bytes."""
    import torch

    return torch.jit.load(io.BytesIO(content), map_location="cpu").eval()


def run_program(
    network: torch.jit.ScriptModule, channels: npt.NDArray[np.float32], flips: Flips = ((),)
) -> npt.NDArray[np.float32]:
    """The probability (z, y, x) that a network gives for input channels (c, z, y, x).

    ``flips`` are axes (0 to 2 for z, y, x) to mirror the question along, once for each entry; the logits are averaged.
    Raises RuntimeError where the network fails.
    """
    import torch

    questions = [np.flip(channels, tuple(axis + 1 for axis in axes)) for axes in flips]
    with torch.inference_mode():
        try:
            logits = network(torch.from_numpy(np.stack(questions)))[:, 0]
        except torch.jit.Error as error:  # no RuntimeError, though it means the same to a caller
            what = str(error).strip().splitlines()[-1]  # what went wrong, below where in the program
            raise RuntimeError(what) from error
        straight = [torch.flip(answer, axes) for answer, axes in zip(logits, flips, strict=True)]
        probability: npt.NDArray[np.float32] = torch.sigmoid(torch.stack(straight).mean(dim=0)).numpy()
    return probability


def run_export(network: Any, channels: npt.NDArray[np.float32], flips: Flips = ((),)) -> npt.NDArray[np.float32]:
    """As ``run_program``, of a network that OpenVINO compiled for one question (1, c, z, y, x) at a time."""
    total = np.zeros(channels.shape[1:], np.float32)
    for axes in flips:
        question = np.flip(channels, tuple(axis + 1 for axis in axes))
        total += np.flip(network([np.ascontiguousarray(question)[None]])[0][0, 0], axes)
    probability: npt.NDArray[np.float32] = special.expit(total / np.float32(len(flips)))
    return probability


def with_level(probability: npt.NDArray[np.float32], level: float) -> npt.NDArray[np.float32]:
    """Probabilities bent so that ``level`` (between 0 and 1) becomes 0.5, while 0, 1 and their order stay."""
    odds = (1.0 - level) / level
    scaled = odds * probability / (1.0 - probability + odds * probability)
    return np.asarray(scaled, dtype=np.float32)
