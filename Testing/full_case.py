"""A synthetic case with everything that results can hold: regions, references, PSA, statements, signature."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from example_case import FIRST_DAY, NEW, SMALL_A, A, B, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_facts import save_clinical_facts
from PSMATheranosticsLib.clinical_model import ClinicalFacts, PsaValue
from PSMATheranosticsLib.psa_values import save_psa_values
from PSMATheranosticsLib.reader_statement import confirm, override, state_inputs
from PSMATheranosticsLib.reference_regions import move_reference
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.sign_off import sign

PSA = (
    PsaValue(date(2026, 1, 5), 42.0),
    PsaValue(date(2026, 2, 20), 18.5, "laboratory.csv"),
    PsaValue(date(2026, 4, 1), 0.02, "laboratory.csv", below_limit=True),
)
FACTS = ClinicalFacts("restaging", "177Lu-PSMA-617", FIRST_DAY.date(), "ADT, docetaxel", "removed")
SMALL_B = replace(B, size=(2, 5, 5))
NORMAL_MM = (14.0, 2.0, -300.0)  # a place without lesions on all visits, SUV 0.6


def make_full_case(folder: Path, signed: bool = True) -> CaseStore:
    """Baseline and two follow-ups, open for writing: RECIP-PD of the first is overridden, the second is confirmed."""
    case = make_case(folder, [Visit(0, [A, SMALL_B]), Visit(84, [A, NEW]), Visit(168, [SMALL_A])])
    first, second, third = (study.study_id for study in case.studies())
    case.set_baseline(first)
    case.set_region(first, 1, Region("pelvic node", "left iliac"))
    case.set_region(first, 2, Region("bone", "rib"))
    case.set_region(second, 1, Region("pelvic node", "left iliac"))
    case.set_region(second, 2, Region("visceral", "lung"))
    case.decide_lesion(second, 2, "accepted", "lung metastasis")
    save_clinical_facts(case, FACTS)
    save_psa_values(case, PSA)
    for study_id in (first, second):
        for name in ("blood pool", "liver", "left parotid"):
            move_reference(case, study_id, name, NORMAL_MM, 8.0)
    state_inputs(case, second, residual_uptake=True, visual_change="increase", clinical_progression=True)
    override(case, second, "RECIP 1.0", "RECIP-SD", "seen on CT before", instead_of="RECIP-PD")
    category = next(one.category for one in collect_results(case).responses if one.followup_id == third)
    confirm(case, third, "RECIP 1.0", category)
    if signed:
        sign(case, collect_results(case), "discussed")
    return case
