"""The method ``bundle:FOLDER``: a MONAI bundle, run by monai.bundle's parser with its own pre- and postprocessing.

The configuration of a bundle is a program (``$`` expressions, scripts), so the parser reads it only after the whole
folder was allowed by its hash, or by a yes for this time. Weights are loaded without running anything of them.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.inference.bundle_folder import (
    BundleFolder,
    bundle_meaning,
    input_sources,
    read_bundle_folder,
)
from PSMASegmentLib.inference.bundle_images import SUFFIX, memory_reader, on_grid
from PSMASegmentLib.inference.class_map import ClassMap
from PSMASegmentLib.inference.declaration import DECLARATION_FILE, read_declaration
from PSMASegmentLib.inference.device import Device, choose_device
from PSMASegmentLib.inference.network import FULL_PROBABILITY, RawResult
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.networks.package import trusted_programs
from PSMASegmentLib.networks.trust import Confirm, folder_sha256
from PSMASegmentLib.segmentation import Images

AIR_HU = -1024.0
UNITS = ("SUVbw", "Bq/mL")
_FAILURES = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NameError,
    SyntaxError,
    AssertionError,
    ArithmeticError,
    OSError,
)


class BundleModel:
    """A bundle; it is built when it is first asked, and stays. Not for two threads at a time."""

    keys = ("device", "channels", "units", "class_map")

    def __init__(self, folder: Path, confirm: Confirm | None = None) -> None:
        self._folder, self._confirm = folder, confirm
        self._built: tuple[str, _Parts] | None = None

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for wrong settings, a folder that is no bundle, and channels or classes nobody declared."""
        bundle, said = read_bundle_folder(self._folder), self._said(settings)
        input_sources(bundle, said.get("channels"))
        bundle_meaning(bundle, said.get("class_map"))
        if said.get("units", UNITS[0]) not in UNITS:
            raise ValueError(f"Setting units must be one of {', '.join(UNITS)}, not {said['units']!r}.")

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult:
        """What the bundle says of a study.

        Raises ValueError for a bundle that nobody allowed, is damaged or fails, for a missing CT and wrong units;
        ImportError that says what to install.
        """
        bundle, said, started = read_bundle_folder(self._folder), self._said(settings), time.perf_counter()
        meaning = bundle_meaning(bundle, said.get("class_map"))
        inputs = _input_images(images, bundle, said)
        sha256 = folder_sha256(self._folder, leave_out=DECLARATION_FILE)
        trusted_programs().require(sha256, self._folder, self._confirm)
        device = choose_device(said.get("device"))
        told(0.0, "Reading the bundle")
        if self._built is None or self._built[0] != f"{sha256} {device.name}":
            self._built = None  # before the next one takes memory
            with _failing("cannot be built", self._folder):
                self._built = (f"{sha256} {device.name}", _Parts(bundle, device))
        told(0.1, "Asking the bundle")
        with _failing("failed", self._folder):
            labels, probability = self._built[1].run(inputs, images.emission, meaning, told)
        told(1.0, "The bundle has answered")
        values = sitk.GetArrayViewFromImage(labels)
        return RawResult(
            lesion=_marked(np.isin(values, meaning.lesion), values, images.emission, one=True),
            probability=probability,
            physiology=_marked(np.isin(values, list(meaning.physiological)), values, images.emission)
            if meaning.physiological
            else None,
            names=dict(meaning.physiological),
            provenance={
                "format": "MONAI bundle",
                "model": bundle.name,
                "model_version": bundle.version,
                "sha256": sha256,
                "channels": {key: list(names) for key, names in bundle.inputs.items()},
                "assumed_units": said.get("units", UNITS[0]),
                "meaning": meaning.to_json(),
                "device": device.title,
                "precision": self._built[1].precision,
                "folds": 1,
                "mirror_axes": "as the bundle's configuration has it",
                "seconds": {"bundle": round(time.perf_counter() - started, 2)},
            },
        )

    def _said(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What the folder's declaration says, with the settings of the caller over it."""
        return {**read_declaration(self._folder, self.keys), **settings}


class _Parts:
    """What a bundle is made of, built by its configuration."""

    def __init__(self, bundle: BundleFolder, device: Device) -> None:
        from monai.bundle import ConfigParser
        from monai.transforms import Compose, LoadImaged, SaveImage, SaveImaged

        with TemporaryDirectory() as nowhere, _importing_from(bundle.folder):
            parser = ConfigParser()
            parser.read_config(str(bundle.config))
            parser.read_meta(str(bundle.folder / "configs" / "metadata.json"))
            parser["bundle_root"], parser["output_dir"] = str(bundle.folder), nowhere
            parser["device"] = f"$torch.device('{device.name}')"
            self.before = _part(parser, "preprocessing", bundle)
            after = _part(parser, "postprocessing", bundle)
            self._inferer = _part(parser, "inferer", bundle)
            self._network = _network(parser, bundle, device)
            # What a bundle would write to a file is handed on instead.
            self._after = Compose(
                [step for step in after.flatten().transforms if not isinstance(step, (SaveImage, SaveImaged))]
            )
            self._images: dict[str, sitk.Image] = {}
            for step in self.before.flatten().transforms:
                if isinstance(step, LoadImaged):
                    step.register(memory_reader(self._images))
            self._half = device.is_cuda and bool(parser.get("evaluator::amp", False))
        self._device, self._background = device, bundle.background
        self.precision = "float16 where torch holds it for safe" if self._half else "float32"

    def run(
        self, inputs: Mapping[str, Sequence[sitk.Image]], grid: sitk.Image, meaning: ClassMap, told: Told
    ) -> tuple[sitk.Image, sitk.Image | None]:
        """Labels (uint8) and the probability of lesion (uint8, 0 to 200) on a grid."""
        import torch
        from monai.data import decollate_batch, list_data_collate

        asked = {key: [f"{key}-{n}{SUFFIX}" for n in range(len(some))] for key, some in inputs.items()}
        self._images.update((name, image) for key in asked for name, image in zip(asked[key], inputs[key], strict=True))
        batch = list_data_collate([self.before(asked)])
        self._images.clear()
        key = "image" if "image" in batch else next(iter(inputs))

        def network(*values: Any, **more: Any) -> Any:
            told.again()
            return self._network(*values, **more)

        with torch.no_grad(), torch.autocast("cuda", enabled=self._half):
            batch["pred"] = self._inferer(inputs=batch[key].to(self._device.name), network=network)
        (answer,) = decollate_batch(batch)
        probability = self._probability(dict(answer), key, meaning)
        found = self._after(answer)["pred"]
        labels = found if found.ndim == 3 or len(found) == 1 else _merged(found, self._background)
        return on_grid(labels, grid), None if probability is None else on_grid(probability, grid)

    def _probability(self, answer: dict[str, Any], key: str, meaning: ClassMap) -> Any:
        """The probability of lesion times 200, brought back as the bundle does it; None where it cannot be told."""
        from monai.transforms import Activationsd, Invertd

        logits, steps = answer["pred"].float(), self._after.transforms
        activation = next((step for step in steps if isinstance(step, Activationsd)), None)
        if activation is None:
            return None
        if activation.softmax[0]:
            share = logits.softmax(dim=0)[list(meaning.lesion)].sum(dim=0, keepdim=True)
        elif activation.sigmoid[0]:
            first = 0 if self._background and len(logits) > 1 else 1
            share = logits.sigmoid()[[value - first for value in meaning.lesion]].amax(dim=0, keepdim=True)
        else:
            return None
        if any(isinstance(step, Invertd) for step in steps):
            answer["pred"] = share
            back = Invertd(keys="pred", transform=self.before, orig_keys=key, nearest_interp=False, to_tensor=True)
            share = back(answer)["pred"]
        return (share * FULL_PROBABILITY).clamp(0, FULL_PROBABILITY)


def _part(parser: Any, name: str, bundle: BundleFolder) -> Any:
    if name not in parser:
        raise ValueError(f'{bundle.config} has no "{name}"')
    return parser.get_parsed_content(name)


def _network(parser: Any, bundle: BundleFolder, device: Device) -> Any:
    """The network with its weights, ready to be asked."""
    import torch

    name = next((name for name in ("network", "network_def") if name in parser), None)
    if name is None:
        if not bundle.program.is_file():
            raise ValueError(f'{bundle.config} has no "network_def", and there is no {bundle.program}')
        return torch.jit.load(str(bundle.program), map_location=device.name).eval()
    network = parser.get_parsed_content(name).to(device.name).eval()
    file = _checkpoint(parser) or bundle.weights
    if not file.is_file():
        raise ValueError(f"its weights {file} are missing")
    try:
        weights = torch.load(file, map_location=device.name, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{file} holds more than weights, or is damaged, and is not loaded ({str(error).splitlines()[0]})"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(weights, Mapping) and isinstance(weights.get(key), Mapping):
            weights = weights[key]
    network.load_state_dict(weights)
    return network


def _checkpoint(parser: Any) -> Path | None:
    """The file that the configuration's CheckpointLoader would load, if it has one."""
    for place in ("handlers", "evaluator::val_handlers", "validate::handlers"):
        for number, handler in enumerate(parser.get(place, None) or []):
            if isinstance(handler, Mapping) and str(handler.get("_target_", "")).endswith("CheckpointLoader"):
                return Path(str(parser.get_parsed_content(f"{place}::{number}::load_path")))
    return None


def _merged(channels: Any, background: bool) -> Any:
    """Labels of channels of which each marks a class; of those that mark a voxel, the last counts."""
    labels = channels[:1] * 0
    for number in range(1 if background else 0, len(channels)):
        labels[channels[number : number + 1] > 0] = number if background else number + 1
    return labels


def _input_images(images: Images, bundle: BundleFolder, said: Mapping[str, Any]) -> dict[str, list[sitk.Image]]:
    """The images of each input on the emission grid, float32."""
    units = said.get("units", UNITS[0])
    if images.units != units:
        raise ValueError(
            f"The MONAI bundle {bundle.folder} wants its emission image in {units}; this one is in {images.units}. "
            "Convert it, or declare the units that the model was trained on."
        )
    sources = input_sources(bundle, said.get("channels"))
    by_source = {"emission": sitk.Cast(images.emission, sitk.sitkFloat32)}
    if any("ct" in some for some in sources.values()):
        if images.ct is None:
            raise ValueError(f"The MONAI bundle {bundle.folder} wants a CT, and this study has none.")
        by_source["ct"] = sitk.Resample(
            images.ct, images.emission, sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32
        )
    return {key: [by_source[source] for source in some] for key, some in sources.items()}


def _marked(inside: Any, values: Any, emission: sitk.Image, one: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(np.where(inside, 1 if one else values, 0).astype(np.uint8))
    image.CopyInformation(emission)
    return image


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Lets a bundle import its own scripts; afterwards they are forgotten, so that another bundle gets its own.

    Nothing is written beside them, so that the folder keeps its hash.
    """
    written = sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and folder.resolve() in Path(file).resolve().parents:
                del sys.modules[name]


@contextmanager
def _failing(what: str, folder: Path) -> Iterator[None]:
    """Tells what happened in a bundle's own code, which may fail in any of these ways."""
    try:
        yield
    except (ImportError, *_FAILURES) as error:
        cause: BaseException = error
        while isinstance(cause, RuntimeError) and cause.__cause__ is not None:
            cause = cause.__cause__  # what MONAI wraps to say in which step
        if isinstance(cause, ImportError):
            raise ImportError(
                f"The MONAI bundle {folder} needs what is not installed ({str(cause).splitlines()[0]}). Install monai, "
                "torch and what configs/metadata.json lists."
            ) from error
        raise ValueError(f"The MONAI bundle {folder} {what}: {type(cause).__name__}: {cause}") from error
