"""The miTNM line says what regions, sites and facts can say, and names what they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMASegmentLib.lesion_regions import BONE, DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, VISCERAL
from PSMATheranosticsLib.clinical_model import ClinicalFacts, ScoreResult
from PSMATheranosticsLib.mi_tnm import MiTnm, m_stage, n_stage, t_stage
from PSMATheranosticsLib.results_model import LesionResult
from PSMATheranosticsLib.score_input import ScoreInput
from PSMATheranosticsLib.scores import scored
from scored_study import lesion, study


def at(region: str, *sites: str) -> list[LesionResult]:
    """Lesions of one region at these sites."""
    return [lesion(number, 10.0, region, site) for number, site in enumerate(sites, start=1)]


def line_of(lesions: Sequence[LesionResult], prostate: str = "", **values: object) -> ScoreResult:
    found = MiTnm().score(ScoreInput(study(lesions=lesions, **values), ClinicalFacts(prostate=prostate)))
    assert found is not None
    return found


# --- T ---


@pytest.mark.parametrize(
    ("sites", "prostate", "text"),
    [
        ((), "", "miT0"),
        ((), "in situ", "miT0"),
        ((), "removed", "miT0"),
        (("",), "removed", "miTr"),
        (("prostate", ""), "removed", "miTr"),
        (("prostate",), "in situ", "at least miT2u"),
        (("prostate", "prostate"), "in situ", "at least miT2m"),
        (("prostate", "seminal vesicle"), "in situ", "at least miT3b"),
        (("prostate", "left seminal vesicle"), "in situ", "at least miT3b"),
        (("prostate", "seminal vesicle", "urinary bladder"), "in situ", "miT4"),
        (("prostate",), "", "miT?"),
    ],
)
def test_local_disease(sites: tuple[str, ...], prostate: str, text: str):
    stage = t_stage(at(PROSTATE_BED, *sites), prostate)
    assert stage.text == text
    assert bool(stage.notes) == (text not in ("miT0", "miTr", "miT4"))


def test_growth_beyond_the_prostate_is_never_stated_but_named_as_open():
    stage = t_stage(at(PROSTATE_BED, "prostate"), "in situ")
    assert "miT3a" not in stage.text
    assert "miT3a" in stage.notes[0]


@pytest.mark.parametrize("site", ["urinary bladder", "seminal vesicle"])
def test_a_proposed_site_alone_does_not_raise_the_stage(site: str):
    proposed = lesion(1, 10.0, PROSTATE_BED, site, source="proposed", reviewed=False)
    stage = t_stage([proposed], "in situ")
    assert stage.text == "at least miT2u"
    assert any("review it" in note for note in stage.notes)
    accepted = lesion(1, 10.0, PROSTATE_BED, site, source="proposed", reviewed=True)
    assert t_stage([accepted], "in situ").text != stage.text


def test_a_proposal_of_more_is_said_beside_what_a_reader_set():
    proposed = lesion(1, 10.0, PROSTATE_BED, "urinary bladder", source="proposed", reviewed=False)
    stage = t_stage([proposed, *at(PROSTATE_BED, "seminal vesicle")], "in situ")
    assert stage.text == "at least miT3b"
    assert "miT: a lesion was proposed at the site of miT4: review it." in stage.notes


# --- N ---


@pytest.mark.parametrize(
    ("sites", "text"),
    [
        ((), "miN0"),
        (("left iliac",), "miN1"),
        (("left external iliac",), "miN1 (EI-L)"),
        (("left external iliac", "left external iliac"), "miN1 (EI-L)"),
        (("left external iliac", "right obturator"), "miN2 (EI-L, OB-R)"),
        (("left external iliac", "right external iliac"), "miN1-2 (EI-L, EI-R)"),
        (("left iliac", "left iliac"), "miN1-2"),
        (("left iliac", "presacral or beside the rectum"), "miN1-2"),
        (("presacral", "left iliac"), "miN1-2 (PS)"),
        (("presacral", "internal iliac", "left iliac"), "miN2 (II, PS)"),
        (("Mesorectal",), "miN1 (OP)"),
        (("presacral or presacral left",), "miN1 (PS-L)"),
    ],
)
def test_pelvic_nodes(sites: tuple[str, ...], text: str):
    assert n_stage(at(PELVIC_NODE, *sites)).text == text


def test_a_side_that_is_not_stated_is_not_made_up():
    stage = n_stage(at(PELVIC_NODE, "obturator"))
    assert stage.text == "miN1 (OB)"
    assert any("side" in note for note in stage.notes)
    unnamed = n_stage(at(PELVIC_NODE, "left iliac", "left iliac"))
    assert any("names no station" in note for note in unnamed.notes)
    assert any("miN1) or several (miN2) cannot be told" in note for note in unnamed.notes)


# --- M ---


@pytest.mark.parametrize(
    ("nodes", "bones", "viscera", "text"),
    [
        ((), (), (), "miM0"),
        (("retroperitoneal",), (), (), "miM1a (RP)"),
        (("common iliac", "left axillary", "right inguinal", "retroperitoneal"), (), (), "miM1a (CI, RP, SD, OE)"),
        (("left neck or supraclavicular", "mediastinal or hilar"), (), (), "miM1a (SD)"),
        (("somewhere",), (), (), "miM1a"),
        ((), ("sacrum",), (), "miM1b (uni)"),
        ((), ("sacrum", "rib", "rib"), (), "miM1b (oligo)"),
        ((), ("sacrum", "rib", "rib", "skull"), (), "miM1b (diss)"),
        ((), (), ("liver", "left lung", "left adrenal gland", "brain", "pancreas"),
         "miM1c (hep, pul, adrenal, brain, other)"),
        (("retroperitoneal",), ("rib", "rib"), ("liver",), "miM1a (RP) miM1b (oligo) miM1c (hep)"),
    ],
)  # fmt: skip
def test_distant_disease(nodes: tuple[str, ...], bones: tuple[str, ...], viscera: tuple[str, ...], text: str):
    assert m_stage(at(DISTANT_NODE, *nodes), at(BONE, *bones), at(VISCERAL, *viscera)).text == text


def test_diffuse_marrow_involvement_is_left_to_the_reader():
    stage = m_stage([], at(BONE, *["spine"] * 40), [])
    assert stage.text == "miM1b (diss)"
    assert "dmi" in stage.notes[0]


@given(
    st.lists(st.sampled_from(["left iliac", "right obturator", "presacral", "left external iliac", ""]), max_size=5),
    st.randoms(use_true_random=False),
)
def test_the_order_of_lesions_makes_no_difference(sites: list[str], random: Random):
    mixed = list(sites)
    random.shuffle(mixed)
    assert n_stage(at(PELVIC_NODE, *sites)) == n_stage(at(PELVIC_NODE, *mixed))
    assert m_stage(at(DISTANT_NODE, *sites), [], []) == m_stage(at(DISTANT_NODE, *mixed), [], [])


# --- the line ---


def test_the_line_puts_stages_volume_and_expression_together():
    lesions = [
        lesion(1, 20.0, PROSTATE_BED, "prostate", 4.0),
        lesion(2, 3.0, PELVIC_NODE, "left external iliac", 1.4),
        lesion(3, 8.0, BONE, "sacrum", 3.0),
        lesion(4, 9.0, BONE, "rib", 4.0),
    ]
    found = scored(study(lesions=lesions), ClinicalFacts(prostate="in situ"), {})
    line = next(one for one in found.scores if one.name == "miTNM")
    assert line.value == (
        "at least miT2u miN1 (EI-L) miM1b (oligo) / 12.4 mL / PSMA expression score highest 3 lowest 1"
    )
    assert line.why == "from the regions of the lesions: prostate bed 1, pelvic node 1, bone 2"
    assert line.verified


def test_lesions_in_no_known_region_leave_every_zero_open():
    found = line_of([lesion(1, 10.0, BONE, "rib"), lesion(2, 10.0)], "removed")
    assert found.value.startswith("miT0? miN0? miM1b (uni) / ")
    assert "Lesions in no known region, which stand nowhere in the line: 1." in found.notes


def test_regions_that_nobody_reviewed_are_said():
    lesions = [
        lesion(1, 10.0, BONE, "rib", source="proposed", reviewed=False),
        lesion(2, 10.0, BONE, "rib", source="proposed"),
        lesion(3, 10.0, BONE, "rib", reviewed=False),
    ]
    assert "Lesions whose region is a proposal that nobody has reviewed: 1 of 3." in line_of(lesions).notes
    assert not any("proposal" in note for note in line_of(lesions[1:]).notes)


def test_a_study_without_lesions_is_negative_and_one_that_was_not_segmented_has_no_line():
    assert line_of([], "removed").value == "miT0 miN0 miM0 / 0.0 mL"
    for values in ({"totals": None}, {"modality": "SPECT"}, {"tracer": "18F-FDG"}):
        assert MiTnm().score(ScoreInput(study(**values))) is None


def test_no_reference_region_is_needed_for_the_stages():
    assert line_of([lesion(1, 10.0, BONE, "rib")], references=()).value == "miT0 miN0 miM1b (uni) / 2.0 mL"
