"""Organ maps from files: a label image and the names of its values."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.organ_sources import TABLES, merged, organ_map_by_table
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.totalsegmentator import organ_map_of_ct

from .errors import InputError
from .image_files import read_image, refuse_apart
from .lib_errors import naming
from .progress import Progress, part
from .study import Study


def attach_organ_map(study: Study, labels: Path, names_csv: Path | None, add: bool = False) -> None:
    """Give a study its organ map: a label image, on any grid, and a CSV file with lines of ``value,organ``.

    With ``add`` the map is laid together with the one that the study has (``organ_sources.merged``).

    ``names_csv`` may also be the name of one of the label tables that come along (``organ_sources.TABLES``). Without it
    the file ``labels.csv`` beside the map is taken. Raises InputError when a value has no name, or when the map does
    not lie where the PET is.
    """
    if not labels.is_file():
        raise InputError(f"There is no organ map {labels}.")
    table = "" if names_csv is None or names_csv.is_file() or str(names_csv) not in TABLES else str(names_csv)
    names_csv = labels.parent / "labels.csv" if names_csv is None else names_csv
    if not table and not names_csv.is_file():
        raise InputError(
            f"There is no file {names_csv} that names the organs of {labels.name} (lines of value,organ). Give one, or "
            f"one of the tables {', '.join(TABLES)} for a map of TotalSegmentator."
        )
    image = read_image(labels)
    values = sitk.GetArrayViewFromImage(image)
    if not np.issubdtype(values.dtype, np.integer):
        if (values != np.round(values)).any():
            raise InputError(f"{labels} holds values that are not whole numbers; an organ map must.")
        image = sitk.Cast(image, sitk.sitkUInt16)
    refuse_apart(image, study.emission, labels)
    with naming(str(labels)):
        found = organ_map_by_table(image, table) if table else _organ_map_by_file(image, names_csv, labels)
        study.organs = found if study.organs is None or not add else merged(study.organs, found)


def _organ_map_by_file(image: sitk.Image, names_csv: Path, labels: Path) -> OrganMap:
    names = read_organ_names(names_csv)
    unnamed = [int(value) for value in np.unique(sitk.GetArrayViewFromImage(image)) if value and value not in names]
    if unnamed:
        raise InputError(f"{labels.name} holds the values {unnamed}, which {names_csv} does not name.")
    return OrganMap(image, names)


def make_organ_map(study: Study, progress: Progress | None = None) -> None:
    """Give a study the organ map that TotalSegmentator makes of its CT; that it did is noted with the study.

    A study without CT stays as it is, and a warning says so. Raises InputError where TotalSegmentator or its weights
    are not there, or where it fails.
    """
    if study.ct is None:
        study.warnings.append("There is no CT that an organ map could be made of; organs are found by rules.")
        return
    with naming(f"{study.modality} of {study.acquired:%Y-%m-%d}"):
        study.organs = organ_map_of_ct(study.ct, part(progress, 0.0, 1.0))
    study.warnings.append(f"Organ map by {study.organs.source}: no person has checked it.")


def read_organ_names(path: Path) -> dict[int, str]:
    """The organ of each value from lines of ``value,organ``; InputError where the table cannot be understood."""
    names: dict[int, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if rows and [cell.strip() for cell in rows[0][:2]] == ["value", "organ"]:
        del rows[0]
    for row in rows:
        if len(row) < 2 or not row[0].strip().isdigit() or not row[1].strip():
            raise InputError(f"{path}: the line {','.join(row)} is not value,organ with a whole number.")
        if int(row[0]) in names:
            raise InputError(f"{path}: the value {int(row[0])} is named twice.")
        names[int(row[0])] = row[1].strip()
    names.pop(0, None)  # background
    return names
