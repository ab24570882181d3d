"""The segmentation engine: images in, lesion labels out, by one of the methods in two tables.

``METHODS`` are methods by their name, ``MODEL_METHODS`` those that run a model: their name goes on with a colon and
which model, such as "package:NAME" or "nnunet:FOLDER"; instead of a path there may be the name of a model that is
installed. A model stays loaded as long as the engine lives and no other model is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PSMASegmentLib.networks.trust import Confirm
from PSMASegmentLib.rule_engine import RuleEngine
from PSMASegmentLib.segmentation import (
    Finding,
    Images,
    Removed,
    Segmentation,
    SegmentationCancelled,
    SegmentationMethod,
    check_images,
)

__all__ = [
    "METHODS",
    "MODEL_METHODS",
    "Finding",
    "Images",
    "Removed",
    "Segmentation",
    "SegmentationCancelled",
    "SegmentationEngine",
    "SegmentationMethod",
]

METHODS: dict[str, SegmentationMethod] = {"rules": RuleEngine()}


def _package(name: str, confirm: Confirm | None) -> SegmentationMethod:
    from PSMASegmentLib.inference.network_method import NetworkMethod
    from PSMASegmentLib.inference.package_model import PackageModel

    return NetworkMethod(f"package:{name}", PackageModel(name, confirm))


def _nnunet(which: str, _: Confirm | None) -> SegmentationMethod:
    from PSMASegmentLib.inference.asked_model import model_place
    from PSMASegmentLib.inference.network_method import NetworkMethod
    from PSMASegmentLib.inference.nnunet_model import NnunetFolderModel

    return NetworkMethod(f"nnunet:{Path(which).name}", NnunetFolderModel(model_place("nnunet", which)))


def _bundle(which: str, confirm: Confirm | None) -> SegmentationMethod:
    from PSMASegmentLib.inference.asked_model import model_place
    from PSMASegmentLib.inference.bundle_model import BundleModel
    from PSMASegmentLib.inference.network_method import NetworkMethod

    return NetworkMethod(f"bundle:{Path(which).name}", BundleModel(model_place("bundle", which), confirm))


def _torchscript(which: str, confirm: Confirm | None) -> SegmentationMethod:
    from PSMASegmentLib.inference.asked_model import model_place
    from PSMASegmentLib.inference.network_method import NetworkMethod
    from PSMASegmentLib.inference.torchscript_model import TorchScriptModel

    return NetworkMethod(
        f"torchscript:{Path(which).name}", TorchScriptModel(model_place("torchscript", which), confirm)
    )


MODEL_METHODS: dict[str, Callable[[str, Confirm | None], SegmentationMethod]] = {
    "package": _package,
    "nnunet": _nnunet,
    "bundle": _bundle,
    "torchscript": _torchscript,
}
"""By what stands before the colon: makes a method of what stands behind it. Nothing is loaded for that."""

_MODEL_WHAT = {
    "package": "NAME",
    "nnunet": "FOLDER or NAME",
    "bundle": "FOLDER or NAME",
    "torchscript": "FILE or NAME",
}


class SegmentationEngine:
    """Runs a method of ``METHODS`` or ``MODEL_METHODS`` on checked images.

    ``confirm`` is asked before a program runs that came from elsewhere and is not on the list of trusted ones; without
    it such a program is refused. A yes holds for as long as this engine keeps the model.
    """

    def __init__(self, confirm: Confirm | None = None) -> None:
        self._confirm = confirm
        self._kept: tuple[str, SegmentationMethod] | None = None

    def segment(
        self,
        images: Images,
        method: str = "rules",
        settings: Mapping[str, Any] | None = None,
        progress: Callable[[float, str], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Segmentation:
        """Find the lesions of one study.

        ``settings`` are the method's own; for "rules" see ``rules.RuleSet``, for models the classes in ``inference``.
        ``progress`` is told a fraction (0 to 1) and a message before each step and may raise to stop; ``cancel`` is
        asked at the same moments, for a network before each window, and, when it returns true, SegmentationCancelled is
        raised. The same input gives the same output.

        Raises ValueError for an unknown method or setting and for images that cannot be used (not a 3-D volume, no
        voxels, values that are not finite, no uptake at all, units the method does not know), or a model that is
        damaged, not allowed to run, or wants what the study lacks; ImportError that says what to install; MemoryError.
        """
        chosen = self._method(method)
        check_images(images)

        def step(fraction: float, message: str) -> None:
            if cancel is not None and cancel():
                raise SegmentationCancelled(f"Segmentation was cancelled before: {message}")
            if progress is not None:
                progress(fraction, message)

        return chosen.segment(images, settings or {}, step)

    def check(self, method: str, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for a method or settings that ``segment`` would refuse, without images at hand."""
        self._method(method).check(settings)

    def _method(self, name: str) -> SegmentationMethod:
        if name in METHODS:
            return METHODS[name]
        if self._kept is None or self._kept[0] != name:
            kind, _, which = name.partition(":")
            if kind not in MODEL_METHODS or not which:
                models = (f"{kind}:{what}" for kind, what in _MODEL_WHAT.items())
                raise ValueError(
                    f"There is no segmentation method {name!r}. Available: {', '.join([*METHODS, *models])}."
                )
            self._kept = None  # before the next model takes memory
            self._kept = (name, MODEL_METHODS[kind](which, self._confirm))
        return self._kept[1]
