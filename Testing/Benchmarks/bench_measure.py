"""Components, finish and measures of 300 lesions against whole-volume passes of peers; the rules on a whole body.

Run it with ``python Testing/Benchmarks/bench_measure.py [--large]``; with ``--large`` on a grid of 400 x 400 x 700 in
place of 168 x 168 x 350, without the peers, which take minutes there, and without the rules. Times are wall seconds
and, beside them, CPU seconds, the best of three each; the ratios are what counts, since machines differ.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.inference.finish import finish
from PSMASegmentLib.inference.finish_settings import FinishSettings
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.measure import PEAK_RADIUS_MM, components, measure_lesions, sphere_offsets
from PSMASegmentLib.rules import RULE_SETS
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from analytic_body import Body, Ellipsoid, make_body

SIZE_XYZ, LARGE_XYZ = (168, 168, 350), (400, 400, 700)
SPACING, LARGE_SPACING = (4.07, 4.07, 3.0), (2.04, 2.04, 1.5)
LESIONS = 300
BORDERS = FinishSettings(threshold=0.1, expand_mm=4.2, border=0.38, blur_mm=6.5, low_probability=0.7)

Seconds = tuple[float, float]


def seconds(work: Callable[[], object], times: int = 3) -> Seconds:
    """Best wall and CPU time of a few runs."""
    wall, cpu = float("inf"), float("inf")
    for _ in range(times):
        start, begun = time.perf_counter(), time.process_time()
        work()
        wall, cpu = min(wall, time.perf_counter() - start), min(cpu, time.process_time() - begun)
    return wall, cpu


def scattered_lesions(
    size_xyz: tuple[int, int, int] = SIZE_XYZ, spacing: tuple[float, float, float] = SPACING
) -> tuple[sitk.Image, sitk.Image]:
    """A synthetic emission image with balls of 0.05 to 60 mL, and their mask."""
    rng = np.random.default_rng(5)
    shape = size_xyz[::-1]
    mask = np.zeros(shape, dtype=np.uint8)
    for _ in range(LESIONS):
        radius = float(np.clip((rng.lognormal(0.0, 1.3) * 1000 * 3 / 4 / np.pi) ** (1 / 3), 2.5, 24.0))
        reach = np.ceil(radius / np.array(spacing[::-1])).astype(int)
        center = [int(rng.integers(r, n - r)) for r, n in zip(reach, shape, strict=True)]
        grid = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
        ball = sum((g * s) ** 2 for g, s in zip(grid, spacing[::-1], strict=True)) <= radius**2
        box = tuple(slice(c - r, c + r + 1) for c, r in zip(center, reach, strict=True))
        mask[box] |= ball
    uptake = ndimage.gaussian_filter(mask * 15.0 + 0.5, 0.7) * (1 + 0.1 * rng.standard_normal(shape))
    images = []
    for values in (uptake.astype(np.float32), mask):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(spacing)
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


def lesion_rows(emission: sitk.Image, mask: sitk.Image) -> list[tuple[str, Seconds]]:
    """Everything that is done on the lesions of a network's mask."""
    labels = components(mask)
    nothing = sitk.Image(mask.GetSize(), sitk.sitkUInt8)
    nothing.CopyInformation(mask)
    raw = RawResult(mask, physiology=nothing, provenance={"method": "bench"})
    images = Images(emission, "SUVbw", "68Ga-PSMA-11")
    count = int(sitk.GetArrayViewFromImage(labels).max())
    return [
        (f"measures of {count} lesions with SUVpeak (ours)", seconds(lambda: measure_lesions(emission, labels))),
        ("components (ours)", seconds(lambda: components(mask))),
        ("finish of a network's mask without organs (ours)", seconds(lambda: finish(images, raw))),
        ("the same with borders drawn anew, as for psma-pet-2", seconds(lambda: finish(images, raw, BORDERS))),
    ]


def peer_rows(emission: sitk.Image, mask: sitk.Image) -> list[tuple[str, Seconds]]:
    """The same by passes over the whole volume."""
    uptake, numbers = sitk.GetArrayFromImage(emission), sitk.GetArrayFromImage(components(mask))
    return [
        ("components, SimpleITK", seconds(lambda: sitk.ConnectedComponent(mask, True))),
        ("components, scipy.ndimage.label", seconds(lambda: ndimage.label(mask_array(mask), np.ones((3, 3, 3))))),
        ("measures without SUVpeak, scipy.ndimage", seconds(lambda: peer_statistics(uptake, numbers), 1)),
        ("SUVpeak alone, whole-volume correlation", seconds(lambda: peer_peak(uptake, numbers), 1)),
    ]


def rule_rows(body: Body) -> list[tuple[str, Seconds]]:
    """Every rule set on a whole body, with and without organ map."""
    engine = SegmentationEngine()
    rows = []
    for rule_set in RULE_SETS:
        for organs, what in ((None, "CT"), (body.organs, "CT and organ map")):
            images = Images(body.emission, "SUVbw", "68Ga-PSMA-11", body.ct, organs)
            settings = {"rule_set": rule_set}
            work = functools.partial(engine.segment, images, settings=settings)
            rows.append((f"rules {rule_set}, with {what}", seconds(work)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="400 x 400 x 700 voxels, lesions only")
    large = parser.parse_args().large
    emission, mask = scattered_lesions(*((LARGE_XYZ, LARGE_SPACING) if large else ()))
    rows = lesion_rows(emission, mask)
    if not large:
        body = make_body([Ellipsoid((0, 15, 200), (12, 12, 12), 15.0)], spacing_mm=3.5, z_range=(-450.0, 560.0))
        rows += [*peer_rows(emission, mask), *rule_rows(body)]
        print(f"body {' x '.join(map(str, body.emission.GetSize()))}")
    print(f"lesions on {' x '.join(map(str, emission.GetSize()))}")
    print(f"{'what':58} {'wall s':>8} {'CPU s':>8} {'against measures':>17}")
    ours = rows[0][1][0]
    for what, (wall, cpu) in rows:
        print(f"{what:58} {wall:8.3f} {cpu:8.3f} {wall / ours:16.1f}x")


def mask_array(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayViewFromImage(mask)


if __name__ == "__main__":
    main()
