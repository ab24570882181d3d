"""What a TorchScript network on whole studies expects and answers, as JSON beside it.

TorchScript is a program without a word on its images. Fed with the wrong units or spacing it answers all the same, and
wrongly; so nothing has a default here, and a network without this description is not run. For ``NAME.ts`` it lies in
``NAME.json``; in a package of ours it is part of ``model.json``. All triples are in the order z, y, x.

    {
      "schema": 1,
      "name": "psma-pet",
      "sha256": "...",                            of the TorchScript file
      "channels": [                               inputs in their order
        {"image": "emission", "units": "SUVbw", "normalize": [{"clip": [0, 60]}, {"divide": 3}]},
        {"image": "ct", "units": "HU", "normalize": [{"clip": [-832, 1128]}, {"subtract": 108}, {"divide": 286}]},
        {"image": "prior", "units": "mask", "normalize": [], "optional": true}
      ],
      "spacing_mm": [3.0, 3.0, 3.0],              of the grid that it sees
      "orientation": "LPS",                       to which the axes x, y, z of that grid point
      "spline_order": 3,                          0 to 5: how images come onto that grid, before they are normalized
      "window": [96, 96, 96],                     voxels asked at a time
      "windows": [16, 16, 16],                    optional: also takes windows whose sides are multiples of these
      "overlap": 0.5,                             of neighboring windows, 0 to 0.9
      "weights": "gaussian",                      of voxels of a window: "gaussian" or "constant"
      "mirror_axes": [0, 1, 2],                   asked mirrored along these as well, and the logits averaged
      "output": "softmax",                        logits of classes that exclude each other, or "sigmoid"
      "classes": ["background", "lesion", "liver"],
      "meaning": {"lesion": [1], "physiological": {"2": "liver"}, "ignored": []},
      "tracers": ["68Ga-PSMA-11"],                that it was trained on; ["any"] for no matter which
      "modalities": ["PET"],                      optional: of emission images it was made for, PET where left out
      "finish": {"expand_mm": 0}                  optional: settings of the finish that suit what it was trained on
    }

With "softmax" the network has a channel for each class, with "sigmoid" one for each but the background; where several
of those are more likely than not, the last one counts. Steps of ``normalize`` are done in their order: "clip" [low,
high], "subtract" a number, "divide" by one, "log1p" true.

The prior is a mask of lesions of another study of the same man, registered to this one: 1 in lesions, 0 elsewhere. An
input that is "optional" is 0 throughout, after normalization, where a study has no such image; any other must be there.
Smaller windows than "window" are only asked where the memory is not enough. The settings of "finish" are those of
``finish_settings.FinishSettings``: a network that was trained on whole lesions rather than on uptake above a threshold
has no use for growing to one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.inference.class_map import ClassMap, read_class_map
from PSMASegmentLib.inference.finish_settings import FINISH_KEYS, finish_settings
from PSMASegmentLib.inference.network import Triple

SCHEMA = 1
EMISSION, CT, PRIOR = "emission", "ct", "prior"
UNITS = {EMISSION: ("SUVbw", "Bq/mL"), CT: ("HU",), PRIOR: ("mask",)}
PET, SPECT = "PET", "SPECT"

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Channel:
    """One input: ``image`` "emission", "ct" or "prior" in ``units``, and the steps that normalize it.

    An ``optional`` one is 0 throughout, after normalization, where a study does not have it.
    """

    image: str
    units: str
    steps: tuple[tuple[str, tuple[float, ...]], ...]
    optional: bool = False

    def normalized(self, values: Values) -> Values:
        """The values after all steps, float32."""
        for step, numbers in self.steps:
            if step == "clip":
                values = np.clip(values, numbers[0], numbers[1])
            elif step == "subtract":
                values = values - np.float32(numbers[0])
            elif step == "divide":
                values = values / np.float32(numbers[0])
            else:
                values = np.log1p(np.maximum(values, 0.0))
        return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True)
class Sidecar:
    """A description that makes sense; see the file's docstring for the fields.

    ``windows`` are the steps (z, y, x in voxels) in which windows may be smaller, None for a network of one size.
    """

    name: str
    sha256: str
    channels: tuple[Channel, ...]
    spacing_mm: tuple[float, float, float]
    orientation: str
    spline_order: int
    window: Triple
    overlap: float
    gaussian: bool
    mirror_axes: tuple[int, ...]
    softmax: bool
    classes: tuple[str, ...]
    meaning: ClassMap
    tracers: tuple[str, ...]
    windows: Triple | None = None
    modalities: tuple[str, ...] = (PET,)
    finish: Mapping[str, float] = field(default_factory=dict)

    @property
    def half_window(self) -> Triple | None:
        """A window of about half the side that the network takes too; None where it takes none."""
        if self.windows is None:
            return None
        z, y, x = (max(step, side // 2 // step * step) for side, step in zip(self.window, self.windows, strict=True))
        return None if (z, y, x) == self.window else (z, y, x)


def sidecar_file(program: Path) -> Path:
    """Where the description of a TorchScript file lies."""
    return program.with_suffix(".json")


def read_sidecar(program: Path) -> Sidecar:
    """The description of a TorchScript file. Raises ValueError where there is none or it makes no sense."""
    path = sidecar_file(program)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{program} has no description {path.name} beside it that can be read ({error}). A network alone does not "
            "say which images, units and spacing it was trained on, so that it is not run. Its fields stand in "
            "PSMASegmentLib/inference/sidecar.py."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    return parse_sidecar(values, path)


def parse_sidecar(values: object, where: Path) -> Sidecar:
    """A description from the values of its JSON. Raises ValueError that names the field that is missing or wrong."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} holds no description of a network.")
    fields = _Fields(values, where)
    if fields.take("schema", lambda v: v) != SCHEMA:
        raise ValueError(f"{where} has schema {values['schema']!r}; this version reads {SCHEMA}.")
    classes = fields.take("classes", _texts)
    softmax = fields.take("output", lambda v: _one_of(v, ("softmax", "sigmoid"))) == "softmax"
    if len(classes) < 2:
        raise ValueError(f'{where}: "classes" names the background first and then at least one class.')
    try:
        meaning = read_class_map(values.get("meaning"), range(len(classes)))
    except ValueError as error:
        raise ValueError(f'{where}: "meaning" is wrong. {error}') from error
    z, y, x = fields.take("window", lambda v: _triple(v, int, 1))
    dz, dy, dx = fields.take("spacing_mm", lambda v: _triple(v, float, 0.01))
    return Sidecar(
        name=fields.take("name", _text),
        sha256=fields.take("sha256", _sha256),
        channels=fields.take("channels", _channels),
        spacing_mm=(dz, dy, dx),
        orientation=fields.take("orientation", _orientation),
        spline_order=int(fields.take("spline_order", lambda v: _number(v, 0, 5, whole=True))),
        window=(int(z), int(y), int(x)),
        overlap=fields.take("overlap", lambda v: _number(v, 0.0, 0.9)),
        gaussian=fields.take("weights", lambda v: _one_of(v, ("gaussian", "constant"))) == "gaussian",
        mirror_axes=fields.take("mirror_axes", _axes),
        softmax=softmax,
        classes=classes,
        meaning=meaning,
        tracers=fields.take("tracers", _texts),
        windows=fields.take("windows", lambda v: _steps_of((int(z), int(y), int(x)), v))
        if "windows" in values
        else None,
        modalities=fields.take("modalities", _modalities) if "modalities" in values else (PET,),
        finish=fields.take("finish", _finish) if "finish" in values else {},
    )


class _Fields:
    """Takes values out of a description and says which one is wrong."""

    def __init__(self, values: Mapping[str, Any], where: Path) -> None:
        self._values, self._where = values, where

    def take(self, name: str, parse: Callable[[Any], Any]) -> Any:
        """A field as ``parse`` reads it; ValueError where it is missing or ``parse`` refuses it."""
        if name not in self._values:
            raise ValueError(f'{self._where}: "{name}" is missing.')
        try:
            return parse(self._values[name])
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f'{self._where}: "{name}" is {self._values[name]!r}, which is wrong: {error}.') from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text is needed")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
        raise ValueError("a list of different texts is needed")
    return tuple(_text(entry) for entry in value)


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"known are {', '.join(known)}")
    return str(value)


def _number(value: Any, low: float, high: float, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
        raise ValueError(f"a {'whole ' if whole else ''}number from {low:g} to {high:g} is needed")
    return float(value)


def _triple(value: Any, kind: type, low: float) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("three numbers are needed, for z, y, x")
    z, y, x = (_number(entry, low, 10_000.0, whole=kind is int) for entry in value)
    return (z, y, x)


def _steps_of(window: Triple, value: Any) -> Triple:
    """Steps in which windows may be smaller than ``window``."""
    z, y, x = (int(step) for step in _triple(value, int, 1))
    if any(side % step for side, step in zip(window, (z, y, x), strict=True)):
        raise ValueError('each side of "window" must be a multiple of them')
    return (z, y, x)


def _finish(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError("settings of the finish with their values are needed")
    unknown = sorted(str(key) for key in value if key not in FINISH_KEYS)
    if unknown:
        raise ValueError(f"the finish has no {', '.join(unknown)}; known are {', '.join(FINISH_KEYS)}")
    finish_settings(value)
    return {str(key): float(number) for key, number in value.items()}


def _modalities(value: Any) -> tuple[str, ...]:
    return tuple(_one_of(entry, (PET, SPECT)) for entry in _texts(value))


def _axes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(set(value)) != len(value) or not set(value) <= {0, 1, 2}:
        raise ValueError("a list of different axes is needed, 0 to 2 for z, y, x")
    return tuple(sorted(int(axis) for axis in value))


def _orientation(value: Any) -> str:
    letters = [next((pair for pair in ("LR", "PA", "SI") if letter in pair), "") for letter in _text(value)]
    if len(letters) != 3 or len(set(letters)) != 3 or "" in letters:
        raise ValueError('three letters are needed, such as "LPS"')
    return str(value)


def _sha256(value: Any) -> str:
    if len(_text(value)) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError("64 hexadecimal digits in lower case are needed")
    return str(value)


def _channels(value: Any) -> tuple[Channel, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("a list of inputs is needed")
    found = tuple(_channel(entry) for entry in value)
    if all(channel.image != EMISSION for channel in found):
        raise ValueError("one of the inputs must be the emission image")
    return found


def _channel(value: Any) -> Channel:
    image = _one_of(value["image"], tuple(UNITS))
    steps = tuple(_step(step) for step in value["normalize"])
    optional = value.get("optional", False)
    if not isinstance(optional, bool):
        raise ValueError('"optional" is true or false')
    if optional and image == EMISSION:
        raise ValueError("the emission image cannot be optional")
    if steps and image == PRIOR:
        raise ValueError("the prior is a mask, which is not normalized")
    return Channel(image, _one_of(value["units"], UNITS[image]), steps, optional)


def _step(value: Any) -> tuple[str, tuple[float, ...]]:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError('a step of "normalize" is one of clip, subtract, divide, log1p with its value')
    ((name, given),) = value.items()
    if name == "log1p" and given is True:
        return "log1p", ()
    numbers = tuple(float(number) for number in (given if isinstance(given, list) else [given]))
    count = {"clip": 2, "subtract": 1, "divide": 1}.get(str(name))
    sound = all(map(math.isfinite, numbers)) and len(numbers) == count and not isinstance(given, bool)
    if not sound or (name == "divide" and numbers[0] == 0) or (name == "clip" and numbers[0] >= numbers[1]):
        raise ValueError(f"{name} {given!r} is no step")
    return str(name), numbers
