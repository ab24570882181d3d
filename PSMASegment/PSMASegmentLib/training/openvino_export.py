"""A trained network as an OpenVINO export, which runs on the CPU without torch.

Weights are stored as float16 where that loses nothing, and as float32 elsewhere. OpenVINO's own converter would round
more: it puts batch norms into the kernels before them, which float16 then holds no longer, and variances of batch
norms may be far beyond its range (24 million in an earlier network; float16 ends at 65504).
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from PSMASegmentLib.networks.openvino_ir import (
    WEIGHTS_FILE,
    XML_FILE,
    OpenVinoIr,
    compiled_for_cpu,
    is_installed,
    model_of,
)

if TYPE_CHECKING:
    import torch

NOT_INSTALLED = (
    "The package gets no OpenVINO export and will need torch: openvino is not installed (pip install "
    "'psmatheranostics[openvino]')."
)
_TOLERANCE = 1e-3
"""Of logits, as a share of them and absolute; other than by rounding the two programs must not differ."""


def with_half_kernels(network: torch.nn.Module) -> torch.nn.Module:
    """A copy on the CPU, to be asked, in which kernels and biases of convolutions are what float16 holds.

    Both programs of a package are made of it, so that they are the same network. Batch norms stay as they are: their
    variances do not fit into float16. So do weights beyond its range.
    """
    import torch

    network = copy.deepcopy(network).cpu().eval()
    for part in network.modules():
        if isinstance(part, (torch.nn.Conv3d, torch.nn.ConvTranspose3d)):
            for weights in part.parameters(recurse=False):
                rounded = weights.data.half().float()
                if bool(torch.isfinite(rounded).all()):
                    weights.data = rounded
    return network


def openvino_export(network: torch.nn.Module, channels: int, sides: Sequence[int]) -> tuple[OpenVinoIr | None, str]:
    """The export of a network on the CPU, which takes windows of any size; or None, and why there is none.

    It is made with a window of the first of ``sides`` and must answer windows of all of them as the network does.
    """
    if not is_installed("openvino"):
        return None, NOT_INSTALLED
    try:
        ir = _converted(network, channels, sides[0])
        for side in sides:
            _require_same(network, ir, channels, side)
    except (ImportError, RuntimeError) as error:  # another openvino, or a layer that it does not know
        said = str(error).strip().splitlines()[-1]
        return None, f"The package gets no OpenVINO export and will need torch: openvino cannot run it ({said})."
    return ir, ""


def _converted(network: torch.nn.Module, channels: int, side: int) -> OpenVinoIr:
    import openvino
    import torch
    from openvino.frontend import FrontEndManager, GeneralFailure, NotImplementedFailure, OpConversionFailure
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(1, channels, *(side,) * 3)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
        traced = torch.jit.trace(network, example)
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=example)  # openvino does not keep it alive
        try:
            model = frontend.convert(frontend.load(decoder))
        except (GeneralFailure, NotImplementedFailure, OpConversionFailure) as error:
            raise RuntimeError(str(error)) from error
    model.reshape([-1, channels, -1, -1, -1])
    _store_as_half(model)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / XML_FILE
        openvino.save_model(model, file, compress_to_fp16=False)
        contents = {part: file.with_name(part).read_bytes() for part in (XML_FILE, WEIGHTS_FILE)}
    hashes = {part: hashlib.sha256(content).hexdigest() for part, content in contents.items()}
    return OpenVinoIr(contents[XML_FILE], contents[WEIGHTS_FILE], hashes)


def _store_as_half(model: Any) -> None:
    """Keep constants of a model of openvino as float16 where that is the same; it still computes in float32."""
    import openvino
    from openvino import opset13

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != openvino.Type.f32:
            continue
        values = node.get_data()
        with np.errstate(over="ignore"):  # what is out of range becomes infinite, and is not the same
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            users = list(node.output(0).get_target_inputs())
            widened = opset13.convert(opset13.constant(half), "f32")
            for user in users:
                user.replace_source_output(widened.output(0))
    model.validate_nodes_and_infer_types()


def _require_same(network: torch.nn.Module, ir: OpenVinoIr, channels: int, side: int) -> None:
    """Raise RuntimeError where the export answers otherwise than the network, on noise and beside it on nothing."""
    import torch

    question = np.random.default_rng(1).normal(size=(1, channels, *(side,) * 3)).astype(np.float32)
    question[..., side // 2 :] = 0.0
    with torch.inference_mode():
        expected = network(torch.from_numpy(question)).numpy()
    found = compiled_for_cpu(model_of(ir, question.shape), 1)([question])[0]
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise RuntimeError("it gives other logits than torch")
