"""Organ maps: label images that say where physiological uptake is to be expected."""

from __future__ import annotations

from dataclasses import dataclass

import SimpleITK as sitk


@dataclass(frozen=True)
class OrganMap:
    """A label image on any grid and the organ each value stands for, e.g. ``{2: "kidneys", 3: "liver"}``.

    ``source`` says in a few words where it comes from, such as a program and its version; "" where that is not known.
    """

    labels: sitk.Image
    names: dict[int, str]
    source: str = ""
