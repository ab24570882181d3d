"""Scans as vectors: the coarsest layer of TorchScript networks, projections, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.evaluation.embedding import NetworkEncoder, ViewEncoder, package_encoder, projections
from PSMASegmentLib.inference.sidecar import Sidecar, parse_sidecar
from PSMASegmentLib.networks.package import SCHEMA, trusted_programs
from PSMASegmentLib.segmentation import Images

torch = pytest.importorskip("torch")

WINDOW = 16


class Net(torch.nn.Module):
    """Two steps down to a grid of 4 voxels, and back up; its last convolution there is ``up``."""

    def __init__(self) -> None:
        super().__init__()
        self.down = torch.nn.Conv3d(1, 3, 3, stride=2, padding=1)
        self.bottom = torch.nn.Conv3d(3, 5, 3, stride=2, padding=1)
        self.up = torch.nn.Conv3d(5, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of background and lesion."""
        return torch.nn.functional.interpolate(self.up(torch.relu(self.coarse(x))), scale_factor=4.0)

    def coarse(self, x: torch.Tensor) -> torch.Tensor:
        """What the last convolution on the coarsest grid looks at."""
        return self.bottom(torch.relu(self.down(x)))


class Branching(Net):
    """A network whose graph goes two ways."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.up(self.coarse(x)) if bool(x.sum() < 1e9) else x
        return torch.nn.functional.interpolate(y, scale_factor=4.0)


@contextmanager
def no_warnings() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is announced to go
        yield


def program(frozen: bool = True, network: torch.nn.Module | None = None) -> tuple[bytes, torch.nn.Module]:
    torch.manual_seed(3)
    net = (Net() if network is None else network).eval()
    with no_warnings(), torch.no_grad():
        traced = (
            torch.jit.script(net) if network is not None else torch.jit.trace(net, torch.zeros(1, 1, *(WINDOW,) * 3))
        )
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.freeze(traced) if frozen else traced, buffer)
    return buffer.getvalue(), net


def description(content: bytes, **changed: object) -> dict[str, object]:
    emission = {"image": "emission", "units": "SUVbw", "normalize": [{"divide": 3.0}]}
    return {
        "schema": SCHEMA,
        "name": "tiny",
        "sha256": hashlib.sha256(content).hexdigest(),
        "channels": [emission],
        "spacing_mm": [4.0, 4.0, 4.0],
        "orientation": "LPS",
        "spline_order": 1,
        "window": [WINDOW] * 3,
        "overlap": 0.5,
        "weights": "gaussian",
        "mirror_axes": [],
        "output": "softmax",
        "classes": ["background", "lesion"],
        "meaning": {"lesion": [1], "physiological": {}, "ignored": []},
        "tracers": ["any"],
        **changed,
    }


def sidecar(content: bytes) -> Sidecar:
    return parse_sidecar(description(content), Path("tiny.json"))


def scan(values: np.ndarray, spacing: float = 4.0) -> sitk.Image:
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing((spacing,) * 3)
    return image


def uptake(shape: tuple[int, int, int] = (WINDOW,) * 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 6.0, shape)


@pytest.mark.parametrize("frozen", [True, False])
def test_vector_is_mean_and_sd_of_the_coarsest_layer(frozen: bool) -> None:
    content, net = program(frozen)
    encoder = NetworkEncoder(content, sidecar(content), "cpu")
    assert encoder.about == "coarsest layer of tiny: mean and SD of 2 channels on 4 x 4 x 4 places of a window"
    values = uptake()
    with torch.no_grad():
        layer = net.up(torch.relu(net.coarse(torch.from_numpy(values / 3.0).float()[None, None])))[0].numpy()
    expected = np.concatenate([layer.mean(axis=(1, 2, 3)), layer.std(axis=(1, 2, 3))])
    assert encoder.embed(Images(scan(values), "SUVbw", "")) == pytest.approx(expected, abs=1e-5)


def test_the_first_layer_is_the_first_convolution() -> None:
    content, net = program()
    encoder = NetworkEncoder(content, sidecar(content), "cpu", "first")
    assert encoder.about == "first layer of tiny: mean and SD of 3 channels on 8 x 8 x 8 places of a window"
    values = uptake()
    with torch.no_grad():
        layer = net.down(torch.from_numpy(values / 3.0).float()[None, None])[0].numpy()
    assert encoder.embed(Images(scan(values), "SUVbw", ""))[3:] == pytest.approx(layer.std(axis=(1, 2, 3)), abs=1e-5)
    with pytest.raises(ValueError, match="no layer 'last'"):
        NetworkEncoder(content, sidecar(content), "cpu", "last")


def test_windows_together_count_by_the_body_in_them() -> None:
    content, net = program()
    encoder = NetworkEncoder(content, sidecar(content), "cpu")
    values = np.zeros((WINDOW, WINDOW, 2 * WINDOW))
    values[:, :, :WINDOW], values[:8, :, WINDOW:] = uptake(), uptake((8, WINDOW, WINDOW), 2)
    total, weight = np.zeros(2), 0.0
    for part in (values[:, :, :WINDOW], values[:, :, WINDOW:]):
        with torch.no_grad():
            layer = net.up(torch.relu(net.coarse(torch.from_numpy(part / 3.0).float()[None, None])))[0].numpy()
        inside = (part > 0).reshape(4, 4, 4, 4, 4, 4).mean(axis=(1, 3, 5))
        total, weight = total + (layer * inside).sum(axis=(1, 2, 3)), weight + inside.sum()
    assert encoder.embed(Images(scan(values), "SUVbw", ""))[:2] == pytest.approx(total / weight, abs=1e-5)
    # Windows of air are not asked, and smaller studies are padded.
    aired = np.pad(values, ((0, 0), (0, WINDOW), (0, 0)))
    assert encoder.embed(Images(scan(aired), "SUVbw", "")) == pytest.approx(
        encoder.embed(Images(scan(values), "SUVbw", "")), abs=1e-6
    )
    assert np.isfinite(encoder.embed(Images(scan(uptake((5, 9, 16))), "SUVbw", ""))).all()


def test_a_blurred_scan_has_another_vector_and_the_same_one_the_same() -> None:
    content, _ = program()
    encoder = NetworkEncoder(content, sidecar(content), "cpu")
    image = scan(uptake((20, 20, 20)))
    first = encoder.embed(Images(image, "SUVbw", ""))
    assert (encoder.embed(Images(sitk.DICOMOrient(image, "RPI"), "SUVbw", "")) == first).all()
    assert np.abs(encoder.embed(Images(sitk.SmoothingRecursiveGaussian(image, 6.0), "SUVbw", "")) - first).max() > 0.005


def test_a_graph_that_cannot_be_cut_is_pooled_at_its_answer() -> None:
    content, net = program(network=Branching())
    encoder = NetworkEncoder(content, sidecar(content), "cpu")
    assert encoder.about == "answer of tiny: mean and SD of 2 channels on 16 x 16 x 16 places of a window"
    values = uptake()
    with torch.no_grad():
        answer = net(torch.from_numpy(values / 3.0).float()[None, None])[0].numpy()
    assert encoder.embed(Images(scan(values), "SUVbw", ""))[:2] == pytest.approx(answer.mean(axis=(1, 2, 3)), abs=1e-5)


def test_what_cannot_be_embedded_is_refused() -> None:
    content, _ = program()
    with pytest.raises(ValueError, match="not the one of its description"):
        NetworkEncoder(content + b" ", sidecar(content), "cpu")
    with pytest.raises(ValueError, match="cannot be run by torch"):
        NetworkEncoder(b"no program", sidecar(b"no program"), "cpu")
    encoder = NetworkEncoder(content, sidecar(content), "cpu")
    with pytest.raises(ValueError, match="SUVbw"):
        encoder.embed(Images(scan(uptake()), "Bq/mL", ""))
    with pytest.raises(ValueError, match=r"reaches SUVbw 0\.1"):
        encoder.embed(Images(scan(np.zeros((WINDOW,) * 3)), "SUVbw", ""))


def write_package(folder: Path) -> None:
    content, _ = program()
    values = description(content, title="Tiny", kind="segmentation", training={}, metrics={})
    folder.mkdir(parents=True)
    (folder / "model.ts").write_bytes(content)
    (folder / "card.md").write_text("# Tiny")
    (folder / "model.json").write_text(json.dumps(values))


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PSMA_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_package_is_only_asked_when_it_is_trusted(own_models: Path) -> None:
    write_package(own_models / "tiny")
    with pytest.raises(ValueError, match="nobody allowed it to run"):
        package_encoder("tiny", "cpu")
    assert package_encoder("tiny", "cpu", lambda _: True).embed(Images(scan(uptake()), "SUVbw", "")).shape == (4,)
    with pytest.raises(ValueError, match='no model package "other"'):
        package_encoder("other", "cpu")


class Views(torch.nn.Module):
    """Mean of each color over the upper and the lower half of an image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :, :112].mean(dim=(2, 3)), x[:, :, 112:].mean(dim=(2, 3))], dim=1)


def test_a_network_for_photographs_sees_two_projections(own_models: Path, tmp_path: Path) -> None:
    file = tmp_path / "views.ts"
    with no_warnings():
        torch.jit.save(torch.jit.script(Views()), str(file))
    with pytest.raises(ValueError, match="nobody allowed it to run"):
        ViewEncoder(file, device="cpu")
    trusted_programs().add(hashlib.sha256(file.read_bytes()).hexdigest())
    values = np.zeros((40, 20, 10))
    values[30:, 5, 5] = 10.0
    vector = ViewEncoder(file, device="cpu").embed(Images(scan(values), "SUVbw", ""))
    views = projections(scan(values))
    assert vector == pytest.approx(
        [v for view in views for half in (view[:, :112], view[:, 112:]) for v in half.mean((1, 2))], abs=1e-4
    )
    assert vector[0] > vector[3]  # the head is above
    with pytest.raises(ValueError, match="Convert it first"):
        ViewEncoder(file, device="cpu").embed(Images(scan(values), "Bq/mL", ""))
    with pytest.raises(ValueError, match="cannot be read"):
        ViewEncoder(tmp_path / "none.ts")


def test_projections_keep_proportions_and_scale() -> None:
    values = np.zeros((50, 20, 10))
    values[:, 4:16, 2:8] = 5.0
    values[40, 10, 5] = 50.0
    views = projections(scan(values)) * np.reshape((0.229, 0.224, 0.225), (1, 3, 1, 1))
    views = views + np.reshape((0.485, 0.456, 0.406), (1, 3, 1, 1))
    assert views.shape == (2, 3, 224, 224) and views[:, 0] == pytest.approx(views[:, 2], abs=1e-5)
    assert views.min() == pytest.approx(0.0, abs=1e-5) and views.max() <= 1.0 + 1e-5
    middle = [view[0, 112] for view in views]
    widths = [int((line > 0.25).sum()) for line in middle]
    # 50 voxels fill 224 pixels: 6 of 10 across from the front, 12 of 20 from the side.
    assert widths == pytest.approx([6 * 224 / 50, 12 * 224 / 50], abs=2)
    assert views[0, 0, 40].max() > 0.5 > views[0, 0, 180].max() - 0.01
