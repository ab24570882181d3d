"""Rules on several studies of a case: images read ahead in a thread, and one study after the other without that.

Run it with ``python Testing/Benchmarks/bench_batch.py [STUDIES] [ROUNDS]`` (3, 3). Each study is a synthetic whole-body
PET of 168 x 168 x 350 and a CT of 512 x 512 x 350 voxels. Both ways take turns with settings that no round had before;
"own" are CPU seconds of the thread that segments: what a study takes where the reader has a core of its own.
Other work lengthens wall seconds, not those; on a machine whose cores are all busy there is nothing to gain.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.pipeline import segment_studies, segment_study
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

PET = (350, 168, 168), (3.0, 4.07, 4.07)
CT = (350, 512, 512), (3.0, 4.07 * 168 / 512, 4.07 * 168 / 512)
PATIENT = Patient("SYNTHETIC-BENCH")


def main(count: int, rounds: int) -> None:
    """Print a row for each round and the ratio of all."""
    with tempfile.TemporaryDirectory() as folder, CaseStore.create(Path(folder) / "case", PATIENT) as case:
        for number in range(count):
            case.add_study(study(number))
        totals = {"one by one": np.zeros(3), "read ahead": np.zeros(3)}
        print(f"{count} studies, seconds of a study\n{'way':>12} {'wall':>7} {'CPU':>7} {'own':>7}")
        for turn in range(rounds):
            for number, (way, work) in enumerate(zip(totals, (one_by_one, read_ahead), strict=True)):
                spent = seconds(work, case, 3.0 + 0.2 * turn + 0.1 * number)
                totals[way] += spent
                wall, cpu, own = spent / count
                print(f"{way:>12} {wall:7.2f} {cpu:7.2f} {own:7.2f}", flush=True)
        wall, cpu, own = totals["read ahead"] / totals["one by one"]
        print(f"{'ratio':>12} {wall:7.2f} {cpu:7.2f} {own:7.2f}")


def seconds(work: Callable[[CaseStore, float], None], case: CaseStore, threshold: float) -> np.ndarray:
    """Wall seconds, CPU seconds of all threads and of this one."""
    clocks = (time.perf_counter, time.process_time, time.thread_time)
    begun = [clock() for clock in clocks]
    work(case, threshold)
    return np.array([clock() - start for clock, start in zip(clocks, begun, strict=True)])


def one_by_one(case: CaseStore, threshold: float) -> None:
    """Each study reads its images when it needs them."""
    for each in case.studies():
        segment_study(case, each.study_id, settings={"rule_set": "suv3", "threshold": threshold})


def read_ahead(case: CaseStore, threshold: float) -> None:
    """As commands do it."""
    segment_studies(case, settings={"rule_set": "suv3", "threshold": threshold})


def study(number: int) -> Study:
    """An elliptic body with hot balls, and noise."""
    rng = np.random.default_rng(number)
    uptake = body(PET[0]).astype(np.float32) * np.abs(1 + 0.2 * rng.standard_normal(PET[0], np.float32))
    for middle in rng.uniform(0.25, 0.75, (40, 3)) * PET[0]:
        low = middle.astype(int) - 4
        uptake[low[0] : low[0] + 9, low[1] : low[1] + 7, low[2] : low[2] + 7] += 10.0
    density = np.where(body(CT[0]), 40, -1000) + 15 * rng.standard_normal(CT[0], np.float32)
    emission, ct = image(uptake, PET[1]), image(density.astype(np.int16), CT[1])
    uids = tuple(f"1.{number}.4.{plane}" for plane in range(PET[0][0]))
    origin = DicomOrigin("1.1", f"1.{number}.2", f"1.{number}.3", "1.4", uids)
    scaling = Scaling("SUVbw", 1.0, "none")
    day = datetime(2024, 1, 1 + number)
    return Study(PATIENT, day, "PET", "68Ga-PSMA-11", emission, scaling, origin, "synthetic", f"{number}", ct=ct)


def body(shape: tuple[int, int, int]) -> np.ndarray:
    """True inside."""
    _, y, x = np.ogrid[tuple(slice(size) for size in shape)]
    inside = ((y / shape[1] - 0.5) / 0.22) ** 2 + ((x / shape[2] - 0.5) / 0.33) ** 2 <= 1
    return np.broadcast_to(inside, shape)


def image(values: np.ndarray, spacing: tuple[float, float, float]) -> sitk.Image:
    """With the outer edges of all grids at the same place."""
    made = sitk.GetImageFromArray(values)
    made.SetSpacing(spacing[::-1])
    made.SetOrigin([step / 2 for step in spacing[::-1]])
    return made


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:3] + ["3", "3"][len(sys.argv[1:3]) :]))
