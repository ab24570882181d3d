"""The folder of a model trained by nnU-Net v2: what its plan says, read without running anything of it.

Layout (nnunetv2 2.8): ``DatasetNNN_NAME/TRAINER__PLANS__CONFIGURATION`` with ``dataset.json``, ``plans.json`` and
``fold_K/checkpoint_final.pth``. Plans older than 2.3 hold the architecture in other words; they are translated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PSMASegmentLib.inference.labels import Heads
from PSMASegmentLib.inference.network import Triple
from PSMASegmentLib.inference.nnunet_resample import Resampling, read_resampling

CHECKPOINT = "checkpoint_final.pth"
SCHEMES = (
    "CTNormalization",
    "ZScoreNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
)
_ORIENTATIONS = {
    "SimpleITKIO": None,
    "NibabelIO": None,
    "SimpleITKIOWithReorient": "RAS",
    "NibabelIOWithReorient": "RAS",
}
_RESAMPLING = "resample_data_or_seg_to_shape"
_CONVOLUTION, _NORM = "torch.nn.modules.conv.Conv3d", "torch.nn.modules.instancenorm.InstanceNorm3d"


@dataclass(frozen=True)
class ChannelPlan:
    """One input: its name in ``dataset.json``, how it is normalized, over what, and the numbers of ``CTNormalization``.

    ``low`` and ``high`` are the percentiles 0.5 and 99.5 of foreground voxels in training, in units of the image.
    """

    name: str
    scheme: str
    masked: bool
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class NnunetFolder:
    """A plan. Axes of ``spacing_mm``, ``patch`` and the network are z, y, x of the image in the order ``forward``.

    ``orientation`` is what its reader turns images to (None: it leaves them as they are stored). ``labels`` are those
    of ``dataset.json``, without the one that is ignored; a region has several.
    """

    folder: Path
    dataset: str
    configuration: str
    channels: tuple[ChannelPlan, ...]
    labels: Mapping[str, tuple[int, ...]]
    heads: Heads
    classes: int
    forward: Triple
    orientation: str | None
    spacing_mm: tuple[float, float, float]
    patch: Triple
    image_resampling: Resampling
    logits_resampling: Resampling
    architecture: Mapping[str, Any]
    folds: tuple[str, ...]
    checkpoint: str

    @property
    def backward(self) -> Triple:
        """The order of axes that undoes ``forward``."""
        z, y, x = (self.forward.index(axis) for axis in range(3))
        return (z, y, x)

    @property
    def checkpoints(self) -> list[Path]:
        """The file of each fold."""
        return [self.folder / f"fold_{fold}" / self.checkpoint for fold in self.folds]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file that decides on the result, by its path in the folder."""
        files = [self.folder / "dataset.json", self.folder / "plans.json", *self.checkpoints]
        return {file.relative_to(self.folder).as_posix(): file_hash(file) for file in files}


def file_hash(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_nnunet_folder(
    folder: Path,
    configuration: str | None = None,
    folds: Sequence[str | int] | None = None,
    checkpoint: str = CHECKPOINT,
) -> NnunetFolder:
    """Read a model folder. ``configuration`` None: that of the folder's name; ``folds`` None: all that are there.

    As nnU-Net does, "all" is only taken when it is asked for or nothing else is there. Raises ValueError that says what
    is wrong with the folder, or what of it this version cannot run (cascades, 2-D, unknown normalization).
    """
    dataset, plans = _json(folder / "dataset.json"), _json(folder / "plans.json")
    try:
        name = configuration or _configuration_name(folder, plans)
        values = _configuration(folder, plans, name)
        _refuse_what_cannot_run(folder, name, values)
        return _read(folder, dataset, plans, name, values, folds, checkpoint)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{folder} is no complete nnU-Net model: dataset.json or plans.json lack or garble what is needed "
            f"({type(error).__name__}: {error}). Export the model again with nnunetv2."
        ) from error


def _read(
    folder: Path,
    dataset: Mapping[str, Any],
    plans: Mapping[str, Any],
    name: str,
    values: Mapping[str, Any],
    folds: Sequence[str | int] | None,
    checkpoint: str,
) -> NnunetFolder:
    labels = _labels(folder, dataset["labels"])
    regions = tuple(dataset["regions_class_order"]) if any(len(region) > 1 for region in labels.values()) else None
    classes = sum(region != (0,) for region in labels.values()) if regions else len(set().union(*labels.values()))
    if regions is not None and len(regions) != classes:
        raise ValueError(f"{folder}: dataset.json has {classes} regions but {len(regions)} in regions_class_order.")
    if max(max(region) for region in labels.values()) > 255:
        raise ValueError(f"{folder} has labels above 255; this version holds labels in one byte.")
    patch, spacing, forward = values["patch_size"], values["spacing"], plans["transpose_forward"]
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in _ORIENTATIONS:
        raise ValueError(f"{folder} was trained on images read by {reader}; known: {', '.join(_ORIENTATIONS)}.")
    return NnunetFolder(
        folder=folder,
        dataset=str(plans.get("dataset_name", folder.parent.name)),
        configuration=name,
        channels=_channels(folder, dataset, plans, values),
        labels=labels,
        heads=Heads(regions),
        classes=classes,
        forward=(int(forward[0]), int(forward[1]), int(forward[2])),
        orientation=_ORIENTATIONS[reader],
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        patch=(int(patch[0]), int(patch[1]), int(patch[2])),
        image_resampling=_resampling(values, "resampling_fn_data"),
        logits_resampling=_resampling(values, "resampling_fn_probabilities"),
        architecture=values["architecture"] if "architecture" in values else _old_architecture(folder, values),
        folds=_folds(folder, folds, checkpoint),
        checkpoint=checkpoint,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{path.parent} is no nnU-Net model: {path.name} cannot be read ({error}). Give the folder "
            "TRAINER__PLANS__CONFIGURATION that holds dataset.json, plans.json and the folds."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it is no JSON ({error}). Copy the model again.") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: it holds no object. Copy the model again.")
    return values


def _configuration_name(folder: Path, plans: Mapping[str, Any]) -> str:
    parts = folder.resolve().name.split("__")
    if len(parts) == 3:
        return parts[2]
    known = list(plans["configurations"])
    if "3d_fullres" in known:
        return "3d_fullres"
    raise ValueError(f"{folder} does not say which configuration it is. Name one of {', '.join(known)}.")


def _configuration(folder: Path, plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values of a configuration, with what it inherits."""
    known, chain, merged = plans["configurations"], [], {}
    parent: str | None = name
    while parent is not None:
        if parent not in known or parent in chain:
            raise ValueError(
                f'{folder}: plans.json has no configuration "{parent}", or it inherits from itself. There are '
                f"{', '.join(known)}."
            )
        chain.append(parent)
        parent = known[parent].get("inherits_from")
    for entry in reversed(chain):
        merged.update(known[entry])
    return merged


def _refuse_what_cannot_run(folder: Path, name: str, values: Mapping[str, Any]) -> None:
    if values.get("previous_stage"):
        raise ValueError(
            f'{folder}: "{name}" is the second stage of a cascade and needs the labels of '
            f'"{values["previous_stage"]}". Cascades are not run here; use a model of one stage (3d_fullres or '
            "3d_lowres), or nnunetv2."
        )
    if len(values["patch_size"]) != 3:
        raise ValueError(f'{folder}: "{name}" works on planes; only models of three dimensions are run here.')


def _labels(folder: Path, given: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    labels = {
        name: tuple(int(v) for v in value) if isinstance(value, (list, tuple)) else (int(value),)
        for name, value in given.items()
        if name != "ignore"
    }
    if labels.get("background") != (0,):
        raise ValueError(f"{folder}: dataset.json has no label background with the value 0. Export the model again.")
    return labels


def _channels(
    folder: Path, dataset: Mapping[str, Any], plans: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[ChannelPlan, ...]:
    names = dataset["channel_names"] if "channel_names" in dataset else dataset["modality"]
    intensities = (
        plans["foreground_intensity_properties_per_channel"]
        if "foreground_intensity_properties_per_channel" in plans
        else plans["foreground_intensity_properties_by_modality"]
    )
    schemes, masked = values["normalization_schemes"], values["use_mask_for_norm"]
    unknown = sorted(set(schemes) - set(SCHEMES))
    if unknown or not len(names) == len(schemes) == len(masked):
        raise ValueError(
            f"{folder}: {len(names)} channels with the normalizations {', '.join(schemes)}; one of "
            f"{', '.join(SCHEMES)} is needed for each. Run this model with nnunetv2."
        )
    channels = []
    for number, scheme in enumerate(schemes):
        facts = intensities[str(number)]
        numbers = (float(facts[key]) for key in ("mean", "std", "percentile_00_5", "percentile_99_5"))
        channels.append(ChannelPlan(str(names[str(number)]), scheme, bool(masked[number]), *numbers))
    return tuple(channels)


def _resampling(values: Mapping[str, Any], key: str) -> Resampling:
    default = {"order": 3 if key == "resampling_fn_data" else 1, "order_z": 0, "force_separate_z": None}
    return read_resampling(values.get(key, _RESAMPLING), values.get(f"{key}_kwargs", default))


def _folds(folder: Path, wanted: Sequence[str | int] | None, checkpoint: str) -> tuple[str, ...]:
    there = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint}"))
    if wanted is None:
        numbered = [fold for fold in there if fold != "all"]
        folds = tuple(numbered or there)
    else:
        folds = tuple(str(fold) for fold in wanted)
    missing = [fold for fold in folds if fold not in there]
    if missing or not folds:
        raise ValueError(
            f"{folder} holds no {checkpoint} of fold {', '.join(missing) or 'any'}; there are folds: "
            f"{', '.join(there) or 'none'}."
        )
    return folds


def _old_architecture(folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture in the words of newer plans."""
    classes = {
        "PlainConvUNet": "n_conv_per_stage",
        "ResidualEncoderUNet": "n_blocks_per_stage",
    }
    name = values["UNet_class_name"]
    if name not in classes:
        raise ValueError(f"{folder}: the network {name} of this old plan is not known; known: {', '.join(classes)}.")
    stages = len(values["n_conv_per_stage_encoder"])
    base, most = values["UNet_base_num_features"], values["unet_max_num_features"]
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
            "conv_op": _CONVOLUTION,
            "kernel_sizes": values["conv_kernel_sizes"],
            "strides": values["pool_op_kernel_sizes"],
            classes[name]: values["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": values["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": _NORM,
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
