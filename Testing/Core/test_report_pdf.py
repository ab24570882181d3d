"""The report as PDF: the content of the HTML, tagged, with heads and feet on every page, on either paper."""

from __future__ import annotations

import importlib.util
import io
import re
from dataclasses import replace
from datetime import datetime, timezone
from html.parser import HTMLParser

import pypdf
import pytest
from example_case import A, B, Spot, Visit, make_case
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.output_names import REPORT, REPORT_PDF
from PSMATheranosticsLib.report import build_report, render_html
from PSMATheranosticsLib.report_blocks import (
    Banner,
    Block,
    Bullets,
    Card,
    Cards,
    Cell,
    Column,
    Columns,
    Figure,
    Heading,
    Legend,
    LegendItem,
    Note,
    PageBreak,
    Pairs,
    Paragraph,
    Report,
    Section,
    Span,
    Swatch,
    Table,
    plain,
)
from PSMATheranosticsLib.report_files import ReportOptions, write_reports
from PSMATheranosticsLib.report_pdf import render_pdf
from PSMATheranosticsLib.report_text import volume
from PSMATheranosticsLib.results import collect_results

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
VISITS = [Visit(0, [A, B]), Visit(84, [A, NEW]), Visit(170, [NEW]), Visit(260, [NEW, B])]
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154"
    "789c636000000002000148afa4710000000049454e44ae426082"
)
TEXT = (Column(), Column(align="right", kept=True), Column(width=1.0))


def a_report(*blocks: Block, wide: bool = False, **values: object) -> Report:
    """A report with these blocks in its only section."""
    made = Report(
        title="PSMA report",
        subtitle="of nobody",
        language="en",
        patient_id="SYNTHETIC-7",
        created=datetime(2026, 5, 4, 10, 0, tzinfo=timezone.utc),
        facts=(("Patient", "Synthetic, Seven"),),
        banners=(Banner("Synthetic data", inverted=True),),
        footer="Patient SYNTHETIC-7. Research software, not a medical device.",
        sections=(Section("first", "First section", blocks, wide),),
    )
    return replace(made, **values)  # type: ignore[arg-type]


def rows(count: int, text: str = "1.5") -> tuple[tuple[Cell, ...], ...]:
    return tuple((Cell(f"row {number}"), Cell(text), Cell("why")) for number in range(count))


def reader(report: Report, paper: str = "a4") -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(render_pdf(report, paper)))


def squeezed(text: str) -> str:
    """Without any space: where lines break is not content."""
    return re.sub(r"[\s\u00a0\u200b\u2060]+", "", text)


def text_of(report: Report, paper: str = "a4") -> str:
    return squeezed("".join(page.extract_text() for page in reader(report, paper).pages))


def words_of(page: pypdf.PageObject) -> list[tuple[str, float, float]]:
    """Every piece of text of a page with the place where it begins, in points from the left and the foot."""
    found: list[tuple[str, float, float]] = []

    def note(text: str, own: list[float], inner: list[float], _font: object, _size: float) -> None:
        x = own[0] * inner[4] + own[2] * inner[5] + own[4]
        y = own[1] * inner[4] + own[3] * inner[5] + own[5]
        if text.strip():
            found.append((text.strip(), x, y))

    page.extract_text(visitor_text=note)
    return found


class Tables(HTMLParser):
    """The texts of the cells of every row of every table of a page, and which rows have a cell that spans others."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.spanned: set[int] = set()
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True
            if dict(attrs).get("rowspan", "1") != "1":
                self.spanned.add(len(self.rows) - 1)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def case_results(tmp_path_factory):
    with make_case(tmp_path_factory.mktemp("pdf") / "case", VISITS) as case:
        results = collect_results(case)
        yield case, results, build_report(results, case)


def test_every_row_of_every_table_reads_the_same_in_pdf_and_html(case_results):
    _, _, report = case_results
    pdf = text_of(report)
    html = Tables(render_html(report))
    assert len(html.rows) > 60
    for number, row in enumerate(html.rows):
        # A cell beside several rows stands after the first of them in the file.
        for text in row if number in html.spanned else ["".join(row)]:
            assert squeezed(text) in pdf, row


def test_every_text_of_the_report_is_in_the_pdf(case_results):
    _, _, report = case_results
    pdf = text_of(report)
    words = [report.title, report.subtitle, *(text for fact in report.facts for text in fact)]
    words += [plain(banner.text) for banner in report.banners] + [section.title for section in report.sections]
    for block in report.blocks():
        if isinstance(block, (Heading, Paragraph, Note)):
            words.append(plain(block.text))
        elif isinstance(block, Bullets):
            words += [plain(item) for item in block.items]
        elif isinstance(block, (Table, Figure)):
            words.append(block.caption)
        elif isinstance(block, Cards):
            for card in block.cards:
                words += [card.title, card.category, card.chip, card.summary, card.why, *card.notes]
                words += [text for pair in card.pairs for text in pair]
        elif isinstance(block, Legend):
            words += [f"{item.word}: {item.meaning}" for item in block.items]
        elif isinstance(block, Pairs):
            words += [plain(text) for pair in block.pairs for text in pair]
    for text in words:
        assert squeezed(text) in pdf, text


def test_numbers_are_those_of_results_json(case_results):
    _, results, report = case_results
    pages = text_of(report)
    told = results.to_dict()
    for study in told["studies"]:
        assert squeezed(volume(study["totals"]["psma_tv_ml"])) in pages
    for response in told["responses"]:
        assert response["category"] in pages
        change = f"{abs(response['change_percent']):.1f}%"
        assert change in pages
    over_time = next(section for section in report.sections if section.name == "lesions")
    table = next(block for block in over_time.blocks if isinstance(block, Table))
    assert len(table.rows) == len(told["tracks"])
    for row, track in zip(table.rows, told["tracks"], strict=True):
        said = " ".join(" ".join((plain(cell.text), *cell.below)) for cell in row)
        for cell in track["cells"]:
            if cell["lesion"] is not None:
                assert f"{cell['volume_ml']:.1f}" in said
                assert f"{cell['suv_max']:.1f}" in said


def test_all_kinds_of_blocks_are_set():
    swatch = Swatch("N", "#d55e00")
    report = a_report(
        Heading("A heading"),
        Paragraph((Span("bold words", bold=True), Span(" and "), Span("kept together", swatch=swatch, kept=True))),
        Note("a note"),
        Bullets(("first point", "second point")),
        Bullets(("numbered point",), numbered=True),
        Pairs((("Line", "177Lu"), ("Start", (Span("2026-02-01", bold=True),))), "treatment"),
        Legend((LegendItem(swatch, "new", "not there before"),), "legend"),
        Cards(
            (Card("Card title", "RECIP-PD", "candidate", "summary", (("TTV", "1 mL"),), "why", ("note",), "#d55e00"),),
            1,
        ),
        Columns(((Paragraph("left column"),), (Figure(PIXEL, "a pixel", "figure caption", 20.0),))),
        PageBreak(),
        Table("caption", TEXT, ((Cell("head"), Cell("x"), Cell("y")),), rows(2), ((Cell("sum"), Cell("3"), Cell("")),)),
    )
    text = text_of(report)
    expected = [
        "A heading", "bold words and", "kept together", "a note", "first point", "second point", "1.numbered point",
        "Line177Lu", "Start2026-02-01", "new: not there before", "Card title", "RECIP-PD", "candidate", "TTV1 mL",
        "left column", "figure caption", "caption", "headxy", "row 01.5why", "sum3",
    ]  # fmt: skip
    for words in expected:
        assert squeezed(words) in text, words
    assert len(reader(report).pages) == 2


def test_cells_that_span_rows_and_columns_keep_the_others_in_their_places():
    head = (
        (Cell("Lesion", rows=2), Cell("Baseline", columns=2)),
        (Cell("mL"), Cell("SUVmax", align="right")),
    )
    body = ((Cell("L01", rows=2), Cell("1.1"), Cell("2.2")), (Cell("3.3"), Cell("4.4")))
    columns = (Column(), Column(align="right"), Column(align="right"))
    page = reader(a_report(Table("", columns, head, body))).pages[0]
    places = {word: x for word, x, _ in words_of(page)}
    assert places["3.3"] == pytest.approx(places["1.1"], abs=1.0)
    assert places["4.4"] == pytest.approx(places["2.2"], abs=1.0)
    assert abs(places["3.3"] - places["L01"]) > 10.0


def test_a_long_table_repeats_its_head_and_never_splits_a_row():
    head = ((Cell("Lesion of the head"), Cell("mL"), Cell("Why")),)
    table = Table(
        "",
        TEXT,
        head,
        tuple((Cell(f"<{n}>", below=("second line", f"end {n}.")), Cell("1"), Cell("x")) for n in range(120)),
    )
    pages = [squeezed(page.extract_text()) for page in reader(a_report(table)).pages]
    assert len(pages) > 3
    for number, page in enumerate(pages):
        assert page.count("Lesionofthehead") == (1 if "secondline" in page else 0), number
    for number in range(120):
        assert [f"<{number}>secondlineend{number}." in page for page in pages].count(True) == 1


def test_a_table_that_is_kept_stands_on_one_page():
    filling = Paragraph("filling words of some length " * 150)
    head = ((Cell("Head"), Cell("mL"), Cell("Why")),)
    kept = Table("", TEXT, head, rows(40), keep=True)
    with_rows = [page.extract_text() for page in reader(a_report(filling, kept)).pages if "row" in page.extract_text()]
    assert len(with_rows) == 1
    loose = replace(kept, keep=False)
    assert len([p for p in reader(a_report(filling, loose)).pages if "row" in p.extract_text()]) == 2


def test_every_page_names_patient_limits_and_page():
    pages = reader(a_report(Paragraph("one"), PageBreak(), Paragraph("two"), PageBreak(), Paragraph("three"))).pages
    assert len(pages) == 3
    for number, page in enumerate(pages, start=1):
        text = page.extract_text()
        assert "Patient SYNTHETIC-7. Research software, not a medical device." in text
        assert f"{number} / 3" in text


@pytest.mark.parametrize(("paper", "width", "height"), [("a4", 595.28, 841.89), ("letter", 612.0, 792.0)])
def test_papers_and_pages_on_their_side(paper, width, height):
    report = a_report(Paragraph("upright"))
    wide = Section("wide", "Wide section", (Paragraph("sideways"),), wide=True)
    report = replace(report, sections=(*report.sections, wide, replace(wide, title="Another"), report.sections[0]))
    pages = reader(report, paper).pages
    sizes = [(float(page.mediabox.width), float(page.mediabox.height)) for page in pages]
    assert sizes[0] == pytest.approx((width, height), abs=0.1)
    assert sizes[1] == pytest.approx((height, width), abs=0.1)
    assert "Another" in pages[1].extract_text()  # sections on their side share a page
    assert sizes[2] == pytest.approx((width, height), abs=0.1)
    assert len(pages) == 3


def test_the_pdf_is_tagged_titled_and_knows_its_language():
    figure = Figure(PIXEL, "what the picture shows", "caption")
    table = Table("", TEXT, ((Cell("Head"), Cell("mL"), Cell("Why")),), rows(2))
    pdf = reader(a_report(figure, table, language="de"))
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "de"
    assert pdf.metadata is not None and pdf.metadata.title == "PSMA report"
    assert b"pdfuaid" in root["/Metadata"].get_data()
    tags, texts = set(), []

    def walk(node):
        node = node.get_object()
        if isinstance(node, list):
            for child in node:
                walk(child)
        elif isinstance(node, dict):
            tags.add(node.get("/S"))
            texts.append(node.get("/Alt"))
            if "/K" in node:
                walk(node["/K"])

    walk(root["/StructTreeRoot"])
    assert {"/H1", "/H2", "/Figure", "/Table", "/TH", "/TD"} <= tags
    assert "what the picture shows" in texts


def test_texts_are_never_taken_for_markup():
    nasty = '#panic("no") *x* _y_ $z$ \\ <label> @ref `code` // gone /* gone */ = = [b] https://example.org'
    report = a_report(
        Paragraph(nasty), Table(nasty, TEXT, ((Cell(nasty), Cell("1"), Cell("2")),), rows(1, nasty)), title=nasty
    )
    assert text_of(report).count(squeezed(nasty)) == 5


def test_letters_of_other_scripts_and_control_characters_do_not_stop_it():
    names = "Müller \u65e5\u672c \U0001f600 \u0627\u0644 M\x00\x07\x1b\ufffe\ufeff\udcff\ue123n"
    text = text_of(a_report(Paragraph(names), facts=(("Patient", names),)))
    assert text.count("Müller") == 2
    assert "Mn" in text


def test_a_long_identifier_breaks_instead_of_leaving_the_page():
    uid = "1.2.826.0.1.3680043.8.498." + "7" * 38
    head = ((Cell("a"), Cell("b"), Cell("c")),)
    pages = reader(a_report(Table("", TEXT, head, ((Cell(uid), Cell("1"), Cell(uid)),)))).pages
    assert len(pages) == 1
    assert squeezed(pages[0].extract_text()).count(uid) == 2
    sevens = [(x, y) for text, x, y in words_of(pages[0]) if text == "7"]
    assert len({y for _, y in sevens}) > 1  # at least one of the two is broken
    assert max(x for x, _ in sevens) < 595.0 - 34.0 - 4.0  # within the margin, with the width of the digit


def test_the_same_report_gives_the_same_bytes():
    report = a_report(Paragraph("words"), Figure(PIXEL, "a pixel"))
    assert render_pdf(report) == render_pdf(report)


def test_an_unknown_paper_or_language_is_refused_by_name():
    with pytest.raises(InputError, match=r"no paper 'a5'.*a4, letter"):
        render_pdf(a_report(), "a5")
    with pytest.raises(InputError, match=r"no language 'fr'.*en, de"):
        ReportOptions(language="fr").check()


def test_without_typst_the_html_is_written_and_the_error_says_what_to_install(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "typst" else found(name, *rest)
    )
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        results = collect_results(case)
        with pytest.raises(InputError, match="pip install typst"):
            write_reports(case, results, tmp_path)
        assert "</html>" in (tmp_path / REPORT).read_text()
        assert not (tmp_path / REPORT_PDF).exists()
        assert write_reports(case, results, tmp_path, ReportOptions(pdf=False)) == [tmp_path / REPORT]
