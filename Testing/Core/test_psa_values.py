"""PSA values of a case, and how they are read from tables of laboratories in English and German."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import tiny_case
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import PsaValue
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.psa_csv import parse_day, parse_ng_ml
from PSMATheranosticsLib.psa_values import (
    add_psa,
    add_psa_values,
    psa_values,
    read_psa_csv,
    remove_psa,
    save_psa_values,
)

FIRST, SECOND = date(2026, 1, 5), date(2026, 3, 2)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    """An empty case of a man born on 1950-02-03, open for writing."""
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="Reader") as opened:
        yield opened


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    """A file with that text."""
    path = folder / "psa.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(folder: Path, text: str, encoding: str = "utf-8") -> list[tuple[str, float, bool]]:
    """Day, number and whether the value is below it, of each value of a table."""
    values = read_psa_csv(table(folder, text, encoding))
    assert {value.source for value in values} == {"psa.csv"}
    return [(value.day.isoformat(), value.ng_ml, value.below_limit) for value in values]


def test_values_are_kept_by_day_and_each_change_is_a_step(case: CaseStore):
    add_psa(case, SECOND, 4.2)
    add_psa(case, FIRST, 0.01, below_limit=True)
    assert psa_values(case) == (PsaValue(FIRST, 0.01, below_limit=True), PsaValue(SECOND, 4.2))
    remove_psa(case, FIRST)
    assert [entry.action for entry in case.journal()] == [
        "Add PSA 4.2 ng/mL of 2026-03-02",
        "Add PSA < 0.01 ng/mL of 2026-01-05",
        "Remove PSA < 0.01 ng/mL of 2026-01-05",
    ]
    case.undo()
    assert len(psa_values(case)) == 2
    case.undo()
    case.undo()
    assert psa_values(case) == ()


def test_many_values_are_one_step_and_what_is_there_is_left_alone(case: CaseStore):
    values = [PsaValue(FIRST + timedelta(days=28 * number), 2.0**number, "psa.csv") for number in range(4)]
    add_psa(case, values[1].day, values[1].ng_ml)
    assert add_psa_values(case, values) == 3
    assert case.next_undo() == "Add 3 PSA values"
    assert [value.source for value in psa_values(case)] == ["psa.csv", "entered", "psa.csv", "psa.csv"]
    assert add_psa_values(case, values) == 0
    case.undo()
    assert len(psa_values(case)) == 1


def test_another_value_of_the_same_day_replaces_only_when_told(case: CaseStore):
    add_psa(case, FIRST, 4.2)
    with pytest.raises(InputError, match=r"4\.2 ng/mL on 2026-01-05"):
        add_psa(case, FIRST, 4.3)
    with pytest.raises(InputError, match="already"):
        add_psa(case, FIRST, 4.2, below_limit=True)
    add_psa(case, FIRST, 4.3, replace=True)
    assert psa_values(case) == (PsaValue(FIRST, 4.3),)


def test_removing_what_is_not_there_names_the_days_that_are(case: CaseStore):
    add_psa(case, FIRST, 4.2)
    with pytest.raises(InputError, match="Days with one: 2026-01-05"):
        remove_psa(case, SECOND)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, 100_001.0, 20260105.0])
def test_what_cannot_be_a_value_is_refused(case: CaseStore, value: float):
    with pytest.raises(InputError, match="cannot be a PSA value"):
        add_psa(case, FIRST, value)
    assert psa_values(case) == ()


def test_zero_is_a_value_but_nothing_is_below_it(case: CaseStore):
    add_psa(case, FIRST, 0.0)
    with pytest.raises(InputError, match="below 0"):
        add_psa(case, SECOND, 0.0, below_limit=True)


def test_values_before_the_birth_and_two_of_a_day_are_refused_as_a_whole(case: CaseStore):
    with pytest.raises(InputError, match="born on 1950-02-03"):
        save_psa_values(case, [PsaValue(FIRST, 4.0), PsaValue(date(1926, 1, 5), 4.0)])
    with pytest.raises(InputError, match=r"two PSA values of 2026-01-05: 4 ng/mL and 5 ng/mL"):
        add_psa_values(case, [PsaValue(FIRST, 4.0), PsaValue(FIRST, 5.0)])
    assert psa_values(case) == ()


def test_a_damaged_record_is_reported_as_damage(case: CaseStore):
    case.save_setting("psa", {"values": [{"day": "yesterday", "ng_ml": 1, "source": ""}]})
    with pytest.raises(CaseError, match="damaged"):
        psa_values(case)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaseStore]:
    """A case whose values are replaced again and again."""
    with CaseStore.create(tmp_path_factory.mktemp("shared") / "case", tiny_case.PATIENT) as opened:
        yield opened


# The whole range that a case takes; four digits after the decimal mark are more than a laboratory gives.
@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.integers(0, 10**9).map(lambda n: n / 1e4)))
def test_what_was_saved_comes_back_to_the_last_digit(shared: CaseStore, found: dict[date, float]):
    values = [PsaValue(day, number) for day, number in found.items()]
    save_psa_values(shared, values)
    assert psa_values(shared) == tuple(sorted(values, key=lambda value: value.day))


def test_english_table_with_commas(tmp_path: Path):
    text = "Date,PSA\n2026-03-02,4.2\n2026-01-05,12\n"
    assert read(tmp_path, text) == [("2026-01-05", 12.0, False), ("2026-03-02", 4.2, False)]


def test_german_table_with_semicolons_and_decimal_commas(tmp_path: Path):
    text = "Abnahmedatum;PSA-Wert [ng/ml];Bemerkung\r\n05.01.2026;1.234,5;\r\n02.03.2026;< 0,01;nach OP\r\n;;\r\n"
    assert read(tmp_path, text, "cp1252") == [("2026-01-05", 1234.5, False), ("2026-03-02", 0.01, True)]


def test_quoted_decimal_commas_in_a_table_with_commas(tmp_path: Path):
    assert read(tmp_path, '"date","value"\n"2026-01-05","4,2"\n') == [("2026-01-05", 4.2, False)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("unit", ["ng/mL", "NG/ML", "µg/L", "ug/l"])
def test_units_that_are_the_same_are_read_in_any_encoding(tmp_path: Path, encoding: str, unit: str):
    text = f"sep=;\nDatum;Ergebnis;Einheit;Größe\n05.01.2026;4,2;{unit};x\n"
    assert read(tmp_path, text, encoding) == [("2026-01-05", 4.2, False)]


def test_greek_mu_is_a_micro_sign(tmp_path: Path):
    assert read(tmp_path, "date;psa;unit\n2026-01-05;4.2;\u03bcg/L\n") == [("2026-01-05", 4.2, False)]


def test_times_of_day_and_the_same_value_twice_do_no_harm(tmp_path: Path):
    text = "date\tpsa\n2026-01-05 08:30\t4.2\n05.01.2026 14:00\t4,2\n2026-03-02T07:00:00\t5\n"
    assert read(tmp_path, text) == [("2026-01-05", 4.2, False), ("2026-03-02", 5.0, False)]


def test_slashes_are_read_where_day_and_month_cannot_be_mistaken(tmp_path: Path):
    text = "date,psa\n25/12/2025,1\n12/26/2025,2\n05/05/2026,3\n"
    assert [day for day, _, _ in read(tmp_path, text)] == ["2025-12-25", "2025-12-26", "2026-05-05"]


def test_every_bad_row_is_named_with_its_line_and_nothing_is_read(tmp_path: Path):
    rows = [
        "Datum;Wert;Einheit;Analyse",
        "05.01.2026;14;nmol/l;Testosteron",  # line 2
        "06.01.2026;4,2;ng/ml;PSA",
        "03/04/2026;1;ng/ml;PSA",  # 4
        "31.02.2026;1;ng/ml;PSA",
        "02.03.26;1;ng/ml;PSA",  # 6
        "02.03.2026;viel;ng/ml;PSA",
        "03.03.2026;1;nmol/l;PSA",  # 8
        "06.01.2026;4,3;ng/ml;PSA",
        "07.01.2026;1.234;ng/ml;PSA",  # 10: the other values have decimal commas
        "08.01.2026;1",
    ]
    with pytest.raises(InputError) as refused:
        read_psa_csv(table(tmp_path, "\n".join(rows)))
    told = str(refused.value).splitlines()[1:]
    assert [line.split(":")[0] for line in told] == [f"- line {line}" for line in (2, 4, 5, 6, 7, 8, 9, 10, 11)]
    for line, words in zip(
        told,
        ["not total PSA", "day or the month", "no day", "no date", "no PSA value", "no unit", "line 3"],
        strict=False,
    ):
        assert words in line


def test_decimal_comma_that_splits_a_row_is_told(tmp_path: Path):
    with pytest.raises(InputError, match="line 2: 3 columns, but the header has 2"):
        read_psa_csv(table(tmp_path, "date,psa\n2026-01-05,4,2\n"))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("patient;PSA", "no header with a date"),
        ("Datum;Testosteron", "no header with a date"),
        ("Abnahmedatum;Befunddatum;PSA", "several columns with a date"),
        ("date;PSA;total PSA", "several columns with a value"),
        ("date;PSA [pg/mL]", "'pg/mL' is no unit"),
        ("", "no header"),
    ],
)
def test_header_that_leaves_a_doubt_is_refused(tmp_path: Path, header: str, told: str):
    with pytest.raises(InputError, match=told):
        read_psa_csv(table(tmp_path, f"{header}\n05.01.2026;1;1\n"))


def test_free_psa_beside_psa_is_not_taken(tmp_path: Path):
    assert read(tmp_path, "Name;Datum;fPSA;PSA\nDoe;05.01.2026;0,4;4,2\n") == [("2026-01-05", 4.2, False)]


def test_files_that_are_none_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_psa_csv(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="no PSA values"):
        read_psa_csv(table(tmp_path, "date,psa\n"))
    (tmp_path / "psa.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError):
        read_psa_csv(tmp_path / "psa.csv")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.2", (4.2, False)),
        (" 4,2 ", (4.2, False)),
        ("0,123", (0.123, False)),
        ("1.234", (1.234, False)),
        ("1,234.5", (1234.5, False)),
        ("1.234,5", (1234.5, False)),
        ("12,345,678.9", (12345678.9, False)),
        ("<0.01 ng/mL", (0.01, True)),
        ("< 0,2 µg/l", (0.2, True)),
    ],
)
def test_numbers_are_read_with_point_and_comma(text: str, value: tuple[float, bool]):
    assert parse_ng_ml(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,234", "1.234.5", "4.2.1", "nan", "inf", "> 100", "4 2", "0x10"])
def test_what_is_no_number_or_could_be_two_is_refused(text: str):
    with pytest.raises(InputError):
        parse_ng_ml(text)


@pytest.mark.parametrize("text", ["03/04/2026", "2026-13-01", "31.04.2026", "5.1.26", "2026/01/05", "today", ""])
def test_days_that_could_be_others_are_refused(text: str):
    with pytest.raises(InputError):
        parse_day(text)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_days_are_read_in_both_writings(day: date):
    assert parse_day(day.isoformat()) == parse_day(f"{day:%d.%m.%Y}") == day
