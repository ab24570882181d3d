"""Results of synthetic courses of many lesions, from records that a case store would hand over; there are no images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from example_case import FIRST_DAY, PATIENT, SETTINGS
from PSMASegmentLib.measure import Measures
from PSMATheranosticsLib.records import (
    LesionRecord,
    LinkRecord,
    SegmentationRecord,
    StudyRecord,
    TrackDecisionRecord,
    TrackRecord,
)
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results
from PSMATheranosticsLib.study import DicomOrigin, Scaling


@dataclass
class RecordedCase:
    """What ``collect_results`` asks a store for; ``studies`` are in the order of their time, the first the baseline."""

    studies_: list[StudyRecord]
    lesions_: dict[int, list[LesionRecord]]
    tracks_: list[TrackRecord]
    links_: list[LinkRecord] = field(default_factory=list)
    decisions: list[TrackDecisionRecord] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    patient = PATIENT
    folder = "recorded"

    @contextmanager
    def reading(self) -> Iterator[None]:
        yield

    def studies(self) -> list[StudyRecord]:
        return self.studies_

    def baseline(self) -> StudyRecord:
        return next(study for study in self.studies_ if study.is_baseline)

    def segmentation(self, study_id: int) -> SegmentationRecord | None:
        if study_id not in self.lesions_:
            return None
        return SegmentationRecord(study_id, "labels", {"method": "rules", "settings": SETTINGS}, [], FIRST_DAY)

    def lesions(self, study_id: int, rejected: bool = False) -> list[LesionRecord]:
        return self.lesions_.get(study_id, [])

    def tracks(self) -> list[TrackRecord]:
        return self.tracks_

    def links(self) -> list[LinkRecord]:
        return self.links_

    def track_decisions(self) -> list[TrackDecisionRecord]:
        return self.decisions

    def setting(self, name: str) -> dict[str, Any]:
        return self.settings.get(name, {})

    def registrations(self) -> list[Any]:
        return []

    def responses(self) -> list[Any]:
        return []

    def orphaned_decisions(self) -> list[Any]:
        return []

    def matching(self, baseline_id: int, followup_id: int) -> None:
        return None

    def last_sign_off(self) -> None:
        return None

    def baseline_is_marked(self) -> bool:
        return False

    def results(self) -> Results:
        """What the case says."""
        return collect_results(self)  # type: ignore[arg-type]


def study_record(study_id: int, day: int, label: str = "", **values: Any) -> StudyRecord:
    """A PET of the day after the first one, in SUV; ``values`` replace what is said otherwise."""
    plain: dict[str, Any] = {
        "study_id": study_id,
        "label": label or ("Baseline" if day == 0 else f"Follow-up {study_id - 1}"),
        "is_baseline": day == 0,
        "acquired": FIRST_DAY + timedelta(days=day),
        "modality": "PET",
        "tracer": "68Ga-PSMA-11",
        "emission_id": f"emission {study_id}",
        "ct_id": None,
        "organs_id": None,
        "organ_names": {},
        "scaling": Scaling("SUVbw", 1.0, "none"),
        "origin": DicomOrigin("1", "2", "3", "4", ()),
        "source": "synthetic",
        "fingerprint": str(study_id),
        "injected_activity_mbq": 190.0,
        "minutes_after_injection": 60.0,
        "weight_kg": 80.0,
        "scanner": "",
        "emission_max": 20.0,
        "warnings": (),
    }
    return StudyRecord(**{**plain, **values})


def measures(lesion: int, volume_ml: float, suv: float = 10.0) -> Measures:
    """A lesion of that volume whose SUVmean is ``suv``, its SUVpeak a fifth and its SUVmax half as much above it."""
    place = (0.0, 0.0, 0.0)
    return Measures(lesion, 10, volume_ml, 1.5 * suv, suv, 1.2 * suv, volume_ml * suv, place, place)


def lesion_record(study_id: int, track: int, volume_ml: float, suv: float = 10.0) -> LesionRecord:
    """A lesion whose number is that of its track."""
    return LesionRecord(study_id, track, measures(track, volume_ml, suv), "rules", "", "undecided", "", track)


def link_record(first: int, second: int, before: int, after: int, **values: Any) -> LinkRecord:
    """A sure link, proposed by the software."""
    plain: dict[str, Any] = {
        "kind": "one-to-one",
        "gap_mm": 0.0,
        "overlap": 0.9,
        "confidence": 0.9,
        "reason": "overlap 90 %",
        "primary": True,
        "status": "proposed",
    }
    return LinkRecord(first, second, before, after, **{**plain, **values})


def course(lesions: int, days: Sequence[int], seed: int = 1) -> RecordedCase:
    """Lesions that grow, shrink, go, come and come back at random; about half respond."""
    random = np.random.default_rng(seed)
    studies = [study_record(index + 1, day) for index, day in enumerate(days)]
    found: dict[int, list[LesionRecord]] = {study.study_id: [] for study in studies}
    tracks, links = [], []
    for number in range(1, lesions + 1):
        start = 0 if random.random() < 0.85 else int(random.integers(1, len(days)))
        volume, trend = float(np.exp(random.normal(1.0, 1.2))), float(random.normal(-0.3, 0.9))
        places: dict[int, int] = {}
        status: dict[int, str] = {}
        last = None
        for index, study in enumerate(studies[start:], start):
            size = volume * float(np.exp(trend * (index - start) + random.normal(0, 0.15)))
            suv = float(np.clip(8 * np.exp(random.normal(0.3 * trend * (index - start), 0.2)), 3.1, 60))
            if size < 0.35 and index > start:
                status[study.study_id] = "gone"
                continue
            word = "persistent" if status.get(studies[index - 1].study_id) != "gone" else "reappeared"
            status[study.study_id] = word if index > start else "new" if start else "baseline"
            places[study.study_id] = number
            found[study.study_id].append(lesion_record(study.study_id, number, size, suv))
            if last is not None:
                sure = float(np.clip(random.normal(0.85, 0.15), 0.2, 1.0))
                links.append(link_record(last, study.study_id, number, number, confidence=sure))
            last = study.study_id
        tracks.append(TrackRecord(number, f"L{number:02d}", f"2.25.{number}", places, status, []))
    return RecordedCase(studies, found, tracks, links)


def spect_record(study_id: int, day: int, minutes: float | None = 24 * 60, **values: Any) -> StudyRecord:
    """A SPECT in Bq/mL with 0.001 SUV per Bq/mL, ``minutes`` after the injection."""
    plain = {
        "modality": "SPECT",
        "tracer": "177Lu-PSMA-617",
        "scaling": Scaling("Bq/mL", 1.0, "RWV", suv_factor=0.001),
        "minutes_after_injection": minutes,
        "is_baseline": False,
        "label": f"SPECT {study_id}",
    }
    return study_record(study_id, day, **{**plain, **values})


def recorded(studies: Sequence[StudyRecord], volumes: dict[int, dict[int, float]], suv: float = 10.0) -> RecordedCase:
    """Lesions by study and track (volume in mL), with links from each study to the next that has the track."""
    lesions = {
        study: [lesion_record(study, track, volume, suv) for track, volume in found.items()]
        for study, found in volumes.items()
    }
    tracks, links = [], []
    for number in sorted({track for found in volumes.values() for track in found}):
        places: dict[int, int] = {}
        status: dict[int, str] = {}
        for study in studies:
            if study.study_id not in volumes:
                continue
            if number in volumes[study.study_id]:
                if places:
                    links.append(link_record(list(places)[-1], study.study_id, number, number))
                status[study.study_id] = "persistent" if places else "baseline" if study.is_baseline else "new"
                places[study.study_id] = number
            elif places:
                status[study.study_id] = "gone"
        tracks.append(TrackRecord(number, f"L{number:02d}", f"2.25.{number}", places, status, []))
    return RecordedCase(list(studies), lesions, tracks, links)


def pets(*days: int) -> list[StudyRecord]:
    """PET studies of these days after the first one, numbered from 1."""
    return [study_record(index, day) for index, day in enumerate(days, start=1)]
