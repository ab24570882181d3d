"""A click network behind the growth of each click, as the worker of the panel runs it."""

from __future__ import annotations

from collections.abc import Sequence

from ..clicks.click import Click, ClickResult, Labels
from ..clicks.study import ClickStudy
from ..networks.click_finish import finish_click
from ..networks.click_network import ClickNetwork
from ..networks.click_request import click_request
from ..networks.package import ModelPackage, installed_packages


class NetworkRefinement:
    """Asks a network about the lesion of each click and finishes its answer."""

    def __init__(self, network: ClickNetwork) -> None:
        self._network = network

    def refine(self, study: ClickStudy, labels: Labels, lesion: int, clicks: Sequence[Click]) -> ClickResult:
        """The change to a lesion that the network makes of all clicks on it."""
        request = click_request(study, labels, lesion, clicks)
        return finish_click(study, labels, request, self._network.probability(request))


def package_named(name: str) -> ModelPackage:
    """The installed click network of this name; ValueError, listing those there are, for another."""
    packages = {package.name: package for package in installed_packages("click")}
    if name not in packages:
        there = ", ".join(sorted(packages)) or "none"
        raise ValueError(f"No click network {name!r} is installed. Installed: {there}.")
    return packages[name]
