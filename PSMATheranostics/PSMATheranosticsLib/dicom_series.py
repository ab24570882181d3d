"""Finding the series in folders of DICOM files by their headers alone. No pixel is read here.

File names and folders say nothing: every file is opened, those that are not DICOM are left aside, and the images are
put together by SeriesInstanceUID.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from .dicom_values import scan_time, text, texts
from .errors import InputError
from .progress import Progress

PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.130": "Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.128.1": "Legacy Converted Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
}

_KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality ImageType Manufacturer ManufacturerModelName TimezoneOffsetFromUTC
    PatientID PatientName PatientBirthDate PatientSex PatientWeight
    StudyInstanceUID StudyID StudyDate StudyTime AccessionNumber ReferringPhysicianName
    SeriesInstanceUID SeriesNumber SeriesDescription SeriesDate SeriesTime SeriesType
    AcquisitionDate AcquisitionTime AcquisitionDateTime InstanceNumber FrameReferenceTime ActualFrameDuration
    FrameOfReferenceUID ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns NumberOfSlices
    Units SUVType DecayCorrection CorrectedImage RadiopharmaceuticalInformationSequence RescaleSlope RescaleIntercept
""".split()  # noqa: SIM905 - forty quoted words are harder to read
# GE keeps the start of the scan in a private element; its block can be any of the first ones.
_GE_SCAN_TIME = [(0x0009, 0x0010 + block) for block in range(4)] + [
    (0x0009, 0x100D + 0x100 * block) for block in range(4)
]
_TAGS = [tag_for_keyword(keyword) for keyword in _KEYWORDS] + _GE_SCAN_TIME
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_READERS = 4  # headers are small: on network drives the time goes into opening files


@dataclass(frozen=True)
class Instance:
    """One DICOM image: where it is and the part of its header that is needed here."""

    path: Path
    header: Dataset

    @cached_property
    def uid(self) -> str:
        """SOPInstanceUID."""
        return text(self.header, "SOPInstanceUID")


@dataclass(frozen=True)
class Series:
    """The images with one SeriesInstanceUID, in no particular order."""

    instances: tuple[Instance, ...]

    @property
    def header(self) -> Dataset:
        """Header of the first image, for what all images of a series share."""
        return self.instances[0].header

    @property
    def headers(self) -> list[Dataset]:
        """Headers of all images."""
        return [instance.header for instance in self.instances]

    def text(self, keyword: str) -> str:
        """An attribute that all images share, "" when absent."""
        return text(self.header, keyword)

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.text("SeriesInstanceUID")

    @property
    def modality(self) -> str:
        """Modality as written, e.g. "PT", "CT", "NM"."""
        return self.text("Modality").upper()

    @cached_property
    def time(self) -> datetime | None:
        """When the patient was imaged."""
        return scan_time(self.headers)

    @property
    def short_name(self) -> str:
        """Modality, number, description and number of images."""
        number = self.text("SeriesNumber")
        parts = [self.modality or "unknown modality", "series", number, f'"{self.text("SeriesDescription")}"']
        return " ".join(part for part in parts if part) + f" ({len(self.instances)} images)"

    @property
    def name(self) -> str:
        """The same with the folder of the first image, for messages."""
        return f"{self.short_name} in {self.instances[0].path.parent}"


@dataclass(frozen=True)
class Scan:
    """What was found in the folders: image series and one-line warnings about files that were not used."""

    series: list[Series]
    warnings: list[str]


def scan_folders(roots: Sequence[Path], progress: Progress | None = None) -> Scan:
    """All DICOM series below the given folders (or of the given files); other files are ignored.

    DICOM files that cannot be used are named in the warnings. Raises InputError when a path does not exist.
    """
    files = _files(roots)
    instances: list[Instance] = []
    unusable: list[str] = []
    with ThreadPoolExecutor(_READERS) as pool:
        try:
            for done, result in enumerate(pool.map(_read_header, files)):
                if isinstance(result, Instance):
                    instances.append(result)
                elif result is not None:
                    unusable.append(result)
                if progress is not None and done % 50 == 0:
                    progress(done / max(len(files), 1), f"Reading headers: {done} of {len(files)} files")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_series[text(instance.header, "SeriesInstanceUID")].append(instance)
    warnings = []
    if unusable:
        more = f" and {len(unusable) - 3} more" if len(unusable) > 3 else ""
        warnings.append(
            f"{len(unusable)} DICOM file(s) that cannot be used were left out: {'; '.join(unusable[:3])}{more}"
        )
    return Scan([Series(tuple(images)) for images in by_series.values()], warnings)


def _files(roots: Iterable[Path]) -> list[Path]:
    """Every file once, in a stable order."""
    found: dict[Path, None] = {}
    for root in roots:
        if root.is_file():
            found[root.resolve()] = None
        elif root.is_dir():
            for folder, folders, names in os.walk(root.resolve()):
                folders.sort()
                found.update(dict.fromkeys(Path(folder, name) for name in sorted(names)))
        else:
            raise InputError(f"There is no file or folder {root}. Check the path.")
    return list(found)


def _read_header(path: Path) -> Instance | str | None:
    """The header, None for what is no DICOM image, or a line that says why a DICOM file could not be read."""
    try:
        with path.open("rb") as file:
            preamble = file.read(132)
            if len(preamble) < 132 or preamble[128:] != b"DICM":
                return None
            file.seek(0)
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)
            sop_class = text(header, "SOPClassUID") or text(header.file_meta, "MediaStorageSOPClassUID")
    except (
        OSError,
        InvalidDicomError,
        BytesLengthException,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        NotImplementedError,
    ) as error:
        return f"{path} ({type(error).__name__}: {error})"
    missing = [keyword for keyword in _IDENTIFIERS if text(header, keyword) == ""]
    if missing:
        is_image = sop_class in (PET_IMAGE, CT_IMAGE) or text(header, "Modality").upper() in ("PT", "CT", "NM")
        return f"{path} (without {', '.join(missing)})" if is_image else None
    return Instance(path, header)


def is_localizer(instance: Instance) -> bool:
    """A scout image for planning, which may share a series with the CT itself."""
    return "LOCALIZER" in (value.upper() for value in texts(instance.header, "ImageType"))
