"""Regions of the body in which lesions are counted, and what is proposed for one lesion."""

from __future__ import annotations

from dataclasses import dataclass

PROSTATE_BED, PELVIC_NODE, DISTANT_NODE, BONE, VISCERAL = (
    "prostate bed",
    "pelvic node",
    "distant node",
    "bone",
    "visceral",
)
REGIONS = (PROSTATE_BED, PELVIC_NODE, DISTANT_NODE, BONE, VISCERAL)


@dataclass(frozen=True)
class Region:
    """Where a lesion is: one of ``REGIONS`` or "" for unknown. ``site`` says more, such as "liver" or "pelvis".

    ``reason`` says what the proposal rests on; "" for what a reader chose.
    """

    name: str
    site: str = ""
    reason: str = ""
