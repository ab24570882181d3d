"""What the Extensions Index reads: metadata that its scripts find by pattern, licence, icon, size."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from data_dir import ROOT

MEGABYTE = 1_000_000


def metadata(name: str) -> str:
    """Value of a one-line ``set(EXTENSION_...)`` as the Index's scripts find it."""
    found = re.search(rf'^set\(EXTENSION_{name} "([^"$]+)"\)$', (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert found, f"EXTENSION_{name} is not a one-line set() with a literal value"
    return found.group(1)


@pytest.mark.parametrize(
    "name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "CATEGORY", "DEPENDS"]
)
def test_metadata_is_a_literal_on_one_line(name: str):
    assert metadata(name)


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_picture_urls_name_files_of_the_repository(name: str):
    for url in metadata(name).split():
        path = url.split("/main/", 1)[1]
        assert (ROOT / path).is_file(), f"{url} points to {path}, which is not there"


def test_index_entry_has_the_required_fields_and_no_others():
    entry = json.loads((ROOT / "PSMATheranostics.json").read_text())
    required = {"$schema", "category", "scm_url"}
    optional = {
        "scm_revision",
        "scm_type",
        "build_dependencies",
        "build_subdirectory",
        "enabled",
        "tier",
        "dicom_support_rule",
    }
    assert required <= set(entry) <= required | optional
    assert entry["category"] == metadata("CATEGORY") == "Nuclear Medicine"
    assert entry["scm_url"].startswith("https://") and entry["scm_url"].endswith(".git")
    assert entry["tier"] in range(1, 6)
    assert b"\r" not in (ROOT / "PSMATheranostics.json").read_bytes()


def test_project_is_named_as_the_index_entry():
    assert re.search(r"^project\(PSMATheranostics\)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)


def test_licence_is_in_the_root_and_on_the_homepage():
    assert "Apache License" in (ROOT / "LICENSE.txt").read_text()
    readme = (ROOT / "README.md").read_text()
    assert "LICENSE.txt" in readme
    assert "not a medical device" in readme


def test_package_names_are_no_general_names():
    packages = {path.parent.name for path in ROOT.glob("PSMA*/*/__init__.py")}
    assert packages
    assert all(name.startswith("PSMA") for name in packages)


def test_tracked_files_and_history_stay_small():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).exists()}
    assert sum(sizes.values()) < 60 * MEGABYTE
    assert max(sizes.values()) < 16 * MEGABYTE
    # What a clone receives. The folder .git says less: it may hold objects twice, and others' branches.
    packing = ["git", "pack-objects", "--revs", "--stdout", "--delta-base-offset", "--quiet"]
    history = subprocess.run(packing, cwd=ROOT, check=True, capture_output=True, input=b"HEAD\n").stdout
    assert len(history) < 60 * MEGABYTE
