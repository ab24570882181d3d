"""The published schema of results.json: it describes every field, and what the software writes is what it says."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from example_case import PATIENT, A, B, Visit, results_of
from full_case import make_full_case
from jsonschema import Draft202012Validator
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import SCHEMA, Results
from PSMATheranosticsLib.results_schema import results_schema
from recorded_case import course

JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", date: "string", datetime: "string"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with make_full_case(tmp_path_factory.mktemp("full") / "case") as case:
        return collect_results(case).to_dict()


def errors_in(results: Mapping[str, Any]) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(results_schema()).iter_errors(results)
    ]


def records(found: Any, name: str = "") -> Iterator[tuple[str, type]]:
    """Every record of the results with the name of its definition; "" for the results as a whole."""
    yield name, found
    for hint in typing.get_type_hints(found).values():
        for inner in leaves(hint):
            if is_dataclass(inner):
                yield from records(inner, inner.__name__)


def leaves(hint: Any) -> Iterator[type]:
    """The plain types and records that a type hint is made of."""
    arguments = typing.get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        yield from leaves(argument)


def definition(name: str) -> dict[str, Any]:
    schema = results_schema()
    found: dict[str, Any] = schema["$defs"][name] if name else schema
    return found


def test_the_schema_is_one():
    Draft202012Validator.check_schema(results_schema())
    assert results_schema()["properties"]["schema"]["const"] == SCHEMA == "psma-results/2"


def test_every_field_of_every_record_is_there_required_and_described():
    for name, record in dict(records(Results)).items():
        found = definition(name)
        assert set(found["properties"]) == {field.name.rstrip("_") for field in fields(record)}, name
        assert set(found["required"]) == set(found["properties"]), name
        assert found["description"]
        for field, described in found["properties"].items():
            assert len(described["description"]) >= 3, f"{name}.{field}"
            assert described["description"].endswith("."), f"{name}.{field}"


def test_no_definition_is_left_over():
    assert set(results_schema()["$defs"]) == {name for name, _ in records(Results) if name}


def test_the_types_are_those_of_the_records():
    for name, record in dict(records(Results)).items():
        hints = typing.get_type_hints(record)
        for field in fields(record):
            where = f"{name}.{field.name}"
            check_type(definition(name)["properties"][field.name.rstrip("_")], hints[field.name], where)


def check_type(described: Mapping[str, Any], hint: Any, where: str) -> None:
    """Fail where a schema says something else than a type hint."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        if is_dataclass(inner):
            (one,) = [choice for choice in described["anyOf"] if choice != {"type": "null"}]
            assert {"type": "null"} in described["anyOf"], where
            check_type(one, inner, where)
        else:
            assert described["type"] == [JSON_TYPES[inner], "null"], where
    elif is_dataclass(hint):
        assert described["$ref"] == f"#/$defs/{hint.__name__}", where
    elif origin is tuple and arguments[-1] is Ellipsis:
        assert described["type"] == "array", where
        check_type(described["items"], arguments[0], where)
    elif origin is tuple:
        assert (described["type"], described["items"], described["minItems"]) == ("array", False, len(arguments)), where
        for one, argument in zip(described["prefixItems"], arguments, strict=True):
            check_type(one, argument, where)
    elif origin is dict:
        assert described["type"] == "object", where
        if arguments[1] is not Any:
            check_type(described["additionalProperties"], arguments[1], where)
    elif "const" in described or "enum" in described:
        assert hint is str and all(isinstance(value, str) for value in described.get("enum", ())), where
    else:
        assert described["type"] == JSON_TYPES[hint], where


def test_results_with_everything_in_them_fit(full: dict[str, Any]):
    assert errors_in(full) == []
    # what the schema says is tested on values, not on empty lists
    for name in ("studies", "tracks", "responses", "other_responses", "psa", "conflicts", "responses_by_lesion"):
        assert full[name], name
    assert full["studies"][0]["references"]
    assert full["studies"][0]["scores"]
    assert full["sign_off"]["state"] == "signed"


def test_results_of_other_cases_fit(tmp_path: Path):
    assert errors_in(results_of(tmp_path, [Visit(0, [A, B])], followed=False).to_dict()) == []
    with CaseStore.create(tmp_path / "empty", PATIENT) as case:
        assert errors_in(collect_results(case).to_dict()) == []
    assert errors_in(course(40, (0, 84, 168, 252)).results().to_dict()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("baseline_id",), "1"),
        (("studies", 0, "acquired"), "10.01.2026"),
        (("studies", 0, "modality"), "CT"),
        (("studies", 0, "lesions", 0, "measures", "volume_ml"), "8.0"),
        (("studies", 0, "lesions", 0, "measures", "centroid_mm"), [0.0, 0.0]),
        (("studies", 0, "lesions", 0, "mi_psma"), 4),
        (("responses", 0, "candidate"), None),
        (("psa", 0, "ng_ml"), None),
        (("schema",), "psma-results/1"),
    ],
)
def test_a_wrong_value_is_found(full: dict[str, Any], path: tuple[Any, ...], value: Any):
    wrong = copy.deepcopy(full)
    inner = wrong
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert len(errors_in(wrong)) == 1


def test_a_missing_field_is_found(full: dict[str, Any]):
    wrong = copy.deepcopy(full)
    del wrong["studies"][1]["lesions"][0]["region"]
    assert len(errors_in(wrong)) == 1
