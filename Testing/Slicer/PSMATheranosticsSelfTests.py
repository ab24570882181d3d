"""Runs the self-test of each module inside Slicer; ctest calls it through ``slicer.testing.runUnitTest``."""

from __future__ import annotations

import importlib
import unittest

MODULES = ("PSMATheranostics", "PSMASegment", "PSMATracking")


class PSMATheranosticsSelfTests(unittest.TestCase):
    """One test per module, each on its own synthetic case."""

    def test_theranostics(self):
        self.runSelfTest("PSMATheranostics")

    def test_segment(self):
        self.runSelfTest("PSMASegment")

    def test_tracking(self):
        self.runSelfTest("PSMATracking")

    def test_all_modules_are_loaded(self):
        import slicer

        for name in MODULES:
            assert hasattr(slicer.modules, name.lower()), f"{name} was not loaded by Slicer"

    def runSelfTest(self, name: str) -> None:
        module = importlib.import_module(name)
        getattr(module, f"{name}Test")().runTest()
