"""Images of the Libs and volume nodes: geometry, values, units and how they are shown first.

The one place where SimpleITK's LPS becomes MRML's RAS and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk
    from PSMATheranosticsLib.study import Scaling

WINDOW_TOP_SUV = 15.0
OVERLAY_FROM_SUV = 2.0  # below it the overlay is transparent: blood pool and noise would only darken the CT
WINDOW_TOP_PERCENTILE = 99.9  # of an image without SUV: the brightest organs, not single hot voxels at its edge
CT_SOFT_TISSUE_HU = (-160.0, 240.0)  # level 40, window 400

PET_COLOR = "vtkMRMLColorTableNodeInvertedGrey"
OVERLAY_COLOR = "vtkMRMLPETProceduralColorNodePET-Heat"
CT_COLOR = "vtkMRMLColorTableNodeGrey"

# value, coding scheme, meaning: quantity and unit of each kind of image (DICOM PS3.16, UCUM)
SUVBW_CODES = (
    ("126401", "DCM", "SUVbw"),
    ("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
)
ACTIVITY_CODES = (
    ("110821", "DCM", "Nuclear Medicine Tomographic Activity"),
    ("Bq/ml", "UCUM", "Becquerels/milliliter"),
)
CT_CODES = (
    ("112031", "DCM", "Attenuation Coefficient"),
    ("[hnsf'U]", "UCUM", "Hounsfield unit"),
)


@dataclass(frozen=True)
class EmissionLook:
    """How an emission image is shown first: codes of its quantity and unit, top of the window, start of the overlay."""

    codes: tuple[tuple[str, str, str], tuple[str, str, str]]
    top: float
    overlayFrom: float


def emissionLook(scaling: Scaling, image: sitk.Image) -> EmissionLook:
    """SUVbw from 0 to 15; Bq/mL over the same range of SUV where that is known, so that studies can be compared.

    An activity image without a factor to SUV gets a window from its own values.
    """
    if scaling.quantity == "SUVbw":
        return EmissionLook(SUVBW_CODES, WINDOW_TOP_SUV, OVERLAY_FROM_SUV)
    if scaling.suv_factor is not None:
        unit = 1.0 / scaling.suv_factor
    else:
        unit = _highPercentile(image) / WINDOW_TOP_SUV or 1.0  # an empty image has no brightest values
    return EmissionLook(ACTIVITY_CODES, WINDOW_TOP_SUV * unit, OVERLAY_FROM_SUV * unit)


def _highPercentile(image: sitk.Image) -> float:
    import numpy as np
    import SimpleITK as sitk

    return float(np.percentile(sitk.GetArrayViewFromImage(image), WINDOW_TOP_PERCENTILE))


def ijkToRasMatrix(image: sitk.Image) -> vtk.vtkMatrix4x4:
    """Matrix from voxel indices (i, j, k) to RAS millimetres for a 3D image in LPS."""
    direction, spacing, origin = image.GetDirection(), image.GetSpacing(), image.GetOrigin()
    toRas = (-1.0, -1.0, 1.0)
    matrix = vtk.vtkMatrix4x4()
    for row in range(3):
        for column in range(3):
            matrix.SetElement(row, column, toRas[row] * direction[3 * row + column] * spacing[column])
        matrix.SetElement(row, 3, toRas[row] * origin[row])
    return matrix


def imageFromArray(array: np.ndarray, ijkToRas: vtk.vtkMatrix4x4) -> sitk.Image:
    """Image in LPS from an array (z, y, x) and its matrix to RAS."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    toLps = (-1.0, -1.0, 1.0)
    columns = [[toLps[row] * ijkToRas.GetElement(row, column) for row in range(3)] for column in range(3)]
    spacing = [sum(value * value for value in column) ** 0.5 for column in columns]
    image.SetSpacing(spacing)
    image.SetDirection([columns[column][row] / spacing[column] for row in range(3) for column in range(3)])
    image.SetOrigin([toLps[row] * ijkToRas.GetElement(row, 3) for row in range(3)])
    return image


def lpsFromRas(point: tuple[float, float, float]) -> tuple[float, float, float]:
    """A point of MRML as a point of the Libs (millimetres)."""
    return -point[0], -point[1], point[2]


def rasFromLps(point: tuple[float, float, float]) -> tuple[float, float, float]:
    """A point of the Libs as a point of MRML (millimetres)."""
    return -point[0], -point[1], point[2]


def matrixFromTransform(transform: sitk.Transform) -> vtk.vtkMatrix4x4:
    """Matrix of RAS points (mm) for a linear transform of LPS points."""
    origin = rasFromLps(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = vtk.vtkMatrix4x4()
    for column in range(3):
        axis = tuple(float(row == column) for row in range(3))
        moved = rasFromLps(transform.TransformPoint(rasFromLps(axis)))
        for row in range(3):
            matrix.SetElement(row, column, moved[row] - origin[row])
    for row in range(3):
        matrix.SetElement(row, 3, origin[row])
    return matrix


def transformFromField(field: sitk.Image) -> slicer.vtkOrientedGridTransform:
    """Transform of RAS points (mm) for a displacement field: vectors in LPS mm on a grid in LPS."""
    import numpy as np
    import SimpleITK as sitk
    from vtk.util.numpy_support import numpy_to_vtk

    toRas = ijkToRasMatrix(field)
    vectors = sitk.GetArrayFromImage(field).astype(np.float32) * np.array([-1.0, -1.0, 1.0], np.float32)
    grid, directions = vtk.vtkImageData(), vtk.vtkMatrix4x4()
    grid.SetDimensions(field.GetSize())
    grid.SetSpacing(field.GetSpacing())
    grid.SetOrigin([toRas.GetElement(row, 3) for row in range(3)])
    grid.GetPointData().SetScalars(numpy_to_vtk(vectors.reshape(-1, 3), deep=True))
    for column, spacing in enumerate(field.GetSpacing()):
        for row in range(3):
            directions.SetElement(row, column, toRas.GetElement(row, column) / spacing)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetGridDirectionMatrix(directions)
    transform.SetDisplacementGridData(grid)
    return transform


def volumeFromImage(image: sitk.Image, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node in the scene that holds a copy of ``image``."""
    import SimpleITK as sitk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(ijkToRasMatrix(image))
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayViewFromImage(image))
    return node


def imageFromVolume(node: slicer.vtkMRMLScalarVolumeNode) -> sitk.Image:
    """A copy of a volume node's voxels with their geometry in LPS.

    Raises:
        ValueError: the volume is under a transform, so that its own geometry is not where it is shown.
    """
    if node.GetParentTransformNode() is not None:
        told = _("The volume '{name}' is under a transform: harden the transform first.")
        raise ValueError(told.format(name=node.GetName()))
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return imageFromArray(slicer.util.arrayFromVolume(node), matrix)


def showAsEmission(node: slicer.vtkMRMLScalarVolumeNode, look: EmissionLook) -> None:
    """PET or SPECT in inverted grey."""
    _setQuantity(node, *look.codes)
    _setDisplay(node, PET_COLOR, (0.0, look.top))


def showAsOverlay(node: slicer.vtkMRMLScalarVolumeNode, look: EmissionLook) -> None:
    """PET or SPECT in the colors that are laid over a CT, the lowest values transparent."""
    _setQuantity(node, *look.codes)
    _setDisplay(node, OVERLAY_COLOR, (0.0, look.top))
    display = node.GetDisplayNode()
    display.SetAutoThreshold(False)
    display.SetLowerThreshold(look.overlayFrom)
    display.SetUpperThreshold(vtk.VTK_FLOAT_MAX)
    display.SetApplyThreshold(True)


def showAsCt(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """HU in grey, soft tissue window."""
    _setQuantity(node, *CT_CODES)
    _setDisplay(node, CT_COLOR, CT_SOFT_TISSUE_HU)


def overlayOf(
    emission: slicer.vtkMRMLScalarVolumeNode, name: str, look: EmissionLook
) -> slicer.vtkMRMLScalarVolumeNode:
    """A second node on the same voxels, without a copy: a PET can be grey in one view and hot over CT in another.

    It stays out of selectors and saved scenes: it can be made again at any time.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    matrix = vtk.vtkMatrix4x4()
    emission.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(emission.GetImageData())
    showAsOverlay(node, look)
    return node


def _setQuantity(
    node: slicer.vtkMRMLScalarVolumeNode, quantity: tuple[str, str, str], units: tuple[str, str, str]
) -> None:
    for code, setter in ((quantity, node.SetVoxelValueQuantity), (units, node.SetVoxelValueUnits)):
        entry = slicer.vtkCodedEntry()
        entry.SetValueSchemeMeaning(*code)
        setter(entry)


def _setDisplay(node: slicer.vtkMRMLScalarVolumeNode, color: str, window: tuple[float, float]) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*window)
    display.SetAndObserveColorNodeID(color)
