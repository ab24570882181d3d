"""A network of torch as a runner: each engine gives the same logits, and what is no such network is refused."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from nnunet_fixtures import model_folder
from PSMASegmentLib.inference.device import Device
from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder
from PSMASegmentLib.inference.nnunet_network import build_network
from PSMASegmentLib.inference.runners import make_runner

torch = pytest.importorskip("torch")
CPU, PATCH = Device("cpu", "CPU (1 thread)", 1), (8, 12, 10)


def small_network():
    torch.manual_seed(1)
    layers = [torch.nn.Conv3d(2, 4, 3, padding=1), torch.nn.InstanceNorm3d(4, affine=True), torch.nn.LeakyReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Conv3d(4, 3, 1))


def windows(count=3):
    return np.random.default_rng(1).normal(size=(count, 2, *PATCH)).astype(np.float32)


@pytest.mark.parametrize("engine", ["eager", "torchscript", "auto", "openvino"])
def test_every_engine_gives_the_logits_of_the_network(engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    network = small_network()
    with torch.inference_mode():
        expected = network(torch.from_numpy(windows())).numpy()
    runner = make_runner(network, 2, PATCH, CPU, engine)
    assert runner.patch == PATCH and runner.classes == 3 and runner.precision == "float32"
    first = runner(windows())
    np.testing.assert_allclose(first, expected, atol=2e-5)
    assert first.flags.c_contiguous and first.dtype == np.float32
    np.testing.assert_allclose(runner(windows()[1:2]), expected[1:2], atol=2e-5)
    assert runner(windows()).tobytes() == first.tobytes()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_program_of_torchscript_is_not_traced_again(frozen):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.jit.script(small_network().eval())
        program = torch.jit.freeze(program) if frozen else program
    runner = make_runner(program, 2, PATCH, CPU, "torchscript")
    with torch.inference_mode():
        expected = small_network().eval()(torch.from_numpy(windows())).numpy()
    np.testing.assert_allclose(runner(windows()), expected, atol=2e-5)


class Halved(torch.nn.Module):
    def forward(self, x):
        return x[:, :, ::2]


class Several(torch.nn.Module):
    def forward(self, x):
        return [x, x]


def test_what_gives_no_logits_of_that_size_is_refused():
    with pytest.raises(ValueError, match="of the same size"):
        make_runner(Halved(), 2, PATCH, CPU, "eager")
    with pytest.raises(ValueError, match="one tensor of logits is needed"):
        make_runner(Several(), 2, PATCH, CPU, "eager")
    with pytest.raises(ValueError, match='no engine "fast"'):
        make_runner(small_network(), 2, PATCH, CPU, "fast")


class Inverted(torch.nn.Module):
    """Has a layer that OpenVINO does not know."""

    def forward(self, x):
        return torch.linalg.svdvals(x[:, :1]).mean() + x


def test_a_layer_that_openvino_does_not_know_runs_in_torchscript():
    pytest.importorskip("openvino")
    assert make_runner(small_network(), 2, PATCH, CPU).engine == "OpenVINO"
    assert make_runner(Inverted(), 2, PATCH, CPU).engine == "TorchScript"
    with pytest.raises(RuntimeError, match="OpenVINO cannot run this network"):
        make_runner(Inverted(), 2, PATCH, CPU, "openvino")


class Hungry(torch.nn.Module):
    def __init__(self, words):
        super().__init__()
        self.words = words

    def forward(self, x):
        raise RuntimeError(self.words)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB\nmore", MemoryError),
        ("DefaultCPUAllocator: can't allocate memory: you tried", MemoryError),
        ("shapes do not match", RuntimeError),
    ],
)
def test_too_little_memory_is_a_memory_error(words, kind):
    with pytest.raises(kind, match=words.splitlines()[0]) as caught:
        make_runner(Hungry(words), 2, PATCH, CPU, "eager")
    assert type(caught.value) is kind


def test_without_the_architectures_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures", None)
    with pytest.raises(ImportError, match=r"pip install 'psmatheranostics\[nnunet\]'"):
        build_network(read_nnunet_folder(model_folder("plain")))
