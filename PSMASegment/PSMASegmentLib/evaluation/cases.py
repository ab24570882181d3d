"""What is evaluated: studies with a truth, and what the automatic segmentation finds in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from ..clicks.click import Labels
from ..clicks.study import ClickStudy, click_study
from ..engine import SegmentationEngine
from ..grids import require_same_grid
from ..measure import components
from ..organs import OrganMap
from ..phantom.organ_map_study import OrganMapPhantom
from ..segmentation import Images

STARTS = ("organ-map", "rules", "nothing")
"""What a reader starts from: the automatic result by rules with the organ map, without it, or no lesion at all.

The name of a model, such as "package:NAME" (``engine.MODEL_METHODS``), is one too: what it finds without the organ map.
"""


@dataclass(frozen=True)
class TruthCase:
    """One study: SUVbw, CT and organ map where known, and the truth on the grid of the SUVbw.

    ``truth`` (uint16) holds one value per lesion. ``sites`` describes lesions where it is known, by value.
    """

    name: str
    emission: sitk.Image
    truth: sitk.Image
    tracer: str = ""
    ct: sitk.Image | None = None
    organs: OrganMap | None = None
    sites: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Start:
    """A study ready for clicks, and the labels (z, y, x; uint16) that a reader begins with."""

    study: ClickStudy
    labels: Labels


def truth_case(
    name: str,
    emission: sitk.Image,
    labels: sitk.Image,
    *,
    tracer: str = "",
    ct: sitk.Image | None = None,
    organs: OrganMap | None = None,
) -> TruthCase:
    """A case from images; a truth of zeros and ones falls into its 26-connected components.

    Raises ValueError where the labels lie on another grid, are no whole numbers or do not fit into 16 bits.
    """
    require_same_grid(emission, labels)
    values = sitk.GetArrayViewFromImage(labels)
    if (values != np.round(values)).any() or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"The truth of {name} must hold whole numbers from 0 to 65535, one per lesion.")
    truth = components(labels) if values.max() == 1 else sitk.Cast(labels, sitk.sitkUInt16)
    return TruthCase(name, sitk.Cast(emission, sitk.sitkFloat32), truth, tracer, ct, organs)


def phantom_case(name: str, phantom: OrganMapPhantom) -> TruthCase:
    """A synthetic study as a case."""
    sites = {
        lesion.label: ", ".join(
            [f"{lesion.region.name}: {lesion.region.site}"]
            + [f"beside {lesion.near}" for _ in range(bool(lesion.near))]
            + ["touching" for _ in range(bool(lesion.touches))]
        )
        for lesion in phantom.lesions
    }
    return TruthCase(name, phantom.emission, phantom.truth, phantom.tracer, phantom.ct, phantom.organs, sites)


def starts_of(case: TruthCase, kinds: Sequence[str], engine: SegmentationEngine | None = None) -> dict[str, Start]:
    """What a reader begins with, by ``kinds`` out of ``STARTS`` or names of models.

    With "nothing" the physiological uptake is known as with "organ-map", or by the rules where there is no map. With an
    ``engine`` its model stays loaded from case to case. Raises ValueError for another kind, for "organ-map" without a
    map and where a model cannot be asked.
    """
    engine = engine or SegmentationEngine()
    starts: dict[str, Start] = {}
    found: dict[bool, Start] = {}
    for kind in kinds:
        if ":" in kind:
            starts[kind] = _automatic(case, False, engine, kind)
            continue
        if kind not in STARTS:
            raise ValueError(f"There is no start {kind!r}. Valid are: {', '.join(STARTS)}, and models (package:NAME).")
        if kind == "organ-map" and case.organs is None:
            raise ValueError(f"{case.name} has no organ map. Start from rules or nothing.")
        by_map = kind != "rules" and case.organs is not None
        if by_map not in found:
            found[by_map] = _automatic(case, by_map, engine)
        start = found[by_map]
        starts[kind] = Start(start.study, np.zeros_like(start.labels)) if kind == "nothing" else start
    return starts


def _automatic(case: TruthCase, by_map: bool, engine: SegmentationEngine, method: str = "rules") -> Start:
    images = Images(case.emission, "SUVbw", case.tracer, case.ct, case.organs if by_map else None)
    found = engine.segment(images, method)
    study = click_study(case.emission, "PET", found.physiology, found.physiology_names, case.ct)
    return Start(study, sitk.GetArrayFromImage(found.labels))
