"""Windows, colors of images and colors of lesions."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PSMATheranosticsLib.status_colors import STATUS_COLORS

# Linear RGB to long, medium and short cone responses and back, and what a dichromat's missing cone sees instead:
# Vienot, Brettel and Mollon 1999, Color Research and Application 24:243 (protanopia, deuteranopia).
TO_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
PROTAN = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
DEUTAN = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
LEAST_DIFFERENCE = 0.1  # root mean square over red, green and blue, each from 0 to 1; a choice of this test


def seen_by(color: Any, missing: np.ndarray) -> np.ndarray:
    linear = np.asarray(color) ** 2.2
    return np.clip(np.linalg.inv(TO_LMS) @ missing @ TO_LMS @ linear, 0, 1) ** (1 / 2.2)


@pytest.fixture
def loaded(host: Any, load_module: Any, case_folder: Path) -> Any:
    """(CaseScene, study ID) of the case of the self-tests with its first study loaded."""
    load_module("PSMATheranostics")
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsMrml.case_scene import CaseScene

    scene = CaseScene(case_folder)
    with CaseStore.open(case_folder, write=False) as case:
        study = case.studies()[0]
        scene.loadStudy(case, study)
    return scene, study.study_id


def window_of(scene: Any, study: int, role: str) -> tuple[float, float]:
    display = scene.node(study, role).GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


def test_a_window_of_suv_is_shown_alone_and_over_ct(loaded: Any):
    from PSMATheranosticsMrml import display_presets

    scene, study = loaded
    window = next(each for each in display_presets.suvWindows() if each.high == 20)
    display_presets.showEmissionWindow(scene, study, window)
    assert window_of(scene, study, "PET") == window_of(scene, study, "overlay") == (0, 20)
    display_presets.showEmissionWindow(scene, study, window, valuePerSuv=1500.0)
    assert window_of(scene, study, "PET") == (0, 30000)


def test_the_window_that_is_shown_first_is_one_of_the_presets(loaded: Any):
    from PSMATheranosticsMrml import display_presets

    scene, study = loaded
    assert window_of(scene, study, "PET") in [(each.low, each.high) for each in display_presets.suvWindows()]
    assert window_of(scene, study, "CT") == (display_presets.ctWindows()[0].low, display_presets.ctWindows()[0].high)


def test_each_color_table_is_one_that_slicer_has(loaded: Any):
    import slicer
    from PSMATheranosticsMrml import display_presets

    scene, study = loaded
    overlay = scene.node(study, "overlay").GetDisplayNode().GetColorNodeID()
    for _name, color in display_presets.emissionColors():
        assert slicer.mrmlScene.GetNodeByID(color) is not None
        display_presets.showEmissionColor(scene, study, color)
        assert scene.node(study, "PET").GetDisplayNode().GetColorNodeID() == color
    assert scene.node(study, "overlay").GetDisplayNode().GetColorNodeID() == overlay


def test_a_window_of_ct_is_level_and_width_in_common_use(loaded: Any):
    from PSMATheranosticsMrml import display_presets

    scene, study = loaded
    bone = next(each for each in display_presets.ctWindows() if each.name == "Bone")
    display_presets.showCtWindow(scene, study, bone)
    assert window_of(scene, study, "CT") == (-500, 1300)


def test_a_study_that_is_not_loaded_is_left_alone(loaded: Any):
    from PSMATheranosticsMrml import display_presets

    scene, study = loaded
    display_presets.showCtWindow(scene, study + 100, display_presets.ctWindows()[1])
    display_presets.showEmissionWindow(scene, study + 100, display_presets.suvWindows()[0])


@pytest.mark.parametrize("coloring", ["region", "number"])
@pytest.mark.parametrize("missing", [PROTAN, DEUTAN])
def test_colors_of_lesions_differ_for_colour_blind_readers(host: Any, coloring: str, missing: np.ndarray):
    from PSMASegmentLib.lesion_regions import REGIONS, Region
    from PSMATheranosticsMrml.display_presets import lesionColor
    from PSMATheranosticsMrml.segments import LesionSegment

    look = LesionSegment(1, "", (0, 0, 0))
    if coloring == "region":
        colors = [lesionColor(look, coloring, Region(name)) for name in REGIONS]
        colors.append(lesionColor(look, coloring, None))
    else:
        colors = [lesionColor(LesionSegment(n, "", (0, 0, 0)), coloring, None) for n in range(1, 7)]
    seen = [seen_by(color, missing) for color in colors]
    least = min(float(np.sqrt(np.mean((a - b) ** 2))) for a, b in combinations(seen, 2))
    assert least > LEAST_DIFFERENCE


def test_lesions_are_colored_by_status_region_or_number(host: Any):
    from PSMASegmentLib.lesion_regions import BONE, Region
    from PSMATheranosticsMrml.display_presets import colored, lesionColorings
    from PSMATheranosticsMrml.segments import TAG_STATUS, LesionSegment

    looks = [LesionSegment(1, "T01 new", (0, 0, 0), {TAG_STATUS: "new"}), LesionSegment(2, "Lesion 2", (0, 0, 0))]
    regions = {1: Region(BONE)}
    made = {key: colored(looks, key, regions) for key, _name in lesionColorings()}
    assert made["status"][0].color == STATUS_COLORS["new"]
    assert len({look.color for key in made for look in made[key]}) >= 4
    for key in made:
        assert [(look.lesion, look.name, look.tags) for look in made[key]] == [
            (e.lesion, e.name, e.tags) for e in looks
        ]
    with pytest.raises(ValueError, match="mood"):
        colored(looks, "mood", regions)
