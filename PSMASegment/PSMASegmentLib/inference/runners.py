"""A network as a ``Runner``: of torch as frozen TorchScript or by OpenVINO on the CPU, half precision on a GPU.

An OpenVINO export runs without torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from PSMASegmentLib.inference.device import Device
from PSMASegmentLib.inference.network import Runner, Triple, Values
from PSMASegmentLib.networks.openvino_ir import OpenVinoIr, compiled_for_cpu, is_installed, model_of

if TYPE_CHECKING:
    import torch

ENGINES = ("auto", "openvino", "torchscript", "eager")


def make_runner(
    module: torch.nn.Module,
    channels: int,
    patch: Triple,
    device: Device,
    engine: str = "auto",
    watched: Triple | None = None,
) -> Runner:
    """A runner for a network that takes (n, channels, *patch) and gives logits (n, classes, *patch).

    ``engine``: "openvino" and "torchscript" compile it for the CPU, "eager" runs it as it is; "auto" takes OpenVINO on
    the CPU where it is installed and knows every layer, else TorchScript. The network must be one that may be run: this
    asks it.

    ``watched``: size of the windows on which compilers may watch it at work, ``patch`` by default. Torch keeps all that
    the network computes meanwhile, for a full window more than asking it ever takes.

    Raises ValueError for an unknown engine or a network whose answer is no logits of that size, ImportError where what
    the engine needs is not installed, MemoryError, and RuntimeError where the network fails.
    """
    if engine not in ENGINES:
        raise ValueError(f'There is no engine "{engine}" for networks. Available: {", ".join(ENGINES)}.')
    module = module.eval()
    if engine == "auto" and not device.is_cuda and is_installed("openvino"):
        try:
            return OpenVinoRunner(_converted(module, channels, patch, watched or patch), channels, patch, device)
        except RuntimeError:  # a layer that OpenVINO does not know; the runner's name says which engine it became
            engine = "torchscript"
    if engine == "openvino" and not device.is_cuda:
        return OpenVinoRunner(_converted(module, channels, patch, watched or patch), channels, patch, device)
    return TorchRunner(module, channels, patch, device, None if engine == "eager" else watched or patch)


def ir_runner(ir: OpenVinoIr, channels: int, patch: Triple, device: Device) -> Runner:
    """A runner for an OpenVINO export that answers as ``make_runner`` says. Raises as it does; torch is not needed."""
    return OpenVinoRunner(model_of(ir, (1, channels, *patch)), channels, patch, device)


class TorchRunner:
    """A network in torch, frozen to TorchScript where a size of windows is given to watch it on."""

    def __init__(
        self, module: torch.nn.Module, channels: int, patch: Triple, device: Device, watched: Triple | None
    ) -> None:
        import torch

        self.patch: Triple = patch
        self.engine = "torch" if watched is None else "TorchScript"
        self.precision = "float16 where torch holds it for safe" if device.is_cuda else "float32"
        self._device = device
        if not device.is_cuda:
            torch.set_num_threads(device.threads)
        layout = {"memory_format": torch.channels_last_3d}
        with _memory_error(), torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is announced to go; tracing warns of sizes that are constant
            module = module.to(device.name, **layout)
            if watched is not None:
                example = torch.zeros((1, channels, *watched), device=device.name).contiguous(**layout)
                module = _frozen(module, example)
        self._module = module
        self.classes: int = int(_checked_shape(self(np.zeros((1, channels, *patch), np.float32)).shape, patch))

    def __call__(self, windows: Values) -> Values:
        """Logits (n, classes, z, y, x)."""
        import torch

        half = torch.autocast("cuda", dtype=torch.float16, enabled=self._device.is_cuda)
        with _memory_error(), torch.inference_mode(), half:
            questions = torch.from_numpy(np.ascontiguousarray(windows)).to(self._device.name)
            answer = self._module(questions.contiguous(memory_format=torch.channels_last_3d))
            if not isinstance(answer, torch.Tensor):
                raise ValueError(f"The network gave a {type(answer).__name__}; one tensor of logits is needed.")
            logits: Values = answer.float().contiguous().cpu().numpy()
        return logits


class OpenVinoRunner:
    """A network compiled by OpenVINO for the CPU, in float32, for one window at a time: that takes the least memory."""

    engine = "OpenVINO"
    precision = "float32"

    def __init__(self, model: Any, channels: int, patch: Triple, device: Device) -> None:
        """``model`` is one of openvino that takes (1, channels, *patch)."""
        self.patch: Triple = patch
        with _memory_error():
            self._model = compiled_for_cpu(model, device.threads)
        self.classes: int = int(_checked_shape(self(np.zeros((1, channels, *patch), np.float32)).shape, patch))

    def __call__(self, windows: Values) -> Values:
        """Logits (n, classes, z, y, x)."""
        with _memory_error():
            answers = [np.asarray(self._model([window[None]])[0], dtype=np.float32) for window in windows]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)


def _converted(module: torch.nn.Module, channels: int, patch: Triple, watched: Triple) -> Any:
    """A network of torch as a model of openvino, which watches it on a window of size ``watched``."""
    import openvino
    import torch
    from openvino.frontend import GeneralFailure, NotImplementedFailure, OpConversionFailure

    example = torch.zeros((1, channels, *watched))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that tracing takes for constant
        try:
            return openvino.convert_model(module, example_input=example, input=[1, channels, *patch])
        except (GeneralFailure, NotImplementedFailure, OpConversionFailure) as error:
            raise RuntimeError(f"OpenVINO cannot run this network: {str(error).strip().splitlines()[-1]}") from error


@contextmanager
def _memory_error() -> Iterator[None]:
    """Errors of too little memory of torch and OpenVINO as MemoryError; on the CPU their words alone tell them."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        if "out of memory" in said.lower() or "can't allocate memory" in said or "bad_alloc" in said:
            raise MemoryError(str(error).strip().splitlines()[0]) from error
        raise


def _frozen(module: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
    """TorchScript with its weights as constants; a program that is TorchScript already is not traced again."""
    import torch

    if not isinstance(module, torch.jit.ScriptModule):
        module = torch.jit.trace(module, example, check_trace=False)
    if not hasattr(module, "training"):  # frozen when it was saved
        return module
    frozen: torch.nn.Module = torch.jit.freeze(module)
    return frozen


def _checked_shape(shape: tuple[int, ...], patch: Triple) -> int:
    """The number of classes of an answer to one window."""
    if len(shape) != 5 or tuple(shape[2:]) != patch:
        raise ValueError(
            f"The network answers a window of {patch} voxels by an array of shape {tuple(shape)}; logits of the same "
            "size, (1, classes, z, y, x), are needed."
        )
    return shape[1]
