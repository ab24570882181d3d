"""The German catalog: complete, compiled, true to placeholders and terms; and a report in German says the same."""

from __future__ import annotations

import ast
import gettext
import io
import re
import string

import pytest
import translations
from example_case import A, B, Spot, Visit, make_case
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.i18n import tr
from PSMATheranosticsLib.report import build_report, render_html
from PSMATheranosticsLib.report_blocks import Report, Table, plain
from PSMATheranosticsLib.results import collect_results

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
# Names of criteria, categories and measures: the same in every language.
TERMS = re.compile(
    r"\b(?:RECIP(?:-[A-Z]{2})?|PPP|PCWG\d(?:-\w+)?|PSMA-TV|TL-PSMA|SUV\w*|mi[A-Z]\w*|UID|SHA-256|PSA|SPECT|FDG|DICOM)\b"
)


@pytest.fixture(scope="module", params=translations.TRANSLATED)
def catalog(request) -> tuple[str, dict[str, str]]:
    return request.param, translations.read_catalog(request.param)


def test_only_whole_texts_are_marked():
    wrong = [
        f"{file.name}:{call.lineno}"
        for file, call in translations.marked_calls()
        if len(call.args) != 1 or not isinstance(call.args[0], ast.Constant)
    ]
    # A text that is put together before it is translated cannot be found for a catalog.
    assert wrong == []


def test_every_marked_text_has_a_translation_and_no_other_is_kept(catalog):
    code, known = catalog
    marked = translations.marked_texts()
    assert len(marked) > 500
    assert [text for text in marked if not known.get(text)] == [], f"translate them in {translations.po_file(code)}"
    assert [text for text in known if text not in set(marked)] == [], "run python Testing/translations.py"


def fields(text: str) -> list[tuple[str, str]]:
    return sorted((name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None)


def test_placeholders_and_their_formats_are_the_same(catalog):
    _, known = catalog
    assert [text for text, translation in known.items() if fields(text) != fields(translation)] == []


def test_terms_of_the_field_stay_as_they_are(catalog):
    _, known = catalog
    for text, translation in known.items():
        assert set(TERMS.findall(text)) <= set(TERMS.findall(translation)), text


def test_numbers_stay_as_they_are(catalog):
    _, known = catalog
    for text, translation in known.items():
        assert sorted(re.findall(r"\d+(?:[.,]\d+)?", text)) == sorted(re.findall(r"\d+(?:[.,]\d+)?", translation)), text


def test_sentences_end_alike(catalog):
    _, known = catalog
    for text, translation in known.items():
        for ending in (".", ":", "?", " "):
            assert text.endswith(ending) == translation.endswith(ending), text


def test_the_compiled_catalog_is_that_of_today(catalog):
    code, known = catalog
    compiled = translations.po_file(code).with_suffix(".mo").read_bytes()
    assert compiled == translations.compiled(known, code), "run python Testing/translations.py"
    found = gettext.GNUTranslations(io.BytesIO(compiled))
    assert all(found.gettext(text) == translation for text, translation in known.items())


def test_a_text_is_german_only_within_the_language():
    assert tr("not evaluable") == "not evaluable"
    with i18n.language("de"):
        assert tr("not evaluable") == "nicht auswertbar"
        assert tr("a text that nobody marked") == "a text that nobody marked"
    assert tr("not evaluable") == "not evaluable"


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Report]:
    made = {}
    with make_case(tmp_path_factory.mktemp("de") / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as case:
        for code in ("en", "de"):
            with i18n.language(code):
                results = collect_results(case)
            made[code] = build_report(results, case, language=code)
    return made


def numbers(table: Table) -> list[list[str]]:
    return [re.findall(r"\d+(?:\.\d+)?", " ".join(plain(cell.text) for cell in row)) for row in table.rows]


def test_a_german_report_has_the_same_sections_and_numbers(reports):
    english, german = reports["en"], reports["de"]
    assert [section.name for section in german.sections] == [section.name for section in english.sections]
    tables = [[block for block in report.blocks() if isinstance(block, Table)] for report in (english, german)]
    assert len(tables[0]) == len(tables[1]) > 5
    for first, second in zip(*tables, strict=True):
        assert numbers(first) == numbers(second), first.caption


def test_a_german_report_is_german(reports):
    html = render_html(reports["de"])
    assert '<html lang="de"' in html
    for words in ("Forschungssoftware, kein Medizinprodukt.", "Ansprechen", "Vorschlag", "neue Läsionen", "RECIP-PD"):
        assert words in html
    # Text that is marked, translated otherwise, and shown in English on every report.
    for words in ("Research software", "new lesions:", "candidate", "Whole-body totals", "progressive disease"):
        assert words not in html
        assert words in render_html(reports["en"])
