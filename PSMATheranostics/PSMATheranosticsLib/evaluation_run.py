"""Every method on every study, with the figures of each kept, so that an evaluation goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import InputError
from .evaluation_methods import Method
from .evaluation_sources import Source, Subject
from .lib_errors import naming
from .progress import part
from .whole_file import write_whole

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings, StudyFigures

KEPT = "cases"
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The figures of one method on one study, and how long the method took (s, wall clock)."""

    case: str
    method: str
    tracer: str
    figures: StudyFigures
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A study on which a method could not be evaluated, and why."""

    case: str
    method: str
    why: str


def evaluate_methods(
    source: Source,
    methods: Sequence[Method],
    settings: EvaluationSettings,
    folder: Path,
    progress: Callable[[float, str], None],
    skip_failures: bool = False,
) -> tuple[list[Evaluated], list[Failure]]:
    """Evaluate all methods on all studies, study by study; figures that ``folder`` holds already are taken from there.

    They are computed anew where the study, the method, its model, the settings or the version of the software are
    others. ``progress`` may raise to stop; what is finished is kept. A method that refuses a study raises InputError,
    or with ``skip_failures`` goes on with the next and is told of at the end; failures are tried again the next time.

    Raises InputError for input that cannot be used, and where a method refused every study.
    """
    for method in methods:
        method.check(source.names)
    done: list[Evaluated] = []
    failures: list[Failure] = []
    for number, name in enumerate(source.names):
        here = part(progress, number / len(source.names), (number + 1) / len(source.names), name)
        studies = _Case(source, name, settings, folder)
        for place, method in enumerate(methods):
            try:
                done.append(studies.evaluated(method, part(here, place / len(methods), (place + 1) / len(methods))))
            except InputError as error:
                if not skip_failures:
                    raise InputError(f"{error} With --skip-failures such studies are left out and told of.") from error
                failures.append(Failure(name, method.name, str(error)))
    for method in methods:
        own = [failure for failure in failures if failure.method == method.name]
        if len(own) == len(source.names):
            raise InputError(f"{method.name} refused every study. {own[0].why}")
    return done, failures


class _Case:
    """One study, read or painted when a method first needs it."""

    def __init__(self, source: Source, name: str, settings: EvaluationSettings, folder: Path) -> None:
        self._source, self._name, self._settings, self._folder = source, name, settings, folder
        self._subject: Subject | None = None

    def evaluated(self, method: Method, progress: Callable[[float, str], None]) -> Evaluated:
        """The figures of a method, kept or computed."""
        from PSMASegmentLib.evaluation.study_evaluation import evaluate_labels

        progress(0.0, method.name)
        request = _request(self._source, self._name, method, self._settings)
        path = _kept_file(self._folder, self._name, method)
        kept = _read(path, request)
        if kept is None:
            if self._subject is None:
                self._subject = self._source.load(self._name)
            subject = self._subject
            started = time.perf_counter()
            labels = method.labels(subject, part(progress, 0.1, 0.9, method.name))
            seconds = time.perf_counter() - started
            with naming(f"{self._name}, {method.name}"):
                figures = evaluate_labels(
                    subject.truth, labels, subject.emission, subject.regions, self._settings, subject.ignored
                )
            content = {"request": request, "seconds": round(seconds, 3), "figures": figures.as_json()}
            write_whole(path, (json.dumps(content, allow_nan=False) + "\n").encode())
            kept = figures, seconds
        return Evaluated(self._name, method.name, self._source.tracer(self._name), *kept)


def _request(source: Source, name: str, method: Method, settings: EvaluationSettings) -> dict[str, Any]:
    """What the figures follow from."""
    return {
        "schema": _SCHEMA,
        "software": __version__,
        "study": source.stamp(name),
        "method": method.stamp(name),
        "settings": asdict(settings),
    }


def _kept_file(folder: Path, name: str, method: Method) -> Path:
    """Where the figures of a case are kept; method names hold characters that file names cannot."""
    short = re.sub(r"[^A-Za-z0-9.-]+", "_", method.name)[:40]
    return folder / KEPT / name / f"{short}-{hashlib.sha256(method.name.encode()).hexdigest()[:8]}.json"


def _read(path: Path, request: dict[str, Any]) -> tuple[StudyFigures, float] | None:
    """Figures that were kept, None where there are none of this request."""
    from PSMASegmentLib.evaluation.study_evaluation import StudyFigures

    try:
        content = json.loads(path.read_bytes())
        if content["request"] != request:
            return None
        return StudyFigures.from_json(content["figures"]), float(content["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there yet, or of another version: computed anew
