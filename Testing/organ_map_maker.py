"""Organ maps of the reference man, where tests need one and the real ones are not at hand."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.phantom.anatomy import Figure, build_man
from PSMASegmentLib.phantom.held_out import is_held_out
from PSMASegmentLib.phantom.outline import Posture
from PSMASegmentLib.phantom.tissues import ORGANS

NAMES = {value: name for value, (name, _) in ORGANS.items() if value <= 10}
"""What the maps hold: no bowel, and of the glands only the parotids."""


def organ_map(spacing_mm: float = 6.0, scale: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> sitk.Image:
    """The organs of a man (uint8, LPS, values as in ``NAMES``), with room around him as in a scan."""
    canvas = build_man(Figure(scale), Posture(), 1, spacing_mm)
    table = np.zeros(256, np.uint8)
    for value in NAMES:
        for tissue in ORGANS[value][1]:
            table[int(tissue)] = value
    image = sitk.GetImageFromArray(table[canvas.tissue])
    image.SetSpacing((spacing_mm,) * 3)
    image.SetOrigin(canvas.origin_mm)
    return image


def write_organ_maps(folder: Path, men: int, spacing_mm: float = 6.0) -> list[Path]:
    """Maps of so many men who are held out and of as many who are not, with ``labels.csv``; those held out."""
    folder.mkdir(parents=True)
    rows = ["value,organ", *(f"{value},{name}" for value, name in NAMES.items())]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    written: dict[bool, list[Path]] = {True: [], False: []}
    for number in count():
        name = f"{number:04x}"
        group = written[is_held_out(name)]
        if len(group) < men:
            path = folder / f"synthetic_{name}_2026-01-0{len(group) + 1}.nii.gz"
            if is_held_out(name):
                sitk.WriteImage(organ_map(spacing_mm, (1.0 + 0.02 * len(group), 1.0, 1.0)), str(path))
            else:
                path.write_bytes(b"never read")
            group.append(path)
        if all(len(paths) == men for paths in written.values()):
            return written[True]
    raise AssertionError("there is always another number")
