"""Uptake of a SPECT as people read it: in SUV, or not at all."""

from __future__ import annotations

import math

import pytest
from PSMATheranosticsLib.study import Scaling
from PSMATheranosticsLib.suv_results import in_suv, study_in_suv
from recorded_case import recorded, spect_record, study_record


def test_uptake_of_a_spect_is_shown_in_suv_and_unknown_without_a_factor():
    unknown = spect_record(3, 50, scaling=Scaling("Bq/mL", 1.0, "RWV"))
    case = recorded([study_record(1, 0), spect_record(2, 8), unknown], {1: {1: 9.0}, 2: {1: 8.0}, 3: {1: 7.0}}, 1000.0)
    results = case.results()  # SUVmax is 1.5 times the mean of 1000 in the unit of the image
    shown = in_suv(results)
    assert [study.totals.suv_max for study in shown.studies[:2]] == [1500.0, pytest.approx(1.5)]
    assert math.isnan(shown.studies[2].totals.suv_max)
    assert shown.studies[1].totals.psma_tv_ml == results.studies[1].totals.psma_tv_ml
    assert shown.tracks[0].cells[1].suv_max == pytest.approx(1.5)
    assert study_in_suv(results.studies[1]) == shown.studies[1]
    assert study_in_suv(results.studies[0]) is results.studies[0]
