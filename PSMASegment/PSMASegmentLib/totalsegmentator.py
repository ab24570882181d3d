"""Organ maps by TotalSegmentator, where a person has installed it: a program of its own, run on the CT.

It is never imported. It gets the CT without any name or date, may reach no network (it would send usage statistics and
fetch weights), and its weights are not fetched for it: who wants them downloads them. Only tasks are run whose weights
are open for any use. Class lists, options, weight folders and settings: github.com/wasserth/TotalSegmentator, 2.5.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from PSMASegmentLib.grids import describe_grid, require_scalar_3d, same_grid
from PSMASegmentLib.organ_sources import HEAD_GLANDS, TOTAL, merged, organ_map_by_table
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.segmentation import SegmentationCancelled

LICENSE = (
    "TotalSegmentator and the weights of its tasks total and head_glands_cavities: Apache License 2.0, University "
    "Hospital Basel. Not a medical device and not intended for clinical use. Please cite Wasserthal et al. 2023, "
    "Radiol Artif Intell 5:e230024, https://doi.org/10.1148/ryai.230024."
)
# Folders of weights that a task needs, by how their names begin. The head is found with the coarse model first.
_WEIGHTS: dict[str, tuple[str, ...]] = {
    "total": ("Dataset291_", "Dataset292_", "Dataset293_", "Dataset294_", "Dataset295_"),
    "total_fast": ("Dataset297_",),
    HEAD_GLANDS: ("Dataset775_", "Dataset298_"),
}
_DOWNLOADS = {"Dataset297_": "total_fast", "Dataset298_": "total_fastest", "Dataset775_": HEAD_GLANDS}
_NO_NETWORK = "http://127.0.0.1:9"  # the discard port: whatever goes through this proxy fails at once
_POLL_S = 0.1
_SHOWN_LINES = 3
_KNOWN_MAJOR = "2"  # the version whose label tables are known here


@dataclass(frozen=True)
class Program:
    """How TotalSegmentator is started, and its version ("" where only the program itself can tell)."""

    command: tuple[str, ...]
    version: str

    @property
    def source(self) -> str:
        """What is recorded of an organ map that it made."""
        return f"TotalSegmentator {self.version}".strip() + ", made of the CT"


def find_program() -> Program | None:
    """TotalSegmentator of this Python, or one on the search path; None where there is none. Nothing is started."""
    if importlib.util.find_spec("totalsegmentator") is not None:
        try:
            version = importlib.metadata.version("TotalSegmentator")
        except importlib.metadata.PackageNotFoundError:
            version = ""
        return Program((sys.executable, "-m", "totalsegmentator.bin.TotalSegmentator"), version)
    on_path = shutil.which("TotalSegmentator")
    return None if on_path is None else Program((on_path,), "")


def missing_weights(fast: bool, head_glands: bool) -> list[str]:
    """What to hand to ``totalseg_download_weights -t`` for the weights that are not there yet."""
    wanted = [*_WEIGHTS["total_fast" if fast else "total"], *(_WEIGHTS[HEAD_GLANDS] if head_glands else ())]
    folder = _weights_folder()
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    absent = [start for start in wanted if not any(name.startswith(start) for name in there)]
    return list(dict.fromkeys(_DOWNLOADS.get(start, "total") for start in absent))


def organ_map_of_ct(
    ct: sitk.Image,
    progress: Callable[[float, str], None],
    cancel: Callable[[], bool] | None = None,
    *,
    fast: bool = True,
    head_glands: bool = True,
    device: str = "gpu",
) -> OrganMap:
    """The organs that TotalSegmentator finds in a CT (HU), on the grid of the CT.

    ``fast`` is its model of 3 mm instead of 1.5 mm: a minute instead of most of an hour on a CPU. ``head_glands`` adds
    parotid and submandibular glands and the throat. ``device`` is "gpu", where there is none its CPU, or "cpu".
    ``progress`` is told the license first; ``cancel`` is asked ten times a second, and ends the program with all that
    it started.

    Raises:
        ValueError: TotalSegmentator or its weights are not there, it failed, or what it wrote is no map of this CT.
        SegmentationCancelled: ``cancel`` said so.
    """
    require_scalar_3d(ct, "CT")
    program = find_program()
    if program is None:
        raise ValueError(
            "TotalSegmentator is not installed. Install it (pip install TotalSegmentator), or give an organ map as a "
            "file, or go on without: organs are then found by rules."
        )
    absent = missing_weights(fast, head_glands)
    if absent:
        commands = "; ".join(f"totalseg_download_weights -t {task}" for task in absent)
        raise ValueError(f"Weights of TotalSegmentator are not in {_weights_folder()}. To fetch them, run: {commands}")
    progress(0.0, LICENSE)
    tasks = [TOTAL, HEAD_GLANDS] if head_glands else [TOTAL]
    maps = []
    with tempfile.TemporaryDirectory(prefix="psma-organs-") as name:
        folder = Path(name)
        program = _with_version(program, folder, cancel)
        sitk.WriteImage(ct, str(folder / "ct.nii.gz"))
        for number, task in enumerate(tasks):
            progress((number + 0.1) / len(tasks), f"TotalSegmentator: task {task}")
            options = ["--fast"] if fast and task == TOTAL else []
            labels = _run_task(program, folder, task, [*options, "--device", device], ct, cancel)
            if sitk.GetArrayViewFromImage(labels).any():  # the head may lie outside of the CT
                maps.append(organ_map_by_table(labels, task))
    if not maps:
        raise ValueError("TotalSegmentator found no organ in the CT. Check that the CT is in HU and shows a patient.")
    organs = functools.reduce(merged, maps)
    progress(1.0, f"{len(organs.names)} organs")
    return OrganMap(organs.labels, organs.names, program.source)


def _with_version(program: Program, folder: Path, cancel: Callable[[], bool] | None) -> Program:
    """The program with its version; ValueError for one whose values may mean other organs than the tables say."""
    version = program.version
    if not version:
        _run([*program.command, "--version"], folder, cancel)
        found = re.search(r"\d+\.\d+[\w.]*", (folder / "output.txt").read_text(encoding="utf-8", errors="replace"))
        version = found.group() if found else ""
    if version.split(".")[0] != _KNOWN_MAJOR:
        raise ValueError(
            f"TotalSegmentator is there in version {version or 'unknown'}; its values are known for version "
            f"{_KNOWN_MAJOR} only. Make the organ map yourself, and give it as a file with a table of its values."
        )
    return replace(program, version=version)


def _run_task(
    program: Program,
    folder: Path,
    task: str,
    options: Sequence[str],
    ct: sitk.Image,
    cancel: Callable[[], bool] | None,
) -> sitk.Image:
    """Label image (uint16) of one task, on the grid of the CT."""
    written = folder / f"{task}.nii.gz"
    arguments = ["-i", str(folder / "ct.nii.gz"), "-o", str(written), "--ml", "--task", task, *options]
    _run([*program.command, *arguments], folder, cancel)
    if not written.is_file():
        raise ValueError(f"TotalSegmentator wrote no result for the task {task}. {_last_lines(folder)}")
    labels = sitk.ReadImage(str(written))
    if not same_grid(labels, sitk.ReadImage(str(folder / "ct.nii.gz"))):
        raise ValueError(
            f"What TotalSegmentator wrote for the task {task} lies on another grid ({describe_grid(labels)}) than the "
            f"CT ({describe_grid(ct)}). Make the organ map yourself, and give it as a file."
        )
    labels = sitk.Cast(labels, sitk.sitkUInt16)
    labels.CopyInformation(ct)  # the header of a NIfTI rounds
    return labels


def _run(command: Sequence[str], folder: Path, cancel: Callable[[], bool] | None) -> None:
    """Run a program under guard, so that it ends with this process, and with what it started when it is cancelled."""
    guard = Path(__file__).with_name("child_guard.py")
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(guard), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(folder),
        )
    assert child.stdin is not None  # a pipe was asked for
    try:
        while child.poll() is None:
            if cancel is not None and cancel():
                raise SegmentationCancelled("TotalSegmentator was cancelled.")
            time.sleep(_POLL_S)
    finally:
        child.stdin.close()  # tells the guard to end the program, where it still runs
        child.wait()
    if child.returncode:
        raise ValueError(f"TotalSegmentator ended with code {child.returncode}. {_last_lines(folder)}")


def _environment(folder: Path) -> dict[str, str]:
    """Own settings without usage statistics, the weights that are there, and no way to the network."""
    home = folder / "settings"
    home.mkdir(exist_ok=True)
    settings = {"totalseg_id": "", "send_usage_stats": False, "prediction_counter": 0}
    (home / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _NO_NETWORK)
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    return {
        **kept,
        **proxies,
        "TOTALSEG_HOME_DIR": str(home),
        "TOTALSEG_WEIGHTS_PATH": str(_weights_folder()),
    }


def _weights_folder() -> Path:
    """Where TotalSegmentator looks for its weights."""
    if "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = os.environ.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def _last_lines(folder: Path) -> str:
    text = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "It said: " + " / ".join(lines[-_SHOWN_LINES:]) if lines else "It said nothing."
