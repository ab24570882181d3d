"""Training a click network: stopped and resumed it is the same network, and what it exports can be used."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_dir import ROOT
from organ_map_files import write_organ_maps
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.clicks.study import click_study
from PSMASegmentLib.networks.click_finish import finish_click
from PSMASegmentLib.networks.click_network import ClickNetwork, run_program, with_level
from PSMASegmentLib.networks.click_request import click_request
from PSMASegmentLib.networks.package import installed_packages, read_package, trust_package, trusted_programs
from PSMASegmentLib.training.click_rounds import ClickRounds
from PSMASegmentLib.training.click_task import ClickTask
from PSMASegmentLib.training.config import TrainingConfig, read_config
from PSMASegmentLib.training.organ_maps import maps_to_train_on, read_organ_maps
from PSMATheranosticsLib.commands_train import add_train_arguments, train
from PSMATheranosticsLib.console import Console
from PSMATheranosticsLib.errors import InputError

pytestmark = pytest.mark.usefixtures("own_user_folder")

SMALL = """
name: small
organ_maps: maps
output: run
rounds: 4
batch: 2
interactions: 2
widths: [4, 8]
strides: [2]
test_crops: 2
checkpoint_s: 0
seed: 5
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("training")
    write_organ_maps(folder / "maps")
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    pytest.importorskip("yaml", reason="training needs PyYAML")
    return read_config(folder / "small.yaml")


class Killed(Exception):
    """Stands for a kill in the middle of a round."""


def test_rounds_of_one_seed_are_the_same_and_expect_an_answer_each(config):
    rounds = ClickRounds(config, read_organ_maps(maps_to_train_on(config.organ_maps)))

    def batches(number: int) -> list[np.ndarray]:
        running = rounds.round(number)
        seen = [next(running)]
        while len(seen) < config.interactions:
            seen.append(running.send(np.zeros((2, 32, 32, 32), np.float32)))
        with pytest.raises(StopIteration):
            running.send(np.zeros((2, 32, 32, 32), np.float32))
        for batch in seen:
            assert batch.inputs.shape == (2, 7, 32, 32, 32) and np.isfinite(batch.inputs).all()
            assert len(batch.targets) == len(batch.dice) == 2
            for target in batch.targets:
                assert set(np.unique(target.truth)) == {0.0, 1.0} and target.voxel_ml > 0.0
                assert [matrix.shape for matrix in target.matrices] == [(n, 32) for n in target.truth.shape]
        return [batch.inputs for batch in seen]

    first, again, other = batches(0), batches(0), batches(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_run_that_was_killed_goes_on_to_the_same_network_and_exports_it(config, capsys):
    torch = pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("monai", reason="training needs MONAI")
    pytest.importorskip("tensorboard", reason="training needs TensorBoard")
    from PSMASegmentLib.training.loop import Training

    maps = read_organ_maps(maps_to_train_on(config.organ_maps))
    straight = Training(replace(config, output=config.output / "straight"), ClickTask(config, maps))
    straight.run()

    def kill(_fraction: float, message: str) -> None:
        if message.startswith("Round 3"):
            raise Killed

    halted = replace(config, output=config.output / "halted")
    with pytest.raises(Killed):
        Training(halted, ClickTask(halted, maps)).run(kill)
    resumed = Training(halted, ClickTask(halted, maps))
    assert 0 < resumed.finished_rounds < 4
    resumed.run()
    for name, value in straight.averaged.state_dict().items():
        assert torch.equal(value, resumed.averaged.state_dict()[name]), name
    assert list((halted.output / "tensorboard").iterdir())
    with pytest.raises(ValueError, match="other settings"):
        Training(replace(halted, learning_rate=1.0), ClickTask(halted, maps))
    checkpoint = halted.output / "checkpoint.pt"
    for torn in (b"torn", checkpoint.read_bytes()[:-2000]):
        checkpoint.write_bytes(torn)
        with pytest.raises(ValueError, match="begin anew"):
            Training(halted, ClickTask(halted, maps))
    check_command_and_package(config)


def check_command_and_package(config: TrainingConfig) -> None:
    """The command stops on time, goes on, exports; and the package answers clicks."""
    file = config.output.parent / "small.yaml"
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    with pytest.raises(InputError, match="no checkpoint"):
        train(parser.parse_args([str(file), "--export"]), Console(quiet=True))
    assert train(parser.parse_args([str(file), "--minutes", "0"]), Console(quiet=True)) == 0
    assert not (config.output / "package").exists()
    assert train(parser.parse_args([str(file)]), Console(quiet=True)) == 0
    package = read_package(config.output / "package")
    assert package.training["rounds"] == 4 and package.training["men"] == 2
    assert package.training["settings"]["widths"] == [4, 8] and "organ_maps" not in package.training["settings"]
    assert package.metrics["lesions"] == 2 and f"{package.metrics['network_median_dice_1_click']:.3f}" in package.card
    program = replace(package, openvino={})
    with pytest.raises(ValueError, match="trust_package"):
        ClickNetwork.load(program)
    trust_package(package.folder)
    study, labels = a_lesion()
    request = click_request(study, labels, 1, [Click((20, 20, 20))])
    answer = ClickNetwork.load(program).probability(request)
    assert answer.shape == (32, 32, 32) and answer.min() >= 0.0 and answer.max() <= 1.0
    assert np.array_equal(answer, ClickNetwork.load(program).probability(request))
    if importlib.util.find_spec("openvino") is None:
        assert not package.openvino
        return
    assert ClickNetwork.load(program).sha256 == package.sha256
    trusted_programs().discard(package.sha256)  # the export is data, which needs no trust
    exported = ClickNetwork.load(package, threads=1)
    assert exported.sha256 == package.openvino
    assert np.abs(exported.probability(request) - answer).max() < 1e-5
    assert np.array_equal(exported.probability(request) > 0.5, answer > 0.5)


def a_lesion() -> tuple:
    """A ball of 20 mm with SUV 12 in surroundings of 1, blurred, and the middle of it as labels."""
    import SimpleITK as sitk

    z, y, x = np.meshgrid(*[np.arange(40.0) - 20.0] * 3, indexing="ij", sparse=True)
    far = np.sqrt(z**2 + y**2 + x**2) * 3.0
    emission = sitk.GetImageFromArray((1.0 + 11.0 / (1.0 + np.exp((far - 10.0) / 1.5))).astype(np.float32))
    emission.SetSpacing((3.0, 3.0, 3.0))
    return click_study(emission), (far <= 5.0).astype(np.uint16)


def test_the_shipped_network_outlines_a_plain_ball_and_refuses_what_it_was_not_made_for():
    pytest.importorskip("torch", reason="networks need torch")
    network = ClickNetwork.load(next(p for p in installed_packages() if p.name == "psma-click-1"), threads=1)
    study, labels = a_lesion()
    request = click_request(study, labels, 1, [Click((20, 20, 20))])
    result = finish_click(study, labels, request, network.probability(request))
    after = labels.copy()
    box = tuple(slice(low, low + n) for low, n in zip(result.start_zyx, result.after.shape, strict=True))
    after[box] = result.after
    truth = study.uptake > 6.5
    # A plain ball is easy; a network that misses it is broken or fed wrongly.
    assert 2.0 * (truth & (after == 1)).sum() / (truth.sum() + (after == 1).sum()) > 0.85
    with pytest.raises(ValueError, match="not SPECT"):
        network.probability(replace(request, modality="SPECT"))
    with pytest.raises(ValueError, match="wants 32 voxels"):
        network.probability(replace(request, grid=replace(request.grid, spacing_mm=2.0)))


def test_a_mirrored_question_is_answered_in_its_place():
    torch = pytest.importorskip("torch", reason="networks need torch")

    class Same(torch.nn.Module):
        def forward(self, question):
            return 3.0 * question[:, :1]

    network = torch.jit.trace(Same(), torch.zeros(1, 2, 5, 5, 5))
    channels = np.random.default_rng(1).normal(size=(2, 5, 5, 5)).astype(np.float32)
    once = run_program(network, channels)
    assert np.allclose(once, 1.0 / (1.0 + np.exp(-3.0 * channels[0])), atol=1e-6)
    assert np.allclose(run_program(network, channels, ((), (0,), (1, 2), (0, 1, 2))), once, atol=1e-6)


def test_the_border_is_moved_to_one_half_and_order_is_kept():
    values = np.linspace(0.0, 1.0, 101, dtype=np.float32)
    bent = with_level(values, 0.4)
    assert bent[40] == pytest.approx(0.5, abs=1e-5) and bent[0] == 0.0 and bent[-1] == pytest.approx(1.0)
    assert (np.diff(bent) > 0).all() and np.allclose(with_level(values, 0.5), values, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x", "lacks organ_maps, output"),
        ("- x", "NAME: VALUE"),
        ("name: [", "cannot be read"),
        (SMALL + "colour: red", "settings that there are not: colour"),
        (SMALL + "maps: many", "maps: 'many'"),
        (SMALL.replace("batch: 2", "batch: 2.5"), "no whole number"),
        (SMALL.replace("rounds: 4", "rounds: 0"), "rounds must be positive"),
        (SMALL.replace("strides: [2]", "strides: [2, 2]"), "strides"),
        (SMALL + "volume_ml: [3, 1]", "volume_ml"),
        (SMALL + "device: abacus", "abacus"),
        (SMALL + "kind: horoscope", "horoscope"),
        (SMALL + "channels: [mri]", "mri"),
        (SMALL + "averaging: 1.0", "averaging"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text, says):
    pytest.importorskip("yaml", reason="training needs PyYAML")
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read_config(path)


def test_the_configuration_of_the_smoke_run_is_sound():
    pytest.importorskip("yaml", reason="training needs PyYAML")
    assert read_config(ROOT / "Testing" / "train_smoke.yaml").rounds < 20


def test_folders_of_a_configuration_are_relative_to_it(config):
    assert config.organ_maps.is_dir() and config.output == config.organ_maps.parent / "run"
    assert config.widths == (4, 8) and config.learning_rate == 2e-3
