"""Refining a click with the shipped network on the CPU: load, question, answer and what is made of it.

Run it with ``python Testing/Benchmarks/bench_click_network.py [THREADS]`` (default 1). The studies are the synthetic
ones of ``bench_growth``. Times are milliseconds of one refined click: wall, and of the processor, which other work on
the machine does not lengthen.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from bench_growth import GRIDS, synthetic_study
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.networks.click_finish import finish_click
from PSMASegmentLib.networks.click_network import ClickNetwork
from PSMASegmentLib.networks.click_request import click_request
from PSMASegmentLib.networks.package import installed_packages
from PSMASegmentLib.networks.request import request_from_json
from scipy import ndimage

CLICKS = 100


def main(threads: int) -> None:
    """Print one row for each grid."""
    package = installed_packages("click")[0]
    started = time.perf_counter()
    network = ClickNetwork.load(package, threads=threads)
    print(f"{package.name}, {threads} threads; torch and network loaded in {time.perf_counter() - started:.1f} s")
    print(f"{'grid':>15} {'step':>10} {'median':>8} {'worst':>8} {'median CPU':>11} {'worst CPU':>10}   (ms)")
    for size_xyz, spacing_xyz in GRIDS:
        study, labels = synthetic_study(size_xyz, spacing_xyz)
        boxes = ndimage.find_objects(labels)
        rng = np.random.default_rng(5)
        lesions = rng.choice(np.unique(labels[labels > 0]), CLICKS)
        rows: dict[str, list[tuple[float, float]]] = {"question": [], "JSON": [], "answer": [], "finish": [], "all": []}
        for lesion in lesions:
            box = boxes[int(lesion) - 1]
            inside = np.argwhere(labels[box] == lesion) + [part.start for part in box]
            z, y, x = (int(i) for i in inside[int(rng.integers(len(inside)))])
            marks = [mark()]
            request = click_request(study, labels, int(lesion), [Click((z, y, x))])
            marks.append(mark())
            request = request_from_json(json.loads(json.dumps(request.to_json())))
            marks.append(mark())
            probability = network.probability(request)
            marks.append(mark())
            finish_click(study, labels, request, probability)
            marks.append(mark())
            for name, before, after in zip(rows, marks, marks[1:], strict=False):
                rows[name].append((after[0] - before[0], after[1] - before[1]))
            rows["all"].append((marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]))
        for name, times in rows.items():
            wall, cpu = 1000.0 * np.array(times).T
            grid = "x".join(map(str, size_xyz))
            numbers = f"{np.median(wall):8.1f} {wall.max():8.1f} {np.median(cpu):11.1f} {cpu.max():10.1f}"
            print(f"{grid:>15} {name:>10} {numbers}")


def mark() -> tuple[float, float]:
    """Now, on the clock on the wall and on that of the processor, in s."""
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
