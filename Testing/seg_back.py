"""A DICOM SEG of this software read back: labels as an import reads them, and what stands in each segment."""

from __future__ import annotations

from pathlib import Path

import pydicom
import SimpleITK as sitk
from PSMATheranosticsLib.dicom_seg import MANUAL, SegmentDescription
from PSMATheranosticsLib.dicom_terms import REGIONS
from PSMATheranosticsLib.dicom_values import first_item, text
from PSMATheranosticsLib.seg_read import segment_labels
from pydicom.dataset import Dataset

_REGION_OF_CODE = {(code.scheme_designator, code.value): name for name, code in REGIONS.items()}


def read_segmentation(path: Path) -> tuple[sitk.Image, list[SegmentDescription]]:
    """Labels (uint16, one value per lesion) and segments of a SEG; slices ascend along their normal."""
    dataset = pydicom.dcmread(path)
    return segment_labels(dataset, path).labels, [_described(item) for item in dataset.SegmentSequence]


def _described(item: Dataset) -> SegmentDescription:
    algorithm_type = text(item, "SegmentAlgorithmType")
    algorithms = item.get("SegmentationAlgorithmIdentificationSequence")
    region = first_item(item, "AnatomicRegionSequence")
    return SegmentDescription(
        number=int(text(item, "SegmentDescription").removeprefix("Lesion ") or item.SegmentNumber),
        label=text(item, "SegmentLabel"),
        tracking_id=text(item, "TrackingID"),
        tracking_uid=text(item, "TrackingUID"),
        algorithm=MANUAL if algorithm_type == "MANUAL" else text(item, "SegmentAlgorithmName"),
        algorithm_version=text(algorithms[0], "AlgorithmVersion") if algorithms else "",
        automatic=algorithm_type == "AUTOMATIC",
        region=_REGION_OF_CODE.get((text(region, "CodingSchemeDesignator"), text(region, "CodeValue")), ""),
    )
