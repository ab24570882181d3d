"""The OpenVINO export of a package: the same network, as data, without torch, and refused where it is another one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from no_modules import run_without
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.networks import package as packages
from PSMASegmentLib.networks.click_network import load_program
from PSMASegmentLib.networks.openvino_ir import IR_FILES, compiled_for_cpu, model_of, read_ir
from PSMASegmentLib.training import export, openvino_export
from scipy import ndimage
from tiny_segmenters import LESION_SUV, describe

torch = pytest.importorskip("torch")
pytest.importorskip("openvino")

pytestmark = pytest.mark.usefixtures("own_user_folder")
PROGRAM = """
import numpy as np, SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationEngine
image = sitk.ReadImage(sys.argv[1])
result = SegmentationEngine().segment(Images(image, "SUVbw", "68Ga-PSMA-11"), "package:tiny", {})
assert "torch" not in sys.modules
np.save(sys.argv[2], sitk.GetArrayFromImage(result.labels))
print(result.provenance["engine"], result.provenance["device"])
"""


def uptake() -> np.ndarray:
    """Smooth noise around SUV 5 (z, y, x)."""
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(40, 36, 44)), 2.0)
    return np.exp(1.6 + 0.6 * noise / noise.std()).astype(np.float32)


def network_of() -> torch.nn.Module:
    """Half the grid and back; batch norms of which float16 can hold neither the variances nor the shares."""
    torch.manual_seed(3)
    first, second = torch.nn.BatchNorm3d(8), torch.nn.BatchNorm3d(8)
    layers = [torch.nn.Conv3d(1, 8, 2, stride=2), first, torch.nn.ReLU(), torch.nn.Conv3d(8, 8, 3, padding=1), second]
    network = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.ConvTranspose3d(8, 2, 2, stride=2)).eval()
    with torch.no_grad():
        layers[0].weight *= 3000.0
        first.running_var.copy_(torch.linspace(1e6, 5e7, 8))
        second.running_var.copy_(torch.linspace(1e-9, 2e-6, 8))
        second.weight *= 1e-3
        network[-1].weight *= 30.0
        logits = network(torch.from_numpy(uptake()[None, None] / LESION_SUV))
        network[-1].bias[1] -= (logits[:, 1] - logits[:, 0]).quantile(0.8)  # a fifth of the voxels is lesion
    return openvino_export.with_half_kernels(network)


def make_package(folder: Path, **changes: object) -> packages.Package:
    """A package with its export, as training writes it."""
    network = network_of()
    program = export.torchscript(network, 1, 16, frozen=False)
    ir, lacking = openvino_export.openvino_export(network, 1, (16, 24))
    assert ir is not None and lacking == ""
    more = {"title": "A tiny network", "kind": "segmentation", "training": {}, "metrics": {}}
    said = describe(program, name=folder.name, window=[24] * 3, windows=[2] * 3, mirror_axes=[2], **more)
    return export.write_package(folder, program, {**said, **changes}, "# A network for tests\n", ir)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> packages.Package:
    return make_package(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def package(written: packages.Package, monkeypatch: pytest.MonkeyPatch) -> packages.Package:
    """One that is found by its name and that nobody trusts."""
    monkeypatch.setenv("PSMA_MODELS", str(written.folder.parent))
    return written


@pytest.fixture(scope="module")
def study() -> Images:
    image = sitk.GetImageFromArray(uptake())
    image.SetSpacing((4.0, 4.0, 4.0))
    return Images(image, "SUVbw", "68Ga-PSMA-11")


def labels(result) -> np.ndarray:
    return sitk.GetArrayFromImage(result.labels)


def yes(_: str) -> bool:
    return True


def test_both_programs_give_the_same_labels_and_say_what_ran(package: packages.Package, study: Images):
    exported = SegmentationEngine().segment(study, "package:tiny")
    program = SegmentationEngine(yes).segment(study, "package:tiny", {"engine": "torchscript"})
    assert np.mean(labels(exported) == labels(program)) >= 0.9999
    assert 0.02 < np.mean(labels(program) > 0) < 0.98
    assert exported.provenance["format"] == "OpenVINO IR" and exported.provenance["engine"] == "OpenVINO"
    assert exported.provenance["sha256"] == {name: package.openvino[name] for name in IR_FILES}
    assert program.provenance["format"] == "TorchScript" and program.provenance["engine"] == "TorchScript"
    assert program.provenance["sha256"] == package.sha256
    assert "model" in exported.provenance and "torch" not in json.dumps(exported.provenance).lower()


@pytest.mark.parametrize("shape", [(24, 24, 24), (12, 12, 12), (8, 20, 30)])
def test_windows_of_every_size_have_the_probabilities_of_torch(package: packages.Package, shape):
    question = np.random.default_rng(2).normal(size=(1, 1, *shape)).astype(np.float32)
    found = compiled_for_cpu(model_of(read_ir(package.folder, package.openvino), question.shape), 1)([question])[0]
    with torch.inference_mode():
        expected = load_program(package.network_file.read_bytes())(torch.from_numpy(question))
    share = torch.softmax(expected, 1).numpy()
    assert 0.05 < share[:, 1].mean() < 0.95 and share[:, 1].std() > 0.05
    assert np.abs(torch.softmax(torch.from_numpy(found), 1).numpy() - share).max() < 1e-5


def test_kernels_become_what_half_precision_holds_and_batch_norms_stay(package: packages.Package):
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), torch.nn.BatchNorm3d(2), torch.nn.Conv3d(2, 1, 1))
    with torch.no_grad():
        network[1].running_var.fill_(2.4e7)
        network[2].weight.fill_(1e5)
    rounded = openvino_export.with_half_kernels(network)
    assert torch.equal(rounded[0].weight, network[0].weight.half().float())
    assert not torch.equal(rounded[0].weight, network[0].weight)  # the one given is left alone
    assert torch.equal(rounded[1].running_var, network[1].running_var)
    assert torch.equal(rounded[2].weight, network[2].weight)  # beyond the range
    weights = sum(value.numel() for value in network_of().state_dict().values())
    assert (package.folder / "model.bin").stat().st_size < 2.4 * weights


@pytest.mark.parametrize("name", IR_FILES)
def test_an_altered_or_missing_file_is_told_by_name(tmp_path: Path, monkeypatch, study: Images, name):
    package = make_package(tmp_path / "tiny")
    assert isinstance(package, packages.SegmentationPackage)
    monkeypatch.setenv("PSMA_MODELS", str(tmp_path))
    content = bytearray((package.folder / name).read_bytes())
    content[-20] ^= 1
    (package.folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"tiny.{name} is not the file .*SHA-256 differs"):
        packages.read_any_package(package.folder)
    with pytest.raises(ValueError, match=rf'no model package "tiny".*{name}'):
        SegmentationEngine().segment(study, "package:tiny")
    with pytest.raises(ValueError, match=rf"{name} has changed since it was verified"):
        read_ir(package.folder, package.openvino)
    (package.folder / name).unlink()
    with pytest.raises(ValueError, match=rf"not complete.*{name}"):
        packages.read_any_package(package.folder)


@pytest.mark.parametrize(
    "said", [{"model.xml": "0" * 64}, {}, "model.xml", None, {"../model.xml": "", "model.bin": ""}]
)
def test_a_description_that_names_other_files_is_refused(tmp_path: Path, said):
    description = make_package(tmp_path / "tiny").folder / "model.json"
    values = json.loads(description.read_text())
    description.write_text(json.dumps({**values, "openvino": said}))
    with pytest.raises(ValueError, match=r"damaged.*model\.xml and model\.bin"):
        packages.read_any_package(tmp_path / "tiny")


def test_only_the_program_has_to_be_trusted(package: packages.Package, study: Images):
    asked: list[str] = []
    engine = SegmentationEngine(lambda text: bool(asked.append(text)))
    for settings in ({}, {"engine": "openvino"}, {"device": "cpu"}):
        assert engine.segment(study, "package:tiny", settings).provenance["format"] == "OpenVINO IR"
    assert asked == []
    for name in ("torchscript", "eager"):
        with pytest.raises(ValueError, match="nobody allowed"):
            engine.segment(study, "package:tiny", {"engine": name})
    assert len(asked) == 2 and package.sha256 in asked[0]


def test_a_package_without_export_is_a_program(package: packages.Package, tmp_path: Path, monkeypatch, study: Images):
    description = json.loads((package.folder / "model.json").read_text())
    del description["openvino"]
    old = export.write_package(tmp_path / "tiny", package.network_file.read_bytes(), description, "# A card\n")
    assert old.openvino == {}
    exported = labels(SegmentationEngine().segment(study, "package:tiny"))
    monkeypatch.setenv("PSMA_MODELS", str(tmp_path))
    with pytest.raises(ValueError, match="nobody allowed"):
        SegmentationEngine().segment(study, "package:tiny")
    found = SegmentationEngine(yes).segment(study, "package:tiny")
    assert found.provenance["format"] == "TorchScript" and np.mean(labels(found) == exported) >= 0.9999


def test_an_engine_that_is_kept_changes_between_both_forms(package: packages.Package, study: Images):
    engine = SegmentationEngine(yes)
    formats = [
        engine.segment(study, "package:tiny", settings).provenance["format"]
        for settings in ({}, {"engine": "torchscript"}, {})
    ]
    assert formats == ["OpenVINO IR", "TorchScript", "OpenVINO IR"]


def test_without_torch_the_labels_are_the_same(package: packages.Package, tmp_path: Path, study: Images):
    sitk.WriteImage(study.emission, str(tmp_path / "study.nii"))
    ran = run_without(["torch"], PROGRAM, tmp_path / "study.nii", tmp_path / "labels.npy")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["OpenVINO", "CPU", "(1", "thread)"]
    expected = SegmentationEngine(yes).segment(study, "package:tiny", {"engine": "torchscript"})
    assert np.mean(np.load(tmp_path / "labels.npy") == labels(expected)) >= 0.9999


def test_where_nothing_runs_it_both_ways_out_are_told(package: packages.Package, tmp_path: Path, study: Images):
    sitk.WriteImage(study.emission, str(tmp_path / "study.nii"))
    ran = run_without(["torch", "openvino"], PROGRAM, tmp_path / "study.nii", tmp_path / "labels.npy")
    assert ran.returncode != 0
    said = ran.stderr.splitlines()[-1]
    assert said.startswith("ValueError") and "nobody allowed" not in said
    assert "psmatheranostics[openvino]" in said and "psmatheranostics[network]" in said


def test_contents_that_openvino_cannot_read_are_a_clear_error(tmp_path: Path, monkeypatch, study: Images):
    package = make_package(tmp_path / "tiny")
    program = package.network_file.read_bytes()
    description = json.loads((package.folder / "model.json").read_text())
    ir = read_ir(package.folder, package.openvino)
    monkeypatch.setenv("PSMA_MODELS", str(tmp_path))
    for xml, weights in ((b"<net", ir.weights), (ir.xml, ir.weights[:100])):
        hashes = {n: hashlib.sha256(c).hexdigest() for n, c in zip(IR_FILES, (xml, weights), strict=True)}
        broken = replace(ir, xml=xml, weights=weights, sha256=hashes)
        export.write_package(package.folder, program, description, "# A card\n", broken)
        with pytest.raises(ValueError, match=r'export of tiny cannot be run by openvino.*engine "torchscript"'):
            SegmentationEngine().segment(study, "package:tiny")


def test_all_files_together_must_be_small(tmp_path: Path, monkeypatch):
    package = make_package(tmp_path / "tiny")
    size = sum(file.stat().st_size for file in package.folder.iterdir())
    largest = max(file.stat().st_size for file in package.folder.iterdir())
    assert largest < 0.8 * size
    monkeypatch.setattr(export, "LARGEST_BYTES", int(1.2 * size))  # names of layers differ in length
    make_package(tmp_path / "tiny")
    monkeypatch.setattr(export, "LARGEST_BYTES", int(0.8 * size))  # each file alone would do
    with pytest.raises(ValueError, match=r"package other would have .*model\.bin.*Choose smaller widths"):
        make_package(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_openvino_does_not_know_is_left_out_with_the_reason(monkeypatch):
    class Unknown(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x[:, :1]).mean() + x

    ir, lacking = openvino_export.openvino_export(Unknown(), 1, (8,))
    assert ir is None and "cannot run it" in lacking
    monkeypatch.setattr(openvino_export, "is_installed", lambda name: False)
    ir, lacking = openvino_export.openvino_export(network_of(), 1, (8,))
    assert ir is None and "pip install 'psmatheranostics[openvino]'" in lacking
