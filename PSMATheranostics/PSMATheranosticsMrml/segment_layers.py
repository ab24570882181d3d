"""The labelmaps of a segmentation node as arrays: which voxels each segment has, on the grid of the study.

Segments that share a labelmap form a layer. A layer covers a box of the grid, and Slicer changes the box with every
edit; so each look at a layer begins at its extent of that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
import vtk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BINARY_LABELMAP = "Binary labelmap"
Start = tuple[int, int, int]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Layer:
    """One labelmap and the segments in it. ``values``: label value by segment id.

    ``isOnGrid``: whether the labelmap is the segments' own; else it is a copy that was brought onto the grid.
    """

    labelmap: slicer.vtkOrientedImageData
    values: Mapping[str, int]
    isOnGrid: bool = True

    @property
    def isShared(self) -> bool:
        """Whether more than one segment is in it."""
        return len(self.values) > 1

    @property
    def modified(self) -> int:
        """When it was modified last, as VTK counts."""
        return self.labelmap.GetMTime()

    @property
    def box(self) -> Box:
        """The voxels (z, y, x) of the grid that it covers."""
        x0, x1, y0, y1, z0, z1 = self.labelmap.GetExtent()
        return slice(z0, z1 + 1), slice(y0, y1 + 1), slice(x0, x1 + 1)

    def array(self) -> npt.NDArray[np.integer]:
        """Its label values (z, y, x), a view: valid until the layer is changed."""
        import numpy as np
        from vtk.util.numpy_support import vtk_to_numpy

        shape = tuple(max(part.stop - part.start, 0) for part in self.box)
        scalars = self.labelmap.GetPointData().GetScalars()
        if 0 in shape or scalars is None:
            return np.zeros((0, 0, 0), np.uint8)
        return vtk_to_numpy(scalars).reshape(shape)

    def within(self, box: Box) -> tuple[Box, npt.NDArray[np.integer]] | None:
        """What it holds of a box of the grid: the part of the box that it covers, and a view on it; None for none."""
        common = intersection(self.box, box)
        if common is None:
            return None
        z, y, x = (
            slice(part.start - low.start, part.stop - low.start) for part, low in zip(common, self.box, strict=True)
        )
        return common, self.array()[z, y, x]


def layersOf(node: slicer.vtkMRMLSegmentationNode) -> list[Layer]:
    """The layers of a segmentation node, all on the grid of the study.

    A labelmap on another grid, as some effects and imports make them, is brought onto it for reading (nearest
    neighbor).
    """
    segmentation = node.GetSegmentation()
    found: dict[slicer.vtkOrientedImageData, dict[str, int]] = {}
    for each in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(each)
        labelmap = segment.GetRepresentation(BINARY_LABELMAP)
        if labelmap is not None:
            found.setdefault(labelmap, {})[each] = segment.GetLabelValue()
    grid = gridOf(node)
    layers = []
    for labelmap, values in found.items():
        read = _onGrid(labelmap, grid)
        layers.append(Layer(read, values, read is labelmap))
    return layers


def gridOf(node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkOrientedImageData:
    """The grid of the study that a segmentation node belongs to: geometry and extent, no voxels."""
    converter = slicer.vtkSegmentationConverter
    name = converter.GetReferenceImageGeometryParameterName()
    grid = slicer.vtkOrientedImageData()
    converter.DeserializeImageGeometry(node.GetSegmentation().GetConversionParameter(name), grid, False)
    return grid


def shapeOf(grid: slicer.vtkOrientedImageData) -> Start:
    """Voxels of a grid along z, y, x."""
    x, y, z = grid.GetDimensions()
    return z, y, x


def labelmapOf(
    array: npt.NDArray[np.integer], start: Start, imageToWorld: vtk.vtkMatrix4x4
) -> slicer.vtkOrientedImageData:
    """A copy of label values (z, y, x) as a labelmap; ``start`` is the index of their first voxel on the grid."""
    import numpy as np
    from vtk.util.numpy_support import numpy_to_vtk

    labelmap = slicer.vtkOrientedImageData()
    (z, y, x), (depth, height, width) = start, array.shape
    labelmap.SetExtent(x, x + width - 1, y, y + height - 1, z, z + depth - 1)
    scalars = numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True)
    scalars.SetName("ImageScalars")
    labelmap.GetPointData().SetScalars(scalars)
    labelmap.SetGeometryFromImageToWorldMatrix(imageToWorld)
    return labelmap


def worldMatrix(labelmap: slicer.vtkOrientedImageData) -> vtk.vtkMatrix4x4:
    """Matrix from voxel indices (i, j, k) to RAS millimetres."""
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return matrix


def intersection(first: Box, second: Box) -> Box | None:
    """What two boxes share, None where that is nothing."""
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return (z, y, x) if all(part.start < part.stop for part in (z, y, x)) else None


def union(boxes: Iterator[Box]) -> Box | None:
    """The smallest box around some boxes, None for none."""
    around: Box | None = None
    for box in boxes:
        if around is None:
            around = box
        else:
            z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(around, box, strict=True))
            around = z, y, x
    return around


def voxelsIn(box: Box) -> int:
    """Number of voxels in a box."""
    z, y, x = (part.stop - part.start for part in box)
    return z * y * x


def _onGrid(labelmap: slicer.vtkOrientedImageData, grid: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    resample = slicer.vtkOrientedImageDataResample
    if labelmap.GetPointData().GetScalars() is None or resample.DoGeometriesMatch(labelmap, grid):
        return labelmap
    found = slicer.vtkOrientedImageData()
    resample.ResampleOrientedImageToReferenceOrientedImage(labelmap, grid, found)
    return found
