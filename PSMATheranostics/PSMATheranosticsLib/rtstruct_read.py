"""The regions of a DICOM RT Structure Set (RTSTRUCT) as points in space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PSMASegmentLib.measure import LARGEST_LABEL
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from .dicom_values import first_item, text
from .errors import InputError
from .label_names import choose_names

TRACKING_IN_DESCRIPTION = re.compile(r"tracking UID ([\d.]+)")
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Contour:
    """A closed polygon in one plane: ``points_mm`` (n, 3) in LPS mm.

    ``exclusive``: of type CLOSEDPLANAR_XOR, whose contours cut each other out. ``image`` is the SOP Instance UID of the
    image it was drawn on and ``frame`` the frame in it (from 1); "" and 0 where the file does not tell.
    """

    points_mm: npt.NDArray[np.float64]
    exclusive: bool
    image: str = ""
    frame: int = 0


@dataclass(frozen=True)
class Roi:
    """One region; ``tracking_uid`` is "" except in files that this program wrote."""

    number: int
    name: str
    contours: tuple[Contour, ...]
    frame_of_reference_uid: str = ""
    tracking_uid: str = ""


@dataclass(frozen=True)
class StructureSet:
    """Regions with at least one closed contour, and the series the file says they were drawn on."""

    rois: tuple[Roi, ...]
    series_uids: tuple[str, ...]
    warnings: list[str] = field(default_factory=list)


def structure_set(dataset: Dataset, path: Path, names: Sequence[str] = ()) -> StructureSet:
    """Regions of an RTSTRUCT, all of them or those called ``names``.

    Points (of type POINT) enclose nothing and are left out with a warning. Raises InputError for open contours, for
    coordinates that are no numbers and for a file without any closed contour.
    """
    contours = {_number(item, "ReferencedROINumber", path): item for item in _items(dataset, "ROIContourSequence")}
    described = _items(dataset, "StructureSetROISequence")
    warnings: list[str] = []
    rois = []
    for index in choose_names([text(item, "ROIName") for item in described], names, path):
        item = described[index]
        number = _number(item, "ROINumber", path)
        name = text(item, "ROIName")
        where = f"region {number} '{name}' of {path.name}"
        closed = _closed_contours(contours.get(number, Dataset()), where, warnings)
        if not closed:
            continue
        tracking = TRACKING_IN_DESCRIPTION.search(text(item, "ROIDescription"))
        frame = text(item, "ReferencedFrameOfReferenceUID") or _frame_of_reference(dataset)
        rois.append(Roi(number, name, closed, frame, tracking.group(1) if tracking else ""))
    if not rois:
        raise InputError(f"{path} holds no closed contour. Draw the lesions as closed contours and export them again.")
    numbers = [roi.number for roi in rois]
    if len(set(numbers)) != len(numbers):
        raise InputError(f"{path} gives two regions the same number ({sorted(numbers)}). Export the structures again.")
    if min(numbers) < 1 or max(numbers) > LARGEST_LABEL:  # DICOM allows any number, labels do not
        rois = [replace(roi, number=count) for count, roi in enumerate(rois, start=1)]
    return StructureSet(tuple(rois), _series(dataset), warnings)


def _closed_contours(item: Dataset, where: str, warnings: list[str]) -> tuple[Contour, ...]:
    closed, points = [], 0
    seen: set[bytes] = set()
    for contour in _items(item, "ContourSequence"):
        kind = text(contour, "ContourGeometricType")
        if kind == "POINT":
            points += 1
            continue
        if kind not in _CLOSED:
            raise InputError(
                f"A contour of {where} is of type {kind or 'nothing'}, which encloses no volume. "
                "Close it, or leave this region out."
            )
        found = Contour(_points(contour, where), kind == "CLOSEDPLANAR_XOR", *_image(contour))
        key = found.points_mm.tobytes()
        if key in seen:
            warnings.append(f"The {where} holds the same contour twice; it was taken once.")
            continue
        seen.add(key)
        closed.append(found)
    if points:
        warnings.append(f"The {where} has {points} single point(s), which enclose no volume; they were left out.")
    elif not closed:
        warnings.append(f"The {where} has no contour; it was left out.")
    return tuple(closed)


def _points(contour: Dataset, where: str) -> npt.NDArray[np.float64]:
    try:
        values = np.array([float(value) for value in contour.get("ContourData") or ()])
    except (TypeError, ValueError) as error:
        raise InputError(f"A contour of {where} has coordinates that are no numbers: {error}.") from error
    if values.size == 0 or values.size % 3 or not np.isfinite(values).all():
        raise InputError(
            f"A contour of {where} has {values.size} coordinates; needed are finite numbers, three for each point. "
            "The file is damaged: export it again."
        )
    return values.reshape(-1, 3)


def _image(contour: Dataset) -> tuple[str, int]:
    reference = first_item(contour, "ContourImageSequence")
    frame = text(reference, "ReferencedFrameNumber")
    return text(reference, "ReferencedSOPInstanceUID"), int(frame) if frame.isdigit() else 0


def _series(dataset: Dataset) -> tuple[str, ...]:
    return tuple(
        text(series, "SeriesInstanceUID")
        for frame in _items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in _items(frame, "RTReferencedStudySequence")
        for series in _items(study, "RTReferencedSeriesSequence")
    )


def _frame_of_reference(dataset: Dataset) -> str:
    inside = text(first_item(dataset, "ReferencedFrameOfReferenceSequence"), "FrameOfReferenceUID")
    return inside or text(dataset, "FrameOfReferenceUID")


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    sequence = dataset.get(keyword)
    return list(sequence) if isinstance(sequence, DicomSequence) else []


def _number(item: Dataset, keyword: str, path: Path) -> int:
    value = text(item, keyword)
    if not value.removeprefix("-").isdigit():
        raise InputError(f"{path}: a region has the {keyword} '{value}', which is no number. Export the file again.")
    return int(value)
