"""The results as files for other programs: ``results.json`` and ``lesions.csv``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PSMASegmentLib.lesion_regions import REGIONS

from .results_model import LesionResult, Results
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
            changes = {
                "volume_change_percent": None if cell is None else cell.volume_change_percent,
                "suv_max_change_percent": None if cell is None else cell.suv_max_change_percent,
            }
            yield _plain({**common, **_lesion_fields(lesion), **changes, **scaling})
        for track in results.tracks:
            cell = track.cells[index]
            if cell.lesion is None and cell.status:
                fields = {"track": track.label, "tracking_uid": track.tracking_uid, "status": cell.status}
                yield _plain({**common, **fields})


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
