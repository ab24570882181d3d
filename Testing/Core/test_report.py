"""The HTML report: complete, self-contained, escaped, accessible."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from example_case import PATIENT, A, B, Spot, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib import report_text
from PSMATheranosticsLib.report import render_report, write_report
from PSMATheranosticsLib.report_lesions import LesionResponseSection
from PSMATheranosticsLib.report_sections import REPORT_SECTIONS
from PSMATheranosticsLib.response_results import ReaderStatement
from PSMATheranosticsLib.results import collect_results

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
VISITS = [Visit(0, [A, B]), Visit(84, [A, NEW], warnings=["The CT is short."]), Visit(170, [NEW], orientation="RAI")]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps text, tags and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def projections(page: Page) -> list[str]:
    """What the figures of the overview say of themselves."""
    return [alt for image in page.of("img") if "from the front" in (alt := image["alt"] or "")]


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    with make_case(tmp_path_factory.mktemp("report") / "case", VISITS) as case:
        return render_report(collect_results(case), case)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_sections_come_in_their_order(page):
    found = [attributes["id"] for attributes in page.of("section")]
    assert found == [section.name for section in REPORT_SECTIONS]
    expected = [
        "response",
        "projections",
        "totals",
        "lesion-response",
        "lesions",
        "technique",
        "warnings",
        "provenance",
    ]
    assert found == expected


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(html, page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "a"}
    assert "@import" not in html
    assert "url(" not in html
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
    images = page.of("img")
    assert len(images) == 6  # projections, two waterfalls, lines, swimmers, flow
    for image in images:
        source = image["src"] or ""
        assert source.startswith("data:image/png;base64,")
        assert base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG")
    assert len(projections(page)) == 1


def test_header_names_patient_and_limits(page):
    assert "Synthetic, Seven" in page.text
    assert "SYNTHETIC-7" in page.text
    assert "Research software, not a medical device." in page.text
    assert "Synthetic data: images made by a program, not a patient." in page.text


def test_response_cards_show_category_inputs_new_lesions_and_why(page):
    # 14.4 mL at baseline, 8.0 + 13.824 mL at the first follow-up, 13.824 mL at the second.
    assert "RECIP-PD candidate" in page.text
    assert "14.4 → 21.8 mL" in page.text
    assert "+51.6 % (+7.4 mL)" in page.text
    assert "New lesions 1: L03" in page.text
    assert "new lesions: at least 20\N{NO-BREAK SPACE}% increase with new lesions." in "".join(page.words)
    assert "RECIP-SD candidate" in page.text


def test_confirmed_response_names_the_reader(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        statement = ReaderStatement(confirmed_category="RECIP-PD", confirmed_by="Dr. One")
        case.save_response(case.studies()[1].study_id, "RECIP 1.0", statement.to_dict())
        text = Page(render_report(collect_results(case), case)).text
    assert "RECIP-PD confirmed by Dr. One" in text


def test_tables_have_captions_and_scoped_headers(html, page):
    tables = re.findall(r"<table.*?</table>", html, re.DOTALL)
    assert len(tables) >= 5
    for table in tables:
        assert "<caption>" in table
        assert "<thead>" in table
    assert all(attributes.get("scope") in ("col", "row", "colgroup") for attributes in page.of("th"))


def test_lesions_over_time_show_word_letter_and_color_of_the_status(html):
    section = html.split('id="lesions"')[1].split("</section>")[0]
    for word, letter, color in (("new", "N", "#d55e00"), ("gone", "G", "#555555"), ("baseline", "B", "#0072b2")):
        assert re.search(rf'border-color: {color}">{letter}</span> {word}', section)
    assert "link 0.95" in section


def test_technique_shows_every_scaling_input_and_setting(page):
    for expected in (
        "PatientWeight (kg) 82.5",
        "factor 0.000434",
        "threshold (SUV) 3",
        "190.0 MBq",
        "61 min",
        "kidney 150.5 (30.0)",
    ):
        assert expected in page.text


def test_warnings_name_study_and_step(page):
    assert "Follow-up 1 study The CT is short." in page.text


def test_provenance_cites_the_criterion(page):
    assert "10.2967/jnumed.121.263072" in page.text
    assert "erratum" in page.text


def test_text_from_headers_is_escaped(tmp_path):
    name = "<script>alert(1)</script>^Synthetic & Co"
    hostile = replace(PATIENT, name=name, patient_id='7"; } </style><script>alert(3)</script>')
    visits = [Visit(0, [A], tracer='"><img src=x onerror=alert(2)>'), Visit(84, [A], warnings=["<b>bold</b>"])]
    with make_case(tmp_path / "case", visits, patient=hostile) as case:
        case.decide_lesion(case.studies()[0].study_id, 1, "accepted", "<i>")
        html = render_report(collect_results(case), case)
    page = Page(html)
    assert not page.of("script")
    assert all((image["src"] or "").startswith("data:") for image in page.of("img"))
    assert len(projections(page)) == 1
    assert not page.of("b")
    assert "<script>alert(1)</script>" in page.text
    assert "<b>bold</b>" in page.text
    assert html.count("</style>") == 1


def test_report_without_follow_up_has_no_response(tmp_path):
    with make_case(tmp_path / "case", VISITS[:1]) as case:
        text = Page(render_report(collect_results(case), case)).text
    assert "No follow-up yet" in text
    assert "RECIP-SD" not in text


def test_report_of_lesions_that_were_not_followed_lists_them(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2], followed=False) as case:
        case.set_region(2, 1, Region("bone", "rib"))
        text = Page(render_report(collect_results(case), case)).text
    assert "Lesions that were not followed yet." in text
    assert "Baseline 1 – 8.0" in text
    assert "Follow-up 1 1 bone (rib, by a reader) 8.0" in text
    assert "NE candidate" in text
    assert "RECIP-SD or RECIP-PD" in text


def test_many_studies_turn_the_wide_tables_sideways(tmp_path):
    visits = [Visit(84 * index, [A]) for index in range(5)]
    with make_case(tmp_path / "case", visits) as case:
        page = Page(render_report(collect_results(case), case))
    wide = [attributes["id"] for attributes in page.of("section") if attributes.get("class") == "wide"]
    assert wide == ["totals", "lesions"]
    assert len(projections(page)) == 2


def test_120_lesions_fit_into_the_limits_of_time_and_size(tmp_path):
    spots = [
        Spot(number, (4 + 3 * (number // 10), 8 + number % 3, 7 + 2 * (number % 10)), (2, 2, 1), 8.0)
        for number in range(1, 121)
    ]
    with make_case(tmp_path / "case", [Visit(0, spots), Visit(84, spots[:100]), Visit(168, spots[10:])]) as case:
        results = collect_results(case)
        start = time.process_time()
        write_report(results, case, tmp_path / "report.html")
        assert time.process_time() - start < 15
    assert (tmp_path / "report.html").stat().st_size < 8_000_000
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "L120" in page.text
    assert "without a label" in page.text


def test_progress_rises_to_the_end_and_may_cancel(tmp_path):
    class Stop(Exception):
        pass

    seen: list[float] = []

    def follow(fraction: float, message: str) -> None:
        assert message
        seen.append(fraction)

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.2:
            raise Stop

    with make_case(tmp_path / "case", VISITS[:2]) as case:
        results = collect_results(case)
        with pytest.raises(Stop):
            write_report(results, case, tmp_path / "report.html", stop)
        assert not (tmp_path / "report.html").exists()
        write_report(results, case, tmp_path / "report.html", follow)
    assert seen == sorted(seen)
    assert seen[-1] > 0.8
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0.0"), (0.0123, "0.012"), (0.05, "0.1"), (12.345, "12.3")]
)
def test_small_volumes_do_not_read_as_zero(value, text):
    assert report_text.volume(value) == text


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
    assert report_text.setting("minimum_volume_ml") == "minimum volume (mL)"
    assert report_text.setting("remove_physiological") == "remove physiological"


def test_text_in_style_cannot_end_its_string():
    assert report_text.css_text("AB-1_2.3 x") == "AB-1_2.3 x"
    assert report_text.css_text('a"</style>\\') == r"a\22 \3c \2f style\3e \5c "


def test_regions_have_a_column_and_totals_where_they_are_known(page, tmp_path):
    assert "Region" not in page.text  # no lesion of that case has one
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        case.set_region(1, 1, Region("pelvic node"))
        case.set_region(2, 1, Region("pelvic node", "right internal iliac"))
        case.set_region(1, 2, Region("bone", "<b>rib</b>"))
        html = render_report(collect_results(case), case)
    text = Page(html).text
    assert "The same by region" in text
    # 8.0 mL of L01 at SUV 12 on both studies; L03 has no region
    assert "pelvic node 1 8.0 96.0 1 8.0 96.0" in text
    assert "unknown – – – 1 13.8 124.4" in text
    assert "L01 pelvic node right internal iliac, by a reader" in text
    assert "bone <b>rib</b>, by a reader" in text
    assert "<b>rib" not in html
    assert "L03 – – – –" in text


def section_of(html: str, name: str) -> str:
    """The text of one section."""
    return Page(html.split(f'id="{name}">')[1].split("</section>")[0].partition("</h2>")[2]).text


def test_lesion_by_lesion_tells_classes_ratios_limits_and_tracer(html):
    text = section_of(html, "lesion-response")
    assert "Follow-up 1 against Baseline" in text
    assert "Follow-up 2 against Follow-up 1" in text
    # L03 is new, L01 and L02 are resolved at the second follow-up
    assert "+ 1 new" in text
    assert "○ 2 resolved (100 % TL)" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "L03 + new – 13.8" in text
    assert "L01 ○ resolved 8.0 – ▼ 0 ▼ 0" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "Tracers of these scans: 68Ga-PSMA-11" in text
    assert "TL-PSMA (decides) 0.51 to 1.95 CV 24.0 % (Werner 2022, 18F-DCFPyL)" in text
    assert "derived from published test-retest studies of other men" in text


def test_limits_that_were_chosen_for_the_case_are_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr("PSMATheranosticsLib.report.REPORT_SECTIONS", (LesionResponseSection(),))
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        case.save_setting("lesion response", {"metric": "suv_max", "suv_max": {"low": 0.7, "high": 1.3}})
        text = section_of(render_report(collect_results(case), case), "lesion-response")
    assert "SUVmax (decides) 0.70 to 1.30 set for this case" in text
    assert "TL-PSMA 0.51 to 1.95 CV" in text


def test_a_mixed_response_and_the_worst_lesion_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("PSMATheranosticsLib.report.REPORT_SECTIONS", (LesionResponseSection(),))
    grown = replace(A, size=(8, 8, 8))
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [grown, replace(B, size=(2, 2, 2))])]) as case:
        text = section_of(render_report(collect_results(case), case), "lesion-response")
    # 512 of 125 voxels, 8 of 100
    assert "L01 ×4.10" in text
    assert re.search(r"Gini Mixed response Follow-up 1 against Baseline 2 .* yes", text)
    assert "▲ ×4.10" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_decisions_on_tracks_and_comments_stand_in_the_report(tmp_path):
    with make_case(tmp_path / "case", VISITS[:2]) as case:
        case.decide_track(2, 2, 2, "confirmed", "seen on <CT>")
        case.comment_track(1, 1, "rib <b>fracture</b>?")
        html = render_report(collect_results(case), case)
        user = case.user
    assert "<b>fracture" not in html
    assert "rib <b>fracture</b>?" in section_of(html, "lesions")
    assert f"confirmed: {user} seen on <CT>" in section_of(html, "lesions")
    assert f"+ new confirmed, {user}" in section_of(html, "lesion-response")


def test_one_study_has_no_section_about_the_response_of_its_lesions(tmp_path):
    with make_case(tmp_path / "case", VISITS[:1]) as case:
        html = render_report(collect_results(case), case)
    assert "Lesion by lesion" not in html
