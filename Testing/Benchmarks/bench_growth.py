"""One click: how long the growth takes on grids of a whole body, over a thousand clicks each.

Run it with ``python Testing/Benchmarks/bench_growth.py``. The body is synthetic: noise, and balls with a blur of
6 mm, 0.1 to 60 mL and of 3 to 40 times the background. Half of the clicks are on new uptake, a quarter each beside
lesions that are there (growth) and inside them (removal). Times are milliseconds of one ``apply_click``: wall, and
of the processor, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import time

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.clicks.click import Click, Labels
from PSMASegmentLib.clicks.growth import apply_click
from PSMASegmentLib.clicks.study import ClickStudy, click_study
from scipy import ndimage

GRIDS = (((168, 168, 350), (4.07, 4.07, 3.0)), ((400, 400, 700), (1.65, 1.65, 1.65)))
LESIONS = 300
CLICKS = 1000
_TILE = 64


def synthetic_study(
    size_xyz: tuple[int, int, int], spacing_xyz: tuple[float, float, float]
) -> tuple[ClickStudy, Labels]:
    """A study of noise and balls, and the balls as labels (z, y, x); one corner of each label is cut off."""
    rng = np.random.default_rng(11)
    shape, spacing = size_xyz[::-1], np.array(spacing_xyz[::-1])
    noise = ndimage.gaussian_filter(rng.standard_normal((_TILE,) * 3), 4.0 / 2.355 / spacing, mode="wrap")
    tile = (1.0 + 0.1 * noise / noise.std()).astype(np.float32)
    uptake = np.tile(tile, [n // _TILE + 1 for n in shape])[tuple(slice(n) for n in shape)]
    labels = np.zeros(shape, np.uint16)
    for lesion in range(1, LESIONS + 1):
        radius = float((np.clip(rng.lognormal(0.3, 1.3), 0.1, 60.0) * 1000 * 3 / 4 / np.pi) ** (1 / 3))
        reach = np.ceil((radius + 10.0) / spacing).astype(int)
        center = [int(rng.integers(r, n - r)) for r, n in zip(reach, shape, strict=True)]
        grid = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
        distance = np.sqrt(sum((g * s) ** 2 for g, s in zip(grid, spacing, strict=True)))
        ball = ndimage.gaussian_filter((distance <= radius).astype(np.float32), 6.0 / 2.355 / spacing)
        box = tuple(slice(c - r, c + r + 1) for c, r in zip(center, reach, strict=True))
        part = labels[box]
        if not part.any():
            uptake[box] += float(rng.uniform(3.0, 40.0)) * ball * tile[0, 0, 0]
            part[distance <= radius] = lesion
    emission = sitk.GetImageFromArray(uptake)
    emission.SetSpacing(spacing_xyz)
    return click_study(emission), labels


def clicks_of(labels: Labels, rng: np.random.Generator) -> list[tuple[Labels, Click]]:
    """Clicks in turn on lesions that are not labeled yet, beside and inside lesions that are."""
    nothing = np.zeros_like(labels)
    boxes = [(n, box) for n, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None]
    clicks = []
    for number in range(CLICKS):
        lesion, box = boxes[int(rng.integers(len(boxes)))]
        inside = labels[box] == lesion
        if number % 4 == 2:
            wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)
            own = labels[wide] == lesion
            rim = np.argwhere(ndimage.binary_dilation(own) & (labels[wide] == 0))
            index = rim[int(rng.integers(len(rim)))] + [part.start for part in wide]
        else:
            where = np.argwhere(inside)
            index = where[int(rng.integers(len(where)))] + [part.start for part in box]
        z, y, x = (int(i) for i in index)
        clicks.append((nothing if number % 2 else labels, Click((z, y, x), positive=number % 4 != 0)))
    return clicks


def main() -> None:
    print(f"{'':38} {'wall ms':>26} {'processor ms':>26}")
    print(f"{'grid':14} {'clicks':23}" + 2 * f"{'median':>10}{'95 %':>8}{'worst':>8} ")
    for size, spacing in GRIDS:
        start = time.perf_counter()
        study, labels = synthetic_study(size, spacing)
        made = time.perf_counter() - start
        times: dict[str, list[tuple[float, float]]] = {}
        for before, click in clicks_of(labels, np.random.default_rng(3)):
            start, work = time.perf_counter(), time.process_time()
            result = apply_click(study, before, click, LESIONS + 1)
            took = 1000.0 * (time.perf_counter() - start), 1000.0 * (time.process_time() - work)
            for kind in ("all", result.outcome):
                times.setdefault(kind, []).append(took)
        for kind, values in times.items():
            columns = [(np.median(v), np.percentile(v, 95), max(v)) for v in zip(*values, strict=True)]
            row = " ".join(f"{median:10.1f}{high:8.1f}{worst:8.1f}" for median, high, worst in columns)
            print(f"{'x'.join(str(n) for n in size):14} {f'{kind} ({len(values)})':23}{row}")
        print(f"(the body took {made:.0f} s to make)")


if __name__ == "__main__":
    main()
