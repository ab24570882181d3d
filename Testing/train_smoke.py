"""``make train-smoke``: train, be killed, go on, export, and ask the exported network, on small made-up organ maps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from organ_map_files import write_organ_maps
from PSMASegmentLib.networks.click_network import load_program, run_program
from PSMASegmentLib.networks.package import read_package

LONGEST_S = 300.0


def main() -> int:
    """Run it in a folder of its own; 0 where all went well, an exception where not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_organ_maps(folder / "organ-maps", men=3)
        config = Path(shutil.copy(Path(__file__).with_suffix(".yaml"), folder))
        killed_after = kill_in_the_middle(config, folder / "run" / "checkpoint.pt")
        print(f"Killed after {killed_after:.0f} s of training")
        done = run(config)
        package = read_package(Path(done["package"]))
        network = load_program(package.network_file.read_bytes())
        shape = (package.voxels,) * 3
        answer = run_program(network, np.zeros((len(package.channels), *shape), np.float32), package.flips)
        assert answer.shape == shape and np.isfinite(answer).all()
        print(f"{done['rounds']} of {done['of']} rounds; {package.name}: {dict(package.metrics)}")
    return 0


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
