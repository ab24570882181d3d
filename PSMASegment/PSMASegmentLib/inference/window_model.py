"""A network with its description, asked for a whole study window by window."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from PSMASegmentLib.inference.device import Attempt, Device, attempts, choose_device, first_that_fits
from PSMASegmentLib.inference.labels import Heads, LabelWriter
from PSMASegmentLib.inference.network import RawResult, Runner, Triple, seconds_of
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.inference.planes import WholeVolume
from PSMASegmentLib.inference.runners import ENGINES
from PSMASegmentLib.inference.sidecar import CT, PRIOR, Sidecar
from PSMASegmentLib.inference.window_inputs import Prepared, prepare, to_emission_grid
from PSMASegmentLib.inference.window_program import Program
from PSMASegmentLib.inference.windows import EMPTY_LOGIT, infer_windows, mirrorings
from PSMASegmentLib.segmentation import Images

KEYS = ("device", "engine", "mirroring")
_PREPARED, _ASKED = 0.1, 0.9
_WITHOUT = {
    CT: "The network was asked without a CT, which it can do without: check bones and organs with care.",
    PRIOR: "The network was asked without lesions of another study, which it can do without: they would have helped.",
}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a wrong value of one of ``KEYS``."""
    engine, device = settings.get("engine", "auto"), settings.get("device")
    if engine not in ENGINES:
        raise ValueError(f"There is no engine {engine!r} for networks. Available: {', '.join(ENGINES)}.")
    if device is not None and not isinstance(device, str):
        raise ValueError(f'Setting device must be a text such as "cpu" or "cuda:0", not {device!r}.')
    if not isinstance(settings.get("mirroring", True), bool):
        raise ValueError(f"Setting mirroring must be true or false, not {settings['mirroring']!r}.")


class WindowModel:
    """A program that is kept loaded. Not for two threads at a time."""

    def __init__(self, program: Program, sidecar: Sidecar) -> None:
        """``program`` is one that may be run: trusted, or no more than data."""
        self.program, self.sidecar = program, sidecar
        self._runner: tuple[Attempt, str, Runner] | None = None

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult:
        """What the network says of a study.

        Raises ValueError for a missing image, for other units than the network wants, and for a program that cannot be
        loaded or does not answer as described; ImportError without what runs it; MemoryError.
        """
        sidecar, started = self.sidecar, time.perf_counter()
        told(0.0, "Preparing the images for the network")
        prepared = prepare(images, sidecar)
        axes = sidecar.mirror_axes if settings.get("mirroring", True) else ()
        device, engine = choose_device(settings.get("device")), settings.get("engine", self.program.engine)
        ways = self._ways(device, len(mirrorings(axes)))
        notes: list[str] = []
        preparing = time.perf_counter() - started
        writer, way = first_that_fits(ways, lambda way: self._answer(prepared, way, axes, engine, told), notes.append)
        labels, share = writer.finished()
        seconds = seconds_of(time.perf_counter() - started, preparing, writer.seconds)
        told(1.0, "The network has answered")
        assert share is not None  # a description names at least one lesion class
        organs = np.where(np.isin(labels, list(sidecar.meaning.physiological)), labels, 0).astype(np.uint8)
        knows_organs = bool(sidecar.meaning.physiological)
        marked = np.isin(labels, sidecar.meaning.lesion).astype(np.uint8)
        turned, original = prepared.turned, images.emission
        return RawResult(
            lesion=to_emission_grid(marked, turned, original),
            probability=to_emission_grid(share, turned, original),
            physiology=to_emission_grid(organs, turned, original) if knows_organs else None,
            names=dict(sidecar.meaning.physiological),
            finish=sidecar.finish,
            provenance={
                **self._facts(way, prepared, axes, engine),
                "seconds": seconds,
                "notes": notes,
                "warnings": [
                    *tracer_warnings(images.tracer, sidecar.tracers),
                    *(_WITHOUT[image] for image in prepared.absent),
                ],
            },
        )

    def _ways(self, device: Device, together: int) -> list[Attempt]:
        """Ways to run, the fastest first; with smaller windows only where the description says that it takes them."""
        ways = attempts(device, together)
        if self.sidecar.half_window is None:
            return [way for way in ways if way.divided == 1]
        return [*ways, replace(ways[-1], divided=2)]

    def _window(self, way: Attempt) -> Triple:
        half = self.sidecar.half_window
        return self.sidecar.window if way.divided == 1 or half is None else half

    def _answer(self, prepared: Prepared, way: Attempt, axes: tuple[int, ...], engine: str, told: Told) -> LabelWriter:
        """The writer with all labels on the grid of the turned image."""
        sidecar, runner = self.sidecar, self._runner_for(way, engine)
        count = len(sidecar.classes) - (0 if sidecar.softmax else 1)
        if runner.classes != count:
            raise ValueError(
                f"The network {sidecar.name} gives {runner.classes} logits a voxel; its description needs {count}."
            )
        heads = Heads(None if sidecar.softmax else tuple(range(1, len(sidecar.classes))))
        writer = LabelWriter(prepared.back, heads, sidecar.meaning.lesion, told.again)
        infer_windows(
            WholeVolume(prepared.channels),
            runner,
            writer.take,
            step=1.0 - sidecar.overlap,
            gaussian=sidecar.gaussian,
            mirror_axes=axes,
            skip_empty=prepared.body,
            empty_logits=None if sidecar.softmax else [-EMPTY_LOGIT] * count,
            batch=way.batch,
            progress=lambda share: told(_PREPARED + (_ASKED - _PREPARED) * share, "Asking the network"),
            cancel=told.stopped,
        )
        return writer

    def _runner_for(self, way: Attempt, engine: str) -> Runner:
        if self._runner is None or self._runner[:2] != (way, engine):
            self._runner = None  # before the next one takes memory
            self._runner = (way, engine, self.program.runner(self._window(way), way.device, engine))
        return self._runner[2]

    def _facts(self, way: Attempt, prepared: Prepared, axes: tuple[int, ...], engine: str) -> dict[str, Any]:
        sidecar, runner = self.sidecar, self._runner_for(way, engine)
        return {
            "format": self.program.format,
            "model": sidecar.name,
            "sha256": self.program.sha256,
            "channels": [f"{channel.image} in {channel.units}" for channel in sidecar.channels],
            "absent_channels": list(prepared.absent),
            "orientation": sidecar.orientation,
            "network_spacing_mm": list(sidecar.spacing_mm),
            "network_grid": list(prepared.channels.shape[1:]),
            "window": list(runner.patch),
            "overlap": sidecar.overlap,
            "folds": 1,
            "mirror_axes": list(axes),
            "classes": list(sidecar.classes),
            "meaning": sidecar.meaning.to_json(),
            "device": way.device.title,
            "engine": runner.engine,
            "precision": runner.precision,
        }


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
