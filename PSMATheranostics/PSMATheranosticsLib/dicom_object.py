"""What all DICOM objects of a case have in common: who made them, when, their identifiers, and how they are written.

Identifiers follow from the content and from the time of its last change. The same state of a case therefore gives the
same objects, byte by byte and wherever they are written, and an archive that holds one already sees nothing new. Any
change, and any other version of the software, gives an object with a new identifier, as DICOM demands.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from . import __version__
from .study import DicomOrigin
from .whole_file import write_whole

MANUFACTURER = "PSMATheranostics"
# Keep the series of results apart from those of the scanner and from each other.
_SERIES_NUMBER_OFFSETS = {"SEG": 1000, "RTSTRUCT": 2000, "SR": 3000, "RWV": 4000, "DOC": 5000}


@dataclass(frozen=True)
class WrittenObject:
    """Identifiers of an object that was written, with which others refer to it.

    ``segments`` holds the segment number of each lesion number, for a SEG.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    segments: Mapping[int, int]


def content_key(*content: object) -> str:
    """A key that is the same for the same content only. Dataclasses, texts, numbers, times and images are content."""
    digest = hashlib.sha256(__version__.encode())
    for item in content:
        if isinstance(item, sitk.Image):
            geometry = (item.GetSize(), item.GetOrigin(), item.GetSpacing(), item.GetDirection())
            digest.update(repr(geometry).encode())
            digest.update(np.ascontiguousarray(sitk.GetArrayViewFromImage(item)).data)
        else:
            digest.update(repr(item).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def derived_uid(key: str, role: str) -> str:
    """The identifier that something called ``role`` has in the object with this content key."""
    return str(generate_uid(entropy_srcs=[key, role]))


def series_number(modality: str, origin: DicomOrigin) -> int:
    """The number of the series of results that is made from the series ``origin``."""
    return _SERIES_NUMBER_OFFSETS[modality] + max(origin.series_number or 0, 0)


def describe_object(
    dataset: Dataset,
    modality: str,
    sop_class_uid: str,
    key: str,
    origin: DicomOrigin,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> None:
    """Give a dataset what highdicom would: what it is, its identifiers, its series and the software that made it."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = derived_uid(key, "instance")
    dataset.SeriesInstanceUID = derived_uid(key, "series")
    dataset.SeriesNumber = series_number(modality, origin)
    dataset.Modality = modality
    dataset.InstanceNumber = 1
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.DeviceSerialNumber = __version__
    dataset.SoftwareVersions = __version__


def stamp(dataset: Dataset, made: datetime) -> None:
    """Say of an object when its content was made, in the local time of this computer."""
    local = made.astimezone() if made.tzinfo is not None else made
    day, clock = f"{local:%Y%m%d}", f"{local:%H%M%S}"
    for keyword in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{keyword}Date", day)
        setattr(dataset, f"{keyword}Time", clock)
    for equipment in dataset.get("ContributingEquipmentSequence", []):
        equipment.ContributionDateTime = day + clock


def put_in_place(dataset: Dataset, path: Path, deflated: bool = False) -> None:
    """Write a file that is complete or not there at all.

    ``deflated`` chooses Deflated Explicit VR Little Endian instead of the transfer syntax of the dataset.
    """
    if deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    write_whole(path, content.getvalue())
