"""Images of the Libs as volume nodes: same voxels, same place, though one speaks LPS and the other RAS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import vtk

COS, SIN = np.cos(0.3), np.sin(0.3)
AXIAL = (1, 0, 0, 0, 1, 0, 0, 0, 1)
FLIPPED = (-1, 0, 0, 0, 1, 0, 0, 0, -1)
FEET_FIRST_MIRRORED = (1, 0, 0, 0, 1, 0, 0, 0, -1)  # left-handed
OBLIQUE = (COS, -SIN, 0, SIN, COS, 0, 0, 0, 1)
SAGITTAL = (0, 0, 1, 1, 0, 0, 0, 1, 0)
DIRECTIONS = (AXIAL, FLIPPED, FEET_FIRST_MIRRORED, OBLIQUE, SAGITTAL)


def image(direction=AXIAL, dtype=np.float32) -> sitk.Image:
    """Synthetic image of 5 x 6 x 7 voxels (x, y, z), each voxel with a value of its own."""
    made = sitk.GetImageFromArray(np.arange(5 * 6 * 7).reshape(7, 6, 5).astype(dtype))
    made.SetSpacing((4.07, 2.5, 3.0))
    made.SetOrigin((-101.5, 37.25, -842.0))
    made.SetDirection(direction)
    return made


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_voxel_is_at_the_same_place_in_ras_as_in_lps(scene, direction):
    from PSMATheranosticsMrml.volumes import rasFromLps, volumeFromImage

    source = image(direction)
    node = volumeFromImage(source, "PET")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    for index in ((0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (3, 2, 5)):
        found = matrix.MultiplyPoint((*index, 1.0))[:3]
        assert found == pytest.approx(rasFromLps(source.TransformIndexToPhysicalPoint(index)), abs=1e-9)
        assert node.GetImageData().GetScalarComponentAsDouble(*index, 0) == source.GetPixel(index)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_image_to_volume_and_back_is_the_same_image(scene, direction):
    from PSMATheranosticsMrml.volumes import imageFromVolume, volumeFromImage

    source = image(direction, np.int16)
    back = imageFromVolume(volumeFromImage(source, "CT"))
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(source))
    assert back.GetPixelID() == source.GetPixelID()
    assert back.GetSpacing() == pytest.approx(source.GetSpacing(), abs=1e-12)
    assert back.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-9)
    assert back.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-12)


def test_the_volume_keeps_its_values_when_the_image_is_gone(scene):
    import slicer
    from PSMATheranosticsMrml.volumes import volumeFromImage

    source = image()
    expected = sitk.GetArrayFromImage(source)
    node = volumeFromImage(source, "PET")
    del source
    assert np.array_equal(slicer.util.arrayFromVolume(node), expected)


def test_a_volume_under_a_transform_is_refused(scene):
    from PSMATheranosticsMrml.volumes import imageFromVolume, volumeFromImage

    node = volumeFromImage(image(), "PET")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(ValueError, match="under a transform"):
        imageFromVolume(node)


def scaling(quantity: str, suv_factor: float | None = None) -> Any:
    from PSMATheranosticsLib.study import Scaling

    return Scaling(quantity, 1.0, "synthetic", suv_factor=suv_factor)


def test_pet_is_inverted_grey_from_0_to_15_suv_and_says_its_unit(scene):
    from PSMATheranosticsMrml.volumes import emissionLook, showAsEmission, volumeFromImage

    node = volumeFromImage(image(), "PET")
    showAsEmission(node, emissionLook(scaling("SUVbw"), image()))
    display = node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 15.0)
    assert not display.GetAutoWindowLevel()
    assert display.GetColorNode().GetName() == "InvertedGrey"
    assert node.GetVoxelValueQuantity().GetCodeMeaning() == "SUVbw"
    assert node.GetVoxelValueUnits().GetCodeValue() == "g/ml{SUVbw}"


def test_spect_says_bq_per_ml_and_never_suv(scene):
    from PSMATheranosticsMrml.volumes import emissionLook, showAsEmission, volumeFromImage

    node = volumeFromImage(image(), "SPECT")
    showAsEmission(node, emissionLook(scaling("Bq/mL"), image()))
    assert node.GetVoxelValueUnits().GetCodeValue() == "Bq/ml"
    assert "SUV" not in node.GetVoxelValueUnits().GetCodeMeaning()
    assert node.GetVoxelValueQuantity().GetCodeMeaning() == "Nuclear Medicine Tomographic Activity"


def test_spect_with_a_factor_to_suv_has_the_same_window_in_suv_as_pet(slicer_core):
    from PSMATheranosticsMrml.volumes import emissionLook

    look = emissionLook(scaling("Bq/mL", suv_factor=2e-5), image())
    assert look.top == pytest.approx(15.0 / 2e-5)
    assert look.overlayFrom == pytest.approx(2.0 / 2e-5)


def test_spect_without_a_factor_gets_its_window_from_its_own_values(slicer_core):
    from PSMATheranosticsMrml.volumes import emissionLook

    values = np.zeros((20, 20, 20), np.float32)
    values[:4] = 5e5  # an organ, well above a thousandth of the voxels
    values[10, 10, 10] = 1e9  # one hot voxel
    look = emissionLook(scaling("Bq/mL"), sitk.GetImageFromArray(values))
    assert look.top == pytest.approx(5e5)
    assert 0 < look.overlayFrom < look.top


def test_an_empty_spect_still_has_a_window(slicer_core):
    from PSMATheranosticsMrml.volumes import emissionLook

    look = emissionLook(scaling("Bq/mL"), sitk.GetImageFromArray(np.zeros((4, 4, 4), np.float32)))
    assert look.top > 0


def test_ct_is_grey_in_a_soft_tissue_window_and_in_hounsfield_units(scene):
    from PSMATheranosticsMrml.volumes import showAsCt, volumeFromImage

    node = volumeFromImage(image(dtype=np.int16), "CT")
    showAsCt(node)
    display = node.GetDisplayNode()
    assert (display.GetLevel(), display.GetWindow()) == (40.0, 400.0)
    assert display.GetColorNode().GetName() == "Grey"
    assert node.GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"


def test_overlay_shares_the_voxels_of_its_pet_and_stays_out_of_lists_and_saved_scenes(scene):
    from PSMATheranosticsMrml.volumes import emissionLook, overlayOf, volumeFromImage

    pet = volumeFromImage(image(OBLIQUE), "PET")
    overlay = overlayOf(pet, "PET over CT", emissionLook(scaling("SUVbw"), image()))
    assert overlay.GetImageData() is pet.GetImageData()
    matrices = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    pet.GetIJKToRASMatrix(matrices[0])
    overlay.GetIJKToRASMatrix(matrices[1])
    assert [matrices[0].GetElement(i, j) for i in range(4) for j in range(4)] == [
        matrices[1].GetElement(i, j) for i in range(4) for j in range(4)
    ]
    assert overlay.GetHideFromEditors()
    assert not overlay.GetSaveWithScene()
