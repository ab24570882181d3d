"""Measures of 300 lesions in boxes against whole-volume passes of a peer, and the rules on a whole body.

Run it with ``python Testing/Benchmarks/bench_measure.py``. Times are wall seconds, the best of three; the ratios are
what counts, since machines differ.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.measure import PEAK_RADIUS_MM, components, measure_lesions, sphere_offsets
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from analytic_body import Ellipsoid, make_body

SIZE_XYZ = (168, 168, 350)
SPACING = (4.07, 4.07, 3.0)
LESIONS = 300


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Best wall time of a few runs."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def scattered_lesions() -> tuple[sitk.Image, sitk.Image]:
    """A synthetic emission image with balls of 0.05 to 60 mL, and their mask."""
    rng = np.random.default_rng(5)
    shape = SIZE_XYZ[::-1]
    mask = np.zeros(shape, dtype=np.uint8)
    for _ in range(LESIONS):
        radius = float(np.clip((rng.lognormal(0.0, 1.3) * 1000 * 3 / 4 / np.pi) ** (1 / 3), 2.5, 24.0))
        reach = np.ceil(radius / np.array(SPACING[::-1])).astype(int)
        center = [int(rng.integers(r, n - r)) for r, n in zip(reach, shape, strict=True)]
        grid = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
        ball = sum((g * s) ** 2 for g, s in zip(grid, SPACING[::-1], strict=True)) <= radius**2
        box = tuple(slice(c - r, c + r + 1) for c, r in zip(center, reach, strict=True))
        mask[box] |= ball
    uptake = ndimage.gaussian_filter(mask * 15.0 + 0.5, 0.7) * (1 + 0.1 * rng.standard_normal(shape))
    images = []
    for values in (uptake.astype(np.float32), mask):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(SPACING)
        images.append(image)
    return images[0], images[1]


def peer_statistics(uptake: np.ndarray, labels: np.ndarray) -> None:
    """The same numbers but SUVpeak by scipy.ndimage over the whole volume."""
    numbers = np.arange(1, int(labels.max()) + 1)
    ndimage.sum_labels(uptake, labels, numbers)
    ndimage.mean(uptake, labels, numbers)
    ndimage.maximum(uptake, labels, numbers)
    ndimage.maximum_position(uptake, labels, numbers)
    ndimage.center_of_mass(labels > 0, labels, numbers)


def peer_peak(uptake: np.ndarray, labels: np.ndarray) -> None:
    """SUVpeak by correlating the whole volume with the sphere."""
    offsets = sphere_offsets(SPACING, PEAK_RADIUS_MM)
    reach = offsets.max(axis=0)
    kernel = np.zeros(2 * reach + 1)
    kernel[tuple((offsets + reach).T)] = 1.0 / len(offsets)
    means = ndimage.correlate(uptake, kernel, mode="constant")
    ndimage.maximum(means, labels, np.arange(1, int(labels.max()) + 1))


def main() -> None:
    emission, mask = scattered_lesions()
    labels = components(mask)
    uptake, numbers = sitk.GetArrayFromImage(emission), sitk.GetArrayFromImage(labels)
    body = make_body([Ellipsoid((0, 15, 200), (12, 12, 12), 15.0)], spacing_mm=3.5, z_range=(-450.0, 560.0))
    with_map = Images(body.emission, "SUVbw", "", organs=body.organs)
    with_ct = Images(body.emission, "SUVbw", "", ct=body.ct)
    engine = SegmentationEngine()
    ours = seconds(lambda: measure_lesions(emission, labels))
    rows = [
        ("components, SimpleITK (ours)", seconds(lambda: components(mask))),
        ("components, scipy.ndimage.label", seconds(lambda: ndimage.label(mask_array(mask), np.ones((3, 3, 3))))),
        (f"measures of {int(numbers.max())} lesions with SUVpeak, boxes (ours)", ours),
        ("measures without SUVpeak, scipy.ndimage", seconds(lambda: peer_statistics(uptake, numbers), 1)),
        ("SUVpeak alone, whole-volume correlation", seconds(lambda: peer_peak(uptake, numbers), 1)),
        ("rules without organ map", seconds(lambda: engine.segment(Images(body.emission, "SUVbw", "")))),
        ("rules with organ map", seconds(lambda: engine.segment(with_map))),
        ("rules with CT", seconds(lambda: engine.segment(with_ct))),
    ]
    print(f"lesions on {' x '.join(map(str, SIZE_XYZ))}, body {' x '.join(map(str, body.emission.GetSize()))}")
    print(f"{'what':58} {'seconds':>8} {'against measures':>17}")
    for what, duration in rows:
        print(f"{what:58} {duration:8.3f} {duration / ours:16.1f}x")


def mask_array(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayViewFromImage(mask)


if __name__ == "__main__":
    main()
