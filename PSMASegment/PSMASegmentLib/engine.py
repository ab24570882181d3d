"""The segmentation engine: images in, lesion labels out, by one of the methods in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
    "Finding",
    "Images",
    "Removed",
    "Segmentation",
    "SegmentationCancelled",
    "SegmentationEngine",
    "SegmentationMethod",
]

METHODS: dict[str, SegmentationMethod] = {"rules": RuleEngine()}


class SegmentationEngine:
    """Runs a method of ``METHODS`` on checked images."""

    def segment(
        self,
        images: Images,
        method: str = "rules",
        settings: Mapping[str, Any] | None = None,
        progress: Callable[[float, str], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Segmentation:
        """Find the lesions of one study.

        ``settings`` are the method's own; for "rules" see ``rules.RuleSet``. ``progress`` is told a fraction (0 to 1)
        and a message before each step and may raise to stop; ``cancel`` is asked at the same moments and, when it
        returns true, SegmentationCancelled is raised. The same input gives the same output.

        Raises ValueError for an unknown method or setting and for images that cannot be used (not a 3-D volume, no
        voxels, values that are not finite, no uptake at all, units the method does not know).
        """
        chosen = _method(method)
        check_images(images)

        def step(fraction: float, message: str) -> None:
            if cancel is not None and cancel():
                raise SegmentationCancelled(f"Segmentation was cancelled before: {message}")
            if progress is not None:
                progress(fraction, message)

        return chosen.segment(images, settings or {}, step)

    def check(self, method: str, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for a method or settings that ``segment`` would refuse, without images at hand."""
        _method(method).check(settings)


def _method(name: str) -> SegmentationMethod:
    if name not in METHODS:
        raise ValueError(f"There is no segmentation method {name!r}. Available: {', '.join(METHODS)}.")
    return METHODS[name]
