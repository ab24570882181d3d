"""Scores of a study: burden, PSMA expression, PSG, and what PET can say for VISION and TheraP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMASegmentLib.lesion_regions import BONE, PELVIC_NODE, PROSTATE_BED, REGIONS
from PSMATheranosticsLib.burden import GROUPS
from PSMATheranosticsLib.clinical_model import ClinicalFacts, ScoreResult
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.results_model import StudyResult
from PSMATheranosticsLib.score_input import figure_text
from PSMATheranosticsLib.scores import SCORES, burden_text, scored
from scored_study import PSMA_1007, REFERENCES, lesion, regions, study


def score_of(name: str, made: StudyResult) -> ScoreResult | None:
    found = scored(made, ClinicalFacts(), {})
    return next((one for one in found.scores if one.name == name), None)


def must_have(name: str, made: StudyResult) -> ScoreResult:
    found = score_of(name, made)
    assert found is not None
    return found


# --- all of them ---


def test_every_score_stands_in_the_table_by_its_name():
    assert [score.name for score in SCORES.values()] == list(SCORES)
    assert set(SCORES) == {"Burden", "miTNM", "miPSMA", "PSG", "VISION", "TheraP"}


def test_lesions_get_their_score_and_nothing_else_changes():
    made = study(lesions=[lesion(1, 20.0), lesion(2, 1.0)], rejected=[lesion(3, 6.0)])
    found = scored(made, ClinicalFacts(), {})
    assert [one.mi_psma for one in (*found.lesions, *found.rejected)] == [3, 0, 2]
    assert (found.totals, found.references, found.study_id) == (made.totals, made.references, made.study_id)
    assert {one.study_id for one in found.scores} == {1}
    with pytest.raises(InputError, match="no measure for miPSMA"):
        scored(made, ClinicalFacts(), {"mi_psma_measure": "SUVmax"})


@pytest.mark.parametrize("values", [{"modality": "SPECT"}, {"tracer": "18F-FDG"}])
def test_on_other_modalities_and_tracers_only_the_burden_is_told(values: dict[str, str]):
    made = study(lesions=[lesion(1, 20.0)], **values)
    found = scored(made, ClinicalFacts(), {})
    assert [one.name for one in found.scores] == ["Burden"]
    assert found.lesions[0].mi_psma is None


def test_a_study_that_was_not_segmented_has_no_scores():
    assert scored(study(totals=None), ClinicalFacts(), {}).scores == ()


# --- burden ---


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1, "1"), (20, "20"), (21, "> 20"), (300, "> 20")])
def test_more_than_twenty_lesions_are_told_as_such(count: int, text: str):
    assert burden_text(count) == text


def test_burden_gives_the_highest_uptake_of_each_group_of_regions():
    lesions = [lesion(1, 8.04, PROSTATE_BED), lesion(2, 30.0, BONE), lesion(3, 12.0, BONE), lesion(4, 50.0)]
    found = must_have("Burden", study(lesions=lesions))
    assert (found.value, found.number) == ("4 lesions", 4.0)
    assert found.inputs == (
        ("SUVmax local", "8.0"),
        ("SUVmax regional nodes", "-"),
        ("SUVmax metastatic", "30.0"),
    )
    assert found.notes == ("Lesions in no known region: 1.",)
    many = must_have("Burden", study(lesions=[lesion(n, 9.0, PELVIC_NODE) for n in range(1, 22)]))
    assert (many.value, many.number, many.notes) == ("> 20 lesions", 21.0, ())
    assert must_have("Burden", study(lesions=lesions[:1])).value == "1 lesion"


def test_every_region_is_in_one_group():
    assert sorted(region for group in GROUPS.values() for region in group) == sorted(REGIONS)


# --- miPSMA of the study ---


def test_the_expression_score_is_the_highest_and_lowest_of_the_lesions():
    found = must_have("miPSMA", study(lesions=[lesion(1, 20.0), lesion(2, 6.0), lesion(3, 7.0)]))
    assert (found.value, found.number) == ("highest 3, lowest 2", 3.0)
    assert "3: 1, 2: 2" in found.why
    assert found.inputs == (("blood pool SUVmean", "1.50"), ("liver SUVmean", "5.00"), ("parotid SUVmean", "15.00"))


def test_without_reference_regions_it_is_not_evaluable_and_says_what_is_missing():
    found = must_have("miPSMA", study(lesions=[lesion(1, 20.0)], references=()))
    assert (found.value, found.number) == ("NE", None)
    assert found.why == "No reference region was measured in: blood pool, liver, parotid."
    with_spleen = must_have("miPSMA", study(lesions=[lesion(1, 20.0)], references=(), tracer=PSMA_1007))
    assert "spleen" in with_spleen.why and "liver" not in with_spleen.why


def test_lesions_without_a_score_are_counted():
    no_parotid = [one for one in REFERENCES if not one.name.endswith("parotid")]
    found = must_have("miPSMA", study(lesions=[lesion(1, 20.0), lesion(2, 4.0)], references=no_parotid))
    assert (found.value, found.number) == ("highest 1, lowest 1", 1.0)
    assert any(note.startswith("Lesions without a score: 1 of 2.") for note in found.notes)


def test_a_lesion_in_a_reference_region_is_said():
    there = replace(lesion(1, 20.0), measures=replace(lesion(1, 20.0).measures, centroid_mm=(90.0, 0.0, 0.0)))
    far = replace(there, measures=replace(there.measures, hottest_mm=(99.0, 0.0, 0.0)))
    liver = [one for one in REFERENCES if one.name == "liver"]
    said = "L01 lies in the reference region liver: check both."
    assert said in must_have("miPSMA", study(lesions=[there], references=liver)).notes
    assert said not in must_have("miPSMA", study(lesions=[far], references=liver)).notes


# --- PSG ---


@pytest.mark.parametrize(
    ("tumor", "value"), [(22.5, "intermediate"), (22.65, "high"), (7.5, "intermediate"), (7.35, "low")]
)
def test_psg_is_tumor_over_parotid(tumor: float, value: str):
    found = must_have("PSG", study(lesions=[lesion(1, 2 * tumor)]))
    assert found.value == value
    assert found.number == pytest.approx(tumor / 15.0)


def test_psg_weighs_lesions_by_their_volume():
    lesions = [lesion(1, 60.0, volume_ml=1.0, suv_mean=30.0), lesion(2, 10.0, volume_ml=9.0, suv_mean=5.0)]
    assert must_have("PSG", study(lesions=lesions)).number == pytest.approx(7.5 / 15.0)


def test_psg_needs_parotids_and_lesions():
    found = must_have("PSG", study(lesions=[lesion(1, 20.0)], references=REFERENCES[:3]))
    assert (found.value, found.number) == ("NE", None)
    assert score_of("PSG", study()) is None
    one_side = must_have("PSG", study(lesions=[lesion(1, 20.0)], references=REFERENCES[:4]))
    assert "Only one parotid gland was measured." in one_side.notes


def test_a_quotient_is_never_shown_on_the_other_side_of_a_limit():
    found = must_have("PSG", study(lesions=[lesion(1, 45.02, suv_mean=22.51)]))
    assert found.value == "high"
    assert "= 1.501" in found.why


# --- VISION ---


def test_vision_counts_lesions_above_the_liver_and_names_the_others():
    found = must_have("VISION", study(lesions=[lesion(1, 20.0), lesion(2, 5.0), lesion(3, 5.1)]))
    assert (found.value, found.number) == ("lesions above the liver: 2 of 3", 2.0)
    assert found.notes[0] == "Not above the liver, check the size on CT: L02."


def test_vision_needs_a_liver_and_a_tracer_that_the_liver_does_not_excrete():
    lesions = [lesion(1, 20.0)]
    assert must_have("VISION", study(lesions=lesions, references=())).value == "NE"
    assert must_have("VISION", study(lesions=lesions, tracer=PSMA_1007)).value == "NE"
    other = must_have("VISION", study(lesions=lesions, tracer="18F-DCFPyL"))
    assert "The trial used 68Ga-PSMA-11, not 18F-DCFPyL." in other.notes
    assert not any("The trial used" in note for note in must_have("VISION", study(lesions=lesions)).notes)


def test_vision_says_where_no_lesion_is_above_the_liver_and_where_none_was_segmented():
    assert must_have("VISION", study(lesions=[lesion(1, 4.0)])).value == "no lesion above the liver"
    assert must_have("VISION", study()).value == "no lesion was segmented"


# --- TheraP ---


@pytest.mark.parametrize(
    ("uptakes", "value"),
    [
        ((20.0, 10.0), "SUVmax 20 is reached, all lesions are at 10 or above"),
        ((20.0, 9.99), "SUVmax 20 is reached, lesions below 10: 1 of 2"),
        ((19.99, 12.0), "no lesion reaches SUVmax 20"),
        ((20.0 - 1e-12, 10.0 - 1e-12), "SUVmax 20 is reached, all lesions are at 10 or above"),
        ((), "no lesion was segmented"),
    ],
)
def test_therap_limits_belong_to_what_reaches_them(uptakes: tuple[float, ...], value: str):
    found = must_have("TheraP", study(lesions=[lesion(n, suv) for n, suv in enumerate(uptakes, start=1)]))
    assert found.value == value


def test_an_uptake_just_below_the_limit_is_not_shown_as_the_limit():
    found = must_have("TheraP", study(lesions=[lesion(1, 19.99)]))
    assert dict(found.inputs)["highest SUVmax"] == "19.99"


@given(st.lists(st.floats(0.5, 80.0), max_size=6), st.floats(1.0, 12.0))
def test_neither_trial_ever_calls_a_man_eligible(uptakes: list[float], liver: float):
    made = study(lesions=[lesion(n, suv) for n, suv in enumerate(uptakes, start=1)], references=regions(liver=liver))
    for name in ("VISION", "TheraP"):
        found = must_have(name, made)
        assert "eligible" not in found.value
        assert "An aid for the reader: whether a man can be treated is not decided here." in found.notes
        assert any("CT" in note for note in found.notes)


# --- figures beside limits ---


@given(st.floats(0.01, 3.0, allow_subnormal=False))
def test_a_figure_is_shown_on_its_side_of_the_limits(value: float):
    shown = float(figure_text(value, 2, (0.5, 1.5)))
    for limit in (0.5, 1.5):
        if abs(value - limit) > 1e-8:
            assert (shown > limit, shown < limit) == (value > limit, value < limit)
    assert shown == pytest.approx(value, abs=0.0051)


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "1.50"), (1.499, "1.499"), (1.4999, "1.4999"), (1.2345, "1.23"), (0.5, "0.50")]
)
def test_figures_have_two_decimals_unless_that_moves_them_onto_a_limit(value: float, text: str):
    assert figure_text(value, 2, (0.5, 1.5)) == text
