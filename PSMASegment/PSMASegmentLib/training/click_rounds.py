"""Rounds of clicks on painted crops: what a click network is trained on and tested with."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.clicks.click import Click, ClickResult, Labels
from PSMASegmentLib.clicks.growth import apply_click
from PSMASegmentLib.clicks.study import click_study
from PSMASegmentLib.networks.channels import input_channels
from PSMASegmentLib.networks.click_request import click_request
from PSMASegmentLib.networks.crop import Box, inner_box, off_crop_matrices, probability_off_crop
from PSMASegmentLib.networks.request import ClickRequest
from PSMASegmentLib.training.config import TrainingConfig
from PSMASegmentLib.training.crop_painter import PaintedCrop, paint_crop
from PSMASegmentLib.training.organ_maps import OrganMap
from PSMASegmentLib.training.prompts import corrupted, dice, error_click, first_click, threshold_growth
from PSMASegmentLib.training.shapes import Mask

Array = npt.NDArray[np.float32]
LESION, _OTHER = 1, 2
# First clicks with the growth from them; the others find nothing, a threshold, the truth, or a mask that is wrong.
_SHARE_GROWN, _SHARE_GROWN_LATER = 0.65, 0.9
_SHARE_LATER, _MOST_CLICKS = 0.15, 5


@dataclass(frozen=True, eq=False)
class Target:
    """What an answer is compared with: the truth on voxels of the scan (z, y, x; 0 or 1), not on those of the crop.

    ``matrices`` (scan, crop), one for each axis, bring logits there. ``voxel_ml`` is the volume of such a voxel.
    """

    truth: Array
    matrices: Sequence[Array]
    voxel_ml: float


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs (n, channels, z, y, x), what is right for each, and the Dice of the masks that the readers see."""

    inputs: Array
    targets: list[Target]
    dice: list[float]


class Session:
    """One painted crop under a reader: the mask of the lesion as it stands and the clicks so far."""

    def __init__(self, crop: PaintedCrop) -> None:
        self.crop = crop
        self.clicks: list[Click] = []
        self.mask: Mask = np.zeros_like(crop.truth)
        z, y, x = crop.spacing_zyx
        emission = sitk.GetImageFromArray(crop.uptake)
        emission.SetSpacing((x, y, z))
        physiology = sitk.GetImageFromArray(crop.physiology.astype(np.uint8))
        physiology.CopyInformation(emission)
        self.study = click_study(emission, physiology=physiology, physiology_names={1: "painted"})

    @property
    def labels(self) -> Labels:
        """The lesion as 1, other lesions as 2 (uint16; z, y, x)."""
        return np.where(self.mask, LESION, np.where(self.crop.others, _OTHER, 0)).astype(np.uint16)

    def click(self, click: Click, grow: bool = True) -> bool:
        """One more click, insisting where it must, and what the growth makes of it. Whether the lesion changes."""
        labels, changes = self.labels, False
        if grow:
            result = apply_click(self.study, labels, click, LESION, history=self.clicks)
            if result.outcome == "refused":
                click = Click(click.index_zyx, click.positive, insist=True)
                result = apply_click(self.study, labels, click, LESION, history=self.clicks)
            changes = self.take(result)
        self.clicks.append(click)
        return changes

    def take(self, result: ClickResult) -> bool:
        """Take over what a click did to the lesion; whether it did anything."""
        if not result.changes or result.lesion != LESION:
            return False
        box = tuple(slice(low, low + n) for low, n in zip(result.start_zyx, result.after.shape, strict=True))
        self.mask = self.mask.copy()
        self.mask[box] = result.after == LESION
        return True

    def request(self) -> ClickRequest:
        """The question to the network as it stands."""
        return click_request(self.study, self.labels, LESION, self.clicks)

    def likely(self, request: ClickRequest, probability: Array) -> tuple[Box, Array]:
        """An answer of the network on the voxels of the painted crop that it knows."""
        box = inner_box(self.mask.shape, request.grid)
        return box, probability_off_crop(probability, request.grid, box)

    def answered(self, request: ClickRequest, probability: Array) -> None:
        """Take over an answer of the network as it is, without the bounds of a click."""
        box, likely = self.likely(request, probability)
        self.mask = self.mask.copy()
        self.mask[box] = (likely >= 0.5) & ~self.crop.others[box]


class ClickRounds:
    """Batches of painted crops with clicks; round ``n`` of one seed is always the same for the same answers."""

    def __init__(self, config: TrainingConfig, maps: Sequence[OrganMap]) -> None:
        self._config = config
        self._maps = maps

    def round(self, number: int) -> Generator[Batch, Array, None]:
        """Batches of one round; each expects the probabilities (n, z, y, x) that the network gave."""
        rngs = [np.random.default_rng([self._config.seed, number, i]) for i in range(self._config.batch)]
        sessions = [start_session(rng, paint_crop(rng, self._maps, self._config.volume_ml)) for rng in rngs]
        for interaction in range(self._config.interactions):
            if interaction:
                for rng, session in zip(rngs, sessions, strict=True):
                    next_click(rng, session)
            requests = [session.request() for session in sessions]
            answers = yield Batch(
                inputs=np.stack([input_channels(request, self._config.channels) for request in requests]),
                targets=[target(s.crop, r) for s, r in zip(sessions, requests, strict=True)],
                dice=[dice(session.mask, session.crop.truth) for session in sessions],
            )
            for session, request, answer in zip(sessions, requests, answers, strict=True):
                session.answered(request, answer)


def start_session(rng: np.random.Generator, crop: PaintedCrop) -> Session:
    """A reader's first click and the growth from it (or another mask), or several clicks into a mask that is wrong."""
    session = Session(crop)
    click = first_click(rng, crop)
    kind = rng.random()
    session.click(click, grow=kind < _SHARE_GROWN)
    if _SHARE_GROWN <= kind < _SHARE_GROWN + 0.1:
        session.mask = threshold_growth(rng, crop, click)
    elif _SHARE_GROWN + 0.1 <= kind < _SHARE_GROWN + 0.15:
        session.mask = crop.truth.copy()
    elif kind >= 1.0 - _SHARE_LATER:
        for _ in range(int(rng.integers(1, _MOST_CLICKS))):
            session.mask = corrupted(rng, crop)
            next_click(rng, session)
    return session


def next_click(rng: np.random.Generator, session: Session) -> None:
    """The next click: into the largest error, or once more on the lesion where there is none."""
    click = error_click(rng, session.mask, session.crop) or first_click(rng, session.crop)
    session.click(click, grow=rng.random() < _SHARE_GROWN_LATER)


def target(crop: PaintedCrop, request: ClickRequest) -> Target:
    """The truth where the crop of the request covers it."""
    box = inner_box(crop.truth.shape, request.grid)
    voxel_ml = float(np.prod(crop.spacing_zyx)) / 1000.0
    return Target(crop.truth[box].astype(np.float32), off_crop_matrices(request.grid, box), voxel_ml)
