"""Finding the series in folders of DICOM files by their headers alone. No pixel is read here.

File names and folders say nothing: every file is opened, those that are not DICOM are left aside, and the images are
put together by SeriesInstanceUID.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import Tag

from .dicom_files import DICOM_ERRORS, Head, has_preamble, list_files, may_be_bare, read_header, read_heads
from .dicom_frames import frame_headers, is_multi_frame
from .dicom_text import repair_character_set
from .dicom_values import parse_date_time, scan_time, text, texts
from .progress import Progress
from .vendor_tags import GE_SCAN_TIME, SIEMENS_DECAY_TIME, tags_to_read, vendor_time

PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"

_KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality ImageType Manufacturer ManufacturerModelName TimezoneOffsetFromUTC
    SpecificCharacterSet PatientID PatientName PatientBirthDate PatientSex PatientWeight PatientSize
    StudyInstanceUID StudyID StudyDate StudyTime AccessionNumber ReferringPhysicianName
    SeriesInstanceUID SeriesNumber SeriesDescription SeriesDate SeriesTime SeriesType
    AcquisitionDate AcquisitionTime AcquisitionDateTime InstanceNumber FrameReferenceTime ActualFrameDuration
    FrameOfReferenceUID ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns NumberOfSlices
    SliceThickness ReconstructionMethod ConvolutionKernel CountsSource DecayCorrectionDateTime FrameReferenceDateTime
    Units SUVType DecayCorrection CorrectedImage RadiopharmaceuticalInformationSequence RescaleSlope RescaleIntercept
    NumberOfFrames FrameIncrementPointer SliceVector EnergyWindowVector DetectorVector TimeSlotVector RRIntervalVector
    SpacingBetweenSlices NumberOfDetectors DetectorInformationSequence RotationInformationSequence AcquisitionDuration
    RealWorldValueMappingSequence
""".split()  # noqa: SIM905 - forty quoted words are harder to read
_TAGS = [Tag(tag) for tag in [*map(tag_for_keyword, _KEYWORDS), *tags_to_read()] if tag is not None]
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_DECAY_TIMES = ("DecayCorrectionDateTime", "FrameReferenceDateTime")
_IMAGE_MODALITIES = ("PT", "CT", "NM")
_PICTURES = ("LOCALIZER", "SCOUT", "TOPOGRAM", "MIP", "PROJECTION", "SCREEN", "DOSE")  # in ImageType
_MOST_NAMED = 3  # files in a warning


@dataclass(frozen=True)
class Instance:
    """One slice: where it is and the part of its header that is needed here.

    ``frame`` counts from 1 in the file of a multi-frame image, whose header is then the classic form of that frame
    (see ``dicom_frames``); it is None for a classic image, which is a file of its own.
    """

    path: Path
    header: Dataset
    frame: int | None = None

    @cached_property
    def uid(self) -> str:
        """SOPInstanceUID: one for all frames of a multi-frame image."""
        return text(self.header, "SOPInstanceUID")

    @property
    def name(self) -> str:
        """Name of the file, with the frame where there are several."""
        return self.path.name if self.frame is None else f"{self.path.name}, frame {self.frame}"


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
        """When the patient was imaged; by the time of decay correction where anonymization removed all other dates."""
        return scan_time(self.headers) or _decay_time(self.header)

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

    Files that cannot be used are named in the warnings. Raises InputError when a path does not exist.
    """
    files, closed = list_files(roots)
    instances: list[Instance] = []
    empty: list[str] = []
    unreadable: list[str] = []
    unusable: list[str] = []
    for done, head in enumerate(read_heads(files)):
        if progress is not None and done % 50 == 0:
            progress(done / max(len(files), 1), f"Reading headers: {done} of {len(files)} files")
        if head.problem:
            unreadable.append(f"{head.path} ({head.problem})")
        elif not head.content:
            empty.append(str(head.path))
        elif has_preamble(head) or may_be_bare(head):
            found = _read_instances(head)
            if isinstance(found, str):
                unusable.append(found)
            else:
                instances += found
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_series[text(instance.header, "SeriesInstanceUID")].append(instance)
    warnings = [
        *_left_out(closed, "folder(s) that cannot be opened were left out"),
        *_left_out(unreadable, "file(s) that cannot be read were left out"),
        *_left_out(empty, "empty file(s) of 0 bytes were left out; if they were images, copy them again"),
        *_left_out(unusable, "DICOM file(s) that cannot be used were left out"),
    ]
    return Scan([Series(images) for same in by_series.values() for images in _by_modality(same)], warnings)


def _by_modality(images: Sequence[Instance]) -> list[tuple[Instance, ...]]:
    """The images of one UID: of one modality, as they must be, unless a program gave PET and CT the same UID."""
    modalities = [text(instance.header, "Modality").upper() for instance in images]
    known = [modality for modality in _IMAGE_MODALITIES if modality in modalities]
    if len(known) < 2:
        return [tuple(images)]
    return [
        tuple(image for image, modality in zip(images, modalities, strict=True) if modality == wanted)
        for wanted in dict.fromkeys(modalities)
    ]


def _left_out(names: Sequence[str], what: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return [f"{len(names)} {what}: {'; '.join(names[:_MOST_NAMED])}{more}"]


def _read_instances(head: Head) -> list[Instance] | str:
    """The slices in a file, none for what is no image, or a line that says why a DICOM file could not be read."""
    try:
        header = read_header(head, _TAGS)
        repair_character_set(header)
        missing = [keyword for keyword in _IDENTIFIERS if text(header, keyword) == ""]
        if missing:
            is_wanted = has_preamble(head) and _may_be_image(header)
            return f"{head.path} (without {', '.join(missing)})" if is_wanted else []
        if not is_multi_frame(text(header, "SOPClassUID") or text(header.file_meta, "MediaStorageSOPClassUID")):
            return [Instance(head.path, header)]
        whole = pydicom.dcmread(head.path, stop_before_pixels=True, force=True)
        repair_character_set(whole)
        frames = frame_headers(whole)
    except DICOM_ERRORS as error:
        # a file that only looks like DICOM at its first bytes is no damaged one
        return f"{head.path} ({type(error).__name__}: {error})" if has_preamble(head) else []
    if not frames:
        return f"{head.path} (multi-frame image without PerFrameFunctionalGroupsSequence (5200,9230))"
    return [Instance(head.path, frame, number) for number, frame in enumerate(frames, start=1)]


def _may_be_image(header: FileDataset) -> bool:
    """Whether a header without identifiers may be of an image; one that says nothing at all may be."""
    classes = {text(header, "SOPClassUID"), text(header.file_meta, "MediaStorageSOPClassUID")} - {""}
    modality = text(header, "Modality").upper()
    return bool(classes & {PET_IMAGE, CT_IMAGE}) or modality in _IMAGE_MODALITIES or not (classes or modality)


def _decay_time(header: Dataset) -> datetime | None:
    """The time of decay correction of a PET, as a date that anonymization often forgets."""
    offset = text(header, "TimezoneOffsetFromUTC")
    standard = (parse_date_time(text(header, keyword), offset) for keyword in _DECAY_TIMES)
    private = (vendor_time(header, tag) for tag in (SIEMENS_DECAY_TIME, GE_SCAN_TIME))
    return next((moment for moment in (*standard, *private) if moment is not None), None)


def is_picture(instance: Instance) -> bool:
    """A localizer, projection or screen capture, which may share a series with slices and looks like one of them."""
    kinds = " ".join(value.upper() for value in texts(instance.header, "ImageType"))
    return any(word in kinds for word in _PICTURES)
