"""MONAI bundles: the labels of monai.bundle's own run, nothing run before it was allowed, what a bundle must say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationCancelled, SegmentationEngine
from PSMASegmentLib.inference.bundle_model import BundleModel
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.networks import package as packages

pytest.importorskip("monai")
pytest.importorskip("torch")

from tiny_bundle import make_bundle, own_run

pytestmark = pytest.mark.usefixtures("own_user_folder")


def volume(seed: int, sd: float, offset: float = 0.0) -> sitk.Image:
    rng = np.random.default_rng(seed)
    image = sitk.GetImageFromArray((offset + sd * rng.random((14, 18, 22))).astype(np.float32))
    image.SetSpacing((4.0, 4.5, 5.0))
    image.SetOrigin((-30.0, 12.0, 100.0))
    image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, -1))
    return image


@pytest.fixture(scope="module")
def study() -> Images:
    return Images(volume(1, 20.0), "SUVbw", "68Ga-PSMA-11", ct=volume(2, 1000.0, -500.0))


def yes(_: str) -> bool:
    return True


def told() -> Told:
    return Told(lambda fraction, message: None)


def raw_labels(folder: Path, study: Images, **settings) -> np.ndarray:
    raw = BundleModel(folder, yes).ask(study, settings, told())
    labels = sitk.GetArrayFromImage(raw.physiology)
    labels[sitk.GetArrayViewFromImage(raw.lesion) > 0] = 1
    return labels


def own_labels(folder: Path, study: Images, channels, work: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """What monai.bundle itself makes of the images of a study, read from files."""
    files = []
    for name in channels:
        files.append(work / f"{name[:2]}.nrrd")
        sitk.WriteImage(study.ct if name == "CT" else study.emission, str(files[-1]))
    monkeypatch.syspath_prepend(str(folder))
    try:
        return own_run(folder, files, work)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
            del sys.modules[name]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("channels", [("PET",), ("CT", "PET (SUV)")])
def test_labels_are_those_of_the_own_run_of_monai_bundle(
    tmp_path: Path, study: Images, monkeypatch: pytest.MonkeyPatch, channels, turned
):
    if turned:
        pytest.importorskip("nibabel", reason="MONAI turns images with nibabel")
    folder = make_bundle(tmp_path / "bundle", channels, turned)
    ours = raw_labels(folder, study)
    (theirs,) = own_labels(folder, study, channels, tmp_path, monkeypatch)
    assert set(np.unique(theirs)) == {0, 1, 2}
    np.testing.assert_array_equal(ours, theirs)


def test_regions_that_do_not_exclude_each_other_are_those_of_the_own_run(
    tmp_path: Path, study: Images, monkeypatch: pytest.MonkeyPatch
):
    folder = make_bundle(tmp_path / "bundle", regions=True)
    model = BundleModel(folder, yes)
    raw = model.ask(study, {}, told())
    lesion, liver = own_labels(folder, study, ("PET",), tmp_path, monkeypatch) > 0
    assert (lesion & liver).any() and (lesion & ~liver).any()
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(raw.physiology) == 2, liver)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(raw.lesion) > 0, lesion & ~liver)
    share = sitk.GetArrayViewFromImage(raw.probability)
    assert share[lesion].min() >= 99 and share[~lesion].max() <= 101


def test_a_bundle_with_its_network_as_torchscript_gives_the_same(tmp_path: Path, study: Images):
    import torch
    from monai.bundle import ConfigParser

    folder = make_bundle(tmp_path / "bundle")
    before = raw_labels(folder, study)
    config = json.loads((folder / "configs" / "inference.json").read_text())
    network = ConfigParser({"network_def": config.pop("network_def")}).get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    torch.jit.script(network.eval()).save(str(folder / "models" / "model.ts"))
    (folder / "models" / "model.pt").unlink()
    del config["network"]
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    np.testing.assert_array_equal(raw_labels(folder, study), before)


def test_a_bundle_that_is_kept_gives_the_same_again_and_keeps_no_images(tmp_path: Path, study: Images):
    model = BundleModel(make_bundle(tmp_path / "bundle"), yes)
    first, second = (model.ask(study, {}, told()) for _ in range(2))
    np.testing.assert_array_equal(
        sitk.GetArrayViewFromImage(first.probability), sitk.GetArrayViewFromImage(second.probability)
    )
    assert model._built is not None and model._built[1]._images == {}


def test_probability_is_highest_where_lesion_is_the_label(tmp_path: Path, study: Images):
    raw = BundleModel(make_bundle(tmp_path / "bundle"), yes).ask(study, {}, told())
    share = sitk.GetArrayViewFromImage(raw.probability) / 200.0
    lesion = sitk.GetArrayViewFromImage(raw.lesion) > 0
    assert share[lesion].min() > 1 / 3 - 0.01 and share.max() <= 1.0
    # Of three classes one has more than half only where it is the label.
    assert lesion[share > 0.51].all() and (share > 0.51).any()


def test_the_engine_runs_a_bundle_and_says_what_ran(tmp_path: Path, study: Images):
    folder = make_bundle(tmp_path / "my-bundle")
    (folder / "psma.json").write_text(json.dumps({"class_map": {"lesion": [1], "physiological": {"2": "liver"}}}))
    asked: list[str] = []
    engine = SegmentationEngine(lambda text: asked.append(text) or True)
    result = engine.segment(study, f"bundle:{folder}")
    assert len(asked) == 1 and str(folder) in asked[0]
    assert result.findings and {found.origin for found in result.findings} == {"bundle:my-bundle"}
    provenance = result.provenance
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["model"] == "tiny bundle" and provenance["sha256"] in asked[0]
    assert not any(name.startswith("scripts") for name in sys.modules)
    assert str(folder) not in sys.path


def test_nothing_of_a_bundle_runs_before_it_was_allowed(tmp_path: Path, study: Images):
    ran = tmp_path / "ran"
    folder = make_bundle(tmp_path / "bundle", trap=f"$open({str(ran)!r}, 'w')")
    config = json.loads((folder / "configs" / "inference.json").read_text())
    config["inferer"]["sw_batch_size"] = f"$open({str(ran)!r}, 'w') and 1"
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    no: list[str] = []
    for engine in (SegmentationEngine(), SegmentationEngine(lambda text: bool(no.append(text)))):
        engine.check(f"bundle:{folder}", {})
        with pytest.raises(ValueError, match="psma models trust"):
            engine.segment(study, f"bundle:{folder}")
        assert not ran.exists()
    assert len(no) == 1
    SegmentationEngine(yes).segment(study, f"bundle:{folder}")
    assert ran.exists()  # it would have


def test_trust_ends_when_a_file_of_the_bundle_changes(tmp_path: Path, study: Images):
    from PSMASegmentLib.networks.trust import folder_sha256

    folder = make_bundle(tmp_path / "bundle")
    packages.trusted_programs().add(folder_sha256(folder))
    SegmentationEngine().segment(study, f"bundle:{folder}")
    (folder / "scripts" / "tiny_reader.py").open("a").write("\n# changed\n")
    with pytest.raises(ValueError, match="nobody allowed"):
        SegmentationEngine().segment(study, f"bundle:{folder}")


def test_a_link_to_scripts_elsewhere_is_refused(tmp_path: Path, study: Images):
    folder = make_bundle(tmp_path / "bundle")
    (folder / "scripts").rename(tmp_path / "elsewhere")
    try:
        (folder / "scripts").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    with pytest.raises(ValueError, match="is a link to another folder"):
        SegmentationEngine(yes).segment(study, f"bundle:{folder}")


def test_weights_that_try_to_run_code_are_refused(tmp_path: Path, study: Images):
    import torch

    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    folder = make_bundle(tmp_path / "bundle")
    torch.save({"model": Trap()}, folder / "models" / "model.pt")
    with pytest.raises(ValueError, match="holds more than weights"):
        SegmentationEngine(yes).segment(study, f"bundle:{folder}")
    assert not ran.exists()


def test_truncated_missing_and_foreign_weights_are_refused(tmp_path: Path, study: Images):
    import torch

    folder = make_bundle(tmp_path / "bundle")
    weights = folder / "models" / "model.pt"
    whole = weights.read_bytes()
    method = f"bundle:{folder}"
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cannot be built"):
        SegmentationEngine(yes).segment(study, method)
    torch.save({"other.weight": torch.zeros(2)}, weights)
    with pytest.raises(ValueError, match="cannot be built"):
        SegmentationEngine(yes).segment(study, method)
    weights.unlink()
    with pytest.raises(ValueError, match="are missing"):
        SegmentationEngine(yes).segment(study, method)


def test_a_missing_ct_other_units_and_unclear_channels_are_refused(tmp_path: Path, study: Images):
    two = make_bundle(tmp_path / "two", ("CT", "PET"))
    with pytest.raises(ValueError, match="wants a CT"):
        SegmentationEngine(yes).segment(Images(study.emission, "SUVbw", ""), f"bundle:{two}")
    with pytest.raises(ValueError, match="wants its emission image in SUVbw"):
        SegmentationEngine(yes).segment(Images(study.emission, "Bq/mL", ""), f"bundle:{two}")
    unclear = make_bundle(tmp_path / "unclear", ("image",))
    with pytest.raises(ValueError, match="Declare them"):
        SegmentationEngine().check(f"bundle:{unclear}", {})
    SegmentationEngine().check(f"bundle:{unclear}", {"channels": ["emission"]})


def test_folders_that_are_no_bundle_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="is no MONAI bundle"):
        SegmentationEngine().check(f"bundle:{tmp_path}", {})
    folder = make_bundle(tmp_path / "bundle")
    (folder / "configs" / "inference.json").unlink()
    with pytest.raises(ValueError, match="cannot be run"):
        SegmentationEngine().check(f"bundle:{folder}", {})
    (folder / "configs" / "metadata.json").write_text("{}")
    with pytest.raises(ValueError, match="what goes in and comes out"):
        SegmentationEngine().check(f"bundle:{folder}", {})


def test_cancel_stops_before_the_next_question_to_the_network(tmp_path: Path, study: Images):
    folder = make_bundle(tmp_path / "bundle")
    engine = SegmentationEngine(yes)
    steps: list[str] = []
    with pytest.raises(SegmentationCancelled):
        engine.segment(
            study,
            f"bundle:{folder}",
            None,
            lambda _, text: steps.append(text),
            lambda: steps.count("Asking the bundle") > 1,
        )
    assert steps.count("Asking the bundle") == 2
    assert engine.segment(study, f"bundle:{folder}").findings
