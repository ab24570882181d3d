"""What a response criterion is given and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from .clinical_model import PsaValue

NOT_EVALUABLE = "NE"
TISSUES = ("bone", "node", "lung", "visceral", "local", "")  # visceral: other than lung; "": not known


@dataclass(frozen=True)
class ScanFacts:
    """What two scans must share so that their volumes can be compared; "", {} and None where it is not known."""

    modality: str = ""  # "PET", "SPECT"
    tracer: str = ""
    segmentation: Mapping[str, str] = field(default_factory=dict)  # method, threshold and other settings, as text
    scanner: str = ""
    reconstruction: str = ""
    minutes_after_injection: float | None = None
    network_borders: bool = False  # borders that a network drew, and no threshold


@dataclass(frozen=True)
class NewLesion:
    """A lesion that is new since the baseline.

    Attributes:
        track: Its label, e.g. "L07".
        tissue: One of ``TISSUES``.
        later_seen: Whether a scan at least 6 weeks later shows it too; None without such a scan.
        days_to_later: Days from the follow-up to that scan.
    """

    track: str
    tissue: str = ""
    later_seen: bool | None = None
    days_to_later: float | None = None


@dataclass(frozen=True)
class Growth:
    """The largest growth of one lesion since the baseline, in percent; -100 for a lesion that is gone.

    Attributes:
        track: Label of the lesion.
        percent: Unrounded change of ``measure``.
        measure: "volume" or "SUVmax".
        confirmed: Whether a scan within 3 months shows the growth again.
    """

    track: str
    percent: float
    measure: str
    confirmed: bool = False


@dataclass(frozen=True)
class ResponseInput:
    """What the reader, the segmentation and the laboratory say about one follow-up scan against the baseline scan.

    Attributes:
        baseline_ttv_ml: Total tumor volume (PSMA-TV, mL) at baseline, None when the scan has no segmentation.
        followup_ttv_ml: The same at follow-up.
        new_lesions: Whether there is at least one new lesion; None when that cannot be assessed.
        residual_uptake: Whether a reader sees any PSMA uptake of tumor at follow-up; None when nobody was asked.
        interval_days: Days from baseline to follow-up, None when unknown. Only warned about.
        baseline, followup: What the two scans must have in common. Only warned about, except PET against SPECT.
        visual_change: What a reader sees of the total tumor volume, one of ``clinical_model.VISUAL_CHANGES``; None
            when nobody was asked.
        new_lesions_seen: The new lesions one by one, as far as they are known.
        reappeared: Lesions that are back after they were gone, which some criteria count as new.
        largest_growth: Of the lesions on both scans the one that grew most; None where none could be compared.
        clinical_progression: Whether clinical or laboratory data agree with progression, by a reader; None when nobody
            was asked.
        days_since_treatment: Days from the first treatment after the baseline to the follow-up, None when unknown.
        lesions_above_blood_pool: Lesions of the follow-up with more uptake than the blood pool; None when not measured.
        psa: All PSA values in any order.
        baseline_day, followup_day: Days of the scans, which PSA values are chosen by.
    """

    baseline_ttv_ml: float | None
    followup_ttv_ml: float | None
    new_lesions: bool | None
    residual_uptake: bool | None = None
    interval_days: float | None = None
    baseline: ScanFacts | None = None
    followup: ScanFacts | None = None
    visual_change: str | None = None
    new_lesions_seen: tuple[NewLesion, ...] = ()
    reappeared: tuple[NewLesion, ...] = ()
    largest_growth: Growth | None = None
    clinical_progression: bool | None = None
    days_since_treatment: float | None = None
    lesions_above_blood_pool: int | None = None
    psa: tuple[PsaValue, ...] = ()
    baseline_day: date | None = None
    followup_day: date | None = None


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
        change_percent: Change of the total tumor volume, unrounded; None where the ratio is undefined, and for
            criteria that do not look at it.
        why: One line with the inputs and the clause that decided.
        branches: For "NE" because of an open question: the categories that the possible answers would give, the best
            first.
        notes: What limits the result, one sentence each.
        parts: The findings that the criterion puts together; () where it rests on one rule.
        exploratory: Whether the criterion is used outside of what it was studied for.
        verified: False where it rests on a rule that no source read for this program confirms.
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
    """A response criterion: register an instance in ``criteria.CRITERIA``.

    Attributes:
        name: Name and version, the key in ``CRITERIA``.
        modality: "PET" or "SPECT" where the criterion holds for that alone, "" for any.
        enabled: Whether it is evaluated unless the case says otherwise.
        categories: What it may answer beside "NE", the best first.
    """

    name: str
    modality: str
    enabled: bool

    @property
    def categories(self) -> tuple[str, ...]: ...

    def evaluate(self, inputs: ResponseInput) -> Response:
        """The category for ``inputs``.

        Raises:
            InputError: a volume, PSA value or change is impossible, or a word is none of those that are allowed.
        """
        ...
