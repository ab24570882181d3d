"""``statistics.csv``: first-order statistics of the uptake in every lesion that counts, for physicists."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.statistics import intensity_statistics

from .progress import Progress
from .results_model import Results, StudyResult
from .suv_emission import suv_emission
from .whole_file import write_whole

if TYPE_CHECKING:
    from .case_store import CaseStore

# Columns of statistics.csv, in order; uptake in SUVbw. Definitions stand in ``PSMASegmentLib.statistics``.
STATISTICS_COLUMNS: dict[str, str] = {
    "patient_id": "Patient ID",
    "study": "label of the study",
    "study_id": "number of the study in the case",
    "track": "label of the lesion over time",
    "lesion": "value in the label image of the study",
    "voxels": "number of voxels",
    "volume_ml": "volume by counting voxels, mL",
    "mean": "mean",
    "sd": "standard deviation of the population",
    "minimum": "lowest value",
    "p10": "10th percentile",
    "p25": "25th percentile",
    "median": "median",
    "p75": "75th percentile",
    "p90": "90th percentile",
    "maximum": "highest value",
    "iqr": "p75 - p25",
    "local_peak": "mean over a sphere of 1 mL around the hottest voxel",
    "global_peak": "highest mean over a sphere of 1 mL around any voxel of the lesion: SUVpeak",
}


def write_statistics_csv(case: CaseStore, results: Results, path: Path, progress: Progress) -> None:
    """Write one row per study and lesion, by the numbers of the lesions; format as ``lesions.csv``.

    Raises:
        CaseError: an image of the case is missing or damaged.
        OSError: the file cannot be written; a file that was there is left as it was.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(STATISTICS_COLUMNS))
    writer.writeheader()
    segmented = [study for study in results.studies if study.segmentation is not None]
    for index, study in enumerate(segmented):
        progress(index / len(segmented), f"Statistics of {study.label}")
        writer.writerows(_rows(case, results, study))
    write_whole(path, buffer.getvalue().encode())


def _rows(case: CaseStore, results: Results, study: StudyResult) -> list[dict[str, Any]]:
    stored = case.study(study.study_id)
    suv = suv_emission(case.load_image(stored.emission_id), stored.scaling, stored.label)
    tracks = {lesion.lesion: lesion.track for lesion in study.lesions}
    who = {"patient_id": results.patient.patient_id, "study": study.label, "study_id": study.study_id}
    return [
        {**who, "track": tracks[found.lesion], **asdict(found)}
        for found in intensity_statistics(suv, case.labels(study.study_id))
    ]
