"""PSG score: uptake of all tumor against that of the parotid glands, which tells what radioligand therapy may reach.

Source: Hotta et al. 2023, J Nucl Med 64:1024, doi 10.2967/jnumed.122.265242: qPSG is SUVmean of the whole tumor
burden over SUVmean of the parotid glands; high above 1.5, intermediate from 0.5 to 1.5, low below 0.5. That the parotid
glands are measured in a sphere of each side is a choice of this software, and gives higher means than whole glands.
"""

from __future__ import annotations

from .clinical_model import ScoreResult
from .i18n import decimal, tr
from .mi_psma import region_mean
from .response import NOT_EVALUABLE
from .result_warnings import is_psma_tracer
from .score_input import TOLERANCE, ScoreInput, figure_text

HIGH, INTERMEDIATE, LOW = "high", "intermediate", "low"
HIGH_ABOVE, LOW_BELOW = 1.5, 0.5


def psg_class(quotient: float) -> str:
    """ "high", "intermediate" or "low" for tumor SUVmean / parotid SUVmean. Both limits belong to "intermediate"."""
    if quotient > HIGH_ABOVE * (1.0 + TOLERANCE):
        return HIGH
    return LOW if quotient < LOW_BELOW * (1.0 - TOLERANCE) else INTERMEDIATE


class Psg:
    """Quantitative PSG score of a study."""

    name = "PSG"

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """None where the study is a SPECT, of another tracer, not segmented or without lesions."""
        study = inputs.study
        if study.modality == "SPECT" or not is_psma_tracer(study.tracer) or study.totals is None:
            return None
        tumor, parotid = study.totals.suv_mean, region_mean(study.references, "parotid")
        if tumor is None:
            return None
        measured = ((tr("tumor SUVmean"), decimal(f"{tumor:.2f}")),)
        if not parotid:
            why = tr("No reference region was measured in the parotid glands.")
            return ScoreResult(self.name, study.study_id, NOT_EVALUABLE, None, why, measured)
        quotient = tumor / parotid
        why = tr("tumor SUVmean {tumor} / parotid SUVmean {parotid} = {quotient}").format(
            tumor=decimal(f"{tumor:.2f}"),
            parotid=decimal(f"{parotid:.2f}"),
            quotient=figure_text(quotient, 2, (LOW_BELOW, HIGH_ABOVE)),
        )
        notes = [tr("The parotid glands are measured in a sphere of each side, not as whole glands.")]
        sides = [one.name for one in study.references if one.name.endswith("parotid")]
        if len(sides) == 1:
            notes.append(tr("Only one parotid gland was measured."))
        value = {HIGH: tr("high"), INTERMEDIATE: tr("intermediate"), LOW: tr("low")}[psg_class(quotient)]
        both = (*measured, (tr("parotid SUVmean"), decimal(f"{parotid:.2f}")))
        return ScoreResult(self.name, study.study_id, value, quotient, why, both, tuple(notes))
