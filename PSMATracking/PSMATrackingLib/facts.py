"""What is known about a lesion beside its mask, and which lesions cannot be the same one because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .lesions import Lesion
from .points import BoolArray

BONE = "bone"
TISSUES = (BONE, "node", "visceral", "prostate bed")
SIDES = ("left", "right")


@dataclass(frozen=True)
class LesionFacts:
    """What is known about one lesion; "" and None stand for unknown.

    ``tissue`` is one of ``TISSUES``, ``site`` a name in plain words ("liver", "vertebra L3"), ``side`` one of
    ``SIDES``, ``suv_peak`` the SUVpeak of its own study.
    """

    tissue: str = ""
    site: str = ""
    side: str = ""
    suv_peak: float | None = None

    def __post_init__(self) -> None:
        if self.tissue not in ("", *TISSUES):
            raise ValueError(f"'{self.tissue}' is no tissue of a lesion; use one of {', '.join(TISSUES)}, or ''")
        if self.side not in ("", *SIDES):
            raise ValueError(f"'{self.side}' is no side of the body; use left, right, or ''")
        if self.suv_peak is not None and not np.isfinite(self.suv_peak):
            raise ValueError(f"the SUVpeak of a lesion is {self.suv_peak}; give a number, or None where it is unknown")


def facts_from_region(region: str, site: str = "", suv_peak: float | None = None) -> LesionFacts:
    """Facts from a region as lesions are counted in ("pelvic node", "bone", ...) and a site such as "left lung".

    Any region that ends with one of ``TISSUES`` is of that tissue, others are unknown; the side is read from the site.
    """
    tissue = next((tissue for tissue in TISSUES if region.endswith(tissue)), "")
    sides = [side for side in SIDES if side in site.lower().split()]
    return LesionFacts(tissue, site, sides[0] if len(sides) == 1 else "", suv_peak)


class FactTable:
    """The facts of the lesions of two studies, to be compared pair by pair; unknown agrees with everything."""

    def __init__(
        self,
        baseline: Sequence[Lesion],
        followup: Sequence[Lesion],
        baseline_facts: Mapping[int, LesionFacts],
        followup_facts: Mapping[int, LesionFacts],
    ) -> None:
        first = [baseline_facts.get(lesion.number, LesionFacts()) for lesion in baseline]
        second = [followup_facts.get(lesion.number, LesionFacts()) for lesion in followup]
        self.other_tissue = _differ([one.tissue for one in first], [one.tissue for one in second])
        self.other_side = _differ([one.side for one in first], [one.side for one in second])
        self.other_site = _differ([one.site for one in first], [one.site for one in second]) | self.other_tissue
        """Boolean arrays of shape (baseline lesions, follow-up lesions): both are known, and not the same."""
        bone = (np.array([one.tissue == BONE for one in facts], dtype=bool) for facts in (first, second))
        self._one_in_bone = np.logical_xor.outer(*bone)

    @property
    def incompatible(self) -> BoolArray:
        """Pairs of bone with soft tissue, or on different sides of the body.

        Soft tissues are told from each other less surely: whether a lesion is in a node or the organ beside it may be
        proposed differently at every study.
        """
        either: BoolArray = (self.other_tissue & self._one_in_bone) | self.other_side
        return either


def _differ(first: Sequence[str], second: Sequence[str]) -> BoolArray:
    a, b = np.array(first, dtype=str)[:, None], np.array(second, dtype=str)[None]
    different: BoolArray = (a != b) & (a != "") & (b != "")
    return different
