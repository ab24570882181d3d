"""The method ``nnunet:FOLDER``: a model trained by nnU-Net v2, with its classes read as they are declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from PSMASegmentLib.inference.class_map import ClassMap, class_map_from_names, read_class_map
from PSMASegmentLib.inference.declaration import read_declaration
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.inference.nnunet import NnunetModel, NnunetSettings, nnunet_result
from PSMASegmentLib.inference.nnunet_folder import NnunetFolder, read_nnunet_folder
from PSMASegmentLib.inference.runners import ENGINES
from PSMASegmentLib.segmentation import Images

_RUN = tuple(entry.name for entry in fields(NnunetSettings))
_TUPLES = ("channels", "folds")
_TRUTH = ("mirroring", "gaussian", "postprocessing")


class NnunetFolderModel:
    """A model folder; it is read when it is first asked and stays, as long as files and settings are the same."""

    keys = (*_RUN, "class_map")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[object, NnunetModel] | None = None

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for wrong settings, a damaged folder, and classes that nobody declared."""
        said = self._said(settings)
        chosen = _settings(said)
        _meaning(read_nnunet_folder(self._folder, chosen.configuration, chosen.folds, chosen.checkpoint), said)

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult:
        """What the network says of a study. Raises as ``NnunetModel.load`` and ``nnunet_result``."""
        said = self._said(settings)
        chosen = _settings(said)
        state = (chosen, _files(self._folder))
        if self._loaded is None or self._loaded[0] != state:
            told(0.0, "Loading the network")
            self._loaded = None  # before the next one takes memory
            self._loaded = (state, NnunetModel.load(self._folder, chosen))
        model = self._loaded[1]
        return nnunet_result(images, model, _meaning(model.plan, said), told, told.stopped)

    def _said(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What the folder's declaration says, with the settings of the caller over it."""
        return {**read_declaration(self._folder, self.keys), **settings}


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of the files that a model is read from: when they change, it is read again."""
    files = [*folder.glob("*.json"), *folder.glob("*.pkl"), *folder.glob("fold_*/*.pth")]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)]


def _settings(said: Mapping[str, Any]) -> NnunetSettings:
    values: dict[str, Any] = {key: said[key] for key in _RUN if key in said}
    for key in _TUPLES:
        if values.get(key) is not None:
            if not isinstance(values[key], (list, tuple)):
                raise ValueError(f"Setting {key} must be a list, not {values[key]!r}.")
            values[key] = tuple(str(entry) for entry in values[key])
    for key in _TRUTH:
        if not isinstance(values.get(key, True), bool):
            raise ValueError(f"Setting {key} must be true or false, not {values[key]!r}.")
    step = values.get("step", 0.5)
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step <= 1:
        raise ValueError(f"Setting step must be a number above 0 and at most 1, not {step!r}.")
    if values.get("engine", "auto") not in ENGINES:
        raise ValueError(f"There is no engine {values['engine']!r} for networks. Available: {', '.join(ENGINES)}.")
    return NnunetSettings(**values)


def _meaning(plan: NnunetFolder, said: Mapping[str, Any]) -> ClassMap:
    """What the labels stand for: as declared, else by their names; a label of several regions has the narrowest's."""
    names: dict[int, str] = {}
    for name, labels in sorted(plan.labels.items(), key=lambda entry: -len(entry[1])):
        names.update(dict.fromkeys(labels, name))
    if "class_map" in said:
        return read_class_map(said["class_map"], names, names)
    return class_map_from_names(names)
