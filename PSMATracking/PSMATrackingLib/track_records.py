"""Lesions of several studies joined into tracks, one for each lesion that is followed.

What a status says about a track at one study, always against the latest earlier study in which its place was imaged:

baseline
    The lesion is in the first study that could show it: study 0, or a later one when no earlier study imaged its place.
persistent
    The lesion goes on. This includes the largest part of a split and the result of a merge, which keep their track.
new
    A lesion where earlier studies, which imaged the place, had none.
gone
    No lesion any more, although the place was imaged. Repeated at every later study until it reappears.
merged
    The lesion is now part of another one, which carries on the other's track; this track ends here. Only where a SPECT
    shows lesions as one that PET tells apart it does not end, and goes on at the next PET.
split
    The first lesion of a track that broke off from another; ``parents`` names that one.
reappeared
    The lesion is back after at least one study in which it was gone.
complex
    Part of a group of several lesions that turned into several others, so that which one goes on as which is a guess.
not imaged
    No lesion is known because the study did not image the place. Also set before a track's first lesion.
below detection
    No lesion is known because the study, a SPECT, could not have shown it. Also set before a track's first lesion.

A study at which a track has no status lies before its first lesion or after its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STATUSES = (
    "baseline", "persistent", "new", "gone", "merged", "split", "reappeared", "not imaged", "complex",
    "below detection",
)  # fmt: skip
UNSEEN = ("not imaged", "below detection")  # the study says nothing about the lesion


@dataclass(frozen=True)
class Track:
    """One lesion followed through the studies.

    Attributes
    ----------
    number : int
        From 1, in the order of first appearance: by study, then by lesion number.
    lesions : dict of int to int
        Study index to lesion number; at most one lesion per study.
    status : dict of int to str
        Study index to one of ``STATUSES``.
    parents : list of int
        Tracks that it split from or that merged into it, in ascending order.
    parents_since : dict of int to int
        For each parent the study index from which on it is one: a track that merges into this one at study 3 says
        nothing about whether this one was new at study 2.
    """

    number: int
    lesions: dict[int, int]
    status: dict[int, str]
    parents: list[int]
    parents_since: dict[int, int] = field(default_factory=dict)
