"""Whether scans of different scanners or sites lie apart among their embeddings: a domain shift that a network sees.

Embeddings are standardized, and their first principal components are what everything here works on, so that channels
that say the same do not count many times. Two figures tell how far groups lie apart: the mean silhouette (J Comput Appl
Math 1987;20:53; 1 apart, 0 mixed) and the area under the ROC curve of a linear discriminant, cross-validated by man and
averaged over pairs of groups (0.5 mixed, 1 apart). Their p is of permutations of the groups. A shift can be of the men
as well as of the scanner: other tracers, stages of disease or sizes look like one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.spatial.distance import cdist

Values = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

COMPONENTS = 10
"""Principal components that are looked at, fewer for few scans (a choice of this project)."""
_FOLDS = 5
_SHRINKAGE = 0.1  # of the covariance toward its diagonal: few scans do not tell correlations well


@dataclass(frozen=True, eq=False)
class ScanMap:
    """Scans on their first two principal components, and the share of the variance that each of these explains.

    ``points`` is (n, 2), ``components`` (n, k) all that are looked at.
    """

    points: Values
    explained: tuple[float, float]
    components: Values


@dataclass(frozen=True)
class Separation:
    """How far groups of scans lie apart; p of permutations for each figure.

    ``pairs`` holds the AUC of each two groups. ``permuted`` says whether men or scans were permuted.
    """

    groups: dict[str, int]
    men: int
    silhouette: float
    silhouette_p: float
    auc: float
    auc_p: float
    pairs: dict[tuple[str, str], float]
    permuted: str


def scan_map(embeddings: npt.ArrayLike) -> ScanMap:
    """Principal components of embeddings (n, d).

    Raises ValueError for fewer than three scans, values that are not finite, and embeddings that are all the same.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2 or len(values) < 3:
        raise ValueError(f"Embeddings of three scans or more are needed, not of shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("Embeddings hold values that are not finite: the images are not what the network expects.")
    spread = values.std(axis=0)
    varying = spread > 1e-12 * max(1.0, float(np.abs(values).max()))
    if not varying.any():
        raise ValueError("All scans have the same embedding: the network does not tell them apart.")
    standard = (values[:, varying] - values[:, varying].mean(axis=0)) / spread[varying]
    left, strengths, right = np.linalg.svd(standard, full_matrices=False)
    # The sign of a component is arbitrary: its largest weight is positive, so that the same scans give the same map.
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    count = min(COMPONENTS, len(values) - 2, int((strengths > 1e-9 * strengths[0]).sum()))
    components = left * strengths * signs
    shares = strengths**2 / (strengths**2).sum()
    points = np.zeros((len(values), 2))
    points[:, : min(2, count)] = components[:, : min(2, count)]
    return ScanMap(points, (float(shares[0]), float(shares[1]) if len(shares) > 1 else 0.0), components[:, :count])


def separation(
    scans: ScanMap, groups: Sequence[str], men: Sequence[str], seed: int = 1, permutations: int = 999
) -> Separation:
    """How far the groups of scans lie apart. Equal arguments give equal results.

    ``men`` keeps scans of one man together, in cross-validation, and in permutations where each man belongs to one
    group alone; else scans are permuted. Raises ValueError for fewer than two groups, for a group with scans of fewer
    than two men, and for lists of other lengths.
    """
    if not len(groups) == len(men) == len(scans.components):
        raise ValueError(f"There are {len(scans.components)} scans, but {len(groups)} groups and {len(men)} men.")
    names, people = sorted(set(groups)), sorted(set(men))
    codes = np.asarray([names.index(group) for group in groups])
    man = np.asarray([people.index(one) for one in men])
    if len(names) < 2:
        raise ValueError(f"All scans are of the group {names[0]!r}; at least two groups are needed to compare.")
    for number, name in enumerate(names):
        if len(np.unique(man[codes == number])) < 2:
            raise ValueError(f"The group {name!r} has scans of one man alone; at least two men are needed.")
    rng = np.random.default_rng(seed)
    distances = cdist(scans.components, scans.components)
    by_man = all(len(np.unique(codes[man == one])) == 1 for one in np.unique(man))
    pairs = _pair_aucs(scans.components, codes, man, np.random.default_rng(seed))
    figures = silhouette(distances, codes), float(np.mean(list(pairs.values())))
    higher = np.zeros(2)
    for _ in range(permutations):
        shuffled = _permuted(codes, man, by_man, rng)
        aucs = _pair_aucs(scans.components, shuffled, man, rng)
        higher += [silhouette(distances, shuffled) >= figures[0], float(np.mean(list(aucs.values()))) >= figures[1]]
    p = (1.0 + higher) / (1.0 + permutations)
    return Separation(
        groups={name: int((codes == number).sum()) for number, name in enumerate(names)},
        men=len(people),
        silhouette=figures[0],
        silhouette_p=float(p[0]),
        auc=figures[1],
        auc_p=float(p[1]),
        pairs={(names[a], names[b]): value for (a, b), value in pairs.items()},
        permuted="men" if by_man else "scans",
    )


def silhouette(distances: Values, codes: Codes) -> float:
    """Mean silhouette of groups 0, 1, ... from distances (n, n); that of the only one of a group is 0."""
    member = np.eye(int(codes.max()) + 1)[codes]
    sizes, sums = member.sum(axis=0), distances @ member
    own = sizes[codes]
    within = sums[np.arange(len(codes)), codes] / np.maximum(own - 1.0, 1.0)
    means = sums / sizes
    means[np.arange(len(codes)), codes] = np.inf
    between = means.min(axis=1)
    widest = np.maximum(within, between)
    values = np.where((own > 1) & (widest > 0), (between - within) / np.where(widest > 0, widest, 1.0), 0.0)
    return float(values.mean())


def _permuted(codes: Codes, man: Codes, by_man: bool, rng: np.random.Generator) -> Codes:
    """The groups dealt out anew, to whole men or to scans; again where a group would be left with one man."""
    firsts = np.unique(man, return_index=True)[1]
    while True:
        shuffled = rng.permutation(codes[firsts])[man] if by_man else rng.permutation(codes)
        if all(len(np.unique(man[shuffled == number])) > 1 for number in range(int(codes.max()) + 1)):
            return shuffled


def _pair_aucs(values: Values, codes: Codes, man: Codes, rng: np.random.Generator) -> dict[tuple[int, int], float]:
    """Cross-validated AUC of each two groups."""
    aucs = {}
    for first, second in itertools.combinations(range(int(codes.max()) + 1), 2):
        own = (codes == first) | (codes == second)
        aucs[first, second] = _auc(values[own], codes[own] == second, man[own], rng)
    return aucs


def _auc(values: Values, is_second: npt.NDArray[np.bool_], man: Codes, rng: np.random.Generator) -> float:
    """Mean AUC over folds of a linear discriminant between two groups; men stay together."""
    folds = _folds(is_second, man, rng)
    found = []
    for fold in range(int(folds.max()) + 1):
        tested = folds == fold
        train, truth = values[~tested], is_second[~tested]
        if len(np.unique(is_second[tested])) < 2 or len(np.unique(truth)) < 2:
            continue  # a man with scans of both groups can leave a fold without one of them
        scores = values[tested] @ _discriminant(train, truth)
        ranks = stats.rankdata(scores)
        ours = is_second[tested]
        count = int(ours.sum())
        found.append((ranks[ours].sum() - 0.5 * count * (count + 1)) / (count * (len(ours) - count)))
    return float(np.mean(found)) if found else 0.5


def _folds(is_second: npt.NDArray[np.bool_], man: Codes, rng: np.random.Generator) -> Codes:
    """Number of the fold of each scan: the men of each group are dealt out evenly, at random."""
    owners = [np.unique(man[is_second == side]) for side in (False, True)]
    count = min(_FOLDS, *(len(some) for some in owners))
    fold_of: dict[int, int] = {}
    for some in owners:
        for place, one in enumerate(rng.permutation(some)):
            fold_of.setdefault(int(one), place % count)
    return np.asarray([fold_of[int(one)] for one in man], dtype=np.int64)


def _discriminant(values: Values, is_second: npt.NDArray[np.bool_]) -> Values:
    """Direction of Fisher's discriminant with a shrunk covariance."""
    middles = [values[is_second == side].mean(axis=0) for side in (False, True)]
    rest = values - np.where(is_second[:, None], middles[1], middles[0])
    covariance = rest.T @ rest / max(len(values) - 2, 1)
    variances = np.diag(np.diag(covariance))
    shrunk = (1.0 - _SHRINKAGE) * covariance + _SHRINKAGE * variances
    shrunk += 1e-9 * max(float(np.trace(shrunk)), 1e-12) * np.eye(len(shrunk))
    direction: Values = np.linalg.solve(shrunk, middles[1] - middles[0])
    return direction
