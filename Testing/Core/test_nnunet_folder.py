"""Folders of nnU-Net are read for what they say, and refused where this version could not run them faithfully."""

from __future__ import annotations

import shutil

import pytest
from nnunet_fixtures import changed_copy, model_folder
from PSMASegmentLib.inference.labels import Heads
from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder


def configuration(plans):
    return plans["configurations"]["3d_fullres"]


def test_a_plain_model_is_read():
    plan = read_nnunet_folder(model_folder("plain"))
    assert plan.configuration == "3d_fullres"
    assert plan.forward == (1, 0, 2) and plan.backward == (1, 0, 2)
    assert plan.patch == (20, 20, 24)
    assert plan.spacing_mm == (3.3, 3.2, 3.0)
    assert plan.heads == Heads(None) and plan.classes == 3
    assert plan.image_resampling.order == 3 and plan.logits_resampling.order == 1
    assert [channel.scheme for channel in plan.channels] == ["ZScoreNormalization"] and plan.channels[0].masked
    assert plan.folds == ("0",)


def test_regions_channels_and_folds_are_read():
    plan = read_nnunet_folder(model_folder("residual"))
    assert plan.heads == Heads((1, 2)) and plan.classes == 2
    assert plan.labels == {"background": (0,), "uptake": (1, 2), "gland": (2,)}
    ct, pet = plan.channels
    assert (ct.name, ct.scheme, ct.mean, ct.sd, ct.low, ct.high) == ("CT", "CTNormalization", 40.0, 25.0, -30.0, 110.0)
    assert pet.scheme == "NoNormalization"
    assert plan.folds == ("0", "1")


def test_hashes_name_every_file_that_decides():
    hashes = read_nnunet_folder(model_folder("residual")).hashes()
    assert set(hashes) == {
        "dataset.json",
        "plans.json",
        "fold_0/checkpoint_final.pth",
        "fold_1/checkpoint_final.pth",
    }
    assert all(len(value) == 64 for value in hashes.values())


def test_a_rotation_of_axes_is_undone(tmp_path):
    folder = changed_copy("plain", tmp_path, change=lambda plans: plans.update(transpose_forward=[2, 0, 1]))
    plan = read_nnunet_folder(folder)
    assert [plan.forward[axis] for axis in plan.backward] == [0, 1, 2]


def test_a_configuration_inherits(tmp_path):
    def inherit(plans):
        parent = configuration(plans)
        plans["configurations"] = {"base": parent, "3d_fullres": {"inherits_from": "base", "patch_size": [8, 8, 8]}}

    plan = read_nnunet_folder(changed_copy("plain", tmp_path, change=inherit))
    assert plan.patch == (8, 8, 8) and plan.spacing_mm == (3.3, 3.2, 3.0)


def test_the_ignored_label_has_no_output(tmp_path):
    folder = changed_copy("plain", tmp_path, "dataset.json", lambda data: data["labels"].update(ignore=3))
    plan = read_nnunet_folder(folder)
    assert plan.classes == 3 and "ignore" not in plan.labels


def test_an_old_plan_is_understood(tmp_path):
    def to_old(plans):
        values = configuration(plans)
        given = values.pop("architecture")["arch_kwargs"]
        values.update(
            UNet_class_name="PlainConvUNet",
            UNet_base_num_features=4,
            unet_max_num_features=6,
            n_conv_per_stage_encoder=given["n_conv_per_stage"],
            n_conv_per_stage_decoder=given["n_conv_per_stage_decoder"],
            num_pool_per_axis=[1, 1, 1],
            pool_op_kernel_sizes=given["strides"],
            conv_kernel_sizes=given["kernel_sizes"],
        )
        plans["foreground_intensity_properties_by_modality"] = plans.pop("foreground_intensity_properties_per_channel")

    plan = read_nnunet_folder(changed_copy("plain", tmp_path, change=to_old))
    original = read_nnunet_folder(model_folder("plain")).architecture
    assert plan.architecture["arch_kwargs"] == original["arch_kwargs"]
    assert plan.architecture["network_class_name"] == original["network_class_name"]


def test_fold_all_is_only_taken_when_nothing_else_is_there(tmp_path):
    folder = changed_copy("plain", tmp_path)
    shutil.copytree(folder / "fold_0", folder / "fold_all")
    assert read_nnunet_folder(folder).folds == ("0",)
    assert read_nnunet_folder(folder, folds=["all"]).folds == ("all",)
    shutil.rmtree(folder / "fold_0")
    assert read_nnunet_folder(folder).folds == ("all",)


REFUSED = {
    "cascade": (lambda p: configuration(p).update(previous_stage="3d_lowres"), "second stage of a cascade"),
    "planes": (lambda p: configuration(p).update(patch_size=[64, 64]), "only models of three dimensions"),
    "normalization": (lambda p: configuration(p).update(normalization_schemes=["MyNorm"]), "MyNorm"),
    "resampling": (lambda p: configuration(p).update(resampling_fn_data="mine"), 'resamples by "mine"'),
    "reader": (lambda p: p.update(image_reader_writer="Tiff3DIO"), "read by Tiff3DIO"),
    "no patch": (lambda p: configuration(p).pop("patch_size"), "lack or garble"),
    "no intensities": (lambda p: p.pop("foreground_intensity_properties_per_channel"), "lack or garble"),
    "itself": (lambda p: configuration(p).update(inherits_from="3d_fullres"), "inherits from itself"),
    "no configuration": (lambda p: p.update(configurations={"2d": {}}), 'no configuration "3d_fullres"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_faithfully_is_refused(tmp_path, name):
    change, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        read_nnunet_folder(changed_copy("plain", tmp_path, change=change))


DATASETS = {
    "no background": (lambda d: d["labels"].pop("background"), "no label background"),
    "large label": (lambda d: d["labels"].update(gland=300), "labels above 255"),
    "two channels": (lambda d: d["channel_names"].update({"1": "CT"}), "2 channels"),
    "regions without order": (lambda d: d["labels"].update(gland=[1, 2]), "lack or garble"),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_that_does_not_fit_is_refused(tmp_path, name):
    change, message = DATASETS[name]
    with pytest.raises(ValueError, match=message):
        read_nnunet_folder(changed_copy("plain", tmp_path, "dataset.json", change))


def test_a_folder_that_is_none_says_which_to_give(tmp_path):
    with pytest.raises(ValueError, match="TRAINER__PLANS__CONFIGURATION"):
        read_nnunet_folder(tmp_path)


def test_broken_json_is_named(tmp_path):
    folder = changed_copy("plain", tmp_path)
    (folder / "plans.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"plans\.json is damaged"):
        read_nnunet_folder(folder)


def test_folds_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no checkpoint_final\.pth of fold 3; there are folds: 0"):
        read_nnunet_folder(changed_copy("plain", tmp_path), folds=[3])
