"""A torch network as a ``Runner``: frozen TorchScript or OpenVINO on the CPU, half precision on a GPU."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from PSMASegmentLib.inference.device import Device
from PSMASegmentLib.inference.network import Runner, Triple, Values

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
    if engine == "auto" and not device.is_cuda and importlib.util.find_spec("openvino") is not None:
        try:
            return OpenVinoRunner(module, channels, patch, device, watched or patch)
        except RuntimeError:  # a layer that OpenVINO does not know; the runner's name says which engine it became
            engine = "torchscript"
    if engine == "openvino" and not device.is_cuda:
        return OpenVinoRunner(module, channels, patch, device, watched or patch)
    return TorchRunner(module, channels, patch, device, None if engine == "eager" else watched or patch)


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

    def __init__(self, module: torch.nn.Module, channels: int, patch: Triple, device: Device, watched: Triple) -> None:
        import openvino
        import torch
        from openvino.frontend import GeneralFailure, NotImplementedFailure, OpConversionFailure

        self.patch: Triple = patch
        example = torch.zeros((1, channels, *watched))
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that tracing takes for constant
            try:
                model: Any = openvino.convert_model(module, example_input=example, input=[1, channels, *patch])
            except (GeneralFailure, NotImplementedFailure, OpConversionFailure) as error:
                raise RuntimeError(
                    f"OpenVINO cannot run this network: {str(error).strip().splitlines()[-1]}"
                ) from error
        hints = {
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would take bfloat16 otherwise
            "INFERENCE_NUM_THREADS": device.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._model = openvino.compile_model(model, "CPU", hints)
        self.classes: int = int(_checked_shape(self(np.zeros((1, channels, *patch), np.float32)).shape, patch))

    def __call__(self, windows: Values) -> Values:
        """Logits (n, classes, z, y, x)."""
        answers = [np.asarray(self._model([window[None]])[0], dtype=np.float32) for window in windows]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)


@contextmanager
def _memory_error() -> Iterator[None]:
    """Torch's own errors of too little memory as MemoryError; on the CPU they are known by their words alone."""
    try:
        yield
    except RuntimeError as error:
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
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
