"""The table of scores of one study. Adding one: a class like ``psg.Psg`` in its own file, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .burden import Burden, burden_text
from .clinical_model import ClinicalFacts
from .criteria_setting import measure_of
from .mi_psma import MiPsma, lesion_scores
from .mi_tnm import MiTnm
from .psg import Psg
from .results_model import StudyResult
from .score_input import ScoreInput, StudyScore
from .therap import TheraP
from .vision import Vision

__all__ = ["SCORES", "ScoreInput", "StudyScore", "burden_text", "scored"]

SCORES: dict[str, StudyScore] = {
    score.name: score for score in (Burden(), MiTnm(), MiPsma(), Psg(), Vision(), TheraP())
}


def scored(study: StudyResult, clinical: ClinicalFacts, setting: Mapping[str, Any]) -> StudyResult:
    """``study`` with miPSMA of every lesion and all scores, from its own lesions and reference regions.

    Args:
        study: With ``references`` filled in.
        clinical: Facts about the man.
        setting: The setting "criteria" of the case; ``mi_psma_measure`` chooses SUVmax, SUVmean or SUVpeak of lesions.

    Raises:
        InputError: the setting names a measure that there is not.
    """
    measure = measure_of(setting)
    by_lesion = lesion_scores(study, study.references, measure)
    with_lesions = replace(
        study,
        lesions=tuple(replace(lesion, mi_psma=by_lesion[lesion.lesion]) for lesion in study.lesions),
        rejected=tuple(replace(lesion, mi_psma=by_lesion[lesion.lesion]) for lesion in study.rejected),
    )
    inputs = ScoreInput(with_lesions, clinical, measure)
    found = (score.score(inputs) for score in SCORES.values())
    return replace(with_lesions, scores=tuple(one for one in found if one is not None))
