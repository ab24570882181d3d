"""What a physician entered about the man is kept with the case, as steps that can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import tiny_case
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.clinical_facts import clinical_facts, save_clinical_facts
from PSMATheranosticsLib.clinical_model import ClinicalFacts
from PSMATheranosticsLib.errors import CaseError, InputError

FACTS = ClinicalFacts(
    indication="mCRPC, before the third cycle",
    line="177Lu-PSMA-617, second line",
    therapy_start=date(2024, 1, 12),
    previous_therapies="ADT; enzalutamide 2023 to 2025",
    prostate="removed",
)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    """An empty case of a man born on 1950-02-03, open for writing."""
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="Reader") as opened:
        yield opened


def test_nothing_is_known_at_first(case: CaseStore):
    assert clinical_facts(case) == ClinicalFacts()


def test_facts_come_back_as_they_were_saved_also_after_reopening(case: CaseStore):
    save_clinical_facts(case, FACTS)
    assert clinical_facts(case) == FACTS
    case.close()
    with CaseStore.open(case.folder) as reader:
        assert clinical_facts(reader) == FACTS
    assert check_case(case.folder) == []


def test_each_change_is_one_named_step_of_the_user(case: CaseStore):
    save_clinical_facts(case, FACTS)
    save_clinical_facts(case, replace(FACTS, prostate="in situ"))
    save_clinical_facts(case, replace(FACTS, prostate="in situ"))  # what changes nothing leaves no step
    assert [(entry.action, entry.user) for entry in case.journal()] == [("Change the clinical facts", "Reader")] * 2
    case.undo()
    assert clinical_facts(case) == FACTS
    case.undo()
    assert clinical_facts(case) == ClinicalFacts()


def test_spaces_and_line_breaks_are_tidied(case: CaseStore):
    save_clinical_facts(case, ClinicalFacts(line="  177Lu-PSMA-617,\n  second   line "))
    assert clinical_facts(case).line == "177Lu-PSMA-617, second line"


def test_empty_facts_leave_nothing_behind(case: CaseStore):
    save_clinical_facts(case, FACTS)
    save_clinical_facts(case, ClinicalFacts())
    assert (clinical_facts(case), case.setting("clinical")) == (ClinicalFacts(), {})


def test_unknown_state_of_the_prostate_is_refused_and_the_known_ones_are_named(case: CaseStore):
    with pytest.raises(InputError, match="'in situ', 'removed'"):
        save_clinical_facts(case, ClinicalFacts(prostate="half"))
    assert case.journal() == []


@pytest.mark.parametrize("day", [date(1950, 2, 3), date(1926, 1, 12)])
def test_therapy_cannot_begin_before_the_man_was_born(case: CaseStore, day: date):
    with pytest.raises(InputError, match="born on 1950-02-03"):
        save_clinical_facts(case, replace(FACTS, therapy_start=day))
    assert clinical_facts(case) == ClinicalFacts()


def test_therapy_that_is_still_to_come_has_not_begun(case: CaseStore):
    today = date.today()
    with pytest.raises(InputError, match="still to come"):
        save_clinical_facts(case, replace(FACTS, therapy_start=today + timedelta(days=1)))
    assert case.journal() == []
    save_clinical_facts(case, replace(FACTS, therapy_start=today))
    assert clinical_facts(case).therapy_start == today


def test_a_day_up_to_that_of_the_last_study_has_come_whatever_the_clock_says(case: CaseStore):
    last = datetime.now() + timedelta(days=40)
    case.add_study(replace(tiny_case.study(0), acquired=last))
    save_clinical_facts(case, replace(FACTS, therapy_start=last.date()))
    with pytest.raises(InputError, match="still to come"):
        save_clinical_facts(case, replace(FACTS, therapy_start=last.date() + timedelta(days=1)))


def test_a_damaged_record_is_reported_as_damage(case: CaseStore):
    case.save_setting("clinical", {"therapy_start": "the spring"})
    with pytest.raises(CaseError, match="damaged"):
        clinical_facts(case)
