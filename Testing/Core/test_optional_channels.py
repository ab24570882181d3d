"""Networks with inputs that a study may lack: CT, and lesions of another study of the same man."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.inference.sidecar import Channel, parse_sidecar
from PSMASegmentLib.inference.window_inputs import prepare
from PSMASegmentLib.networks import package as packages
from tiny_segmenters import ThresholdAndLiver, describe, program_of, with_liver, write_file

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("own_user_folder")

SHAPE = (20, 22, 24)
PRIOR = {"image": "prior", "units": "mask", "normalize": [], "optional": True}
CT = {"image": "ct", "units": "HU", "normalize": [{"subtract": 50}, {"divide": 100}], "optional": True}


class WherePrior(torch.nn.Module):
    """Lesion where the second channel is 1, whatever the uptake."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        lesion = 10.0 * (2.0 * channels[:, 1:2] - 1.0)
        return torch.cat([-lesion, lesion], dim=1)


def place(values: np.ndarray, spacing_mm: float = 4.0, origin: tuple[float, ...] = (-50.0, 20.0, 5.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.asarray(values))
    image.SetSpacing((spacing_mm,) * 3)
    image.SetOrigin(origin)
    return image


def uptake() -> np.ndarray:
    values = np.full(SHAPE, 0.5, np.float32)
    values[3:8, 3:8, 3:8], values[12:16, 13:18, 15:20] = 12.0, 7.0
    return values


def sidecar(*channels: dict, **changes):
    return parse_sidecar(describe(b"", channels=[*describe(b"")["channels"], *channels], **changes), Path("net.json"))


def images(**more) -> Images:
    return Images(place(uptake()), "SUVbw", "68Ga-PSMA-11", **more)


def test_an_optional_image_that_is_absent_is_0_after_normalization():
    prepared = prepare(images(), sidecar(CT, PRIOR))
    assert prepared.absent == ("ct", "prior") and not prepared.channels[1:].any()
    np.testing.assert_array_equal(prepared.channels[0], uptake() / 5.0)
    air = prepare(images(ct=place(np.full(SHAPE, -1000.0, np.float32))), sidecar(CT, PRIOR))
    assert air.absent == ("prior",) and np.allclose(air.channels[1], -10.5)


def test_a_prior_on_another_grid_is_a_mask_on_that_of_the_network():
    fine = np.zeros([2 * n for n in SHAPE], np.uint16)
    fine[6:16, 6:16, 6:16], fine[24:32, 26:36, 30:40] = 3, 700  # lesion numbers mean nothing
    prior = place(fine, 2.0, (-51.0, 19.0, 4.0))  # the same outer edges
    prepared = prepare(images(prior=prior), sidecar(PRIOR, spline_order=3))
    np.testing.assert_array_equal(prepared.channels[1], uptake() > 5)
    turned = prepare(images(prior=sitk.Flip(prior, (True, False, True))), sidecar(PRIOR, orientation="RAS"))
    np.testing.assert_array_equal(turned.channels[1][:, ::-1, ::-1], uptake() > 5)
    outside = prepare(images(prior=place(np.ones((2, 2, 2), np.uint8), origin=(900.0, 0.0, 0.0))), sidecar(PRIOR))
    assert outside.absent == () and not outside.channels[1].any()


def test_a_small_prior_keeps_its_volume_and_place_on_the_grid_of_the_network():
    place_mm, radius = np.array([-12.0, 61.0, 43.0]), 6.2  # 1 mL
    z, y, x = np.meshgrid(*(3.0 * np.arange(32) + start for start in (0.0, 10.0, -60.0)), indexing="ij")
    far = np.linalg.norm(np.stack([x, y, z], axis=-1) - place_mm, axis=-1)
    prior = place((far <= radius).astype(np.uint8), 3.0, (-60.0, 10.0, 0.0))
    emission = place(np.ones((16, 18, 20), np.float32), 5.0)
    study = Images(emission, "SUVbw", "68Ga-PSMA-11", prior=prior)
    for orientation, signs in (("LPS", (1, 1, 1)), ("RAS", (-1, -1, 1))):
        prepared = prepare(study, sidecar(PRIOR, spacing_mm=[4.0] * 3, orientation=orientation))
        mask = prepared.channels[1][:, :: signs[1], :: signs[0]]
        assert mask.shape == (20, 22, 25)  # 80, 90 and 100 mm
        z, y, x = (np.mean(where) for where in np.nonzero(mask))
        middle = [(x + 0.5) * 4.0 - 52.5, (y + 0.5) * 90 / 22 + 17.5, (z + 0.5) * 4.0 + 2.5]
        assert np.abs(middle - place_mm).max() < 1.0
        assert mask.sum() * 4.0 * 4.0 * 90 / 22 / 1000 == pytest.approx(1.0, rel=0.25)


def test_a_network_is_asked_with_the_prior_and_says_when_it_was_not(tmp_path: Path):
    program = program_of(WherePrior())
    file = write_file(tmp_path / "net.ts", program, describe(program, channels=[*describe(program)["channels"], PRIOR]))
    packages.trusted_programs().add(describe(program)["sha256"])
    engine = SegmentationEngine()
    known = np.zeros(SHAPE, np.uint8)
    known[3:8, 3:8, 3:8] = 1
    found = engine.segment(images(prior=place(known)), f"torchscript:{file}")
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(found.labels), known)
    assert found.provenance["absent_channels"] == [] and found.provenance["warnings"] == []
    without = engine.segment(images(), f"torchscript:{file}")
    assert without.findings == [] and without.provenance["absent_channels"] == ["prior"]
    (warning,) = without.provenance["warnings"]
    assert "without lesions of another study" in warning
    needed = {**PRIOR, "optional": False}
    write_file(file, program, describe(program, channels=[*describe(program)["channels"], needed]))
    with pytest.raises(ValueError, match="wants lesions of another study"):
        engine.segment(images(), f"torchscript:{file}")
    with pytest.raises(ValueError, match="mask of lesions of another study"):
        engine.segment(images(prior=sitk.Image(4, 4, sitk.sitkUInt8)), f"torchscript:{file}")


def test_a_ct_that_is_optional_may_be_missing(tmp_path: Path):
    program = program_of(ThresholdAndLiver())
    description = with_liver(program)
    description["channels"][1]["optional"] = True
    file = write_file(tmp_path / "net.ts", program, description)
    packages.trusted_programs().add(description["sha256"])
    found = SegmentationEngine().segment(images(), f"torchscript:{file}")
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(found.labels) > 0, uptake() > 5)
    assert "without a CT" in found.provenance["warnings"][0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": [{**describe(b"")["channels"][0], "optional": True}]}, "emission image cannot be optional"),
        ({"channels": [*describe(b"")["channels"], {**PRIOR, "optional": 1}]}, "true or false"),
        ({"channels": [*describe(b"")["channels"], {**PRIOR, "normalize": [{"divide": 2}]}]}, "not normalized"),
        ({"channels": [*describe(b"")["channels"], {**PRIOR, "units": "HU"}]}, "known are mask"),
        ({"windows": [16, 16]}, "three numbers"),
        ({"windows": [5, 16, 16]}, "multiple"),
        ({"windows": [0, 16, 16]}, "from 1"),
        ({"modalities": ["CT"]}, "PET, SPECT"),
        ({"modalities": []}, "list of different texts"),
    ],
)
def test_wrong_new_fields_are_named(changes, says):
    with pytest.raises(ValueError, match=says):
        parse_sidecar(describe(b"", **changes), Path("net.json"))


def test_fields_that_are_left_out_mean_what_they_meant_before():
    plain = sidecar()
    assert (plain.windows, plain.half_window, plain.modalities) == (None, None, ("PET",))
    assert plain.channels == (Channel("emission", "SUVbw", (("clip", (0.0, 50.0)), ("divide", (5.0,))), False),)
    assert sidecar(modalities=["SPECT", "PET"]).modalities == ("SPECT", "PET")


@pytest.mark.parametrize(
    ("window", "steps", "half"),
    [
        ([64, 64, 64], [16, 16, 16], (32, 32, 32)),
        ([48, 64, 32], [16, 32, 32], (16, 32, 32)),
        ([16, 16, 16], [16, 16, 16], None),
    ],
)
def test_half_a_window_is_one_that_the_network_takes(window, steps, half):
    assert sidecar(window=window, windows=steps).half_window == half


class NoMemoryForLarge(torch.nn.Module):
    """Answers windows of up to 8 voxels a side as `Threshold` does; larger ones are too much for its memory."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        lesion = 10.0 * (channels[:, 0:1] - 1.0)
        if channels.shape[2] > 8:
            lesion = lesion + torch.ones([1 << 46]).sum()  # 256 TiB
        return torch.cat([-lesion, lesion], dim=1)


def test_smaller_windows_are_asked_where_the_memory_is_not_enough(tmp_path: Path):
    program = program_of(NoMemoryForLarge())
    file = write_file(tmp_path / "net.ts", program, describe(program, windows=[4, 4, 4]))
    packages.trusted_programs().add(describe(program)["sha256"])
    found = SegmentationEngine().segment(images(), f"torchscript:{file}", {"engine": "torchscript"})
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(found.labels) > 0, uptake() > 5)
    assert found.provenance["window"] == [8, 8, 8]
    (note,) = found.provenance["notes"]
    assert "was not enough" in note and "half the side" in note
    write_file(file, program, describe(program))
    with pytest.raises(MemoryError, match="not enough for this network"):
        SegmentationEngine().segment(images(), f"torchscript:{file}", {"engine": "torchscript"})
