"""Which studies make up a training subset: lesions at the most places, at the fewest, or at those of random men."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PSMASegmentLib.evaluation.diversity import effective_sites
from PSMASegmentLib.evaluation.occurrence_map import CaseSites, site_matrix

KINDS = ("most", "least", "random")
"""Subsets are chosen so in turn; the first two for their diversity."""
EXCHANGES = 1000
"""How many are tried for a subset."""
_SEED = 7_000_000
_PART = 2 / 3  # of the pool that a subset is chosen out of
_DRAWS = 1000
_NEAR_LESIONS, _NEAR_VOLUME = 0.05, 0.25  # shares by which subsets differ from the median of random draws


@dataclass(frozen=True, eq=False)
class PoolLesions:
    """The lesions of the studies of the pool, of which ``cells`` (study, cell) says where they lie."""

    names: tuple[str, ...]
    lesions: np.ndarray
    volume_ml: np.ndarray
    cells: Any = field(repr=False)

    def sites(self, chosen: Sequence[int]) -> float:
        """Effective number of sites of some studies, each lesion counted alike."""
        return effective_sites(np.asarray(self.cells[list(chosen)].sum(axis=0)).ravel())


@dataclass(frozen=True)
class Balance:
    """How many lesions (and mL of them) a subset is to have."""

    lesions: float
    volume_ml: float

    def away(self, pool: PoolLesions, chosen: Sequence[int]) -> float:
        """How far a subset is from it, in units of what is near: 1 or less is near enough."""
        lesions, volume = pool.lesions[list(chosen)].sum(), pool.volume_ml[list(chosen)].sum()
        return max(
            1.0,
            float(abs(np.log(lesions / self.lesions)) / np.log1p(_NEAR_LESIONS)),
            float(abs(np.log(volume / self.volume_ml)) / np.log1p(_NEAR_VOLUME)),
        )


def pool_lesions(cases: Sequence[CaseSites]) -> PoolLesions:
    """The lesions of studies, to choose by."""
    return PoolLesions(
        tuple(case.name for case in cases),
        np.asarray([len(case.lesions) for case in cases]),
        np.asarray([sum(lesion.volume_ml for lesion in case.lesions) for case in cases]),
        site_matrix(cases),
    )


def choose_subsets(
    pool: PoolLesions, count: int, size: int, seed: int, exchanges: int = EXCHANGES
) -> dict[str, tuple[str, list[int]]]:
    """So many different subsets by name: how each was chosen (``KINDS``), and which studies are in it.

    Equal arguments give equal subsets. Raises ValueError where the pool has not so many.
    """
    rng = np.random.default_rng([_SEED, seed])
    draws = [rng.choice(len(pool.names), size, replace=False) for _ in range(_DRAWS)]
    balance = Balance(
        float(np.median([pool.lesions[draw].sum() for draw in draws])),
        float(np.median([pool.volume_ml[draw].sum() for draw in draws])),
    )
    subsets: dict[str, tuple[str, list[int]]] = {}
    taken: set[frozenset[int]] = set()
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        part = rng.permutation(len(pool.names))[: max(size + 1, round(_PART * len(pool.names)))].tolist()
        chosen = _drawn(pool, part, size, balance, taken, rng)
        if kind != "random":
            others = [_exchange(part, size, rng) for _ in range(exchanges)]
            chosen = _climbed(pool, chosen, others, 1.0 if kind == "most" else -1.0, balance, taken)
        taken.add(frozenset(chosen))
        subsets[f"synthetic-{number + 1:02d}-{kind}"] = kind, sorted(chosen)
    return subsets


def _drawn(
    pool: PoolLesions,
    part: Sequence[int],
    size: int,
    balance: Balance,
    taken: set[frozenset[int]],
    rng: np.random.Generator,
) -> list[int]:
    """A random subset of a part of the pool: the first of many draws that is near enough to the balance, or nearest."""
    draws = [rng.choice(part, size, replace=False).tolist() for _ in range(_DRAWS)]
    draws = [draw for draw in draws if frozenset(draw) not in taken]
    if not draws:
        raise ValueError("The pool is too small for so many different subsets: raise --pool.")
    return min(draws, key=lambda draw: balance.away(pool, draw))


def _exchange(part: Sequence[int], size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Which place of a subset another study is to take."""
    return int(rng.integers(size)), int(rng.choice(part))


def _climbed(
    pool: PoolLesions,
    chosen: list[int],
    exchanges: Sequence[tuple[int, int]],
    sign: float,
    balance: Balance,
    taken: set[frozenset[int]],
) -> list[int]:
    """The subset after those of the exchanges that make it more diverse (``sign`` 1) or less (-1)."""
    sites = sign * pool.sites(chosen)
    for place, study in exchanges:
        other = [*chosen[:place], study, *chosen[place + 1 :]]
        known = study in chosen or frozenset(other) in taken
        if known or balance.away(pool, other) > balance.away(pool, chosen):
            continue
        found = sign * pool.sites(other)
        if found > sites:
            chosen, sites = other, found
    return chosen
