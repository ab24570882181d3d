"""miTNM: the extent of disease on PSMA PET in one line, from the regions of the lesions.

Source: PROMISE V2 (Seifert et al. 2023, Eur Urol 83:405, PMID 36935345), as transcribed in secondary sources. The
line says only what segmented lesions, their regions and sites, and the facts about the man can say. What they cannot
say - growth beyond the prostate, stations and sides that no site names, diffuse marrow involvement - is left open and
said in the notes, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from PSMASegmentLib.lesion_regions import BONE, DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, VISCERAL

from .clinical_model import ScoreResult
from .i18n import decimal, tr
from .result_warnings import is_psma_tracer
from .results_model import LesionResult
from .score_input import ScoreInput

# Seifert 2023: up to three bone lesions are oligometastatic, more are disseminated.
OLIGO_UP_TO = 3

# Words of a site -> code of the station; the first match counts.
_PELVIC_STATIONS = (
    (r"internal iliac|hypogastric", "II"),
    (r"external iliac", "EI"),
    (r"obturator", "OB"),
    (r"presacral", "PS"),
    (r"other pelvic|perirectal|mesorectal|perivesical|perineal", "OP"),
)
_DISTANT_STATIONS = (
    (r"common iliac", "CI"),
    (r"retroperiton|para-?aortic|aortocaval|paracaval|lumbo-?aortic", "RP"),
    (r"supradiaphragm|mediastin|hilar|supraclavic|neck|cervical|axill|thoracic", "SD"),
    (r"inguinal|groin|other extrapelvic", "OE"),
)
_ORGANS = (
    (r"liver|hepatic", "hep"),
    (r"lung|pulmonary|pleura", "pul"),
    (r"adrenal", "adrenal"),
    (r"brain|cerebr", "brain"),
)
# "presacral or beside the rectum" is a proposal that names two stations, and therefore none.
_UNDECIDED = re.compile(r"\bor\b")


@dataclass(frozen=True)
class Stage:
    """One part of the line, and what it leaves open."""

    text: str
    notes: tuple[str, ...] = ()


class MiTnm:
    """The miTNM line of a study, with tumor volume and PSMA expression score behind it."""

    name = "miTNM"

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """None where the study is a SPECT, of another tracer or not segmented."""
        study = inputs.study
        if study.modality == "SPECT" or not is_psma_tracer(study.tracer) or study.totals is None:
            return None
        lesions = {
            region: [lesion for lesion in study.lesions if lesion.region.name == region]
            for region in (PROSTATE_BED, PELVIC_NODE, DISTANT_NODE, BONE, VISCERAL)
        }
        unknown = sum(1 for lesion in study.lesions if not lesion.region.name)
        stages = (
            t_stage(lesions[PROSTATE_BED], inputs.clinical.prostate),
            n_stage(lesions[PELVIC_NODE]),
            m_stage(lesions[DISTANT_NODE], lesions[BONE], lesions[VISCERAL]),
        )
        notes = [note for stage in stages for note in stage.notes]
        if unknown:
            notes.append(
                tr("Lesions in no known region, which stand nowhere in the line: {count}.").format(count=unknown)
            )
        proposed = sum(1 for lesion in study.lesions if lesion.region_source == "proposed" and not lesion.reviewed)
        if proposed:
            text = tr("Lesions whose region is a proposal that nobody has reviewed: {count} of {all}.")
            notes.append(text.format(count=proposed, all=len(study.lesions)))
        scores = [lesion.mi_psma for lesion in study.lesions if lesion.mi_psma is not None]
        volume = decimal(f"{study.totals.psma_tv_ml:.1f} mL")
        # A lesion in no known region may be of any kind, so that no category is surely 0.
        open_ = [f"{stage.text}?" if unknown and stage.text.endswith("0") else stage.text for stage in stages]
        line = f"{' '.join(open_)} / {volume}"
        if scores:
            expression = tr("PSMA expression score highest {highest} lowest {lowest}")
            line += f" / {expression.format(highest=max(scores), lowest=min(scores))}"
        shown = {
            PROSTATE_BED: tr("prostate bed"),
            PELVIC_NODE: tr("pelvic node"),
            DISTANT_NODE: tr("distant node"),
            BONE: tr("bone"),
            VISCERAL: tr("visceral"),
        }
        counts = ", ".join(f"{shown[region]} {len(found)}" for region, found in lesions.items() if found)
        none = tr("no lesion in a known region") if study.lesions else tr("no lesion")
        why = tr("from the regions of the lesions: {counts}").format(counts=counts or none)
        return ScoreResult(self.name, study.study_id, line, None, why, (), tuple(notes))


def t_stage(lesions: Sequence[LesionResult], prostate: str) -> Stage:
    """Local disease. ``prostate``: "in situ", "removed" or "" where that is not known."""
    if not lesions:
        return Stage("miT0")
    if prostate == "removed":
        return Stage("miTr")
    if prostate != "in situ":
        return Stage("miT?", (tr("miT: enter whether the prostate is in situ (miT2 to miT4) or was removed (miTr)."),))
    at_bladder, sure_bladder = _at_site(lesions, "urinary bladder")
    at_vesicle, sure_vesicle = _at_site(lesions, "seminal vesicle")
    if sure_bladder:
        return Stage("miT4")
    text = tr("miT: a lesion was proposed at the site of {stage}: review it.")
    proposed = [text.format(stage="miT4")] if at_bladder else []
    if sure_vesicle:
        beyond = tr("miT: growth into adjacent structures (miT4) cannot be told from the data.")
        return Stage(tr("at least {stage}").format(stage="miT3b"), (beyond, *proposed))
    proposed += [text.format(stage="miT3b")] if at_vesicle else []
    focality = "u" if len(lesions) == 1 else "m"
    beyond = tr(
        "miT: growth beyond the prostate (miT3a), into seminal vesicles (miT3b) or adjacent structures (miT4) cannot "
        "be told from the data. One or several foci go by the number of lesions there."
    )
    return Stage(tr("at least {stage}").format(stage=f"miT2{focality}"), (beyond, *proposed))


def _at_site(lesions: Sequence[LesionResult], site: str) -> tuple[bool, bool]:
    """Whether there is a lesion at a site, and whether a reader has said or accepted so."""
    there = [lesion for lesion in lesions if site in lesion.region.site]
    return bool(there), any(lesion.region_source == "reader" or lesion.reviewed for lesion in there)


def n_stage(lesions: Sequence[LesionResult]) -> Stage:
    """Nodes of the true pelvis: none, one region, or several, with the stations that the sites name."""
    if not lesions:
        return Stage("miN0")
    stations = [_station(lesion.region.site, _PELVIC_STATIONS) for lesion in lesions]
    named = sorted({_with_side(code, side) for code, side in stations if code})
    codes = {code for code, _ in stations if code}
    listed = f" ({', '.join(named)})" if named else ""
    unnamed = sum(1 for code, _ in stations if not code)
    notes: list[str] = []
    if unnamed:
        notes.append(
            tr("miN: pelvic nodes whose site names no station (II, EI, OB, PS, OP): {count}.").format(count=unnamed)
        )
    if any(code and not side and code != "PS" for code, side in stations):
        notes.append(tr("miN: the side of some pelvic nodes is not stated."))
    if len(codes) >= 2:
        return Stage(f"miN2{listed}", tuple(notes))
    if len(lesions) == 1 or (not unnamed and len(named) == 1 and all(side for _, side in stations)):
        return Stage(f"miN1{listed}", tuple(notes))
    notes.append(tr("miN: whether one region (miN1) or several (miN2) cannot be told from the sites."))
    return Stage(f"miN1-2{listed}", tuple(notes))


def m_stage(nodes: Sequence[LesionResult], bones: Sequence[LesionResult], viscera: Sequence[LesionResult]) -> Stage:
    """Distant disease: nodes (a), bone with its pattern (b) and organs (c), all that there are."""
    parts, notes = [], []
    if nodes:
        found = [_station(lesion.region.site, _DISTANT_STATIONS)[0] for lesion in nodes]
        parts.append(_listed("miM1a", found, [code for _, code in _DISTANT_STATIONS]))
        if "" in found:
            notes.append(
                tr("miM1a: distant nodes whose site names no station (CI, RP, SD, OE): {count}.").format(
                    count=found.count("")
                )
            )
    if bones:
        pattern = "uni" if len(bones) == 1 else "oligo" if len(bones) <= OLIGO_UP_TO else "diss"
        parts.append(f"miM1b ({pattern})")
        notes.append(
            tr(
                "miM1b: the pattern goes by the number of bone lesions ({count}); diffuse marrow involvement (dmi) is "
                "for a reader to say."
            ).format(count=len(bones))
        )
    if viscera:
        found = [_station(lesion.region.site, _ORGANS)[0] or "other" for lesion in viscera]
        parts.append(_listed("miM1c", found, [*(code for _, code in _ORGANS), "other"]))
    return Stage(" ".join(parts) or "miM0", tuple(notes))


def _station(site: str, table: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Code of the station that a site names ("" for none) and its side, "L", "R" or "" where it is not stated."""
    words = site.casefold()
    side = re.search(r"\b(left|right)\b", words)
    letter = {"left": "L", "right": "R"}[side.group(1)] if side else ""
    if _UNDECIDED.search(words):
        codes = {code for pattern, code in table if re.search(pattern, words)}
        parts = _UNDECIDED.split(words)
        agreed = len(codes) == 1 and all(any(re.search(pattern, part) for pattern, _ in table) for part in parts)
        return (codes.pop() if agreed else "", letter)
    return next(((code, letter) for pattern, code in table if re.search(pattern, words)), ("", letter))


def _with_side(code: str, side: str) -> str:
    return f"{code}-{side}" if side else code


def _listed(stage: str, found: Sequence[str], order: Sequence[str]) -> str:
    codes = [code for code in order if code in found]
    return f"{stage} ({', '.join(codes)})" if codes else stage
