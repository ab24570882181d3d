"""The tables of lesions: one row per lesion and study, and one per comparison of two studies and track."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PSMASegmentLib.lesion_regions import REGIONS
from PSMATrackingLib.lesion_response import CLASSES
from PSMATrackingLib.repeatability import METRIC_NAMES, METRICS

from .results_model import LesionChangeResult, LesionResponse, LesionResult, Results, TrackCell
from .suv_norms import SUV_NORMS
from .table_model import NUMBER, TIME, WHOLE, Column, Table, yes_no

_METRIC_TITLES = {"volume": "Volume (mL)", "tl_psma": "TL-PSMA (SUVbw x mL)"}


def _norm_column(name: str) -> str:
    """Such as suvlbm_janma_per_suvbw."""
    return name.lower().replace("(", "_").replace(")", "") + "_per_suvbw"


# An empty field means: does not apply, or is not known.
LESION_COLUMNS = (
    Column("patient_id", "Patient ID", "Patient ID"),
    Column("study", "Study", "label of the study, e.g. Baseline, Follow-up 1"),
    Column("study_id", "Study number", "number of the study in the case", WHOLE),
    Column("study_date", "Acquired", "date and time of acquisition, ISO 8601", TIME),
    Column("days_since_baseline", "Days since baseline", "calendar days, negative before the baseline", WHOLE),
    Column("track", "Track", "label of the lesion over time, e.g. L01"),
    Column("tracking_uid", "Tracking UID", "DICOM Tracking Unique Identifier of the track"),
    Column(
        "status", "Status", "what became of the track at this study; rows without a lesion: gone, merged, not imaged"
    ),
    Column("lesion", "Lesion", "value in the label image of the study", WHOLE),
    Column("new_since_baseline", "New since baseline", "yes or no"),
    Column("volume_ml", "Volume (mL)", "volume, mL", NUMBER),
    Column("suv_max_suvbw", "SUVmax (SUVbw)", "highest SUVbw", NUMBER),
    Column("suv_mean_suvbw", "SUVmean (SUVbw)", "mean SUVbw", NUMBER),
    Column(
        "suv_peak_suvbw",
        "SUVpeak (SUVbw)",
        "highest mean over a sphere of 1 mL centered on a voxel of the lesion, SUVbw",
        NUMBER,
    ),
    Column("tl_psma_suvbw_ml", "TL-PSMA (SUVbw x mL)", "volume x SUVmean, SUVbw x mL", NUMBER, 1),
    Column(
        "volume_change_percent", "Volume change (%)", "volume against the same track at baseline, percent", NUMBER, 1
    ),
    Column(
        "suv_max_change_percent", "SUVmax change (%)", "SUVmax against the same track at baseline, percent", NUMBER, 1
    ),
    Column(
        "centroid_left_mm",
        "Center, left (mm)",
        "center of the lesion in patient coordinates: x to the left, mm",
        NUMBER,
        1,
    ),
    Column("centroid_posterior_mm", "Center, posterior (mm)", "y to the back, mm", NUMBER, 1),
    Column("centroid_superior_mm", "Center, superior (mm)", "z to the head, mm", NUMBER, 1),
    Column("hottest_left_mm", "SUVmax, left (mm)", "center of the voxel with SUVmax: x to the left, mm", NUMBER, 1),
    Column("hottest_posterior_mm", "SUVmax, posterior (mm)", "y to the back, mm", NUMBER, 1),
    Column("hottest_superior_mm", "SUVmax, superior (mm)", "z to the head, mm", NUMBER, 1),
    Column("mask", "Mask", "automatic, corrected or drawn by hand"),
    Column("decision", "Decision", "undecided or accepted; lesions that a reader rejected are not listed"),
    Column("origin", "Found by", "what found the lesion"),
    Column("reason", "Reason", "why it was taken for a lesion"),
    Column("entered_by_hand", "Entered by hand", "inputs of the SUV that a person entered, separated by semicolons"),
    *(
        Column(
            _norm_column(name),
            f"{name} per SUVbw",
            f"multiply a SUVbw by this to get it as {name}; empty without weight, height and sex",
            NUMBER,
            4,
        )
        for name in SUV_NORMS
    ),
    Column(
        "linked_to",
        "Linked to",
        "lesions of earlier studies: study_id:lesion (kind, confidence, status), separated by semicolons",
    ),
    Column("region", "Region", f"where the lesion is counted: {', '.join(REGIONS)}"),
    Column("region_site", "Site", "more about the place, such as liver or pelvis"),
    Column("region_source", "Region from", "proposed by the software, or chosen by a reader: proposed or reader"),
    Column("reviewed", "Reviewed", "yes where a reader accepted the lesion, else no"),
    Column(
        "response",
        "Class against baseline",
        f"of the track against the baseline: {', '.join(CLASSES)}; see lesion_response.csv",
    ),
    Column("response_to_previous", "Class against previous", "of the track against the study of its kind before"),
    Column(
        "track_decision",
        "Decision on track",
        "what a reader said about the track at this study: confirmed, new, gone or not imaged",
    ),
    Column("track_decision_by", "Decided by", "who said so"),
    Column("mi_psma", "miPSMA", "expression score, 0 to 3; empty where reference regions do not decide it", WHOLE),
    Column("probability", "Probability", "of a network when it was found, 0 to 1; empty from other methods", NUMBER),
    Column("low_evidence", "Low evidence", "yes where much spoke against it when it was found (see reason), else no"),
)

_SUMMED = {"volume": "mL: sum", "tl_psma": "SUVbw x mL: sum", "suv_mean": "SUVbw: mean of all voxels"}
# Ratios are later / earlier.
CHANGE_COLUMNS = (
    Column("patient_id", "Patient ID", "Patient ID"),
    Column("earlier_study_id", "Earlier study number", "number of the earlier study in the case", WHOLE),
    Column("earlier_study", "Earlier study", "its label"),
    Column("later_study_id", "Later study number", "number of the later study in the case", WHOLE),
    Column("later_study", "Later study", "its label"),
    Column(
        "against",
        "Against",
        "what the earlier study is to the later one: baseline, previous, or both separated by a semicolon",
    ),
    Column("track", "Track", "label of the lesion over time"),
    Column("class", "Class", ", ".join(CLASSES)),
    Column(
        "counted",
        "Counted",
        "yes, or no for a track that is counted with another one, into which it merged or from which it split",
    ),
    Column("counted_with", "Counted with", "the track that counts for all of the group"),
    Column("group", "Group", "tracks that are compared together, separated by semicolons"),
    Column(
        "lesions_before",
        "Lesions before",
        "values in the label image of the earlier study, separated by semicolons",
    ),
    Column("lesions_after", "Lesions after", "values in the label image of the later study"),
    *(
        Column(
            f"{metric}_{when}{'_ml' if metric == 'volume' else ''}",
            f"{_METRIC_TITLES.get(metric, f'{METRIC_NAMES[metric]} (SUVbw)')} {when}",
            f"{METRIC_NAMES[metric]} of the group at the {study} study, {_SUMMED.get(metric, 'SUVbw: highest')}",
            NUMBER,
        )
        for metric in METRICS
        for when, study in (("before", "earlier"), ("after", "later"))
    ),
    *(
        Column(
            f"{metric}_ratio",
            f"{METRIC_NAMES[metric]} ratio",
            f"ratio of {METRIC_NAMES[metric]}; 0 where the lesion is resolved",
            NUMBER,
        )
        for metric in METRICS
    ),
    *(
        Column(
            f"{metric}_beyond",
            f"{METRIC_NAMES[metric]} beyond limits",
            "-1, 0 or 1: below, within or above the limits of repeatability",
            WHOLE,
        )
        for metric in METRICS
    ),
    Column(
        "confidence",
        "Confidence",
        "the least of the links that the comparison rests on, 1 where a reader confirmed them",
        NUMBER,
    ),
    Column("reason", "Reason", "why it is of this class"),
    Column(
        "deciding_measure",
        "Deciding measure",
        "the measure that decides between increasing, stable and decreasing",
    ),
    Column("low_limit", "Low limit", "a ratio of the deciding measure below this is a change", NUMBER),
    Column("high_limit", "High limit", "a ratio of the deciding measure above this is a change", NUMBER),
)


def lesion_table(results: Results) -> Table:
    """One row per lesion and study, and one for each study at which a track has no lesion but a status."""
    return Table("lesions", "Lesions", LESION_COLUMNS, tuple(_lesion_rows(results)))


def change_table(results: Results) -> Table:
    """One row per comparison of two studies and track."""
    rows = tuple(
        {**_response_fields(response, results), **_change_fields(change)}
        for response in results.responses_by_lesion
        for change in response.changes
    )
    return Table("lesion_response", "Lesion response", CHANGE_COLUMNS, rows)


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
        "counted": yes_no(change.counted),
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


def _lesion_rows(results: Results) -> Iterator[dict[str, Any]]:
    """Study by study: lesions in the order of their tracks, then tracks without a lesion there."""
    order = {track.label: index for index, track in enumerate(results.tracks)}
    for index, study in enumerate(results.studies):
        common = {
            "patient_id": results.patient.patient_id,
            "study": study.label,
            "study_id": study.study_id,
            "study_date": study.acquired,
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
            yield {**common, **_lesion_fields(lesion), **changes, **scaling}
        for track in results.tracks:
            cell = track.cells[index]
            if cell.lesion is None and cell.status:
                fields = {"track": track.label, "tracking_uid": track.tracking_uid, "status": cell.status}
                yield {**common, **fields, **_cell_fields(cell)}


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
        "new_since_baseline": yes_no(lesion.new_since_baseline),
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
        "reviewed": yes_no(lesion.reviewed),
        "mi_psma": lesion.mi_psma,
        "probability": lesion.probability,
        "low_evidence": yes_no(lesion.low_evidence),
    }
