"""Warnings that hold for a study as such."""

from __future__ import annotations

import pytest
from PSMATheranosticsLib.result_warnings import is_psma_tracer


@pytest.mark.parametrize(
    "tracer", ["68Ga-PSMA-11", "PSMA-1007 F^18^", "Piflufolastat F^18^", "[18F]DCFPyL", "Gallium Ga-68 gozetotide"]
)
def test_psma_tracers_are_known_under_the_names_scanners_write(tracer: str):
    assert is_psma_tracer(tracer)


@pytest.mark.parametrize("tracer", ["", "FDG -- fluorodeoxyglucose", "Fluciclovine F^18^", "Sodium fluoride F^18^"])
def test_other_tracers_are_not_taken_for_psma(tracer: str):
    assert not is_psma_tracer(tracer)
