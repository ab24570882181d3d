"""The commands about following lesions: track, link, unlink, registrations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exit_codes
from .commands_job import show_results
from .console import Console
from .errors import InputError

if TYPE_CHECKING:
    import SimpleITK as sitk

    from .case_store import CaseStore
    from .records import RegistrationRecord

METHODS = "auto, rigid, lattice, greedy, demons, identity, landmarks, given"


def add_registration_option(sub: argparse.ArgumentParser) -> None:
    """The option that chooses a registration method."""
    sub.add_argument("--registration", default="auto", metavar="METHOD", help=f"{METHODS} (default: %(default)s)")


def add_track_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma track`` beside the case."""
    add_registration_option(sub)
    sub.add_argument(
        "--landmarks",
        type=Path,
        metavar="CSV",
        help="for --registration landmarks: table of baseline_x ... followup_z (LPS mm), with a column study if needed",
    )
    sub.add_argument(
        "--transform",
        type=Path,
        metavar="FILE",
        help="for --registration given: transform file that maps points of the baseline to the study",
    )
    sub.add_argument(
        "--study", type=int, metavar="ID", help="which study landmarks or transform are for, if there are several"
    )
    sub.add_argument(
        "--update", action="store_true", help="only link the lesions anew, by the registrations that are stored"
    )


def add_link_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma link`` and ``psma unlink`` beside the case."""
    for name in ("first", "second"):
        sub.add_argument(name, metavar="STUDY:LESION", help="number of a study and of a lesion in it, such as 1:3")
    sub.add_argument("--reason", default="", help="why, for the record")


def track(options: argparse.Namespace, console: Console) -> int:
    """``psma track``: register and follow the lesions."""
    from .case_store import CaseStore
    from .pipeline_tracking import rematch, track_lesions
    from .results import collect_results

    _check(options)
    with CaseStore.open(options.case, write=True) as case:
        if options.update:
            rematch(case, console.progress)
        else:
            hints = _hints(options, case)
            track_lesions(case, options.registration, console.progress, **hints)
        results = collect_results(case)
    return show_results(results, options, console)


def link(options: argparse.Namespace, console: Console) -> int:
    """``psma link``: say that two lesions belong together."""
    return _decide(options, console, "link")


def unlink(options: argparse.Namespace, console: Console) -> int:
    """``psma unlink``: say that two lesions do not belong together."""
    return _decide(options, console, "unlink")


def registrations(options: argparse.Namespace, console: Console) -> int:
    """``psma registrations``: how well the studies of a case were registered."""
    from .case_store import CaseStore
    from .results import registrations_in_use

    with CaseStore.open(options.case) as case:
        found = registrations_in_use(case)
        lines = [line for stored in found for line in _lines(case, stored)]
    if not lines:
        lines = ["No study has been registered yet: follow the lesions with psma track."]
    console.done({"registrations": [_plain(stored) for stored in found]}, lines)
    return exit_codes.DONE


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is opened."""
    for option, method in (("landmarks", "landmarks"), ("transform", "given")):
        given = getattr(options, option) is not None
        if given and options.registration != method:
            raise InputError(f"--{option} goes with --registration {method}. Add it.")
        if options.registration == method and not given:
            raise InputError(f"--registration {method} needs --{option}. Add it.")
    if options.update and (options.registration != "auto" or options.study is not None):
        raise InputError("--update registers nothing: leave --registration and --study out, or leave --update out.")


def _hints(options: argparse.Namespace, case: CaseStore) -> dict[str, Any]:
    """Landmarks or a transform by study, as ``track_lesions`` takes them."""
    from .landmark_file import read_landmarks

    if options.landmarks is None and options.transform is None:
        if options.study is not None:
            raise InputError("--study goes with --landmarks or --transform. All studies are registered without them.")
        return {}
    if options.landmarks is not None:
        pairs = read_landmarks(options.landmarks, options.study)
        if set(pairs) == {None}:
            return {"landmarks": pairs[None]}
        if None in pairs:
            raise InputError(f"Some rows of {options.landmarks} name no study. Name it in all of them.")
        return {"landmarks": pairs}
    transform = _transform(options.transform)
    return {"given": transform if options.study is None else {case.study(options.study).study_id: transform}}


def _transform(path: Path) -> sitk.Transform:
    from PSMATrackingLib.given import read_transform

    try:
        return read_transform(path)
    except ValueError as error:
        raise InputError(f"{error}.") from error


def _decide(options: argparse.Namespace, console: Console, verb: str) -> int:
    from . import pipeline_tracking
    from .case_store import CaseStore

    first, second = _lesion(options.first), _lesion(options.second)
    action = pipeline_tracking.link_lesions if verb == "link" else pipeline_tracking.unlink_lesions
    with CaseStore.open(options.case, write=True) as case:
        action(case, first, second, options.reason)
        tracks = [found for found in case.tracks() if first in found.lesions.items() or second in found.lesions.items()]
        names = {study.study_id: study.label for study in case.studies()}
    lines = [
        f"{verb.capitalize()}ed lesion {first[1]} of {names[first[0]]} and lesion {second[1]} of {names[second[0]]}."
    ]
    lines += [
        f"{found.label}: {', '.join(f'{names[study]} {status}' for study, status in found.status.items())}"
        for found in tracks
    ]
    told = [{"track": found.label, "lesions": found.lesions, "status": found.status} for found in tracks]
    console.done({"tracks": told}, lines)
    return exit_codes.DONE


def _lesion(text: str) -> tuple[int, int]:
    study, separator, lesion = text.partition(":")
    if not (separator and study.isdecimal() and lesion.isdecimal()):
        raise InputError(f"'{text}' is no lesion: write the numbers of study and lesion, such as 1:3.")
    return int(study), int(lesion)


def _lines(case: CaseStore, stored: RegistrationRecord) -> list[str]:
    fixed, moving = case.study(stored.fixed_id), case.study(stored.moving_id)
    record = stored.record
    how = f"{record.get('method', '')}, by {record.get('reference', '')}"
    if record.get("seconds"):
        how += f", {record['seconds']} s on {record.get('device', '')}"
    head = f"Study {moving.study_id}, {moving.label}, onto {fixed.label}: {record.get('verdict', '')} ({how})"
    return [head, *(f"  {reason}" for reason in record.get("reasons", ()))]


def _plain(stored: RegistrationRecord) -> dict[str, Any]:
    names = ("requested", "method", "reference", "verdict", "reasons", "quality", "seconds", "device", "notes")
    known = {name: stored.record[name] for name in names if name in stored.record}
    return {"fixed": stored.fixed_id, "moving": stored.moving_id, **known}
