"""What a response criterion is given and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

NOT_EVALUABLE = "NE"


@dataclass(frozen=True)
class ScanFacts:
    """What two scans must share so that their volumes can be compared; "" and {} where it is not known."""

    modality: str = ""  # "PET", "SPECT"
    tracer: str = ""
    segmentation: Mapping[str, str] = field(default_factory=dict)  # method, threshold and other settings, as text


@dataclass(frozen=True)
class ResponseInput:
    """What the reader and the segmentation say about one follow-up scan against the baseline scan.

    Attributes:
        baseline_ttv_ml: Total tumor volume (PSMA-TV, mL) at baseline, None when the scan has no segmentation.
        followup_ttv_ml: The same at follow-up.
        new_lesions: Whether there is at least one new lesion; None when that cannot be assessed.
        residual_uptake: Whether a reader sees any PSMA uptake of tumor at follow-up; None when nobody was asked.
        interval_days: Days from baseline to follow-up, None when unknown. Only warned about.
        baseline, followup: What the two scans must have in common. Only warned about, except PET against SPECT.
    """

    baseline_ttv_ml: float | None
    followup_ttv_ml: float | None
    new_lesions: bool | None
    residual_uptake: bool | None = None
    interval_days: float | None = None
    baseline: ScanFacts | None = None
    followup: ScanFacts | None = None


@dataclass(frozen=True)
class ResponsePart:
    """One of several findings that a criterion puts together, such as PSA and RECIP in the composite."""

    name: str
    category: str
    why: str


@dataclass(frozen=True)
class Response:
    """The category that a criterion's rules give: a candidate until a reader confirms it.

    Attributes:
        criterion: Name and version, e.g. "RECIP 1.0".
        category: E.g. "RECIP-PR", or "NE" (not evaluable).
        change_percent: Change of the total tumor volume, unrounded; None where the ratio is undefined.
        why: One line with the inputs and the clause that decided.
        branches: For "NE" because of an open question: the categories that the possible answers would give.
        notes: What limits the result, one sentence each.
    """

    criterion: str
    category: str
    change_percent: float | None
    why: str
    branches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parts: tuple[ResponsePart, ...] = ()
    exploratory: bool = False
    verified: bool = True


class ResponseCriterion(Protocol):
    """A response criterion: register an instance in ``criteria.CRITERIA``."""

    name: str

    def evaluate(self, inputs: ResponseInput) -> Response:
        """The category for ``inputs``.

        Raises:
            InputError: a volume is negative, infinite or not a number.
        """
        ...
