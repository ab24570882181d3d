"""Models trained for some steps by nnunetv2 itself on a synthetic study, and the labels that nnunetv2 gives with them.

The studies are noise with bright and very bright balls; the networks are tiny and mean nothing for patients.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

LABELS = {"background": 0, "lesion": 1, "gland": 2}
REGIONS = {"background": 0, "uptake": [1, 2], "gland": 2}
TORCH_RESAMPLING = "resample_torch_fornnunet"
SPLINE_RESAMPLING = "resample_data_or_seg_to_shape"


@dataclass(frozen=True)
class Model:
    """One model to train and the study to train it on; sizes and spacings are z, y, x."""

    name: str
    shape: tuple[int, int, int] = (44, 50, 47)
    spacing_mm: tuple[float, float, float] = (3.0, 3.6, 3.4)
    target_mm: tuple[float, float, float] = (3.2, 3.0, 3.0)
    patch: tuple[int, int, int] = (32, 32, 32)
    channels: tuple[str, ...] = ("PET",)
    schemes: tuple[str, ...] = ("ZScoreNormalization",)
    masked: bool = False
    labels: Mapping[str, Any] = field(default_factory=lambda: dict(LABELS))
    forward: tuple[int, int, int] = (0, 1, 2)
    residual: bool = False
    folds: int = 1
    mirror: tuple[int, ...] | None = None
    zeros: int = 0
    resampling: str = SPLINE_RESAMPLING
    steps: int = 240
    features: tuple[int, ...] = (6, 8, 12)
    reader: str = "SimpleITKIO"
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)


MODELS = (
    Model("isotropic"),
    Model("mirrored", mirror=(0, 1, 2), residual=True),
    Model("anisotropic", shape=(18, 70, 66), spacing_mm=(7.5, 1.9, 2.1), target_mm=(6.5, 2.0, 2.0), patch=(12, 32, 32)),
    Model("cropped", zeros=5, masked=True, residual=True),
    Model("transposed", forward=(2, 0, 1), mirror=(0, 2), patch=(24, 32, 40), target_mm=(3.3, 3.1, 2.9)),
    Model("two_folds", folds=2, residual=True),
    Model("regions", labels=REGIONS, mirror=(1,)),
    Model("pet_ct", channels=("CT", "noNorm"), schemes=("CTNormalization", "NoNormalization"), residual=True),
    Model("torch_resampling", resampling=TORCH_RESAMPLING),
    Model(
        "torch_anisotropic",
        shape=(18, 70, 66),
        spacing_mm=(7.5, 1.9, 2.1),
        target_mm=(6.5, 2.0, 2.0),
        patch=(12, 32, 32),
        resampling=TORCH_RESAMPLING,
    ),
    Model("reoriented", reader="SimpleITKIOWithReorient", direction=(-1, 0, 0, 0, 1, 0, 0, 0, -1)),
    Model("small", shape=(20, 26, 25)),
)


def synthetic_study(model: Model, seed: int = 1) -> tuple[list[sitk.Image], sitk.Image]:
    """Channels and labels of a study: balls of SUV 8 (label 1) and 15 (label 2) in noise of SUV 1."""
    rng = np.random.default_rng(seed)
    grid = np.indices(model.shape).astype(float)
    spacing = np.array(model.spacing_mm)
    labels = np.zeros(model.shape, np.uint8)
    size_mm = np.array(model.shape) * spacing
    for number in range(14):
        middle = rng.uniform(0.1, 0.9, 3) * size_mm
        distance = sum((grid[a] * spacing[a] - middle[a]) ** 2 for a in range(3))
        labels[distance <= rng.uniform(7.0, 16.0) ** 2] = 1 + number % 2
    uptake = np.where(labels == 2, 15.0, np.where(labels == 1, 8.0, 1.0)) + rng.normal(0, 0.2, model.shape)
    ct = np.where(labels > 0, 60.0, 20.0) + np.rint(rng.normal(0, 15.0, model.shape))
    arrays = {"PET": uptake, "noNorm": uptake / 5.0, "CT": ct}
    images = []
    for channel in model.channels:
        array = (np.rint(16.0 * arrays[channel]) / 16.0).astype(np.float32)  # packs well, exact in float32
        if model.zeros:
            array[: model.zeros] = array[:, :, -2 * model.zeros :] = 0
        images.append(_image(array, model))
    if model.zeros:
        labels[: model.zeros] = labels[:, :, -2 * model.zeros :] = 0
    return images, _image(labels, model)


def train(model: Model, base: Path) -> Path:
    """Train the model by nnunetv2 below ``base`` and return its folder."""
    _use(base)
    dataset, plans = dataset_json(model), plans_json(model)
    study = write_study(model, base)
    for fold in range(model.folds):
        trainer = _trainer(model, dataset, plans, fold, study)
        for data, target in _batches(model, study, dataset, plans, seed=10 + fold):
            trainer.train_step({"data": data, "target": target})
        trainer.inference_allowed_mirroring_axes = model.mirror
        trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    folder = Path(trainer.output_folder_base)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    return folder


def labels_of_nnunet(model: Model, folder: Path, study: Sequence[Path], base: Path, mirroring: bool = True) -> Path:
    """The label image that nnunetv2 writes for a study."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    _use(base)
    predictor = nnUNetPredictor(
        use_mirroring=mirroring, device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(folder), tuple(range(model.folds)), "checkpoint_final.pth")
    target = base / "expected"
    target.mkdir(exist_ok=True)
    predictor.predict_from_files_sequential([[str(path) for path in study]], [str(target / "case")], False)
    return target / "case.nii.gz"


def write_study(model: Model, base: Path) -> list[Path]:
    """The files of the study, as nnU-Net names them, and the labels beside them; the former are returned."""
    folder = base / "study"
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = synthetic_study(model)
    paths = [folder / f"case_{number:04d}.nii.gz" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        sitk.WriteImage(image, str(path))
    sitk.WriteImage(labels, str(folder / "labels.nii.gz"))
    return paths


def dataset_json(model: Model) -> dict[str, Any]:
    """What nnU-Net keeps of a data set."""
    values: dict[str, Any] = {
        "channel_names": {str(number): name for number, name in enumerate(model.channels)},
        "labels": dict(model.labels),
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    if any(isinstance(label, list) for label in model.labels.values()):
        values["regions_class_order"] = [1, 2]
    return values


def plans_json(model: Model) -> dict[str, Any]:
    """A plan as nnU-Net's planner writes it, for a tiny network."""
    backward = [model.forward.index(axis) for axis in range(3)]
    facts = {"mean": 40.0, "std": 25.0, "percentile_00_5": -30.0, "percentile_99_5": 110.0, "min": -60.0, "max": 140.0}
    return {
        "dataset_name": "Dataset999_Synthetic",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(model.target_mm),
        "original_median_shape_after_transp": list(model.shape),
        "image_reader_writer": model.reader,
        "transpose_forward": list(model.forward),
        "transpose_backward": backward,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(number): {**facts, "median": 40.0} for number in range(len(model.channels))
        },
        "configurations": {"3d_fullres": _configuration(model)},
    }


def _configuration(model: Model) -> dict[str, Any]:
    spline = model.resampling == SPLINE_RESAMPLING
    settings = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    torch_settings = {"is_seg": False, "force_separate_z": None, "memefficient_seg_resampling": False}
    flat = model.patch[0] < 16
    stages = len(model.features)
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(model.patch),
        "median_image_size_in_voxels": list(model.shape),
        "spacing": list(model.target_mm),
        "normalization_schemes": list(model.schemes),
        "use_mask_for_norm": [model.masked] * len(model.channels),
        "resampling_fn_data": model.resampling,
        "resampling_fn_seg": model.resampling,
        "resampling_fn_data_kwargs": settings if spline else torch_settings,
        "resampling_fn_seg_kwargs": {**settings, "is_seg": True, "order": 1}
        if spline
        else {**torch_settings, "is_seg": True},
        "resampling_fn_probabilities": model.resampling,
        "resampling_fn_probabilities_kwargs": {**settings, "order": 1} if spline else torch_settings,
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet."
            + ("ResidualEncoderUNet" if model.residual else "PlainConvUNet"),
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": list(model.features),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[1 if flat else 3, 3, 3], *[[3, 3, 3]] * (stages - 1)],
                "strides": [[1, 1, 1], [1 if flat else 2, 2, 2], *[[2, 2, 2]] * (stages - 2)],
                ("n_blocks_per_stage" if model.residual else "n_conv_per_stage"): [1] * stages,
                "n_conv_per_stage_decoder": [1] * (stages - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }


def _use(base: Path) -> None:
    for name in ("raw", "preprocessed", "results"):
        (base / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(base / name)
    os.environ.update(nnUNet_def_n_proc="1")


def _trainer(
    model: Model, dataset: Mapping[str, Any], plans: Mapping[str, Any], fold: int, study: Sequence[Path]
) -> Any:
    import torch
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(json.loads(json.dumps(plans)))
    folder = study[0].parents[1] / "preprocessed" / "Dataset999_Synthetic" / "nnUNetPlans_3d_fullres"
    folder.mkdir(parents=True, exist_ok=True)
    if fold == 0:
        DefaultPreprocessor(verbose=False).run_case_save(
            str(folder / "case"),
            [str(path) for path in study],
            str(study[0].parent / "labels.nii.gz"),
            manager,
            manager.get_configuration("3d_fullres"),
            dataset,
        )
    torch.manual_seed(fold)
    trainer = nnUNetTrainer(
        {**json.loads(json.dumps(plans)), "continue_training": False},
        "3d_fullres",
        fold,
        dict(dataset),
        torch.device("cpu"),
    )
    trainer.enable_deep_supervision = False
    trainer.initialize()
    trainer.network.train()
    return trainer


def _batches(
    model: Model, study: Sequence[Path], dataset: Mapping[str, Any], plans: Mapping[str, Any], seed: int
) -> Any:
    """Patches of the preprocessed study, half of them around something bright."""
    import torch
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(json.loads(json.dumps(plans)))
    data, labels, _ = DefaultPreprocessor(verbose=False).run_case(
        [str(path) for path in study],
        str(study[0].parent / "labels.nii.gz"),
        manager,
        manager.get_configuration("3d_fullres"),
        dataset,
    )
    missing = [max(0, window - size) for window, size in zip(model.patch, data.shape[1:], strict=True)]
    data = np.pad(data, [(0, 0), *((0, width) for width in missing)])
    labels = np.maximum(np.pad(labels, [(0, 0), *((0, width) for width in missing)]), 0)
    rng = np.random.default_rng(seed)
    regions = any(isinstance(label, list) for label in model.labels.values())
    for _ in range(model.steps):
        chosen = []
        for _ in range(2):
            place = [
                rng.integers(0, size - window + 1) for size, window in zip(data.shape[1:], model.patch, strict=True)
            ]
            chosen.append((slice(None), *(slice(a, a + w) for a, w in zip(place, model.patch, strict=True))))
        target = np.stack([labels[box] for box in chosen]).astype(np.float32)
        if regions:
            target = np.concatenate([target > 0, target == 2], axis=1).astype(np.float32)
        yield torch.from_numpy(np.stack([data[box] for box in chosen])), torch.from_numpy(target)


def _image(array: np.ndarray, model: Model) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(model.spacing_mm[::-1])
    image.SetOrigin((-80.0, -90.0, 40.0))
    image.SetDirection(model.direction)
    return image
