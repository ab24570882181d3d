"""Headers damaged at random: one to three attributes deleted, emptied or garbled, in one image or in all.

Whatever is damaged, there are three ways out: the same numbers as without the damage, other numbers with a warning or
from an attribute that is part of the formula, or an InputError that names attribute or remedy. Nothing else may
happen: no other exception, and no other number without a word. All seeds are fixed.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import header, write_series
from multiframe_maker import write_enhanced
from nm_maker import write_nm, write_spect_as_pet
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.study import Study
from PSMATheranosticsLib.suv import suv_scaling
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet")]

NUMBERS = b"nan inf -inf 1e308 -1 0 1e-308 1e400 -1e20 70,0 1\\2 99999999 6.5862e6 7E1 0x10 1_0 +12 1e3 12.5.3 -0.0"
TIMES = b"00010101 99991231 00000000 240000 000000 19000101 20250506 110000 20240506100000+9999 99991231235959-1400"
WORDS = b"abc START NONE ADMIN GML CNTS LBM ATTN DECY SIEMENS BQML PT NM CT +0100 +9900 1.2.3 4\\4 0\\0 -4\\4 0\\0\\0"
BYTES = [
    b"",
    b" ",
    b"\\ ",
    b"\0\0",
    b"\xff\xff",
    b"\5\0",
    b"\0\0\0\0",
    b"Y" * 70,
    b"1e300\\0\\0 ",
    b"1\\0\\0\\0\\1\\0 ",
]
GARBAGE = [*(NUMBERS + b" " + TIMES + b" " + WORDS).split(b" "), *BYTES]
OTHER_TYPES = ("UN", "OB", "LO", "FD", "US", "SL", "UI", "DT", "IS")
# Another value of these is another number by right, without anything to be warned of.
IN_FORMULA = """
    PatientWeight RadionuclideTotalDose RadionuclideHalfLife RadiopharmaceuticalStartTime AcquisitionTime
    RadiopharmaceuticalStartDateTime Units SUVType DecayCorrection ActualFrameDuration FrameReferenceDateTime
    FrameReferenceTime SeriesTime SeriesDate AcquisitionDate DecayCorrectionDateTime DecayCorrected CodeValue
    FrameAcquisitionDuration RescaleSlope RescaleIntercept RealWorldValueSlope RealWorldValueIntercept CorrectedImage
    ImagePositionPatient ImageOrientationPatient PixelSpacing SpacingBetweenSlices SliceVector PixelRepresentation
    BitsStored BitsAllocated HighBit NumberOfFramesInRotation
""".split()  # noqa: SIM905 - forty quoted words are harder to read
SAYS_WHAT_TO_DO = re.compile(r"\([0-9A-F]{4},[0-9A-Fx]{4}\)|Hand in|[Ee]xport|Check|Choose")


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Pydicom logs every value that it cannot convert."""
    caplog.set_level("CRITICAL", logger="pydicom")


# Where an element stands: tags and numbers of items in turn, the last tag is its own.
Place = tuple[int, ...]


def _places(dataset: Dataset, within: Place = ()) -> Iterator[Place]:
    for element in dataset:
        if element.keyword != "PixelData":
            yield (*within, int(element.tag))
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from _places(item, (*within, int(element.tag), number))


def _damage(draw: random.Random, images: Sequence[Dataset]) -> list[str]:
    """Damage the images in place; the keywords of what was damaged."""
    places = list(_places(images[0]))
    damaged = []
    for _ in range(draw.randint(1, 3)):
        place, how, value = draw.choice(places), draw.choice(("delete", "empty", "value", "type")), draw.choice(GARBAGE)
        other_type = draw.choice(OTHER_TYPES)
        for image in images if draw.random() < 0.5 else [draw.choice(images)]:
            _damage_at(image, place, how, value + b" " * (len(value) % 2), other_type)
        damaged.append(keyword_for_tag(place[-1]))
    return damaged


def _damage_at(image: Dataset, place: Place, how: str, value: bytes, other_type: str) -> None:
    for tag, number in zip(place[:-1:2], place[1::2], strict=True):
        if tag not in image or image[tag].VR != "SQ" or len(image[tag].value) <= number:
            return  # gone with something that was damaged before
        image = image[tag].value[number]
    element = image.get_item(place[-1])
    if element is None:
        return
    tag, kind = element.tag, str(element.VR)
    if how == "delete":
        del image[tag]
    elif kind == "SQ":
        image[tag] = DataElement(tag, "SQ", [] if how == "empty" else [Dataset()])
    else:
        value = b"" if how == "empty" else value
        kind = other_type if how == "type" else kind
        image._dict[tag] = RawDataElement(tag, kind, len(value), value, 0, False, True)


NONE = {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN", "NORM"]}
HEADERS: dict[str, list[Dataset]] = {
    "corrected to the start": [header(PatientSize=1.8, FrameReferenceTime=59937) for _ in range(2)],
    "computed back": [
        header(SeriesTime="113000", AcquisitionTime=clock, FrameReferenceTime=since)
        for clock, since in (("100230", 209937), ("100500", 359937))
    ],
    "not corrected": [header(AcquisitionTime=clock, **NONE) for clock in ("100000", "100500")],
    "ideal weight": [header(Units="GML", SUVType="IBW", PatientSize=1.8)],
    "offset of time": [
        header(TimezoneOffsetFromUTC="+0100", injection={"RadiopharmaceuticalStartDateTime": "20240506090000+0100"})
    ],
}


@pytest.mark.parametrize("name", list(HEADERS))
def test_damaged_pet_header_gives_the_same_factor_or_a_warning_or_a_clear_error(name: str) -> None:
    draw = random.Random(20240506)
    good = _factors(HEADERS[name])
    refusals: list[str] = []
    for _ in range(400):
        images = deepcopy(HEADERS[name])
        damaged = _damage(draw, images)
        try:
            found = suv_scaling(images, "the series")
        except InputError as error:
            refusals.append(str(error))
            continue
        is_same = np.allclose(found.factors or (found.scaling.factor,) * len(images), good, rtol=1e-3)
        assert is_same or found.warnings or set(damaged) & set(IN_FORMULA), damaged
    assert 50 < len(refusals) < 350
    assert [text for text in refusals if "the series" not in text or not SAYS_WHAT_TO_DO.search(text)] == []


def _factors(images: Sequence[Dataset]) -> tuple[float, ...]:
    found = suv_scaling(images, "the series")
    return found.factors or (found.scaling.factor,) * len(images)


# ---- files


STORED = np.random.default_rng(3).integers(0, 20000, (4, 5, 4))


def _pet(folder: Path) -> None:
    write_series(folder / "pet", STORED, slopes=[1, 2, 3, 4], FrameReferenceTime=59937)
    write_series(folder / "ct", STORED % 2000, "CT", intercept=-1024)


def _nm(folder: Path) -> None:
    write_nm(folder / "spect.dcm", STORED.astype(np.uint16))


def _spect_as_pet(folder: Path) -> None:
    write_spect_as_pet(folder, STORED, "START")


def _enhanced(folder: Path) -> None:
    write_enhanced(folder / "pet.dcm", write_series(folder / "classic", STORED, slopes=[1, 2, 3, 4]))
    shutil.rmtree(folder / "classic")


@dataclass(frozen=True)
class _Read:
    emission: np.ndarray
    geometry: tuple[Any, ...]
    warnings: frozenset[str]


def _read(folder: Path) -> _Read:
    study: Study = read_studies([folder])[0]
    image = study.emission
    geometry = (*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection())
    return _Read(sitk.GetArrayFromImage(image), geometry, frozenset(study.warnings))


@pytest.mark.parametrize(("make", "count"), [(_pet, 70), (_nm, 150), (_spect_as_pet, 70), (_enhanced, 70)])
def test_damaged_files_give_the_same_image_or_a_warning_or_a_clear_error(
    tmp_path: Path, make: Callable[[Path], None], count: int
) -> None:
    draw = random.Random(20240507)
    folder = tmp_path / "images"
    make(folder)
    good = _read(folder)
    refusals: list[str] = []
    originals = {path: pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    for _ in range(count):
        files = deepcopy(originals)
        of_one_modality = draw.choice(sorted({str(image.Modality) for image in files.values()}))
        damaged = _damage(draw, [image for image in files.values() if image.Modality == of_one_modality])
        if not _write(files):
            continue
        try:
            found = _read(folder)
        except InputError as error:
            refusals.append(str(error))
            continue
        is_same = found.emission.shape == good.emission.shape and np.allclose(found.emission, good.emission, rtol=1e-3)
        is_same = is_same and np.allclose(found.geometry, good.geometry)
        assert is_same or found.warnings - good.warnings or set(damaged) & set(IN_FORMULA), damaged
    assert count / 5 < len(refusals) < count
    assert [text for text in refusals if not SAYS_WHAT_TO_DO.search(text)] == []


def _write(files: dict[Path, Dataset]) -> bool:
    """Write the files over the old ones; False for what no program could write either."""
    for path, image in files.items():
        try:
            pydicom.dcmwrite(path, image, enforce_file_format=False)
        except (AttributeError, TypeError, ValueError, pydicom.errors.BytesLengthException):
            return False
    return True
