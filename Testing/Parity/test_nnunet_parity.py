"""Labels of nnunetv2 and ours, with models that nnunetv2 trained for some steps: run by ``make parity``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.inference.nnunet import NnunetModel, NnunetSettings

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed: pip install nnunetv2 for the parity tests")

from nnunet_models import MODELS, Model, labels_of_nnunet, train, write_study


@pytest.mark.parametrize("engine", ["eager", "torchscript", "openvino"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_labels_are_those_of_nnunet(model: Model, engine: str, trained: dict[str, Path], tmp_path_factory) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    if model.name not in trained:
        base = tmp_path_factory.mktemp(model.name)
        folder = train(model, base)
        labels_of_nnunet(model, folder, write_study(model, base), base)
        trained[model.name] = folder
    folder = trained[model.name]
    base = folder.parents[2]
    expected = sitk.ReadImage(str(base / "expected" / "case.nii.gz"))
    images = [sitk.ReadImage(str(path)) for path in sorted((base / "study").glob("case_*.nii.gz"))]
    ours = NnunetModel.load(folder, NnunetSettings(engine=engine, device="cpu")).predict(images).labels
    assert ours.GetSize() == expected.GetSize()
    assert np.allclose(ours.GetDirection(), expected.GetDirection())
    theirs, found = sitk.GetArrayFromImage(expected), sitk.GetArrayFromImage(ours)
    assert set(np.unique(theirs)) == {0, 1, 2}, "the network has learned too little for a test"
    agreement = float((theirs == found).mean())
    dice = [2 * ((theirs == k) & (found == k)).sum() / ((theirs == k).sum() + (found == k).sum()) for k in (1, 2)]
    print(f"{model.name} {engine}: agreement {agreement:.6f}, Dice {min(dice):.6f}")
    assert agreement >= 0.9999
    assert min(dice) >= 0.999


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    """Folders of models that are trained already, by name."""
    return {}
