"""Tumor burden in the words of a report: how many lesions, and SUVmax per group of regions.

Counts up to 20 are given, more as "> 20"; SUVmax is given for local disease, regional nodes and metastases (SPARC
consensus 2025, Eur Urol, doi 10.1016/j.eururo.2025.08.005, as transcribed in secondary sources).
"""

from __future__ import annotations

from PSMASegmentLib.lesion_regions import BONE, DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, VISCERAL

from .clinical_model import ScoreResult
from .i18n import decimal, tr
from .score_input import ScoreInput

COUNTED_UP_TO = 20
LOCAL, REGIONAL_NODES, METASTATIC = "local", "regional nodes", "metastatic"
GROUPS = {
    LOCAL: (PROSTATE_BED,),
    REGIONAL_NODES: (PELVIC_NODE,),
    METASTATIC: (DISTANT_NODE, BONE, VISCERAL),
}


def burden_text(count: int) -> str:
    """The number of lesions as a report gives it: as it is up to 20, "> 20" above."""
    return str(count) if count <= COUNTED_UP_TO else f"> {COUNTED_UP_TO}"


class Burden:
    """Number of lesions and SUVmax per group of regions. ``number`` is the exact number of lesions."""

    name = "Burden"

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """None for a study that was not segmented."""
        study = inputs.study
        if study.totals is None:
            return None
        count = study.totals.lesion_count
        value = tr("1 lesion") if count == 1 else tr("{count} lesions").format(count=burden_text(count))
        shown = {
            LOCAL: tr("SUVmax local"),
            REGIONAL_NODES: tr("SUVmax regional nodes"),
            METASTATIC: tr("SUVmax metastatic"),
        }
        measured = []
        for group, regions in GROUPS.items():
            highest = max((le.measures.suv_max for le in study.lesions if le.region.name in regions), default=None)
            measured.append((shown[group], "-" if highest is None else decimal(f"{highest:.1f}")))
        unknown = sum(1 for lesion in study.lesions if not lesion.region.name)
        notes = (tr("Lesions in no known region: {count}.").format(count=unknown),) if unknown else ()
        why = tr("Lesions that count on this study, and the highest SUVmax of each group of regions.")
        return ScoreResult(self.name, study.study_id, value, float(count), why, tuple(measured), notes)
