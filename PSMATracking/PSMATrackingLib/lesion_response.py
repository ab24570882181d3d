"""What became of each lesion from one study to a later one: ratios of its measures, and a class.

A class says what the lesion did against the earlier of the two studies, whatever happened between them:

new
    A lesion where the earlier study, which imaged the place, had none. Also one that is back after it was gone there.
increasing, stable, decreasing
    The measure that decides lies above, within or below the limits of repeatability.
resolved
    No lesion any more, although the place was imaged.
merged
    Part of a lesion that carries on another track, or of one that several became; it is counted there.
split
    A part of a lesion that broke up; it is counted with the part that carries on the track.
too small
    There on both studies with so little volume that a ratio says nothing.
not imaged
    One of the two studies did not image the place.
uncertain
    The link is doubtful and nobody confirmed it, several lesions became several others, only a part of the lesions that
    belong together was imaged, one of the studies could not have shown the lesion, or the measure that decides is 0.

Lesions that merge or split between the two studies are one group: volume and TL-PSMA are compared as sums, SUVmax and
SUVpeak as the highest, SUVmean as the sum of TL-PSMA over that of the volume. One track stands for the group. Measures
are those taken on each study in its own space; nothing is compared on images that were warped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .links import Link
from .repeatability import DEFAULT_LIMITS, METRIC_NAMES, METRICS, Limits
from .response_groups import Group, find_groups
from .track_records import UNSEEN, Track

CLASSES = (
    "new",
    "increasing",
    "stable",
    "decreasing",
    "resolved",
    "merged",
    "split",
    "too small",
    "not imaged",
    "uncertain",
)
NOT_THERE = "not there on the earlier scan"  # the whole reason of a plain new lesion
_BY_SIDE = {-1: "decreasing", 0: "stable", 1: "increasing"}


class LesionMeasures(Protocol):
    """What is needed of the measures of one lesion: mL, SUV, and SUV x mL."""

    @property
    def volume_ml(self) -> float: ...
    @property
    def suv_max(self) -> float: ...
    @property
    def suv_peak(self) -> float: ...
    @property
    def suv_mean(self) -> float: ...
    @property
    def tl_psma(self) -> float: ...


@dataclass(frozen=True)
class Burden:
    """The lesions of a group on one study, taken as one. ``lesions`` are their numbers, ascending."""

    lesions: tuple[int, ...]
    volume_ml: float
    suv_max: float
    suv_peak: float
    suv_mean: float
    tl_psma: float

    def measure(self, metric: str) -> float:
        """The measure of that name in ``METRICS``."""
        found: float = self.volume_ml if metric == "volume" else getattr(self, metric)
        return found


@dataclass(frozen=True)
class LesionChange:
    """What became of one track from one study to a later one.

    Attributes
    ----------
    track : int
        Its number.
    group : tuple of int
        The tracks that it is compared together with, itself included, ascending.
    standing : int
        The track of the group that counts as a lesion for all of them.
    class_ : str
        One of ``CLASSES``.
    before, after : Burden or None
        The lesions of the group on both studies; None where there is none.
    ratios : dict of str to (float or None)
        For each of ``METRICS`` after divided by before; 0 for a resolved lesion, None where there is nothing to divide.
    beyond : dict of str to int
        -1, 0 or 1 for each ratio that is known: below, within or above its limits.
    reason : str
        Why it is of this class, in a few words.
    confidence : float or None
        The least of the links that the comparison rests on; None where it rests on none.
    """

    track: int
    group: tuple[int, ...]
    standing: int
    class_: str
    before: Burden | None
    after: Burden | None
    ratios: dict[str, float | None]
    beyond: dict[str, int]
    reason: str
    confidence: float | None = None

    @property
    def counted(self) -> bool:
        """Whether it counts as a lesion: of the tracks of a group only one does."""
        return self.track == self.standing


def lesion_changes(
    tracks: Sequence[Track],
    links: Mapping[tuple[int, int], Sequence[Link]],
    measures: Mapping[tuple[int, int], LesionMeasures],
    baseline: int,
    followup: int,
    limits: Limits = DEFAULT_LIMITS,
) -> list[LesionChange]:
    """Compare every track between two studies.

    Parameters
    ----------
    tracks : sequence of Track
        All tracks of the patient, by study index.
    links : mapping of (int, int) to sequence of Link
        The links that stand, by the indices of the earlier and the later study. One that a reader confirmed or drew has
        a confidence of 1.
    measures : mapping of (int, int) to LesionMeasures
        By study index and lesion number, of the lesions that count: one that is not here counts as not being there.
    baseline, followup : int
        Indices of the two studies, the earlier first.
    limits : Limits

    Returns
    -------
    list of LesionChange by ascending track, of the tracks that have a lesion on one of the two studies.

    Raises
    ------
    ValueError
        When the studies are not in this order.
    """
    if not 0 <= baseline < followup:
        raise ValueError(
            f"study {followup} cannot be compared with study {baseline}; the earlier study comes first, and they differ"
        )
    pair = _Pair(links, measures, baseline, followup, limits)
    found = [
        change for group in find_groups(tracks, set(measures), baseline, followup) for change in pair.compare(group)
    ]
    return sorted(found, key=lambda change: change.track)


@dataclass(frozen=True)
class _Pair:
    """The comparison of two studies."""

    links: Mapping[tuple[int, int], Sequence[Link]]
    measures: Mapping[tuple[int, int], LesionMeasures]
    baseline: int
    followup: int
    limits: Limits

    def compare(self, group: Group) -> list[LesionChange]:
        """The changes of all tracks of a group."""
        before = self._burden(self.baseline, group.lesions_at(self.baseline))
        after = self._burden(self.followup, group.lesions_at(self.followup))
        class_, reason = self._absent(group, before, after)
        # Where nothing is known of a scan, nothing is said of it: no ratio, and above all none of 0.
        ratios = {name: None if class_ not in ("", "resolved") else _ratio(before, after, name) for name in METRICS}
        beyond = {name: self.limits.of(name).beyond(ratio) for name, ratio in ratios.items() if ratio is not None}
        confidence = None if before is None or after is None else group.confidence(self.links)
        if before is not None and after is not None and not class_:
            class_, reason = self._present(before, after, ratios, confidence)
        standing = group.standing
        change = LesionChange(
            standing, group.numbers, standing, class_, before, after, ratios, beyond, reason, confidence
        )
        return [change, *self._others(group, change)]

    def _burden(self, study: int, lesions: Iterable[int]) -> Burden | None:
        numbers = tuple(sorted(lesions))
        found = [self.measures[study, number] for number in numbers]
        if not found:
            return None
        volume, total = sum(one.volume_ml for one in found), sum(one.tl_psma for one in found)
        return Burden(
            lesions=numbers,
            volume_ml=volume,
            suv_max=max(one.suv_max for one in found),
            suv_peak=max(one.suv_peak for one in found),
            suv_mean=found[0].suv_mean if len(found) == 1 or volume == 0 else total / volume,
            tl_psma=total,
        )

    def _absent(self, group: Group, before: Burden | None, after: Burden | None) -> tuple[str, str]:
        """Class and reason where there is nothing to compare; ("", "") where there is."""
        unseen = [_why_unseen(group.status_at(study)) for study in (self.baseline, self.followup)]
        if before is None:
            if unseen[0]:
                return _unseen(unseen[0], "earlier")
            back = "gone" in group.status_at(self.baseline)
            return "new", f"back, but {NOT_THERE}" if back else NOT_THERE
        if after is None:
            return _unseen(unseen[1], "later") if unseen[1] else self._no_more(group, before)
        if any(unseen):
            return "uncertain", "only a part of the lesions that belong together was imaged on both scans"
        return "", ""

    def _no_more(self, group: Group, before: Burden) -> tuple[str, str]:
        stated = group.status_at(self.followup)
        if "gone" not in stated:
            told = ", ".join(sorted(stated)) or "rejected, or not followed"
            return "uncertain", f"no lesion on the later scan, and not known to be gone ({told})"
        if before.volume_ml < self.limits.smallest_ml:
            return "resolved", f"no longer found; it had {before.volume_ml:.2g} mL"
        return "resolved", "no longer found"

    def _present(
        self, before: Burden, after: Burden, ratios: Mapping[str, float | None], confidence: float | None
    ) -> tuple[str, str]:
        """Class and reason of a group with lesions on both studies."""
        limits = self.limits
        name, ratio = METRIC_NAMES[limits.metric], ratios[limits.metric]
        if max(before.volume_ml, after.volume_ml) < limits.smallest_ml:
            return "too small", f"below {limits.smallest_ml:g} mL on both scans"
        if ratio is None:
            return "uncertain", f"{name} of the earlier scan is 0"
        side = limits.deciding.beyond(ratio)
        where = {-1: "below", 0: "within", 1: "above"}[side]
        reason = f"{name} x {ratio:.2f}, {where} {limits.deciding.text}"
        if confidence is not None and confidence < limits.lowest_confidence:
            return "uncertain", f"{reason}, but the link has a confidence of {confidence:.2f}"
        return _BY_SIDE[side], reason

    def _others(self, group: Group, change: LesionChange) -> list[LesionChange]:
        """The tracks of a group that another one stands for."""
        others = []
        for track in group.members:
            if track.number in group.numbers and track.number != group.standing:
                class_, reason = self._part(track, change)
                others.append(replace(change, track=track.number, class_=class_, reason=reason))
        return others

    def _part(self, track: Track, change: LesionChange) -> tuple[str, str]:
        """Class and reason of a track that another one stands for."""
        before, after = (
            (study, track.lesions.get(study, -1)) in self.measures for study in (self.baseline, self.followup)
        )
        status = track.status.get(self.followup, "")
        if before and after:
            return "uncertain", "one of several lesions that became several others"
        if after:
            return "split", "a part of a lesion that broke up"
        if status in UNSEEN:
            return _unseen(status, "later")
        if status == "gone":
            return (
                ("resolved", "no longer found") if change.after is None else ("split", "gone, but a part of it goes on")
            )
        return "merged", "went into another lesion"


def _why_unseen(statuses: set[str]) -> str:
    return next((status for status in UNSEEN if status in statuses), "")


def _unseen(status: str, which: str) -> tuple[str, str]:
    """Class and reason of a lesion about which one of the two scans says nothing."""
    if status == "not imaged":
        return "not imaged", f"its place was not imaged on the {which} scan"
    return "uncertain", f"too small or too faint to be seen on the {which} scan"


def _ratio(before: Burden | None, after: Burden | None, metric: str) -> float | None:
    if before is None or before.measure(metric) <= 0:
        return None
    return 0.0 if after is None else after.measure(metric) / before.measure(metric)
