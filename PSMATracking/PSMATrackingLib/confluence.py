"""Diffuse disease, as in marrow that is full of it, where lesions cannot be told apart and are read as one group."""

from __future__ import annotations

from collections.abc import Sequence

from .links import Link, group_links

CONFLUENT_LESIONS = 6


def confluent_groups(links: Sequence[Link]) -> list[tuple[list[int], list[int]]]:
    """Groups of linked lesions that run into each other so much that single links are guesses.

    A group is confluent when at least ``CONFLUENT_LESIONS`` lesions of either study are in it: many became many others,
    one fell apart into many, or many ran together. The number is a choice of this project: with fewer, a reader can
    still follow which is which.

    Parameters
    ----------
    links : sequence of Link

    Returns
    -------
    list of (baseline lesions, follow-up lesions), each in ascending order, the groups by their first baseline lesion.
    """
    groups = []
    for members in group_links(links):
        baseline = sorted({link.baseline for link in members})
        followup = sorted({link.followup for link in members})
        if max(len(baseline), len(followup)) >= CONFLUENT_LESIONS:
            groups.append((baseline, followup))
    return sorted(groups)
