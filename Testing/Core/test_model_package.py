"""Model packages: verified before anything is loaded, trusted before anything is run, found where they should be."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PSMASegmentLib.networks import package as packages
from PSMASegmentLib.networks.channels import CHANNELS
from PSMASegmentLib.networks.request import REQUEST_SPACING_MM, REQUEST_VOXELS

pytestmark = pytest.mark.usefixtures("own_user_folder")


def write(folder: Path, program: bytes = b"program", **changes: Any) -> Path:
    """A package whose network is not one, which nothing here loads."""
    description = {
        "schema": 1,
        "name": folder.name,
        "title": "A title",
        "kind": "click",
        "sha256": hashlib.sha256(program).hexdigest(),
        "channels": ["log_uptake"],
        "voxels": 32,
        "spacing_mm": 3.0,
        "level": 0.5,
        "flips": [[]],
        "modalities": ["PET"],
        "training": {},
        "metrics": {},
        **changes,
    }
    folder.mkdir(parents=True)
    (folder / "model.ts").write_bytes(program)
    (folder / "card.md").write_text("# Card", encoding="utf-8")
    text = json.dumps({name: value for name, value in description.items() if value is not ...})
    (folder / "model.json").write_text(text, encoding="utf-8")
    return folder


def test_a_sound_package_is_read(tmp_path: Path):
    package = packages.read_package(write(tmp_path / "one"))
    assert (package.name, package.kind, package.channels, package.modalities) == (
        "one",
        "click",
        ("log_uptake",),
        ("PET",),
    )
    assert package.card == "# Card" and package.network_file.read_bytes() == b"program"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, "SHA-256 differs"),
        ({"schema": 2}, "Update the software"),
        ({"kind": "horoscope"}, 'kind "horoscope"'),
        ({"voxels": ...}, '"voxels"'),
        ({"voxels": "32"}, '"voxels"'),
        ({"voxels": True}, '"voxels"'),
        ({"metrics": []}, '"metrics"'),
        ({"flips": []}, '"flips"'),
        ({"flips": [[3]]}, '"flips"'),
    ],
)
def test_a_package_that_does_not_fit_is_refused_with_the_reason(tmp_path: Path, changes, says):
    with pytest.raises(ValueError, match=says):
        packages.read_package(write(tmp_path / "one", **changes))


@pytest.mark.parametrize("name", ["model.ts", "model.json", "card.md"])
def test_a_package_without_one_of_its_files_is_refused(tmp_path: Path, name):
    folder = write(tmp_path / "one")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=str(folder)):
        packages.read_package(folder)


@pytest.mark.parametrize("text", ["{", "[1]", "\ufffe"])
def test_a_description_that_is_none_is_refused(tmp_path: Path, text):
    folder = write(tmp_path / "one")
    (folder / "model.json").write_text(text, encoding="utf-16")
    with pytest.raises(ValueError, match="model package"):
        packages.read_package(folder)


def test_packages_are_found_in_order_and_damaged_ones_are_told_apart(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    write(first / "b"), write(first / "a"), write(second / "a", b"another"), write(second / "c", sha256="0" * 64)
    found = packages.installed_packages(folders=[first, tmp_path / "none", second])
    assert [(package.name, package.folder.parent.name) for package in found] == [("a", "first"), ("b", "first")]
    damaged = packages.damaged_packages([first, second])
    assert len(damaged) == 1 and str(second / "c") in damaged[0]
    assert packages.installed_packages("other", [first]) == []


def test_folders_are_the_shipped_one_then_those_of_the_environment_then_the_users(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PSMA_MODELS", os.pathsep.join([str(tmp_path / "x"), str(tmp_path / "y")]))
    assert packages.model_folders() == [
        packages.shipped_folder(),
        tmp_path / "x",
        tmp_path / "y",
        packages.user_folder(),
    ]


def test_a_package_from_elsewhere_is_run_only_after_someone_trusted_this_network(tmp_path: Path, own_user_folder: Path):
    folder = write(tmp_path / "one")
    package = packages.read_package(folder)
    with pytest.raises(ValueError, match="trust_package") as told:
        packages.require_trust(package)
    assert package.sha256 in str(told.value) and str(own_user_folder) in str(told.value)
    assert packages.trust_package(folder).sha256 == package.sha256
    packages.require_trust(package)
    changed = packages.read_package(write(tmp_path / "other" / "one", b"another program"))
    assert not packages.is_trusted(changed)
    packages.trust_package(changed.folder)
    assert packages.is_trusted(changed) and packages.is_trusted(package)


def test_what_a_user_copies_to_his_own_folder_is_not_trusted_for_that(own_user_folder: Path):
    package = packages.read_package(write(own_user_folder / "one"))
    assert packages.installed_packages()[-1].name == "one"
    assert not packages.is_trusted(package)


def test_a_damaged_list_of_trusted_networks_is_an_error_and_not_trust(tmp_path: Path, own_user_folder: Path):
    package = packages.read_package(write(tmp_path / "one"))
    own_user_folder.mkdir()
    (own_user_folder / "trusted.json").write_text("[", encoding="utf-8")
    with pytest.raises(ValueError, match="Delete it"):
        packages.is_trusted(package)


def test_the_shipped_click_network_is_sound_small_and_says_what_it_is():
    package = next(package for package in packages.installed_packages() if package.name == "psma-click-1")
    assert packages.is_trusted(package) and not packages.damaged_packages([packages.shipped_folder()])
    assert package.network_file.stat().st_size <= 4_000_000
    assert (package.voxels, package.spacing_mm) == (REQUEST_VOXELS, REQUEST_SPACING_MM)
    assert set(package.channels) <= set(CHANNELS) and package.modalities == ("PET",)
    assert "Synthetic data only" in package.card and "no claim of clinical accuracy" in package.card
    # What this version ships reached on its own synthetic crops; the card must say the same.
    for value in (package.metrics["network_median_dice_1_click"], package.metrics["growth_median_dice_5_clicks"]):
        assert f"{value:.3f}" in package.card
