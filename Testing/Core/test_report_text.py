"""Numbers and names as the report shows them."""

from __future__ import annotations

import inspect
import re
from datetime import date

import pytest
from PSMATheranosticsLib import i18n, report_text, report_words
from PSMATheranosticsLib.clinical_model import PsaValue
from PSMATheranosticsLib.link_reasons import link_reason
from PSMATheranosticsLib.report_cells import counted
from PSMATheranosticsLib.report_reasons import change_reason
from PSMATheranosticsLib.report_uptake_words import setting_name
from PSMATheranosticsLib.status_colors import CLASS_MEANINGS, CLASSES, STATUS_MEANINGS, STATUSES
from PSMATrackingLib import matching
from report_page import Marked


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0.0"), (0.0123, "0.012"), (0.05, "0.1"), (12.345, "12.3")]
)
def test_small_volumes_do_not_read_as_zero(value, text):
    assert report_text.volume(value) == text


@pytest.mark.parametrize(
    ("value", "below", "text"),
    [
        (0.004, False, "0.004"),
        (0.1, True, "< 0.10"),
        (9.87, False, "9.87"),
        (84.24, False, "84.2"),
        (112.4, False, "112"),
    ],
)
def test_psa_values_keep_the_digits_that_matter(value, below, text):
    assert report_text.concentration(PsaValue(date(2026, 1, 1), value, below_limit=below)) == text


@pytest.mark.parametrize(("ratio", "text"), [(None, "–"), (0.0, "0"), (0.43, "×0.43"), (15.8, "×15.80")])
def test_ratios_are_factors(ratio, text):
    assert report_text.times(ratio) == text


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("10 -> 5 mL (-50.0 %)", "10 → 5 mL (−50.0\N{NO-BREAK SPACE}%)"),
        ("PSA -77.8 %", "PSA −77.8\N{NO-BREAK SPACE}%"),
        ("since 2026-05-04, 18F-PSMA-1007", "since 2026-05-04, 18F-PSMA-1007"),
        ("SUV x mL", "SUV × mL"),
    ],
)
def test_lines_get_real_arrows_and_minus_signs_but_dates_and_names_do_not(text, set_):
    assert report_text.typeset(text) == set_


def test_runs_of_labels_are_shortened_from_three_on():
    assert report_text.runs(["L01", "L03", "L04", "L07", "L08", "L09"]) == "L01, L03, L04, L07 to L09"
    assert report_text.runs(["L99", "L100", "L101"]) == "L99 to L101"
    assert report_text.runs(["", "L02"]) == ", L02"
    assert report_text.runs([]) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Doe^John^M^^", "Doe, John M"),
        ("Doe", "Doe"),
        ("", ""),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
        ("^John", "John"),
    ],
)
def test_person_names_are_readable(name, text):
    assert report_text.person(name) == text


def test_names_of_tracers_and_settings_are_readable():
    assert report_text.nuclide("PSMA-11 Ga^68^") == "PSMA-11 Ga⁶⁸"
    assert report_text.nuclide("^99m^Tc-PSMA") == "⁹⁹ᵐTc-PSMA"
    assert report_text.nuclide("68Ga-PSMA-11") == "68Ga-PSMA-11"
    assert setting_name("minimum_volume_ml") == "minimum volume (mL)"
    assert setting_name("remove_physiological") == "remove physiological"


def test_text_in_style_cannot_end_its_string():
    assert report_text.css_text("AB-1_2.3 x") == "AB-1_2.3 x"
    assert report_text.css_text('a"</style>\\') == r"a\22 \3c \2f style\3e \5c "


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (20, "20"), (21, "> 20"), (300, "> 20")])
def test_more_than_twenty_lesions_are_not_counted(count, text):
    assert counted(count) == text


def test_every_status_and_class_has_its_word_and_meaning():
    assert [report_words.status(name) for name in STATUSES] == list(STATUSES)
    assert [report_words.status_meaning(name) for name in STATUSES] == [STATUS_MEANINGS[name] for name in STATUSES]
    assert [report_words.response_class(name) for name in CLASSES] == list(CLASSES)
    assert [report_words.class_meaning(name) for name in CLASSES] == [CLASS_MEANINGS[name] for name in CLASSES]


@pytest.mark.parametrize(
    "site",
    ["left iliac", "vertebra L4", "rib 10", "right rib 5", "the reader's own place", "", "left hand side", "liver"],
)
def test_sites_stay_as_they_are_in_english(site):
    assert report_words.site(site) == site


@pytest.mark.parametrize(
    ("category", "color"),
    [
        ("RECIP-CR", report_words.BETTER),
        ("RECIP-PR", report_words.BETTER),
        ("PSA50", report_words.BETTER),
        ("RECIP-SD", report_words.NEITHER),
        ("RECIP-PD", report_words.WORSE),
        ("NE", report_words.UNSAID),
    ],
)
def test_cards_have_the_color_of_their_category(category, color):
    assert report_words.category_color(category) == color


@pytest.mark.parametrize(
    "reason",
    [
        "back, but not there on the earlier scan",
        "no longer found; it had 0.12 mL",
        "no lesion on the later scan, and not known to be gone (merged, split)",
        "below 0.5 mL on both scans",
        "volume of the earlier scan is 0",
        "TL-PSMA x 0.43, below 0.51 to 1.95",
        "TL-PSMA x 1.30, within 0.51 to 1.95",
        "SUVmax x 12.00, above 0.5051 to 1.95",
        "TL-PSMA x 2.10, above 0.51 to 1.95, but the link has a confidence of 0.35",
        "went into another lesion; counted with L13",
        "TL-PSMA x 2.41, above 0.51 to 1.95; compared as sums together with L14, L15 (2 lesions before, 1 after)",
        "too small or too faint to be seen on the earlier scan; counted with L01",
    ],
)
def test_reasons_of_classes_are_told_in_the_language_of_the_report(reason, monkeypatch):
    assert change_reason(reason) == reason
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        parts, wanted = change_reason(reason).split("; "), i18n.decimal(reason).split("; ")
    assert all(part.startswith("«") and part.endswith("»") for part in parts)
    assert [part.replace("«", "").replace("»", "") for part in parts] == wanted


def test_a_reason_that_is_not_known_stays():
    assert change_reason("something else; counted with L01") == "something else; counted with L01"


@pytest.mark.parametrize(
    "reason",
    [
        "overlaps 1 %, next candidate touches as well; taken as a part that lies beside the whole",
        "10 mm apart, no other candidate within 10 mm",
        "touches, next candidate 2 mm away; where the registration bends much",
        "9 mm apart, next candidate 2 mm away; in different tissue by the proposed regions; "
        "on different sides by the proposed regions",
    ],
)
def test_reasons_of_links_are_told_in_the_language_of_the_report(reason, monkeypatch):
    assert link_reason(reason) == reason
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        parts = re.split("; |, ", link_reason(reason))
    assert all(part.startswith("«") and part.endswith("»") for part in parts)
    assert link_reason("drawn by hand") == "drawn by hand"


def test_every_reason_that_tracking_gives_is_known(monkeypatch):
    """The words are taken from where they are made, so that a new doubt is not forgotten here."""
    source = inspect.getsource(matching)
    doubts = re.findall(r'Doubt(?:\.where)?\(.*"([^"]+)"\)', source)
    assert len(doubts) == 4
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        assert [link_reason(f"touches; {doubt}") for doubt in doubts] == [f"«touches»; «{doubt}»" for doubt in doubts]
