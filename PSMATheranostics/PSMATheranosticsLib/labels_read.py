"""Lesions that were drawn or found elsewhere, as labels on the emission image of a study.

DICOM Segmentation (SEG), DICOM RT Structure Set (RTSTRUCT), and label images (NIfTI, NRRD, MetaImage). What does not
fit is refused; what was changed to make it fit stands in the warnings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from PSMASegmentLib.measure import LARGEST_LABEL, components
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, RTStructureSetStorage, SegmentationStorage
from scipy import ndimage

from .dicom_values import first_item, text
from .errors import InputError
from .image_files import read_image
from .label_names import choose_names
from .labels_check import check_belongs
from .labels_to_grid import fit_labels
from .progress import Progress, silent
from .records import StudyRecord
from .regions_to_labels import label_image
from .rtstruct_masks import roi_regions, slices_of
from .rtstruct_read import structure_set
from .seg_read import LABEL_MAP_STORAGE, segment_labels

IMAGE_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_TOUCHING = np.ones((3, 3, 3), bool)  # 26 neighbors, as everywhere
_LISTED = 5


@dataclass(frozen=True)
class ImportedLabels:
    """Lesions from a file. ``labels`` (uint16) lie on the emission grid; value n is the lesion ``names[n]``.

    ``names`` and ``tracking`` (tracking ID and UID) hold what the file tells. ``kind`` says what sort of file it was
    and ``software`` what wrote it, "" where it does not say.
    """

    labels: sitk.Image
    names: dict[int, str]
    tracking: dict[int, tuple[str, str]]
    source: str
    warnings: list[str]
    kind: str = ""
    software: str = ""


def read_labels(
    path: Path,
    study: StudyRecord,
    grid: sitk.Image,
    *,
    patient_id: str | None = None,
    names: Sequence[str] = (),
    split: bool = False,
    progress: Progress | None = None,
) -> ImportedLabels:
    """Lesions of a file on ``grid``, the emission image of ``study``.

    Args:
        path: SEG, RTSTRUCT, or label image. An image with one value above 0 is a mask: its 26-connected parts are the
            lesions, largest first. Every other value, segment or region is one lesion.
        study: the study that the lesions belong to.
        grid: its emission image, or any image with that grid.
        patient_id: of the case; None where it is not known.
        names: take only the segments or regions called so (SEG, RTSTRUCT, and Slicer's .seg.nrrd).
        split: make every separate part a lesion of its own.
        progress: called on the way.

    Raises:
        InputError: the file cannot be read, is of another patient, in another frame of reference or elsewhere in
            space, holds nothing, holds values that are no lesion numbers, or does not fit onto the grid.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}. Hand in one SEG, RTSTRUCT or label image.")
    step = progress or silent
    step(0.0, f"Reading {path.name}")
    if path.name.lower().endswith(IMAGE_ENDINGS):
        found = _from_image(path, grid, names, split)
    else:
        found = _from_dicom(path, study, grid, patient_id, names, split, step)
    step(1.0, f"{len(found.names)} lesions")
    return found


def _from_dicom(
    path: Path,
    study: StudyRecord,
    grid: sitk.Image,
    patient_id: str | None,
    names: Sequence[str],
    split: bool,
    progress: Progress,
) -> ImportedLabels:
    try:
        dataset = pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise InputError(
            f"{path} cannot be read as DICOM ({error}), and its name does not end in {', '.join(IMAGE_ENDINGS)}."
        ) from error
    kind = text(dataset, "SOPClassUID")
    if kind == RTStructureSetStorage:
        found = _from_structures(dataset, path, study, grid, patient_id, names, progress)
    elif kind in (SegmentationStorage, LABEL_MAP_STORAGE):
        found = _from_segments(dataset, path, study, grid, patient_id, names)
    else:
        raise InputError(f"{path} is no SEG and no RTSTRUCT but {UID(kind).name or 'of no known kind'}.")
    if split:
        labels, parts = split_labels(found.labels, found.names)
        found = replace(found, labels=labels, names=parts, tracking={})
    return replace(found, warnings=found.warnings + _separate_parts(found.labels, found.names))


def _from_structures(
    dataset: Dataset,
    path: Path,
    study: StudyRecord,
    grid: sitk.Image,
    patient_id: str | None,
    names: Sequence[str],
    progress: Progress,
) -> ImportedLabels:
    structures = structure_set(dataset, path, names)
    frames = [roi.frame_of_reference_uid for roi in structures.rois]
    warnings = check_belongs(dataset, path, study, patient_id, frames, structures.series_uids) + structures.warnings
    regions, notes = roi_regions(structures, grid, slices_of(study.origin, grid.GetDepth()), path, progress)
    labels, shared = label_image(regions, grid, path.name)
    tracking = {roi.number: (roi.name, roi.tracking_uid) for roi in structures.rois if roi.tracking_uid}
    return ImportedLabels(
        labels,
        {region.number: region.name for region in regions},
        tracking,
        path.name,
        warnings + notes + shared,
        "DICOM RTSTRUCT",
        _software(dataset),
    )


def _from_segments(
    dataset: Dataset,
    path: Path,
    study: StudyRecord,
    grid: sitk.Image,
    patient_id: str | None,
    names: Sequence[str],
) -> ImportedLabels:
    series = text(first_item(dataset, "ReferencedSeriesSequence"), "SeriesInstanceUID")
    frames = [text(dataset, "FrameOfReferenceUID")]
    warnings = check_belongs(dataset, path, study, patient_id, frames, (series,) if series else ())
    found = segment_labels(dataset, path, names)
    labels, notes = fit_labels(found.labels, grid, found.names, path)
    kind = f"DICOM SEG ({text(dataset, 'SegmentationType').lower()})"
    warnings += found.warnings + notes
    return ImportedLabels(labels, found.names, found.tracking, path.name, warnings, kind, _software(dataset))


def _software(dataset: Dataset) -> str:
    parts = [text(dataset, keyword) for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")]
    return " ".join(dict.fromkeys(part for part in parts if part))


def _from_image(path: Path, grid: sitk.Image, names: Sequence[str], split: bool) -> ImportedLabels:
    image = read_image(path)
    labels = _whole_numbers(image, path)
    named = {value: name for value, name in _slicer_names(image).items() if value}
    if names:
        labels = _only(labels, named, names, path)
    present = sorted(set(np.unique(sitk.GetArrayViewFromImage(labels)).tolist()) - {0})
    if not present:
        raise InputError(f"{path} holds no value above 0, so there is no lesion in it. Choose another file.")
    found_names = {value: named.get(value, "") for value in present}
    kind = "label image"
    if len(present) == 1:
        kind = "mask"
        labels = _components(labels, path)
        parts = int(sitk.GetArrayViewFromImage(labels).max())
        found_names = dict.fromkeys(range(1, parts + 1), found_names[present[0]])
    elif split:
        labels, found_names = split_labels(labels, found_names)
    fitted, warnings = fit_labels(labels, grid, found_names, path)
    warnings += _separate_parts(fitted, found_names) if kind == "label image" else []
    return ImportedLabels(fitted, found_names, {}, path.name, warnings, kind)


def _whole_numbers(image: sitk.Image, path: Path) -> sitk.Image:
    values = sitk.GetArrayViewFromImage(image)
    if not np.issubdtype(values.dtype, np.integer) and (values != np.round(values)).any():
        raise InputError(
            f"{path} holds values that are not whole numbers (up to {float(values.max()):g}): it is an image or a "
            "probability map, not labels. Save the mask or the labels instead."
        )
    low, high = values.min(), values.max()
    if low < 0 or high > LARGEST_LABEL:
        raise InputError(f"{path} holds values from {low:g} to {high:g}; lesion numbers go from 1 to {LARGEST_LABEL}.")
    return sitk.Cast(image, sitk.sitkUInt16)


def _slicer_names(image: sitk.Image) -> dict[int, str]:
    """Names of the values of a Slicer segmentation file (.seg.nrrd), which stand in its header."""
    keys = set(image.GetMetaDataKeys())
    named = {}
    for key in keys:
        prefix = key.removesuffix("_LabelValue")
        if prefix != key and f"{prefix}_Name" in keys and image.GetMetaData(key).strip().isdigit():
            named[int(image.GetMetaData(key))] = image.GetMetaData(f"{prefix}_Name").strip()
    return dict(sorted(named.items()))


def _only(labels: sitk.Image, named: Mapping[int, str], names: Sequence[str], path: Path) -> sitk.Image:
    values = list(named)
    chosen = [values[index] for index in choose_names([named[value] for value in values], names, path)]
    kept = np.zeros(LARGEST_LABEL + 1, np.uint16)
    kept[chosen] = chosen
    only = sitk.GetImageFromArray(kept[sitk.GetArrayViewFromImage(labels)])
    only.CopyInformation(labels)
    return only


def _components(mask: sitk.Image, path: Path) -> sitk.Image:
    try:
        return components(mask)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def split_labels(labels: sitk.Image, names: Mapping[int, str]) -> tuple[sitk.Image, dict[int, str]]:
    """Every 26-connected part as a lesion of its own, numbered in the order of the lesions; parts bear their names.

    Raises InputError for more parts than can be numbered.
    """
    values = sitk.GetArrayViewFromImage(labels)
    parts = np.zeros_like(values)
    named: dict[int, str] = {}
    for number, box in enumerate(ndimage.find_objects(values), start=1):
        if box is None:
            continue
        found, count = ndimage.label(values[box] == number, _TOUCHING)
        if len(named) + count > LARGEST_LABEL:
            raise InputError(f"The lesions fall into more than {LARGEST_LABEL} separate parts. Do not split them.")
        inside = found > 0
        parts[box][inside] = (found[inside] + len(named)).astype(parts.dtype)
        named |= {len(named) + part: names.get(number, "") for part in range(1, count + 1)}
    image = sitk.GetImageFromArray(parts)
    image.CopyInformation(labels)
    return image, named


def _separate_parts(labels: sitk.Image, names: Mapping[int, str]) -> list[str]:
    """A warning that names lesions of several parts: perhaps each part was meant as a lesion."""
    values = sitk.GetArrayViewFromImage(labels)
    several = []
    for number, box in enumerate(ndimage.find_objects(values), start=1):
        if box is not None and (count := ndimage.label(values[box] == number, _TOUCHING)[1]) > 1:
            several.append(f"{names.get(number) or f'lesion {number}'} ({count})")
    if not several:
        return []
    more = f" and {len(several) - _LISTED} more" if len(several) > _LISTED else ""
    return [
        f"Taken as one lesion though in separate parts: {', '.join(several[:_LISTED])}{more}. "
        "Split them on import if each part is a lesion."
    ]
