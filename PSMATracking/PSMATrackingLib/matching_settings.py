"""Distances and limits that decide which lesions of two studies may belong together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

RIGID_GATE_MM, DEFORMABLE_GATE_MM, SPECT_GATE_MM = 20.0, 10.0, 15.0
# Methods that leave the bend of the body, or an error that nobody knows.
_COARSE_METHODS = ("rigid", "landmarks", "given")


@dataclass(frozen=True)
class MatchingSettings:
    """Distances in mm that decide which lesions may belong together.

    The form of the cost, the gates, the overlap of 35 % and the vote follow a benchmark on synthetic lesions with a
    known smooth registration error; the remaining numbers were chosen on synthetic pairs of the same kind and on
    synthetic men (``bench_matching.py`` and ``bench_tracking.py``). None of them was fitted to patients.

    Attributes
    ----------
    gate_mm : float
        Largest gap between the surfaces of a pair where nothing is known about the local registration error: 20 for a
        rigid registration of the body, 10 for a deformable one or studies in one frame of reference, 15 for SPECT.
        Up to twice as much where the registration is not to be trusted.
    near_gate_mm : float
        The least gate, where many pairs agree on the local error; in between it is twice the expected error.
    centroid_weight, overlap_weight_mm, volume_weight_mm : float
        Cost of a pair = gap + centroid_weight x centroid distance - overlap_weight x overlap + volume_weight x
        \\|ln volume ratio\\| + other_site_mm where the sites or tissues are known and differ.
    other_site_mm : float
        What a pair in two sites, such as two vertebrae, or in two tissues costs more.
    unmatched_cost_mm : float
        A pair that costs more is no pair.
    kept_overlap : float
        Pairs that share this much of the smaller lesion are linked whatever else they are linked to: merges and splits.
        Bone and soft tissue, and the two sides of the body, are linked only then.
    fragment_tolerance_mm, fragment_share : float
        See :class:`PSMATrackingLib.fragments.FragmentRule`.
    vote_rounds : int
        How often the local shift is estimated anew from the pairs found with the last one.
    detectable_suv : float
        Uptake above which a lesion shows on SPECT after the loss that its size brings; see
        :mod:`PSMATrackingLib.detection`.
    """

    gate_mm: float = RIGID_GATE_MM
    near_gate_mm: float = 5.0
    centroid_weight: float = 0.5
    overlap_weight_mm: float = 20.0
    volume_weight_mm: float = 2.0
    other_site_mm: float = 4.0
    unmatched_cost_mm: float = 40.0
    kept_overlap: float = 0.35
    fragment_tolerance_mm: float = 4.0
    fragment_share: float = 0.3
    vote_rounds: int = 2
    detectable_suv: float = 1.0

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


def coarser(first_method: str, second_method: str) -> str:
    """Of the registration methods of two transforms that are applied one after the other, the one to set limits by."""
    coarse = [method for method in (first_method, second_method) if method in _COARSE_METHODS]
    if coarse:
        return coarse[0]
    return second_method if first_method == "identity" else first_method


def settings_for(registration_method: str, *modalities: str) -> MatchingSettings:
    """Settings that suit the error that a registration method, by its name in the table, leaves over.

    ``modalities`` of the two studies: "PET" (as by default) or "SPECT".
    """
    if registration_method in _COARSE_METHODS:
        return MatchingSettings(gate_mm=RIGID_GATE_MM)
    return MatchingSettings(gate_mm=SPECT_GATE_MM if "SPECT" in modalities else DEFORMABLE_GATE_MM)
