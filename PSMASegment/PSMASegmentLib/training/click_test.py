"""What a click network reaches on painted crops of men that were held out: the figures of its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.networks.click_finish import finish_click
from PSMASegmentLib.networks.request import ClickRequest
from PSMASegmentLib.training.click_rounds import Session
from PSMASegmentLib.training.crop_painter import PaintedCrop, paint_crop
from PSMASegmentLib.training.organ_maps import OrganMap
from PSMASegmentLib.training.prompts import dice, error_click, first_click

Progress = Callable[[float, str], None]
Probability = Callable[[ClickRequest], npt.NDArray[np.float32]]

INTERACTIONS = 5
VOLUME_ML = (1.0, 80.0)
_LEVELS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
_SEED = 20_000_003  # far from the rounds of training, whose seeds are small


@dataclass(frozen=True)
class ClickCurve:
    """One crop: lesion volume in mL and Dice after each interaction, of the growth alone and with the network."""

    volume_ml: float
    growth: tuple[float, ...]
    network: tuple[float, ...]


def click_curves(
    probability: Probability,
    maps: Sequence[OrganMap],
    count: int,
    *,
    seed: int = _SEED,
    progress: Progress | None = None,
) -> list[ClickCurve]:
    """Click ``INTERACTIONS`` times on each of so many fresh crops, first on the lesion, then into the largest error."""
    curves = []
    for number in range(count):
        if progress is not None:
            progress(number / count, f"Testing on crop {number + 1} of {count}")
        rng = np.random.default_rng([seed, number])
        crop = paint_crop(rng, maps, VOLUME_ML)
        click = first_click(rng, crop)
        voxel_ml = float(np.prod(crop.spacing_zyx)) / 1000.0
        curves.append(
            ClickCurve(
                volume_ml=int(crop.truth.sum()) * voxel_ml,
                growth=_curve(np.random.default_rng([seed, number, 1]), crop, click, None),
                network=_curve(np.random.default_rng([seed, number, 1]), crop, click, probability),
            )
        )
    return curves


def _curve(
    rng: np.random.Generator, crop: PaintedCrop, click: Click, probability: Probability | None
) -> tuple[float, ...]:
    session = Session(crop)
    reached = []
    for _ in range(INTERACTIONS):
        if session.click(click) and probability is not None:
            request = session.request()
            session.take(finish_click(session.study, session.labels, request, probability(request)))
        reached.append(dice(session.mask, crop.truth))
        following = error_click(rng, session.mask, crop)
        if following is None:
            break
        click = following
    return tuple(reached + [reached[-1]] * (INTERACTIONS - len(reached)))


def best_level(probability: Probability, maps: Sequence[OrganMap], count: int, seed: int) -> float:
    """The probability that is best taken as the border: highest mean Dice after one click on so many fresh crops."""
    scores = np.zeros(len(_LEVELS))
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        crop = paint_crop(rng, maps, VOLUME_ML)
        session = Session(crop)
        session.click(first_click(rng, crop))
        request = session.request()
        box, likely = session.likely(request, probability(request))
        scores += [dice((likely >= level) & ~crop.others[box], crop.truth[box]) for level in _LEVELS]
    return _LEVELS[int(scores.argmax())]


def summary(curves: Sequence[ClickCurve]) -> dict[str, float]:
    """Median Dice and quartiles after one click, median after five, of the growth alone and with the network."""
    values = {"lesions": float(len(curves))}
    for who in ("growth", "network"):
        reached = np.array([getattr(curve, who) for curve in curves])
        values[f"{who}_lower_quartile_dice_1_click"] = float(np.quantile(reached[:, 0], 0.25))
        values[f"{who}_median_dice_1_click"] = float(np.median(reached[:, 0]))
        values[f"{who}_upper_quartile_dice_1_click"] = float(np.quantile(reached[:, 0], 0.75))
        values[f"{who}_median_dice_{INTERACTIONS}_clicks"] = float(np.median(reached[:, -1]))
    return {name: round(value, 4) for name, value in values.items()}
