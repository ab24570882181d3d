"""What is known about the man beside his images: treatment, PSA, and what readers say. Plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

REFERENCE_REGIONS = ("blood pool", "liver", "spleen", "right parotid", "left parotid")
PROSTATE = ("", "in situ", "removed")
CAUSES = ("study", "segmentation", "registration", "tracking", "response", "decision")
VISUAL_CHANGES = ("decrease", "increase", "neither")


@dataclass(frozen=True)
class PsaValue:
    """One PSA value in ng/mL. ``source``: "entered", or the name of the file it was read from."""

    day: date
    ng_ml: float
    source: str = "entered"
    below_limit: bool = False  # the assay told "less than ng_ml"

    @property
    def text(self) -> str:
        """Such as "4.2 ng/mL" or "< 0.01 ng/mL"."""
        return f"{'< ' if self.below_limit else ''}{self.ng_ml:g} ng/mL"


@dataclass(frozen=True)
class ClinicalFacts:
    """What a physician entered about the man; "" and None where nothing was."""

    indication: str = ""
    line: str = ""  # of therapy, in the physician's words
    therapy_start: date | None = None  # of this line
    previous_therapies: str = ""
    prostate: str = ""  # one of PROSTATE


@dataclass(frozen=True)
class ReferenceRegionResult:
    """A sphere in which normal uptake was measured on one study; center in LPS mm."""

    name: str  # one of REFERENCE_REGIONS
    center_mm: tuple[float, float, float]
    radius_mm: float
    suv_mean: float
    suv_sd: float
    voxels: int
    source: str  # "automatic", or "by hand"
    note: str = ""


@dataclass(frozen=True)
class ScoreResult:
    """What a score says about one study.

    ``value`` is text for reading, "NE" where it cannot be said; ``number`` is its figure where there is one. ``inputs``
    are names and values that it rests on. ``verified`` is false for rules that no source read for this program
    confirms.
    """

    name: str
    study_id: int
    value: str
    number: float | None
    why: str
    inputs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    verified: bool = True


@dataclass(frozen=True)
class Conflict:
    """Something that contradicts itself or is open before a case is signed. ``blocks``: signing needs it solved.

    ``cause`` is the step in which it is solved, one of ``CAUSES``; "" where that is not known.
    """

    text: str
    blocks: bool
    study_id: int | None = None
    track: str = ""
    cause: str = ""


@dataclass(frozen=True)
class SignOffResult:
    """Who signed the results, and whether they still stand.

    ``state``: "open" (never signed), "signed", or "reopened" (changed since). ``categories`` holds the signed category
    of each follow-up by study id, ``changed`` in words what differs today.
    """

    state: str = "open"
    user: str = ""
    time: datetime | None = None
    note: str = ""
    categories: tuple[tuple[int, str], ...] = ()
    changed: tuple[str, ...] = ()
