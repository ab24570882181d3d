"""Reasons why uptake is no lesion: the list, and how they stand in a decision."""

from __future__ import annotations

import pytest
from PSMASegmentLib.physiology_reasons import PHYSIOLOGICAL_REASONS, is_physiological, physiological_reason


def test_each_reason_is_there_once_and_told_apart_again():
    assert len(set(PHYSIOLOGICAL_REASONS)) == len(PHYSIOLOGICAL_REASONS)
    for reason in PHYSIOLOGICAL_REASONS:
        assert is_physiological(physiological_reason(reason))
    assert physiological_reason("ureter") == "Physiological: ureter"


def test_own_words_are_kept_and_marked_once():
    marked = physiological_reason("  tattoo ink ")
    assert marked == "Physiological: tattoo ink"
    assert physiological_reason(marked) == marked
    assert physiological_reason("physiological:ureter") == "Physiological: ureter"


@pytest.mark.parametrize("reason", ["", "bladder", "Not physiological: ureter", "Physiological: ", "Physiological:"])
def test_other_reasons_are_not_taken_for_physiological(reason: str):
    assert not is_physiological(reason)


@pytest.mark.parametrize("text", ["", "  ", "Physiological: "])
def test_a_reason_is_needed(text: str):
    with pytest.raises(ValueError, match="reason is needed"):
        physiological_reason(text)
