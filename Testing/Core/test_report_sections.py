"""The sections of the report on patient, technique, findings, totals and scores, and the titles of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

import pytest
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import ClinicalFacts, Conflict, PsaValue, ScoreResult, SignOffResult
from PSMATheranosticsLib.report_blocks import Cards, Heading, plain
from PSMATheranosticsLib.report_clinical import ClinicalSection, GlanceSection, ReferencesSection, TechniqueSection
from PSMATheranosticsLib.report_findings import FindingsSection, NumbersSection
from PSMATheranosticsLib.report_methods import MethodsSection
from PSMATheranosticsLib.report_response import ScoresSection
from PSMATheranosticsLib.report_sections import REPORT_SECTIONS
from PSMATheranosticsLib.results_model import Results, ResultWarning, Treatment
from report_page import Marked, assert_complete, built, rows_of, tables_of, words_of
from sections_case import PSA, SIGNED, bare_results, last_study, other, reference, sections_case


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Iterator[CaseStore]:
    with sections_case(tmp_path_factory.mktemp("sections") / "case") as made:
        yield made


@pytest.fixture(scope="module")
def results(case) -> Results:
    return bare_results(case)


def test_the_order_is_that_of_structured_reports():
    assert [section.name for section in REPORT_SECTIONS] == [
        "glance", "clinical", "technique", "references", "findings", "totals", "scores", "response", "impression",
        "images", "plots", "lesion-response", "lesions", "warnings", "methods", "provenance",
    ]  # fmt: skip


def test_the_glance_shows_the_latest_response_psa_and_signature(results, case):
    judged = other(results, "PSA (PCWG3)", "PSA50")
    section = built(GlanceSection(), replace(results, psa=PSA, other_responses=(judged,)), case)
    (cards,) = section.blocks
    assert isinstance(cards, Cards) and cards.columns == 3
    assert [card.category for card in cards.cards] == ["RECIP-PD", "9.87 ng/mL", "not signed"]
    assert cards.cards[0].chip == "candidate"
    assert ("Lowest", "< 0.004 ng/mL") in cards.cards[1].pairs
    assert cards.cards[1].summary == "PSA (PCWG3): PSA50"
    assert cards.cards[1].why == "because \N{MINUS SIGN}5\N{NO-BREAK SPACE}% → 3"


@pytest.mark.parametrize(
    ("state", "word", "changed"), [("signed", "signed", ()), ("reopened", "changed since", ("L01 was corrected",))]
)
def test_the_glance_says_whether_the_signature_still_stands(results, case, state, word, changed):
    signed = replace(results, sign_off=SignOffResult(state, "Dr. One", SIGNED, "", (), changed))
    text = words_of(built(GlanceSection(), signed, case))
    assert f"{word} Signed by Dr. One, 2026-05-01 12:30 UTC" in text
    assert all(one in text for one in changed)


def test_the_glance_without_follow_up_shows_the_volume(results, case):
    alone = replace(results, studies=results.studies[:1], responses=())
    text = words_of(built(GlanceSection(), alone, case))
    assert "PSMA-TV, Baseline, 2026-01-10 14.4 mL" in text
    assert "No follow-up yet" in text


def test_clinical_facts_are_said_and_so_is_their_absence(results, case):
    facts = ClinicalFacts("response", "177Lu-PSMA-617", date(2026, 1, 12), "docetaxel", "removed")
    given = (Treatment(datetime(2026, 1, 20), 10, "177Lu 7.4 GBq"),)
    text = words_of(built(ClinicalSection(), replace(results, clinical=facts, treatments=given, psa=PSA), case))
    for said in (
        "Indication response",
        "Line of therapy 177Lu-PSMA-617",
        "Start of this line 2026-01-12",
        "Activity given 177Lu 7.4 GBq on 2026-01-20",
        "Previous therapies docetaxel",
        "Prostate removed",
        "2026-02-20 41 < 0.004 lowest value labor.csv",
        "Follow-up 1 2026-04-04 84 PET 68Ga-PSMA-11 Baseline, 2026-01-10",
    ):
        assert said in text
    empty = words_of(built(ClinicalSection(), results, case))
    assert "No indication and no line of therapy were entered." in empty
    assert "No PSA values were entered." in empty


def test_only_the_last_psa_values_are_listed_and_the_others_are_counted(results, case):
    many = tuple(PsaValue(date(2026, 1, day), float(day)) for day in range(1, 14))
    section = built(ClinicalSection(), replace(results, psa=many), case)
    values = [row[2] for row in rows_of(tables_of(section)[0])]
    assert values == ["4.00", "5.00", "6.00", "7.00", "8.00", "9.00", "10.0", "11.0", "12.0", "13.0"]
    assert "3 earlier values" in words_of(section)


def test_technique_tells_what_was_corrected_by_hand(results, case):
    lesions = (replace(results.studies[1].lesions[0], mask="corrected"), results.studies[1].lesions[1])
    text = words_of(built(TechniqueSection(), last_study(results, lesions=lesions), case))
    assert "rules (suv3); 1 of 2 lesions drawn or corrected by hand" in text
    assert "Time after injection 61 min 61 min" in text
    assert "Brought onto the baseline – good" in text
    assert "Threshold (SUV) 3.00 3.00" in text
    assert "Borders" not in text


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ({"threshold": 0.1, "expand_mm": 0.0}, "as the network drew them"),
        ({"threshold": 3.0, "expand_mm": 7.0, "border": 0.0}, "SUV 3.00 or more, at most 7.0 mm beyond the network's"),
        (
            {"threshold": 0.1, "expand_mm": 4.2, "border": 0.38, "blur_mm": 6.5},
            "38 % of the way from surroundings to peak where the network is sure, "
            "more in small lesions (blur of 5.9 mm), at most 4.2 mm beyond the network's",
        ),
    ],
)
def test_technique_tells_where_the_borders_of_a_network_lie(results, case, finish, said):
    provenance = {"finish": {"version": "2", "settings": finish, "blur_mm": 5.9}}
    found = replace(results.studies[1].segmentation, provenance=provenance)
    text = words_of(built(TechniqueSection(), last_study(results, segmentation=found), case))
    assert f"Borders – {said}" in text


def test_reference_regions_have_their_values_and_each_note_once(results, case):
    note = "Found by its uptake."
    placed = (
        reference("liver", 5.123, note),
        reference("spleen", 7.0, note),
        reference("blood pool", 1.5, "", "by hand"),
    )
    section = built(ReferencesSection(), last_study(results, references=placed), case)
    text = words_of(section)
    assert [row[0] for row in rows_of(tables_of(section)[0])] == ["blood pool", "liver", "spleen"]
    assert "5.12 ± 0.50 sphere of 30 mm, placed by the software" in text
    assert "1.50 ± 0.50 sphere of 30 mm, placed by hand" in text
    assert text.count(note) == 1
    assert f"{note} (Follow-up 1, liver, spleen)" in text
    assert "No reference region is placed" in words_of(built(ReferencesSection(), results, case))


def test_findings_come_by_region_in_the_standard_order_the_hottest_first(results, case):
    lesions = tuple(
        replace(lesion, region=Region(*where), mi_psma=score)
        for lesion, where, score in zip(
            results.studies[1].lesions, (("visceral", "left lung"), ("pelvic node", "")), (3, 2), strict=True
        )
    )
    section = built(FindingsSection(), last_study(results, lesions=lesions), case)
    assert [block.text for block in section.blocks if isinstance(block, Heading)] == [
        "Locoregional lymph nodes (pelvis)",
        "Visceral",
    ]
    assert rows_of(tables_of(section)[0]) == [["L03", "–", "new", "13.8", "–", "9.0", "9.0", "2", "no"]]
    assert rows_of(tables_of(section)[1]) == [
        ["L01", "left lung", "persistent", "8.0", "0.0 %", "12.0", "12.0", "3", "no"]
    ]
    assert "No lesion is segmented in: Local: prostate or prostate bed; Distant lymph nodes; Bone." in words_of(section)


def test_where_a_region_is_not_known_no_region_is_said_to_be_free(results, case):
    unknown = tuple(replace(lesion, region=Region("", "")) for lesion in results.studies[1].lesions)
    text = words_of(built(FindingsSection(), last_study(results, lesions=unknown), case))
    assert "No lesion is segmented in" not in text
    assert "No lesion is known to be in: Local: prostate or prostate bed;" in text


def test_more_than_twenty_lesions_are_summarised_by_region(results, case):
    lesion = results.studies[1].lesions[0]
    many = tuple(
        replace(
            lesion,
            lesion=number,
            track=f"L{number:02d}",
            region=Region("bone", "rib" if number <= 8 else f"place {number % 5}"),
            new_since_baseline=number <= 3,
            mi_psma=3 if number <= 20 else 1,
            measures=replace(lesion.measures, suv_max=float(number)),
        )
        for number in range(1, 22)
    )
    section = built(FindingsSection(), last_study(results, lesions=many), case)
    (table,) = tables_of(section)
    assert rows_of(table) == [
        [
            "Bone",
            "> 20",
            "168.0",
            "21.0",
            "L21",
            "3: 20, 1: 1",
            "3",
            "rib 8, place 1 3, place 0 3, place 4 3, 2 other sites",
        ]
    ]
    assert table.rows[0][1].below == ("21",)
    assert "Every one of the 21 lesions is in the table" in words_of(section)
    listed = built(FindingsSection(), last_study(results, lesions=many[:20]), case)
    assert len(rows_of(tables_of(listed)[0])) == 20


def test_totals_show_change_against_baseline_previous_and_nadir(results, case):
    changed = last_study(
        results,
        change_from_previous_percent={"psma_tv_ml": 51.55},
        change_from_nadir_percent={"psma_tv_ml": -29.99},
        rejected=(results.studies[1].lesions[0],),
    )
    section = built(NumbersSection(), changed, case)
    totals, by_region = tables_of(section)
    assert rows_of(totals)[0] == [
        "Baseline",
        "2026-01-10",
        "2",
        "14.4",
        "–",
        "–",
        "–",
        "224.0",
        "–",
        "15.6",
        "20.0",
        "–",
    ]
    # -29.99 is no partial response and must not read as -30.0
    assert rows_of(totals)[1][3:7] == ["21.8", "+51.6 %", "+51.5 %", "\N{MINUS SIGN}29.99 %"]
    assert rows_of(by_region) == [
        ["pelvic node", "lesions", "1", "1"],
        ["PSMA-TV (mL)", "8.0", "8.0 (0.0 %)"],
        ["TL-PSMA (SUV × mL)", "96.0", "96.0"],
        ["SUVmax", "12.0", "12.0"],
        ["bone", "lesions", "1", "1"],
        ["PSMA-TV (mL)", "6.4", "13.8 (+116.0 %)"],
        ["TL-PSMA (SUV × mL)", "128.0", "124.4"],
        ["SUVmax", "20.0", "9.0"],
    ]
    assert "Follow-up 1: 1 found by the software and rejected by a reader" in words_of(section)


def test_a_study_without_segmentation_says_so_in_the_totals(results, case):
    section = built(NumbersSection(), last_study(results, totals=None, segmentation=None, by_region={}), case)
    assert "Follow-up 1 2026-04-04 day 84 not segmented" in words_of(section)
    for table in tables_of(section):
        assert_complete(table)


def test_values_that_rest_on_entered_inputs_are_marked(results, case):
    scaling = replace(results.studies[1].scaling, entered=("PatientWeight (kg)",))
    changed = last_study(results, scaling=scaling)
    assert "inputs entered by hand (PatientWeight (kg))" in words_of(built(NumbersSection(), changed, case))
    assert "Entered by hand – PatientWeight (kg)" in words_of(built(MethodsSection(), changed, case))


def test_scores_stand_with_their_reasons_and_mitnm_first(results, case):
    scores = (
        ScoreResult("PSG", 2, "high", 1.6, "tumor 16 / parotid 10", (("tumor SUVmean", "16"),), ("A note.",)),
        ScoreResult("miTNM", 2, "miT0 miN1 miM1b (uni)", None, "from regions"),
        ScoreResult("Guess", 2, "NE", None, "nothing", verified=False),
    )
    section = built(ScoresSection(), last_study(results, scores=scores), case)
    text = words_of(section)
    assert text.startswith("miTNM and scores miTNM, Follow-up 1, 2026-04-04: miT0 miN1 miM1b (uni)")
    assert "PSG tumor 16 / parotid 10 A note. tumor SUVmean: 16" in text
    assert "Guess (unverified rule)" in text
    assert ScoresSection().build(results, case, lambda *_: None) is None


def test_titles_captions_and_column_heads_are_translated(results, case, monkeypatch):
    """With a catalog that marks what it translates, what is not marked must be a name, a unit, a number or data."""
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    full = replace(results, psa=PSA, conflicts=(Conflict("", True),), warnings=(ResultWarning("", "study", 2),))
    full = last_study(full, references=(reference("liver", 5.0),), scores=(ScoreResult("PSG", 2, "high", 1.6, ""),))
    untranslated = []
    with i18n.language("de"):
        for section in REPORT_SECTIONS:
            if section.name in ("images", "plots"):
                continue
            found = built(section, full, case)
            texts = [found.title]
            for block in found.blocks:
                texts += [getattr(block, "caption", ""), block.text if isinstance(block, Heading) else ""]
            for table in tables_of(found):
                assert_complete(table)
                texts += [plain(cell.text) for row in table.head for cell in row]
            untranslated += [(section.name, text) for text in texts if text and "«" not in text]
    names = {"mL", "PSMA-TV", "TL-PSMA", "SUVmax", "SUVmean", "SUVpeak", "miPSMA", "Gini", "PSA"}
    studies = {study.label for study in results.studies}
    studies |= {f"{study.label}, {study.acquired:%d.%m.%Y}" for study in results.studies}
    assert [(name, text) for name, text in untranslated if text not in names | studies] == []
