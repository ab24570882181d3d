"""Which lesion of a follow-up study is which lesion of the baseline study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .assignment import assign
from .candidates import Candidates, CandidateSearch
from .confidence import Doubt, rate_links
from .confluence import confluent_groups
from .detection import below_detection
from .facts import FactTable, LesionFacts, facts_from_region
from .fragments import FragmentRule, beside_taken, link_fragments
from .lesions import Lesion, extract_lesions
from .links import Link, classify
from .local_shift import MAX_SHIFT_MM, LocalError, estimate_error
from .matching_result import Matching, decided
from .matching_settings import MatchingSettings, settings_for
from .points import BoolArray, FloatArray, is_imaged, map_points, map_points_back
from .progress import Progress, silent
from .trust import Trust, jacobian_trust

__all__ = [
    "LesionFacts", "Link", "Matching", "MatchingSettings",
    "classify", "decided", "facts_from_region", "match_lesions", "settings_for",
]  # fmt: skip

GATE_IN_SPREADS = 2.0  # a pair may lie two expected errors apart
VOTER_VOLUME_RATIO = 4.0  # beyond this change of volume the centroid moves with the shape, and the pair does not vote
MODALITIES = ("PET", "SPECT")
ASKED_VOXELS = 200  # of a lesion, to tell how much of it another study imaged


def match_lesions(
    baseline_labels: sitk.Image,
    followup_labels: sitk.Image,
    transform: sitk.Transform,
    settings: MatchingSettings | None = None,
    progress: Progress | None = None,
    *,
    baseline_facts: Mapping[int, LesionFacts] | None = None,
    followup_facts: Mapping[int, LesionFacts] | None = None,
    shifts_mm: Mapping[int, FloatArray] | None = None,
    trust: Trust | None = None,
    baseline_modality: str = "PET",
    followup_modality: str = "PET",
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
    baseline_facts, followup_facts : mapping of int to LesionFacts, optional
        By lesion number. A lesion in bone and one in soft tissue, or two on different sides, are linked only where
        they overlap by ``settings.kept_overlap``; facts on lesions that an image does not hold are not looked at.
    shifts_mm : mapping of int to array of shape (3,), optional
        By baseline lesion: what to add to its mapped points, LPS mm in the follow-up study, as a local refinement of
        the registration found it.
    trust : callable, optional
        Trust in the registration, 0 to 1, at points of the baseline study. By default
        :func:`PSMATrackingLib.trust.jacobian_trust`. Where it is low the gate is wider and links are less sure.
    baseline_modality, followup_modality : str
        "PET" or "SPECT". A PET lesion without a link that a SPECT could not have shown is ``below_detection``.

    Returns
    -------
    Matching

    Raises
    ------
    ValueError
        When a label image or the transform is not three-dimensional, labels are not whole numbers, a modality is
        unknown, or a shift is not a vector.
    """
    settings = settings or MatchingSettings()
    if transform.GetDimension() != 3:
        raise ValueError(f"the transform has {transform.GetDimension()} dimensions; studies need three")
    for modality in (baseline_modality, followup_modality):
        if modality not in MODALITIES:
            raise ValueError(f"'{modality}' is no modality of a study with lesions; use {' or '.join(MODALITIES)}")
    tell = progress or silent
    tell(0.0, "Reading lesions")
    baseline, followup = extract_lesions(baseline_labels), extract_lesions(followup_labels)
    baseline_facts, followup_facts = baseline_facts or {}, followup_facts or {}
    links: list[Link] = []
    if baseline and followup:
        trusted = _trusted(trust or jacobian_trust(transform), baseline)
        widest_mm = settings.gate_mm * float(2.0 - trusted.min())
        search = CandidateSearch(
            baseline, followup, baseline_labels, followup_labels, transform, widest_mm, MAX_SHIFT_MM,
            _shift_table(baseline, shifts_mm or {}),
        )  # fmt: skip
        facts = FactTable(baseline, followup, baseline_facts, followup_facts)
        links = _Linker(search, facts, trusted, settings).link(tell)
    tell(0.9, "Looking for lesions outside the other study")
    gone, not_imaged_baseline = _unlinked(
        baseline, {link.baseline for link in links}, followup_labels, lambda points: map_points(transform, points)
    )
    new, not_imaged_followup = _unlinked(
        followup, {link.followup for link in links}, baseline_labels, lambda points: map_points_back(transform, points)
    )
    hidden, hidden_before = [], []
    if (baseline_modality, followup_modality) == ("PET", "SPECT"):
        hidden = below_detection(baseline, baseline_facts, gone, settings.detectable_suv)
    elif (baseline_modality, followup_modality) == ("SPECT", "PET"):
        hidden_before = below_detection(followup, followup_facts, new, settings.detectable_suv)
    gone, new = [n for n in gone if n not in hidden], [n for n in new if n not in hidden_before]
    tell(1.0, f"{len(links)} links, {len(gone)} gone, {len(new)} new")
    return Matching(
        links, gone, new, not_imaged_baseline, not_imaged_followup, hidden, hidden_before, confluent_groups(links)
    )


def _trusted(trust: Trust, lesions: list[Lesion]) -> FloatArray:
    """Trust in the registration at each lesion, 0 to 1."""
    limited: FloatArray = np.clip(trust(np.array([lesion.centroid_mm for lesion in lesions])), 0.0, 1.0)
    return limited


def _shift_table(lesions: list[Lesion], shifts_mm: Mapping[int, FloatArray]) -> FloatArray:
    """The known shift of each lesion, 0 where none is known; shape (lesions, 3)."""
    table = np.zeros((len(lesions), 3))
    for row, lesion in zip(table, lesions, strict=True):
        shift = np.asarray(shifts_mm.get(lesion.number, row), dtype=np.float64)
        if shift.shape != (3,) or not np.isfinite(shift).all():
            raise ValueError(f"the shift of lesion {lesion.number} is {shift.tolist()}; it needs three numbers in mm")
        row[:] = shift
    return table


@dataclass(frozen=True)
class _Linker:
    """Chooses the links among the candidates; ``trusted`` has shape (baseline lesions,)."""

    search: CandidateSearch
    facts: FactTable
    trusted: FloatArray
    settings: MatchingSettings

    def link(self, tell: Progress) -> list[Link]:
        """All links, with their kinds and primary marks."""
        search, settings = self.search, self.settings
        prior_mm = settings.gate_mm / GATE_IN_SPREADS
        error = LocalError.unknown(len(search.baseline), prior_mm)
        for done in range(settings.vote_rounds + 1):
            tell(0.1 + 0.7 * done / (settings.vote_rounds + 1), "Matching lesions")
            candidates = self._candidates(error)
            change = _volume_change(search, candidates)
            cost = self._cost(candidates, change)
            gates = np.clip(GATE_IN_SPREADS * error.spread_mm, settings.near_gate_mm, settings.gate_mm)
            gates *= 2.0 - self.trusted
            allowed = np.where(candidates.gap_mm <= gates[candidates.baseline], cost, np.inf)
            linked = assign(candidates.baseline, candidates.followup, allowed, settings.unmatched_cost_mm)
            overlapping = candidates.overlap >= settings.kept_overlap
            if done < settings.vote_rounds:
                voters = linked & (np.abs(change) <= np.log(VOTER_VOLUME_RATIO)) & _unrivaled(candidates, overlapping)
                first, second = candidates.baseline[voters], candidates.followup[voters]
                votes = search.followup_centroids[second] - search.centroids[first]
                error = estimate_error(search.centroids, first, votes, prior_mm)
        linked = overlapping | (linked & ~beside_taken(candidates, cost, overlapping))
        rule = FragmentRule(settings.fragment_tolerance_mm, settings.fragment_share, settings.kept_overlap)
        linked, fragments = link_fragments(search, candidates, cost, linked, error, rule)
        return self._links(candidates, cost, linked, self._doubts(candidates, fragments))

    def _candidates(self, error: LocalError) -> Candidates:
        """The pairs within the gate that anatomy does not forbid."""
        near = self.search.measure(error.shifts_mm)
        forbidden = self.facts.incompatible[near.baseline, near.followup]
        return near.take(~forbidden | (near.overlap >= self.settings.kept_overlap))

    def _cost(self, candidates: Candidates, change: FloatArray) -> FloatArray:
        settings = self.settings
        cost: FloatArray = (
            candidates.gap_mm
            + settings.centroid_weight * candidates.distance_mm
            - settings.overlap_weight_mm * candidates.overlap
            + settings.volume_weight_mm * np.abs(change)
            + settings.other_site_mm * self.facts.other_site[candidates.baseline, candidates.followup]
        )
        return cost

    def _doubts(self, candidates: Candidates, fragments: BoolArray) -> list[Doubt]:
        at = (candidates.baseline, candidates.followup)
        return [
            Doubt.where(fragments, 0.6, "taken as a part that lies beside the whole"),
            Doubt.where(self.facts.other_tissue[at], 0.7, "in different tissue by the proposed regions"),
            Doubt.where(self.facts.other_side[at], 0.5, "on different sides by the proposed regions"),
            Doubt(0.5 + 0.5 * self.trusted[candidates.baseline], "where the registration bends much"),
        ]

    def _links(self, candidates: Candidates, cost: FloatArray, linked: BoolArray, doubts: list[Doubt]) -> list[Link]:
        search = self.search
        confidence, reasons = rate_links(candidates, cost, linked, doubts, self.settings.gate_mm)
        kept = candidates.take(linked)
        links = [
            Link(search.baseline[i].number, search.followup[j].number, "", float(gap), float(overlap), float(sure), why,
                 False)
            for i, j, gap, overlap, sure, why in zip(
                kept.baseline, kept.followup, kept.gap_mm, kept.overlap, confidence, reasons, strict=True
            )
        ]  # fmt: skip
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


def _volumes(lesions: list[Lesion]) -> dict[int, float]:
    return {lesion.number: lesion.volume_ml for lesion in lesions}


def _unlinked(
    lesions: list[Lesion], linked: set[int], other_study: sitk.Image, to_other: Callable[[FloatArray], FloatArray]
) -> tuple[list[int], list[int]]:
    """Numbers of lesions without a link: those at least half of which the other study imaged, and the others."""
    rest = [lesion for lesion in lesions if lesion.number not in linked]
    if not rest:
        return [], []
    asked = [lesion.points_mm[:: -(-len(lesion.points_mm) // ASKED_VOXELS)] for lesion in rest]
    seen = is_imaged(other_study, to_other(np.concatenate(asked)))
    imaged = [part.mean() >= 0.5 for part in np.split(seen, np.cumsum([len(points) for points in asked])[:-1])]
    inside = [lesion.number for lesion, yes in zip(rest, imaged, strict=True) if yes]
    outside = [lesion.number for lesion, yes in zip(rest, imaged, strict=True) if not yes]
    return inside, outside
