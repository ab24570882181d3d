"""Help with the PET criterion of the TheraP trial: SUVmax of the hottest lesion and of all others.

Source: Hofman et al. 2021, Lancet, doi 10.1016/S0140-6736(21)00237-3, as transcribed in secondary sources:
SUVmax of at least 20 at one site of disease and of at least 10 at all other measurable sites (10 mm or more), and no
site with FDG uptake but without PSMA uptake. Sizes on CT and FDG PET are not known here, so that this never says that a
man is eligible.
"""

from __future__ import annotations

from .clinical_model import ScoreResult
from .i18n import decimal, tr
from .result_warnings import is_psma_tracer
from .score_input import TOLERANCE, ScoreInput, figure_text

HOTTEST_AT_LEAST, OTHERS_AT_LEAST = 20.0, 10.0


class TheraP:
    """The highest SUVmax and the lesions below 10. ``number`` is the highest SUVmax."""

    name = "TheraP"

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """None where the study is a SPECT, of another tracer or not segmented."""
        study = inputs.study
        if study.modality == "SPECT" or not is_psma_tracer(study.tracer) or study.totals is None:
            return None
        notes = [
            tr("Only sites of 10 mm or more count: check sizes on CT, also of sites without uptake."),
            tr("FDG PET has to show that no site takes up FDG without PSMA."),
            tr("An aid for the reader: whether a man can be treated is not decided here."),
        ]
        hottest = study.totals.suv_max
        if hottest is None:
            value = tr("no lesion was segmented")
            return ScoreResult(self.name, study.study_id, value, None, _rule(), (), tuple(notes))
        cool = [lesion for lesion in study.lesions if not _reaches(lesion.measures.suv_max, OTHERS_AT_LEAST)]
        if not _reaches(hottest, HOTTEST_AT_LEAST):
            value = tr("no lesion reaches SUVmax 20")
        elif cool:
            value = tr("SUVmax 20 is reached, lesions below 10: {count} of {all}").format(
                count=len(cool), all=len(study.lesions)
            )
        else:
            value = tr("SUVmax 20 is reached, all lesions are at 10 or above")
        if cool:
            names = ", ".join(lesion.track or str(lesion.lesion) for lesion in cool)
            notes.insert(0, tr("Below SUVmax 10, check the size on CT: {lesions}.").format(lesions=names))
        highest = figure_text(hottest, 1, (OTHERS_AT_LEAST, HOTTEST_AT_LEAST))
        mean = decimal(f"{study.totals.suv_mean or 0:.1f}")
        measured = ((tr("highest SUVmax"), highest), (tr("tumor SUVmean"), mean))
        return ScoreResult(self.name, study.study_id, value, hottest, _rule(), measured, tuple(notes))


def _rule() -> str:
    return tr("The trial asked for SUVmax of at least 20 at one site and at least 10 at all other measurable sites.")


def _reaches(suv: float, limit: float) -> bool:
    return suv >= limit * (1.0 - TOLERANCE)
