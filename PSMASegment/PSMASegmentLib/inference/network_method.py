"""A network as a segmentation method: its settings are checked, it is asked, and its result gets the common finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from PSMASegmentLib.inference.finish import finish
from PSMASegmentLib.inference.finish_settings import FINISH_KEYS, finish_settings
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.segmentation import Images, Segmentation

Progress = Callable[[float, str], None]

_ASKED = 0.8  # share of the progress until the network has answered


class Told:
    """Progress that can also be asked between two of its steps whether to stop: it raises when its caller said so."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._last = progress, (0.0, "Loading the network")

    def __call__(self, fraction: float, message: str) -> None:
        """A step of the work."""
        self._last = (fraction, message)
        self._progress(*self._last)

    def again(self) -> None:
        """The last step once more, so that the progress can raise."""
        self._progress(*self._last)

    def stopped(self) -> bool:
        """Never true: the progress raises to stop. For callees that ask before each question to a network."""
        self.again()
        return False


class Model(Protocol):
    """What gives the raw result of a network; the method around it does the rest.

    ``keys`` are the settings that it takes beside those of the finish. ``check`` raises ValueError for wrong ones,
    without images at hand. ``ask`` gets progress from 0 to 1, raises ValueError for images or files it cannot use and
    ImportError that says what to install.
    """

    @property
    def keys(self) -> tuple[str, ...]: ...

    def check(self, settings: Mapping[str, Any]) -> None: ...

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult: ...


class NetworkMethod:
    """A method of ``engine`` for one model; keep it, the model stays loaded."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self._model = name, model

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for settings that neither the network nor the finish knows, or that are out of range."""
        known = (*self._model.keys, *FINISH_KEYS)
        unknown = sorted(str(key) for key in settings if key not in known)
        if unknown:
            raise ValueError(f"Unknown settings of {self.name}: {', '.join(unknown)}. Valid are: {', '.join(known)}.")
        finish_settings(settings)
        self._model.check(settings)

    def segment(self, images: Images, settings: Mapping[str, Any], progress: Progress) -> Segmentation:
        """Ask the network and finish its result.

        Raises as ``check`` and ``Model.ask`` do, but ValueError in place of ImportError.
        """
        self.check(settings)
        started = time.perf_counter()
        told = Told(lambda fraction, message: progress(fraction * _ASKED, _sentence(message)))
        try:
            raw = self._model.ask(images, settings, told)
        except ImportError as error:
            raise ValueError(
                f"{self.name} needs a package that is not installed: {error}. Networks need torch (pip install "
                "'psmatheranostics[network]'), models of nnU-Net dynamic_network_architectures, and bundles monai "
                "beside it."
            ) from error
        seconds = round(time.perf_counter() - started, 2)
        said = {"method": self.name, **raw.provenance, "settings": dict(settings), "network_seconds": seconds}
        return finish(
            images,
            replace(raw, provenance=said),
            finish_settings({**raw.finish, **settings}),
            lambda fraction, message: progress(_ASKED + (1.0 - _ASKED) * fraction, message),
        )


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]
