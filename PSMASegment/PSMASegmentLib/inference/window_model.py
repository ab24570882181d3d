"""A TorchScript network with its description, asked for a whole study window by window."""

from __future__ import annotations

import hashlib
import io
import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.grids import same_grid
from PSMASegmentLib.inference.device import Attempt, attempts, choose_device, first_that_fits
from PSMASegmentLib.inference.labels import Heads, labels_from_logits
from PSMASegmentLib.inference.network import RawResult, Runner
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.inference.runners import ENGINES, make_runner
from PSMASegmentLib.inference.separable import AxisMap, resample, spline_map
from PSMASegmentLib.inference.sidecar import Sidecar
from PSMASegmentLib.inference.windows import EMPTY_LOGIT, infer_windows, mirrorings
from PSMASegmentLib.segmentation import Images

KEYS = ("device", "engine", "mirroring")
AIR_HU = -1024.0
BODY_SUV = 0.1
"""Windows in which no voxel reaches this SUVbw are not asked: a choice of this project, far below any lesion."""
_PREPARED, _ASKED = 0.1, 0.9


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a wrong value of one of ``KEYS``."""
    engine, device = settings.get("engine", "auto"), settings.get("device")
    if engine not in ENGINES:
        raise ValueError(f"There is no engine {engine!r} for networks. Available: {', '.join(ENGINES)}.")
    if device is not None and not isinstance(device, str):
        raise ValueError(f'Setting device must be a text such as "cpu" or "cuda:0", not {device!r}.')
    if not isinstance(settings.get("mirroring", True), bool):
        raise ValueError(f"Setting mirroring must be true or false, not {settings['mirroring']!r}.")


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Channels (c, z, y, x) as the network wants them, the turned emission image and the maps back to its voxels."""

    channels: npt.NDArray[np.float32]
    body: npt.NDArray[np.bool_] | None
    turned: sitk.Image
    back: list[AxisMap]


class WindowModel:
    """A trusted program that is kept loaded. Not for two threads at a time."""

    def __init__(self, content: bytes, sidecar: Sidecar, engine: str) -> None:
        """``content`` is the TorchScript file, ``engine`` the one that runs it unless a setting names another.

        Raises ValueError where the file is not the one described.
        """
        if hashlib.sha256(content).hexdigest() != sidecar.sha256:
            raise ValueError(
                f"The program of {sidecar.name} is not the one that its description is for (SHA-256 differs). It was "
                "altered or is incomplete: get it again, together with its description."
            )
        self.sidecar, self._content, self._engine = sidecar, content, engine
        self._runner: tuple[Attempt, str, Runner] | None = None

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult:
        """What the network says of a study.

        Raises ValueError for a missing CT, for other units than the network wants, and for a program that torch cannot
        load or that does not answer as described; ImportError without torch; MemoryError.
        """
        sidecar, started = self.sidecar, time.perf_counter()
        told(0.0, "Preparing the images for the network")
        prepared = self._prepare(images)
        axes = sidecar.mirror_axes if settings.get("mirroring", True) else ()
        device, engine = choose_device(settings.get("device")), settings.get("engine", self._engine)
        # A smaller window is not tried: only its maker knows which sizes such a program takes.
        ways = [way for way in attempts(device, len(mirrorings(axes))) if way.divided == 1]
        notes: list[str] = []
        marks = [time.perf_counter()]
        logits, way = first_that_fits(ways, lambda way: self._logits(prepared, way, axes, engine, told), notes.append)
        marks.append(time.perf_counter())
        told(_ASKED, "Making labels")
        heads = Heads(None if sidecar.softmax else tuple(range(1, len(sidecar.classes))))
        labels, share = labels_from_logits(logits, prepared.back, heads, sidecar.meaning.lesion, told.again)
        marks.append(time.perf_counter())
        seconds = dict(zip(("prepare", "network", "labels"), np.diff([started, *marks]).round(2).tolist(), strict=True))
        told(1.0, "The network has answered")
        assert share is not None  # a description names at least one lesion class
        organs = np.where(np.isin(labels, list(sidecar.meaning.physiological)), labels, 0).astype(np.uint8)
        knows_organs = bool(sidecar.meaning.physiological)
        return RawResult(
            lesion=_back(np.isin(labels, sidecar.meaning.lesion).astype(np.uint8), prepared.turned, images.emission),
            probability=_back(share, prepared.turned, images.emission),
            physiology=_back(organs, prepared.turned, images.emission) if knows_organs else None,
            names=dict(sidecar.meaning.physiological),
            provenance={
                **self._facts(way, prepared, axes, engine),
                "seconds": seconds,
                "notes": notes,
                "warnings": tracer_warnings(images.tracer, sidecar.tracers),
            },
        )

    def _prepare(self, images: Images) -> _Prepared:
        sidecar = self.sidecar
        _require_images(images, sidecar)
        turned = sitk.DICOMOrient(sitk.Cast(images.emission, sitk.sitkFloat32), sidecar.orientation)
        spacing, shape = turned.GetSpacing()[::-1], turned.GetSize()[::-1]
        fine = [max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, sidecar.spacing_mm, strict=True)]
        maps = [spline_map(old, new, sidecar.spline_order) for old, new in zip(shape, fine, strict=True)]
        back = [spline_map(new, old, 1) for old, new in zip(shape, fine, strict=True)]
        channels, body = [], None
        for channel in sidecar.channels:
            image = turned if channel.image == "emission" else _ct_on(images, turned)
            values = resample(sitk.GetArrayViewFromImage(image), maps)
            if channel.image == "emission" and channel.units == "SUVbw":
                body = values >= BODY_SUV
            channels.append(channel.normalized(values))
        return _Prepared(np.stack(channels), body, turned, back)

    def _logits(self, prepared: _Prepared, way: Attempt, axes: tuple[int, ...], engine: str, told: Told) -> Any:
        runner = self._runner_for(way, engine)
        count = len(self.sidecar.classes) - (0 if self.sidecar.softmax else 1)
        if runner.classes != count:
            raise ValueError(
                f"The network {self.sidecar.name} gives {runner.classes} logits a voxel; its description needs {count}."
            )
        return infer_windows(
            prepared.channels,
            runner,
            step=1.0 - self.sidecar.overlap,
            gaussian=self.sidecar.gaussian,
            mirror_axes=axes,
            skip_empty=prepared.body,
            empty_logits=None if self.sidecar.softmax else [-EMPTY_LOGIT] * count,
            batch=way.batch,
            progress=lambda share: told(_PREPARED + (_ASKED - _PREPARED) * share, "Asking the network"),
            cancel=told.stopped,
        )

    def _runner_for(self, way: Attempt, engine: str) -> Runner:
        if self._runner is None or self._runner[:2] != (way, engine):
            import torch

            self._runner = None  # before the next one takes memory
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
                    program = torch.jit.load(io.BytesIO(self._content), map_location=way.device.name)
                window, count = self.sidecar.window, len(self.sidecar.channels)
                runner = make_runner(program, count, window, way.device, engine)
                self._runner = (way, engine, _Guarded(runner, self.sidecar.name, torch.jit.Error))
            except torch.cuda.OutOfMemoryError as error:
                raise MemoryError(str(error).splitlines()[0]) from error
            except (RuntimeError, torch.jit.Error) as error:
                what = str(error).strip().splitlines()[-1]
                raise ValueError(
                    f"The program of {self.sidecar.name} cannot be run by torch {torch.__version__}: {what}"
                ) from error
        return self._runner[2]

    def _facts(self, way: Attempt, prepared: _Prepared, axes: tuple[int, ...], engine: str) -> dict[str, Any]:
        sidecar, runner = self.sidecar, self._runner_for(way, engine)
        return {
            "format": "TorchScript",
            "model": sidecar.name,
            "sha256": sidecar.sha256,
            "channels": [f"{channel.image} in {channel.units}" for channel in sidecar.channels],
            "orientation": sidecar.orientation,
            "network_spacing_mm": list(sidecar.spacing_mm),
            "network_grid": list(prepared.channels.shape[1:]),
            "window": list(sidecar.window),
            "overlap": sidecar.overlap,
            "folds": 1,
            "mirror_axes": list(axes),
            "classes": list(sidecar.classes),
            "meaning": sidecar.meaning.to_json(),
            "device": way.device.title,
            "engine": runner.engine,
            "precision": runner.precision,
        }


class _Guarded:
    """A runner whose network may fail in its own way: that becomes a ValueError that says which network it was."""

    def __init__(self, runner: Runner, name: str, failure: type[Exception]) -> None:
        self._runner, self._name, self._failure = runner, name, failure
        self.patch, self.classes = runner.patch, runner.classes
        self.engine, self.precision = runner.engine, runner.precision

    def __call__(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (n, classes, z, y, x)."""
        try:
            return self._runner(windows)
        except (RuntimeError, self._failure) as error:
            what = str(error).strip().splitlines()[-1]
            raise ValueError(f"The network {self._name} failed: {what}") from error


def _require_images(images: Images, sidecar: Sidecar) -> None:
    """Raise ValueError where a study lacks an image, or has it in other units, than a network wants."""
    for channel in sidecar.channels:
        if channel.image == "emission" and channel.units != images.units:
            raise ValueError(
                f"The network {sidecar.name} wants its emission image in {channel.units}; this one is in "
                f"{images.units}. Convert it first."
            )
        if channel.image == "ct" and images.ct is None:
            raise ValueError(f"The network {sidecar.name} wants a CT, and this study has none.")


def _ct_on(images: Images, turned: sitk.Image) -> sitk.Image:
    """The CT on the turned emission grid, air outside."""
    return sitk.Resample(images.ct, turned, sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32)


def tracer_warnings(tracer: str, trained: tuple[str, ...]) -> list[str]:
    """What a reader must know where a network was not trained on a study's tracer."""
    if "any" in trained or any(_tokens(tracer) == _tokens(known) for known in trained):
        return []
    return [
        f"This network was trained on {', '.join(trained)}, and the tracer of the study is {tracer or 'not known'}: "
        "check every lesion."
    ]


def _tokens(tracer: str) -> set[str]:
    """The parts of a tracer's name, so that "68Ga-PSMA-11" is "PSMA-11 Ga-68"."""
    return set(re.findall(r"[a-z]+|\d+", tracer.lower()))


def _back(values: npt.NDArray[np.uint8], turned: sitk.Image, original: sitk.Image) -> sitk.Image:
    """Labels of the turned grid on the emission grid, whose voxels are the same in another order."""
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(turned)
    letters = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(original.GetDirection())
    image = sitk.DICOMOrient(image, letters)
    if not same_grid(image, original):
        raise ValueError(
            "The orientation of the emission image could not be undone; its direction cosines are unusual."
        )
    image.CopyInformation(original)
    return image
