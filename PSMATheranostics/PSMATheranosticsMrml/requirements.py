"""Packages beyond those that Slicer brings along, installed when they are first needed and after asking."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

FILE = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"


def missingRequirements(path: Path = FILE) -> list[str]:
    """Lines of the requirements file that this Python does not meet."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    missing = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = None
        if installed is None or not requirement.specifier.contains(installed, prereleases=True):
            missing.append(text)
    return missing


def ensureRequirements(path: Path = FILE) -> None:
    """Install what is missing after asking.

    Raises:
        RuntimeError: the user declined.
        subprocess.CalledProcessError: pip failed.
    """
    missing = missingRequirements(path)
    if not missing:
        return
    try:
        from slicer.packaging import pip_ensure  # Slicer 5.12 and newer: asks, shows progress, offers a restart
    except ImportError:
        _installAfterAsking(missing)
    else:
        pip_ensure(missing, requester="PSMATheranostics")


def _installAfterAsking(missing: list[str]) -> None:
    packages = ", ".join(missing)
    question = _("Reports and DICOM files need these Python packages in Slicer: {packages}.\nInstall them now?")
    title = _("PSMA Theranostics")
    if not slicer.util.confirmOkCancelDisplay(question.format(packages=packages), windowTitle=title):
        raise RuntimeError(_("Without {packages} this cannot be done.").format(packages=packages))
    slicer.util.pip_install(missing)
