"""Checkpoints of nnU-Net: read without running anything of them, and only put into the network they belong to."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from nnunet_fixtures import changed_copy, model_folder
from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder
from PSMASegmentLib.inference.nnunet_network import (
    allowed_mirroring,
    build_network,
    fill_network,
    read_checkpoint,
    total_stride,
    trained_configuration,
)

torch = pytest.importorskip("torch")
FILE = "fold_0/checkpoint_final.pth"


class Harm:
    """What a malicious file does when a careless reader opens it."""

    def __init__(self, trace) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_a_checkpoint_of_nnunet_is_read_with_its_facts():
    path = model_folder("plain") / FILE
    checkpoint = read_checkpoint(path)
    assert trained_configuration(checkpoint) == "3d_fullres"
    assert allowed_mirroring(checkpoint, path) == (0, 2)
    residual = model_folder("residual") / FILE
    assert allowed_mirroring(read_checkpoint(residual), residual) == ()


def test_numbers_of_numpy_in_the_log_are_no_harm(tmp_path):
    path = tmp_path / "checkpoint.pth"
    log = {"ema_fg_dice": [np.float64(0.5), np.float32(0.25)], "epoch": np.int64(3)}
    torch.save({"network_weights": {}, "logging": log}, path)
    assert read_checkpoint(path)["logging"]["ema_fg_dice"] == [0.5, 0.25]


def test_numbers_that_an_older_numpy_wrote_are_read_too(tmp_path):
    new, old = tmp_path / "new.pth", tmp_path / "old.pth"
    torch.save({"network_weights": {}, "logging": np.float64(0.5)}, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            content = source.read(name).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            target.writestr(name, content)
    assert b"cnumpy.core.multiarray" in old.read_bytes()
    assert read_checkpoint(old)["logging"] == 0.5


@pytest.mark.parametrize("how", ["zip", "pickle"])
def test_a_pickle_that_wants_to_run_something_does_not(tmp_path, how):
    path, trace = tmp_path / "checkpoint.pth", tmp_path / "harm"
    content = {"network_weights": {}, "logging": Harm(trace)}
    if how == "zip":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="holds more than numbers, or is damaged, and was not loaded"):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(tmp_path, share):
    content = (model_folder("plain") / FILE).read_bytes()
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"checkpoint\.pth"):
        read_checkpoint(path)


def test_another_file_of_torch_is_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="no network_weights"):
        read_checkpoint(path)


def test_axes_that_no_image_has_are_refused(tmp_path):
    with pytest.raises(ValueError, match="axes 0 to 2"):
        allowed_mirroring({"inference_allowed_mirroring_axes": (0, 3)}, tmp_path)


@pytest.fixture
def plain():
    pytest.importorskip("dynamic_network_architectures")
    plan = read_nnunet_folder(model_folder("plain"))
    return build_network(plan), read_checkpoint(plan.checkpoints[0]), plan


def test_further_heads_are_left_out(plain):
    network, checkpoint, plan = plain
    weights = checkpoint["network_weights"]
    weights["decoder.organ_seg_layers.0.weight"] = torch.zeros((10, 4, 1, 1, 1))
    weights["decoder.organ_seg_layers.0.bias"] = torch.zeros(10)
    left_out = fill_network(network, checkpoint, plan.checkpoints[0])
    assert left_out == ["decoder.organ_seg_layers.0.bias", "decoder.organ_seg_layers.0.weight"]


def test_weights_of_a_wrapped_network_fit(plain):
    network, checkpoint, plan = plain
    weights = {f"module.{name}": value for name, value in checkpoint["network_weights"].items()}
    assert fill_network(network, {"network_weights": weights}, plan.checkpoints[0]) == []


@pytest.mark.parametrize("damage", ["missing", "left over", "another shape"])
def test_weights_that_do_not_fit_are_refused(plain, damage):
    network, checkpoint, plan = plain
    weights = checkpoint["network_weights"]
    name = next(iter(weights))
    if damage == "missing":
        del weights[name]
    elif damage == "left over":
        weights["encoder.more.weight"] = torch.zeros(2)
    else:
        weights[name] = torch.zeros((3, 3))
    with pytest.raises(ValueError, match=f"{damage} (?!none)"):
        fill_network(network, checkpoint, plan.checkpoints[0])


def test_the_plan_decides_by_how_much_axes_are_shortened():
    assert total_stride(read_nnunet_folder(model_folder("plain"))) == (2, 2, 2)
    assert total_stride(read_nnunet_folder(model_folder("residual"))) == (1, 2, 2)


@pytest.mark.parametrize("key", ["network_class_name", "nonlin"])
def test_a_plan_cannot_have_other_code_imported(tmp_path, key):
    pytest.importorskip("dynamic_network_architectures")

    def point_elsewhere(plans):
        architecture = plans["configurations"]["3d_fullres"]["architecture"]
        (architecture if key in architecture else architecture["arch_kwargs"])[key] = "os.mkdir"

    plan = read_nnunet_folder(changed_copy("plain", tmp_path, change=point_elsewhere))
    with pytest.raises(ValueError, match=r"names os\.mkdir, which is not part of"):
        build_network(plan)


def test_an_architecture_that_cannot_be_built_is_named(tmp_path):
    pytest.importorskip("dynamic_network_architectures")

    def garble(plans):
        plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["n_stages"] = 5

    plan = read_nnunet_folder(changed_copy("plain", tmp_path, change=garble))
    with pytest.raises(ValueError, match=r"cannot be built as plans\.json says"):
        build_network(plan)


def test_a_class_that_moved_is_found(tmp_path):
    pytest.importorskip("dynamic_network_architectures")

    def move(plans):
        values = plans["configurations"]["3d_fullres"]["architecture"]
        values["network_class_name"] = "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet"

    plan = read_nnunet_folder(changed_copy("residual", tmp_path, change=move))
    assert type(build_network(plan)).__name__ == "ResidualEncoderUNet"
    assert json.loads((plan.folder / "plans.json").read_text())["plans_name"] == "nnUNetPlans"
