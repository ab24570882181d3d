"""``make train-smoke``: train, be killed, go on, export, and ask the exported network, for each kind of network.

The organ maps are made up: those of the reference man, wider and narrower.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from organ_map_files import patients
from organ_map_maker import NAMES
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.networks.click_network import load_program, run_program
from PSMASegmentLib.networks.package import read_any_package, read_package
from study_crop_men import write_map

LONGEST_S = 600.0
CONFIGS = ("train_smoke.yaml", "train_smoke_segmentation.yaml")


def main() -> int:
    """Run it in a folder of its own; 0 where all went well, an exception where not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_maps(folder / "organ-maps")
        for config in CONFIGS:
            package, done = trained(Path(shutil.copy(Path(__file__).with_name(config), folder)))
            kind = json.loads((package / "model.json").read_text(encoding="utf-8"))["kind"]
            {"click": ask_click, "segmentation": ask_study}[kind](package)
            print(f"{kind}: {done['rounds']} of {done['of']} rounds; {dict(read_any_package(package).metrics)}")
    return 0


def write_maps(folder: Path) -> None:
    """Organ maps of two men to train on and of one held out, with the names of their organs."""
    for number, patient in enumerate(patients(2, False) + patients(1, True)):
        write_map(folder, patient, 1.0 + 0.04 * number)
    rows = ["value,organ", *(f"{value},{name}" for value, name in NAMES.items())]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def trained(config: Path) -> tuple[Path, dict]:
    """Train, kill it, go on to the end: the package and what the command reports."""
    killed_after = kill_in_the_middle(config, config.parent / "runs" / config.stem / "checkpoint.pt")
    print(f"{config.name}: killed after {killed_after:.0f} s of training")
    done = run(config)
    return Path(done["package"]), done


def ask_click(folder: Path) -> None:
    """An empty question has an answer of its size."""
    package = read_package(folder)
    network = load_program(package.network_file.read_bytes())
    shape = (package.voxels,) * 3
    answer = run_program(network, np.zeros((len(package.channels), *shape), np.float32), package.flips)
    assert answer.shape == shape and np.isfinite(answer).all()


def ask_study(folder: Path) -> None:
    """A study with one hot ball has labels on its grid."""
    z, y, x = np.meshgrid(*[np.arange(48.0) - 24.0] * 3, indexing="ij", sparse=True)
    emission = sitk.GetImageFromArray(np.where(z**2 + y**2 + x**2 < 16.0, 15.0, 0.5).astype(np.float32))
    emission.SetSpacing((4.0, 4.0, 3.0))
    os.environ["PSMA_MODELS"] = str(folder.parent)
    name = json.loads((folder / "model.json").read_text(encoding="utf-8"))["name"]
    engine = SegmentationEngine(confirm=lambda question: True)
    found = engine.segment(Images(emission, "SUVbw", "68Ga-PSMA-11"), f"package:{name}")
    assert found.labels.GetSize() == emission.GetSize() and found.provenance["package"] == name


def command(config: Path) -> list[str]:
    """``psma train`` of this environment."""
    return [sys.executable, "-m", "PSMATheranosticsLib.command_line", "train", str(config), "--json"]


def kill_in_the_middle(config: Path, checkpoint: Path) -> float:
    """Start training and kill it, without warning, once it has a checkpoint; seconds it ran."""
    started = time.monotonic()
    with subprocess.Popen(command(config), stdout=subprocess.DEVNULL) as process:
        while not checkpoint.exists():
            assert process.poll() is None, "training ended before it could be killed"
            assert time.monotonic() - started < LONGEST_S, "no checkpoint was written"
            time.sleep(0.05)
        process.kill()
    assert process.returncode != 0
    return time.monotonic() - started


def run(config: Path) -> dict:
    """Go on to the end; what the command reports."""
    lines = subprocess.run(command(config), check=True, capture_output=True, text=True, timeout=LONGEST_S).stdout
    last = json.loads(lines.splitlines()[-1])
    assert last["event"] == "done", last
    return last["result"]


if __name__ == "__main__":
    sys.exit(main())
