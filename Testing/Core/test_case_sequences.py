"""Random sequences of clicks, strokes, splits, mergers, decisions, undo, redo and restarts leave everything consistent.

The short form of what ``make soak`` does a thousand times. The synthetic study has 26 x 26 x 26 voxels.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from edit_model import require_agreement
from edit_sequences import Reader, make_study_case, require_sound
from PSMATheranosticsLib.case_store import CaseStore
from soak.sequences import killed_sequence
from tiny_case import snapshot

SEQUENCES, MOVES = 6, 12


@pytest.mark.parametrize("seed", [1, 2])
def test_table_labels_journal_and_totals_agree_with_plain_arrays_after_every_sequence(tmp_path: Path, seed: int):
    make_study_case(tmp_path, seed)
    with CaseStore.open(tmp_path) as case:
        beginning = snapshot(case)
    reader = Reader(tmp_path, random.Random(seed))
    for _ in range(SEQUENCES):
        for _ in range(MOVES):
            reader.move()
        require_agreement(reader.case, reader.model)
        require_sound(tmp_path)
    done = Counter(reader.moves)
    assert {"click", "brush", "split", "delete", "accept", "region", "undo", "redo"} <= set(+done), done
    end = snapshot(reader.case)
    while reader.case.next_undo() != "Begin Baseline by hand":
        reader.case.undo()
    assert snapshot(reader.case) == beginning
    for _ in range(reader.model.now):
        reader.case.redo()
    assert snapshot(reader.case) == end
    reader.close()


def test_a_reader_who_is_killed_at_any_moment_has_lost_nothing(tmp_path: Path):
    make_study_case(tmp_path, 3)
    chance = random.Random(3)
    moves = sum(killed_sequence(tmp_path, f"core {number}", chance.uniform(0.05, 0.4)) for number in range(4))
    assert moves > 4, "the readers were killed before they had done anything"
    require_sound(tmp_path)
