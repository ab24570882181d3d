"""What the training of a network for whole studies is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from PSMASegmentLib.inference.sidecar import CT, EMISSION, PRIOR, Channel
from PSMASegmentLib.phantom.organ_map_course import LUTETIUM
from PSMASegmentLib.phantom.tissues import TRACERS
from PSMASegmentLib.training.run_config import RunConfig
from PSMASegmentLib.training.study_crops import MODALITIES, ORGAN_CLASSES

INPUTS = {
    EMISSION: Channel(EMISSION, "SUVbw", (("clip", (0.0, 90.0)), ("divide", (3.0,)), ("log1p", ()))),
    CT: Channel(CT, "HU", (("clip", (-832.0, 1128.0)), ("subtract", (108.0,)), ("divide", (286.0,))), optional=True),
    PRIOR: Channel(PRIOR, "mask", (), optional=True),
}
"""The inputs there are; optional are those that crops may lack. Numbers of the CT are about those of LesionTracer
(MIC-DKFZ, autoPET III), rounded."""
NO_CT_HU = 108.0
"""A CT of this HU is 0 after normalization, as where there is none."""
BACKGROUND, LESION = "background", "lesion"


@dataclass(frozen=True)
class SegmentationConfig(RunConfig):
    """One run of kind "segmentation".

    ``modalities`` and ``tracers`` (of PET) are what is painted. ``channels`` are the inputs, of ``INPUTS``; the CT is
    left out of a crop with the chance ``ct_dropout``, the prior with ``prior_dropout``, so that the network does
    without. With ``organs`` it also learns the groups of physiological uptake. Crops have ``voxels`` a side of
    ``spacing_mm``; ``lesion_free`` is the share without lesions. ``painters`` processes paint ahead, 0: none. Men that
    crops are painted on are kept in the folder ``bodies`` (default: in ``output``); ``shapes`` of them are made of
    simple shapes and have no organ map.

    ``cases`` is a training set as ``psma training-set`` writes it, of which a share ``case_share`` of the crops is then
    cut. ``start_from`` is a package of this kind (a folder, or the name of an installed one) or a checkpoint of another
    run; its weights are taken at first.

    The package asks windows of ``window`` voxels that overlap by ``overlap``, mirrored along ``mirror_axes`` (0 to 2
    for z, y, x) as well.
    """

    kind: str = "segmentation"
    rounds: int = 20000
    batch: int = 4
    widths: tuple[int, ...] = (24, 48, 96, 128)
    averaging: float = 0.999
    modalities: tuple[str, ...] = ("PET",)
    tracers: tuple[str, ...] = ("68Ga-PSMA-11", "18F-DCFPyL", "18F-PSMA-1007")
    channels: tuple[str, ...] = (EMISSION, CT)
    ct_dropout: float = 0.3
    prior_dropout: float = 0.5
    organs: bool = True
    voxels: int = 64
    spacing_mm: float = 4.0
    lesion_free: float = 0.4
    shapes: int = 0
    painters: int = 1
    bodies: Path | None = None
    cases: Path | None = None
    case_share: float = 0.5
    start_from: str = ""
    window: int = 96
    overlap: float = 0.5
    mirror_axes: tuple[int, ...] = ()

    @property
    def inputs(self) -> tuple[Channel, ...]:
        """The inputs in the order of the network; optional are those that some of its crops lack."""
        lacking = {CT: self.ct_dropout > 0.0, PRIOR: self.prior_dropout > 0.0 or "PET" in self.modalities}
        return tuple(replace(INPUTS[name], optional=lacking.get(name, False)) for name in self.channels)

    @property
    def classes(self) -> tuple[str, ...]:
        """What the network tells apart, background first."""
        return (BACKGROUND, LESION, *(ORGAN_CLASSES if self.organs else ()))

    @property
    def step(self) -> int:
        """Sides of what the network is asked are multiples of so many voxels."""
        return 2 * prod(self.strides)

    @property
    def all_tracers(self) -> tuple[str, ...]:
        """Tracers of the modalities that are painted."""
        return (*(self.tracers if "PET" in self.modalities else ()), *([LUTETIUM] * ("SPECT" in self.modalities)))

    @property
    def bodies_folder(self) -> Path:
        """Where the men are kept."""
        return self.bodies or self.output / "bodies"

    def shaping_settings(self) -> dict[str, Any]:
        """As of every run; and that it learns from cases, or began from other weights, where it does."""
        told = {"cases": self.cases, "start_from": self.start_from}
        return super().shaping_settings() | {name: True for name, value in told.items() if value}

    def check(self, where: Path) -> None:
        """Raise ValueError that says which setting of the file ``where`` makes no sense."""
        super().check(where)
        self.require_positive(where, ("voxels", "window"))
        for name, known in (("modalities", MODALITIES), ("tracers", tuple(TRACERS)), ("channels", tuple(INPUTS))):
            unknown = [value for value in getattr(self, name) if value not in known]
            if unknown or not getattr(self, name):
                raise ValueError(f"{where}: {name} are of {', '.join(known)}, not {', '.join(unknown) or 'none'}.")
        if EMISSION not in self.channels:
            raise ValueError(f"{where}: channels must hold {EMISSION}.")
        shares = ("ct_dropout", "prior_dropout", "lesion_free", "case_share")
        wrong = [name for name in shares if not 0.0 <= getattr(self, name) <= 1.0]
        if wrong:
            raise ValueError(f"{where}: {', '.join(wrong)} must lie from 0 to 1.")
        if not 0.0 <= self.overlap <= 0.9 or self.spacing_mm <= 0.0 or min(self.painters, self.shapes) < 0:
            raise ValueError(
                f"{where}: overlap must lie from 0 to 0.9, spacing_mm above 0, painters and shapes at 0 or above."
            )
        if self.voxels % self.step or self.window % self.step:
            raise ValueError(f"{where}: voxels and window must be multiples of {self.step} for these strides.")
        if set(self.mirror_axes) - {0, 1, 2}:
            raise ValueError(f"{where}: mirror_axes are of 0, 1 and 2, for z, y and x.")
