"""miPSMA: how much PSMA a lesion shows, from 0 to 3, against blood pool, liver or spleen, and parotid glands.

Source: PROMISE V2 (Seifert et al. 2023, Eur Urol 83:405, PMID 36935345), as transcribed in secondary sources. Which
measure of the lesion is held against which of the reference region is not fixed there. Choices of this software: the
lesion's SUVmax by default, against the mean of a sphere in the organ; the parotid is the mean of both sides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .clinical_model import ReferenceRegionResult, ScoreResult
from .i18n import decimal, tr
from .response import NOT_EVALUABLE
from .result_warnings import is_psma_tracer
from .results_model import StudyResult
from .score_input import DEFAULT_MEASURE, TOLERANCE, ScoreInput

# Seifert 2023: the spleen takes the liver's place for tracers that the liver excretes, of which 18F-PSMA-1007 is named.
_LIVER_EXCRETED = re.compile(r"psma[\s_-]*1007", re.IGNORECASE)
MEASURE_NAMES = {"suv_max": "SUVmax", "suv_mean": "SUVmean", "suv_peak": "SUVpeak"}


@dataclass(frozen=True)
class Levels:
    """Mean SUV of the reference regions; None where one was not measured. ``organ``: "liver" or "spleen"."""

    blood_pool: float | None
    organ: str
    organ_suv: float | None
    parotid: float | None


def is_liver_excreted(tracer: str) -> bool:
    """Whether the liver excretes the tracer, so that the spleen is the reference in its place."""
    return _LIVER_EXCRETED.search(tracer) is not None


def region_mean(references: Sequence[ReferenceRegionResult], name: str) -> float | None:
    """Mean SUV in a reference region; "parotid" is the mean of the sides that there are. None without one."""
    values = [one.suv_mean for one in references if one.name == name or one.name.endswith(f" {name}")]
    return fmean(values) if values else None


def levels_of(references: Sequence[ReferenceRegionResult], tracer: str) -> Levels:
    """What lesions of a study with this tracer are compared with."""
    organ = "spleen" if is_liver_excreted(tracer) else "liver"
    return Levels(
        region_mean(references, "blood pool"), organ, region_mean(references, organ), region_mean(references, "parotid")
    )


def possible_mi_psma(suv: float, levels: Levels) -> tuple[int, ...]:
    """Scores that fit what is known, in rising order: one where it is certain, several where a region is missing.

    0 up to blood pool, 1 above it, 2 above the liver (or spleen), 3 above the parotid glands. Empty where the regions
    contradict each other, such as parotid glands below the liver with a lesion in between.
    """
    known = [
        None if level is None else suv > level * (1.0 + TOLERANCE)
        for level in (levels.blood_pool, levels.organ_suv, levels.parotid)
    ]
    return tuple(
        score for score in range(4) if all(above is None or above == (score > step) for step, above in enumerate(known))
    )


def mi_psma(suv: float, references: Sequence[ReferenceRegionResult], tracer: str) -> int | None:
    """The score of a lesion with this uptake (SUV), 0 to 3; None where the regions at hand do not decide it.

    None for tracers that are no PSMA ligands too.
    """
    return _certain(suv, levels_of(references, tracer)) if is_psma_tracer(tracer) else None


def _certain(suv: float, levels: Levels) -> int | None:
    possible = possible_mi_psma(suv, levels)
    return possible[0] if len(possible) == 1 else None


def lesion_scores(
    study: StudyResult, references: Sequence[ReferenceRegionResult], measure: str = DEFAULT_MEASURE
) -> dict[int, int | None]:
    """miPSMA of every lesion of a study, those rejected too, by its number. None on SPECT: the score is one of PET."""
    lesions = (*study.lesions, *study.rejected)
    if study.modality == "SPECT" or not is_psma_tracer(study.tracer):
        return dict.fromkeys(lesion.lesion for lesion in lesions)
    levels = levels_of(references, study.tracer)
    return {lesion.lesion: _certain(getattr(lesion.measures, measure), levels) for lesion in lesions}


class MiPsma:
    """PSMA expression score of a study: the highest and the lowest miPSMA of its lesions (PROMISE V2)."""

    name = "miPSMA"

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """From the scores of the lesions. None where the study has no lesions, is a SPECT or of another tracer."""
        study = inputs.study
        if not study.lesions or study.modality == "SPECT" or not is_psma_tracer(study.tracer):
            return None
        levels = levels_of(study.references, study.tracer)
        regions = level_inputs(levels)
        notes = [tr("Meant for lesions over 10 mm on CT; the score of smaller ones is too low (partial volume).")]
        notes += [
            tr("{lesion} lies in the reference region {region}: check both.").format(lesion=lesion, region=region)
            for region, lesion in lesions_in_regions(study)
        ]
        scores = [lesion.mi_psma for lesion in study.lesions if lesion.mi_psma is not None]
        if len(scores) < len(study.lesions):
            missing = missing_text(levels)
            notes.append(
                tr("Lesions without a score: {open} of {all}. {why}").format(
                    open=len(study.lesions) - len(scores), all=len(study.lesions), why=missing
                )
            )
        if not scores:
            return ScoreResult(
                self.name, study.study_id, NOT_EVALUABLE, None, missing_text(levels), regions, tuple(notes)
            )
        highest, lowest = max(scores), min(scores)
        value = tr("highest {highest}, lowest {lowest}").format(highest=highest, lowest=lowest)
        counts = ", ".join(f"{score}: {scores.count(score)}" for score in sorted(set(scores), reverse=True))
        why = tr("{measure} of the lesions against the reference regions; lesions by score: {counts}").format(
            measure=MEASURE_NAMES[inputs.measure], counts=counts
        )
        return ScoreResult(self.name, study.study_id, value, float(highest), why, regions, tuple(notes))


def lesions_in_regions(study: StudyResult) -> list[tuple[str, str]]:
    """Reference regions and lesions whose centroid or hottest voxel lies in them: drawn later, or a region moved."""
    return [
        (region.name, lesion.track or str(lesion.lesion))
        for region in study.references
        for lesion in study.lesions
        if min(
            math.dist(region.center_mm, lesion.measures.centroid_mm),
            math.dist(region.center_mm, lesion.measures.hottest_mm),
        )
        <= region.radius_mm
    ]


def level_inputs(levels: Levels) -> tuple[tuple[str, str], ...]:
    """The reference regions as names and values for ``ScoreResult.inputs``."""
    named = (
        (tr("blood pool SUVmean"), levels.blood_pool),
        (tr("liver SUVmean") if levels.organ == "liver" else tr("spleen SUVmean"), levels.organ_suv),
        (tr("parotid SUVmean"), levels.parotid),
    )
    return tuple((name, tr("not measured") if suv is None else decimal(f"{suv:.2f}")) for name, suv in named)


def missing_text(levels: Levels) -> str:
    """Why lesions have no score."""
    organ = tr("liver") if levels.organ == "liver" else tr("spleen")
    named = ((tr("blood pool"), levels.blood_pool), (organ, levels.organ_suv), (tr("parotid"), levels.parotid))
    missing = [name for name, suv in named if suv is None]
    if missing:
        return tr("No reference region was measured in: {regions}.").format(regions=", ".join(missing))
    return tr("The reference regions contradict the usual order: blood pool, {organ}, parotid.").format(organ=organ)
