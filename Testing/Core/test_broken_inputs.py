"""A table of broken folders, series, images and sidecars: how each is broken, and what the user is told.

Every message must say what is wrong, where, and what to do about it. PET headers without an SUV are in
``test_broken_headers``; all series here are synthetic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import on_slice, write_series
from multiframe_maker import write_enhanced
from nm_maker import write_nm
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import ReadOptions, read_studies
from pydicom.dataset import Dataset

RNG = np.random.default_rng(20240510)
PET = RNG.integers(0, 20000, (6, 5, 4))
CT = RNG.integers(-1000, 1500, (12, 8, 7))
CT_PLACE: dict[str, Any] = {"origin": (-12, -22, -33), "spacing": (2.5, 2.5, 2.0)}
Make = Callable[[Path], None]
Change = Callable[[int, Dataset], Dataset]


@dataclass(frozen=True)
class Broken:
    """How to make it, and patterns that the message must contain: what, where and remedy."""

    make: Make
    patterns: tuple[str, ...]


def pet(**options: Any) -> Make:
    return lambda folder: _ignore(write_series(folder / "pet", PET, **options))


def _ignore(_: object) -> None:
    """The files are found through their folder."""


def ct(stored: np.ndarray = CT, **options: Any) -> Make:
    return lambda folder: _ignore(write_series(folder / "ct", stored, "CT", **{**CT_PLACE, **options}))


def without_slices(*numbers: int) -> Make:
    def make(folder: Path) -> None:
        paths = write_series(folder / "pet", np.ones((12, 5, 4)))
        for number in numbers:
            paths[number].unlink()

    return make


def cut(folder: Path, size: int) -> None:
    path = write_series(folder / "pet", PET)[3]
    path.write_bytes(path.read_bytes()[:size])


def two_phases(folder: Path) -> None:
    write_series(folder / "a", PET, SeriesInstanceUID="1.2.3")
    write_series(folder / "b", PET + 1, SeriesInstanceUID="1.2.3")


def two_patients(folder: Path) -> None:
    write_series(folder / "a", PET)
    write_series(folder / "b", PET, PatientID="P2", PatientName="Other^Man", StudyInstanceUID="1.2.9")


def colored(k: int, dataset: Dataset) -> Dataset:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = bytes(60)
    return dataset


def unknown_compression(k: int, dataset: Dataset) -> Dataset:
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"not a code stream "])
    return dataset


def damaged_compression(k: int, dataset: Dataset) -> Dataset:
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"\1\0\0\0 no run lengths at all " * 4])
    return dataset


def enhanced(change: Callable[[Dataset], None]) -> Make:
    def make(folder: Path) -> None:
        classic = write_series(folder / "classic", PET)
        write_enhanced(folder / "pet", classic, change=change)
        for path in classic:
            path.unlink()

    return make


def without_groups(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence


def fewer_pixels(image: Dataset) -> None:
    image.PixelData = image.PixelData[: len(image.PixelData) // 2]


def spect(**options: Any) -> Make:
    return lambda folder: _ignore(write_nm(folder / "nm", np.ones((8, 6, 5), np.uint16), **options))


def nothing(folder: Path) -> None:
    (folder / "letter.txt").write_text("no images")


# Refused: name, how it is made, and what the message must contain.
REFUSED: dict[str, Broken] = {
    "folder without images": Broken(nothing, (r"No DICOM image was found in .*", r"Check the folder")),
    "one missing slice": Broken(
        without_slices(5),
        (
            r'PT series 4 "PT series" \(11 images\) in .*pet is not complete',
            r"from \(-10\.0, -20\.0, -22\.0\) mm to \(-10\.0, -20\.0, -18\.0\) mm the gap is 4\.00 mm where 2\.00 mm",
            "about 1 slice",
            "Export the series again",
        ),
    ),
    "three missing slices in a row": Broken(without_slices(4, 5, 6), ("the gap is 8.00 mm", "about 3 slice")),
    "missing slices at two places": Broken(without_slices(3, 8, 9), (r"2 such gap\(s\)", "about 2 slice")),
    "a slice of another scan between two": Broken(
        pet(heights=[0, 2, 4, 5, 6, 8]), ("the gap is 1.00 mm where 2.00 mm", "slices overlap there")
    ),
    "a single slice": Broken(
        lambda folder: _ignore(write_series(folder / "pet", PET[:1])),
        ("has only 1 slice position: a volume needs more", "Hand in the complete series"),
    ),
    "two phases in one series": Broken(
        two_phases, (r"two different images at position \(-10, -20, -30\) mm", "Hand in one phase or time frame only")
    ),
    "one slice turned": Broken(
        pet(change=on_slice(3, ImageOrientationPatient=[0, 1, 0, 1, 0, 0])),
        (r"mixes images of different geometry: ImageOrientationPatient \(0020,0037\)", r"1 of 6 differ", "Export"),
    ),
    "one slice of another pixel size": Broken(
        pet(change=on_slice(3, PixelSpacing=[3, 3])),
        (r"PixelSpacing \(0028,0030\) is \[3\. 3\.\]", "Export the series"),
    ),
    "one slice of another matrix": Broken(
        pet(change=on_slice(3, Rows=4, Columns=5)), (r"Rows \(0028,0010\), Columns \(0028,0011\) is \[4 5\]",)
    ),
    "one slice moved sideways": Broken(
        pet(change=on_slice(3, ImagePositionPatient=[-5, -20, -24])),
        (r"slice at \(-5\.0, -20\.0, -24\.0\) mm is shifted sideways by 5\.0 mm", "Export the series again"),
    ),
    "one slice without position": Broken(
        pet(change=on_slice(3, ImagePositionPatient=None)),
        (r"ImagePositionPatient \(0020,0032\) is missing or malformed in IM0003",),
    ),
    "orientation that is no rotation": Broken(
        pet(ImageOrientationPatient=None, change=lambda k, dataset: _skewed(dataset)),
        (r"ImageOrientationPatient \(0020,0037\) is .*, which is not two perpendicular unit vectors", "Export"),
    ),
    "pixel size of zero": Broken(
        pet(change=lambda k, dataset: _with(dataset, PixelSpacing=[0, 0])),
        ("PixelSpacing .* is 0, not from 0.01 to 100 mm",),
    ),
    "no rescaling": Broken(
        pet(change=on_slice(3, RescaleSlope=None)),
        (
            r"IM0003: RescaleSlope \(0028,1053\) or RescaleIntercept \(0028,1052\) is missing, no single number",
            "Export",
        ),
    ),
    "negative rescaling": Broken(
        pet(change=on_slice(3, RescaleSlope=-1)),
        (r"IM0003: RescaleSlope \(0028,1053\).* the slope is not from", "Export"),
    ),
    "several frames in a classic image": Broken(
        pet(change=on_slice(3, NumberOfFrames=2)),
        (r"has 2 frames in one file \(NumberOfFrames \(0028,0008\)\)", "as one file for each slice"),
    ),
    "file cut off in its header": Broken(
        lambda folder: cut(folder, 1000), ("PixelSpacing .* malformed in IM0003", "Copy or export the series again")
    ),
    "last pixels cut off": Broken(
        lambda folder: cut(folder, -2), ("The pixels of .*IM0003 cannot be read", "Export the series again")
    ),
    "pixels in color": Broken(pet(change=colored), ("is not a single gray image",)),
    "compression that cannot be decoded here": Broken(
        pet(change=unknown_compression), ("High-Throughput JPEG 2000", "Install one of: .*or export .* uncompressed")
    ),
    "damaged compression": Broken(pet(change=damaged_compression), ("The pixels of .*IM000. cannot be read", "Export")),
    "multi-frame image without its groups": Broken(
        enhanced(without_groups), (r"pet \(multi-frame image without PerFrameFunctionalGroupsSequence \(5200,9230\)\)",)
    ),
    "multi-frame image with half of its pixels": Broken(
        enhanced(fewer_pixels), ("The pixels of .*pet cannot be read", "Export the series again")
    ),
    "CT alone": Broken(ct(), (r'found, but: CT series 4 "CT series" \(12 images\)', "Hand in the PET or SPECT")),
    "PET without attenuation correction": Broken(
        pet(CorrectedImage=["DECY"]), (r"CorrectedImage \(0028,0051\) lacks ATTN", "Hand in the PET")
    ),
    "several patients": Broken(
        two_patients, (r"2 patients: P1 \(Synthetic\^Man\); P2 \(Other\^Man\)", "Choose one of them by its patient ID")
    ),
    "SPECT in counts": Broken(spect(mappings=[]), ("holds counts only", "--enter calibration_cps_per_mbq=")),
    "SPECT without distance of slices": Broken(spect(spacing_mm=None), (r"SpacingBetweenSlices \(0018,0088\)",)),
    "raw projections": Broken(spect(ImageType=["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]), ("raw projections",)),
}


def _skewed(dataset: Dataset) -> Dataset:
    return _with(dataset, ImageOrientationPatient=[1, 0, 0, 0.5, 0.5, 0])


def _with(dataset: Dataset, **attributes: Any) -> Dataset:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's own about what is broken here
@pytest.mark.parametrize("name", list(REFUSED))
def test_broken_folder_is_refused_with_place_and_remedy(tmp_path: Path, name: str) -> None:
    REFUSED[name].make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_studies([tmp_path])
    for pattern in REFUSED[name].patterns:
        assert re.search(pattern, str(caught.value)), f"{pattern} is not in: {caught.value}"


def empty_file(folder: Path) -> None:
    (folder / "IM9").touch()


def dangling_link(folder: Path) -> None:
    (folder / "IM9").symlink_to(folder / "nowhere")


def cut_header(folder: Path) -> None:
    (folder / "IM9").write_bytes((folder / "pet" / "IM0000").read_bytes()[:400])


def without_uid(folder: Path) -> None:
    image = pydicom.dcmread(folder / "pet" / "IM0000")
    del image.SeriesInstanceUID
    image.save_as(folder / "IM9")


def no_sequence(folder: Path) -> None:
    content = (folder / "pet" / "IM0000").read_bytes()
    (folder / "IM9").write_bytes(content[:132] + b"\xff" * 200)


def copy_of_slice(folder: Path) -> None:
    (folder / "IM9").write_bytes((folder / "pet" / "IM0000").read_bytes())


def ct_with_gap(folder: Path) -> None:
    for path in write_series(folder / "ct", CT, "CT", **CT_PLACE)[4:6]:
        path.unlink()


def ct_that_cannot_be_decoded(folder: Path) -> None:
    write_series(folder / "ct", CT, "CT", change=damaged_compression, **CT_PLACE)


# Read all the same, with a warning: name, what lies beside a good PET, and what the warning must contain.
WARNED: dict[str, Broken] = {
    "empty file": Broken(empty_file, (r"1 empty file\(s\) of 0 bytes were left out.*copy them again: .*IM9",)),
    "link to nowhere": Broken(dangling_link, (r"1 file\(s\) that cannot be read were left out: .*IM9 \(No such file",)),
    "file cut in its header": Broken(cut_header, (r"1 DICOM file\(s\) that cannot be used were left out: .*IM9",)),
    "file without series": Broken(without_uid, (r"IM9 \(without SeriesInstanceUID\)",)),
    "file of rubbish after DICM": Broken(no_sequence, ("DICOM file.* that cannot be used .*IM9",)),
    "copy of a slice": Broken(copy_of_slice, (r"1 image\(s\) are there twice; one of each was used",)),
    "CT with a gap": Broken(
        ct_with_gap, ("A CT was not used: CT series 4 .* in .*ct is not complete", "about 2 slice", "Export the series")
    ),
    "CT that cannot be decoded": Broken(
        ct_that_cannot_be_decoded, ("The CT was not used: The pixels of .*ct.* cannot be read",)
    ),
    "CT of half the body": Broken(ct(CT[:4]), ("No CT was used: .* covers only 42% of the PET",)),
    "CT of another frame of reference": Broken(
        ct(FrameOfReferenceUID="1.2.3"), ("in another frame of reference than the PET: .* check the fusion",)
    ),
    "CT of a tilted gantry": Broken(
        ct(change=lambda k, dataset: _with(dataset, ImagePositionPatient=[-12, -22 + 0.8 * k, -33 + 2 * k])),
        ("the gantry was tilted by 21.8 degrees; the slices were moved back and resampled linearly",),
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's own about what is broken here
@pytest.mark.parametrize("name", list(WARNED))
def test_pet_beside_something_broken_is_read_with_a_warning(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "pet", PET)
    WARNED[name].make(tmp_path)
    (study,) = read_studies([tmp_path])
    assert study.emission.GetSize() == (4, 5, 6)
    told = "\n".join(study.warnings)
    for pattern in WARNED[name].patterns:
        assert re.search(pattern, told), f"{pattern} is not in: {told}"


GOOD = {"date": "2024-05-06", "pet": "pet.nrrd", "units": "SUVbw"}
INJECTION = {"injected_activity_MBq": 7400, "injection_time": "2024-05-05T10:00:00", "half_life_s": 574300.8}
QUANTITATIVE: dict[str, Any] = {
    "date": "2024-05-06T10:00:00",
    "spect": "pet.nrrd",
    "units": "Bq/mL",
    "duration_s": 1200,
    "weight_kg": 80,
    **INJECTION,
}


def less(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in keys}


SIDECARS: list[tuple[str, dict[str, Any], str]] = [
    ("typing error in a key", {**GOOD, "weigth_kg": 80}, "study 1: unknown key weigth_kg; known are date"),
    ("no unit", less(GOOD, "units"), "study 1: units is missing"),
    ("unit that is none", {**GOOD, "units": "cps"}, 'units is "cps"; for a PET it must be SUVbw or Bq/mL'),
    ("SPECT in SUV", {**QUANTITATIVE, "units": "SUVbw"}, 'units is "SUVbw"; for a SPECT it must be Bq/mL'),
    ("modality that is none", {**GOOD, "modality": "MR"}, 'modality is "MR"; it must be PET or SPECT'),
    ("SPECT without duration", less(QUANTITATIVE, "duration_s"), "duration_s is missing; without it the middle of the"),
    (
        "duration in ms",
        {**QUANTITATIVE, "duration_s": 1.2e6},
        "duration_s is 1200000.0; more than 86400 is another unit",
    ),
    ("duration of a PET", {**GOOD, "duration_s": 1200}, "duration_s is for a SPECT"),
    ("SPECT without time of day", {**QUANTITATIVE, "date": "2024-05-06"}, "date must have a time of day"),
    ("SPECT without weight alone", less(QUANTITATIVE, "weight_kg"), "weight_kg is missing; without it there is no SUV"),
    ("PET and SPECT in one", {**GOOD, "spect": "pet.nrrd", "modality": "PET"}, "spect is given for a PET; give pet"),
    ("height in cm", {**GOOD, "height_m": 178}, "height_m is 178; more than 2.5 is another unit"),
    ("file that is not there", {**GOOD, "pet": "lost.nrrd"}, r"there is no file .*lost\.nrrd \(pet\)"),
    ("injection after the scan", {**QUANTITATIVE, "injection_time": "2024-05-06T11:00:00"}, "is after the scan"),
]


@pytest.mark.parametrize(("entry", "pattern"), [case[1:] for case in SIDECARS], ids=[case[0] for case in SIDECARS])
def test_broken_sidecar_is_refused_with_its_place(tmp_path: Path, entry: dict[str, Any], pattern: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((4, 4, 4), np.float32)), str(tmp_path / "pet.nrrd"))
    path = tmp_path / "studies.json"
    path.write_text(json.dumps({"patient": {"id": "P1"}, "studies": [entry]}))
    with pytest.raises(InputError, match=pattern) as caught:
        read_studies([path])
    assert "studies.json, study 1" in str(caught.value)


def test_patient_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    two_patients(tmp_path)
    with pytest.raises(InputError, match="no patient with the ID P3 in the input, but: P1") as caught:
        read_studies([tmp_path], ReadOptions(patient_id="P3"))
    assert caught.value.patients == ("P1", "P2")
