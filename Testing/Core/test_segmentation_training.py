"""Training a network for whole studies: stopped and resumed it is the same one, and the engine can ask it."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import tiny_case
from data_dir import ROOT
from organ_map_files import patients
from organ_map_maker import NAMES
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.networks.click_network import load_program
from PSMASegmentLib.networks.openvino_ir import IR_FILES
from PSMASegmentLib.networks.package import SegmentationPackage, read_any_package, trust_package
from PSMASegmentLib.training import openvino_export, segmentation_cases
from PSMASegmentLib.training.config import TrainingConfig, read_config
from PSMASegmentLib.training.openvino_export import with_half_kernels
from PSMASegmentLib.training.run_config import RunConfig
from PSMASegmentLib.training.segmentation_batches import NOT_LESION, BatchMaker
from PSMASegmentLib.training.segmentation_cases import CaseCrops, case_folders, read_case
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.study_crops import ORGAN_CLASSES
from PSMASegmentLib.training.train import export_now, train_and_export
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.commands_train import add_train_arguments, train
from PSMATheranosticsLib.console import Console
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.training_set import export_training_set
from study_crop_men import write_map

pytestmark = pytest.mark.usefixtures("own_user_folder")
RECIPES = ROOT / "PSMASegment" / "Resources" / "Training"

SMALL = """
kind: segmentation
name: small
organ_maps: maps
output: run
bodies: bodies
rounds: 4
batch: 2
modalities: [PET, SPECT]
channels: [emission, ct, prior]
widths: [4, 8]
strides: [2]
spacing_mm: 6.0
voxels: 24
window: 32
painters: 0
test_crops: 3
checkpoint_s: 0
seed: 5
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> SegmentationConfig:
    pytest.importorskip("yaml", reason="training needs PyYAML")
    folder = tmp_path_factory.mktemp("training")
    for held_out in (False, True):
        write_map(folder / "maps", patients(1, held_out)[0])
    rows = ["value,organ", *(f"{value},{name}" for value, name in NAMES.items())]
    (folder / "maps" / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return written(folder / "small.yaml", SMALL)


def written(path: Path, text: str) -> SegmentationConfig:
    path.write_text(text, encoding="utf-8")
    config = read_config(path)
    assert isinstance(config, SegmentationConfig)
    return config


@pytest.fixture(scope="module")
def torch():
    for name in ("monai", "tensorboard"):
        pytest.importorskip(name, reason="training needs it")
    return pytest.importorskip("torch", reason="training needs torch")


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


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A training set of one study with two lesions, one of which a reader rejected."""
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="reader") as case:
        tiny_case.segment(
            case,
            case.add_study(tiny_case.study(1, with_ct=True)),
            [tiny_case.box(0, 0, 0, 3), tiny_case.box(4, 4, 4, 3)],
        )
        study_id = case.studies()[0].study_id
        case.decide_lesion(study_id, 1, "accepted")
        case.decide_lesion(study_id, 2, "rejected", "ureter")
        export_training_set(case, tmp_path / "set")
    return tmp_path / "set"


def test_crops_are_cut_out_of_corrected_cases_as_they_lie_in_space(cases, config):
    (folder,) = case_folders(cases, ("PET",))
    case = read_case(folder, 1.0)
    corrected = sitk.ReadImage(str(folder / "corrected.nii.gz"))
    volume = np.count_nonzero(sitk.GetArrayFromImage(corrected)) * np.prod(corrected.GetSpacing())
    assert case.lesions.max() == 1 and np.count_nonzero(case.lesions) == pytest.approx(volume, rel=0.15)
    emission = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "suv.nii.gz")))
    inside = emission[sitk.GetArrayFromImage(corrected) > 0].mean()
    assert case.emission[case.lesions > 0].mean() == pytest.approx(inside, rel=0.2)
    assert case.ct.min() >= -1000.0 and (case.ct > 0.0).any() and case.tracer == "68Ga-PSMA-11"
    crops = CaseCrops(replace(config, cases=cases, spacing_mm=1.0))
    seen = [crops.crop(number, 0) for number in range(12)]
    assert all(one.emission.shape == (24, 24, 24) for one in seen)
    assert np.array_equal(seen[3].emission, CaseCrops(replace(config, cases=cases, spacing_mm=1.0)).crop(3, 0).emission)
    assert 4 <= sum(bool(one.lesions.any()) for one in seen) <= 12


def test_lesions_of_a_case_keep_their_place_and_none_is_lost_on_larger_voxels(tmp_path: Path):
    values = np.zeros((24, 24, 24), np.uint16)
    values[4:12, 5:13, 6:14] = 1
    values[18, 18, 18] = 2
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(tmp_path / "corrected.nii.gz"))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(tmp_path / "suv.nii.gz"))
    (tmp_path / "meta.json").write_text(json.dumps({"modality": "PET"}))
    case = read_case(tmp_path, 4.0)
    assert case.lesions.shape == (12, 12, 12) and case.lesions.max() == 2 == len(case.places[0])
    middles = [(np.argwhere(case.lesions == k).mean(axis=0) + 0.5) * 4.0 for k in (1, 2)]
    assert middles[0] == pytest.approx((16.0, 18.0, 20.0))
    assert middles[1] == pytest.approx((37.0, 37.0, 37.0), abs=2.0)
    assert (case.lesions == 1).sum() * 64 == pytest.approx(4096, rel=0.35) and (case.lesions == 2).sum() == 1


def test_a_batch_is_of_painted_crops_and_cases_and_says_nothing_of_organs_in_these(cases, config):
    mixed = BatchMaker(replace(config, cases=cases, batch=12), _bodies(config))()(0)
    of_cases = [(labels == NOT_LESION).any() for labels in mixed.labels]
    assert 2 <= sum(of_cases) <= 10
    for labels, is_case in zip(mixed.labels, of_cases, strict=True):
        assert not is_case or set(np.unique(labels)) <= {1, NOT_LESION}
    only = BatchMaker(replace(config, cases=cases, case_share=1.0), _bodies(config))()(0)
    assert (only.labels != 0).all()


def _bodies(config: SegmentationConfig) -> tuple[Path, ...]:
    from PSMASegmentLib.training.bodies import body_files
    from PSMASegmentLib.training.organ_maps import maps_to_train_on

    return tuple(body_files(maps_to_train_on(config.organ_maps), NAMES, config.bodies_folder, config.spacing_mm, 1))


def test_what_is_no_training_set_is_refused(tmp_path: Path, cases):
    with pytest.raises(ValueError, match="cannot be read"):
        case_folders(tmp_path, ("PET",))
    with pytest.raises(ValueError, match="holds no study of SPECT"):
        case_folders(cases, ("SPECT",))
    (folder,) = case_folders(cases, ("PET",))
    (folder / "corrected.nii.gz").write_bytes(b"torn")
    with pytest.raises(ValueError, match="Export the case again"):
        read_case(folder, 4.0)
    (cases / "set.json").write_text(json.dumps({"format": "psma-training-set", "version": 2}))
    with pytest.raises(ValueError, match="version 1"):
        case_folders(cases, ("PET",))


def test_a_case_without_ct_is_as_one_whose_ct_was_left_out(cases, config):
    from PSMASegmentLib.training.segmentation_batches import inputs_of

    (folder,) = case_folders(cases, ("PET",))
    (folder / "ct.nii.gz").unlink()
    segmentation_cases.read_case.cache_clear()
    crop = CaseCrops(replace(config, cases=cases)).crop(0, 0)
    assert not inputs_of(crop, config, None)[1].any()


@pytest.mark.parametrize("name", sorted(path.name for path in RECIPES.glob("*.yaml")))
def test_recipes_that_come_along_are_sound(name: str):
    pytest.importorskip("yaml", reason="training needs PyYAML")
    config = read_config(RECIPES / name)
    assert isinstance(config, SegmentationConfig) and config.window % config.step == 0
    spect, prior = "SPECT" in config.modalities, "prior" in config.channels
    expected = {"m2.yaml": (True, False), "m3.yaml": (True, False), "m4.yaml": (True, True)}
    assert (spect, prior) == expected.get(name, (False, False))
    assert config.organs == (name != "pet-lesion.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALL + "organs: 2", "true or false"),
        (SMALL + "tracers: [18F-FDG]", "tracers are of"),
        (SMALL.replace("[PET, SPECT]", "[MR]"), "modalities are of PET, SPECT, not MR"),
        (SMALL.replace("[emission, ct, prior]", "[ct]"), "must hold emission"),
        (SMALL.replace("voxels: 24", "voxels: 25"), "multiples of 4"),
        (SMALL.replace("window: 32", "window: 0"), "window must be positive"),
        (SMALL + "ct_dropout: 1.5", "ct_dropout must lie"),
        (SMALL + "overlap: 1.0", "overlap"),
        (SMALL + "mirror_axes: [3]", "mirror_axes"),
        (SMALL.replace("seed: 5", "seed: -5"), "seed 0 or more"),
        (SMALL + "interactions: 3", "interactions"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text: str, says: str):
    pytest.importorskip("yaml", reason="training needs PyYAML")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read_config(tmp_path / "config.yaml")


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


def test_only_what_some_crops_lack_is_optional():
    """A network that always saw the CT must not be asked without it."""

    def optional(**settings) -> set[str]:
        config = SegmentationConfig("a", Path("maps"), Path("run"), channels=("emission", "ct", "prior"), **settings)
        return {channel.image for channel in config.inputs if channel.optional}

    assert optional() == {"ct", "prior"} and optional(ct_dropout=0.0) == {"prior"}
    assert optional(modalities=("SPECT",), ct_dropout=0.0, prior_dropout=0.0) == set()
    assert optional(modalities=("PET", "SPECT"), prior_dropout=0.0) == {"ct", "prior"}  # no PET crop has a prior


def test_a_run_goes_on_only_with_cases_and_weights_as_it_began():
    """Else its card would say less than it was trained on; where they lie may change."""
    config = SegmentationConfig("a", Path("maps"), Path("run"))
    begun = [replace(config, **more) for more in ({}, {"cases": Path("here")}, {"start_from": "psma-m1"})]
    assert len({run.settings_hash() for run in begun}) == 3
    assert replace(config, cases=Path("there")).settings_hash() == begun[1].settings_hash()
    assert not {"cases", "start_from"} & set(config.shaping_settings())


def test_settings_of_click_runs_are_what_they_were():
    """A checkpoint of an earlier version goes on: its settings have the same hash."""
    config = TrainingConfig("a", Path("maps"), Path("run"))
    assert sorted(config.shaping_settings()) == [
        "averaging",
        "batch",
        "channels",
        "fine_width",
        "interactions",
        "kind",
        "learning_rate",
        "maps",
        "name",
        "rounds",
        "seed",
        "strides",
        "volume_ml",
        "weight_decay",
        "widths",
    ]
