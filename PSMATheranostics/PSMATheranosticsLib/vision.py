"""Help with the PET criterion of the VISION trial: which lesions are above the liver, and what CT has to tell.

Source: Sartor et al. 2021, N Engl J Med 385:1091, doi 10.1056/NEJMoa2107322, as transcribed in secondary sources:
PSMA-positive is uptake visually above the liver on 68Ga-PSMA-11 PET; men were excluded with any PSMA-negative lesion
(no more than liver) of a size: node 2.5 cm in the short axis, solid organ 1.0 cm, bone with a soft tissue component of
1.0 cm. Sizes on CT and lesions without uptake are not known here, so that this never says that a man is eligible.
"""

from __future__ import annotations

from .clinical_model import ScoreResult
from .i18n import decimal, tr
from .mi_psma import is_liver_excreted, region_mean
from .response import NOT_EVALUABLE
from .result_warnings import is_psma_tracer
from .score_input import TOLERANCE, ScoreInput

TRIAL_TRACERS = ("psma-11", "psma 11", "psma11", "gozetotide")


class Vision:
    """Lesions above and not above the liver. ``number`` is the count of those above."""

    name = "VISION"

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """None where the study is a SPECT, of another tracer or not segmented."""
        study = inputs.study
        if study.modality == "SPECT" or not is_psma_tracer(study.tracer) or study.totals is None:
            return None
        liver = region_mean(study.references, "liver")
        to_check = _to_check()
        if is_liver_excreted(study.tracer):
            why = tr("The liver excretes this tracer and cannot be the reference.")
            return ScoreResult(self.name, study.study_id, NOT_EVALUABLE, None, why, (), to_check)
        if liver is None:
            why = tr("No reference region was measured in the liver.")
            return ScoreResult(self.name, study.study_id, NOT_EVALUABLE, None, why, (), to_check)
        below = [lesion for lesion in study.lesions if lesion.measures.suv_max <= liver * (1.0 + TOLERANCE)]
        above, count = len(study.lesions) - len(below), len(study.lesions)
        if not count:
            value = tr("no lesion was segmented")
        elif not above:
            value = tr("no lesion above the liver")
        else:
            value = tr("lesions above the liver: {above} of {all}").format(above=above, all=count)
        why = tr("SUVmax of the lesions against the liver's SUVmean of {liver}; the trial compared them by eye.")
        notes = list(to_check)
        if below:
            names = ", ".join(lesion.track or str(lesion.lesion) for lesion in below)
            notes.insert(0, tr("Not above the liver, check the size on CT: {lesions}.").format(lesions=names))
        if not any(name in study.tracer.casefold() for name in TRIAL_TRACERS):
            notes.append(tr("The trial used 68Ga-PSMA-11, not {tracer}.").format(tracer=study.tracer))
        shown = decimal(f"{liver:.2f}")
        regions = ((tr("liver SUVmean"), shown),)
        return ScoreResult(
            self.name, study.study_id, value, float(above), why.format(liver=shown), regions, tuple(notes)
        )


def _to_check() -> tuple[str, ...]:
    """What the images of this study alone cannot say."""
    return (
        tr(
            "On CT, look for lesions with no more uptake than the liver, also those that were not segmented: nodes of "
            "2.5 cm or more in the short axis, lesions of solid organs of 1.0 cm or more, bone lesions with a soft "
            "tissue component of 1.0 cm or more. Any of them excluded a man from the trial."
        ),
        tr("An aid for the reader: whether a man can be treated is not decided here."),
    )
