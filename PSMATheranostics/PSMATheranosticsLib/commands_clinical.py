"""The commands about the man and what a reader says: clinical, psa, respond, sign."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exit_codes
from .clinical_model import PROSTATE, VISUAL_CHANGES, ClinicalFacts, PsaValue
from .console import Console
from .errors import InputError

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .results_model import ResponseResult, Results

_ANSWERS = {"yes": True, "no": False, "unknown": None}
_TEXTS = {
    "indication": "why the studies were made",
    "line": "line of therapy, in the physician's words",
    "previous_therapies": "what was given before this line",
}


def add_clinical_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma clinical`` beside the case."""
    for name, about in _TEXTS.items():
        sub.add_argument(f"--{name.replace('_', '-')}", metavar="TEXT", help=f"{about}; '' removes it")
    sub.add_argument("--start", metavar="DATE", help="first day of this line of therapy, YYYY-MM-DD; '' removes it")
    sub.add_argument("--prostate", choices=PROSTATE, help="whether the prostate is there; '' for not known")
    sub.add_argument("--show", action="store_true", help="only show what is stored")


def add_psa_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma psa`` beside the case."""
    sub.add_argument(
        "--add",
        action="append",
        nargs=2,
        default=[],
        metavar=("DATE", "VALUE"),
        help="a value in ng/mL, such as --add 2026-03-31 4.2 or '< 0.01'; may be repeated",
    )
    sub.add_argument("--remove", action="append", default=[], metavar="DATE", help="remove the value of a day")
    sub.add_argument(
        "--file",
        type=Path,
        metavar="CSV",
        help="read values from a table with columns for date and PSA, or Datum and PSA",
    )
    sub.add_argument("--replace", action="store_true", help="with --add and --file: also where a day has another value")
    sub.add_argument("--list", action="store_true", help="only show the values")


def add_respond_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma respond`` beside the case."""
    sub.add_argument("--study", type=int, required=True, metavar="N", help="number of the follow-up in the case")
    sub.add_argument("--residual-uptake", choices=_ANSWERS, help="whether any tumor uptake is seen")
    sub.add_argument("--new-lesions", choices=("assessable", "not-assessable"), help="e.g. for diffuse marrow disease")
    sub.add_argument("--visual", choices=(*VISUAL_CHANGES, "unknown"), help="change of the tumor volume to the eye")
    sub.add_argument(
        "--clinical-progression", choices=_ANSWERS, help="whether clinical or laboratory data speak for progression"
    )
    sub.add_argument(
        "--criterion", default="RECIP 1.0", metavar="NAME", help="what is decided on (default: %(default)s)"
    )
    decision = sub.add_mutually_exclusive_group()
    decision.add_argument("--confirm", action="store_true", help="confirm the category that the rules give")
    decision.add_argument("--override", metavar="CATEGORY", help="decide on another category; needs --reason")
    decision.add_argument("--withdraw", action="store_true", help="take a confirmation or an override back")
    sub.add_argument("--reason", default="", metavar="TEXT", help="with --override: why")


def add_sign_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma sign`` beside the case."""
    sub.add_argument(
        "--study", type=int, metavar="ID", help="only keep the lesions of this study as its signed version, no results"
    )
    sub.add_argument("--note", default="", help="what to remember about it")
    shown = sub.add_mutually_exclusive_group()
    shown.add_argument("--list", action="store_true", help="only show what was signed, and whether it still stands")
    shown.add_argument(
        "--show", type=int, metavar="N", help="only write the results that were signed as number N (JSON)"
    )


def clinical(options: argparse.Namespace, console: Console) -> int:
    """``psma clinical``: what a physician knows about the man."""
    from .case_store import CaseStore
    from .clinical_facts import clinical_facts, save_clinical_facts

    given = _given_facts(options)
    if options.show and given:
        raise InputError("--show changes nothing: leave it out, or the other options.")
    with CaseStore.open(options.case, write=bool(given)) as case:
        facts = clinical_facts(case)
        if given:
            save_clinical_facts(case, replace(facts, **given))
            facts = clinical_facts(case)
    console.done(_plain(facts), _facts_lines(facts))
    return exit_codes.DONE


def psa(options: argparse.Namespace, console: Console) -> int:
    """``psma psa``: the PSA values of a case."""
    from .case_store import CaseStore
    from .psa_values import psa_values

    changes = bool(options.add or options.remove or options.file)
    if options.list and changes:
        raise InputError("--list changes nothing: leave it out, or the other options.")
    with CaseStore.open(options.case, write=changes) as case:
        if changes:
            _change_psa(options, case)
        values = psa_values(case)
    lines = [f"{value.day}  {value.text}  ({value.source})" for value in values] or ["No PSA values are stored yet."]
    console.done({"psa": [_plain(value) for value in values]}, lines)
    return exit_codes.DONE


def respond(options: argparse.Namespace, console: Console) -> int:
    """``psma respond``: what a reader states about a follow-up, and his decision on its response."""
    from .case_store import CaseStore
    from .reader_statement import state_inputs
    from .results import collect_results

    inputs = _given_inputs(options)
    if options.reason and options.override is None:
        raise InputError("--reason goes with --override. Add it.")
    decides = options.confirm or options.withdraw or options.override is not None
    with CaseStore.open(options.case, write=bool(inputs) or decides) as case:
        study = case.study(options.study).study_id
        if inputs and decides:
            with case.step(f"State and decide on the response of {case.study(study).label}"):
                state_inputs(case, study, **inputs)
                _decide(options, case, study)
        elif inputs:
            state_inputs(case, study, **inputs)
        elif decides:
            _decide(options, case, study)
        results = collect_results(case)
    found = [each for each in (*results.responses, *results.other_responses) if each.followup_id == study]
    lines = [_response_line(results, response) for response in found] or ["This study has no response."]
    console.done({"responses": [_plain(response) for response in found]}, lines)
    return exit_codes.DONE


def sign(options: argparse.Namespace, console: Console) -> int:
    """``psma sign``: sign the results of a case, or with --study only the lesions of one study."""
    from .case_store import CaseStore
    from .results import collect_results
    from .sign_off import sign as sign_results

    if options.list or options.show is not None:
        return _show_signed(options, console)
    with CaseStore.open(options.case, write=True) as case:
        if options.study is not None:
            case.sign(options.study, options.note)
            label = case.study(options.study).label
            console.done({"study": options.study}, [f"The lesions of {label} are signed as they are now."])
            return exit_codes.DONE
        results = collect_results(case)
        signed = sign_results(case, results, options.note)
    lines = [f"The results of the case are signed by {signed.user}."]
    lines += [f"{results.study(study).label}: {category}" for study, category in signed.categories]
    lines += [f"To note: {conflict.text}" for conflict in results.conflicts]
    console.done(_plain(signed), lines)
    return exit_codes.DONE


def _show_signed(options: argparse.Namespace, console: Console) -> int:
    from .case_store import CaseStore
    from .results import collect_results
    from .sign_off import snapshot

    if options.study is not None or options.note:
        raise InputError("--list and --show change nothing: leave them out, or the other options.")
    with CaseStore.open(options.case) as case:
        if options.show is not None:
            kept = snapshot(case, options.show)
            console.done(kept, [json.dumps(kept, indent=2, ensure_ascii=False)])
            return exit_codes.DONE
        signed, now = case.sign_offs(), collect_results(case).sign_off
    lines = [
        f"{each.number}: {each.user}, {each.time.astimezone():%Y-%m-%d %H:%M}{f' ({each.note})' if each.note else ''}"
        for each in signed
    ]
    state = {"open": "The results were never signed.", "signed": "The last signature stands."}
    lines.append(state.get(now.state, "Changed since the last signature:"))
    listed = [
        {"number": each.number, "user": each.user, "time": _plain(each.time), "note": each.note} for each in signed
    ]
    console.done({"signed": listed, "state": _plain(now)}, [*lines, *(f"- {text}" for text in now.changed)])
    return exit_codes.DONE


def _given_facts(options: argparse.Namespace) -> dict[str, Any]:
    from .psa_csv import parse_day

    given: dict[str, Any] = {name: getattr(options, name) for name in (*_TEXTS, "prostate")}
    given = {name: value for name, value in given.items() if value is not None}
    if options.start is not None:
        given["therapy_start"] = parse_day(options.start) if options.start.strip() else None
    return given


def _facts_lines(facts: ClinicalFacts) -> list[str]:
    shown = {
        "Indication": facts.indication,
        "Line of therapy": facts.line,
        "Start of this line": "" if facts.therapy_start is None else str(facts.therapy_start),
        "Previous therapies": facts.previous_therapies,
        "Prostate": facts.prostate,
    }
    return [f"{name}: {value or 'not entered'}" for name, value in shown.items()]


def _change_psa(options: argparse.Namespace, case: CaseStore) -> None:
    """Removals first, then the values of a file and those given one by one, as one step."""
    from .psa_csv import parse_day, parse_ng_ml
    from .psa_values import add_psa_values, read_psa_csv, remove_psa

    days = [parse_day(text) for text in options.remove]
    added = [] if options.file is None else read_psa_csv(options.file)
    for day, value in options.add:
        ng_ml, below_limit = parse_ng_ml(value)
        added.append(PsaValue(parse_day(day), ng_ml, below_limit=below_limit))
    with case.step("Change the PSA values"):
        for day in days:
            remove_psa(case, day)
        add_psa_values(case, added, replace=options.replace)


def _given_inputs(options: argparse.Namespace) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for name in ("residual_uptake", "clinical_progression"):
        if getattr(options, name) is not None:
            inputs[name] = _ANSWERS[getattr(options, name)]
    if options.new_lesions is not None:
        inputs["new_lesions_assessable"] = options.new_lesions == "assessable"
    if options.visual is not None:
        inputs["visual_change"] = None if options.visual == "unknown" else options.visual
    return inputs


def _decide(options: argparse.Namespace, case: CaseStore, study: int) -> None:
    from .reader_statement import category_by_rules, confirm, override, withdraw

    if options.withdraw:
        withdraw(case, study, options.criterion)
        return
    by_rules = category_by_rules(case, study, options.criterion)
    if options.confirm:
        confirm(case, study, options.criterion, by_rules)
    else:
        override(case, study, options.criterion, options.override, options.reason, instead_of=by_rules)


def _response_line(results: Results, response: ResponseResult) -> str:
    state = "candidate" if response.candidate else f"confirmed by {response.confirmed_by}"
    if response.overridden:
        state = f"instead of {response.overridden}, by {response.confirmed_by}: {response.override_reason}"
    label = results.study(response.followup_id).label
    return f"{response.criterion}, {label}: {response.category} ({state}). {response.why}"


def _plain(value: Any) -> Any:
    from .results_model import plain_value

    return plain_value(value)
