"""Figures of the report: the plot of PSMA-TV and PSA, projections, and images in few bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest
from example_case import NEW, A, B, Visit, make_case
from matplotlib.image import imread
from PSMATheranosticsLib.burden_plot import draw_burden
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import ClinicalFacts, PsaValue
from PSMATheranosticsLib.report_blocks import Figure, Legend, Note
from PSMATheranosticsLib.report_images import ImagesSection, PlotsSection
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results, Treatment
from PSMATheranosticsLib.small_png import small_png
from report_page import built, words_of

PSA = (PsaValue(date(2026, 1, 5), 84.2), PsaValue(date(2026, 4, 1), 0.02, below_limit=True))


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Iterator[CaseStore]:
    with make_case(tmp_path_factory.mktemp("images") / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as made:
        yield made


@pytest.fixture(scope="module")
def results(case) -> Results:
    return collect_results(case)


def pixels(png: bytes) -> np.ndarray:
    """Red, green and blue, 0 to 255."""
    return np.round(255 * imread(io.BytesIO(png))[..., :3]).astype(int)


def test_the_plot_says_every_value_in_words(results):
    plot = draw_burden(replace(results, psa=PSA))
    assert plot is not None
    assert plot.description == (
        "PSMA-TV (mL), PSA (ng/mL) over time. "
        "PSMA-TV (mL): day 0: 14.4; day 84: 16.0. PSA (ng/mL): day -5: 84.2; day 81: < 0.02."
    )


def test_the_plot_is_higher_with_psa_and_needs_two_values_of_one_of_them(results):
    alone, both = draw_burden(results), draw_burden(replace(results, psa=PSA))
    assert alone is not None and both is not None
    assert pixels(both.png).shape[0] > 1.5 * pixels(alone.png).shape[0]
    single = replace(results, studies=results.studies[:1])
    assert draw_burden(single) is None
    assert draw_burden(replace(single, psa=PSA[:1])) is None
    assert draw_burden(replace(single, psa=PSA)) is not None
    assert draw_burden(replace(results, baseline_id=None)) is None


def test_treatments_are_drawn(results):
    given = (Treatment(datetime(2026, 2, 1), 22, "177Lu 7.4 GBq"),)
    with_them, without = draw_burden(replace(results, treatments=given)), draw_burden(results)
    assert with_them is not None and without is not None
    assert with_them.png != without.png


@pytest.mark.parametrize("treatments", [(), (Treatment(datetime(2026, 2, 1), 22, "177Lu 7.4 GBq"),)])
def test_the_start_of_the_line_of_therapy_is_drawn_and_told(results, treatments):
    without = replace(results, treatments=treatments)
    begun = replace(without, clinical=ClinicalFacts(line="177Lu-PSMA-617", therapy_start=date(2026, 1, 30)))
    drawn, plain = draw_burden(begun), draw_burden(without)
    assert drawn is not None and plain is not None
    assert drawn.description == f"{plain.description} The line of therapy began on day 20."
    assert drawn.png != plain.png
    assert (pixels(drawn.png).shape == pixels(plain.png).shape) == bool(treatments)  # room for names above the axes
    long_ago = replace(begun, clinical=replace(begun.clinical, therapy_start=date(2024, 1, 30)))
    assert draw_burden(long_ago).png == plain.png


def test_a_series_of_zeros_can_be_drawn(results):
    psa = (PsaValue(date(2026, 1, 5), 0.0), PsaValue(date(2026, 4, 1), 0.0))
    assert draw_burden(replace(results, psa=psa)) is not None


def test_small_images_have_few_bytes_and_nearly_the_same_pixels():
    from PIL import Image

    # Noisy gray on white with a thin colored line: what projections consist of.
    picture = np.full((300, 400, 3), 255, np.uint8)
    noise = np.random.default_rng(1).normal(0, 6, (200, 300, 1))
    picture[50:250, 50:350] = np.clip(np.linspace(20, 220, 300)[None, :, None] + noise, 0, 255)
    picture[150:152, 60:340] = (213, 94, 0)
    buffer = io.BytesIO()
    Image.fromarray(picture).convert("RGBA").save(buffer, "PNG")
    small = small_png(buffer.getvalue())
    assert len(small) < 0.9 * buffer.tell()
    difference = np.abs(pixels(small) - picture)
    assert difference.max() <= 12
    assert pixels(small)[0, 0].tolist() == [255, 255, 255]


def test_an_image_that_is_small_already_stays_as_it_is():
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    assert small_png(buffer.getvalue()) == buffer.getvalue()


def test_projections_explain_their_colors_and_their_window(results, case):
    section = built(ImagesSection(), results, case)
    figures = [block for block in section.blocks if isinstance(block, Figure)]
    assert "Maximum intensity projections from the front" in figures[0].alt
    assert len(figures) > 1  # key images of the lesions follow
    (legend,) = (block for block in section.blocks if isinstance(block, Legend))
    assert {item.word for item in legend.items} == {"baseline", "persistent", "new", "gone"}
    assert "at one scale and SUV window" in words_of(section)


def test_images_that_are_not_in_suv_are_said_to_have_their_own_window(results, case):
    counts = replace(results.studies[1], scaling=replace(results.studies[1].scaling, quantity="Bq/mL"))
    section = built(ImagesSection(), replace(results, studies=(results.studies[0], counts)), case)
    assert any(
        isinstance(block, Note) and "not in SUV have a window of their own" in str(block.text)
        for block in section.blocks
    )


def test_all_plots_are_there_with_words_for_those_who_do_not_see_them(results, case):
    figures = built(PlotsSection(), results, case).blocks
    assert len(figures) == 4  # PSMA-TV, waterfall, lines, swimmers; one follow-up has no flow
    assert all(isinstance(figure, Figure) and len(figure.alt) > 40 for figure in figures)
