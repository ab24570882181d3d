"""The provenance of a study as the panel shows it: every input with its tag, values by hand marked, alternatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

MARK = "entered&nbsp;by&nbsp;hand"
INPUTS = {
    "Units": "BQML",
    "PatientWeight [kg]": 82.0,
    "RadionuclideTotalDose [Bq]": 1.5e8,
    "SeriesDate/SeriesTime (reference time)": "2024-05-06 10:00:00",
    "t, from injection to reference time [s]": 3600.0,
}


@pytest.fixture(scope="module")
def pet(slicer_core, tmp_path_factory) -> Any:
    """A PET study whose weight was entered by hand and for which another factor is admissible."""
    import example_case
    from PSMATheranosticsLib.results import collect_results
    from PSMATheranosticsLib.study import Alternative, Scaling

    spot = example_case.Spot(1, (20, 10, 10), (3, 3, 3))
    with example_case.make_case(tmp_path_factory.mktemp("case") / "case", [example_case.Visit(0, [spot])]) as case:
        study = collect_results(case).studies[0]
    other = Alternative("RadiopharmaceuticalStart to AcquisitionTime (QIBA)", 0.00052)
    scaling = Scaling("SUVbw", 0.0005, "BQML, START", INPUTS, entered=("PatientWeight",), alternatives=(other,))
    return replace(study, scaling=scaling, weight_kg=82.0, height_m=1.8, sex="M", norms={"SUVlbm(Janma)": 0.72})


def fact(study: Any, label: str) -> Any:
    from PSMATheranosticsMrml.provenance import facts

    return next(each for each in facts(study) if each.label == label)


def test_every_input_is_shown_with_its_dicom_tag(pet):
    from PSMATheranosticsMrml.provenance import provenanceCard

    card = provenanceCard(pet)
    for name in INPUTS:
        assert name in card
    assert fact(pet, "PatientWeight [kg]").tag == "(0010,1030)"
    assert fact(pet, "SeriesDate/SeriesTime (reference time)").tag == "(0008,0021) (0008,0031)"
    assert fact(pet, "t, from injection to reference time [s]").tag == ""


def test_a_value_entered_by_hand_is_marked_and_others_are_not(pet):
    from PSMATheranosticsMrml.provenance import facts

    marked = {each.label for each in facts(pet) if each.isEntered}
    assert marked == {"PatientWeight [kg]", "Weight"}


def test_a_value_by_hand_beside_the_formula_is_marked_as_well(pet):
    scaling = replace(pet.scaling, entered=("PatientSize",))
    assert fact(replace(pet, scaling=scaling), "Height").isEntered


def test_values_by_hand_and_alternatives_are_seen_without_opening_the_card(pet):
    from PSMATheranosticsMrml.cards import studyFacts

    text = studyFacts(pet)
    assert MARK in text
    assert "PatientWeight" in text
    assert "(QIBA)" in text


def test_an_alternative_shows_both_factors_and_their_difference(pet):
    found = fact(pet, "Also admissible: RadiopharmaceuticalStart to AcquisitionTime (QIBA)")
    assert "0.00052" in found.value
    assert "0.0005 " in found.value
    assert "+4.0 %" in found.value


def test_a_header_cannot_bring_markup_into_the_card(pet):
    from PSMATheranosticsMrml.provenance import provenanceCard

    assert "<img" not in provenanceCard(replace(pet, tracer="<img src='x'>"))


def test_copied_text_holds_every_fact_and_no_markup(pet):
    from PSMATheranosticsMrml.provenance import facts, provenanceText

    text = provenanceText(pet, "P1")
    assert text.startswith("P1, Baseline, PET 2026-01-10 09:30")
    assert "<" not in text
    assert "PatientWeight [kg] (0010,1030): 82 [entered by hand]" in text
    assert len(text.splitlines()) == 1 + len(facts(pet))


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"weight_kg": None}, "weight"),
        ({"injected_activity_mbq": None, "minutes_after_injection": None}, "injected activity, time of injection"),
    ],
)
def test_spect_without_suv_says_what_is_not_known(pet, missing, named):
    from PSMATheranosticsLib.study import Scaling

    spect = replace(pet, modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "RealWorldValueMapping"), **missing)
    assert fact(spect, "SUV").value == f"cannot be given: {named} not known"
    assert fact(spect, "Quantity").value == "Bq/mL"


def test_spect_with_suv_gives_the_factor_at_mid_scan(pet):
    from PSMATheranosticsLib.study import Scaling

    spect = replace(pet, modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "RWVM", suv_factor=3.2e-5))
    assert "3.2e" in fact(spect, "SUV").value.replace("\N{MINUS SIGN}", "-")


def test_spect_is_called_so_in_lists_and_a_pet_is_not(pet):
    from PSMATheranosticsMrml.tables import studyName

    assert studyName(replace(pet, modality="SPECT")) == "Baseline (SPECT)"
    assert studyName(pet) == "Baseline"
