"""A case of two studies for tests of the report's sections, and results to which each test adds what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path

from example_case import A, B, Spot, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import ClinicalFacts, PsaValue, ReferenceRegionResult
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import ResponseResult, Results

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
VISITS = [Visit(0, [A, B]), Visit(84, [A, NEW], warnings=["The CT is short."])]
SIGNED = datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc)
PSA = (
    PsaValue(date(2026, 1, 5), 84.2),
    PsaValue(date(2026, 2, 20), 0.004, "labor.csv", True),
    PsaValue(date(2026, 4, 1), 9.87),
)


def sections_case(folder: Path) -> CaseStore:
    """Two studies: 14.4 mL at baseline; L01 (8.0 mL), L02 gone and L03 new (13.8 mL) at the follow-up."""
    made = make_case(folder, VISITS)
    made.set_region(1, 1, Region("pelvic node", "left iliac"))
    made.set_region(1, 2, Region("bone", "sacrum"))
    made.set_region(2, 1, Region("pelvic node", "left iliac"))
    made.set_region(2, 2, Region("bone", "rib 4"))
    return made


def bare_results(case: CaseStore) -> Results:
    """Those of the case, without what other parts of the program add."""
    found = collect_results(case)
    studies = tuple(replace(study, references=(), scores=()) for study in found.studies)
    return replace(found, studies=studies, other_responses=(), conflicts=(), psa=(), clinical=ClinicalFacts())


def first_response(results: Results, **changes) -> Results:
    """With a changed response of the follow-up."""
    return replace(results, responses=(replace(results.responses[0], **changes),))


def last_study(results: Results, **changes) -> Results:
    return replace(results, studies=(results.studies[0], replace(results.studies[1], **changes)))


def reference(name: str, mean: float, note: str = "", source: str = "automatic") -> ReferenceRegionResult:
    return ReferenceRegionResult(name, (0.0, 0.0, 0.0), 15.0, mean, 0.5, 100, source, note)


def other(results: Results, criterion: str, category: str, **changes) -> ResponseResult:
    return replace(results.responses[0], criterion=criterion, category=category, why="because -5 % -> 3", **changes)
