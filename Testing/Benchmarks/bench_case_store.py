"""What a step of the case store costs beside plain SQLite, and an image or an edit beside SimpleITK's own NRRD.

The peer of a step is one INSERT (or 200 of them in one transaction) into a table of the same columns, in the same WAL
mode with synchronous=FULL, without journal or checks. The peer of an edit of a mask is writing the whole label image
anew. An edit gives a lesion of 2 mL a rim or takes it away, in a case of 200 lesions, and is on the disk when it
returns. All images are synthetic. Run it with

    python Testing/Benchmarks/bench_case_store.py [--folder DIR] [--repeats 20]
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions, sphere_offsets
from PSMATheranosticsLib.case_schema import SCHEMA
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.image_store import ImageStore
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

SIZE = (168, 168, 350)  # x, y, z: a whole-body PET
SPACING_MM = (4.07, 4.07, 3.0)
LESIONS = 200
EDIT_SIZE, EDIT_SPACING_MM = (200, 200, 448), (2.73, 2.73, 2.0)  # a newer scanner's finer grid
EDIT_RADIUS_MM = 7.8  # a sphere of 2 mL
PATIENT = Patient("SYNTHETIC-BENCH")
Size = tuple[int, int, int]


def whole_body(size: Size = SIZE, spacing_mm: tuple[float, float, float] = SPACING_MM) -> sitk.Image:
    """Noise in an elliptic body, air around it: compresses about as a reconstructed PET does."""
    z, y, x = np.ogrid[: size[2], : size[1], : size[0]]
    body = (2 * y / size[1] - 1) ** 2 / 0.23 + (2 * x / size[0] - 1) ** 2 / 0.51 + 0 * z < 1
    values = np.where(body, np.random.default_rng(1).gamma(1.0, 0.4, body.shape), 0).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing_mm)
    return image


def lesion_labels(like: sitk.Image) -> sitk.Image:
    """``LESIONS`` cubes of 5 voxels a side."""
    array = np.zeros(SIZE[::-1], np.uint16)
    for number in range(LESIONS):
        plane, place = divmod(number, 10)
        z, y, x = 8 + 16 * plane, 70, 40 + 9 * place
        array[z : z + 5, y : y + 5, x : x + 5] = number + 1
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(like)
    return labels


def spheres(like: sitk.Image, radius_mm: float) -> tuple[sitk.Image, list[tuple[int, int, int]]]:
    """``LESIONS`` spheres in rows, numbered from 1, and their central voxels (z, y, x)."""
    array = np.zeros(like.GetSize()[::-1], np.uint16)
    centers = []
    for number in range(LESIONS):
        plane, place = divmod(number, 10)
        center = (12 + 20 * plane, 100, 30 + 14 * place)
        array[ball(like, center, radius_mm)] = number + 1
        centers.append(center)
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(like)
    return labels, centers


def ball(like: sitk.Image, center: tuple[int, int, int], radius_mm: float) -> tuple[np.ndarray, ...]:
    """Indices of all voxels whose center lies within a radius of a voxel."""
    offsets = sphere_offsets(like.GetSpacing(), radius_mm)
    return tuple((offsets + center).T)


def timed(action: Callable[[int], object], repeats: int) -> list[float]:
    """Milliseconds that ``action(0)``, ``action(1)`` ... take."""
    times = []
    for number in range(repeats):
        start = time.perf_counter()
        action(number)
        times.append(1000 * (time.perf_counter() - start))
    return times


def milliseconds(action: Callable[[int], object], repeats: int) -> str:
    """Median and largest time of ``action(0)``, ``action(1)`` ..."""
    times = timed(action, repeats)
    return f"{statistics.median(times):8.2f} ms (largest {max(times):.2f}, {repeats} times)"


def plain_database(path: Path) -> sqlite3.Connection:
    """The tables of a case without the case store around them."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")
    return database


def insert_rows(database: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    """All rows in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    database.execute(f"DELETE FROM {table}" if len(rows) > 1 else "SELECT 1")
    database.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
    database.execute("COMMIT")


def main() -> None:
    """Print the costs."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    options.add_argument("--repeats", type=int, default=20)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        measure(Path(folder), chosen.repeats)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        measure_edits(Path(folder), 10 * chosen.repeats)


def measure(folder: Path, repeats: int) -> None:
    """Print the costs of images, steps and opening, all below ``folder``."""
    emission = whole_body()
    labels = lesion_labels(emission)
    lesions = [LesionInput(found, "rules", "hot") for found in measure_lesions(emission, labels)]
    study = study_of(emission)
    print(f"whole body {SIZE} float32, {LESIONS} lesions")

    (folder / "peer").mkdir()
    images = ImageStore(folder / "peer")
    fresh = [sitk.Add(emission, 0.001 * number) for number in range(3)]
    print("image, store          ", milliseconds(lambda n: images.save(fresh[n]), 3))
    print("image, SimpleITK write", milliseconds(lambda n: sitk.WriteImage(fresh[n], folder / f"{n}.nrrd", True), 3))
    image_id = images.save(fresh[0])
    print("image, load and verify", milliseconds(lambda n: images.load(image_id), 3))
    print("image, SimpleITK read ", milliseconds(lambda n: sitk.ReadImage(folder / "0.nrrd"), 3))
    sizes = images.path(image_id).stat().st_size / 1e6, (folder / "0.nrrd").stat().st_size / 1e6
    print(f"image, MB on disk        {sizes[0]:8.2f} (SimpleITK {sizes[1]:.2f})")

    plain = plain_database(folder / "plain.db")
    with CaseStore.create(folder / "case", PATIENT) as case:
        case.add_study(study)
        case.save_segmentation(1, labels, lesions)
        decisions = ("accepted", "rejected")
        print("decision, case store  ", milliseconds(lambda n: case.decide_lesion(1, 7, decisions[n % 2]), repeats))
        row = (1, "0" * 64, 7, "accepted", "", "tester", "2024-01-01T00:00:00.000+00:00")
        print(
            "decision, plain SQLite",
            milliseconds(lambda n: insert_rows(plain, "lesion_decisions", [(n, *row)]), repeats),
        )
        print("undo, case store      ", milliseconds(lambda n: case.undo(), repeats))
        few = max(3, repeats // 5)
        print("segmentation, store   ", milliseconds(lambda n: case.save_segmentation(1, labels, lesions), few))
        measured, text = [float(n) for n in range(12)], ("rules", "hot", None, "automatic")
        rows = [(1, item.lesion, *measured, *text, f"[{item.lesion}]", "", "", "", None) for item in lesions]
        print("segmentation, SQLite  ", milliseconds(lambda n: insert_rows(plain, "lesions", rows), few))
        print("lesions, read         ", milliseconds(lambda n: case.lesions(1), repeats))
    print(
        "open for writing, close", milliseconds(lambda n: CaseStore.open(folder / "case", write=True).close(), repeats)
    )
    print("open for reading, close", milliseconds(lambda n: CaseStore.open(folder / "case").close(), repeats))
    plain.close()


def study_of(emission: sitk.Image) -> Study:
    """A synthetic study with headers as long as those of a real one."""
    uids = tuple(f"1.2.826.0.1.3680043.10.5.{n:024d}" for n in range(emission.GetSize()[2]))
    return Study(
        PATIENT, datetime(2024, 1, 1), "PET", "68Ga-PSMA-11", emission, Scaling("SUVbw", 1.0, "none"),
        DicomOrigin("1.1", "1.2", "1.3", "1.4", uids), "synthetic", "synthetic",
    )  # fmt: skip


def measure_edits(folder: Path, repeats: int) -> None:
    """Print what an edit of a lesion of 2 mL costs, with everything until it is on the disk."""
    emission = whole_body(EDIT_SIZE, EDIT_SPACING_MM)
    labels, centers = spheres(emission, EDIT_RADIUS_MM)
    lesions = [LesionInput(found, "rules", "hot") for found in measure_lesions(emission, labels)]
    print(f"edits on {EDIT_SIZE}, {LESIONS} lesions of {lesions[0].measures.volume_ml:.2f} mL")
    with CaseStore.create(folder / "case", PATIENT) as case:
        case.add_study(study_of(emission))
        case.save_segmentation(1, labels, lesions)
        print("edit, make ready      ", milliseconds(lambda _: case.prepare_edits(1), 1))
        array = sitk.GetArrayFromImage(labels)

        def edit(number: int) -> None:
            lesion = number % LESIONS
            radius_mm = EDIT_RADIUS_MM + (2.8 if number // LESIONS % 2 == 0 else -2.8)
            low = np.array(centers[lesion]) - 6
            box = tuple(slice(start, start + 13) for start in low)
            after = np.where(array[box] == lesion + 1, 0, array[box]).astype(np.uint16)
            after[ball(emission, (6, 6, 6), radius_mm)] = lesion + 1
            case.edit_mask(1, MaskEdit(tuple(int(start) for start in low), after), "Brush")

        times = timed(edit, repeats)
        steps = np.percentile(times, [50, 95, 100])
        print("edit, case store      ", "{:8.2f} ms (95th percentile {:.2f}, largest {:.2f}".format(*steps), end="")
        print(f", {repeats} times)")
        case.release()

        def edit_with_lock(number: int) -> None:
            with case.writing():
                edit(repeats + number)

        print("edit, lock taken for it", milliseconds(edit_with_lock, repeats // 2))
        case.acquire()
        print("edit, undo            ", milliseconds(lambda _: case.undo(), repeats // 2))
        bytes_each = case._database.rows("SELECT avg(length(content)) FROM mask_patches")[0][0]
        print(f"edit, bytes of patch     {bytes_each:8.0f}")
        print("edit, find what differs", milliseconds(lambda _: MaskEdit.between(labels, case.labels(1)), 3))
    store = ImageStore(folder / "peer")
    store.folder.mkdir(parents=True)
    fresh = [sitk.Multiply(labels, number + 2) for number in range(5)]
    for name, write in (
        ("image store", lambda n: store.save(fresh[n])),
        ("SimpleITK  ", lambda n: sitk.WriteImage(fresh[n], folder / f"{n}.nrrd", True)),
    ):
        whole = statistics.median(timed(write, len(fresh)))
        print(f"whole labels, {name}{whole:8.2f} ms: {whole / steps[0]:.0f} times an edit")
    with CaseStore.open(folder / "case") as case:
        print(f"labels of {case.versions(1)[-1].edits} edits   ", milliseconds(lambda _: case.labels(1), 3))


if __name__ == "__main__":
    main()
