"""Reading a whole-body study: a PET and two CT of 600 slices each, with SimpleITK's series reader beside it.

The study is synthetic: noise in the pixels, headers as long as those of a scanner (about 200 elements, which is what
reading a header costs). Everything is in one folder, as an archive exports it. "headers" is finding the series, "study"
the whole way to a PET in SUV with its CT; the peer finds the series (GetGDCMSeriesIDs and GetGDCMSeriesFileNames) and
reads PET and CT of the same lengths, without SUV, choice of series and checks. Run it with

    python Testing/Benchmarks/bench_reading.py [--slices 600] [--repeat 3] [--small]

``--small`` has CT of 64 x 64 pixels instead of 512 x 512 for a quick look at the headers alone. The files are warm in
the cache of the system after they were written; a network drive is slower for both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dicom_maker import write_series
from PSMATheranosticsLib.dicom_series import scan_folders
from PSMATheranosticsLib.read_input import read_studies

ELEMENTS = 120  # private ones, beside the 60 or so that the maker writes


def like_a_scanner(_slice: int, dataset: Dataset) -> Dataset:
    """A header with as many elements as real ones have, some of them in sequences."""
    block = dataset.private_block(0x0019, "SYNTHETIC", create=True)
    for element in range(ELEMENTS):
        block.add_new(element, "DS", f"{element}.5")
    for keyword in ("ReferencedImageSequence", "RequestAttributesSequence", "ProcedureCodeSequence"):
        items = [Dataset() for _ in range(3)]
        for item in items:
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99", "synthetic"
        setattr(dataset, keyword, items)
    return dataset


def write_study(folder: Path, slices: int, ct_pixels: int) -> None:
    """A PET of 200 x 200 pixels and two CT in one folder."""
    rng = np.random.default_rng(1)
    length_mm = 2.0 * slices
    for number, (modality, pixels, mm) in enumerate((("PT", 200, 4.0), ("CT", ct_pixels, 1.5), ("CT", ct_pixels, 1.5))):
        stored = rng.integers(0, 2000, (slices, pixels, pixels), dtype=np.int16)
        write_series(
            folder,
            stored,
            modality,
            spacing=(mm, mm, length_mm / slices),
            intercept=-1024 if modality == "CT" else 0,
            order=[number * slices + k for k in range(slices)],
            change=like_a_scanner,
            SeriesDescription=f"series {number}",
        )


def read_with_simpleitk(folder: Path) -> None:
    """The peer: all series found, the first two of different modality read."""
    seen: set[str] = set()
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        first = sitk.ImageFileReader()
        first.SetFileName(names[0])
        first.ReadImageInformation()
        modality = first.GetMetaData("0008|0060")
        if modality in seen:
            continue
        seen.add(modality)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(names)
        reader.Execute()


def find_with_simpleitk(folder: Path) -> None:
    """The peer: the series and their files in order."""
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)


def seconds(work: Callable[[], object], repeat: int) -> float:
    """The median time of several runs."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Print the times of both and their ratio."""
    parser = argparse.ArgumentParser(description="Time to read a synthetic whole-body study of three series")
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="CT of 64 x 64 pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_study(folder, options.slices, 64 if options.small else 512)
        size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        print(f"3 x {options.slices} slices, {size_mb:.0f} MB")
        pairs = {
            "headers": (lambda: scan_folders([folder]), lambda: find_with_simpleitk(folder)),
            "study": (lambda: read_studies([folder]), lambda: read_with_simpleitk(folder)),
        }
        for what, (own, peer) in pairs.items():
            own_s, peer_s = seconds(own, options.repeat), seconds(peer, options.repeat)
            print(f"{what:8s} here {own_s:6.2f} s, SimpleITK {peer_s:6.2f} s, ratio {own_s / peer_s:.2f}")


if __name__ == "__main__":
    main()
