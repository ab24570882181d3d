"""Scans as short vectors, so that one can see whether those of one scanner look different to a network.

By default the vector comes from a trained segmentation network: mean and standard deviation, over the body, of each
channel of one layer. The coarsest is the last convolution on the smallest grid: the middle of a U-Net, which knows
what is where in a body. The first convolution looks at neighboring voxels alone and sees blur and noise better, men
less. The graph of the TorchScript program is cut behind the layer, so that any network of the engine will do. Where it
cannot be cut, the network's answer is pooled instead, and ``about`` says so.

A network for photographs such as DINOv2 does as well where a user has one as a TorchScript file; it sees the coronal
and the sagittal maximum intensity projection. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.inference.device import choose_device
from PSMASegmentLib.inference.package_model import find_package
from PSMASegmentLib.inference.sidecar import Sidecar
from PSMASegmentLib.inference.window_inputs import prepare
from PSMASegmentLib.inference.windows import window_starts
from PSMASegmentLib.networks.package import require_trust, trusted_programs
from PSMASegmentLib.networks.trust import Confirm
from PSMASegmentLib.segmentation import Images

if TYPE_CHECKING:
    import torch

Vector = npt.NDArray[np.float64]
Ask = Callable[[Any], Any]

VIEW_PIXELS = 224
"""Side of the projections for a network for photographs: 16 patches of the 14 pixels of DINOv2."""
COARSEST, FIRST = "coarsest", "first"
LAYERS = (COARSEST, FIRST)
_VIEW_SUV = 10.0  # white in the projections
# Mean and standard deviation of the colors that networks for photographs are used to (ImageNet; torchvision's weights).
_COLOR_MEAN, _COLOR_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Encoder(Protocol):
    """Makes a vector of a study; ``about`` says of what it is made."""

    about: str

    def embed(self, images: Images) -> Vector:
        """The vector of a study; ValueError for images that the network cannot use."""
        ...


def package_encoder(
    name: str, device: str | None = None, confirm: Confirm | None = None, layer: str = COARSEST
) -> NetworkEncoder:
    """The encoder of an installed package for whole studies, by one of ``LAYERS``.

    Raises ValueError for a package that is not there, damaged or not trusted, ImportError without torch.
    """
    package = find_package(name)
    require_trust(package, confirm)
    return NetworkEncoder(package.network_file.read_bytes(), package.sidecar, device, layer)


class NetworkEncoder:
    """One layer of a trusted segmentation network."""

    def __init__(self, content: bytes, sidecar: Sidecar, device: str | None = None, layer: str = COARSEST) -> None:
        """``content`` is the TorchScript file that the sidecar describes. Raises ValueError, ImportError."""
        if hashlib.sha256(content).hexdigest() != sidecar.sha256:
            raise ValueError(f"The program of {sidecar.name} is not the one of its description. Install it again.")
        if layer not in LAYERS:
            raise ValueError(f"There is no layer {layer!r} to look at. Valid are: {', '.join(LAYERS)}.")
        self._sidecar, self._device = sidecar, choose_device(device)
        module = _loaded(content, sidecar.name, self._device.name)
        example = self._tensor(np.zeros((len(sidecar.channels), *sidecar.window), np.float32))
        found = _layer(module, example, layer)
        self._ask: Ask = module if found is None else found
        shape = tuple(self._answer(example).shape)
        where = "answer" if found is None else f"{layer} layer"
        grid = " x ".join(str(size) for size in shape[2:])
        self.about = f"{where} of {sidecar.name}: mean and SD of {shape[1]} channels on {grid} places of a window"

    def embed(self, images: Images) -> Vector:
        """Mean and SD of each channel over the body (SUVbw of 0.1 or more). Raises ValueError as ``prepare`` does."""
        import torch

        prepared, window = prepare(images, self._sidecar), self._sidecar.window
        body = np.ones(prepared.channels.shape[1:], bool) if prepared.body is None else prepared.body
        if not body.any():
            raise ValueError("No voxel of the emission image reaches SUVbw 0.1. Check that the right series was read.")
        missing = [(0, max(0, side - size)) for side, size in zip(window, body.shape, strict=True)]
        channels, body = np.pad(prepared.channels, [(0, 0), *missing]), np.pad(body, missing)
        sums: list[Vector] = []
        for place in itertools.product(*window_starts(body.shape, window, 1.0)):
            z, y, x = (slice(start, start + side) for start, side in zip(place, window, strict=True))
            if body[z, y, x].any():
                features = self._answer(self._tensor(channels[:, z, y, x])).double().cpu()
                inside = torch.from_numpy(body[z, y, x].astype(np.float64))[None, None]
                weights = torch.nn.functional.adaptive_avg_pool3d(inside, features.shape[2:]).expand_as(features)
                parts = (weights, weights * features, weights * features**2)
                sums.append(np.stack([part.sum(dim=(0, 2, 3, 4)).numpy() for part in parts]))
        weight, first, second = np.sum(sums, axis=0)
        mean = first / weight
        vector: Vector = np.concatenate([mean, np.sqrt(np.maximum(second / weight - mean**2, 0.0))])
        return vector

    def _tensor(self, window: npt.NDArray[np.float32]) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(window))[None].to(self._device.name)

    def _answer(self, window: torch.Tensor) -> torch.Tensor:
        import torch

        try:
            with torch.inference_mode():
                answer = self._ask(window)
        except (RuntimeError, torch.jit.Error) as error:
            what = str(error).strip().splitlines()[-1]
            raise ValueError(f"The network {self._sidecar.name} failed: {what}") from error
        if not isinstance(answer, torch.Tensor) or answer.ndim != 5:
            raise ValueError(f"The network {self._sidecar.name} gives no tensor (n, channels, z, y, x).")
        return answer


def _loaded(content: bytes, name: str, device: str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
            module = torch.jit.load(io.BytesIO(content), map_location=device)
            return torch.jit.freeze(module.eval()) if hasattr(module, "training") else module
    except (RuntimeError, torch.jit.Error) as error:
        what = str(error).strip().splitlines()[-1]
        raise ValueError(f"{name} cannot be run by torch {torch.__version__}: {what}") from error


def _layer(module: Any, example: torch.Tensor, which: str) -> Ask | None:
    """The program up to its first convolution, or its last on the smallest grid; None where it cannot be cut there."""
    import torch

    graph = module.graph.copy()
    torch._C._jit_pass_inline(graph)
    count = sum(_is_convolution(node) for node in graph.nodes())
    if not count:
        return None
    try:
        with torch.inference_mode():
            sizes = [answer.shape[2:].numel() for answer in _cut(graph, range(count))(example)]
        coarsest = max(range(count), key=lambda number: (-sizes[number], number))
        layer = _cut(graph, [coarsest if which == COARSEST else 0])
    except (RuntimeError, AttributeError):  # a graph with branches or state, or a torch that has no such functions
        return None
    return lambda window: layer(window)[0]


def _is_convolution(node: Any) -> bool:
    return node.kind() in ("aten::_convolution", "aten::convolution", "aten::conv3d")


def _cut(graph: Any, convolutions: Sequence[int]) -> Ask:
    """A function that gives the outputs of some convolutions of a graph, by their number, as a tuple."""
    import torch

    part = graph.copy()
    found = [node.output() for node in part.nodes() if _is_convolution(node)]
    for _ in list(part.outputs()):
        part.eraseOutput(0)
    for number in convolutions:
        part.registerOutput(found[number])
    torch._C._jit_pass_dce(part)
    inputs = list(part.inputs())
    if not list(inputs[0].uses()):  # the module itself, whose weights are constants by now
        part.eraseInput(0)
    part.makeMultiOutputIntoTuple()
    function: Ask = torch._C._create_function_from_graph("layer", part)
    return lambda window: outputs if isinstance(outputs := function(window), tuple) else (outputs,)


class ViewEncoder:
    """A trusted TorchScript network for photographs, such as DINOv2, shown two projections of the uptake."""

    def __init__(self, file: Path, confirm: Confirm | None = None, device: str | None = None) -> None:
        """``file`` takes (n, 3, 224, 224), gives (n, d). Raises ValueError, also for one nobody trusts; ImportError."""
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ValueError(f"{file} cannot be read ({error}). Give a TorchScript file.") from error
        trusted_programs().require(hashlib.sha256(content).hexdigest(), file, confirm)
        self._name, self._device = file.name, choose_device(device)
        self._module = _loaded(content, str(file), self._device.name)
        self.about = f"{file.name} on coronal and sagittal projections, SUVbw 0 to {_VIEW_SUV:g}"

    def embed(self, images: Images) -> Vector:
        """The answers to both projections, one after the other. Raises ValueError for other units than SUVbw."""
        import torch

        if images.units != "SUVbw":
            raise ValueError(f"Projections are made of SUVbw; this study is in {images.units}. Convert it first.")
        views = torch.from_numpy(projections(images.emission)).to(self._device.name)
        try:
            with torch.inference_mode():
                answer = self._module(views)
        except (RuntimeError, torch.jit.Error) as error:
            raise ValueError(f"{self._name} failed: {str(error).strip().splitlines()[-1]}") from error
        if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != 2:
            raise ValueError(f"{self._name} must answer 2 images by a tensor of shape (2, d).")
        vector: Vector = answer.double().cpu().numpy().ravel()
        return vector


def projections(emission: sitk.Image) -> npt.NDArray[np.float32]:
    """Coronal and sagittal maximum intensity projection as colors of photographs: (2, 3, 224, 224), head up.

    The longer side fills the square; SUVbw from 0 to 10 goes from black to white.
    """
    image = sitk.DICOMOrient(sitk.Cast(emission, sitk.sitkFloat32), "LPS")
    values, (x, y, z) = sitk.GetArrayViewFromImage(image), image.GetSpacing()
    views = []
    for axis, across in ((1, x), (2, y)):
        flat = np.clip(values.max(axis=axis)[::-1] / _VIEW_SUV, 0.0, 1.0)
        size_mm = (flat.shape[0] * z, flat.shape[1] * across)
        pixels = [max(1, round(VIEW_PIXELS * side / max(size_mm))) for side in size_mm]
        small = ndimage.zoom(
            flat, [n / old for n, old in zip(pixels, flat.shape, strict=True)], order=1, grid_mode=True, mode="nearest"
        )
        before = [(VIEW_PIXELS - side) // 2 for side in small.shape]
        square = np.pad(small, [(b, VIEW_PIXELS - side - b) for b, side in zip(before, small.shape, strict=True)])
        views.append([(square - mean) / sd for mean, sd in zip(_COLOR_MEAN, _COLOR_SD, strict=True)])
    return np.asarray(views, dtype=np.float32)
