"""The two forms of a network for whole studies: a TorchScript program, and its OpenVINO export, which is data."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from typing import Protocol

from PSMASegmentLib.inference.device import Device
from PSMASegmentLib.inference.network import Runner, Triple, Values
from PSMASegmentLib.inference.runners import ir_runner, make_runner
from PSMASegmentLib.inference.sidecar import Sidecar
from PSMASegmentLib.networks.openvino_ir import OpenVinoIr


class Program(Protocol):
    """What a ``WindowModel`` asks.

    ``format`` is for people, ``engine`` runs it unless a setting names another, ``sha256`` is that of the file, or of
    each file by its name.
    """

    @property
    def format(self) -> str: ...

    @property
    def engine(self) -> str: ...

    @property
    def sha256(self) -> str | Mapping[str, str]: ...

    def runner(self, window: Triple, device: Device, engine: str) -> Runner:
        """The network ready for windows (z, y, x).

        Raises ValueError where it cannot be loaded or does not answer, ImportError that says what is missing,
        MemoryError.
        """
        ...


class TorchScriptProgram:
    """A trusted TorchScript file."""

    format = "TorchScript"

    def __init__(self, content: bytes, sidecar: Sidecar, engine: str) -> None:
        """``content`` is the file. Raises ValueError where it is not the one described."""
        if hashlib.sha256(content).hexdigest() != sidecar.sha256:
            raise ValueError(
                f"The program of {sidecar.name} is not the one that its description is for (SHA-256 differs). It was "
                "altered or is incomplete: get it again, together with its description."
            )
        self.engine, self.sha256 = engine, sidecar.sha256
        self._content, self._sidecar = content, sidecar

    def runner(self, window: Triple, device: Device, engine: str) -> Runner:
        """The program on any device, by torch or by what ``make_runner`` makes of it."""
        import torch

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
                program = torch.jit.load(io.BytesIO(self._content), map_location=device.name)
            runner = make_runner(program, len(self._sidecar.channels), window, device, engine)
            return _Guarded(runner, self._sidecar.name, torch.jit.Error)
        except torch.cuda.OutOfMemoryError as error:
            raise MemoryError(str(error).splitlines()[0]) from error
        except (RuntimeError, torch.jit.Error) as error:
            what = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"The program of {self._sidecar.name} cannot be run by torch {torch.__version__}: {what}"
            ) from error


class IrProgram:
    """An OpenVINO export, for the CPU; torch is not imported."""

    format = "OpenVINO IR"
    engine = "openvino"

    def __init__(self, ir: OpenVinoIr, sidecar: Sidecar) -> None:
        self.sha256: Mapping[str, str] = ir.sha256
        self._ir, self._sidecar = ir, sidecar

    def runner(self, window: Triple, device: Device, engine: str) -> Runner:
        """The network by OpenVINO, the one engine of this form."""
        import openvino

        try:
            runner = ir_runner(self._ir, len(self._sidecar.channels), window, device)
            return _Guarded(runner, self._sidecar.name, RuntimeError)
        except RuntimeError as error:
            what = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"The OpenVINO export of {self._sidecar.name} cannot be run by openvino {openvino.__version__}: {what} "
                'Update openvino, or set the engine "torchscript", which needs torch.'
            ) from error


class _Guarded:
    """A runner whose network may fail in its own way: that becomes a ValueError that says which network it was."""

    def __init__(self, runner: Runner, name: str, failure: type[Exception]) -> None:
        self._runner, self._name, self._failure = runner, name, failure
        self.patch, self.classes = runner.patch, runner.classes
        self.engine, self.precision = runner.engine, runner.precision

    def __call__(self, windows: Values) -> Values:
        """Logits (n, classes, z, y, x)."""
        try:
            return self._runner(windows)
        except (RuntimeError, self._failure) as error:
            what = str(error).strip().splitlines()[-1]
            raise ValueError(f"The network {self._name} failed: {what}") from error
