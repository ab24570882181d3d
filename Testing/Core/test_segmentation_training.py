"""Training a network for whole studies: stopped and resumed it is the same one, and the engine can ask it."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from organ_map_maker import NAMES
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.networks.click_network import load_program
from PSMASegmentLib.networks.openvino_ir import IR_FILES
from PSMASegmentLib.networks.package import SegmentationPackage, read_any_package, trust_package
from PSMASegmentLib.training import openvino_export
from PSMASegmentLib.training.openvino_export import with_half_kernels
from PSMASegmentLib.training.run_config import RunConfig
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.study_crops import ORGAN_CLASSES
from PSMASegmentLib.training.train import export_now, train_and_export
from PSMATheranosticsLib.commands_train import add_train_arguments, train
from PSMATheranosticsLib.console import Console
from PSMATheranosticsLib.errors import InputError
from small_training import require_torch, small_config

pytestmark = pytest.mark.usefixtures("own_user_folder")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> SegmentationConfig:
    return small_config(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def torch():
    return require_torch()


class Killed(Exception):
    """Stands for a kill in the middle of a round."""


def kill(_fraction: float, message: str) -> None:
    if message.startswith("Round 3"):
        raise Killed


def trained(config: RunConfig, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return train(
        parser.parse_args([str(config.organ_maps.parent / f"{config.name}.yaml"), *arguments]), Console(quiet=True)
    )


@pytest.fixture(scope="module")
def package(config, torch) -> SegmentationPackage:
    """That of a run which a kill interrupted, beside one that nothing did; painted ahead and not."""
    from PSMASegmentLib.training.loop import read_checkpoint

    with pytest.raises(InputError, match="no checkpoint"):
        trained(config, "--export")
    with pytest.raises(Killed):
        train_and_export(config, kill, organ_names=NAMES)
    assert 0 < read_checkpoint(config.output / "checkpoint.pt")["round"] < 4
    assert trained(config, "--minutes", "0") == 0
    assert not (config.output / "package").exists()
    assert trained(config) == 0
    straight = replace(config, output=config.output.parent / "straight", painters=1)
    _, rounds = train_and_export(straight, organ_names=NAMES)
    assert rounds == 4
    one, other = (read_checkpoint(run.output / "checkpoint.pt")["averaged"] for run in (config, straight))
    assert all(torch.equal(one[name], other[name]) for name in one)
    found = read_any_package(config.output / "package")
    assert isinstance(found, SegmentationPackage)
    return found


def test_a_package_says_what_its_network_expects_and_how_it_was_made(package, config):
    sidecar = package.sidecar
    assert [channel.image for channel in sidecar.channels] == ["emission", "ct", "prior"]
    assert [channel.optional for channel in sidecar.channels] == [False, True, True]
    assert sidecar.channels == config.inputs  # the steps that training took
    assert sidecar.classes == ("background", "lesion", *ORGAN_CLASSES) and sidecar.meaning.lesion == (1,)
    assert list(sidecar.meaning.physiological.values()) == list(ORGAN_CLASSES)
    assert sidecar.window == (32, 32, 32) and sidecar.windows == (4, 4, 4) and sidecar.spacing_mm == (6.0,) * 3
    assert sidecar.modalities == ("PET", "SPECT") and "177Lu-PSMA-617" in sidecar.tracers
    assert sidecar.finish == {"expand_mm": 0.0, "threshold": 0.1}  # where to draw borders anew was chosen on PET alone
    assert package.training["rounds"] == 4 and package.training["men"] == 1
    told = package.network_file.parent / "model.json"
    assert str(config.organ_maps.parent) not in told.read_text(encoding="utf-8") + package.card
    for name in ("pet_crops", "pet_without_ct_crops", "spect_crops", "spect_without_prior_crops"):
        assert package.metrics[name] == 3
    assert "pet_without_prior_crops" not in package.metrics
    assert "Synthetic data only" in package.card and "| SPECT, no prior | 3 |" in package.card


def test_the_engine_asks_the_package_with_and_without_what_is_optional(package, monkeypatch):
    monkeypatch.setenv("PSMA_MODELS", str(package.folder.parent))
    trust_package(package.folder)
    values = np.full((30, 40, 40), 0.5, np.float32)
    values[10:14, 10:14, 10:14] = 20.0
    emission = sitk.GetImageFromArray(values)
    emission.SetSpacing((5.0, 5.0, 6.0))
    ct = sitk.Cast(emission, sitk.sitkInt16)
    for more in ({}, {"ct": ct, "prior": sitk.Cast(emission > 10, sitk.sitkUInt8)}):
        found = SegmentationEngine().segment(Images(emission, "SUVbw", "177Lu-PSMA-617", **more), "package:small")
        assert found.labels.GetSize() == emission.GetSize()
        assert found.provenance["package"] == "small" and found.provenance["classes"] == list(package.sidecar.classes)


def test_the_package_holds_an_openvino_export_and_one_made_without_openvino_does_not(
    package, config, torch, tmp_path, monkeypatch
):
    pytest.importorskip("openvino")
    assert set(package.openvino) == set(IR_FILES)
    assert sum(file.stat().st_size for file in package.folder.iterdir()) < 16_000_000
    again = tmp_path / "run"
    shutil.copytree(config.output, again)
    monkeypatch.setattr(openvino_export, "is_installed", lambda name: False)
    told: list[str] = []
    made, _ = export_now(
        replace(config, output=again), lambda fraction, message: told.append(message), organ_names=NAMES
    )
    assert made.openvino == {} and not any((made.folder / name).exists() for name in IR_FILES)
    one, other = (load_program(each.network_file.read_bytes()).state_dict() for each in (package, made))
    assert all(torch.equal(one[name], other[name]) for name in one)  # rounded with openvino and without
    assert "openvino is not installed" in told[-1]


def test_a_network_whose_package_would_be_too_large_is_refused_before_training(config, torch, tmp_path):
    large = replace(config, output=tmp_path / "large", widths=(300, 400))
    with pytest.raises(ValueError, match=r"package small would have .* MB .*largest package has 16 MB"):
        train_and_export(large, organ_names=NAMES)


def test_another_window_gives_the_same_answer_away_from_its_rim(package, torch):
    program = torch.jit.load(str(package.network_file))
    inputs = torch.randn(1, 3, 64, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole, inner = program(inputs), program(inputs[..., 8:56, 8:56, 8:56])
    assert whole.shape == (1, 2 + len(ORGAN_CLASSES), 64, 64, 64)
    assert torch.allclose(whole[..., 28:36, 28:36, 28:36], inner[..., 20:28, 20:28, 20:28], atol=1e-4)


def test_training_goes_on_from_a_package_or_a_checkpoint_and_refuses_another_network(package, config, torch):
    from PSMASegmentLib.training.loop import Training
    from PSMASegmentLib.training.segmentation_task import SegmentationTask, new_network

    def begun(**settings) -> dict:
        run = replace(config, output=config.output.parent / "on", **settings)
        return Training(run, SegmentationTask(run, lambda number: None)).network.state_dict()

    weights = torch.load(config.output / "checkpoint.pt", weights_only=True)["averaged"]
    with pytest.raises(ValueError, match="trust_package"):
        begun(start_from=str(package.folder))
    trust_package(package.folder)
    network = new_network(config)
    network.load_state_dict(weights)
    rounded = with_half_kernels(network).state_dict()  # a package holds what its OpenVINO export can hold
    for start, expected in ((package.folder, rounded), (config.output / "checkpoint.pt", weights)):
        taken = begun(start_from=str(start))
        assert all(torch.equal(taken[name], expected[name]) for name in weights), start
    assert not all(torch.equal(value, weights[name]) for name, value in begun().items())
    with pytest.raises(ValueError, match="another one than that of this configuration"):
        begun(start_from=str(package.folder), organs=False)
    with pytest.raises(ValueError, match="no model package"):
        begun(start_from="psma-nowhere")


def test_steps_without_finite_gradients_are_left_out_and_too_many_are_an_error(config, tmp_path, torch, monkeypatch):
    from PSMASegmentLib.training import loop

    class Task:
        half = False

        def network(self):
            return torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1))

        def round(self, number):
            yield SimpleNamespace(inputs=np.ones((1, 1, 2, 2, 2), np.float32), factor=1.0 if number < 2 else np.inf)

        def loss(self, logits, batch):
            return (logits.mean() - 3.0) ** 2 * batch.factor, {}

        def answers(self, logits):
            return None

    monkeypatch.setattr(loop, "_MOST_LEFT_OUT", 3)
    run = replace(config, output=tmp_path / "run", rounds=9)
    training = loop.Training(run, Task())
    began = training.network[0].bias.item()
    training._round(), training._round()
    learned = training.network[0].bias.item()
    assert learned != began
    for _ in range(3):
        training.finished_rounds = 2
        training._round()
    assert training.network[0].bias.item() == learned and training.averaged[0].bias.isfinite().all()
    with pytest.raises(ValueError, match=r"gradients of 4 steps in a row.*learning_rate"):
        training._round()


def test_half_precision_is_for_processors_that_have_it(torch, monkeypatch):
    from PSMASegmentLib.training.loop import _half_type

    for able, expected in (({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({}, None)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert _half_type(torch.device("cpu")) is expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert _half_type(torch.device("cpu")) is None


def test_a_network_with_more_inputs_begins_with_the_answers_of_one_with_fewer(config, tmp_path, torch):
    from PSMASegmentLib.training.segmentation_start import take_weights
    from PSMASegmentLib.training.segmentation_task import new_network

    few = new_network(replace(config, channels=("emission",))).eval()
    torch.save({"round": 1, "network": few.state_dict(), "averaged": few.state_dict()}, tmp_path / "checkpoint.pt")
    many = new_network(replace(config, channels=("emission", "ct", "prior"))).eval()
    inputs = torch.randn(1, 3, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert not torch.allclose(many(inputs), few(inputs[:, :1]), atol=1e-4)
        take_weights(many, str(tmp_path / "checkpoint.pt"))
        assert torch.allclose(many(inputs), few(inputs[:, :1]), atol=1e-6)
    many(inputs)[:, 1].sum().backward()
    learned = many.state_dict(keep_vars=True)["1.conv_0.conv.weight"].grad
    assert float(learned[:, 8:].abs().sum()) > 0.0  # what reads the new inputs is learned from the first step on
    torch.save({"round": 1, "network": many.state_dict(), "averaged": many.state_dict()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="at least its own, in its order"):
        take_weights(few, str(tmp_path / "checkpoint.pt"))


def test_a_network_too_large_for_a_package_is_refused_before_it_is_trained(config, torch):
    run = replace(config, output=config.output.parent / "large", widths=(4, 600, 600), strides=(2, 2))
    with pytest.raises(ValueError, match="largest package"):
        train_and_export(run, organ_names=NAMES)
    assert not (run.output / "checkpoint.pt").exists()


def test_a_device_that_is_not_there_is_told_about(config, torch):
    from PSMASegmentLib.training.loop import Training
    from PSMASegmentLib.training.segmentation_task import SegmentationTask

    if torch.cuda.is_available():
        pytest.skip("there is one here")
    run = replace(config, device="cuda")
    with pytest.raises(ValueError, match="Set device: cpu"):
        Training(run, SegmentationTask(run, lambda number: None))
