"""The DICOM validator dciodvfy (Debian package dicom3tools), for tests of the objects that the software writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = "dciodvfy"


def dicom_errors(path: Path) -> list[str]:
    """Every error that the validator finds in a file, with the place of the attribute. Warnings are no errors.

    Nothing is excused: no error of the validator is known to be its own fault. Skips the test where the validator is
    not installed. It cannot read deflated files.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.skip(f"{PROGRAM} (Debian package dicom3tools) is not installed: no DICOM object was validated")
    run = subprocess.run([program, "-new", str(path)], capture_output=True, text=True, errors="replace", check=False)
    lines = [line for line in f"{run.stdout}\n{run.stderr}".splitlines() if "Error - " in line]
    if run.returncode != 0 and not lines:
        lines = [f"{PROGRAM} ended with {run.returncode}: {run.stderr}"]
    return lines
