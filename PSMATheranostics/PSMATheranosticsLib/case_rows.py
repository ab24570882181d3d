"""Records to rows of ``case.db`` and back. Structured values are JSON text; times are ISO 8601."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import Measures

from .case_database import readable
from .errors import InputError
from .records import (
    PROPOSED,
    READER,
    ClickRecord,
    LesionInput,
    LesionRecord,
    LinkInput,
    LinkRecord,
    MatchingRecord,
    ResponseRecord,
    SegmentationRecord,
    StudyRecord,
    TrackDecisionRecord,
)
from .study import Alternative, DicomOrigin, Patient, Scaling, Study

Row = dict[str, Any]


def to_json(value: Any) -> str:
    """JSON text of a value; numpy numbers and arrays, dates, paths and dataclasses are understood too.

    Keys of dictionaries become text. Raises InputError for anything else.
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"A value cannot be stored in the case: {error}. Hand over numbers, text, lists, maps."
        ) from error


@readable()
def from_json(text: str) -> Any:
    """The value of a JSON text of a row. Raises CaseDamaged where it is none."""
    return json.loads(text)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not a plain value")


def now() -> str:
    """The time (UTC) to the millisecond, as stored."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def patient_row(patient: Patient) -> Row:
    """Columns of ``patient`` but its id."""
    birth_date = patient.birth_date.isoformat() if patient.birth_date else None
    return {"patient_id": patient.patient_id, "name": patient.name, "birth_date": birth_date, "sex": patient.sex}


@readable()
def patient_record(row: sqlite3.Row) -> Patient:
    """The patient of a case."""
    birth_date = date.fromisoformat(row["birth_date"]) if row["birth_date"] else None
    return Patient(patient_id=row["patient_id"], name=row["name"], birth_date=birth_date, sex=row["sex"])


def study_row(study: Study, study_id: int, emission_id: str, ct_id: str | None, organs_id: str | None) -> Row:
    """Columns of ``studies`` for a study whose images are stored."""
    return {
        "study_id": study_id,
        "acquired": study.acquired.isoformat(),
        "modality": study.modality,
        "tracer": study.tracer,
        "emission_id": emission_id,
        "ct_id": ct_id,
        "organs_id": organs_id,
        "organ_names": to_json(study.organs.names if study.organs else {}),
        "scaling": to_json(study.scaling),
        "origin": to_json(study.origin),
        "source": study.source,
        "fingerprint": study.fingerprint,
        "injected_activity_mbq": _number(study.injected_activity_mbq),
        "minutes_after_injection": _number(study.minutes_after_injection),
        "weight_kg": _number(study.weight_kg),
        "scanner": study.scanner,
        "emission_max": _highest(study),
        "warnings": to_json(list(study.warnings)),
        "marked_baseline": 0,
        "height_m": _number(study.height_m),
        "sex": study.sex,
    }


def _highest(study: Study) -> float:
    values = sitk.GetArrayViewFromImage(study.emission)
    highest = float(values.max(initial=-np.inf, where=np.isfinite(values)))
    if highest == -np.inf:
        raise InputError(
            f"The {study.modality} of {study.acquired:%Y-%m-%d} ({study.source}) holds no number that is finite. "
            "Check where the image comes from."
        )
    return highest


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


@readable()
def study_records(rows: list[sqlite3.Row]) -> list[StudyRecord]:
    """All studies of a case by time of acquisition, labeled from the baseline.

    The baseline is the marked study, else the earliest PET, else the earliest. Prior and follow-up studies are counted
    among those of the baseline's modality; others are counted for themselves ("SPECT 1"). Times are compared as read
    from the clock at the scanner.
    """
    ordered = sorted(
        rows, key=lambda row: (datetime.fromisoformat(row["acquired"]).replace(tzinfo=None), row["study_id"])
    )
    marked = [row for row in ordered if row["marked_baseline"]]
    baseline = next(iter([*marked, *(row for row in ordered if row["modality"] == "PET"), *ordered]), None)
    return [_study_record(row, _study_label(row, baseline, ordered), row is baseline) for row in ordered]


def _study_label(row: sqlite3.Row, baseline: sqlite3.Row | None, ordered: list[sqlite3.Row]) -> str:
    alike = [other for other in ordered if other["modality"] == row["modality"]]
    if baseline is None or baseline["modality"] != row["modality"]:
        return f"{row['modality']} {alike.index(row) + 1}"
    steps = alike.index(row) - alike.index(baseline)
    if steps < 0:
        return f"Prior {alike.index(row) + 1}"
    return f"Follow-up {steps}" if steps else "Baseline"


def _study_record(row: sqlite3.Row, label: str, is_baseline: bool) -> StudyRecord:
    return StudyRecord(
        study_id=row["study_id"],
        label=label,
        is_baseline=is_baseline,
        acquired=datetime.fromisoformat(row["acquired"]),
        modality=row["modality"],
        tracer=row["tracer"],
        emission_id=row["emission_id"],
        ct_id=row["ct_id"],
        organs_id=row["organs_id"],
        organ_names={int(value): name for value, name in json.loads(row["organ_names"]).items()},
        scaling=_scaling(json.loads(row["scaling"])),
        origin=_origin(json.loads(row["origin"])),
        source=row["source"],
        fingerprint=row["fingerprint"],
        injected_activity_mbq=row["injected_activity_mbq"],
        minutes_after_injection=row["minutes_after_injection"],
        weight_kg=row["weight_kg"],
        scanner=row["scanner"],
        emission_max=row["emission_max"],
        warnings=tuple(json.loads(row["warnings"])),
        height_m=row["height_m"],
        sex=row["sex"],
    )


def _scaling(stored: Row) -> Scaling:
    alternatives = tuple(Alternative(**each) for each in stored.get("alternatives", ()))
    return Scaling(**{**stored, "entered": tuple(stored.get("entered", ())), "alternatives": alternatives})


def _origin(stored: Row) -> DicomOrigin:
    # JSON knows no tuples; every list in these headers was one.
    values: Row = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    return DicomOrigin(**values)


@readable()
def segmentation_record(row: sqlite3.Row, version: str, signed_state_differs: bool) -> SegmentationRecord:
    """The segmentation of one study."""
    return SegmentationRecord(
        study_id=row["study_id"],
        labels_id=row["labels_id"],
        provenance=json.loads(row["provenance"]),
        removed=json.loads(row["removed"]),
        created=datetime.fromisoformat(row["created"]),
        version=version,
        signed_state_differs=signed_state_differs,
    )


def lesion_row(study_id: int, lesion: LesionInput, decision_id: int | None) -> Row:
    """Columns of ``lesions`` for a lesion of a new segmentation, which stands for itself."""
    return {
        "study_id": study_id,
        "lesion": int(lesion.lesion),
        **measured_columns(lesion.measures),
        "origin": lesion.origin,
        "reason": lesion.reason,
        "decision_id": decision_id,
        "mask": lesion.mask,
        "sources": to_json([int(lesion.lesion)]),
        **region_columns(lesion.region),
        "region_decision_id": None,
        "probability": _number(lesion.probability),
        "low_evidence": int(lesion.low_evidence),
    }


def measured_columns(measures: Measures) -> Row:
    """Columns of ``lesions`` that are measured."""
    row: Row = {"voxels": int(measures.voxels)}
    for name in ("volume_ml", "suv_max", "suv_mean", "suv_peak", "tl_psma"):
        row[name] = float(getattr(measures, name))
    for place in ("centroid", "hottest"):
        for axis, value in zip("xyz", getattr(measures, f"{place}_mm"), strict=True):
            row[f"{place}_{axis}_mm"] = float(value)
    return row


def region_columns(region: Region) -> Row:
    """Columns of ``lesions`` for a proposed region."""
    return {"region": region.name, "region_site": region.site, "region_reason": region.reason}


@readable()
def lesion_record(row: sqlite3.Row | Row) -> LesionRecord:
    """One lesion joined with its decision and track."""
    measures = Measures(
        lesion=row["lesion"],
        voxels=row["voxels"],
        volume_ml=row["volume_ml"],
        suv_max=row["suv_max"],
        suv_mean=row["suv_mean"],
        suv_peak=row["suv_peak"],
        tl_psma=row["tl_psma"],
        centroid_mm=(row["centroid_x_mm"], row["centroid_y_mm"], row["centroid_z_mm"]),
        hottest_mm=(row["hottest_x_mm"], row["hottest_y_mm"], row["hottest_z_mm"]),
    )
    region, source = Region(row["region"], row["region_site"], row["region_reason"]), PROPOSED
    if row["chosen_region"]:
        region, source = Region(row["chosen_region"], row["chosen_site"]), READER
    return LesionRecord(
        study_id=row["study_id"],
        lesion=row["lesion"],
        measures=measures,
        origin=row["origin"],
        reason=row["reason"],
        decision=row["decision"] or "undecided",
        decision_reason=row["decision_reason"] or "",
        track=row["track"],
        mask=row["mask"],
        region=region,
        region_source=source if region.name else "",
        probability=row["probability"],
        low_evidence=bool(row["low_evidence"]),
    )


def click_row(click: ClickRecord, study_id: int, click_id: int, user: str) -> Row:
    """Columns of ``clicks`` for a click that is made now."""
    z, y, x = (int(index) for index in click.index_zyx)
    return {
        "click_id": click_id,
        "study_id": study_id,
        "z": z,
        "y": y,
        "x": x,
        "positive": int(click.positive),
        "insist": int(click.insist),
        "lesion": int(click.lesion),
        "threshold_suv": _number(click.threshold_suv),
        "method": click.method,
        "user": user,
        "time": now(),
    }


@readable()
def click_record(row: sqlite3.Row) -> ClickRecord:
    """One click."""
    return ClickRecord(
        study_id=row["study_id"],
        index_zyx=(row["z"], row["y"], row["x"]),
        positive=bool(row["positive"]),
        insist=bool(row["insist"]),
        lesion=row["lesion"],
        threshold_suv=row["threshold_suv"],
        method=row["method"],
        user=row["user"],
        time=datetime.fromisoformat(row["time"]),
    )


def link_values(link: LinkInput) -> Row:
    """Columns that ``links`` and ``link_decisions`` have in common, but the ids."""
    return {
        "kind": link.kind,
        "gap_mm": float(link.gap_mm),
        "overlap": float(link.overlap),
        "confidence": float(link.confidence),
        "reason": link.reason,
        "is_primary": int(link.primary),
    }


@readable()
def link_record(row: sqlite3.Row) -> LinkRecord:
    """One link with its status."""
    names = ("baseline_id", "followup_id", "baseline_lesion", "followup_lesion", "kind", "gap_mm", "overlap")
    return LinkRecord(
        **{name: row[name] for name in names},
        confidence=row["confidence"],
        reason=row["reason"],
        primary=bool(row["is_primary"]),
        status=row["status"],
        decision_reason=row["decision_reason"],
    )


@readable()
def matching_record(row: sqlite3.Row) -> MatchingRecord:
    """What goes with the links of one pair of studies."""
    return MatchingRecord(
        baseline_id=row["baseline_id"],
        followup_id=row["followup_id"],
        not_imaged_baseline=json.loads(row["not_imaged_baseline"]),
        not_imaged_followup=json.loads(row["not_imaged_followup"]),
        provenance=json.loads(row["provenance"]),
        created=datetime.fromisoformat(row["created"]),
        below_detection=json.loads(row["below_detection"]),
        below_detection_before=json.loads(row["below_detection_before"]),
        confluent=[(list(first), list(second)) for first, second in json.loads(row["confluent"])],
    )


@readable()
def track_decision_record(row: sqlite3.Row) -> TrackDecisionRecord:
    """One decision or comment on a track, joined with the number of the track."""
    names = ("study_id", "lesion", "at_study_id", "status", "proposed", "comment", "user", "track")
    return TrackDecisionRecord(
        **{name: row[name] for name in names},
        time=datetime.fromisoformat(row["time"]),
    )


@readable()
def response_record(row: sqlite3.Row) -> ResponseRecord:
    """One response."""
    return ResponseRecord(
        followup_id=row["followup_id"],
        criterion=row["criterion"],
        record=json.loads(row["record"]),
        created=datetime.fromisoformat(row["created"]),
    )
