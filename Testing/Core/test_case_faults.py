"""The fault tests of the case store in a short form; ``make soak`` runs them in full."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from soak.outcome import Outcome, table

if os.name != "posix":
    pytest.skip("kills, stops and limits processes with POSIX signals", allow_module_level=True)

from soak.archives import killed_archives
from soak.damages import flipped_bytes, truncated_files
from soak.disks import can_mount, file_size_limit, full_disk, read_only
from soak.kills import killed_at_operations, killed_at_random_times, power_cuts
from soak.others import two_writers, wrong_clocks

SEED = 77


def run(kind: Callable[[int, int], Outcome], runs: int) -> Outcome:
    """A kind of fault, after which nothing may be lost or unexpected."""
    outcome = kind(SEED, runs)
    assert outcome.good, table([outcome])
    assert outcome.runs == runs
    return outcome


@pytest.mark.parametrize("kind", [killed_at_random_times, killed_at_operations, power_cuts])
def test_every_acknowledged_step_survives_and_the_case_is_sound(kind: Callable[[int, int], Outcome]):
    assert run(kind, 10).steps > 10


def test_a_killed_export_or_import_is_complete_or_not_there():
    run(killed_archives, 10)


@pytest.mark.skipif(
    not can_mount(), reason="a small disk needs the right to mount; the limit on files stands in for it"
)
def test_a_full_disk_refuses_steps_and_loses_none():
    outcome = run(full_disk, 2)
    assert outcome.steps > 10
    assert outcome.detected > 2


def test_a_limit_on_the_size_of_files_refuses_steps_and_loses_none():
    outcome = run(file_size_limit, 2)
    assert outcome.steps > 10
    assert outcome.detected > 2


def test_what_cannot_be_written_to_can_be_read_checked_and_exported():
    assert run(read_only, 2).detected == 2


def test_truncated_images_and_databases_are_named():
    outcome = run(truncated_files, 12)
    assert outcome.detected == 12


def test_a_flipped_byte_is_named_or_means_nothing():
    outcome = run(flipped_bytes, 60)
    assert outcome.detected + outcome.harmless == 60
    assert outcome.detected > 20


def test_two_writers_never_both_commit_even_when_locks_are_broken():
    outcome = run(two_writers, 2)
    assert outcome.steps > 50


def test_a_clock_that_jumps_changes_no_order_and_is_shown():
    assert run(wrong_clocks, 2).detected > 0
