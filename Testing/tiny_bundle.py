"""A small MONAI bundle with weights drawn at random, and monai.bundle's own run of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

READER = '''"""Reads images for this bundle: what MONAI itself reads them with need not be installed for tests."""

import numpy as np
import SimpleITK as sitk
from monai.data import ImageReader


class SitkReader(ImageReader):
    def verify_suffix(self, filename):
        return True

    def read(self, data, **kwargs):
        names = data if isinstance(data, (list, tuple)) else [data]
        return [sitk.ReadImage(str(name)) for name in names]

    def get_data(self, img):
        first = img[0]
        affine = np.eye(4)
        affine[:3, :3] = np.array(first.GetDirection()).reshape(3, 3) @ np.diag(first.GetSpacing())
        affine[:3, 3] = first.GetOrigin()
        affine = np.diag([-1, -1, 1, 1]) @ affine
        arrays = [np.transpose(sitk.GetArrayFromImage(image), (2, 1, 0)) for image in img]
        many = len(arrays) > 1
        meta = {"affine": affine, "original_affine": affine.copy(), "space": "RAS", "spatial_shape": arrays[0].shape}
        meta["original_channel_dim"] = 0 if many else float("nan")
        return (np.stack(arrays) if many else arrays[0]), meta
'''


def make_bundle(
    folder: Path, channels: tuple[str, ...] = ("PET",), turned: bool = False, regions: bool = False, **changes: Any
) -> Path:
    """Write a bundle with a UNet of 4 and 8 features and three classes, of which 1 is lesion and 2 liver.

    With ``turned`` it turns images to RAS first, for which MONAI needs nibabel. With ``regions`` it has a channel for
    lesion and one for liver, which do not exclude each other, and none for the background.
    """
    from monai.bundle import ConfigParser

    for name in ("configs", "models", "scripts"):
        (folder / name).mkdir(parents=True)
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "tiny_reader.py").write_text(READER)
    config = {**_config(len(channels)), **changes}
    if turned:
        steps = config["preprocessing"]["transforms"]
        steps.insert(2, {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"})
    classes = ["background", "lesion", "liver"]
    if regions:
        classes = classes[1:]
        config["network_def"]["out_channels"] = 2
        config["postprocessing"]["transforms"][0] = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
        config["postprocessing"]["transforms"][2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
    (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=2))
    metadata = {
        "name": "tiny bundle",
        "version": "0.0.1",
        "network_data_format": {
            "inputs": {"image": {"type": "image", "channel_def": {str(n): name for n, name in enumerate(channels)}}},
            "outputs": {"pred": {"type": "image", "channel_def": {str(n): name for n, name in enumerate(classes)}}},
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    torch.manual_seed(7)
    parser = ConfigParser({"network_def": config["network_def"]})
    network = parser.get_parsed_content("network_def")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)  # far from a tie, whatever the machine rounds
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def own_run(folder: Path, images: list[Path], work: Path) -> np.ndarray:
    """What `monai.bundle.run` gives for image files, (channels, z, y, x); the bundle's folder has to be on the path."""
    from monai.bundle import run

    run(
        run_id="run",
        init_id="initialize",
        config_file=str(folder / "configs" / "inference.json"),
        meta_file=str(folder / "configs" / "metadata.json"),
        logging_file=False,
        bundle_root=str(folder),
        image_files=[str(path) for path in images],
        saved_to=str(work / "own.npy"),
    )
    return np.load(work / "own.npy").transpose(0, 3, 2, 1)


def _config(channels: int) -> dict[str, Any]:
    scale = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 20, "b_min": 0, "b_max": 1}
    return {
        "imports": ["$import numpy", "$import monai", "$import torch"],
        "bundle_root": ".",
        "image_files": [],
        "saved_to": "",
        "device": "$torch.device('cpu')",
        "network_def": {
            "_target_": "UNet",
            "spatial_dims": 3,
            "in_channels": channels,
            "out_channels": 3,
            "channels": [4, 8],
            "strides": [2],
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": {"_target_": "scripts.tiny_reader.SitkReader"}},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [5.0, 5.0, 6.0], "mode": "bilinear"},
                scale,
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [16, 16, 16],
            "sw_batch_size": 2,
            "overlap": 0.5,
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
        "initialize": [
            "$@network.load_state_dict(torch.load(@bundle_root + '/models/model.pt', weights_only=True))",
            "$@network.eval()",
        ],
        "batch": "$monai.data.list_data_collate([@preprocessing({'image': @image_files})])",
        "answer": "$monai.data.decollate_batch({**@batch, 'pred': @inferer(@batch['image'], @network).detach()})[0]",
        "run": ["$numpy.save(@saved_to, @postprocessing(@answer)['pred'].numpy())"],
    }
