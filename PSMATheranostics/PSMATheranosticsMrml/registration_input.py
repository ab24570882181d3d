"""What a registration is told by the scene: pairs of points and transforms, as files for the background program."""

from __future__ import annotations

import csv
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .volumes import lpsFromRas

Point = tuple[float, float, float]


def writeLandmarks(
    baseline: slicer.vtkMRMLMarkupsFiducialNode, later: slicer.vtkMRMLMarkupsFiducialNode, path: Path
) -> None:
    """Write the points of two lists as pairs, in their order (LPS mm); see ``PSMATheranosticsLib.landmark_file``.

    Raises:
        RuntimeError: the lists are empty or of different lengths.
        OSError: the file cannot be written.
    """
    from PSMATheranosticsLib.landmark_file import BASELINE, FOLLOWUP

    pairs = [_points(baseline), _points(later)]
    if not pairs[0] or len(pairs[0]) != len(pairs[1]):
        raise RuntimeError(
            _(
                "{first} has {count} points and {second} has {other}. Place the same points in both lists, in the "
                "same order."
            ).format(first=baseline.GetName(), count=len(pairs[0]), second=later.GetName(), other=len(pairs[1]))
        )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*BASELINE, *FOLLOWUP])
        writer.writerows([*first, *second] for first, second in zip(*pairs, strict=True))


def writeTransform(node: slicer.vtkMRMLTransformNode, path: Path) -> None:
    """Write a transform node as ITK reads it: from points of the earlier to those of the later study (LPS mm).

    The node is taken as one that brings the later study onto the earlier when that is put under it.

    Raises:
        RuntimeError: the file cannot be written.
    """
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(node):
        raise RuntimeError(
            _("The transform {name} cannot be written. Harden it first if it is composed of several.").format(
                name=node.GetName()
            )
        )


def _points(node: slicer.vtkMRMLMarkupsFiducialNode) -> list[Point]:
    """The placed points of a list (LPS mm)."""
    found = []
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined:
            position = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(index, position)
            found.append(lpsFromRas((position[0], position[1], position[2])))
    return found
