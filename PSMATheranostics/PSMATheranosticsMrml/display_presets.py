"""Windows and colors to choose from: of emission images, of CT, and of lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from .case_scene import CT, OVERLAY, PET, CaseScene
from .panel_rows import statusColor
from .segments import TAG_STATUS, LesionSegment

if TYPE_CHECKING:
    from PSMASegmentLib.lesion_regions import Region

BY_STATUS, BY_REGION, BY_NUMBER = "status", "region", "number"

# Okabe and Ito (Color Universal Design, 2008), told apart with any common color vision. Left out are black, which is
# not seen on CT, and purple, which is close to blue where the long cones are missing.
_ORANGE, _SKY, _GREEN = (230, 159, 0), (86, 180, 233), (0, 158, 115)
_YELLOW, _BLUE, _VERMILION = (240, 228, 66), (0, 114, 178), (213, 94, 0)
_NUMBER_COLORS = (_VERMILION, _SKY, _YELLOW, _BLUE, _ORANGE, _GREEN)
_REGION_COLORS = {
    "prostate bed": _BLUE,
    "pelvic node": _SKY,
    "distant node": _GREEN,
    "bone": _VERMILION,
    "visceral": _ORANGE,
}
_NO_REGION_COLOR = (210, 210, 210)

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Window:
    """Values that are shown from the first to the last color: SUVbw of an emission image, HU of a CT."""

    name: str
    low: float
    high: float


def suvWindows() -> tuple[Window, ...]:
    """Windows of emission images in SUVbw from 0; their tops are a choice of this project, 15 is shown first."""
    return tuple(Window(_("SUV 0 to {top}").format(top=top), 0.0, float(top)) for top in (5, 10, 15, 20, 30, 50))


def ctWindows() -> tuple[Window, ...]:
    """Windows of CT in HU; level and width are those in common use, soft tissue is shown first."""
    return (
        _centered(_("Soft tissue"), 40, 400),
        _centered(_("Bone"), 400, 1800),
        _centered(_("Lung"), -600, 1500),
        _centered(_("Liver"), 60, 160),
    )


def emissionColors() -> tuple[tuple[str, str], ...]:
    """Name and node ID of color tables for emission images. All but the first two run from black to white."""
    return (
        (_("Inverted gray"), "vtkMRMLColorTableNodeInvertedGrey"),
        (_("Heat"), "vtkMRMLPETProceduralColorNodePET-Heat"),
        (_("Gray"), "vtkMRMLColorTableNodeGrey"),
        (_("Hot metal blue"), "vtkMRMLPETProceduralColorNodePET-HotMetalBlue"),
        (_("Hot iron"), "vtkMRMLPETProceduralColorNodePET-DICOM"),
    )


def lesionColorings() -> tuple[tuple[str, str], ...]:
    """What lesions can be colored by: key and name."""
    return (
        (BY_STATUS, _("Colored by status")),
        (BY_REGION, _("Colored by region")),
        (BY_NUMBER, _("Colored one by one")),
    )


def showEmissionWindow(scene: CaseScene, studyId: int, window: Window, valuePerSuv: float = 1.0) -> None:
    """Show the emission image of a loaded study, alone and over CT, in a window of SUVbw.

    ``valuePerSuv``: value of a voxel of SUV 1, for images that are not SUV.
    """
    for role in (PET, OVERLAY):
        _setWindow(scene.node(studyId, role), window.low * valuePerSuv, window.high * valuePerSuv)


def showEmissionColor(scene: CaseScene, studyId: int, colorId: str) -> None:
    """Show the emission image alone (as in the projections) in the colors of ``emissionColors``; over CT it stays."""
    display = _display(scene.node(studyId, PET))
    if display is not None:
        display.SetAndObserveColorNodeID(colorId)


def showCtWindow(scene: CaseScene, studyId: int, window: Window) -> None:
    """Show the CT of a loaded study in a window of HU."""
    _setWindow(scene.node(studyId, CT), window.low, window.high)


def colored(looks: Sequence[LesionSegment], coloring: str, regions: Mapping[int, Region]) -> list[LesionSegment]:
    """How lesions are shown, in other colors: by their status, by their region or by their number."""
    return [replace(look, color=lesionColor(look, coloring, regions.get(look.lesion))) for look in looks]


def lesionColor(look: LesionSegment, coloring: str, region: Region | None) -> Rgb:
    """Color of one lesion, each part from 0 to 1. Raises ValueError for a coloring that there is not."""
    if coloring == BY_STATUS:
        return statusColor(look.tags.get(TAG_STATUS, ""))
    if coloring == BY_REGION:
        return _rgb(_REGION_COLORS.get("" if region is None else region.name, _NO_REGION_COLOR))
    if coloring == BY_NUMBER:
        return _rgb(_NUMBER_COLORS[look.lesion % len(_NUMBER_COLORS)])
    raise ValueError(f"Lesions are not colored by '{coloring}'; there are {BY_STATUS}, {BY_REGION} and {BY_NUMBER}.")


def _centered(name: str, level: float, width: float) -> Window:
    return Window(name, level - width / 2, level + width / 2)


def _setWindow(node: slicer.vtkMRMLScalarVolumeNode | None, low: float, high: float) -> None:
    display = _display(node)
    if display is not None:
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(low, high)


def _display(node: slicer.vtkMRMLScalarVolumeNode | None) -> slicer.vtkMRMLScalarVolumeDisplayNode | None:
    return None if node is None else node.GetScalarVolumeDisplayNode()


def _rgb(color: tuple[int, int, int]) -> Rgb:
    red, green, blue = (part / 255 for part in color)
    return red, green, blue
