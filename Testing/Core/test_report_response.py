"""The sections of the report on response, impression, limits, methods and provenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from example_case import make_case
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_model import Conflict, ScoreResult, SignOffResult
from PSMATheranosticsLib.report_blocks import Bullets, plain
from PSMATheranosticsLib.report_methods import LimitsSection, MethodsSection, ProvenanceSection
from PSMATheranosticsLib.report_response import ImpressionSection, ResponseSection
from PSMATheranosticsLib.response import ResponsePart
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results, ResultWarning
from report_page import Marked, built, rows_of, tables_of, words_of
from sections_case import PSA, SIGNED, VISITS, bare_results, first_response, last_study, other, sections_case


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Iterator[CaseStore]:
    with sections_case(tmp_path_factory.mktemp("sections") / "case") as made:
        yield made


@pytest.fixture(scope="module")
def results(case) -> Results:
    return bare_results(case)


def test_a_candidate_is_called_so_and_a_confirmed_one_names_the_reader(results, case):
    assert "RECIP-PD candidate" in words_of(built(ResponseSection(), results, case))
    confirmed = first_response(results, candidate=False, confirmed_by="Dr. One", confirmed_at=SIGNED)
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
    text = words_of(built(ResponseSection(), first_response(results, candidate=False, **changes), case))
    assert "RECIP-SD decided by Dr. One" in text
    assert "By the rules RECIP-PD; a reader decided otherwise: An infarct." in text


def test_open_branches_and_a_category_that_was_signed_differently_are_shown(results, case):
    changed = first_response(results, category="NE", branches=("RECIP-SD", "RECIP-PD"), new_lesions=None)
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
