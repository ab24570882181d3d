"""Small models that nnunetv2 trained give the labels that nnunetv2 gave, and the steps around them do what they say."""

from __future__ import annotations

import pickle
import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_fixtures import NAMES, changed_copy, expected_labels, model_folder, study_images
from PSMASegmentLib.inference.nnunet import NnunetModel, NnunetSettings
from PSMASegmentLib.inference.nnunet_postprocess import KeepLargest, keep_largest, read_postprocessing
from PSMASegmentLib.segmentation import SegmentationCancelled

pytest.importorskip("torch")
pytest.importorskip("dynamic_network_architectures")


def load(name, **settings):
    return NnunetModel.load(model_folder(name), NnunetSettings(device="cpu", **{"engine": "eager", **settings}))


def agreement(first, second):
    return float((sitk.GetArrayFromImage(first) == sitk.GetArrayFromImage(second)).mean())


@pytest.mark.parametrize("engine", ["eager", "torchscript"])
@pytest.mark.parametrize("name", NAMES)
def test_labels_are_those_of_nnunetv2(name, engine):
    expected = expected_labels(name)
    found = load(name, engine=engine).predict(study_images(name)).labels
    assert set(np.unique(sitk.GetArrayViewFromImage(expected))) == {0, 1, 2}
    assert found.GetSize() == expected.GetSize() and found.GetSpacing() == pytest.approx(expected.GetSpacing())
    assert agreement(found, expected) >= 0.9999


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_openvino_are_those_of_nnunetv2(name):
    pytest.importorskip("openvino")
    assert agreement(load(name, engine="openvino").predict(study_images(name)).labels, expected_labels(name)) >= 0.9999


@pytest.mark.parametrize(
    ("name", "settings"), [("plain", {"mirroring": False}), ("residual", {"folds": ("0",)}), ("plain", {"step": 1.0})]
)
def test_what_is_left_out_shows(name, settings):
    """Without mirroring, with one fold of two or fewer windows the labels are others: these steps are really done."""
    assert agreement(load(name, **settings).predict(study_images(name)).labels, expected_labels(name)) < 0.9999


def test_the_same_twice_and_what_is_reported():
    model = load("residual")
    told: list[float] = []
    first = model.predict(study_images("residual"), (1,), tell=lambda fraction, message: told.append(fraction))
    second = model.predict(study_images("residual"), (1,))
    for one, other in ((first.labels, second.labels), (first.probability, second.probability)):
        assert sitk.GetArrayFromImage(one).tobytes() == sitk.GetArrayFromImage(other).tobytes()
    facts = first.provenance
    assert facts["folds"] == ["0", "1"] and facts["mirror_axes"] == [] and facts["step"] == 0.5
    assert facts["window"] == [8, 24, 24] and facts["precision"] == "float32" and facts["orientation"] == "as stored"
    assert len(facts["sha256"]) == 4 and set(facts["seconds"]) == {"prepare", "network", "labels"}
    assert told == sorted(told) and len(told) > 4


def test_the_probability_agrees_with_the_labels():
    prediction = load("plain").predict(study_images("plain"), (1, 2))
    labels, share = sitk.GetArrayFromImage(prediction.labels), sitk.GetArrayFromImage(prediction.probability)
    assert share.max() <= 200
    assert (labels[share > 134] > 0).all()  # above 2/3 one of two classes is the most likely of three
    assert (labels[share < 99] == 0).all()
    assert (share[:3] == 0).all()  # outside the box of voxels that are not 0


def test_a_cancel_stops_within_the_network():
    calls = []

    def cancel():
        calls.append(1)
        return len(calls) >= 3

    with pytest.raises(SegmentationCancelled):
        load("plain").predict(study_images("plain"), cancel=cancel)
    assert len(calls) == 3


def test_images_are_turned_as_the_reader_did(tmp_path):
    folder = changed_copy("plain", tmp_path, change=lambda p: p.update(image_reader_writer="SimpleITKIOWithReorient"))
    model = NnunetModel.load(folder, NnunetSettings(device="cpu", engine="eager"))
    images = study_images("plain")
    first = model.predict(images, (1,))
    flipped = [sitk.DICOMOrient(image, "SPR") for image in images]
    second = model.predict(flipped, (1,))
    assert second.labels.GetDirection() == flipped[0].GetDirection()
    back = sitk.Resample(second.labels, first.labels, sitk.Transform(), sitk.sitkNearestNeighbor)
    assert agreement(back, first.labels) == 1.0
    assert first.provenance["orientation"] == "RAS"


def test_a_renamed_folder_is_run_as_what_its_checkpoint_says(tmp_path):
    folder = changed_copy("plain", tmp_path)
    renamed = tmp_path / "a__b__3d_lowres"
    shutil.move(folder, renamed)
    plans = (renamed / "plans.json").read_text()
    (renamed / "plans.json").write_text(
        plans.replace(
            '"configurations": {',
            '"configurations": {"3d_lowres": {"inherits_from": "3d_fullres", "spacing": [9.0, 9.0, 9.0]}, ',
        )
    )
    model = NnunetModel.load(renamed, NnunetSettings(device="cpu", engine="eager"))
    assert model.plan.configuration == "3d_fullres"


def test_the_largest_piece_is_kept():
    labels = np.zeros((4, 9, 9), np.uint8)
    labels[0, 0, 0:2] = 1
    labels[1, 1, 2] = 1  # hangs on by a corner
    labels[3, 8, 6:8] = 1
    labels[3, 0, 8] = 2
    kept = keep_largest(labels, KeepLargest((1,)))
    assert (kept == 1).sum() == 3 and kept[1, 1, 2] == 1 and kept[3, 0, 8] == 2
    np.testing.assert_array_equal(keep_largest(kept, KeepLargest((5,))), kept)


def test_postprocessing_is_read_without_running_it(tmp_path, monkeypatch):
    """The file is written as nnU-Net does, with its function under its name."""
    module = ModuleType("nnunetv2.postprocessing.remove_connected_components")

    def function(segmentation, labels_or_regions, background_label=0):
        raise AssertionError("a function of a pickle was run")

    function.__module__ = module.__name__
    function.__qualname__ = function.__name__ = "remove_all_but_largest_component_from_segmentation"
    setattr(module, function.__name__, function)
    for name in ("nnunetv2", "nnunetv2.postprocessing"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    folder = changed_copy("plain", tmp_path)
    path = folder / "postprocessing.pkl"
    settings = [{"labels_or_regions": [1, 2]}, {"labels_or_regions": (1, np.int64(2))}]
    path.write_bytes(pickle.dumps(([function, function], settings)))
    assert read_postprocessing(path) == [KeepLargest((1, 2)), KeepLargest((1, 2))]
    found = NnunetModel.load(folder, NnunetSettings(device="cpu", engine="eager")).predict(study_images("plain"))
    assert found.provenance["postprocessing"] == [[1, 2], [1, 2]]
    pieces = sitk.ConnectedComponent(found.labels > 0, True)
    assert sitk.GetArrayViewFromImage(pieces).max() == 1


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(([print], [{}])), pickle.dumps((["x"], [{}]))])
def test_any_other_postprocessing_is_refused(tmp_path, content):
    path = tmp_path / "postprocessing.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not what nnU-Net writes and was not run"):
        read_postprocessing(path)
