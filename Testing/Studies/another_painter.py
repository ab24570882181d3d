"""Synthetic PSMA PET/CT by another painter than the phantom's, on a real CT with the labels of TotalSegmentator.

    python Testing/Studies/another_painter.py OUT [--from FOLDER] [--count 24] [--seed 1]

Networks that are trained on the phantom may lean on its ways. This painter shares no code, number or anatomy with it:
uptake by label about published means, bowel in patches along its true course, ellipsoids for lesions in bone, along
vessels and in the prostate, a Gaussian blur of 5 to 8 mm and correlated noise. FOLDER holds ``example_ct.nii.gz`` and
``example_seg_fast_force_split.nii.gz`` (default: ct-totalsegmentator in ``PSMA_TEST_DATA``), the CT of one trunk from
the lungs to the pelvis. OUT gets NAME_suv, NAME_labels, NAME_ct and NAME_organs (the labels that were painted by, an
organ map without errors) for each study, ``cases.csv`` and ``labels.csv``, for

    psma evaluate OUT --lesions labels --methods package:psma-pet-2 --to TABLES

All numbers are working values; nothing here says what a method reaches in patients.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.organ_sources import label_table
from scipy import ndimage

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TRACERS = ("68Ga-PSMA-11", "18F-DCFPyL")
KIDNEYS = ("kidney_right", "kidney_left")
# Mean and standard deviation of SUV; kidneys of one man are alike.
ORGAN_SUV = {
    "spleen": (7.0, 3.0),
    "liver": (5.5, 1.5),
    "gallbladder": (3.0, 2.0),
    "stomach": (1.5, 0.3),
    "pancreas": (2.0, 0.4),
    "urinary_bladder": (20.0, 14.0),
    "prostate": (2.5, 0.7),
    "kidney": (35.0, 12.0),
}
BOWEL_SUV = {"duodenum": (11.0, 3.0), "small_bowel": (4.0, 1.2), "colon": (1.5, 0.5)}
BONES = ("sacrum", "vertebrae", "femur", "hip", "rib")  # beginnings of names
VESSELS = ("aorta", "inferior_vena_cava", "iliac")
NOT_LESION = (*KIDNEYS, *BOWEL_SUV, "spleen", "liver", "urinary_bladder")
LESION_SHARES = (0.55, 0.35, 0.1)  # in bone, beside vessels, in the prostate
NODE_GAP_MM = 9.0  # how far from a vessel the middle of a node lies at most
FWHM_TO_SIGMA = 1.0 / 2.3548


@dataclass(frozen=True, eq=False)
class Trunk:
    """A CT (HU) with its labels; arrays are z, y, x in LPS order, ``spacing`` is mm along z, y, x."""

    ct: sitk.Image
    hu: Array
    labels: npt.NDArray[np.uint8]
    values: dict[str, int]

    @property
    def spacing(self) -> Array:
        return np.asarray(self.ct.GetSpacing()[::-1])

    @cached_property
    def lesion_places(self) -> tuple[Mask, Mask, Mask]:
        """Where the middle of a lesion may lie: bone, beside vessels, prostate."""
        vessels = self.where(*VESSELS)
        near = ndimage.distance_transform_edt(~vessels, sampling=self.spacing) <= NODE_GAP_MM
        nodes = near & ~vessels & ~self.where(*NOT_LESION, *BONES)
        return self.where(*BONES), nodes, self.where("prostate")

    def where(self, *names: str) -> Mask:
        """The voxels of labels whose names begin in one of some ways."""
        chosen = [value for name, value in self.values.items() if name.startswith(names)]
        return np.isin(self.labels, chosen)


def read_trunk(folder: Path) -> Trunk:
    """The CT and its labels in a folder."""
    ct, labels = (
        sitk.DICOMOrient(sitk.ReadImage(str(folder / f"{name}.nii.gz")), "LPS")
        for name in ("example_ct", "example_seg_fast_force_split")
    )
    values = {name: value for value, name in label_table("total").items()}
    return Trunk(ct, sitk.GetArrayFromImage(ct).astype(float), sitk.GetArrayFromImage(labels).astype(np.uint8), values)


def paint(rng: np.random.Generator, trunk: Trunk) -> tuple[Array, npt.NDArray[np.uint16]]:
    """SUV and numbered lesions of one synthetic study."""
    activity = organs(rng, trunk)
    add_ureters(rng, trunk, activity)
    truth = np.zeros(activity.shape, np.uint16)
    count = int(np.clip(rng.lognormal(1.5, 0.8), 1, 25)) if rng.random() > 0.1 else 0
    for _ in range(500):
        if truth.max() == count:
            break
        shape = lesion(rng, trunk)
        if shape.sum() >= 8 and not truth[ndimage.binary_dilation(shape, iterations=3)].any():
            truth[shape] = truth.max() + 1
            activity[shape] = float(np.clip(rng.lognormal(2.6, 0.6), 4.0, 80.0))
    return scanned(rng, activity, trunk.spacing), truth


def organs(rng: np.random.Generator, trunk: Trunk) -> Array:
    """SUV of everything but lesions and urine on its way."""

    def level(mean: float, sd: float) -> float:
        return max(0.2 * mean, float(rng.normal(mean, sd)))

    body = ndimage.binary_fill_holes(ndimage.binary_opening(trunk.hu > -300.0, iterations=2))
    activity = np.where(body, rng.uniform(0.3, 0.6), 0.0)
    activity[body & (trunk.hu > 150.0)] = rng.uniform(0.6, 1.2)
    activity[trunk.where(*VESSELS, "portal_vein", "heart")] = rng.uniform(1.0, 2.0)
    for name, (mean, sd) in ORGAN_SUV.items():
        activity[trunk.where(name)] = level(mean, sd)
    for name, (mean, sd) in BOWEL_SUV.items():
        there = trunk.where(name)
        activity[there] = (level(mean, sd) * np.exp(0.6 * field(rng, trunk, 12.0)))[there]
    hot = trunk.where("colon") & (field(rng, trunk, 15.0) > 1.3)
    activity[hot] *= rng.uniform(2.0, 6.0)
    return activity


def add_ureters(rng: np.random.Generator, trunk: Trunk, activity: Array) -> None:
    """Urine in a stretch of most ureters, on a curve from the kidney to the bladder."""
    bladder = np.argwhere(trunk.where("urinary_bladder")).mean(axis=0)
    for name in KIDNEYS:
        kidney = trunk.where(name)
        middle = np.argwhere(kidney).mean(axis=0)
        bend = np.asarray([0.5 * (middle[0] + bladder[0]), middle[1], 0.4 * bladder[2] + 0.6 * middle[2]])
        low, high = np.sort(rng.uniform(0.0, 1.0, 2))
        t = np.linspace(low, high, 200)[:, None]
        points = (1.0 - t) ** 2 * middle + 2.0 * (1.0 - t) * t * bend + t**2 * bladder
        tube = np.zeros(kidney.shape, bool)
        tube[tuple(np.rint(points).astype(int).T)] = True
        if rng.random() < 0.7:
            activity[ndimage.binary_dilation(tube) & ~kidney] = rng.uniform(3.0, 20.0)


def lesion(rng: np.random.Generator, trunk: Trunk) -> Mask:
    """An ellipsoid in bone, beside a vessel or in the prostate; empty where there is no place."""
    places = trunk.lesion_places[int(rng.choice(3, p=LESION_SHARES))]
    voxels = np.argwhere(places)
    if not len(voxels):
        return np.zeros(places.shape, bool)
    middle = voxels[int(rng.integers(len(voxels)))]
    radius = (750.0 / np.pi * float(np.clip(rng.lognormal(0.2, 1.0), 0.3, 20.0))) ** (1.0 / 3.0)
    ratios = rng.uniform(0.7, 1.4, 3)
    half = radius * ratios / np.prod(ratios) ** (1.0 / 3.0)
    grid = np.ogrid[tuple(slice(0, size) for size in places.shape)]
    far = sum(((g - m) * s / h) ** 2 for g, m, s, h in zip(grid, middle, trunk.spacing, half, strict=True))
    shape: Mask = (far < 1.0) & ~trunk.where(*NOT_LESION)
    return shape


def field(rng: np.random.Generator, trunk: Trunk, sigma_mm: float) -> Array:
    """Smooth random values of SD 1."""
    values: Array = ndimage.gaussian_filter(rng.standard_normal(trunk.labels.shape), sigma_mm / trunk.spacing)
    return values / values.std()


def scanned(rng: np.random.Generator, activity: Array, spacing: Array) -> Array:
    """Blurred by 5 to 8 mm FWHM, with correlated noise that grows with the root of the signal."""
    blurred = ndimage.gaussian_filter(activity, rng.uniform(5.0, 8.0) * FWHM_TO_SIGMA / spacing)
    noise = ndimage.gaussian_filter(rng.standard_normal(activity.shape), 4.0 * FWHM_TO_SIGMA / spacing)
    spread = rng.uniform(0.04, 0.12) * np.sqrt(np.maximum(blurred, 0.05))
    seen: Array = np.maximum(blurred + noise / noise.std() * spread, 0.0)
    return seen


def write_studies(out: Path, trunk: Trunk, count: int, seed: int) -> None:
    """Paint some studies and write them as ``psma evaluate`` reads them."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        name = f"study{number:02d}"
        suv, truth = paint(np.random.default_rng([seed, number]), trunk)
        ct, organs_of_ct = (trunk.hu.astype(np.int16), "ct"), (trunk.labels, "organs")
        for values, what in ((suv.astype(np.float32), "suv"), (truth, "labels"), ct, organs_of_ct):
            image = sitk.GetImageFromArray(values)
            image.CopyInformation(trunk.ct)
            sitk.WriteImage(image, str(out / f"{name}_{what}.nii.gz"), True)
        rows.append((name, TRACERS[number % len(TRACERS)]))
    with (out / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("name", "tracer"), *rows])
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("value", "organ"), *((value, name) for name, value in trunk.values.items())])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the CT and its labels")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    data = os.environ.get("PSMA_TEST_DATA")
    if asked.folder is None and not data:
        parser.error("Name the folder with the CT and its labels (--from), or set PSMA_TEST_DATA.")
    folder = asked.folder or Path(str(data)) / "ct-totalsegmentator"
    write_studies(asked.out, read_trunk(folder), asked.count, asked.seed)
    print(f"{asked.count} synthetic studies are in {asked.out}")


if __name__ == "__main__":
    main()
