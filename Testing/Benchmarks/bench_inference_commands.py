"""The commands of nnU-Net and ours, from images on disk to labels on disk, with the same weights: time and memory.

Run it with ``python Testing/Benchmarks/bench_inference_commands.py [small|whole|large] [THREADS]`` (small, 1). Grids
and model are those of ``bench_inference.py``; nnU-Net's command is looked for beside this Python and in PATH. Memory is
that of all processes of a command together (each shared page counted once), looked at ten times a second; CPU seconds
are those of all of them too, with the start of Python and all imports. ``nnUNetv2_predict_from_modelfolder`` runs as it
comes, with its processes for reading and writing. ``psma segment`` also measures and stores the lesions. The weights
are random, with a bias for background. Linux only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import SimpleITK as sitk
from bench_inference import GRIDS, write_model, write_study
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

PATIENT = Patient("SYNTHETIC-BENCH")
PEER = "nnUNetv2_predict_from_modelfolder"
MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
TICK_S = 0.1
BACKGROUND = 20.0


def main(size: str, threads: int) -> None:
    """Print one row for each command."""
    (x, y, z), spacing, patch = GRIDS[size]
    target = tuple(0.8 * s if size == "small" else 3.0 for s in reversed(spacing))
    print(f"{x} x {y} x {z} voxels of {spacing} mm, 2 channels, windows of {patch}, {threads} thread(s)")
    print(f"{'command':>34} {'wall s':>8} {'CPU s':>8} {'peak MB':>8} {'processes':>9}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        write_model(base, patch, target)
        write_study(base, (z, y, x), spacing)
        prefer_background(base / "model" / MODEL)
        for title, command in commands(base).items():
            print(f"{title:>34} {measured(command, threads)}", flush=True)


def commands(base: Path) -> Mapping[str, list[str]]:
    """The commands to compare; the peer is left out by name where it is not installed."""
    model = base / "model" / MODEL
    found: dict[str, list[str]] = {}
    peer = shutil.which(PEER, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if peer is None:
        print(f"{PEER:>34} is not installed")
    else:
        inputs = base / "inputs"
        inputs.mkdir()
        for file in base.glob("case_*.nii.gz"):
            shutil.copy(file, inputs)
        found[PEER] = [peer, "-i", str(inputs), "-o", str(base / "out"), "-m", str(model), "-f", "0", "-device", "cpu"]
    for engine in ("torchscript", "openvino"):
        case = base / f"case_{engine}"
        write_case(case, base)
        settings = {"channels": ["ct", "emission"], "class_map": {"lesion": [1, 2]}, "engine": engine}
        folder = base / f"model_{engine}" / MODEL
        shutil.copytree(model, folder)
        (folder / "psma.json").write_text(json.dumps(settings), encoding="utf-8")
        psma = [str(Path(sys.executable).parent / "psma"), "segment", str(case), "--method", f"nnunet:{folder}"]
        found[f"psma segment, {engine}"] = [*psma, "--quiet"]
    return found


def measured(command: list[str], threads: int) -> str:
    """Run a command: its costs as part of a row. Raises RuntimeError where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "nnUNet_compile": "f"}
    before, started = os.times(), time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = [0.0, 0]
    watch(process.pid, process.poll, peak)
    _, said = process.communicate()
    wall, after = time.perf_counter() - started, os.times()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {said[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return f"{wall:8.1f} {cpu:8.1f} {peak[0]:8.0f} {peak[1]:9.0f}"


def watch(session: int, poll: Callable[[], int | None], peak: list[float]) -> None:
    """Look at the processes of a session in the background until its first one ends."""

    def look() -> None:
        while poll() is None:
            sizes = [size for size in map(proportional_mb, of_session(session)) if size]
            peak[0], peak[1] = max(peak[0], sum(sizes)), max(peak[1], len(sizes))
            time.sleep(TICK_S)

    threading.Thread(target=look, daemon=True).start()


def of_session(session: int) -> list[Path]:
    """Folders in /proc of the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                    found.append(entry)
            except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
                continue
    return found


def proportional_mb(process: Path) -> float:
    """Memory of a process, pages that several share divided among them; 0 for one that has ended."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024.0 for line in lines if line.startswith("Pss:")), 0.0)


def prefer_background(model: Path) -> None:
    """Raise the bias of background at every output, so that random weights do not mark half of the body."""
    import torch

    path = model / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=True)
    for name, weights in content["network_weights"].items():
        if "seg_layers" in name and name.endswith("bias"):
            weights[0] += BACKGROUND
    torch.save(content, path)


def write_case(folder: Path, base: Path) -> None:
    """A case of one study."""
    ct, emission = (sitk.ReadImage(str(base / f"case_{number:04d}.nii.gz")) for number in range(2))
    emission = sitk.Clamp(emission, sitk.sitkFloat32, 0.0)
    uids = tuple(f"1.4.{plane}" for plane in range(emission.GetDepth()))
    origin = DicomOrigin("1.1", "1.2", "1.3", "1.4", uids)
    study = Study(
        PATIENT,
        datetime(2024, 1, 1),
        "PET",
        "68Ga-PSMA-11",
        emission,
        Scaling("SUVbw", 1.0, "none"),
        origin,
        "synthetic",
        "1",
        ct=sitk.Cast(ct, sitk.sitkInt16),
    )
    with CaseStore.create(folder, PATIENT) as case:
        case.add_study(study)


if __name__ == "__main__":
    chosen, count = (sys.argv[1:3] + ["small", "1"][len(sys.argv[1:3]) :])[:2]
    main(chosen, int(count))
