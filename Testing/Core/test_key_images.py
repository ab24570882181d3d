"""Key images: which lesions are shown, that every time point shows the same place, and what is said about them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from example_case import A, B, Spot, Visit, make_case, results_of
from PIL import Image
from PSMATheranosticsLib.key_image_figure import DOTS_PER_INCH, KeyPanel, draw_key_image
from PSMATheranosticsLib.key_images import KeyImage, key_images
from PSMATheranosticsLib.key_lesions import GROWTH, HOTTEST, NEW, SHRINKAGE, key_lesions
from PSMATheranosticsLib.plot_image import WIDTH_MM
from PSMATheranosticsLib.records import RegistrationRecord
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.study_places import StudyPlaces
from recorded_case import course
from scipy import ndimage

GROWN_A = replace(A, size=(5, 8, 8))
SMALLER_B = replace(B, size=(2, 5, 5))
FRESH = [Spot(number, (44, 6 + 6 * (number - 3), 12), (2, 2, 1 + number), 5.0) for number in (3, 4, 5)]
HIDDEN = Spot(6, (10, 10, 19), (5, 5, 5), 12.0)  # 36 mm to the left of A, on the same slices
PIXELS_PER_MM = DOTS_PER_INCH / 25.4


def images_of(folder, visits, **options) -> list[KeyImage]:
    with make_case(folder / "case", visits, **options) as case:
        return key_images(collect_results(case), case)


def test_new_lesions_come_first_then_the_largest_changes_in_ml_and_the_hottest(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A, B]), Visit(84, [GROWN_A, SMALLER_B, *FRESH])])
    chosen = [(lesion.track, lesion.reasons) for lesion in key_lesions(results)]
    # 320 - 125 voxels more of A, 100 - 50 fewer of B, whose SUV is the highest; the third new lesion has what is left.
    assert chosen == [
        ("L05", (NEW,)),
        ("L04", (NEW,)),
        ("L01", (GROWTH,)),
        ("L02", (SHRINKAGE, HOTTEST)),
        ("L03", (NEW,)),
    ]


def test_a_lesion_that_is_gone_is_the_largest_shrinkage(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A, B]), Visit(84, [A])])
    assert [(lesion.track, lesion.reasons) for lesion in key_lesions(results)] == [
        ("L02", (SHRINKAGE,)),
        ("L01", (HOTTEST,)),
    ]


def test_the_lesion_with_the_least_certain_link_is_shown():
    recorded = course(12, [0, 84])
    links = [
        replace(link, confidence=0.31 if link.baseline_lesion == 3 else 0.95 - 0.001 * link.baseline_lesion)
        for link in recorded.links_
    ]
    results = replace(recorded, links_=links).results()
    assert "doubtful" in {lesion.track: lesion.reasons for lesion in key_lesions(results)}["L03"]


def test_at_most_six_lesions_are_shown():
    chosen = key_lesions(course(60, [0, 84, 170]).results())
    assert len(chosen) == 6
    assert len({lesion.track for lesion in chosen}) == 6


def test_a_baseline_alone_shows_its_hottest_lesion(tmp_path):
    results = results_of(tmp_path, [Visit(0, [A, B])])
    assert [(lesion.track, lesion.reasons) for lesion in key_lesions(results)] == [("L02", (HOTTEST,))]


def test_lesions_that_were_not_followed_are_not_shown(tmp_path):
    assert key_lesions(results_of(tmp_path, [Visit(0, [A]), Visit(84, [A])], followed=False)) == []


def test_a_place_is_taken_along_registrations_in_either_direction():
    shift = sitk.TranslationTransform(3, (10.0, -5.0, 100.0))
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.0, 0.0, np.pi / 2, (0.0, 0.0, 0.0))
    places = StudyPlaces([RegistrationRecord(1, 2, shift, {}), RegistrationRecord(1, 3, turn, {})])
    assert places.on_study((1.0, 2.0, 3.0), 1, 2) == pytest.approx((11.0, -3.0, 103.0))
    assert places.on_study((11.0, -3.0, 103.0), 2, 1) == pytest.approx((1.0, 2.0, 3.0))
    assert places.on_study((11.0, -3.0, 103.0), 2, 3) == pytest.approx((-2.0, 1.0, 3.0))
    assert places.on_study((1.0, 2.0, 3.0), 2, 2) == (1.0, 2.0, 3.0)
    assert places.on_study((1.0, 2.0, 3.0), 1, 4) is None


SIDE_MM, GAP_MM, TITLE_MM = 45.0, 1.2, 6.8  # on paper, of two time points without CT


def _spots(png: bytes, panel: int) -> list[tuple[float, float]]:
    """Centers of dark spots of at least 10 mm across on one of the slices, mm on paper from its middle: right, down."""
    gray = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    left = panel * (SIDE_MM + GAP_MM)
    own = gray[:, round(left * PIXELS_PER_MM) : round((left + SIDE_MM) * PIXELS_PER_MM)]
    # Lines and letters are thin; what is left after eroding is uptake.
    found, count = ndimage.label(ndimage.binary_erosion(own < 90, iterations=5))
    centers = ndimage.center_of_mass(found > 0, found, range(1, count + 1))
    return sorted((x / PIXELS_PER_MM - SIDE_MM / 2, y / PIXELS_PER_MM - TITLE_MM - SIDE_MM / 2) for y, x in centers)


def test_every_panel_shows_the_same_place_with_the_patients_left_on_the_right(tmp_path):
    moved = (24.0, 0.0, 8.0)
    with make_case(tmp_path / "case", [Visit(0, [A, HIDDEN]), Visit(84, [HIDDEN], shift_mm=moved)]) as case:
        record = {"method": "rigid", "reference": "CT", "verdict": "good", "reasons": [], "quality": {}}
        case.save_registration(1, 2, sitk.TranslationTransform(3, moved), record)
        image = next(image for image in key_images(collect_results(case), case) if image.track == "L01")
    before, after = (_spots(image.png, panel) for panel in (0, 1))
    scale = SIDE_MM / 120.0  # paper to patient
    # In the middle is the first of the hottest voxels, in a uniform block a corner: 8 mm off its middle.
    middle = 8.0 * scale
    assert before[0] == pytest.approx((middle, middle), abs=2.0 * scale)
    assert before[1] == pytest.approx((36.0 * scale + middle, middle), abs=2.0 * scale)
    assert len(after) == 1  # the lesion is gone
    assert after[0] == pytest.approx(before[1], abs=1.0 * scale)
    assert "G gone, its place, registered" in image.alt
    assert "Dashed ring" in image.note


def test_a_study_without_registration_says_so(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [B])], followed=True) as case:
        results = collect_results(case)
        assert key_images(results, case)[0].track == "L01"
        while case.registrations():
            case.undo()
        assert not case.registrations()
        image = next(image for image in key_images(results, case) if image.track == "L01")
    assert "no registration leads here" in image.alt


def test_what_is_said_about_a_lesion_is_what_the_results_say(tmp_path):
    image = images_of(tmp_path, [Visit(0, [A]), Visit(84, [GROWN_A])])[0]
    assert image.title == "L01: largest growth in mL, highest SUVmax"
    assert "Baseline, 2026-01-10: 8.0 mL, SUVmax 12.0, B baseline" in image.alt
    assert "Follow-up 1, 2026-04-04: 20.5 mL, SUVmax 12.0, ▲ increasing" in image.alt
    assert "SUV 0 (white) to 15 (black)" in image.note
    assert "CT" not in image.note  # there is none


def test_images_that_are_not_in_suv_have_a_window_of_their_own(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [replace(A, suv=1.2e6)]), Visit(84, [replace(A, suv=1.2e6)])]) as case:
        results = collect_results(case)
        scaled = [replace(study, scaling=replace(study.scaling, quantity="Bq/mL")) for study in results.studies]
        image = key_images(replace(results, studies=tuple(scaled)), case)[0]
    assert "window of its own" in image.note
    assert len(_spots(image.png, 0)) == len(_spots(image.png, 1)) == 1  # black, and the rest of the slice is not


def test_of_more_than_five_studies_the_first_and_the_last_four_are_shown(tmp_path):
    image = images_of(tmp_path, [Visit(60 * number, [A]) for number in range(7)])[0]
    assert [f"Follow-up {n}" in image.alt for n in range(1, 7)] == [False, False, True, True, True, True]
    assert "Baseline" in image.alt
    assert "not shown: 2" in image.note


def test_making_key_images_can_be_cancelled(tmp_path):
    class Stopped(Exception):
        pass

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise Stopped

    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A])]) as case, pytest.raises(Stopped):
        key_images(collect_results(case), case, stop)


@pytest.mark.parametrize("with_ct", [False, True])
@pytest.mark.parametrize("studies", [1, 2, 3, 5])
def test_an_image_fits_the_page(studies, with_ct):
    slice_ = np.zeros((150, 150), np.float32)
    own = np.zeros((150, 150), bool)
    own[60:90, 60:90] = True
    panels = [
        KeyPanel("Baseline", "2026-01-10", ("1 mL", "new"), (1.0, 0.0, 0.0), slice_, slice_ if with_ct else None, own)
        for _ in range(studies)
    ]
    png, width_mm = draw_key_image(panels, "bone")
    width, height = Image.open(io.BytesIO(png)).size
    assert width_mm <= WIDTH_MM + 1e-9
    assert width == pytest.approx(width_mm * PIXELS_PER_MM, abs=1.5)
    assert height / PIXELS_PER_MM < 88.0  # three of them, with headings, fill a page of 270 mm


def test_the_outline_has_the_color_of_its_class():
    slice_, own = np.zeros((150, 150), np.float32), np.zeros((150, 150), bool)
    own[50:100, 50:100] = True
    png, _ = draw_key_image([KeyPanel("", "", ("", ""), (1.0, 0.0, 0.0), slice_, None, own)], "bone")
    colors = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red = (colors[..., 0] > 200) & (colors[..., 1] < 60)
    rows, columns = np.nonzero(red)
    # A third of the side of the slice, 45 mm on paper.
    assert np.ptp(rows) / PIXELS_PER_MM == pytest.approx(15.0, abs=0.6)
    assert np.ptp(columns) / PIXELS_PER_MM == pytest.approx(15.0, abs=0.6)
