"""``psma segment`` with programs that nobody trusts yet, and where the memory is not enough."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.networks import package as packages
from PSMATheranosticsLib import exit_codes
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.lib_errors import naming, told_memory
from PSMATheranosticsLib.study import Scaling
from tiny_case import PATIENT, study
from tiny_segmenters import Threshold, describe, program_of, write_file

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("own_user_folder")


class Hungry(torch.nn.Module):
    """Wants more memory than there is."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        return torch.cat([channels, channels + torch.ones([1 << 46]).sum()], dim=1)  # 256 TiB


class Terminal(io.StringIO):
    """A stream that a person sits at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case of one PET of 20 x 20 x 20 voxels with a lesion of SUV 12."""
    values = np.full((20, 20, 20), 0.5, np.float32)
    values[6:12, 6:12, 6:12] = 12.0
    emission = sitk.GetImageFromArray(values)
    emission.SetSpacing([4.0] * 3)
    with CaseStore.create(tmp_path / "case", PATIENT) as made:
        made.add_study(replace(study(1), emission=emission, scaling=Scaling("SUVbw", 1.0, "synthetic")))
    return tmp_path / "case"


def method(folder: Path, network: torch.nn.Module) -> str:
    program = program_of(network)
    return f"torchscript:{write_file(folder / 'net.ts', program, describe(program))}"


def lesions(case: Path) -> int | None:
    with CaseStore.open(case) as opened:
        return None if opened.segmentation(1) is None else len(opened.lesions(1))


@pytest.mark.parametrize(("answer", "code", "found"), [("y\n", 0, 1), ("n\n", 3, None), ("\n", 3, None), ("", 3, None)])
def test_a_person_at_the_terminal_is_asked_before_an_unknown_program_runs(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, found: int | None
):
    asked = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", asked)
    assert main(["segment", str(case), "--method", method(tmp_path, Threshold())]) == code
    assert asked.getvalue().count("Run it this one time? [y/N]") == 1
    assert lesions(case) == found
    assert packages.trusted_programs().hashes() == set()  # the next time it is asked again


def test_without_a_terminal_an_unknown_program_is_refused(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    asked = method(tmp_path, Threshold())
    assert main(["segment", str(case), "--method", asked]) == exit_codes.INPUT
    assert "psma models trust" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert main(["segment", str(case), "--method", asked, "--json"]) == exit_codes.INPUT  # a program reads the answer
    assert lesions(case) is None


def test_too_little_memory_is_told_without_a_traceback(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked = method(tmp_path, Hungry())
    packages.trusted_programs().add(describe((tmp_path / "net.ts").read_bytes())["sha256"])
    assert main(["segment", str(case), "--method", asked]) == exit_codes.MEMORY
    told = capsys.readouterr().err
    assert "Baseline: The memory is not enough for this network" in told and "Close other programs" in told
    assert "Traceback" not in told
    assert lesions(case) is None


def test_too_little_memory_names_the_study_and_the_remedy_once():
    with pytest.raises(MemoryError) as caught, naming("Baseline"):
        raise MemoryError("Unable to allocate 9.00 TiB")
    told = str(caught.value)
    assert told.startswith("Baseline: The memory of this computer was not enough (Unable to allocate 9.00 TiB). Close")
    assert told_memory(caught.value) == told
    assert told_memory(MemoryError()).startswith("The memory of this computer was not enough. Close other programs")
