"""What goes into a case folder and what comes out of it: plain frozen records without behavior.

``...Input`` records are handed to the store, ``...Record`` records are read from it. Study ids are the store's own
numbers, lesion numbers are the values in the label image of their study.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import Measures

from .study import DicomOrigin, Scaling

LESION_DECISIONS = ("undecided", "accepted", "rejected")
TRACK_DECISIONS = ("confirmed", "new", "gone", "not imaged")
NO_REGION = Region("")
PROPOSED, READER = "proposed", "reader"  # where the region of a lesion comes from


@dataclass(frozen=True)
class StudyRecord:
    """One time point of the case. Images are named by their content hash; ``label`` counts from the baseline."""

    study_id: int
    label: str  # "Baseline", "Follow-up 1", "Prior 1"
    is_baseline: bool
    acquired: datetime
    modality: str
    tracer: str
    emission_id: str
    ct_id: str | None
    organs_id: str | None
    organ_names: dict[int, str]
    scaling: Scaling
    origin: DicomOrigin
    source: str
    fingerprint: str
    injected_activity_mbq: float | None
    minutes_after_injection: float | None
    weight_kg: float | None
    scanner: str
    emission_max: float  # highest value of the emission image, in the quantity of ``scaling``
    warnings: tuple[str, ...]
    height_m: float | None = None
    sex: str = ""  # of this study's header: M, F, O or ""


@dataclass(frozen=True)
class LesionInput:
    """One lesion of a segmentation: its measures, which step found it and why it is taken for a lesion.

    ``mask``: "automatic", or "drawn" for masks that a person drew elsewhere and that no new segmentation may replace.
    ``region``: as proposed. ``probability`` (0 to 1) is what a network says of it, None from a method without one; with
    ``low_evidence`` the reason says what speaks against it.
    """

    measures: Measures
    origin: str = ""
    reason: str = ""
    mask: str = "automatic"
    region: Region = NO_REGION
    probability: float | None = None
    low_evidence: bool = False

    @property
    def lesion(self) -> int:
        """The lesion's number in the label image."""
        return self.measures.lesion


@dataclass(frozen=True)
class SegmentationRecord:
    """The segmentation of one study: its labels, what was removed as physiological, and how it was made.

    ``labels_id`` names a state of the labels (see ``case_labels``). ``version``: "automatic", "corrected" by hand, or
    "signed"; ``signed_state_differs``: something was signed, but what counts now is not that.
    """

    study_id: int
    labels_id: str
    provenance: dict[str, Any]
    removed: list[dict[str, Any]]
    created: datetime
    version: str = "automatic"
    signed_state_differs: bool = False


@dataclass(frozen=True)
class LesionRecord:
    """One lesion with its track and the physician's decision: "undecided", "accepted" or "rejected".

    ``mask``: "automatic" (as found), "corrected" (found, then edited by hand) or "drawn" (made by hand).
    ``region_source``: "reader" where somebody chose the region, "proposed", or "" where there is none. ``probability``
    and ``low_evidence`` as in ``LesionInput``, said when it was found.
    """

    study_id: int
    lesion: int
    measures: Measures
    origin: str
    reason: str
    decision: str
    decision_reason: str
    track: int | None
    mask: str = "automatic"
    region: Region = NO_REGION
    region_source: str = ""
    probability: float | None = None
    low_evidence: bool = False

    @property
    def reviewed(self) -> bool:
        """Whether a reader has accepted the lesion."""
        return self.decision == "accepted"


@dataclass(frozen=True)
class ClickRecord:
    """A reader's click that edited a mask: the voxel (z, y, x), lesion or not, also in physiological uptake (insist).

    ``lesion``: the one that the click is about; when read, the one it is about today, 0 where that is gone or another
    edit has overruled the click. ``threshold_suv``: SUVbw, None where no threshold decided. ``method``: what answered,
    such as "growth". ``user`` and ``time`` are the store's when the click is stored.
    """

    study_id: int
    index_zyx: tuple[int, int, int]
    positive: bool
    insist: bool
    lesion: int
    threshold_suv: float | None = None
    method: str = ""
    user: str = ""
    time: datetime | None = None


@dataclass(frozen=True)
class VersionRecord:
    """One version of a segmentation: "automatic", "corrected" or "signed".

    ``state`` names its labels, ``edits`` counts the edits in them. ``user`` and ``time``: of the segmentation (without
    user), of the last edit, of the signature. ``lesions``: all lesions as they were when they were signed.
    """

    version: str
    state: str
    time: datetime
    user: str = ""
    edits: int = 0
    note: str = ""
    lesions: tuple[LesionRecord, ...] = ()


@dataclass(frozen=True)
class RegistrationRecord:
    """How a point of the fixed study maps to the moving study (LPS mm), and how good that is."""

    fixed_id: int
    moving_id: int
    transform: sitk.Transform
    record: dict[str, Any]


@dataclass(frozen=True)
class LinkInput:
    """A proposed link between a lesion of an earlier and one of a later study. ``primary``: it carries the track on.

    ``kind``: "one-to-one", "split", "merge" or "complex".
    """

    baseline_lesion: int
    followup_lesion: int
    kind: str
    gap_mm: float
    overlap: float
    confidence: float
    reason: str
    primary: bool


@dataclass(frozen=True)
class LinkRecord:
    """A link with its status: proposed, accepted, edited (drawn by hand) or rejected.

    ``kind`` and ``primary`` are those among the links that stood when the tracks were made last.
    """

    baseline_id: int
    followup_id: int
    baseline_lesion: int
    followup_lesion: int
    kind: str
    gap_mm: float
    overlap: float
    confidence: float
    reason: str
    primary: bool
    status: str
    decision_reason: str = ""


@dataclass(frozen=True)
class MatchingRecord:
    """What goes with the links of one pair of studies: lesions outside the other scan's field of view, and settings.

    ``below_detection``: lesions of the earlier study that the later one, a SPECT, could not have shown;
    ``below_detection_before``: lesions of the later study that the earlier one could not. ``confluent``: groups of
    lesions of both studies in diffuse disease, which belong together as a whole.
    """

    baseline_id: int
    followup_id: int
    not_imaged_baseline: list[int]
    not_imaged_followup: list[int]
    provenance: dict[str, Any]
    created: datetime
    below_detection: list[int] = field(default_factory=list)
    below_detection_before: list[int] = field(default_factory=list)
    confluent: list[tuple[list[int], list[int]]] = field(default_factory=list)


@dataclass(frozen=True)
class TrackInput:
    """One lesion followed over the studies. ``lesions`` and ``status`` by study id; ``parents`` are track numbers.

    ``parents_since``: for a parent, the id of the study from which on this track comes from it.
    """

    number: int
    lesions: dict[int, int]
    status: dict[int, str]
    parents: list[int] = field(default_factory=list)
    parents_since: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackRecord:
    """A stored track. ``tracking_uid`` is its DICOM Tracking UID, made once and kept for good.

    ``parents_since`` as in ``TrackInput``; tracks that were made before schema 4 know none.
    """

    number: int
    label: str  # "L01"
    tracking_uid: str
    lesions: dict[int, int]
    status: dict[int, str]
    parents: list[int]
    parents_since: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackDecisionRecord:
    """What a reader decided about a track at one study, or a comment on a track.

    It is tied to the mask of one lesion of the track: ``lesion`` of ``study_id``, by the number it has today; ``track``
    is the number of the track that has this lesion now, None where the lesions were not followed since.
    ``at_study_id`` is the study that is spoken about, None for a comment on the track. ``status`` is one of
    ``TRACK_DECISIONS``, "" for a comment; ``proposed`` is what the track said there when that was decided.
    """

    study_id: int
    lesion: int
    at_study_id: int | None
    status: str
    proposed: str
    comment: str
    user: str
    time: datetime
    track: int | None = None


@dataclass(frozen=True)
class ResponseRecord:
    """What was recorded about the response of one follow-up by one criterion, such as a reader's statement."""

    followup_id: int
    criterion: str
    record: dict[str, Any]
    created: datetime


@dataclass(frozen=True)
class SignOffRecord:
    """What was signed as the results of a case. ``decisive``: the content that a later change is told by."""

    number: int
    user: str
    time: datetime
    note: str
    digest: str  # of ``decisive``
    decisive: dict[str, Any]


@dataclass(frozen=True)
class OrphanedDecision:
    """A physician's decision whose lesion is not in the automatic results of today. It comes back when the lesion does.

    ``about`` says what was decided on in the words of that time; ``what`` is "lesion", "region", "link" or "track".
    """

    what: str
    about: str
    decision: str
    reason: str
    user: str
    time: datetime


@dataclass(frozen=True)
class JournalEntry:
    """One step of the case's history. ``undone`` steps can be redone unless a later change ``discarded`` them."""

    id: int
    time: datetime
    user: str
    action: str
    undone: bool
    discarded: bool = False
