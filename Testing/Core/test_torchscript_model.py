"""TorchScript networks on whole studies, as files with a description and as packages of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationCancelled, SegmentationEngine
from PSMASegmentLib.inference.sidecar import parse_sidecar
from PSMASegmentLib.networks import package as packages
from tiny_segmenters import (
    Threshold,
    ThresholdAndLiver,
    describe,
    program_of,
    with_liver,
    write_file,
    write_package,
)

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("own_user_folder")

SHAPE = (22, 26, 30)


@pytest.fixture(scope="module")
def program() -> bytes:
    return program_of(Threshold())


@pytest.fixture(scope="module")
def liver_program() -> bytes:
    return program_of(ThresholdAndLiver())


def place(values: np.ndarray, spacing_mm: float = 4.0) -> sitk.Image:
    image = sitk.GetImageFromArray(np.asarray(values, np.float32))
    image.SetSpacing((spacing_mm,) * 3)
    image.SetOrigin((-50.0, 20.0, 5.0))
    return image


def uptake() -> np.ndarray:
    """Two lesions of SUV 12 and 7, and uptake of SUV 4 that the network does not mark."""
    values = np.full(SHAPE, 0.5)
    values[3:7, 3:8, 3:8], values[12:16, 15:20, 20:24], values[12:16, 4:8, 4:8] = 12.0, 7.0, 4.0
    return values


def study(values: np.ndarray | None = None, tracer: str = "PSMA-11 Ga-68", **more) -> Images:
    return Images(place(uptake() if values is None else values), "SUVbw", tracer, **more)


def yes(_: str) -> bool:
    return True


def allowed(path: Path) -> SegmentationEngine:
    """An engine in which a program may run."""
    packages.trusted_programs().add(json.loads(path.with_suffix(".json").read_text())["sha256"])
    return SegmentationEngine()


def labels(result) -> np.ndarray:
    return sitk.GetArrayFromImage(result.labels)


def test_a_file_with_its_description_finds_what_its_network_marks(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    result = allowed(file).segment(study(), f"torchscript:{file}")
    np.testing.assert_array_equal(labels(result) > 0, uptake() > 5)
    assert [(found.lesion, found.origin) for found in result.findings] == [
        (1, "torchscript:net.ts"),
        (2, "torchscript:net.ts"),
    ]
    assert result.findings[0].probability == pytest.approx(1.0) and not result.findings[0].low_evidence
    provenance = result.provenance
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["method"] == "torchscript:net.ts" and provenance["sha256"] == describe(program)["sha256"]
    assert {"device", "precision", "folds", "mirror_axes", "network_seconds", "window"} <= set(provenance)
    assert provenance["warnings"] == []


def test_the_finish_that_a_network_declares_holds_unless_a_run_says_otherwise(tmp_path: Path, program: bytes):
    values = uptake()
    values[3:7, 3:8, 8] = 4.0  # beside the first lesion, below what the network marks
    plain, declared = (
        write_file(tmp_path / f"{name}.ts", program, describe(program, **changes))
        for name, changes in (("plain", {}), ("declared", {"finish": {"expand_mm": 0.0}}))
    )
    for file, settings, grows in ((plain, {}, True), (declared, {}, False), (declared, {"expand_mm": 7.0}, True)):
        result = allowed(file).segment(study(values), f"torchscript:{file}", settings)
        assert bool(labels(result)[4, 4, 8]) == grows
        assert result.provenance["finish"]["settings"]["expand_mm"] == (7.0 if grows else 0.0)


def test_probability_is_that_of_the_network(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    values = np.full(SHAPE, 0.5)
    values[5:10, 5:10, 5:10] = 5.2  # logits 0.4 and -0.4
    (found,) = allowed(file).segment(study(values), f"torchscript:{file}").findings
    assert found.probability == pytest.approx(1 / (1 + np.exp(-0.8)), abs=0.005)
    assert found.low_evidence and "mean probability 0.69" in found.reason


@pytest.mark.parametrize(
    "changes", [{"mirror_axes": [0, 2]}, {"weights": "constant", "overlap": 0.0}, {"orientation": "RAS"}]
)
def test_mirroring_weights_and_orientation_keep_the_place(tmp_path: Path, program: bytes, changes):
    file = write_file(tmp_path / "net.ts", program, describe(program, **changes))
    result = allowed(file).segment(study(), f"torchscript:{file}")
    np.testing.assert_array_equal(labels(result) > 0, uptake() > 5)
    assert result.provenance["mirror_axes"] == changes.get("mirror_axes", [])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_flipped_and_permuted_directions_give_the_same_lesions(tmp_path: Path, program: bytes, order):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    engine = allowed(file)
    straight = engine.segment(study(), f"torchscript:{file}")
    turned = sitk.Flip(sitk.PermuteAxes(place(uptake()), order), (True, False, True))
    result = engine.segment(Images(turned, "SUVbw", "68Ga-PSMA-11"), f"torchscript:{file}")
    back = sitk.Resample(result.labels, straight.labels, sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(back), labels(straight))


def test_an_oblique_image_is_worked_on_along_its_own_axes(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    image = place(uptake())
    c, s = np.cos(0.2), np.sin(0.2)
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    result = allowed(file).segment(Images(image, "SUVbw", "68Ga-PSMA-11"), f"torchscript:{file}")
    np.testing.assert_array_equal(labels(result) > 0, uptake() > 5)
    assert result.labels.GetDirection() == image.GetDirection()


def test_a_finer_emission_grid_is_brought_onto_that_of_the_network_and_back(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    fine = uptake().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    result = allowed(file).segment(Images(place(fine, 2.0), "SUVbw", "68Ga-PSMA-11"), f"torchscript:{file}")
    assert result.provenance["network_grid"] == list(SHAPE)
    np.testing.assert_array_equal(labels(result) > 0, fine > 5)


def test_a_volume_smaller_than_the_window_is_taken(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    values = np.full((5, 6, 7), 0.5)
    values[2:4, 2:5, 2:5] = 9.0
    result = allowed(file).segment(study(values), f"torchscript:{file}")
    np.testing.assert_array_equal(labels(result) > 0, values > 5)


def test_negative_uptake_is_no_lesion_and_no_error(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    values = uptake()
    values[values < 1] = -0.5
    result = allowed(file).segment(study(values), f"torchscript:{file}")
    np.testing.assert_array_equal(labels(result) > 0, values > 5)


def test_a_network_that_knows_an_organ_keeps_lesions_out_of_it(tmp_path: Path, liver_program: bytes):
    file = write_file(tmp_path / "net.ts", liver_program, with_liver(liver_program))
    values, hounsfield = np.full(SHAPE, 0.5), np.zeros(SHAPE)
    values[8:14, 8:14, 4:20] = 12.0
    hounsfield[8:14, 8:14, 12:20] = 300.0
    result = allowed(file).segment(study(values, ct=place(hounsfield)), f"torchscript:{file}")
    inside = labels(result) > 0
    np.testing.assert_array_equal(inside, (values > 5) & (hounsfield < 100))
    assert result.provenance["organs"] == "the network's own classes"
    physiology = sitk.GetArrayViewFromImage(result.physiology)
    np.testing.assert_array_equal(physiology == 2, hounsfield > 100)
    assert result.physiology_names == {2: "liver"}
    with pytest.raises(ValueError, match="wants a CT"):
        SegmentationEngine().segment(study(values), f"torchscript:{file}")


def test_sigmoid_channels_are_regions_of_their_own(tmp_path: Path):
    class One(torch.nn.Module):
        def forward(self, channels: torch.Tensor) -> torch.Tensor:
            return 10.0 * (channels[:, 0:1] - 1.0)

    program = program_of(One())
    file = write_file(tmp_path / "net.ts", program, describe(program, output="sigmoid"))
    result = allowed(file).segment(study(), f"torchscript:{file}")
    np.testing.assert_array_equal(labels(result) > 0, uptake() > 5)


def test_a_package_is_found_by_name_and_says_where_it_is_from(own_user_folder: Path, program: bytes):
    folder = write_package(own_user_folder / "tiny-whole", program, describe(program))
    packages.trust_package(folder)
    engine = SegmentationEngine()
    result = engine.segment(study(), "package:tiny-whole")
    np.testing.assert_array_equal(labels(result) > 0, uptake() > 5)
    assert result.provenance["package"] == "tiny-whole" and result.findings[0].origin == "package:tiny-whole"
    again = engine.segment(study(), "package:tiny-whole")
    np.testing.assert_array_equal(labels(again), labels(result))
    assert again.findings == result.findings
    with pytest.raises(ValueError, match=r"no model package \"other\".*tiny-whole"):
        engine.check("package:other", {})


def test_a_model_that_was_replaced_is_read_anew_by_the_same_engine(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    engine = allowed(file)
    assert len(engine.segment(study(), f"torchscript:{file}").findings) == 2
    ten = [{"image": "emission", "units": "SUVbw", "normalize": [{"divide": 10.0}]}]  # lesion from SUV 10 on
    write_file(file, program, describe(program, channels=ten))
    assert len(engine.segment(study(), f"torchscript:{file}").findings) == 1


def test_packages_of_the_two_kinds_are_not_mixed_up(own_user_folder: Path, program: bytes):
    folder = write_package(own_user_folder / "tiny-whole", program, describe(program))
    assert "tiny-whole" in [package.name for package in packages.segmentation_packages()]
    assert "psma-click-1" not in [package.name for package in packages.segmentation_packages()]
    assert "tiny-whole" not in [package.name for package in packages.installed_packages()]
    with pytest.raises(ValueError, match="one for clicks is needed"):
        packages.read_package(folder)
    with pytest.raises(ValueError, match='no model package "psma-click-1"'):
        SegmentationEngine().check("package:psma-click-1", {})


def test_another_tracer_is_warned_of(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    engine = allowed(file)
    (warning,) = engine.segment(study(tracer="18F-PSMA-1007"), f"torchscript:{file}").provenance["warnings"]
    assert "68Ga-PSMA-11" in warning and "18F-PSMA-1007" in warning
    write_file(tmp_path / "net.ts", program, describe(program, tracers=["any"]))
    assert SegmentationEngine().segment(study(tracer="x"), f"torchscript:{file}").provenance["warnings"] == []


def test_wrong_units_are_refused(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program))
    with pytest.raises(ValueError, match="wants its emission image in SUVbw"):
        allowed(file).segment(Images(place(uptake()), "Bq/mL", ""), f"torchscript:{file}")


def test_settings_are_checked_without_images(tmp_path: Path, program: bytes):
    method = f"torchscript:{write_file(tmp_path / 'net.ts', program, describe(program))}"
    SegmentationEngine().check(method, {"threshold": 2.5, "mirroring": False, "device": "cpu"})
    for settings, says in (
        ({"rule_set": "suv3"}, "Unknown settings.*rule_set.*expand_mm"),
        ({"engine": "abacus"}, "no engine 'abacus'"),
        ({"mirroring": 1}, "true or false"),
        ({"device": 0}, "must be a text"),
        ({"expand_mm": 9}, "from 0 to 7"),
    ):
        with pytest.raises(ValueError, match=says):
            SegmentationEngine().check(method, settings)
    with pytest.raises(ValueError, match="no device"):
        SegmentationEngine(yes).segment(study(), method, {"device": "cuda:7"})


def test_cancel_stops_between_two_windows(tmp_path: Path, program: bytes):
    file = write_file(tmp_path / "net.ts", program, describe(program, window=[8, 8, 8]))
    engine = allowed(file)
    told: list[str] = []

    def cancel() -> bool:
        return told.count("Asking the network") >= 3

    with pytest.raises(SegmentationCancelled):
        engine.segment(study(), f"torchscript:{file}", None, lambda _, message: told.append(message), cancel)
    assert told.count("Asking the network") == 3
    assert engine.segment(study(), f"torchscript:{file}").findings


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "schema 2"),
        ({"spacing_mm": ...}, '"spacing_mm" is missing'),
        ({"spacing_mm": [3, 3, 0]}, '"spacing_mm"'),
        ({"spacing_mm": 3}, "for z, y, x"),
        ({"window": [16.5, 16, 16]}, '"window"'),
        ({"orientation": "LPX"}, "three letters"),
        ({"orientation": "LRS"}, "three letters"),
        ({"channels": []}, '"channels"'),
        ({"channels": [{"image": "ct", "units": "HU", "normalize": []}]}, "must be the emission"),
        ({"channels": [{"image": "emission", "units": "SUV", "normalize": []}]}, "SUVbw, Bq/mL"),
        ({"channels": [{"image": "emission", "units": "SUVbw"}]}, "normalize"),
        ({"channels": [{"image": "emission", "units": "SUVbw", "normalize": [{"divide": 0}]}]}, "is no step"),
        ({"channels": [{"image": "emission", "units": "SUVbw", "normalize": [{"clip": [2, 1]}]}]}, "is no step"),
        ({"channels": [{"image": "emission", "units": "SUVbw", "normalize": [{"zscore": True}]}]}, "is no step"),
        ({"overlap": 1.0}, '"overlap"'),
        ({"weights": "triangle"}, "gaussian, constant"),
        ({"mirror_axes": [3]}, '"mirror_axes"'),
        ({"output": "logits"}, "softmax, sigmoid"),
        ({"classes": ["background"]}, "at least one class"),
        ({"meaning": {"lesion": [2]}}, '"meaning" is wrong'),
        ({"tracers": []}, '"tracers"'),
        ({"sha256": "abc"}, "64 hexadecimal"),
        ({"spline_order": 6}, '"spline_order"'),
        ({"finish": {"expand": 1.0}}, "has no expand"),
        ({"finish": {"expand_mm": 8.0}}, "from 0 to 7"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_with_the_field(changes, says):
    with pytest.raises(ValueError, match=says):
        parse_sidecar(describe(b"", **changes), Path("net.json"))


def test_steps_of_normalization_are_done_in_their_order():
    steps = [{"clip": [0, 6]}, {"log1p": True}, {"subtract": 1}, {"divide": 2}]
    channel = {"image": "emission", "units": "SUVbw", "normalize": steps}
    (read,) = parse_sidecar(describe(b"", channels=[channel]), Path("net.json")).channels
    np.testing.assert_allclose(
        read.normalized(np.float32([-1.0, 3.0, 9.0])), (np.log1p([0.0, 3.0, 6.0]) - 1) / 2, rtol=1e-6
    )
