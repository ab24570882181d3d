"""Synthetic cases whose lesions are to be followed, and what was made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from example_case import NEW, SMALL_A, A, B, Visit, make_case
from PSMATheranosticsLib.case_store import CaseStore

THREE = (Visit(0, [A, B]), Visit(60, [A, NEW]), Visit(120, [SMALL_A, B, NEW]))


def fresh(folder: Path, visits: Sequence[Visit] = THREE) -> CaseStore:
    """A case with lesions, without registrations, links and tracks."""
    case = make_case(folder, visits, followed=False)
    while case.registrations():
        case.undo()
    return case


def methods(case: CaseStore) -> dict[int, str]:
    """The method by which each study was registered."""
    return {each.moving_id: each.record["method"] for each in case.registrations()}


def statuses(case: CaseStore) -> dict[int, dict[int, str]]:
    """Status of every track by study."""
    return {track.number: track.status for track in case.tracks()}


def corners(by: float) -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Pairs of points at corners of a box, the later one further along x."""
    points = [(x, y, z) for x in (-40.0, 40.0) for y in (-30.0, 20.0) for z in (-440.0, -320.0)]
    return [((x, y, z), (x + by, y, z)) for x, y, z in points[:3]]
