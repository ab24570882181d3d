"""How many different places of the body a set of lesions knows, and how that goes along with what networks reach.

The figure is the effective number of sites. Let p be the blurred map of where lesions lie (``occurrence_map``), scaled
to sum 1 over the cells, H = -sum p ln p its Shannon entropy, and H1 the entropy of one point through the same blur:

    sites = exp(H - H1)

So one small lesion is 1 site, and n of them, far apart and weighted alike, are n; lesions at one place, in one man or
in a hundred, stay 1. It is the Hill number of order 1 (Ecology 1973;54:427) of the map in units of one blurred point.
It grows with the number of lesions until the places are known: compare sets of unequal size by ``rarefied_sites``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from PSMASegmentLib.evaluation.body_frame import SPACING_MM, body_grid
from PSMASegmentLib.evaluation.occurrence_map import CaseSites, Map, blurred, site_matrix

COVERED_MM = 20.0
"""A place of the body counts as known when a lesion of the set lies within this distance (a choice of this project)."""
_Z95 = float(stats.norm.ppf(0.975))
_FEWEST_SUBSETS = 4  # of which a rank correlation can say anything


@dataclass(frozen=True)
class Diversity:
    """What a set of lesions knows of the body.

    ``sites``: effective number of sites, with its 95 % interval by the jackknife over men (None with fewer than three
    men who have lesions). ``covered`` is the share of the reference man within ``COVERED_MM`` of a lesion. Both are 0
    without lesions. ``beyond`` lesions left the grid and do not count.
    """

    cases: int
    cases_with_lesions: int
    men: int
    lesions: int
    beyond: int
    volume_ml: float
    sites: float
    sites_interval: tuple[float, float] | None
    covered: float


@dataclass(frozen=True)
class Relation:
    """Spearman's rho between diversity and Dice over subsets, with 95 % interval and permutation p (two-sided).

    ``rho_given_size`` is the partial rank correlation with the number of cases held fixed, None where that is not given
    or tells the subsets apart by itself.
    """

    subsets: int
    rho: float
    interval: tuple[float, float]
    p: float
    rho_given_size: float | None


def diversity(cases: Sequence[CaseSites], weights: str = "lesions") -> Diversity:
    """The figures of a set of studies. Raises ValueError for weights out of ``occurrence_map.WEIGHTS``."""
    matrix = site_matrix(cases, weights)
    total = np.asarray(matrix.sum(axis=0)).ravel()
    sites = effective_sites(total)
    volumes = [lesion.volume_ml for case in cases for lesion in case.lesions]
    return Diversity(
        cases=len(cases),
        cases_with_lesions=sum(bool(case.lesions) for case in cases),
        men=len({case.man for case in cases}),
        lesions=len(volumes),
        beyond=sum(case.beyond for case in cases),
        volume_ml=math.fsum(volumes),
        sites=sites,
        sites_interval=_jackknife(cases, weights, sites),
        covered=_covered(total),
    )


def effective_sites(cells: npt.NDArray[np.float64]) -> float:
    """Effective number of sites from what lies in each cell before the blur; 0 where nothing does."""
    return math.exp(_entropy(blurred(cells)) - _entropy_of_a_point()) if cells.any() else 0.0


def _entropy(values: Map) -> float:
    """Shannon entropy (nats) of a map scaled to sum 1."""
    shares = values[values > 0]
    return float(stats.entropy(shares))


@lru_cache(maxsize=1)
def _entropy_of_a_point() -> float:
    """That of one point in the middle of the grid."""
    shape = body_grid().inside.shape
    point = np.zeros(shape)
    point[shape[0] // 2, shape[1] // 2, shape[2] // 2] = 1.0
    return _entropy(blurred(point.ravel()))


def _jackknife(cases: Sequence[CaseSites], weights: str, sites: float) -> tuple[float, float] | None:
    """95 % interval of the effective number of sites, on its logarithm, leaving out one man at a time.

    The bootstrap would lie below the figure: a set drawn again knows fewer places.
    """
    men: dict[str, list[CaseSites]] = {}
    for case in cases:
        if case.lesions:
            men.setdefault(case.man, []).append(case)
    if len(men) < 3:
        return None
    parts = [np.asarray(site_matrix(some, weights).sum(axis=0)).ravel() for some in men.values()]
    total = np.sum(parts, axis=0)
    # What is left over of a difference of sums is no lesion.
    without = [effective_sites(np.where(total - part > 1e-9 * total.max(), total - part, 0.0)) for part in parts]
    logs = np.log(without)
    count = len(logs)
    error = math.sqrt((count - 1) / count * float(((logs - logs.mean()) ** 2).sum()))
    return sites * math.exp(-_Z95 * error), sites * math.exp(_Z95 * error)


def _covered(cells: npt.NDArray[np.float64]) -> float:
    inside = body_grid().inside
    if not cells.any():
        return 0.0
    distance = ndimage.distance_transform_edt(cells.reshape(inside.shape) == 0, sampling=SPACING_MM)
    return float((distance[inside] <= COVERED_MM).mean())


def rarefied_sites(cases: Sequence[CaseSites], lesions: int, seed: int = 1, repeats: int = 20) -> float:
    """Mean effective number of sites of ``lesions`` drawn at random: the same for sets of any size.

    Equal arguments give equal results. Raises ValueError where the set has fewer lesions, or for less than one.
    """
    singles = [
        CaseSites(case.name, case.man, case.frame, (lesion,))
        for case in sorted(cases, key=_name)
        for lesion in case.lesions
    ]
    if not 1 <= lesions <= len(singles):
        raise ValueError(f"{lesions} lesions cannot be drawn out of {len(singles)}.")
    matrix, rng = site_matrix(singles), np.random.default_rng(seed)
    found = []
    for _ in range(repeats if lesions < len(singles) else 1):
        drawn = np.zeros(len(singles))
        drawn[rng.choice(len(singles), lesions, replace=False)] = 1.0
        found.append(effective_sites(drawn @ matrix))
    return float(np.mean(found))


def _name(case: CaseSites) -> str:
    return case.name


def diversity_and_dice(
    diversities: Sequence[float], dices: Sequence[float], sizes: Sequence[float] | None = None, seed: int = 1
) -> Relation:
    """How the diversity of training subsets goes along with the Dice that networks trained on them reach.

    ``sizes`` are the numbers of cases of the subsets: larger sets are more diverse too. The interval is that of Bonett
    and Wright (Psychometrika 2000;65:23). Raises ValueError for fewer than four subsets, lists of different length,
    values that are not finite, and for values that are all the same.
    """
    lists = [list(diversities), list(dices), *([] if sizes is None else [list(sizes)])]
    if len({len(values) for values in lists}) != 1 or len(lists[0]) < _FEWEST_SUBSETS:
        raise ValueError(
            f"Diversity and Dice of the same {_FEWEST_SUBSETS} subsets or more are needed, not "
            f"{' and '.join(str(len(values)) for values in lists)} values."
        )
    ranks = [stats.rankdata(values) for values in lists]
    if not all(np.isfinite(values).all() for values in lists):
        raise ValueError("Diversity, Dice and size of each subset must be finite numbers.")
    if any(np.ptp(rank) == 0 for rank in ranks[:2]):
        raise ValueError("Diversity or Dice is the same in all subsets: there is no relation to look for.")
    rho, count = _correlation(ranks[0], ranks[1]), len(ranks[0])
    error = math.sqrt((1.0 + 0.5 * rho**2) / (count - 3))
    middle = math.atanh(min(max(rho, -1.0 + 1e-12), 1.0 - 1e-12))
    interval = (math.tanh(middle - _Z95 * error), math.tanh(middle + _Z95 * error))
    test = stats.permutation_test(
        (ranks[0],),
        lambda shuffled: _correlation(shuffled, ranks[1]),
        permutation_type="pairings",
        n_resamples=9999,
        random_state=np.random.default_rng(seed),
    )
    return Relation(count, rho, interval, float(test.pvalue), _given(ranks) if sizes is not None else None)


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def _given(ranks: Sequence[npt.NDArray[np.float64]]) -> float | None:
    """Partial correlation of the first two of three lists of ranks."""
    if np.ptp(ranks[2]) == 0:
        return None
    both, first, second = (_correlation(ranks[a], ranks[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    left = (1.0 - first**2) * (1.0 - second**2)
    return None if left < 1e-12 else (both - first * second) / math.sqrt(left)
