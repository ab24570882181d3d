"""What the matching of two studies found, and a physician's decisions put over it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from .confluence import confluent_groups
from .links import Link, classify

Pair = tuple[int, int]
DRAWN_REASON = "drawn by a reader"


@dataclass(frozen=True)
class Matching:
    """Links between two studies, and the lesions without one, all by lesion number in ascending order.

    ``gone`` and ``new`` lesions lie where the other study was imaged and would have shown them. ``not_imaged_baseline``
    are baseline lesions outside the field of view of the follow-up study, ``not_imaged_followup`` follow-up lesions
    outside that of the baseline study: nothing can be said about them. The same goes for ``below_detection``, baseline
    lesions too small or too faint to be seen on the follow-up SPECT, and ``below_detection_before``, follow-up
    lesions that the baseline SPECT would not have shown. ``confluent`` are groups of linked lesions (baseline,
    follow-up) in diffuse disease, where it is a guess which lesion goes on as which: each is to be read as one.
    """

    links: list[Link]
    gone: list[int]
    new: list[int]
    not_imaged_baseline: list[int]
    not_imaged_followup: list[int]
    below_detection: list[int] = field(default_factory=list)
    below_detection_before: list[int] = field(default_factory=list)
    confluent: list[tuple[list[int], list[int]]] = field(default_factory=list)


def decided(
    matching: Matching,
    accepted: Collection[Pair],
    rejected: Collection[Pair],
    drawn: Collection[Pair],
    baseline_ml: Mapping[int, float],
    followup_ml: Mapping[int, float],
) -> Matching:
    """Put decisions over the proposals of a matching; kinds, primary marks and confluent groups are set anew.

    Rejected links are taken away: a lesion that has no other link is gone or new then. Accepted links and drawn ones
    hold whether they are proposed or not; one that is not proposed has confidence 1, and gap and overlap, which nobody
    measured, stand at 0. The result does not depend on the order of the decisions, and applying them again changes
    nothing.

    Parameters
    ----------
    matching : Matching
        As proposed.
    accepted, rejected, drawn : collections of (baseline lesion, follow-up lesion)
    baseline_ml, followup_ml : mapping of int to float
        Volume in mL of every lesion of the two studies, by lesion number.

    Raises
    ------
    ValueError
        When a pair is both rejected and accepted or drawn, or a decision names a lesion that a study does not have.
    """
    kept, dropped = {*accepted, *drawn}, set(rejected)
    if kept & dropped:
        first, second = min(kept & dropped)
        raise ValueError(f"the link of lesions {first} and {second} is both accepted and rejected; decide on one")
    for side, numbers, known in (
        ("baseline", {pair[0] for pair in kept | dropped}, baseline_ml),
        ("follow-up", {pair[1] for pair in kept | dropped}, followup_ml),
    ):
        unknown = sorted(numbers - set(known))
        if unknown:
            raise ValueError(f"a decision names {side} lesion {unknown[0]}, which the study does not have")
    proposed = {(link.baseline, link.followup): link for link in matching.links}
    by_hand = {pair: Link(*pair, "", 0.0, 0.0, 1.0, DRAWN_REASON, False) for pair in kept - set(proposed)}
    links = classify([link for pair, link in {**proposed, **by_hand}.items() if pair not in dropped],
                     baseline_ml, followup_ml)  # fmt: skip
    linked = ({link.baseline for link in links}, {link.followup for link in links})
    freed = ({pair[0] for pair in proposed} - linked[0], {pair[1] for pair in proposed} - linked[1])
    return replace(
        matching,
        links=links,
        gone=sorted({*matching.gone, *freed[0]} - linked[0]),
        new=sorted({*matching.new, *freed[1]} - linked[1]),
        not_imaged_baseline=_without(matching.not_imaged_baseline, linked[0]),
        not_imaged_followup=_without(matching.not_imaged_followup, linked[1]),
        below_detection=_without(matching.below_detection, linked[0]),
        below_detection_before=_without(matching.below_detection_before, linked[1]),
        confluent=confluent_groups(links),
    )


def _without(lesions: list[int], linked: set[int]) -> list[int]:
    return [lesion for lesion in lesions if lesion not in linked]
