"""Which lesion of a follow-up study is which lesion of the baseline study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np
import SimpleITK as sitk

from .assignment import assign
from .candidates import Candidates, CandidateSearch
from .confidence import rate_links
from .fragments import FragmentRule, link_fragments
from .lesions import Lesion, extract_lesions
from .links import Link, classify
from .local_shift import MAX_SHIFT_MM, LocalError, estimate_error
from .points import BoolArray, FloatArray, is_imaged, map_points, map_points_back
from .progress import Progress, silent

__all__ = ["Link", "Matching", "MatchingSettings", "classify", "match_lesions", "settings_for"]

GATE_IN_SPREADS = 2.0  # a pair may lie two expected errors apart
VOTER_VOLUME_RATIO = 4.0  # beyond this change of volume the centroid moves with the shape, and the pair does not vote


@dataclass(frozen=True)
class MatchingSettings:
    """Distances in mm that decide which lesions may belong together.

    The form of the cost, the gates, the overlap of 35 % and the vote follow a benchmark on synthetic lesions with a
    known smooth registration error; the remaining numbers were chosen on synthetic pairs of the same kind
    (``Testing/Benchmarks/bench_matching.py``). None of them was fitted to patients.

    Attributes
    ----------
    gate_mm : float
        Largest gap between the surfaces of a pair where nothing is known about the local registration error: 20 for a
        rigid registration of the body, 10 for a deformable one or studies in one frame of reference.
    near_gate_mm : float
        The least gate, where many pairs agree on the local error; in between it is twice the expected error.
    centroid_weight, overlap_weight_mm, volume_weight_mm : float
        Cost of a pair = gap + centroid_weight x centroid distance - overlap_weight x overlap + volume_weight x
        \\|ln volume ratio\\|.
    unmatched_cost_mm : float
        A pair that costs more is no pair.
    kept_overlap : float
        Pairs that share this much of the smaller lesion are linked whatever else they are linked to: merges and splits.
    fragment_tolerance_mm, fragment_share : float
        See :class:`PSMATrackingLib.fragments.FragmentRule`.
    vote_rounds : int
        How often the local shift is estimated anew from the pairs found with the last one.
    """

    gate_mm: float = 20.0
    near_gate_mm: float = 8.0
    centroid_weight: float = 0.5
    overlap_weight_mm: float = 20.0
    volume_weight_mm: float = 2.0
    unmatched_cost_mm: float = 40.0
    kept_overlap: float = 0.35
    fragment_tolerance_mm: float = 4.0
    fragment_share: float = 0.3
    vote_rounds: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value) or value < 0:
                raise ValueError(f"matching setting {field.name} is {value}; it must be a number of at least 0")
        if self.near_gate_mm > self.gate_mm:
            raise ValueError(
                f"matching setting near_gate_mm ({self.near_gate_mm:g}) exceeds gate_mm ({self.gate_mm:g}); "
                "where the local error is known the gate cannot be wider"
            )

    def to_dict(self) -> dict[str, float]:
        """All settings by name, for the record of a matching."""
        return asdict(self)


def settings_for(registration_method: str) -> MatchingSettings:
    """Settings that suit the error that a registration method, by its name in the table, leaves over."""
    return MatchingSettings() if registration_method == "rigid" else MatchingSettings(gate_mm=10.0)


@dataclass(frozen=True)
class Matching:
    """Links between two studies, and the lesions without one, all by lesion number in ascending order.

    ``gone`` and ``new`` lesions lie where the other study was imaged. ``not_imaged_baseline`` are baseline lesions
    outside the field of view of the follow-up study, ``not_imaged_followup`` follow-up lesions outside that of the
    baseline study: nothing can be said about them.
    """

    links: list[Link]
    gone: list[int]
    new: list[int]
    not_imaged_baseline: list[int]
    not_imaged_followup: list[int]


def match_lesions(
    baseline_labels: sitk.Image,
    followup_labels: sitk.Image,
    transform: sitk.Transform,
    settings: MatchingSettings | None = None,
    progress: Progress | None = None,
) -> Matching:
    """Link the lesions of two studies of one patient.

    The baseline lesions are mapped point by point into the follow-up study; labels are never resampled. Pairs within
    the gate form clusters, each of which is solved as a linear assignment problem. The pairs found then vote on the
    registration error around each lesion, and the pairs are measured and assigned anew, some times over. Links for
    real overlap and for fragments are added to the assignment at the end, so that splits, merges and both at once
    come out as such.

    Parameters
    ----------
    baseline_labels, followup_labels : sitk.Image
        Instance labels, 0 for background, each on its own grid. Either may hold no lesion.
    transform : sitk.Transform
        Maps a point of the baseline study to the follow-up study, LPS mm (as registration returns it).
    settings : MatchingSettings, optional
        By default those for a rigid registration.
    progress : callable, optional
        Called with a fraction and a message; may raise to cancel.

    Returns
    -------
    Matching

    Raises
    ------
    ValueError
        When a label image or the transform is not three-dimensional, or labels are not whole numbers.
    """
    settings = settings or MatchingSettings()
    if transform.GetDimension() != 3:
        raise ValueError(f"the transform has {transform.GetDimension()} dimensions; studies need three")
    tell = progress or silent
    tell(0.0, "Reading lesions")
    baseline, followup = extract_lesions(baseline_labels), extract_lesions(followup_labels)
    links: list[Link] = []
    if baseline and followup:
        search = CandidateSearch(
            baseline, followup, baseline_labels, followup_labels, transform, settings.gate_mm, MAX_SHIFT_MM
        )
        links = _link(search, settings, tell)
    tell(0.9, "Looking for lesions outside the other study")
    gone, not_imaged_baseline = _unlinked(
        baseline, {link.baseline for link in links}, followup_labels, lambda points: map_points(transform, points)
    )
    new, not_imaged_followup = _unlinked(
        followup, {link.followup for link in links}, baseline_labels, lambda points: map_points_back(transform, points)
    )
    tell(1.0, f"{len(links)} links, {len(gone)} gone, {len(new)} new")
    return Matching(links, gone, new, not_imaged_baseline, not_imaged_followup)


def _link(search: CandidateSearch, settings: MatchingSettings, tell: Progress) -> list[Link]:
    error = LocalError.unknown(len(search.baseline), settings.gate_mm / GATE_IN_SPREADS)
    for done in range(settings.vote_rounds + 1):
        tell(0.1 + 0.7 * done / (settings.vote_rounds + 1), "Matching lesions")
        gates = np.clip(GATE_IN_SPREADS * error.spread_mm, settings.near_gate_mm, settings.gate_mm)
        candidates = search.measure(error.shifts_mm)
        change = _volume_change(search, candidates)
        cost = _cost(candidates, change, settings)
        allowed = np.where(candidates.gap_mm <= gates[candidates.baseline], cost, np.inf)
        linked = assign(candidates.baseline, candidates.followup, allowed, settings.unmatched_cost_mm)
        overlapping = candidates.overlap >= settings.kept_overlap
        if done < settings.vote_rounds:
            voters = linked & (np.abs(change) <= np.log(VOTER_VOLUME_RATIO)) & _unrivaled(candidates, overlapping)
            first, second = candidates.baseline[voters], candidates.followup[voters]
            votes = search.followup_centroids[second] - search.centroids[first]
            error = estimate_error(search.centroids, first, votes, settings.gate_mm / GATE_IN_SPREADS)
    linked |= overlapping
    rule = FragmentRule(settings.fragment_tolerance_mm, settings.fragment_share)
    linked, fragments = link_fragments(search, candidates, cost, linked, error, rule)
    confidence, reasons = rate_links(candidates, cost, linked, fragments, settings.gate_mm)
    kept = candidates.take(linked)
    links = [
        Link(
            search.baseline[i].number,
            search.followup[j].number,
            "",
            float(gap),
            float(overlap),
            float(sure),
            why,
            False,
        )
        for i, j, gap, overlap, sure, why in zip(
            kept.baseline, kept.followup, kept.gap_mm, kept.overlap, confidence, reasons, strict=True
        )
    ]
    return classify(links, _volumes(search.baseline), _volumes(search.followup))


def _unrivaled(candidates: Candidates, overlapping: BoolArray) -> BoolArray:
    """Pairs neither lesion of which overlaps another one too: in splits and merges the centroids move by themselves."""
    first, second = candidates.baseline, candidates.followup
    own = overlapping.astype(int)
    others_of_first = np.bincount(first, weights=own, minlength=first.max(initial=0) + 1)[first] - own
    others_of_second = np.bincount(second, weights=own, minlength=second.max(initial=0) + 1)[second] - own
    return (others_of_first == 0) & (others_of_second == 0)


def _volume_change(search: CandidateSearch, candidates: Candidates) -> FloatArray:
    """Natural logarithm of follow-up over baseline volume of each pair."""
    before = np.array([lesion.volume_ml for lesion in search.baseline])
    after = np.array([lesion.volume_ml for lesion in search.followup])
    change: FloatArray = np.log(after[candidates.followup] / before[candidates.baseline])
    return change


def _cost(candidates: Candidates, change: FloatArray, settings: MatchingSettings) -> FloatArray:
    cost: FloatArray = (
        candidates.gap_mm
        + settings.centroid_weight * candidates.distance_mm
        - settings.overlap_weight_mm * candidates.overlap
        + settings.volume_weight_mm * np.abs(change)
    )
    return cost


def _volumes(lesions: list[Lesion]) -> dict[int, float]:
    return {lesion.number: lesion.volume_ml for lesion in lesions}


def _unlinked(
    lesions: list[Lesion], linked: set[int], other_study: sitk.Image, to_other: Callable[[FloatArray], FloatArray]
) -> tuple[list[int], list[int]]:
    """Numbers of lesions without a link: those where the other study was imaged, and those where it was not."""
    rest = [lesion for lesion in lesions if lesion.number not in linked]
    if not rest:
        return [], []
    imaged = is_imaged(other_study, to_other(np.array([lesion.centroid_mm for lesion in rest])))
    inside = [lesion.number for lesion, yes in zip(rest, imaged, strict=True) if yes]
    outside = [lesion.number for lesion, yes in zip(rest, imaged, strict=True) if not yes]
    return inside, outside
