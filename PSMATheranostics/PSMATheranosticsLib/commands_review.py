"""The command ``psma review``: accept or reject lesions, which a signature needs for those that are new."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import exit_codes
from .console import Console
from .errors import InputError

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .records import StudyRecord

_DECISIONS = {"accept": "accepted", "reject": "rejected", "reset": "undecided"}


def add_review_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma review`` beside the case."""
    sub.add_argument("--study", type=int, required=True, metavar="N", help="number of the study in the case")
    for verb, about in (
        ("accept", "these are lesions: numbers, or tracks such as L03"),
        ("reject", "these are no lesions, and count nowhere"),
        ("reset", "take the decision on these back"),
    ):
        sub.add_argument(f"--{verb}", nargs="+", default=[], metavar="LESION", help=about)
    sub.add_argument("--reason", default="", metavar="TEXT", help="with --reject: why")


def review(options: argparse.Namespace, console: Console) -> int:
    """``psma review``: decide on lesions of one study, or show what was decided."""
    from .case_store import CaseStore

    wanted = {decision: getattr(options, verb) for verb, decision in _DECISIONS.items() if getattr(options, verb)}
    if options.reason and not options.reject:
        raise InputError("--reason goes with --reject. Add it.")
    with CaseStore.open(options.case, write=bool(wanted)) as case:
        study = case.study(options.study)
        numbers = {decision: _numbers(case, options.study, names) for decision, names in wanted.items()}
        chosen = [lesion for lesions in numbers.values() for lesion in lesions]
        if len(set(chosen)) < len(chosen):
            raise InputError("A lesion is named twice. Say one thing about each.")
        if numbers:
            _decide(case, study, numbers, options.reason)
        told = _told(case, options.study)
    lines = [_line(lesion) for lesion in told] or [f"{study.label} has no lesions."]
    console.done({"study": options.study, "lesions": told}, lines)
    return exit_codes.DONE


def _decide(case: CaseStore, study: StudyRecord, numbers: Mapping[str, Sequence[int]], reason: str) -> None:
    with case.step(f"Review lesions of {study.label}"):
        for decision, lesions in numbers.items():
            case.decide_lesions(study.study_id, lesions, decision, reason if decision == "rejected" else "")


def _told(case: CaseStore, study_id: int) -> list[dict[str, Any]]:
    labels = {track.number: track.label for track in case.tracks()}
    return [
        {
            "lesion": lesion.lesion,
            "track": labels.get(lesion.track or 0, ""),
            "decision": lesion.decision,
            "reason": lesion.decision_reason,
            "volume_ml": lesion.measures.volume_ml,
            "suv_max": lesion.measures.suv_max,
        }
        for lesion in case.lesions(study_id, rejected=True)
    ]


def _line(lesion: Mapping[str, Any]) -> str:
    reason = f" ({lesion['reason']})" if lesion["reason"] else ""
    return (
        f"Lesion {lesion['lesion']} ({lesion['track'] or 'not followed'}), {lesion['volume_ml']:.2f} mL, "
        f"SUVmax {lesion['suv_max']:.1f}: {lesion['decision']}{reason}"
    )


def _numbers(case: CaseStore, study_id: int, names: list[str]) -> list[int]:
    """Lesions of a study by number or by the label of their track."""
    tracks = {track.label: track.lesions.get(study_id) for track in case.tracks()}
    found = []
    for name in names:
        lesion = int(name) if name.isdecimal() else tracks.get(name.upper())
        if lesion is None:
            label = case.study(study_id).label
            raise InputError(f"'{name}' is no lesion of {label}. Name its number, or its track such as L03.")
        found.append(lesion)
    return found
