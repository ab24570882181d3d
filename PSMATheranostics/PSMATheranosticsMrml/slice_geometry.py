"""Where a slice view stands, in RAS millimeters, and moving it there."""

from __future__ import annotations

import slicer

SAME_MM = 1e-4  # changes below are rounding

Ras = tuple[float, float, float]


def scaleOf(node: slicer.vtkMRMLSliceNode) -> float:
    """Millimeters in a pixel."""
    return node.GetFieldOfView()[0] / max(node.GetDimensions()[0], 1)


def middleOf(node: slicer.vtkMRMLSliceNode) -> Ras:
    """The point (RAS mm) in the middle of a view."""
    width, height, _depth = node.GetDimensions()
    r, a, s, _one = node.GetXYToRAS().MultiplyPoint((width / 2, height / 2, 0.0, 1.0))
    return r, a, s


def ontoSlice(node: slicer.vtkMRMLSliceNode, ras: Ras | None) -> Ras:
    """A point moved straight onto the slice; the middle of the view for none, or where it would lie outside."""
    middle = middleOf(node)
    if ras is None:
        return middle
    moved = shifted(node, middle, *inPlane(node, minus(ras, middle)))
    return moved if isIn(node, moved) else middle


def isIn(node: slicer.vtkMRMLSliceNode, ras: Ras) -> bool:
    """Whether a point is seen in a view, on its slice or in front of it or behind it."""
    right, up = inPlane(node, minus(ras, middleOf(node)))
    width, height, _depth = node.GetFieldOfView()
    return abs(right) <= width / 2 and abs(up) <= height / 2


def inPlane(node: slicer.vtkMRMLSliceNode, shift: Ras) -> tuple[float, float]:
    """Parts (mm) of a shift along the view's right and up."""
    right, up = (sum(a * b for a, b in zip(_axis(node, column), shift, strict=True)) for column in (0, 1))
    return right, up


def shifted(node: slicer.vtkMRMLSliceNode, ras: Ras, right: float, up: float) -> Ras:
    """A point moved along the view's right and up (mm)."""
    r, a, s = (start + right * x + up * y for start, x, y in zip(ras, _axis(node, 0), _axis(node, 1), strict=True))
    return r, a, s


def moveMiddle(node: slicer.vtkMRMLSliceNode, shift: Ras) -> None:
    """Move the view by a shift (mm)."""
    toRas = node.GetSliceToRAS()
    for row in range(3):
        toRas.SetElement(row, 3, toRas.GetElement(row, 3) + shift[row])
    node.UpdateMatrices()


def setScale(node: slicer.vtkMRMLSliceNode, scale: float) -> None:
    """Show so many millimeters in a pixel, without moving the middle."""
    width, height, _depth = node.GetDimensions()
    wanted, shown = (width * scale, height * scale), node.GetFieldOfView()
    if max(abs(a - b) for a, b in zip(wanted, shown[:2], strict=True)) > SAME_MM:
        middle = middleOf(node)
        node.SetFieldOfView(*wanted, shown[2])
        node.UpdateMatrices()
        moveMiddle(node, minus(middle, middleOf(node)))


def minus(first: Ras, second: Ras) -> Ras:
    """The shift from the second point to the first."""
    r, a, s = (x - y for x, y in zip(first, second, strict=True))
    return r, a, s


def _axis(node: slicer.vtkMRMLSliceNode, column: int) -> Ras:
    toRas = node.GetSliceToRAS()
    r, a, s = (toRas.GetElement(row, column) for row in range(3))
    return r, a, s
