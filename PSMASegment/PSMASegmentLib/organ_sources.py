"""Where organ maps come from: label tables of other programs, maps laid together, and how a source is told.

What keeps physiological uptake out is, in this order: organs that a network finds beside the lesions; a label image
that a person gives, with a table that says what its values mean; one that TotalSegmentator makes of the CT
(``totalsegmentator``); and the rules of position, size and uptake for every organ that none of these tells about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.grids import require_scalar_3d
from PSMASegmentLib.organ_names import physiological_organ
from PSMASegmentLib.organs import OrganMap

TOTAL, TOTAL_V1, HEAD_GLANDS = "total", "total_v1", "head_glands_cavities"
TABLES: dict[str, str] = {
    TOTAL: "TotalSegmentator 2, task total",
    TOTAL_V1: "TotalSegmentator 1, task total",
    HEAD_GLANDS: "TotalSegmentator 2, task head_glands_cavities",
}
RULES = "rules of position, size and uptake"
_FOLDER = "organ_label_tables"


def label_table(name: str) -> dict[int, str]:
    """The organ of each value by one of ``TABLES``; ValueError, listing them, for another name."""
    if name not in TABLES:
        raise ValueError(f"There is no label table {name!r}. There are: {', '.join(TABLES)}.")
    text = (resources.files("PSMASegmentLib") / _FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return {int(value): organ for value, organ in json.loads(text).items()}


def organ_map_by_table(labels: sitk.Image, name: str) -> OrganMap:
    """A label image whose values mean what one of ``TABLES`` says.

    Only organs that the image shows are named: a map made of some organs alone says nothing about the others, which are
    then looked for by rules. Raises ValueError for an image that is no volume of whole numbers, that is empty, or that
    holds values which the table does not name.
    """
    table = label_table(name)
    values = _values(labels, f"organ map with the table {name}")
    unnamed = [value for value in values if value not in table]
    if unnamed:
        others = [other for other in TABLES if other != name and set(values) <= set(label_table(other))]
        hint = f" The values would fit the table {' or '.join(others)}." if others else ""
        raise ValueError(
            f"The organ map holds the values {unnamed}, which the table {name} ({TABLES[name]}) does not name.{hint} "
            "Check which program and version made it, or give a table of your own."
        )
    if not values:
        raise ValueError("The organ map is empty: no value but 0. Check that the right file was given.")
    return OrganMap(labels, {value: table[value] for value in values}, TABLES[name])


def _values(labels: sitk.Image, what: str) -> list[int]:
    """The values other than 0, ascending."""
    require_scalar_3d(labels, what)
    if labels.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        raise ValueError(f"The {what} holds floating point values; cast it to an integer type first.")
    return [int(value) for value in np.unique(sitk.GetArrayViewFromImage(labels)) if value]


def merged(first: OrganMap, second: OrganMap) -> OrganMap:
    """Two maps of one study as one, on the grid of the first.

    The second is resampled (nearest neighbor) and gets values of its own. Where both name a voxel the first counts,
    except that an organ with physiological uptake counts before other structures: a gland before the muscle around it.
    """
    require_scalar_3d(first.labels, "organ map")
    require_scalar_3d(second.labels, "second organ map")
    base = max([0, *first.names])
    names = dict(first.names) | {base + value: organ for value, organ in second.names.items() if value > 0}
    if max(names, default=0) > np.iinfo(np.uint16).max:
        raise ValueError(f"The two organ maps hold values up to {max(names)}; together at most 65535 can be kept.")
    one = sitk.GetArrayFromImage(first.labels).astype(np.int32)
    other = sitk.GetArrayFromImage(
        sitk.Resample(second.labels, first.labels, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkInt32)
    )
    wins = (other > 0) & (
        ~np.isin(one, [value for value in first.names if value > 0])
        | (np.isin(other, _physiological(second.names)) & ~np.isin(one, _physiological(first.names)))
    )
    one[wins] = other[wins] + base
    labels = sitk.GetImageFromArray(one.astype(np.uint16))
    labels.CopyInformation(first.labels)
    return OrganMap(labels, names, "; ".join(source for source in (first.source, second.source) if source))


def _physiological(names: Mapping[int, str]) -> list[int]:
    return [value for value, name in names.items() if value > 0 and physiological_organ(name)]


def source_of(organs: OrganMap | None) -> str:
    """What is said of where organs come from: a map's own source, the table its names are of, or the rules."""
    if organs is None:
        return RULES
    if organs.source:
        return organs.source
    for name, program in TABLES.items():
        table = label_table(name)
        if organs.names and all(table.get(value) == organ for value, organ in organs.names.items()):
            return f"map named as by {program}"
    both = {*label_table(TOTAL).values(), *label_table(HEAD_GLANDS).values()}
    if organs.names and both.issuperset(organs.names.values()):
        return "map named as by TotalSegmentator 2"
    return "map with a table of its own"
