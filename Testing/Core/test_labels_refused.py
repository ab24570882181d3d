"""Files with lesions that cannot be used: each is refused with words that say why and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import write_series
from label_files import (
    ACQUIRED,
    GRID,
    OTHER_FRAME_UID,
    PATIENT,
    SHAPE,
    blobs,
    describe,
    image_of,
    origin_of,
    read,
    save,
    square,
    write_labels,
    write_structures,
)
from PSMATheranosticsLib.dicom_seg import write_segmentation
from PSMATheranosticsLib.errors import InputError

# --- what is refused: each with its words ---

Maker = Callable[[Path], Path]


def as_image(values: np.ndarray, name: str = "labels.nrrd", **grid: Any) -> Maker:
    return lambda folder: write_labels(folder / name, values, image_of(np.zeros(SHAPE, np.uint16), **grid))


def as_structures(contours: list[Any], **options: Any) -> Maker:
    return lambda folder: write_structures(folder / "rs.dcm", GRID, {"node": contours}, **options)


def as_segmentation(change: Callable[[pydicom.Dataset], Any]) -> Maker:
    def make(folder: Path) -> Path:
        image = image_of(blobs())
        write_segmentation(folder / "seg.dcm", image, describe([1, 2, 5, 7]), PATIENT, origin_of(image), ACQUIRED)
        dataset = pydicom.dcmread(folder / "seg.dcm")
        change(dataset)
        dataset.save_as(folder / "seg.dcm")
        return folder / "seg.dcm"

    return make


def as_bytes(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def four_dimensions(folder: Path) -> Path:
    sitk.WriteImage(sitk.JoinSeries([image_of(blobs()), image_of(blobs())]), str(folder / "labels.nrrd"))
    return folder / "labels.nrrd"


def two_layers(folder: Path) -> Path:
    """As Slicer saves segments that overlap."""
    sitk.WriteImage(sitk.Compose([image_of(blobs()), image_of(blobs())]), str(folder / "two.seg.nrrd"))
    return folder / "two.seg.nrrd"


def pet_instance(folder: Path) -> Path:
    return write_series(folder, np.zeros((1, 4, 4)))[0]


def broken_contour(folder: Path) -> Path:
    path = write_structures(folder / "rs.dcm", GRID, {"node": [square(0.5, 0.5, 3.5, 3.5, 2)]})
    dataset = pydicom.dcmread(path)
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2", "3", "4"]
    return save(path, dataset)


def same_number_twice(folder: Path) -> Path:
    contours = [square(0.5, 0.5, 3.5, 3.5, 2)]
    path = write_structures(folder / "rs.dcm", GRID, {"a": contours, "b": contours})
    dataset = pydicom.dcmread(path)
    dataset.StructureSetROISequence[1].ROINumber = 1
    return save(path, dataset)


def thin_plate() -> np.ndarray:
    """Every third voxel of a fine grid: much thinner than the voxels of the emission image."""
    values = np.zeros((24, 36, 42), np.uint8)
    values[3:21, 4, 3:39] = 1
    values[3:21, 3:12:3, 3:39] = 1
    return values


def with_speck() -> np.ndarray:
    """On a fine grid: a lesion, and a speck beside the centers of the voxels of the emission image."""
    values = np.zeros((24, 36, 42), np.uint8)
    values[3:12, 3:12, 3:12] = 1
    values[16, 16, 16] = 2
    return values


FAR = (500.0, 45.5, -678.25)
FINE = {"spacing": (4.0728302001953125 / 3, 3.5 / 3, 1.0), "origin": (-123.456789012, 45.5, -678.25)}
CONTOUR = square(0.5, 0.5, 3.5, 3.5, 2)

BROKEN: dict[str, tuple[Maker, str]] = {
    "no file": (lambda folder: folder / "nothing.nii", r"There is no file .*nothing\.nii"),
    "a folder": (lambda folder: folder, r"There is no file .*Hand in one SEG, RTSTRUCT or label image"),
    "text": (as_bytes("notes.txt", b"lesions"), r"cannot be read as DICOM .*does not end in \.nii"),
    "damaged image": (as_bytes("labels.nrrd", b"NRRD0004\ntype: uchar\n"), "cannot be read as an image"),
    "damaged NIfTI": (as_bytes("labels.nii.gz", b"\x1f\x8b" + b"0" * 40), "cannot be read as an image"),
    "probability map": (as_image(blobs() * np.float32(0.3)), r"values that are not whole numbers \(up to 2\.1\)"),
    "not finite": (as_image(np.where(blobs() > 0, np.nan, 0.0)), "holds 77 values that are not finite"),
    "negative": (as_image(blobs().astype(np.int16) - 1), "values from -1 to 6; lesion numbers go from 1 to 65535"),
    "too many": (as_image(blobs().astype(np.int32) * 20000), "values from 0 to 140000; lesion numbers go from 1"),
    "empty": (as_image(np.zeros(SHAPE, np.uint8)), "holds no value above 0"),
    "two dimensions": (
        lambda folder: write_labels(folder / "flat.nrrd", blobs()[3:4], image_of(blobs())),
        "must be a 3-D image of single values; it is 14 x 12 x 1",
    ),
    "four dimensions": (four_dimensions, "must be a 3-D image of single values; it is 14 x 12 x 8 x 2"),
    "overlapping layers": (two_layers, "must be a 3-D image of single values"),
    "elsewhere": (
        as_image(blobs(), origin=FAR),
        r"lies outside the PET: it spans \[ *49.* to .* mm, the PET .* to .* mm",
    ),
    "too fine": (as_image(thin_plate(), **FINE), r"the volume would change by more than 25% \(lesion 1: .* to .* mL\)"),
    "half outside": (
        as_image(blobs(), origin=(-123.456789012 - 4.0728302001953125 * 4, 45.5, -678.25)),
        r"the volume would change by more than 25% \(lesion 1: 1\.54 to 0\.77 mL; lesion 2",
    ),
    "lost": (as_image(with_speck(), **FINE), "lesion 2 would be lost, because no center of a voxel"),
    "another patient": (as_structures([CONTOUR], patient="P2"), "belongs to patient 'P2', Baseline to patient 'P1'"),
    "another frame of reference": (
        as_structures([CONTOUR], frame=OTHER_FRAME_UID),
        "was drawn in another frame of reference",
    ),
    "open contour": (as_structures([CONTOUR], kind="OPEN_PLANAR"), "of type OPEN_PLANAR, which encloses no volume"),
    "points only": (as_structures([("POINT", [[1.0, 1, 1]])]), "holds no closed contour"),
    "no coordinates": (broken_contour, "has 4 coordinates; needed are finite numbers, three for each point"),
    "two regions of one number": (same_number_twice, r"gives two regions the same number"),
    "contours elsewhere": (as_structures([square(40.5, 0.5, 43.5, 3.5, 2)]), "node would be lost"),
    "contours above": (as_structures([square(0.5, 0.5, 3.5, 3.5, 40)]), "node would be lost"),
    "a PET slice": (pet_instance, "is no SEG and no RTSTRUCT but Positron Emission Tomography Image Storage"),
    "segmentation of another patient": (
        as_segmentation(lambda dataset: setattr(dataset, "PatientID", "P9")),
        "belongs to patient 'P9', Baseline to patient 'P1'",
    ),
    "segmentation without pixels": (
        as_segmentation(lambda dataset: dataset.__delitem__("PixelData")),
        "pixels of .* cannot be read",
    ),
    "segmentation cut short": (
        as_segmentation(lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:10])),
        r"pixels of .* cannot be read: 10 bytes are too few for \d+ planes of \d+ pixels",
    ),
    "segmentation with planes that are not described": (
        as_segmentation(lambda dataset: dataset.PerFrameFunctionalGroupsSequence.pop()),
        r"holds \d+ planes and describes \d+",
    ),
    "segmentation of unknown segments": (
        as_segmentation(lambda dataset: dataset.SegmentSequence.pop()),
        "holds voxels of a segment 4 that it does not describe",
    ),
    "segments of one number": (
        as_segmentation(lambda dataset: setattr(dataset.SegmentSequence[1], "SegmentNumber", 1)),
        "numbers its segments 1, 1, 3, 4; each needs a number of its own",
    ),
    "segmentation without places": (
        as_segmentation(lambda dataset: dataset.__delitem__("PerFrameFunctionalGroupsSequence")),
        "has no PerFrameFunctionalGroupsSequence: it is no complete segmentation",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_file_that_cannot_be_used_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    make, message = BROKEN[name]
    with pytest.raises(InputError, match=message) as caught:
        read(make(tmp_path))
    assert str(caught.value).endswith((".", "?")), "a message is a sentence"
