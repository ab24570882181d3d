"""How a key image is drawn: slices of PET and CT of one lesion on paper, one column for each time point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import plot_image
from .plot_image import INK, MM_PER_INCH, NORMAL, SMALL, STYLE, WIDTH_MM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rgb = tuple[float, float, float]

# HU that are drawn black and white. Common windows: level 40 width 400, and level 400 width 1800.
CT_WINDOWS: dict[str, tuple[float, float]] = {"soft tissue": (-160.0, 240.0), "bone": (-500.0, 1300.0)}
SCALE_BAR_MM = 20.0
DOTS_PER_INCH = 180
_LARGEST_MM = 45.0  # side of a slice where PET and CT stand side by side
_LARGEST_STACKED_MM = 29.0  # where CT is below PET, so that three images fit on a page
_STACKED_FROM = 3  # time points
_GAP_MM = 1.2
_TITLE_MM, _FOOT_MM = 6.8, 7.0


@dataclass(frozen=True)
class Ring:
    """Where a lesion was, around the middle of the slice."""

    color: Rgb
    radius_mm: float


@dataclass(frozen=True)
class KeyPanel:
    """One time point. Without ``uptake`` there is no slice to show, and ``lines`` say why.

    ``uptake`` is 0 for white and 1 for black, ``ct`` in HU; rows go to the back, columns to the patient's left.
    """

    title: str
    subtitle: str
    lines: tuple[str, ...]
    color: Rgb
    uptake: npt.NDArray[np.float32] | None = None
    ct: npt.NDArray[np.float32] | None = None
    own: npt.NDArray[np.bool_] | None = None
    others: npt.NDArray[np.bool_] | None = None
    half_mm: float = 60.0
    ring: Ring | None = None


@dataclass(frozen=True)
class _Layout:
    """Millimeters on paper."""

    side: float
    columns: int
    rows: int
    with_ct: bool

    @classmethod
    def of(cls, panels: Sequence[KeyPanel]) -> _Layout:
        with_ct = any(panel.ct is not None for panel in panels)
        stacked = with_ct and len(panels) >= _STACKED_FROM
        columns = len(panels) * (2 if with_ct and not stacked else 1)
        largest = _LARGEST_STACKED_MM if stacked else _LARGEST_MM
        side = min(largest, (WIDTH_MM - (columns - 1) * _GAP_MM) / columns)
        return cls(side, columns, 2 if stacked else 1, with_ct)

    @property
    def width(self) -> float:
        return self.columns * self.side + (self.columns - 1) * _GAP_MM

    @property
    def height(self) -> float:
        return _TITLE_MM + self.rows * self.side + (self.rows - 1) * _GAP_MM + _FOOT_MM

    def corner(self, index: int, ct: bool) -> tuple[float, float]:
        """Left and bottom of a slice of time point ``index``."""
        column = index if self.rows == 2 or not self.with_ct else 2 * index + int(ct)
        row = int(ct) if self.rows == 2 else 0
        bottom = self.height - _TITLE_MM - (row + 1) * self.side - row * _GAP_MM
        return column * (self.side + _GAP_MM), bottom

    def middle(self, index: int) -> tuple[float, float]:
        """Middle and width of the column of a time point."""
        left, _ = self.corner(index, ct=False)
        slices = 2 if self.with_ct and self.rows == 1 else 1
        width = slices * self.side + (slices - 1) * _GAP_MM
        return left + width / 2, width


def draw_key_image(panels: Sequence[KeyPanel], window: str) -> tuple[bytes, float]:
    """A PNG image of all time points of one lesion, and its width on paper in mm. ``window``: of ``CT_WINDOWS``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    layout = _Layout.of(panels)
    with mpl.rc_context(STYLE):
        size = (layout.width / MM_PER_INCH, layout.height / MM_PER_INCH)
        figure = Figure(figsize=size, dpi=DOTS_PER_INCH)
        for index, panel in enumerate(panels):
            _draw_texts(figure, layout, index, panel)
            for ct, picture in _pictures(panel, window):
                axes = _axes(figure, layout, *layout.corner(index, ct))
                _draw_slice(axes, panel, picture, ct)
        return plot_image.finish(figure, "").png, layout.width


def _pictures(panel: KeyPanel, window: str) -> Iterator[tuple[bool, dict[str, Any]]]:
    if panel.uptake is not None:
        yield False, {"X": panel.uptake, "cmap": "gray_r", "vmin": 0.0, "vmax": 1.0}
    if panel.ct is not None:
        low, high = CT_WINDOWS[window]
        yield True, {"X": panel.ct, "cmap": "gray", "vmin": low, "vmax": high}


def _axes(figure: Figure, layout: _Layout, left: float, bottom: float) -> Axes:
    width, height = layout.width, layout.height
    axes = figure.add_axes((left / width, bottom / height, layout.side / width, layout.side / height))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color=INK)
    return axes


def _draw_texts(figure: Figure, layout: _Layout, index: int, panel: KeyPanel) -> None:
    """Title above and what was measured below; where there is no slice, why, in its place."""
    middle, _ = layout.middle(index)
    x = middle / layout.width
    for above, text, weight in ((5.4, panel.title, "bold"), (2.0, panel.subtitle, "normal")):
        y = (layout.corner(0, ct=False)[1] + layout.side + above - 0.9) / layout.height
        figure.text(x, y, text, fontsize=NORMAL, fontweight=weight, color=INK, ha="center", va="center")
    if panel.uptake is None:
        _, bottom = layout.corner(index, ct=False)
        figure.text(x, (bottom + layout.side / 2) / layout.height, "\n".join(panel.lines), fontsize=NORMAL, ha="center")
        return
    foot = (_FOOT_MM - 0.7) / layout.height
    figure.text(x, foot, "\n".join(panel.lines), fontsize=NORMAL, color=INK, ha="center", va="top", linespacing=1.15)


def _draw_slice(axes: Axes, panel: KeyPanel, picture: dict[str, Any], ct: bool) -> None:
    """One slice with outlines on PET and CT alike, sides and, on the PET, a scale bar."""
    half = panel.half_mm
    axes.imshow(**picture, extent=(-half, half, half, -half), interpolation="bilinear", aspect="auto")
    halo, ink = ("black", "white") if ct else ("white", INK)
    _draw_outline(axes, panel.others, half, "0.75" if ct else "0.35", halo, dashed=True)
    _draw_outline(axes, panel.own, half, panel.color, halo)
    if panel.ring is not None:
        _draw_ring(axes, panel.ring, halo)
    for x, side in ((-0.91, "R"), (0.91, "L")):
        axes.text(x * half, -0.89 * half, side, fontsize=NORMAL, color=ink, ha="center", va="center")
    if not ct:
        end = -0.9 * half + SCALE_BAR_MM
        axes.plot([-0.9 * half, end], [0.92 * half] * 2, color=INK, linewidth=1.2, solid_capstyle="butt")
        name = f"{SCALE_BAR_MM:g} mm"
        axes.text(-0.9 * half, 0.87 * half, name, fontsize=SMALL, color=INK, ha="left", va="bottom")
    axes.set_xlim(-half, half)
    axes.set_ylim(half, -half)


def _draw_outline(
    axes: Axes, mask: npt.NDArray[np.bool_] | None, half: float, color: Any, halo: str, dashed: bool = False
) -> None:
    """The border of a mask with a halo, so that it is seen on any ground."""
    if mask is None or not mask.any():
        return
    places = (np.arange(mask.shape[0]) + 0.5) / mask.shape[0] * 2 * half - half
    values = mask.astype(np.float32)
    width = 0.6 if dashed else 1.0
    axes.contour(places, places, values, levels=[0.5], colors=[halo], linewidths=width + 1.1)
    style = ["--" if dashed else "-"]
    axes.contour(places, places, values, levels=[0.5], colors=[color], linewidths=width, linestyles=style)


def _draw_ring(axes: Axes, ring: Ring, halo: str) -> None:
    from matplotlib.patches import Circle

    for width, color, style in ((2.0, halo, "solid"), (0.9, ring.color, (0, (2, 1.5)))):
        axes.add_patch(Circle((0, 0), ring.radius_mm, fill=False, edgecolor=color, linewidth=width, linestyle=style))
