"""What a case says, ready to be shown or written: plain frozen records, no images, every number with its unit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from typing import Any

from PSMASegmentLib.inference.finish_settings import LOWEST_THRESHOLD
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import Measures, Totals
from PSMATrackingLib.heterogeneity import Heterogeneity
from PSMATrackingLib.lesion_response import Burden
from PSMATrackingLib.repeatability import DEFAULT_LIMITS, Limits

from .clinical_model import ClinicalFacts, Conflict, PsaValue, ReferenceRegionResult, ScoreResult, SignOffResult
from .i18n import decimal
from .records import NO_REGION
from .response import ResponsePart
from .study import Patient, Scaling

SCHEMA = "psma-results/2"
SHORT_HASH = 8  # digits of a SHA-256 that tell two networks apart in a table
UNKNOWN_REGION = "unknown"  # in totals by region: lesions for which none is proposed and nobody has chosen one


@dataclass(frozen=True)
class LinkResult:
    """A proposed or decided link from a lesion to a lesion of an earlier study."""

    earlier_study_id: int
    earlier_lesion: int
    kind: str  # "one-to-one", "split", "merge", "complex"
    gap_mm: float
    overlap: float  # share of the smaller lesion, 0 to 1
    confidence: float  # 0 to 1
    reason: str
    primary: bool
    status: str  # "proposed", "accepted", "edited"
    carries: bool = False  # the one link on which the track came to the later lesion


@dataclass(frozen=True)
class LesionResult:
    """One lesion on one study."""

    lesion: int  # value in the label image of the study
    track: str  # e.g. "L01"; "" before lesions were followed
    tracking_uid: str
    status: str  # see ``status_colors.STATUSES``; "" before lesions were followed
    new_since_baseline: bool | None  # None where it cannot be said
    novelty_note: str  # why the lesion is or is not new, where that is not plain
    measures: Measures
    origin: str
    reason: str
    decision: str  # "undecided", "accepted"; "rejected" only in ``StudyResult.rejected``
    decision_reason: str
    mask: str = "automatic"  # "automatic", "corrected" or "drawn" by hand
    region: Region = NO_REGION  # where the lesion is counted; its name is "" where that is not known
    region_source: str = ""  # "proposed", or "reader" where somebody chose it
    reviewed: bool = False  # a reader accepted it
    links: tuple[LinkResult, ...] = ()  # by the time of the earlier study
    mi_psma: int | None = None  # 0 to 3; None where the reference regions are not there
    probability: float | None = None  # 0 to 1, of a network when it was found; None from other methods
    low_evidence: bool = False  # much spoke against it when it was found; the reason says what

    @property
    def carrying_link(self) -> LinkResult | None:
        """The link on which the track came here; None where it begins here."""
        return next((link for link in self.links if link.carries), None)


@dataclass(frozen=True)
class SegmentationResult:
    """How the lesions of a study were found."""

    method: str
    rule_set: str
    threshold_suv: float | None
    settings: dict[str, Any]
    created: datetime
    provenance: dict[str, Any]
    version: str = "automatic"  # "automatic", "corrected" by hand since, or "signed" as it is

    @property
    def text(self) -> str:
        """Method and rule set in a few words."""
        return f"{self.method} ({self.rule_set})" if self.rule_set else self.method

    @property
    def finish(self) -> dict[str, Any]:
        """What the answer of a network was finished with (``inference.finish_settings``); empty for other methods."""
        return dict(self.provenance.get("finish", {}).get("settings", {}))

    @property
    def blur_mm(self) -> float:
        """The blur that borders of narrow lesions were drawn for: what the study showed, else what was expected."""
        return float(self.provenance.get("finish", {}).get("blur_mm", self.finish.get("blur_mm", 0.0)))

    @property
    def network_borders(self) -> bool:
        """Whether borders are those that a network drew, or a share of the way to the peak, and no threshold's."""
        finish = self.finish
        return bool(finish) and (finish.get("border", 0.0) > 0.0 or finish["threshold"] <= LOWEST_THRESHOLD)

    def compared(self) -> dict[str, str]:
        """Everything that must be equal on two scans for their volumes to be comparable, as text."""
        named: dict[str, Any] = {"method": self.text}
        if (network := _network_text(self.provenance)) is not None:
            named["network"] = network
        named |= {name: self.provenance[name] for name in ("version", "organs") if name in self.provenance}
        named |= {**self.finish, **self.settings}
        return {name: _setting_text(value) for name, value in named.items()}


def _network_text(provenance: Mapping[str, Any]) -> str | None:
    """The network that answered, e.g. "psma-lesions (1f0a2b3c)", with the beginning of the hash of its files.

    None where no network was asked: labels read from a file have a hash too, but that of the file of one study.
    """
    if "model" not in provenance or "sha256" not in provenance:
        return None
    known = provenance["sha256"]
    if isinstance(known, Mapping):  # one hash for each file of a folder
        known = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    return f"{provenance['model']} ({str(known)[:SHORT_HASH]})"


def _setting_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return decimal(f"{value:g}") if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class StudyResult:
    """One time point with its lesions."""

    study_id: int
    label: str
    is_baseline: bool
    acquired: datetime
    days_since_baseline: int
    modality: str
    tracer: str
    scaling: Scaling
    injected_activity_mbq: float | None
    minutes_after_injection: float | None
    weight_kg: float | None
    height_m: float | None
    sex: str
    norms: dict[str, float]  # from SUVbw to SUVlbm, SUVbsa and SUVibw; empty without weight, height and sex
    scanner: str
    source: str
    synthetic: bool
    image_suv_max: float | None  # None for a SPECT that cannot be given in SUV
    segmentation: SegmentationResult | None
    totals: Totals | None  # None before the study was segmented
    change_from_baseline_percent: dict[str, float | None]  # psma_tv_ml, tl_psma, suv_max, suv_mean, lesion_count
    lesions: tuple[LesionResult, ...]  # those that count
    rejected: tuple[LesionResult, ...]  # those that a reader rejected; they count nowhere
    removed: tuple[dict[str, Any], ...]  # regions that the segmentation took as physiological or too small
    warnings: tuple[str, ...]
    by_region: dict[str, Totals] = field(default_factory=dict)  # of those that count: REGIONS in order, UNKNOWN_REGION
    references: tuple[ReferenceRegionResult, ...] = ()
    scores: tuple[ScoreResult, ...] = ()
    change_from_previous_percent: dict[str, float | None] = field(default_factory=dict)  # the study of its kind before
    change_from_nadir_percent: dict[str, float | None] = field(default_factory=dict)  # lowest PSMA-TV before it
    reconstruction: str = ""  # how the images were computed, as the scanner words it


@dataclass(frozen=True)
class TrackCell:
    """A track on one study. ``lesion`` and the measures are None where the track has no lesion there."""

    study_id: int
    status: str  # "" where the study was not followed or the lesion was rejected
    lesion: int | None = None
    volume_ml: float | None = None
    suv_max: float | None = None
    suv_peak: float | None = None
    volume_change_percent: float | None = None  # against the baseline study
    suv_max_change_percent: float | None = None
    note: str = ""
    suv_mean: float | None = None
    tl_psma: float | None = None
    response: str = ""  # class against the baseline, one of ``lesion_response.CLASSES``; "" where there is none
    ratios: dict[str, float | None] = field(default_factory=dict)  # against the baseline, by ``repeatability.METRICS``
    response_to_previous: str = ""  # class against the previous study of its kind
    ratios_to_previous: dict[str, float | None] = field(default_factory=dict)
    decision: str = ""  # what a reader said about the track here: "confirmed", "new", "gone" or "not imaged"
    decided_by: str = ""
    comment: str = ""  # that went with the decision


@dataclass(frozen=True)
class TrackResult:
    """One lesion over time, with one cell per study in the order of ``Results.studies``."""

    label: str
    tracking_uid: str
    parents: tuple[str, ...]
    cells: tuple[TrackCell, ...]
    comments: tuple[str, ...] = ()  # of readers, on the track as such


@dataclass(frozen=True)
class RegistrationResult:
    """How well one study was brought onto another."""

    fixed_id: int
    moving_id: int
    method: str
    reference: str
    verdict: str  # "good", "doubtful", "poor"
    reasons: tuple[str, ...]
    quality: dict[str, float]
    requested: str = ""  # the method that was asked for, such as "auto"
    seconds: float | None = None
    device: str = ""  # "CPU", or the name of the GPU
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LesionChangeResult:
    """What became of one track between two studies; see ``PSMATrackingLib.lesion_response.LesionChange``."""

    track: str
    group: tuple[str, ...]  # tracks that are compared together, this one included
    standing: str  # the one of them that counts as a lesion
    class_: str  # one of ``lesion_response.CLASSES``
    before: Burden | None  # the lesions of the group at the earlier study
    after: Burden | None
    ratios: dict[str, float | None]  # after / before, by ``repeatability.METRICS``
    beyond: dict[str, int]  # -1, 0, 1: below, within or above the limits
    reason: str
    confidence: float | None  # the least of the links it rests on; 1 for those that a reader decided on

    @property
    def counted(self) -> bool:
        """Whether it counts as a lesion: of a group only one track does."""
        return self.track == self.standing


@dataclass(frozen=True)
class LesionResponse:
    """What became of every lesion from one study to a later one of the same kind."""

    earlier_id: int
    later_id: int
    against: tuple[str, ...]  # what the earlier study is to the later one: "baseline", "previous" or both
    changes: tuple[LesionChangeResult, ...]  # by track
    heterogeneity: Heterogeneity
    worst_track: str  # the lesion with the highest ratio; "" without one
    notes: tuple[str, ...]  # what limits the comparison

    def of(self, track: str) -> LesionChangeResult | None:
        """What became of the track with that label; None where it is not on either study."""
        return next((change for change in self.changes if change.track == track), None)


@dataclass(frozen=True)
class Treatment:
    """Activity that was given for treatment, as far as the studies tell."""

    given: datetime
    days_since_baseline: int
    label: str  # such as "177Lu 7.4 GBq"


@dataclass(frozen=True)
class ResponseResult:
    """The response of one follow-up study against the baseline, with everything that decided it."""

    criterion: str
    baseline_id: int
    followup_id: int
    category: str
    candidate: bool  # True until a reader confirmed this category
    confirmed_by: str
    baseline_ttv_ml: float | None
    followup_ttv_ml: float | None
    change_ml: float | None
    change_percent: float | None
    new_lesions: bool | None
    new_lesion_tracks: tuple[str, ...]  # the new lesions by track label
    residual_uptake: bool | None
    why: str
    branches: tuple[str, ...]
    notes: tuple[str, ...]
    parts: tuple[ResponsePart, ...] = ()
    exploratory: bool = False
    verified: bool = True  # False: rests on a rule that no source read for this program confirms
    overridden: str = ""  # the category by the rules, where a reader decided otherwise
    override_reason: str = ""
    confirmed_at: datetime | None = None


@dataclass(frozen=True)
class ResultWarning:
    """Something that limits the results, with the step and the study that it comes from."""

    text: str
    source: str  # "study", "segmentation", "registration", "tracking", "response", "decision"
    study_id: int | None = None
    track: str = ""


@dataclass(frozen=True)
class Results:
    """Everything that panel, report and files show of a case."""

    software: str
    version: str
    created: datetime
    patient: Patient
    baseline_id: int | None
    studies: tuple[StudyResult, ...]
    tracks: tuple[TrackResult, ...]
    registrations: tuple[RegistrationResult, ...]
    responses: tuple[ResponseResult, ...]
    warnings: tuple[ResultWarning, ...]
    schema: str = field(default=SCHEMA)
    responses_by_lesion: tuple[LesionResponse, ...] = ()  # by later study; that to the baseline first
    response_limits: Limits = DEFAULT_LIMITS
    treatments: tuple[Treatment, ...] = ()  # by time
    other_responses: tuple[ResponseResult, ...] = ()  # by the other criteria, by follow-up
    clinical: ClinicalFacts = field(default_factory=ClinicalFacts)
    psa: tuple[PsaValue, ...] = ()  # by day
    conflicts: tuple[Conflict, ...] = ()
    sign_off: SignOffResult = field(default_factory=SignOffResult)
    baseline_marked: bool | None = None  # by a physician; otherwise it is the earliest study. None: not known

    def study(self, study_id: int) -> StudyResult:
        """The study with ``study_id``; ``KeyError`` where there is none."""
        for study in self.studies:
            if study.study_id == study_id:
                return study
        raise KeyError(f"no study {study_id} in these results")

    def lesion_response(self, later_id: int, against: str = "baseline") -> LesionResponse | None:
        """What became of the lesions up to study ``later_id``; None where there is no such comparison.

        ``against``: "baseline", or "previous" for the study of its kind before it.
        """
        found = (one for one in self.responses_by_lesion if one.later_id == later_id and against in one.against)
        return next(found, None)

    @property
    def synthetic(self) -> bool:
        """Whether any study is synthetic."""
        return any(study.synthetic for study in self.studies)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and text for JSON; ``schema`` comes first, dates are ISO 8601."""
        plain: dict[str, Any] = plain_value(self)
        return {"schema": plain.pop("schema"), **plain}


def plain_value(value: Any) -> Any:
    """``value`` made of what JSON knows; a number that is infinite or not a number becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name.rstrip("_"): plain_value(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "item"):  # a numpy scalar
        return plain_value(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
