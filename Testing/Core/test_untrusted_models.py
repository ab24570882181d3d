"""Model files that are damaged, altered or hostile: a clear error each, and nothing of them runs."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_fixtures import FOLDER, model_folder, study_images
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.networks import package as packages
from tiny_segmenters import Broken, FailsLater, Threshold, describe, program_of, write_file, write_package

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("own_user_folder")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


@pytest.fixture(scope="module")
def program() -> bytes:
    return program_of(Threshold())


@pytest.fixture(scope="module")
def study() -> Images:
    values = np.full((16, 16, 16), 0.5, np.float32)
    values[4:8, 4:8, 4:8] = 9.0
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((4.0, 4.0, 4.0))
    return Images(image, "SUVbw", "68Ga-PSMA-11")


def yes(_: str) -> bool:
    return True


def test_a_torchscript_file_runs_only_after_a_yes_or_when_trusted(tmp_path: Path, program: bytes, study: Images):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    method = f"torchscript:{file}"
    asked: list[str] = []
    with pytest.raises(ValueError, match=f'psma models trust "{file}"'):
        SegmentationEngine().segment(study, method)
    with pytest.raises(ValueError, match="nobody allowed"):
        SegmentationEngine(lambda text: bool(asked.append(text))).segment(study, method)
    assert len(asked) == 1 and describe(program)["sha256"] in asked[0]
    assert SegmentationEngine(yes).segment(study, method).findings
    with pytest.raises(ValueError, match="nobody allowed"):  # a yes is for that time
        SegmentationEngine().segment(study, method)
    packages.trusted_programs().add(describe(program)["sha256"])
    assert SegmentationEngine().segment(study, method).findings


def test_a_package_runs_only_after_a_yes_or_when_trusted(own_user_folder: Path, program: bytes, study: Images):
    folder = write_package(own_user_folder / "tiny-whole", program, describe(program))
    with pytest.raises(ValueError, match="nobody allowed"):
        SegmentationEngine().segment(study, "package:tiny-whole")
    assert SegmentationEngine(yes).segment(study, "package:tiny-whole").findings
    packages.trust_package(folder)
    assert SegmentationEngine().segment(study, "package:tiny-whole").findings


def test_another_program_in_place_of_a_trusted_one_is_refused(tmp_path: Path, program: bytes, study: Images):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    packages.trusted_programs().add(describe(program)["sha256"])
    other = program_of(Broken())
    file.write_bytes(other)
    with pytest.raises(ValueError, match="SHA-256 differs"):
        SegmentationEngine().segment(study, f"torchscript:{file}")
    write_file(file, other, describe(other))
    with pytest.raises(ValueError, match="nobody allowed"):
        SegmentationEngine().segment(study, f"torchscript:{file}")


def test_a_torchscript_file_without_description_is_refused(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, None)
    with pytest.raises(ValueError, match=r"no description net\.json"):
        SegmentationEngine(yes).check(f"torchscript:{file}", {})
    file.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        SegmentationEngine(yes).check(f"torchscript:{file}", {})
    with pytest.raises(ValueError, match="There is no file"):
        SegmentationEngine(yes).check(f"torchscript:{tmp_path / 'none.ts'}", {})


def hostile_archive(trap: Path) -> bytes:
    """A file of torch.save, which holds a pickle."""
    buffer = io.BytesIO()
    torch.save({"network": Trap(trap)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("what", ["truncated", "empty", "text", "pickle", "archive"])
def test_what_is_no_program_of_torch_is_refused_even_when_trusted(tmp_path: Path, program: bytes, study: Images, what):
    trap = tmp_path / "ran"
    content = {
        "truncated": program[: len(program) // 2],
        "empty": b"",
        "text": b"not a network",
        "pickle": pickle.dumps(Trap(trap)),
        "archive": hostile_archive(trap),
    }[what]
    file = write_file(tmp_path / "net.ts", content, describe(content))
    with pytest.raises(ValueError, match="cannot be run by torch"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")
    assert not trap.exists()


def test_a_pickle_inside_a_torchscript_archive_runs_nothing(tmp_path: Path, program: bytes, study: Images):
    trap, buffer = tmp_path / "ran", io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program)) as before, zipfile.ZipFile(buffer, "w") as after:
        for entry in before.namelist():
            hostile = entry.endswith(("data.pkl", "constants.pkl"))
            after.writestr(entry, pickle.dumps(Trap(trap), 2) if hostile else before.read(entry))
    file = write_file(tmp_path / "net.ts", buffer.getvalue(), describe(buffer.getvalue()))
    with pytest.raises(ValueError, match="cannot be run by torch"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")
    assert not trap.exists()


def test_a_network_that_fails_or_answers_otherwise_is_a_clear_error(tmp_path: Path, program: bytes, study: Images):
    broken = program_of(Broken())
    file = write_file(tmp_path / "broken.ts", broken, describe(broken))
    with pytest.raises(ValueError, match="synthetic failure"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")
    late = program_of(FailsLater())  # when it sees uptake, not when it is tried on nothing
    file = write_file(tmp_path / "late.ts", late, describe(late))
    with pytest.raises(ValueError, match=r"The network tiny failed: .*synthetic failure"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")
    three = describe(program, classes=["background", "lesion", "liver"], meaning={"lesion": [1], "ignored": [2]})
    file = write_file(tmp_path / "three.ts", program, three)
    with pytest.raises(ValueError, match="gives 2 logits a voxel; its description needs 3"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")


def test_logits_that_are_not_finite_are_refused(tmp_path: Path, study: Images):
    class Divides(torch.nn.Module):
        def forward(self, channels: torch.Tensor) -> torch.Tensor:
            return torch.cat([channels, channels], dim=1) / (channels.sum() * 0.0)

    program = program_of(Divides())
    file = write_file(tmp_path / "net.ts", program, describe(program))
    with pytest.raises(ValueError, match="not finite"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")


def test_without_torch_a_network_says_what_to_install(
    tmp_path: Path, program: bytes, study: Images, monkeypatch: pytest.MonkeyPatch
):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"pip install 'psmatheranostics\[network\]'"):
        SegmentationEngine(yes).segment(study, f"torchscript:{file}")


def test_an_altered_or_incomplete_package_is_told_by_name(own_user_folder: Path, program: bytes):
    folder = write_package(own_user_folder / "tiny-whole", program, describe(program))
    (folder / "model.ts").write_bytes(program + b"!")
    with pytest.raises(ValueError, match=r'no model package "tiny-whole".*SHA-256 differs'):
        SegmentationEngine().check("package:tiny-whole", {})
    (folder / "model.ts").unlink()
    with pytest.raises(ValueError, match="not complete"):
        SegmentationEngine().check("package:tiny-whole", {})


# Models of nnU-Net hold no program; what is in their files decides nothing but numbers.


def nnunet_study() -> Images:
    return Images(study_images("plain")[0], "SUVbw", "68Ga-PSMA-11", *study_images("plain")[1:2])


def settings_of(folder: Path) -> dict:
    """Settings with every class declared and channels in their order."""
    dataset = json.loads((folder / "dataset.json").read_text())
    values = sorted(
        {v for entry in dataset["labels"].values() for v in (entry if isinstance(entry, list) else [entry])}
    )
    channels = ["emission", "ct"][: len(dataset["channel_names"])]
    return {"class_map": {"lesion": [values[-1]], "ignored": values[1:-1]}, "channels": channels, "mirroring": False}


def test_a_model_of_nnunet_needs_no_trust_and_gets_the_common_finish():
    pytest.importorskip("dynamic_network_architectures")
    folder = model_folder("plain")
    result = SegmentationEngine().segment(nnunet_study(), f"nnunet:{folder}", settings_of(folder))
    assert result.provenance["method"] == f"nnunet:{FOLDER}" and result.provenance["finish"]["version"]
    assert {found.origin for found in result.findings} <= {f"nnunet:{FOLDER}"}
    assert result.labels.GetSize() == nnunet_study().emission.GetSize()


def test_a_checkpoint_of_nnunet_that_tries_to_run_code_is_refused(tmp_path: Path):
    pytest.importorskip("dynamic_network_architectures")
    folder, trap = tmp_path / FOLDER, tmp_path / "ran"
    shutil.copytree(model_folder("plain"), folder)
    next(folder.glob("fold_*/*.pth")).write_bytes(hostile_archive(trap))
    with pytest.raises(ValueError, match="checkpoint_final"):
        SegmentationEngine(yes).segment(nnunet_study(), f"nnunet:{folder}", settings_of(folder))
    assert not trap.exists()


def test_a_folder_of_nnunet_that_says_too_little_is_refused_without_images(tmp_path: Path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        SegmentationEngine().check(f"nnunet:{tmp_path}", {})
    folder = tmp_path / FOLDER
    shutil.copytree(model_folder("plain"), folder)
    with pytest.raises(ValueError, match="Unknown settings"):
        SegmentationEngine().check(f"nnunet:{folder}", {"rule_set": "suv3"})
    for setting, says in (("folds", "must be a list"), ("mirroring", "true or false"), ("engine", "no engine")):
        with pytest.raises(ValueError, match=says):
            SegmentationEngine().check(f"nnunet:{folder}", {**settings_of(folder), setting: 3})
    (folder / "psma.json").write_text('{"clas_map": 1}')
    with pytest.raises(ValueError, match="clas_map"):
        SegmentationEngine().check(f"nnunet:{folder}", {})
