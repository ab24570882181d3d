"""A man to paint crops on, at voxels so large that tests are quick."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import SimpleITK as sitk
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.training.bodies import Body, body_files, read_body

SPACING_MM = 6.0


def write_map(folder: Path, patient: str = "00aa", scale: float = 1.0) -> Path:
    """The organ map of a man who is wider or narrower than the reference man."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"psma_{patient}_2020-01-01.nii.gz"
    sitk.WriteImage(organ_map(5.0, (scale, 1.0, 1.0)), str(path))
    return path


@cache
def built_man() -> Body:
    """The body around such a map, the same for all tests; nothing may be changed in it."""
    with TemporaryDirectory() as folder:
        (path,) = body_files([write_map(Path(folder))], NAMES, Path(folder) / "bodies", SPACING_MM, 1)
        return read_body(path)
