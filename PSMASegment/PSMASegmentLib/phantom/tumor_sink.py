"""The tumor sink: organs take up less of the tracer in men with very much tumor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .organ_map_lesions import Planned
from .tissues import Tissue

_SINK = {
    Tissue.KIDNEY: 0.45,
    Tissue.KIDNEY_SINUS: 0.45,
    Tissue.PAROTID: 0.45,
    Tissue.SUBMANDIBULAR: 0.45,
    Tissue.LACRIMAL: 0.35,
    Tissue.LIVER: 0.25,
    Tissue.SPLEEN: 0.35,
    Tissue.DUODENUM: 0.35,
    Tissue.SMALL_BOWEL: 0.35,
}
_SINK_HALF = 12000.0  # SUV x mL at which half of it is reached
"""Largest share that organs lose to tumors: working values. Only a very high burden has an effect (PMC12167615)."""


def sunk(uptake: Mapping[Tissue, float], plan: Sequence[Planned]) -> dict[Tissue, float]:
    """Uptake of the organs of a man whose tumors hold part of the tracer; plain for a small burden."""
    burden = sum(lesion.suv_max * sum(lobe.volume_ml for lobe in lesion.lobes) for lesion in plan)
    share = burden / (burden + _SINK_HALF)
    return {tissue: value * (1.0 - _SINK.get(tissue, 0.0) * share) for tissue, value in uptake.items()}
