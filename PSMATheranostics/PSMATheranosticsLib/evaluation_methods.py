"""What ``psma evaluate`` compares: methods of the engine with their settings, and label images made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import SimpleITK as sitk

from .errors import InputError
from .evaluation_sources import Subject, lesion_labels
from .lib_errors import naming

if TYPE_CHECKING:
    from PSMASegmentLib.engine import SegmentationEngine
    from PSMASegmentLib.segmentation import Segmentation

FIXED = "suv3"
"""SUV 3 or more and nothing taken away: the rule set ``suv3-all``."""
# Beside the settings of a method: which images it gets, and whether its candidates of low evidence count.
_GIVEN: Mapping[str, bool] = {"ct": True, "organs": False, "prior": True, "low_evidence": True}
_ENDINGS = (".nii.gz", "_labels.nii.gz")


class Method(Protocol):
    """Something that says where the lesions of a study are."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    def stamp(self, case: str) -> str:
        """A text that is another one when the method would say something else of this case."""
        ...

    def check(self, subjects: Sequence[str]) -> None:
        """Raise InputError, before anything is computed, where the method cannot be asked about these cases."""
        ...

    def labels(self, subject: Subject, progress: Callable[[float, str], None]) -> sitk.Image:
        """Lesion labels on the grid of the truth. Raises InputError where there are none."""
        ...


@dataclass
class EngineMethod:
    """A method of the engine: ``name`` is as the user wrote it, ``confirm`` is asked about programs nobody trusts."""

    name: str
    method: str
    settings: Mapping[str, Any]
    given: Mapping[str, bool]
    confirm: Callable[[str], bool] | None = None
    _engine: SegmentationEngine | None = field(default=None, repr=False)

    def stamp(self, case: str) -> str:
        """Its name, settings and model."""
        return json.dumps([self.method, dict(self.settings), dict(self.given), self._model], sort_keys=True)

    @cached_property
    def _model(self) -> str:
        """Once for all studies, because the model stays loaded from the first on."""
        from PSMASegmentLib.inference.asked_model import model_stamp

        with naming(self.name):
            return model_stamp(self.method)

    def check(self, subjects: Sequence[str]) -> None:
        """Refuse a method or setting that the engine does not know."""
        with naming(self.name):
            self._kept().check(self.method, self.settings)

    def labels(self, subject: Subject, progress: Callable[[float, str], None]) -> sitk.Image:
        """Run the method."""
        from PSMASegmentLib.segmentation import Images

        if subject.emission is None:
            raise InputError(f"{subject.name} has no image {subject.name}_suv.nii.gz for {self.name} to look at.")
        images = Images(
            subject.emission,
            "SUVbw",
            subject.tracer,
            subject.ct if self.given["ct"] else None,
            subject.organs if self.given["organs"] else None,
            subject.prior if self.given["prior"] else None,
        )
        with naming(f"{subject.name}, {self.name}"):
            found = self._kept().segment(images, self.method, self.settings, progress)
        return found.labels if self.given["low_evidence"] else _without_low_evidence(found)

    def _kept(self) -> SegmentationEngine:
        if self._engine is None:
            from PSMASegmentLib.engine import SegmentationEngine

            self._engine = SegmentationEngine(self.confirm)
        return self._engine


@dataclass(frozen=True)
class Predictions:
    """Label images ``NAME.nii.gz`` or ``NAME_labels.nii.gz`` of a folder."""

    name: str
    folder: Path

    def stamp(self, case: str) -> str:
        """Path, size and time of the file."""
        path = self._file(case).resolve()
        facts = path.stat()
        return f"{path} {facts.st_size} {facts.st_mtime_ns}"

    def check(self, subjects: Sequence[str]) -> None:
        """Refuse a folder that lacks a case."""
        for case in subjects:
            self._file(case)

    def labels(self, subject: Subject, progress: Callable[[float, str], None]) -> sitk.Image:
        """Read the file of a case."""
        progress(0.0, "Reading")
        return lesion_labels(self._file(subject.name))

    def _file(self, case: str) -> Path:
        for ending in _ENDINGS:
            path = self.folder / f"{case}{ending}"
            if path.is_file():
                return path
        raise InputError(f"{self.folder} holds neither {case}{_ENDINGS[0]} nor {case}{_ENDINGS[1]}.")


def parse_method(text: str, confirm: Callable[[str], bool] | None = None) -> EngineMethod:
    """A method as it is written on the command line: ``METHOD`` or ``METHOD@NAME=VALUE,NAME=VALUE``.

    Raises InputError for a setting without a value.
    """
    method, _, listed = text.partition("@")
    settings: dict[str, Any] = {}
    for entry in filter(None, listed.split(",")):
        name, sign, value = entry.partition("=")
        if not sign:
            raise InputError(f"{text}: {entry!r} is no setting. Write METHOD@NAME=VALUE,NAME=VALUE.")
        settings[name.strip()] = _value(value.strip())
    given = {name: settings.pop(name, usual) for name, usual in _GIVEN.items()}
    for name, value in given.items():
        if not isinstance(value, bool):
            raise InputError(f"{text}: {name} must be true or false, not {value!r}.")
    if method == FIXED:
        method, settings = "rules", {"rule_set": "suv3-all", **settings}
    return EngineMethod(text, method, settings, given, confirm)


def parse_predictions(text: str) -> Predictions:
    """A folder of predictions as it is written on the command line: ``FOLDER`` or ``NAME=FOLDER``."""
    name, sign, place = text.partition("=")
    folder = Path(place if sign else text)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder} with predictions.")
    return Predictions(name if sign else folder.resolve().name, folder)


def different_names(methods: Sequence[Method]) -> None:
    """Raise InputError where two methods have the same name."""
    names = [method.name for method in methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"Two methods are called {twice}. Name predictions apart: --predictions NAME=FOLDER.")


def _value(text: str) -> Any:
    """A number, true, false or null as JSON has it; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _without_low_evidence(found: Segmentation) -> sitk.Image:
    weak = {finding.lesion: 0.0 for finding in found.findings if finding.low_evidence}
    return sitk.ChangeLabel(found.labels, weak) if weak else found.labels
