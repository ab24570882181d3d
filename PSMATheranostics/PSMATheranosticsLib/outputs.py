"""The results as files for other programs: ``results.json``, ``lesions.csv`` and ``lesion_response.csv``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PSMASegmentLib.lesion_regions import REGIONS
from PSMATrackingLib.lesion_response import CLASSES
from PSMATrackingLib.repeatability import METRIC_NAMES, METRICS

from .results_model import LesionChangeResult, LesionResponse, LesionResult, Results, TrackCell
from .suv_norms import SUV_NORMS
from .whole_file import write_whole


def _norm_column(name: str) -> str:
    """Such as suvlbm_janma_per_suvbw."""
    return name.lower().replace("(", "_").replace(")", "") + "_per_suvbw"


# Columns of lesions.csv, in order. An empty field means: does not apply, or is not known.
LESION_COLUMNS: dict[str, str] = {
    "patient_id": "Patient ID",
    "study": "label of the study, e.g. Baseline, Follow-up 1",
    "study_id": "number of the study in the case",
    "study_date": "date and time of acquisition, ISO 8601",
    "days_since_baseline": "calendar days, negative before the baseline",
    "track": "label of the lesion over time, e.g. L01",
    "tracking_uid": "DICOM Tracking Unique Identifier of the track",
    "status": "what became of the track at this study; rows without a lesion: gone, merged, not imaged",
    "lesion": "value in the label image of the study",
    "new_since_baseline": "yes or no",
    "volume_ml": "volume, mL",
    "suv_max_suvbw": "highest SUVbw",
    "suv_mean_suvbw": "mean SUVbw",
    "suv_peak_suvbw": "highest mean over a sphere of 1 mL centered on a voxel of the lesion, SUVbw",
    "tl_psma_suvbw_ml": "volume x SUVmean, SUVbw x mL",
    "volume_change_percent": "volume against the same track at baseline, percent",
    "suv_max_change_percent": "SUVmax against the same track at baseline, percent",
    "centroid_left_mm": "center of the lesion in patient coordinates: x to the left, mm",
    "centroid_posterior_mm": "y to the back, mm",
    "centroid_superior_mm": "z to the head, mm",
    "hottest_left_mm": "center of the voxel with SUVmax: x to the left, mm",
    "hottest_posterior_mm": "y to the back, mm",
    "hottest_superior_mm": "z to the head, mm",
    "mask": "automatic, corrected or drawn by hand",
    "decision": "undecided or accepted; lesions that a reader rejected are not listed",
    "origin": "what found the lesion",
    "reason": "why it was taken for a lesion",
    "entered_by_hand": "inputs of the SUV that a person entered, separated by semicolons",
    **{
        _norm_column(name): f"multiply a SUVbw by this to get it as {name}; empty without weight, height and sex"
        for name in SUV_NORMS
    },
    "linked_to": "lesions of earlier studies: study_id:lesion (kind, confidence, status), separated by semicolons",
    "region": f"where the lesion is counted: {', '.join(REGIONS)}",
    "region_site": "more about the place, such as liver or pelvis",
    "region_source": "proposed by the software, or chosen by a reader: proposed or reader",
    "reviewed": "yes where a reader accepted the lesion, else no",
    "response": f"of the track against the baseline: {', '.join(CLASSES)}; see lesion_response.csv",
    "response_to_previous": "of the track against the study of its kind before",
    "track_decision": "what a reader said about the track at this study: confirmed, new, gone or not imaged",
    "track_decision_by": "who said so",
}

# Columns of lesion_response.csv, in order. Ratios are later / earlier.
RESPONSE_COLUMNS: dict[str, str] = {
    "patient_id": "Patient ID",
    "earlier_study_id": "number of the earlier study in the case",
    "earlier_study": "its label",
    "later_study_id": "number of the later study in the case",
    "later_study": "its label",
    "against": "what the earlier study is to the later one: baseline, previous, or both separated by a semicolon",
    "track": "label of the lesion over time",
    "class": ", ".join(CLASSES),
    "counted": "yes, or no for a track that is counted with another one, into which it merged or from which it split",
    "counted_with": "the track that counts for all of the group",
    "group": "tracks that are compared together, separated by semicolons",
    "lesions_before": "values in the label image of the earlier study, separated by semicolons",
    "lesions_after": "values in the label image of the later study",
    **{
        f"{metric}_{when}{'_ml' if metric == 'volume' else ''}": (
            f"{METRIC_NAMES[metric]} of the group at the {study} study, "
            + {"volume": "mL: sum", "tl_psma": "SUVbw x mL: sum", "suv_mean": "SUVbw: mean of all voxels"}.get(
                metric, "SUVbw: highest"
            )
        )
        for metric in METRICS
        for when, study in (("before", "earlier"), ("after", "later"))
    },
    **{f"{metric}_ratio": f"ratio of {METRIC_NAMES[metric]}; 0 where the lesion is resolved" for metric in METRICS},
    **{f"{metric}_beyond": "-1, 0 or 1: below, within or above the limits of repeatability" for metric in METRICS},
    "confidence": "the least of the links that the comparison rests on, 1 where a reader confirmed them",
    "reason": "why it is of this class",
    "deciding_measure": "the measure that decides between increasing, stable and decreasing",
    "low_limit": "a ratio of the deciding measure below this is a change",
    "high_limit": "a ratio of the deciding measure above this is a change",
}


def write_results_json(results: Results, path: Path) -> None:
    """Write ``results`` as JSON in UTF-8; the file is complete or not there at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(results.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    write_whole(path, f"{text}\n".encode())


def write_lesions_csv(results: Results, path: Path) -> None:
    """Write one row per lesion and study, and one for each study at which a track has no lesion but a status.

    RFC 4180 in UTF-8 without byte order mark: comma, CRLF, quotes where needed, point as decimal sign, header row.
    ``LESION_COLUMNS`` says what each column holds. Numbers are not rounded.

    Raises:
        OSError: the file cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(LESION_COLUMNS), restval="")
    writer.writeheader()
    writer.writerows(_rows(results))
    write_whole(path, buffer.getvalue().encode())


def write_response_csv(results: Results, path: Path) -> None:
    """Write one row per comparison of two studies and track; format as ``lesions.csv``, columns ``RESPONSE_COLUMNS``.

    Raises:
        OSError: the file cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(RESPONSE_COLUMNS), restval="")
    writer.writeheader()
    for response in results.responses_by_lesion:
        common = _response_fields(response, results)
        writer.writerows(_plain({**common, **_change_fields(change)}) for change in response.changes)
    write_whole(path, buffer.getvalue().encode())


def _response_fields(response: LesionResponse, results: Results) -> dict[str, Any]:
    limits = results.response_limits
    return {
        "patient_id": results.patient.patient_id,
        "earlier_study_id": response.earlier_id,
        "earlier_study": results.study(response.earlier_id).label,
        "later_study_id": response.later_id,
        "later_study": results.study(response.later_id).label,
        "against": "; ".join(response.against),
        "deciding_measure": METRIC_NAMES[limits.metric],
        "low_limit": limits.deciding.low,
        "high_limit": limits.deciding.high,
    }


def _change_fields(change: LesionChangeResult) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "track": change.track,
        "class": change.class_,
        "counted": "yes" if change.counted else "no",
        "counted_with": change.standing,
        "group": "; ".join(change.group),
        "confidence": change.confidence,
        "reason": change.reason,
    }
    for when, burden in (("before", change.before), ("after", change.after)):
        if burden is not None:
            fields[f"lesions_{when}"] = "; ".join(str(lesion) for lesion in burden.lesions)
            for metric in METRICS:
                unit = "_ml" if metric == "volume" else ""
                fields[f"{metric}_{when}{unit}"] = burden.measure(metric)
    for metric in METRICS:
        fields[f"{metric}_ratio"] = change.ratios[metric]
        fields[f"{metric}_beyond"] = change.beyond.get(metric)
    return fields


def _rows(results: Results) -> Iterator[dict[str, Any]]:
    """Study by study: lesions in the order of their tracks, then tracks without a lesion there."""
    order = {track.label: index for index, track in enumerate(results.tracks)}
    for index, study in enumerate(results.studies):
        common = {
            "patient_id": results.patient.patient_id,
            "study": study.label,
            "study_id": study.study_id,
            "study_date": study.acquired.isoformat(),
            "days_since_baseline": study.days_since_baseline,
        }
        scaling = {
            "entered_by_hand": "; ".join(study.scaling.entered),
            **{_norm_column(name): study.norms.get(name) for name in SUV_NORMS},
        }
        cells = {track.label: track.cells[index] for track in results.tracks}
        for lesion in sorted(study.lesions, key=lambda lesion: (order.get(lesion.track, len(order)), lesion.lesion)):
            cell = cells.get(lesion.track)
            changes = {} if cell is None else _cell_fields(cell)
            yield _plain({**common, **_lesion_fields(lesion), **changes, **scaling})
        for track in results.tracks:
            cell = track.cells[index]
            if cell.lesion is None and cell.status:
                fields = {"track": track.label, "tracking_uid": track.tracking_uid, "status": cell.status}
                yield _plain({**common, **fields, **_cell_fields(cell)})


def _cell_fields(cell: TrackCell) -> dict[str, Any]:
    return {
        "volume_change_percent": cell.volume_change_percent,
        "suv_max_change_percent": cell.suv_max_change_percent,
        "response": cell.response,
        "response_to_previous": cell.response_to_previous,
        "track_decision": cell.decision,
        "track_decision_by": cell.decided_by,
    }


def _lesion_fields(lesion: LesionResult) -> dict[str, Any]:
    measures = lesion.measures
    places = {
        f"{name}_{direction}_mm": value
        for name, point in (("centroid", measures.centroid_mm), ("hottest", measures.hottest_mm))
        for direction, value in zip(("left", "posterior", "superior"), point, strict=True)
    }
    links = (
        f"{link.earlier_study_id}:{link.earlier_lesion} ({link.kind}, {link.confidence:.2f}, {link.status})"
        for link in lesion.links
    )
    return {
        "track": lesion.track,
        "tracking_uid": lesion.tracking_uid,
        "status": lesion.status,
        "lesion": lesion.lesion,
        "new_since_baseline": {True: "yes", False: "no", None: ""}[lesion.new_since_baseline],
        "volume_ml": measures.volume_ml,
        "suv_max_suvbw": measures.suv_max,
        "suv_mean_suvbw": measures.suv_mean,
        "suv_peak_suvbw": measures.suv_peak,
        "tl_psma_suvbw_ml": measures.tl_psma,
        **places,
        "mask": lesion.mask,
        "decision": lesion.decision,
        "origin": lesion.origin,
        "reason": lesion.reason,
        "linked_to": "; ".join(links),
        "region": lesion.region.name,
        "region_site": lesion.region.site,
        "region_source": lesion.region_source,
        "reviewed": "yes" if lesion.reviewed else "no",
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in row.items()}
