"""The German catalog: complete, compiled, true to placeholders and terms; and a report in German says the same."""

from __future__ import annotations

import ast
import gettext
import io
import re
import string
from datetime import date, datetime

import pytest
import translations
from example_case import A, B, Spot, Visit, make_case
from full_case import make_full_case
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.i18n import tr
from PSMATheranosticsLib.report import build_report, render_html
from PSMATheranosticsLib.report_blocks import Report, Table, plain
from PSMATheranosticsLib.report_reasons import change_reason
from PSMATheranosticsLib.report_text import header_value, minute, percent, times, volume
from PSMATheranosticsLib.report_uptake_words import setting_name, uptake_reason
from PSMATheranosticsLib.results import collect_results
from report_page import words_of

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
# Names of criteria, categories and measures: the same in every language.
TERMS = re.compile(
    r"\b(?:RECIP(?:-[A-Z]{2})?|PPP|PCWG\d(?:-\w+)?|PSMA-TV|TL-PSMA|SUV\w*|mi[A-Z]\w*|UID|SHA-256|PSA|SPECT|FDG|DICOM)\b"
)


NUMBER = r"(?<![\d.])\d+[.,]\d+(?![\d.])"
NAMES = r"RECIP 1\.0|doi \S+"  # names and addresses have a point in every language


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


def test_numbers_stay_as_they_are_but_for_their_decimal_mark(catalog):
    code, known = catalog
    for text, translation in known.items():
        english, translated = (sorted(re.findall(r"\d+(?:[.,]\d+)?", each)) for each in (text, translation))
        assert english == [number.replace(",", ".") for number in translated], text
        with i18n.language(code):  # what is no name, address or date has the mark of the language
            marks = {i18n.decimal(number) for number in re.findall(NUMBER, re.sub(NAMES, "", translation))}
        assert marks == set(re.findall(NUMBER, re.sub(NAMES, "", translation))), text


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
    """All numbers of the rows, with a point whatever their decimal mark, and days by day, month and year."""
    found = []
    for row in table.rows:
        text = " ".join(plain(cell.text) for cell in row)
        text = re.sub(r"\b(\d{4})-(\d\d)-(\d\d)\b", r"\3.\2.\1", text)
        found.append(re.findall(r"\d+(?:\.\d+)*", re.sub(r"(?<=\d),(?=\d)", ".", text)))
    return found


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


def test_numbers_and_days_are_written_as_the_language_has_them():
    assert (i18n.decimal("−12.5 %"), i18n.date_text(date(2026, 3, 1))) == ("−12.5 %", "2026-03-01")
    with i18n.language("de"):
        assert (i18n.decimal("−12.5 %"), i18n.date_text(date(2026, 3, 1))) == ("−12,5 %", "01.03.2026")
        assert i18n.decimal("no. 5. end") == "no. 5. end"
        assert percent(-29.9961) == "−29,996 %"
        assert (volume(0.0412), times(0.434), header_value(82.5)) == ("0,041", "×0,43", "82,5")
        assert minute(datetime(2026, 3, 1, 9, 5)) == "01.03.2026 09:05"
        assert uptake_reason("left kidney: pair of large hot regions beside the spine").startswith("Niere links: Paar ")
        assert change_reason("TL-PSMA x 0.43, below 0.51 to 1.95") == "TL-PSMA x 0,43, unter 0,51 bis 1,95"


def test_reasons_and_settings_that_are_not_known_stay_as_they_are():
    given = "prostate: physiological uptake by an organ map"
    assert uptake_reason(given) == given
    assert uptake_reason("left kidney: physiological uptake by x") == "left kidney: physiological uptake by x"
    assert (setting_name("minimum_volume_ml"), setting_name("organ_margin_mm")) == (
        "minimum volume (mL)",
        "organ margin (mm)",
    )
    with i18n.language("de"):
        assert uptake_reason(given) == given
        assert setting_name("minimum_volume_ml") == "Mindestvolumen (mL)"


def test_what_a_person_wrote_and_names_stay_as_they_are_in_a_german_report(tmp_path):
    words = "7.4 GBq on 2026-01-05, see v1.2.3"
    with make_full_case(tmp_path / "case", signed=False) as case:
        case.comment_track(1, 1, words)
        case.save_setting("clinical", {"line": "Lu 1.5", "therapy_start": "2026-01-11"})
        with i18n.language("de"):
            results = collect_results(case)
        report = build_report(results, case, language="de")
        english = collect_results(case)
    told = {section.name: words_of(section) for section in report.sections}
    assert words in told["lesions"]
    assert "Lu 1.5" in told["clinical"]
    assert "10.2967/jnumed.121.263072" in told["warnings"]
    own = re.compile(rf"{NAMES}|{re.escape(words)}|Lu 1\.5|(?<=PSMATheranostics )[\d.]+")
    for name, text in told.items():
        if name == "provenance":  # what was done is kept as it was told then
            continue
        text = own.sub("", text)
        assert re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])|\d{4}-\d\d-\d\d", text) == [], name
    assert "11.01.2026" in told["clinical"]
    assert "10.01.2026" in told["technique"]
    # Files for programs are collected in English.
    assert re.search(r"\d,\d", "".join(response.why for response in english.responses)) is None
