"""What the command line shows of its progress."""

from __future__ import annotations

import json

import pytest
from PSMATheranosticsLib.console import Console


def test_progress_that_has_not_moved_on_is_told_once(capsys: pytest.CaptureFixture[str]):
    console = Console(json_lines=True, quiet=False)
    for fraction, message in (
        (0.1, "Asking"),
        (0.1, "Asking"),
        (0.10001, "Asking"),
        (0.1, "Labeling"),
        (0.2, "Labeling"),
    ):
        console.progress(fraction, message)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(event["fraction"], event["message"]) for event in told] == [
        (0.1, "Asking"),
        (0.1, "Labeling"),
        (0.2, "Labeling"),
    ]
