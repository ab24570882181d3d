"""Reading of synthetic NM reconstructions: place in space, stored values to Bq/mL, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from data_dir import test_data
from dicom_maker import save, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from nm_maker import item, mapping, write_nm
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib import spect
from PSMATheranosticsLib.dicom_series import Series, scan_folders
from PSMATheranosticsLib.entered_values import Entered, parse_entered
from PSMATheranosticsLib.errors import Cancelled, InputError
from PSMATheranosticsLib.nuclides import nuclide_in
from PSMATheranosticsLib.read_input import ReadOptions, read_studies
from PSMATheranosticsLib.spect_geometry import FrameStack
from pydicom.pixels.utils import compress
from pydicom.tag import Tag
from pydicom.uid import RLELossless, generate_uid

STORED = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)  # row and column, perpendicular unit vectors
COUNTS = [mapping("{counts}", 1.0)]


def series_of(path: Path) -> Series:
    (series,) = scan_folders([path]).series
    return series


def read(path: Path, entered: Entered | None = None) -> spect.SpectVolume:
    return spect.read_spect(series_of(path), entered)


def values(volume: spect.SpectVolume) -> np.ndarray:
    return sitk.GetArrayFromImage(volume.image)


def voxel_place(position, orientation, spacing_mm, pixel_mm, frame: int, row: int, column: int) -> np.ndarray:
    """Center of a voxel by the definition of DICOM (PS3.3 C.7.6.2.1.1 and C.8.4.15), written out."""
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    in_plane = np.array(position) + along_row * pixel_mm[1] * column + along_column * pixel_mm[0] * row
    return in_plane + np.cross(along_row, along_column) * spacing_mm * frame


def test_mirrored_frames_with_the_other_sign_of_spacing_are_the_same_volume(tmp_path: Path) -> None:
    up = read(write_nm(tmp_path / "up.dcm", STORED, 4.42, (-10.0, -20.0, -30.0)))
    down = read(write_nm(tmp_path / "down.dcm", STORED[::-1], -4.42, (-10.0, -20.0, -30.0 + 4 * 4.42)))
    assert up.image.GetSpacing() == pytest.approx((3.0, 4.0, 4.42))
    for volume in (up, down):
        assert volume.image.GetOrigin() == pytest.approx((-10.0, -20.0, -30.0), abs=1e-9)
        assert np.linalg.det(np.reshape(volume.image.GetDirection(), (3, 3))) == pytest.approx(1.0)
        assert volume.image.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_array_equal(values(up), values(down))
    assert up.image.GetDirection() == down.image.GetDirection()
    assert [one.frame for one in up.instances] == [1, 2, 3, 4, 5]
    assert [one.frame for one in down.instances] == [5, 4, 3, 2, 1]


def test_same_frames_with_the_other_sign_are_stacked_the_other_way(tmp_path: Path) -> None:
    down = read(write_nm(tmp_path / "down.dcm", STORED, -4.42, (-10.0, -20.0, -30.0)))
    assert down.image.GetOrigin() == pytest.approx((-10.0, -20.0, -30.0 - 4 * 4.42))
    np.testing.assert_array_equal(values(down), 2.0 * STORED[::-1])


@settings(max_examples=15, deadline=None)
@given(
    spacing_mm=st.sampled_from((4.42, -4.42, 2.0, -9.7)),
    orientation=st.sampled_from(((1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0), OBLIQUE)),
    position=st.tuples(*[st.floats(-500, 500).map(lambda value: round(value, 3))] * 3),
)
def test_every_voxel_lies_where_the_header_says(tmp_path_factory, spacing_mm, orientation, position) -> None:
    path = write_nm(tmp_path_factory.mktemp("nm") / "x.dcm", STORED, spacing_mm, position, orientation)
    image = read(path).image
    for frame, row, column in ((0, 0, 0), (4, 5, 6), (1, 2, 3), (3, 0, 6)):
        place = voxel_place(position, orientation, spacing_mm, (4.0, 3.0), frame, row, column)
        index = image.TransformPhysicalPointToIndex([float(value) for value in place])
        assert image[index] == 2.0 * STORED[frame, row, column]
        assert image.TransformIndexToPhysicalPoint(index) == pytest.approx(tuple(place), abs=1e-6)


def test_slice_vector_numbers_the_slices(tmp_path: Path) -> None:
    order = [3, 1, 2, 5, 4]  # slice number of each frame
    shuffled = np.stack([STORED[number - 1] for number in order])
    volume = read(write_nm(tmp_path / "x.dcm", shuffled, SliceVector=order))
    np.testing.assert_array_equal(values(volume), 2.0 * STORED)
    assert [one.frame for one in volume.instances] == [2, 3, 1, 5, 4]


def test_geometry_of_the_image_itself_serves_where_the_detector_has_none(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, position=(1.0, 2.0, 3.0), in_detector=False))
    assert volume.image.GetOrigin() == pytest.approx((1.0, 2.0, 3.0))


def test_geometry_is_known_without_pixels_and_its_mirror_keeps_slice_one(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED)
    stack = spect.geometry(series_of(path))
    assert isinstance(stack, FrameStack)
    assert stack.size == (7, 6, 5)
    mirror = spect.mirrored(stack)
    assert mirror.origin == pytest.approx((-10.0, -20.0, -30.0 - 4 * 4.42))
    assert spect.mirrored(mirror).origin == pytest.approx(stack.origin)


def test_real_world_slope_is_applied_exactly_once_and_not_with_rescale(tmp_path: Path) -> None:
    one = read(write_nm(tmp_path / "a.dcm", STORED, mappings=[mapping("Bq/ml", 0.5, 3.0)]))
    np.testing.assert_allclose(values(one), STORED * 0.5 + 3.0, rtol=1e-7)
    both = read(
        write_nm(tmp_path / "b.dcm", STORED, mappings=[mapping("Bq/ml", 0.5)], RescaleSlope=7, RescaleIntercept=1)
    )
    np.testing.assert_allclose(values(both), STORED * 0.5, rtol=1e-7)
    assert any("RescaleSlope (not applied" in name for name in both.scaling.inputs)
    assert both.scaling.inputs["RealWorldValueSlope"] == 0.5
    assert both.scaling.factor == 1.0
    assert both.slopes == (0.5,) * 5


def test_two_contradicting_scalings_to_bq_per_ml_are_told(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, Units="BQML", RescaleSlope=7, RescaleIntercept=0)
    assert any("the header scales twice" in warning for warning in read(path).warnings)


@pytest.mark.parametrize(
    ("unit", "factor"), [("Bq/ml", 1.0), ("Bq/mL", 1.0), ("BQML", 1.0), ("kBq/ml", 1e3), ("MBq/mL", 1e6)]
)
def test_units_of_the_mapping_are_converted(tmp_path: Path, unit: str, factor: float) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, mappings=[mapping(unit, 0.25)]))
    np.testing.assert_allclose(values(volume), STORED * 0.25 * factor, rtol=1e-6)
    assert volume.scaling.quantity == "Bq/mL"
    assert volume.scaling.factor == factor


def test_the_mapping_to_activity_is_chosen_among_others_and_may_stand_there_twice(tmp_path: Path) -> None:
    mappings = [mapping("{counts}", 9.0), mapping("Bq/ml", 0.5), mapping("Bq/ml", 0.5)]
    np.testing.assert_allclose(values(read(write_nm(tmp_path / "x.dcm", STORED, mappings=mappings))), STORED * 0.5)


def test_voxels_outside_the_mapped_range_are_told(tmp_path: Path) -> None:
    limited = mapping("Bq/ml", 0.5)
    limited.add_new("RealWorldValueFirstValueMapped", "US", 0)
    limited.add_new("RealWorldValueLastValueMapped", "US", 199)
    volume = read(write_nm(tmp_path / "x.dcm", STORED, mappings=[limited]))
    assert any("10 voxels lie outside the stored values, 0 to 199" in warning for warning in volume.warnings)


def test_units_like_pet_take_the_rescale_slope(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, mappings=[], Units="BQML", RescaleSlope=0.5, RescaleIntercept=2)
    np.testing.assert_allclose(values(read(path)), STORED * 0.5 + 2.0, rtol=1e-7)


def test_signed_values_and_compressed_frames_are_read(tmp_path: Path) -> None:
    signed = read(write_nm(tmp_path / "signed.dcm", STORED.astype(np.int16) - 100))
    np.testing.assert_array_equal(values(signed), 2.0 * (STORED.astype(float) - 100))
    dataset = pydicom.dcmread(write_nm(tmp_path / "plain" / "x.dcm", STORED[::-1], -4.42))
    compress(dataset, RLELossless)
    (tmp_path / "rle").mkdir()
    np.testing.assert_array_equal(values(read(save(tmp_path / "rle" / "x.dcm", dataset))), 2.0 * STORED)


@pytest.mark.parametrize(
    ("vendor", "detectors", "projections"),
    [("SIEMENS NM", 2, 120), ("GE MEDICAL SYSTEMS", 2, 60), ("Philips Medical Systems", 2, 64)],
)
def test_counts_with_a_calibration_follow_the_projection_rule_of_the_vendor(
    tmp_path: Path, vendor: str, detectors: int, projections: int
) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, mappings=COUNTS, Manufacturer=vendor, NumberOfDetectors=detectors)
    told = projections if vendor.startswith("Philips") else None
    volume = read(path, Entered(calibration_cps_per_mbq=9.3, projections=told))
    # counts / (20 s x projections) / 9.3 cps/MBq x 1e6 / (3 x 4 x 4.42 mm3 in mL)
    expected = STORED / (20.0 * projections) / 9.3 * 1e6 / (3 * 4 * 4.42 / 1000)
    np.testing.assert_allclose(values(volume), expected, rtol=1e-6)
    assert "calibration_cps_per_mbq" in volume.scaling.entered
    assert ("projections" in volume.scaling.entered) == (told is not None)
    assert f"over {projections} projections" in volume.scaling.method


def test_one_detector_of_siemens_is_doubted_and_what_was_entered_is_told(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, mappings=COUNTS, Manufacturer="SIEMENS")
    doubted = read(path, Entered(calibration_cps_per_mbq=9.3)).warnings
    assert any("NumberOfDetectors (0054,0021) is 1" in warning for warning in doubted)
    entered = read(path, Entered(calibration_cps_per_mbq=9.3, projections=120)).warnings
    assert not any("NumberOfDetectors" in warning for warning in entered)
    assert any("entered by hand: calibration_cps_per_mbq 9.3 cps/MBq" in warning for warning in entered)
    assert any("entered by hand: projections 120" in warning for warning in entered)


def test_vectors_left_over_from_the_projections_do_not_matter(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, EnergyWindowVector=[1] * 60 + [2] * 60))
    np.testing.assert_array_equal(values(volume), 2.0 * STORED)


def test_counts_are_scaled_once_before_the_calibration(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, mappings=[mapping("{counts}", 0.5)], Manufacturer="GE", RescaleSlope=7)
    expected = 0.5 * STORED / (20.0 * 60) / 5.0 * 1e6 / (3 * 4 * 4.42 / 1000)
    np.testing.assert_allclose(values(read(path, Entered(calibration_cps_per_mbq=5.0))), expected, rtol=1e-6)


def test_a_calibration_does_not_touch_an_image_that_is_in_bq_per_ml(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED), Entered(calibration_cps_per_mbq=9.3))
    np.testing.assert_array_equal(values(volume), 2.0 * STORED)


RAW = [Tag(0x0054, 0x0010), Tag(0x0054, 0x0020), Tag(0x0054, 0x0050), Tag(0x0054, 0x0090)]
SLICES = {"SliceVector": None}
NOT_READ: list[tuple[str, dict[str, Any]]] = [
    ("raw projections", {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"], "FrameIncrementPointer": RAW}),
    ("RotationVector, AngularViewVector", {"ImageType": ["DERIVED"], "FrameIncrementPointer": RAW, **SLICES}),
    ("planar whole-body", {"ImageType": ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]}),
    ("planar image", {"ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]}),
    ("planar dynamic", {"ImageType": ["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"]}),
    ("planar gated", {"ImageType": ["ORIGINAL", "PRIMARY", "GATED", "EMISSION"]}),
    ("raw gated projections", {"ImageType": ["ORIGINAL", "PRIMARY", "GATED TOMO", "EMISSION"]}),
    ("a gated reconstruction", {"ImageType": ["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"]}),
    ("transmission image", {"ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "TRANSMISSION"]}),
    ("several energy windows", {"EnergyWindowVector": [1, 1, 1, 2, 2]}),
    ("several detectors", {"DetectorVector": [1, 1, 1, 2, 2]}),
    ("time slots", {"TimeSlotVector": [1, 1, 1, 2, 2]}),
    ("no reconstruction", {"ImageType": ["ORIGINAL", "PRIMARY"], "SpacingBetweenSlices": None}),
    ("screen capture", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}),
]


@pytest.mark.parametrize(("reason", "attributes"), NOT_READ, ids=[reason for reason, _ in NOT_READ])
def test_what_is_no_reconstructed_volume_says_so(tmp_path: Path, reason: str, attributes: dict[str, Any]) -> None:
    series = series_of(write_nm(tmp_path / "x.dcm", STORED, **attributes))
    assert spect.is_spect(series)
    assert reason in (spect.why_not_read(series) or "")
    with pytest.raises(InputError, match="Hand in the reconstructed SPECT") as refused:
        spect.read_spect(series)
    assert reason in str(refused.value)


def table() -> Any:
    table = mapping("Bq/ml")
    table.RealWorldValueLUTData = [0.0, 1.0]
    return table


REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("SpacingBetweenSlices (0018,0088) is missing or zero", "Reconstruct or export", {"spacing_mm": None}),
    ("SpacingBetweenSlices (0018,0088) is missing or zero", "Reconstruct or export", {"spacing_mm": 0.0}),
    ("SpacingBetweenSlices (0018,0088) is 442, not from 0.01 to 100 mm", "Export", {"spacing_mm": 442.0}),
    ("ImagePositionPatient (0020,0032) is missing", "export", {"position": None}),
    ("ImagePositionPatient (0020,0032) is missing or malformed", "export", {"position": (0.0, 0.0, 1e9)}),
    ("Columns (0028,0011) is missing or not above zero", "export", {"Columns": 0}),
    ("ImageOrientationPatient (0020,0037) is missing", "export", {"orientation": None}),
    ("not two perpendicular unit vectors", "Export the series", {"orientation": (1, 0, 0, 1, 0, 0)}),
    ("PixelSpacing (0028,0030) is missing or not above zero", "export", {"pixel_mm": (0.0, 3.0)}),
    ("SliceVector (0054,0080) does not number the 5 frames", "export", {"SliceVector": [1, 2, 3, 4, 4]}),
    ("SliceVector (0054,0080) does not number the 5 frames", "export", {"SliceVector": [1, 2, 3]}),
    ("NumberOfFrames (0028,0008) is 1", "complete reconstruction", {"NumberOfFrames": 1}),
    ("cannot be read", "Export the series again", {"NumberOfFrames": 6, "SliceVector": None}),
    ("is g/ml{SUVbw}, which is no activity concentration", "Export", {"mappings": [mapping("g/ml{SUVbw}")]}),
    ("is mBq/ml, which is no activity concentration", "Export", {"mappings": [mapping("mBq/ml")]}),
    ("is missing, which is no activity concentration", "Export", {"mappings": [mapping("")]}),
    ("Units (0054,1001) is PROPCNTS", "Export the series in Bq/mL", {"mappings": [], "Units": "PROPCNTS"}),
    ("is a lookup table", "linear mapping", {"mappings": [table()]}),
    ("2 different mappings", "Export", {"mappings": [mapping("Bq/ml", 1.0), mapping("Bq/ml", 2.0)]}),
    ("several units", "one mapping", {"mappings": [mapping("Bq/ml", 1.0), mapping("kBq/ml", 2.0)]}),
    ("RealWorldValueSlope (0040,9225) is not above zero", "Export", {"mappings": [mapping("Bq/ml", 0.0)]}),
    ("RescaleSlope (0028,1053) is missing", "Export", {"mappings": [], "Units": "BQML"}),
    ("holds counts only", "--enter calibration_cps_per_mbq=", {"mappings": []}),
    ("holds counts only", "--enter calibration_cps_per_mbq=", {"mappings": COUNTS}),
    ("holds counts only", "--enter calibration_cps_per_mbq=", {"mappings": [], "Units": "CNTS"}),
    ("decay corrected to the injection", "--enter injected=", {"DecayCorrection": "ADMIN", "injection": {
        "RadiopharmaceuticalStartDateTime": None}}),
    ("needs the half-life", "--enter half_life_s=", {"DecayCorrection": "START", "injection": {
        "RadionuclideHalfLife": None, "Radiopharmaceutical": "PSMA"}}),
    ("DecayCorrection (0054,1102) is OTHER", "--enter reference_time=", {"DecayCorrection": "OTHER"}),
    ("has no date and time of acquisition", "Export", {
        "AcquisitionDate": None, "SeriesDate": None, "StudyDate": None}),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "remedy", "changes"), REFUSED, ids=range(len(REFUSED)))
def test_a_broken_reconstruction_is_refused_with_attribute_and_remedy(
    tmp_path: Path, problem: str, remedy: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as refused:
        read(write_nm(tmp_path / "x.dcm", STORED, **changes))
    assert problem in str(refused.value)
    assert remedy in str(refused.value)
    assert "synthetic SPECT" in str(refused.value) or "x.dcm" in str(refused.value)


@pytest.mark.parametrize(
    ("missing", "changes", "entered"),
    [
        ("calibration_cps_per_mbq", {"mappings": COUNTS}, None),
        ("projections", {"mappings": COUNTS}, Entered(calibration_cps_per_mbq=9.0)),
        ("projections", {"mappings": COUNTS, "Manufacturer": "SIEMENS", "NumberOfDetectors": None},
         Entered(calibration_cps_per_mbq=9.0)),
        ("injected", {"DecayCorrection": "ADMIN", "injection": {"RadiopharmaceuticalStartDateTime": None}}, None),
        ("reference_time", {"DecayCorrection": "OTHER"}, None),
    ],
)  # fmt: skip
def test_the_error_names_what_can_be_entered(tmp_path: Path, missing, changes, entered) -> None:
    with pytest.raises(InputError) as refused:
        read(write_nm(tmp_path / "x.dcm", STORED, **changes), entered)
    assert missing in refused.value.missing


def test_counts_without_a_time_per_projection_cannot_be_calibrated(tmp_path: Path) -> None:
    path = write_nm(tmp_path / "x.dcm", STORED, mappings=COUNTS, rotation={"ActualFrameDuration": None})
    with pytest.raises(InputError, match=r"ActualFrameDuration \(0018,1242\)"):
        read(path, Entered(calibration_cps_per_mbq=9.0, projections=60))


def test_several_reconstructions_in_one_series_are_refused_but_a_copy_is_not(tmp_path: Path) -> None:
    uid, shared = generate_uid(), {"SeriesInstanceUID": generate_uid()}
    write_nm(tmp_path / "a.dcm", STORED, SOPInstanceUID=uid, **shared)
    write_nm(tmp_path / "copy.dcm", STORED, SOPInstanceUID=uid, **shared)
    assert any("the image is there 2 times" in warning for warning in read(tmp_path).warnings)
    write_nm(tmp_path / "b.dcm", STORED, **shared)
    with pytest.raises(InputError, match="holds 2 reconstructions"):
        read(tmp_path)


def test_of_two_reconstructions_in_one_series_the_attenuation_corrected_one_is_read(tmp_path: Path) -> None:
    shared = {"SeriesInstanceUID": generate_uid()}
    write_nm(tmp_path / "a.dcm", STORED, CorrectedImage=["SCAT"], **shared)
    write_nm(tmp_path / "b.dcm", STORED + np.uint16(7), CorrectedImage=["ATTN", "SCAT"], **shared)
    volume = read(tmp_path)
    np.testing.assert_array_equal(values(volume), 2.0 * (STORED + 7))
    assert any("1 image(s) of the series were left aside: not corrected" in warning for warning in volume.warnings)


def test_a_planar_image_in_the_same_series_is_left_aside(tmp_path: Path) -> None:
    shared = {"SeriesInstanceUID": generate_uid()}
    write_nm(tmp_path / "a.dcm", STORED, **shared)
    write_nm(tmp_path / "b.dcm", STORED, ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], **shared)
    volume = read(tmp_path)
    assert any("1 image(s) of the series were left aside: a planar image" in warning for warning in volume.warnings)


def test_missing_attenuation_correction_is_told(tmp_path: Path) -> None:
    volume = read(write_nm(tmp_path / "x.dcm", STORED, CorrectedImage=["SCAT"]))
    assert any("not corrected for attenuation" in warning for warning in volume.warnings)


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        raise Cancelled

    many = np.zeros((40, 4, 4), dtype=np.uint16)
    with pytest.raises(Cancelled):
        spect.read_spect(series_of(write_nm(tmp_path / "x.dcm", many)), None, stop)


@pytest.mark.parametrize(
    ("words", "nuclide"),
    [
        ("Lu-177 PSMA-617", "177Lu"), ("^177^Lutetium", "177Lu"), ("177LuPSMA", "177Lu"), ("Tc99m PSMA", "99mTc"),
        ("Technetium Tc^99m^", "99mTc"), ("PSMA-1007 F-18", "18F"), ("[68Ga]Ga-PSMA-11", "68Ga"), ("In-111", "111In"),
        ("^111^Indium", "111In"), ("I-131 MIBG", "131I"), ("Zr-89", "89Zr"), ("PSMA-617", None), ("", None),
    ],
)  # fmt: skip
def test_nuclides_are_recognized_in_names(words: str, nuclide: str | None) -> None:
    assert nuclide_in(words) == nuclide


def test_a_patient_sized_volume_of_the_voxel_phantom_comes_back_with_its_liver(tmp_path: Path) -> None:
    """Labels of a patient's organs (a measured anatomy; the activities are synthetic), slices of 4.4196 mm."""
    raw = test_data("lu177-voxel-phantom", "patient15_LuDOTATATE_src.i33")
    labels = np.fromfile(raw, dtype="<u2").reshape(90, 70, 108)
    liver = labels == 15000
    volume = read(write_nm(tmp_path / "x.dcm", labels, -4.4196, pixel_mm=(3.9063, 3.9063), mappings=[mapping()]))
    mask = sitk.Cast(sitk.Equal(volume.image, 30000.0), sitk.sitkUInt16)
    (measured,) = measure_lesions(volume.image, mask)
    assert measured.voxels == liver.sum() == 15381
    assert measured.volume_ml == pytest.approx(15381 * 3.9063 * 3.9063 * 4.4196 / 1000, rel=1e-9)
    k, j, i = np.argwhere(liver).mean(axis=0)
    expected = (-10.0 + 3.9063 * i, -20.0 + 3.9063 * j, -30.0 - 4.4196 * k)
    assert measured.centroid_mm == pytest.approx(expected, abs=1e-3)


def write_ct(folder: Path) -> None:
    write_series(folder, np.zeros((13, 8, 8), np.int16), "CT", origin=(-12, -22, -35), spacing=(4, 4, 3))


def test_a_folder_with_spect_and_ct_is_a_spect_study_with_its_ct(tmp_path: Path) -> None:
    write_nm(tmp_path / "nm.dcm", STORED[::-1], -4.42, (-10.0, -20.0, -30.0 + 4 * 4.42))
    write_ct(tmp_path / "ct")
    (study,) = read_studies([tmp_path])
    assert (study.modality, study.scaling.quantity, study.tracer) == ("SPECT", "Bq/mL", "Lu-177 PSMA-617")
    assert study.ct is not None
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.emission), 2.0 * STORED)
    assert study.minutes_after_injection == pytest.approx(24 * 60 + 10)
    assert len(set(study.origin.instance_uids)) == 1
    assert study.origin.frames == (5, 4, 3, 2, 1)
    assert study.origin.slopes == (2.0,) * 5


def test_a_sign_of_spacing_that_puts_the_spect_off_its_ct_is_told(tmp_path: Path) -> None:
    write_nm(tmp_path / "nm.dcm", STORED, -4.42, (-10.0, -20.0, -30.0))
    write_ct(tmp_path / "ct")
    (study,) = read_studies([tmp_path])
    assert any("stacked the other way" in warning for warning in study.warnings)


def test_a_spect_in_counts_is_read_with_what_is_entered_for_its_day(tmp_path: Path) -> None:
    write_nm(tmp_path / "nm.dcm", STORED, mappings=COUNTS, Manufacturer="GE")
    with pytest.raises(InputError, match="holds counts only"):
        read_studies([tmp_path])
    entered = parse_entered(["2024-05-06:calibration_cps_per_mbq=5", "weight_kg=81"])
    (study,) = read_studies([tmp_path], ReadOptions(entered=entered))
    assert study.scaling.entered == ("calibration_cps_per_mbq", "PatientWeight")
    assert study.weight_kg == 81.0


def test_detector_item_is_the_first_one(tmp_path: Path) -> None:
    first = item(ImagePositionPatient=[1.0, 2.0, 3.0], ImageOrientationPatient=[1.0, 0, 0, 0, 1.0, 0])
    second = item(ImagePositionPatient=[9.0, 9.0, 9.0], ImageOrientationPatient=[1.0, 0, 0, 0, 1.0, 0])
    path = write_nm(tmp_path / "x.dcm", STORED, DetectorInformationSequence=[first, second])
    assert read(path).image.GetOrigin() == pytest.approx((1.0, 2.0, 3.0))
