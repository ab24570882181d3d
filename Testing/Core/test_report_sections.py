"""Every section of the report says what the results say: given by hand here, beside a small synthetic case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timezone

import pytest
from example_case import A, B, Spot, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import (
    ClinicalFacts,
    Conflict,
    PsaValue,
    ReferenceRegionResult,
    ScoreResult,
    SignOffResult,
)
from PSMATheranosticsLib.report_blocks import Bullets, Cards, Heading, plain
from PSMATheranosticsLib.report_clinical import ClinicalSection, GlanceSection, ReferencesSection, TechniqueSection
from PSMATheranosticsLib.report_findings import FindingsSection, NumbersSection
from PSMATheranosticsLib.report_methods import LimitsSection, MethodsSection, ProvenanceSection
from PSMATheranosticsLib.report_response import ImpressionSection, ResponseSection, ScoresSection
from PSMATheranosticsLib.report_sections import REPORT_SECTIONS
from PSMATheranosticsLib.response import ResponsePart
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import ResponseResult, Results, ResultWarning, Treatment
from report_page import Marked, assert_complete, built, rows_of, tables_of, words_of

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
VISITS = [Visit(0, [A, B]), Visit(84, [A, NEW], warnings=["The CT is short."])]
SIGNED = datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Iterator[CaseStore]:
    """Two studies: 14.4 mL at baseline; L01 (8.0 mL), L02 gone and L03 new (13.8 mL) at the follow-up."""
    with make_case(tmp_path_factory.mktemp("sections") / "case", VISITS) as made:
        made.set_region(1, 1, Region("pelvic node", "left iliac"))
        made.set_region(1, 2, Region("bone", "sacrum"))
        made.set_region(2, 1, Region("pelvic node", "left iliac"))
        made.set_region(2, 2, Region("bone", "rib 4"))
        yield made


@pytest.fixture(scope="module")
def results(case) -> Results:
    """Those of the case, without what other parts of the program add: each test gives what it is about."""
    found = collect_results(case)
    studies = tuple(replace(study, references=(), scores=()) for study in found.studies)
    return replace(found, studies=studies, other_responses=(), conflicts=(), psa=(), clinical=ClinicalFacts())


def first(results: Results, **changes) -> Results:
    """With a changed response of the follow-up."""
    return replace(results, responses=(replace(results.responses[0], **changes),))


def last_study(results: Results, **changes) -> Results:
    return replace(results, studies=(results.studies[0], replace(results.studies[1], **changes)))


def reference(name: str, mean: float, note: str = "", source: str = "automatic") -> ReferenceRegionResult:
    return ReferenceRegionResult(name, (0.0, 0.0, 0.0), 15.0, mean, 0.5, 100, source, note)


def other(results: Results, criterion: str, category: str, **changes) -> ResponseResult:
    return replace(results.responses[0], criterion=criterion, category=category, why="because -5 % -> 3", **changes)


PSA = (
    PsaValue(date(2026, 1, 5), 84.2),
    PsaValue(date(2026, 2, 20), 0.004, "labor.csv", True),
    PsaValue(date(2026, 4, 1), 9.87),
)


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


def test_a_candidate_is_called_so_and_a_confirmed_one_names_the_reader(results, case):
    assert "RECIP-PD candidate" in words_of(built(ResponseSection(), results, case))
    confirmed = first(results, candidate=False, confirmed_by="Dr. One", confirmed_at=SIGNED)
    text = words_of(built(ResponseSection(), confirmed, case))
    assert "RECIP-PD confirmed by Dr. One" in text
    assert "2026-05-01 12:30" in text


def test_an_override_shows_both_categories_and_the_reason(results, case):
    changes = {
        "category": "RECIP-SD",
        "overridden": "RECIP-PD",
        "override_reason": "An infarct.",
        "confirmed_by": "Dr. One",
    }
    text = words_of(built(ResponseSection(), first(results, candidate=False, **changes), case))
    assert "RECIP-SD decided by Dr. One" in text
    assert "By the rules RECIP-PD; a reader decided otherwise: An infarct." in text


def test_open_branches_and_a_category_that_was_signed_differently_are_shown(results, case):
    changed = first(results, category="NE", branches=("RECIP-SD", "RECIP-PD"), new_lesions=None)
    changed = replace(changed, sign_off=SignOffResult("reopened", "Dr. One", SIGNED, "", ((2, "RECIP-PD"),)))
    text = words_of(built(ResponseSection(), changed, case))
    assert "RECIP 1.0: not evaluable (RECIP-SD or RECIP-PD), against Baseline, 2026-01-10" in text
    assert "New lesions not assessable" in text
    assert "When the results were signed this was RECIP-PD." in text


def test_what_was_signed_is_not_told_of_other_criteria(results, case):
    signed = SignOffResult("signed", "Dr. One", SIGNED, "", ((2, results.responses[0].category),))
    others = (other(results, "PSA (PCWG3)", "PSA50", parts=(ResponsePart("PSA rise (PCWG4)", "no", ""),)),)
    section = built(ResponseSection(), replace(results, other_responses=others, sign_off=signed), case)
    assert "When the results were signed" not in words_of(section)
    assert tables_of(section)[0].rows[0][3].below == ("PSA rise (PCWG4): no",)


def test_parts_that_the_reason_names_already_are_not_said_twice(results, case):
    parts = (ResponsePart("PSA", "PSA -5 %", ""), ResponsePart("RECIP 1.0", "RECIP-PD", ""))
    one = replace(other(results, "PSA + RECIP 1.0", "PSA+RECIP-NR", parts=parts), why="PSA -5 %, RECIP-PD: neither")
    (table,) = tables_of(built(ResponseSection(), replace(results, other_responses=(one,)), case))
    assert table.rows[0][3].below == ()


def test_other_criteria_stand_in_a_table_with_their_parts(results, case):
    parts = (ResponsePart("PSA", "NE", "no value"), ResponsePart("RECIP 1.0", "RECIP-PD", "grown"))
    others = (
        other(results, "PSA + RECIP 1.0", "NE", parts=parts, verified=False),
        other(results, "PPP", "PPP-PD", exploratory=True),
    )
    section = built(ResponseSection(), replace(results, other_responses=others), case)
    (table,) = tables_of(section)
    assert rows_of(table)[0][:3] == ["Follow-up 1", "PSA + RECIP 1.0 (unverified rule)", "NE"]
    assert rows_of(table)[1][1] == "PPP (exploratory)"
    assert table.rows[0][0].below == ("against Baseline, 2026-01-10",)
    assert "PSA: NE; RECIP 1.0: RECIP-PD" in table.rows[0][3].below
    assert rows_of(table)[0][3] == "because \N{MINUS SIGN}5\N{NO-BREAK SPACE}% → 3"
    assert "a research criterion for the whole patient, not a standard of care" in words_of(section)


def test_the_impression_sums_up_in_three_to_five_lines(results, case):
    psa = other(results, "PSA (PCWG3)", "PSA90")
    scores = (ScoreResult("miTNM", 2, "miT0 miN1 miM1b", None, ""),)
    full = last_study(replace(results, psa=PSA, other_responses=(psa,)), scores=scores)
    full = replace(full, conflicts=(Conflict("L09 is open.", False), Conflict("L03 counts as new.", True, 2, "L03")))
    section = built(ImpressionSection(), full, case)
    (lines,) = (block for block in section.blocks if isinstance(block, Bullets))
    assert lines.numbered and len(lines.items) == 5
    response, extent, course, kinetics, limits = (plain(line) for line in lines.items)
    assert "RECIP-PD (progressive disease), candidate. PSMA-TV 14.4 → 21.8 mL (+51.6 %)" in response
    assert "new lesions: 1 (L03)" in response
    assert extent.startswith("2 PSMA-positive lesions, PSMA-TV 21.8 mL")
    assert "pelvic node 1 (8.0 mL), bone 1 (13.8 mL). Highest SUVmax 12.0 (L01). miTNM: miT0 miN1 miM1b." in extent
    assert "1 new" in course and "1 resolved" in course
    assert kinetics == "PSA 9.87 ng/mL on 2026-04-01, lowest < 0.004 ng/mL on 2026-02-20. PSA (PCWG3): PSA90."
    assert limits == "Open before this can be signed (1): L03 counts as new."
    assert "put together by the software" in words_of(section)
    assert section.title == "Impression (generated)"


def test_the_impression_of_a_baseline_has_no_response(results, case):
    alone = replace(results, studies=results.studies[:1], responses=(), responses_by_lesion=(), warnings=())
    text = words_of(built(ImpressionSection(), alone, case))
    assert "Baseline for later comparison: Baseline, 2026-01-10." in text
    assert "RECIP" not in text


def test_questions_and_warnings_name_their_study_and_step(results, case):
    conflicts = (Conflict("L03 counts as new.", True, 2, "L03"), Conflict("Nobody marked the baseline.", False))
    full = replace(results, conflicts=conflicts, warnings=(ResultWarning("Short -> CT.", "study", 2),))
    section = built(LimitsSection(), full, case)
    questions, warnings = tables_of(section)
    assert rows_of(questions) == [
        ["Follow-up 1", "before signing", "L03 counts as new."],
        ["Case", "open", "Nobody marked the baseline."],
    ]
    assert rows_of(warnings) == [["Follow-up 1", "study", "Short → CT."]]
    none = words_of(built(LimitsSection(), replace(results, warnings=()), case))
    assert "No warnings and no open questions." in none
    assert "10.2967/jnumed.121.263072" in none and "erratum" in none


def test_questions_that_say_the_same_of_many_lesions_are_one_row(results, case):
    many = tuple(Conflict(f"L{number:02} counts as new.", True, 2, f"L{number:02}") for number in (3, 4, 5, 6, 8))
    full = replace(results, conflicts=(*many, Conflict("L01 has a doubtful link.", False, 2, "L01")), warnings=())
    (questions,) = tables_of(built(LimitsSection(), full, case))
    assert rows_of(questions) == [
        ["Follow-up 1", "before signing", "L03 counts as new."],
        ["Follow-up 1", "open", "L01 has a doubtful link."],
    ]
    assert questions.rows[0][2].below == ("The same holds for 4: L04 to L06, L08.",)


def test_methods_show_every_input_setting_and_what_was_left_out(results, case):
    text = words_of(built(MethodsSection(), results, case))
    for expected in (
        "PatientWeight (kg) 82.5 82.5",
        "factor 0.000434 0.000434",
        "threshold (SUV) 3 3",
        "Segmentation rules (suv3) rules (suv3)",
        "Registration to baseline – good (rigid, CT) bodies overlap",
        "kidney 150.5 (30.0) 150.5 (30.0)",
    ):
        assert expected in text


def digest_in(text: str) -> str:
    return text.partition("rest on: ")[2][:64]


def test_provenance_lists_what_readers_did_and_a_hash_that_follows_it(tmp_path):
    with make_case(tmp_path / "case", VISITS) as case:
        results = collect_results(case)
        before = words_of(built(ProvenanceSection(), results, case))
        assert "Nothing was corrected or decided by a reader." in before
        assert "These results are not signed." in before
        case.decide_lesion(2, 2, "rejected", "fracture")
        case.comment_track(1, 1, "seen")
        case.undo()
        after = words_of(built(ProvenanceSection(), collect_results(case), case))
        user = case.user
    assert f"{user} Reject lesion 2 of Follow-up 1" in after
    assert "(1 steps)" in after and "Segment" not in after.partition("Source series")[0].partition("latest first")[2]
    assert len(digest_in(before)) == 64 and digest_in(before) != digest_in(after)


def test_the_hash_depends_on_the_content_and_not_on_the_language_or_the_time(case, monkeypatch):
    now = collect_results(case)
    digest = digest_in(words_of(built(ProvenanceSection(), now, case)))
    later = replace(now, created=now.created.replace(year=2030))
    assert digest_in(words_of(built(ProvenanceSection(), later, case))) == digest
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        translated = collect_results(case)
        assert translated.warnings + translated.conflicts != now.warnings + now.conflicts
        assert digest in words_of(built(ProvenanceSection(), translated, case))


def test_a_signature_is_told_with_its_note_and_what_changed_since(results, case):
    signed = SignOffResult("reopened", "Dr. One", SIGNED, "Discussed.", (), ("The PSA values changed.",))
    text = words_of(built(ProvenanceSection(), replace(results, sign_off=signed), case))
    assert (
        "Signed by Dr. One, 2026-05-01 12:30 UTC. Discussed. Changed since it was signed: The PSA values changed."
        in text
    )


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
    studies |= {f"{study.label}, {study.acquired:%Y-%m-%d}" for study in results.studies}
    assert [(name, text) for name, text in untranslated if text not in names | studies] == []
