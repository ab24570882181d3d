"""From a study to what a model of nnU-Net wants, and from its labels to lesions and organs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_fixtures import model_folder, study_images
from PSMASegmentLib.inference.nnunet import NnunetModel, nnunet_result
from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder
from PSMASegmentLib.inference.nnunet_inputs import NnunetSettings, body_mask, channel_images
from PSMASegmentLib.segmentation import Images


@dataclass(frozen=True)
class Meaning:
    lesion: tuple[int, ...]
    physiological: dict[int, str] = field(default_factory=dict)


def plan_of(*names):
    plan = read_nnunet_folder(model_folder("residual"))
    channel = plan.channels[0]
    return replace(plan, channels=tuple(replace(channel, name=name) for name in names))


def study(ct=True, units="SUVbw"):
    emission = sitk.Image(10, 12, 14, sitk.sitkFloat32) + 3.0
    emission.SetSpacing((4.0, 4.0, 3.0))
    image = sitk.Image(9, 9, 9, sitk.sitkInt16) + 40
    image.SetSpacing((2.0, 2.0, 2.0))
    return Images(emission, units, "68Ga-PSMA-11", image if ct else None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("PET",), "e"),
        (("anything",), "e"),
        (("CT",), "c"),
        (("CT", "PET"), "ce"),
        (("SUV_bw", "CT resampled"), "ec"),
        (("lu SPECT", "ct"), "ec"),
    ],
)
def test_channels_are_found_by_their_names(names, expected):
    images = study()
    found = channel_images(images, plan_of(*names), NnunetSettings())
    assert "".join("e" if image is images.emission else "c" for image in found) == expected


@pytest.mark.parametrize("names", [("CT", "CT"), ("noNorm", "CT"), ("PET/CT", "x")])
def test_names_that_say_too_little_have_to_be_declared(names):
    with pytest.raises(ValueError, match="Declare them in their order"):
        channel_images(study(), plan_of(*names), NnunetSettings())
    images = study()
    found = channel_images(images, plan_of(*names), NnunetSettings(channels=("ct", "emission")))
    assert found[1] is images.emission


@pytest.mark.parametrize("declared", [("ct",), ("ct", "mr"), ("ct", "emission", "ct")])
def test_a_declaration_that_does_not_fit_is_refused(declared):
    with pytest.raises(ValueError, match="declare for each of them one of emission, ct"):
        channel_images(study(), plan_of("CT", "PET"), NnunetSettings(channels=declared))


def test_ct_comes_onto_the_emission_grid_with_air_around_it():
    images = study()
    ct = channel_images(images, plan_of("CT", "PET"), NnunetSettings())[0]
    values = sitk.GetArrayFromImage(ct)
    assert ct.GetSize() == images.emission.GetSize() and ct.GetSpacing() == images.emission.GetSpacing()
    assert (values[:5, :4, :4] == 40).all()
    assert (values[7:] == -1024).all()


def test_a_missing_ct_and_other_units_are_named():
    with pytest.raises(ValueError, match="wants a CT"):
        channel_images(study(ct=False), plan_of("CT", "PET"), NnunetSettings())
    with pytest.raises(ValueError, match="wants its emission image in SUVbw; this one is in Bq/mL"):
        channel_images(study(units="Bq/mL"), plan_of("PET"), NnunetSettings())
    assert channel_images(study(units="Bq/mL"), plan_of("PET"), NnunetSettings(units="Bq/mL"))


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("torch")
    pytest.importorskip("dynamic_network_architectures")
    return NnunetModel.load(model_folder("plain"), NnunetSettings(device="cpu", engine="eager", channels=("emission",)))


def test_labels_become_lesions_and_organs_as_declared(model):
    emission = study_images("plain")[0]
    images = Images(emission, "SUVbw", "68Ga-PSMA-11")
    labels = sitk.GetArrayFromImage(model.predict([emission]).labels)
    result = nnunet_result(images, model, Meaning((1,), {2: "gland"}))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result.lesion), labels == 1)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result.physiology), np.where(labels == 2, 2, 0))
    assert result.names == {2: "gland"}
    assert result.probability.GetPixelID() == sitk.sitkUInt8
    assert result.lesion.GetSpacing() == emission.GetSpacing()
    assert nnunet_result(images, model, Meaning((1, 2))).physiology is None


def thin_patient(ct=True):
    """A warm column in cold air that takes a ninth of the field of view."""
    array = np.random.default_rng(3).uniform(0, 0.05, (14, 60, 60)).astype(np.float32)
    array[:, 20:40, 20:40] += 1.0
    array[5:10, 28:33, 26:31] = 20.0
    emission = sitk.GetImageFromArray(array)
    emission.SetSpacing((5.0, 5.0, 5.0))
    density = sitk.Cast(emission > 0.5, sitk.sitkInt16) * 1040 - 1000
    return Images(emission, "SUVbw", "68Ga-PSMA-11", density if ct else None)


@pytest.mark.parametrize("ct", [True, False])
def test_the_body_is_found_with_a_rim(ct):
    mask = body_mask(thin_patient(ct))
    assert mask.shape == (14, 60, 60)
    assert mask[:, 17:43, 20:40].all() and mask[:, 20:40, 17:43].all()
    assert not mask[:, :12].any() and not mask[:, :, 49:].any()


def test_windows_over_the_body_are_fewer_and_find_the_same_there(model):
    images = thin_patient()
    whole = nnunet_result(images, model, Meaning((1, 2)))
    small = NnunetModel.load(model_folder("plain"), replace(model.settings, area="body"))
    told: list[float] = []
    part = nnunet_result(images, small, Meaning((1, 2)), tell=lambda fraction, message: told.append(fraction))
    everything: list[float] = []
    nnunet_result(images, model, Meaning((1, 2)), tell=lambda fraction, message: everything.append(fraction))
    assert len(told) < len(everything) / 2
    assert (whole.provenance["area"], part.provenance["area"]) == ("all", "body")
    inside = body_mask(images)
    one, other = (sitk.GetArrayFromImage(result.lesion) for result in (whole, part))
    assert (other[~inside] == 0).all()
    assert (one == other)[inside].mean() > 0.9


def test_another_area_is_refused():
    with pytest.raises(ValueError, match='not over "head"'):
        NnunetModel.load(model_folder("plain"), NnunetSettings(area="head"))


@pytest.mark.parametrize("meaning", [Meaning((6,)), Meaning((1,), {9: "liver"}), Meaning(())])
def test_a_meaning_of_labels_that_the_model_lacks_is_refused(model, meaning):
    with pytest.raises(ValueError, match="meaning of labels does not fit"):
        nnunet_result(Images(study_images("plain")[0], "SUVbw", ""), model, meaning)


def test_an_oblique_tiny_image_is_no_problem(model):
    emission = sitk.GetImageFromArray(np.random.default_rng(1).uniform(0, 9, (3, 5, 4)).astype(np.float32))
    emission.SetSpacing((4.0, 3.0, 5.0))
    c, s = np.cos(0.2), np.sin(0.2)
    emission.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    result = nnunet_result(Images(emission, "SUVbw", ""), model, Meaning((1,)))
    assert result.lesion.GetDirection() == emission.GetDirection() and result.lesion.GetSize() == emission.GetSize()
