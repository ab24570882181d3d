"""A simulated reader: clicks go to the click layers as they do in the panel, and each edit is watched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from ..clicks.click import Click, ClickResult, Index, Labels
from ..clicks.growth import apply_click
from ..clicks.settings import REACH_MM, REMOVAL_REACH_MM
from ..clicks.study import ClickStudy
from .metrics import Box, joined_box


class Refinement(Protocol):
    """What improves a lesion after the growth of a click, such as a click network."""

    def refine(self, study: ClickStudy, labels: Labels, lesion: int, clicks: Sequence[Click]) -> ClickResult:
        """The change to a lesion that the clicks on it ask for."""
        ...


@dataclass
class Tally:
    """What a reader's clicks did.

    ``ghost_voxels`` were changed though they belong to another lesion or lie beyond the reach of the click.
    """

    clicks: int = 0
    refused: int = 0
    insisted: int = 0
    undone: int = 0
    ghost_voxels: int = 0
    growth_s: float = 0.0
    refinements: int = 0
    refinement_s: float = 0.0


class Reader:
    """Corrects the labels of one study.

    ``labels`` (z, y, x; uint16) are the reader's own copy; ``boxes`` holds every lesion, some with room around it.
    ``refusal`` is why the last click was refused at first, "" where it was not.
    """

    def __init__(self, study: ClickStudy, labels: Labels, refinement: Refinement | None = None) -> None:
        self.study = study
        self.labels: Labels = labels.copy()
        self.boxes: dict[int, Box] = {
            lesion: box for lesion, box in enumerate(ndimage.find_objects(self.labels), start=1) if box is not None
        }
        self.tally = Tally()
        self.refusal = ""
        self._refinement = refinement
        self._next = int(labels.max()) + 1
        self._history: list[Click] = []
        self._by_lesion: dict[int, list[Click]] = {}
        self._last: list[tuple[Box, Labels]] = []  # what the last click changed, and the labels there before

    def click(self, index: Index, positive: bool) -> ClickResult:
        """One click; where a positive one is refused, the reader, who knows better, insists.

        Gives the result of the growth; with a refinement the labels hold what that made of it.
        """
        self.tally.clicks += 1
        self._last = []
        click = Click(index, positive)
        result = self._grow(click)
        self.refusal = result.message if result.outcome == "refused" else ""
        if result.outcome == "refused" and positive:
            self.tally.insisted += 1
            click = Click(index, positive, insist=True)
            result = self._grow(click)
        if result.outcome == "refused":
            self.tally.refused += 1
            return result
        self._take(click, result)
        self._history.append(click)
        if result.lesion:
            self._by_lesion.setdefault(result.lesion, []).append(click)
        if self._refinement is not None and result.outcome in ("new", "grown", "shrunk"):
            self._refine(result.lesion)
        return result

    def undo(self) -> None:
        """Take the last click back, which must have changed something."""
        self.tally.undone += 1
        for window, before in reversed(self._last):
            self.labels[window] = before
        self._last = []
        click = self._history.pop()
        for clicks in self._by_lesion.values():
            if clicks and clicks[-1] is click:
                clicks.pop()

    def _grow(self, click: Click) -> ClickResult:
        start = time.perf_counter()
        result = apply_click(self.study, self.labels, click, self._next, history=self._history)
        self.tally.growth_s += time.perf_counter() - start
        return result

    def _refine(self, lesion: int) -> None:
        assert self._refinement is not None
        clicks = self._by_lesion[lesion]
        start = time.perf_counter()
        result = self._refinement.refine(self.study, self.labels, lesion, clicks)
        self.tally.refinement_s += time.perf_counter() - start
        self.tally.refinements += 1
        self._take(clicks[-1], result)

    def _take(self, click: Click, result: ClickResult) -> None:
        """Change the labels and count what should not have been changed."""
        if not result.before.size:
            return
        self.tally.ghost_voxels += ghost_voxels(self.study, self.labels, click, result)
        window = _window(result)
        self._last.append((window, self.labels[window].copy()))
        self.labels[window] = result.after
        if result.lesion:
            self.boxes[result.lesion] = joined_box(self.boxes.get(result.lesion, window), window)
        if result.lesion == self._next:
            self._next += 1


def _window(result: ClickResult) -> Box:
    z, y, x = (slice(s, s + n) for s, n in zip(result.start_zyx, result.after.shape, strict=True))
    return z, y, x


def ghost_voxels(study: ClickStudy, labels: Labels, click: Click, result: ClickResult) -> int:
    """Voxels that a result changes though it must not, or that the labels do not hold as the result says.

    Not to be changed are voxels of other lesions than its own, and all beyond the reach of the click (straight, in mm).
    """
    here = labels[_window(result)]
    changed = here != result.after
    others = ~np.isin(here, (0, result.lesion)) | ~np.isin(result.after, (0, result.lesion))
    z, y, x = (
        ((np.arange(n) + start - i) * mm) ** 2
        for n, start, i, mm in zip(here.shape, result.start_zyx, click.index_zyx, study.spacing_zyx, strict=True)
    )
    reach = REACH_MM if click.positive else REMOVAL_REACH_MM
    far = z[:, None, None] + y[None, :, None] + x[None, None, :] > (reach + 1e-6) ** 2
    return int(np.count_nonzero((changed & (others | far)) | (here != result.before)))
