"""Names of regions and segments, read without pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk
from dicom_maker import save
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.label_names import label_names
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage, generate_uid


def write(path: Path, kind: str, sequence: str, name: str, names: list[str]) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, generate_uid()
    items = []
    for each in names:
        item = Dataset()
        setattr(item, name, each)
        items.append(item)
    setattr(dataset, sequence, items)
    return save(path, dataset)


def test_regions_of_a_structure_set_come_in_their_order(tmp_path):
    file = write(tmp_path / "rs.dcm", RTStructureSetStorage, "StructureSetROISequence", "ROIName", ["GTV", "Body"])
    assert label_names(file) == ["GTV", "Body"]


def test_segments_of_a_seg_are_named_by_their_label(tmp_path):
    file = write(tmp_path / "seg.dcm", SegmentationStorage, "SegmentSequence", "SegmentLabel", ["L01", "L02"])
    assert label_names(file) == ["L01", "L02"]


def test_a_label_image_has_no_names(tmp_path):
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkUInt8), str(tmp_path / "labels.nrrd"))
    assert label_names(tmp_path / "labels.nrrd") == []


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.dcm cannot be opened"):
        label_names(tmp_path / "nothing.dcm")
