"""Painting: what a scanner makes of a man, with NumPy and torch, beside the functions that studies are painted with.

Run it with ``python Testing/Benchmarks/bench_painting.py``. The tissue is synthetic: boxes of organs in muscle, as
large as a crop with its margin and as a whole man on voxels of 4 mm and of 4.07, 4.07 and 2 mm. Times are milliseconds
of uptake, blur and noise together: wall, and of the processor, which other work on the machine does not lengthen. A GPU
is measured where torch finds one, images brought back from it included. The last column is the largest difference in
SUV from what NumPy paints.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from PSMASegmentLib.phantom.canvas import Array, Point
from PSMASegmentLib.phantom.device_painter import paint
from PSMASegmentLib.phantom.hash_noise import arrays_on
from PSMASegmentLib.phantom.organ_map_body import Block, organ_uptake
from PSMASegmentLib.phantom.organ_map_painting import measured
from PSMASegmentLib.phantom.tissues import Tissue, draw_uptake

VOLUMES = (
    ("crop", (80, 80, 80), (4.0, 4.0, 4.0)),
    ("man, 4 mm", (250, 80, 130), (4.0, 4.0, 4.0)),
    ("man, 2 mm slices", (450, 80, 130), (4.07, 4.07, 2.0)),
)
SIGMA_MM, NOISE, TIMES = 2.5, 0.2, 5


def synthetic_block(shape: tuple[int, int, int], spacing: Point) -> Block:
    """Boxes of all tissues in muscle."""
    rng = np.random.default_rng(3)
    codes = np.full(shape, int(Tissue.MUSCLE), np.uint8)
    for tissue in list(Tissue) * 4:
        start = [int(rng.integers(n)) for n in shape]
        codes[tuple(slice(s, s + int(rng.integers(4, 24))) for s in start)] = int(tissue)
    x, y, z = (np.arange(n) * step for n, step in zip(shape[::-1], spacing, strict=True))
    return Block(codes, np.zeros(shape, np.int16), (slice(None),) * 3, (x, y, z), spacing)


def timed(call: Callable[[], Array]) -> tuple[float, float, Array]:
    """Wall and processor time of one call in milliseconds, after one that warms up, and what it gives."""
    result = call()
    wall, busy = time.perf_counter(), time.process_time()
    for _ in range(TIMES):
        result = call()
    return 1e3 * (time.perf_counter() - wall) / TIMES, 1e3 * (time.process_time() - busy) / TIMES, result


def devices() -> list[str | None]:
    """NumPy, and where torch is installed the CPU and a GPU by it."""
    try:
        import torch
    except ImportError:
        return [None]
    return [None, "cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def main() -> None:
    uptake = draw_uptake(np.random.default_rng(1), "68Ga-PSMA-11")
    table = np.zeros(256, np.float32)
    for tissue, value in uptake.items():
        table[int(tissue)] = value
    print(f"{'volume':>18} {'painted by':>12} {'wall ms':>9} {'CPU ms':>9} {'differs by SUV':>15}")
    for name, shape, spacing in VOLUMES:
        block, rng = synthetic_block(shape, spacing), np.random.default_rng(2)
        wall, busy, _ = timed(lambda: measured(organ_uptake(block, uptake, rng), block, SIGMA_MM, NOISE, rng)[1])  # noqa: B023
        print(f"{name:>18} {'measured':>12} {wall:9.1f} {busy:9.1f} {'other noise':>15}")
        first = None
        for device in devices():
            arrays = arrays_on(device)
            wall, busy, image = timed(
                lambda: arrays.host(paint(block.tissue, table, (), SIGMA_MM, spacing, NOISE, 1, device))  # noqa: B023
            )
            first = image if first is None else first
            away = np.abs(image - first).max()
            print(f"{name:>18} {device or 'numpy':>12} {wall:9.1f} {busy:9.1f} {away:15.1e}")


if __name__ == "__main__":
    main()
