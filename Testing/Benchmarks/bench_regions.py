"""Proposed regions of lesions against the truth of synthetic men, with and without CT and organ map, and the time.

The men and their lesions are synthetic: the numbers rank sources of knowledge and say nothing about patients. With
``--organ-maps`` the men are painted on real organ maps of men that nothing is trained on. Run it with

    python Testing/Benchmarks/bench_regions.py [--men 12] [--first 30] [--organ-maps FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import BONE, DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, REGIONS, VISCERAL
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.phantom.held_out import is_held_out, patient_of
from PSMASegmentLib.phantom.organ_map_study import organ_map_study
from PSMASegmentLib.phantom.patient import random_patient
from PSMASegmentLib.region_proposal import region_proposer
from PSMASegmentLib.segmentation import Images

SOURCES = {"CT and organ map": (True, True), "CT alone": (True, False), "organ map alone": (False, True)}
_BY_KIND = {"bone": BONE, "lung": VISCERAL, "liver": VISCERAL, "prostate": PROSTATE_BED}
Truth = dict[int, str]


def random_men(first: int, count: int) -> Iterator[tuple[Images, sitk.Image, Truth]]:
    """Studies of ``random_patient`` with labels and true regions."""
    for seed in range(first, first + count):
        visit = random_patient(seed, visits=1).visits[0]
        truth = {lesion.label: _BY_KIND.get(lesion.kind, _node(lesion.site)) for lesion in visit.truth}
        yield Images(visit.pet, "SUVbw", visit.tracer, visit.ct, visit.organs), visit.lesions, truth


def _node(site: str) -> str:
    """Common iliac nodes are distant ones (miM1a)."""
    return PELVIC_NODE if site.startswith(("external iliac", "internal iliac")) else DISTANT_NODE


def men_on_organ_maps(folder: Path, first: int, count: int) -> Iterator[tuple[Images, sitk.Image, Truth]]:
    """Studies painted on organ maps that are held out, with labels and true regions."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        names = {int(row["value"]): row["organ"] for row in csv.DictReader(file) if row["value"] != "0"}
    maps = [path for path in sorted(folder.glob("*.nii.gz")) if is_held_out(patient_of(path))]
    for seed, path in enumerate(maps[first : first + count], start=first):
        made = organ_map_study(sitk.ReadImage(str(path)), names, seed)
        truth = {lesion.label: lesion.region.name for lesion in made.lesions}
        yield Images(made.emission, "SUVbw", made.tracer, made.ct, made.organs), made.truth, truth


def main() -> None:
    """Print a table of true against proposed regions for each source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--men", type=int, default=12)
    parser.add_argument("--first", type=int, default=30, help="number of the first man")
    parser.add_argument("--organ-maps", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.organ_maps is None:
        men = random_men(options.first, options.men)
    else:
        men = men_on_organ_maps(options.organ_maps, options.first, options.men)
    tables: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in SOURCES}
    seconds: dict[str, list[float]] = {name: [] for name in SOURCES}
    for images, labels, truth in men:
        for name, (with_ct, with_map) in SOURCES.items():
            organs: OrganMap | None = images.organs if with_map else None
            shown = Images(images.emission, images.units, images.tracer, images.ct if with_ct else None, organs)
            begin = time.process_time()
            proposer = region_proposer(shown)
            seconds[name].append(time.process_time() - begin)
            proposed = proposer.propose_all(labels)
            tables[name].update((truth[label], proposed[label].name) for label in proposed)
    for name, table in tables.items():
        right = sum(count for (true, said), count in table.items() if true == said)
        print(f"\n{name}: {right} of {table.total()} right, {np.median(seconds[name]):.2f} s of processor time a study")
        print(f"{'truth':14}" + "".join(f"{said or 'not told':>14}" for said in (*REGIONS, "")))
        for true in REGIONS:
            print(f"{true:14}" + "".join(f"{table[true, said]:14}" for said in (*REGIONS, "")))


if __name__ == "__main__":
    main()
