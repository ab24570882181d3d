"""A folder of anything: encodings, character sets, removed dates, bare files, PET and SPECT of one visit."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import save, write_series
from nm_maker import write_nm, write_spect_as_pet
from PSMATheranosticsLib.dicom_series import scan_folders
from PSMATheranosticsLib.entered_values import Entered
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import ReadOptions, read_studies
from PSMATheranosticsLib.study import Study
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

RNG = np.random.default_rng(20240509)
PET = RNG.integers(0, 20000, (6, 32, 32))
CT = RNG.integers(-1000, 1500, (9, 8, 7))
NO_CT = ["There is no CT for this PET."]
SLOPES = [0.123, 1.0, 2.5, 1.75, 3.0, 0.5]


def expected_suv(study: Study) -> np.ndarray:
    return np.asarray(PET * np.array(SLOPES)[:, None, None] * study.scaling.factor)


def assert_pet_is_read(folder: Path) -> Study:
    (study,) = read_studies([folder])
    np.testing.assert_allclose(sitk.GetArrayFromImage(study.emission), expected_suv(study), rtol=1e-6)
    return study


@pytest.mark.parametrize("compressor", ["JPEG2000", "JPEG", "JPEGLS"])
def test_lossless_compression_is_decoded_and_rescaled_once(tmp_path: Path, compressor: str) -> None:
    def compress(k: int, dataset: Dataset) -> Dataset:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.SetFileName(str(tmp_path / "one.dcm"))
        writer.Execute(sitk.GetImageFromArray(PET[k].astype(np.int16)))
        compressed = pydicom.dcmread(tmp_path / "one.dcm")
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = compressed.file_meta.TransferSyntaxUID
        dataset.PixelData = compressed.PixelData
        assert dataset.file_meta.TransferSyntaxUID.is_compressed
        return dataset

    write_series(tmp_path / "pet", PET, slopes=SLOPES, change=compress)
    assert_pet_is_read(tmp_path / "pet")


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless],
)
def test_every_uncompressed_encoding_and_run_lengths_are_read(tmp_path: Path, syntax: UID) -> None:
    def encode(k: int, dataset: Dataset) -> Dataset:
        if syntax == ExplicitVRBigEndian:
            return big_endian(k, dataset)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
        if syntax == RLELossless:
            dataset.compress(RLELossless, generate_instance_uid=False)
        return dataset

    write_series(tmp_path, PET, slopes=SLOPES, change=encode)
    assert pydicom.dcmread(tmp_path / "IM0000").file_meta.TransferSyntaxUID == syntax
    assert_pet_is_read(tmp_path)


def big_endian(k: int, dataset: Dataset) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = PET[k].astype(">i2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def implicit(k: int, dataset: Dataset) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def explicit(k: int, dataset: Dataset) -> Dataset:
    return dataset


@pytest.mark.parametrize("encode", [implicit, explicit, big_endian])
@pytest.mark.parametrize("with_meta", [True, False])
def test_files_without_preamble_are_read_where_they_parse(tmp_path: Path, encode: Any, with_meta: bool) -> None:
    """Without file meta information nothing but the elements says how they are encoded."""
    for path in write_series(tmp_path, PET, slopes=SLOPES, change=encode):
        content = path.read_bytes()[128 + 4 :]
        length = 12 + int.from_bytes(content[8:12], "little")  # FileMetaInformationGroupLength and what it counts
        path.write_bytes(content if with_meta else content[length:])
    assert assert_pet_is_read(tmp_path).warnings == NO_CT


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_text_that_begins_like_a_bare_dicom_file_is_ignored(tmp_path: Path) -> None:
    write_series(tmp_path, PET, slopes=SLOPES)
    (tmp_path / "bytes").write_bytes(bytes([8, 0, 24, 0]) + RNG.bytes(400))
    (tmp_path / "zeros").write_bytes(bytes([8, 0, 0, 0]) + bytes(4000))
    assert assert_pet_is_read(tmp_path).warnings == NO_CT


def test_directory_of_a_disc_is_ignored(tmp_path: Path) -> None:
    write_series(tmp_path, PET, slopes=SLOPES)
    directory = Dataset()
    directory.FileSetID = "DISC"
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    save(tmp_path / "DICOMDIR", directory)
    assert assert_pet_is_read(tmp_path).warnings == NO_CT


NAMES = {
    "Latin-1, declared as nothing": ("Müller^Jörg".encode("latin-1"), None),
    "Latin-1, declared as ASCII": ("Müller^Jörg".encode("latin-1"), "ISO_IR 6"),
    "Latin-1, declared as UTF-8": ("Müller^Jörg".encode("latin-1"), "ISO_IR 192"),
    "Latin-1, declared as what nobody knows": ("Müller^Jörg".encode("latin-1"), "LATEIN"),
    "UTF-8, declared as nothing": ("Müller^Jörg".encode(), None),
    "UTF-8, declared as ASCII": ("Müller^Jörg".encode(), "ISO_IR 6"),
    "UTF-8, declared": ("Müller^Jörg".encode(), "ISO_IR 192"),
    "Latin-1, declared": ("Müller^Jörg".encode("latin-1"), "ISO_IR 100"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", list(NAMES))
def test_name_in_any_character_set_is_readable(tmp_path: Path, case: str) -> None:
    encoded, declared = NAMES[case]
    marker = "X" * len(encoded)
    for path in write_series(tmp_path, PET, slopes=SLOPES, PatientName=marker, SpecificCharacterSet=declared):
        path.write_bytes(path.read_bytes().replace(marker.encode(), encoded))
    study = assert_pet_is_read(tmp_path)
    assert study.patient.name == "Müller^Jörg"
    assert study.patient.patient_id == "P1"


def test_declared_set_that_decodes_is_kept(tmp_path: Path) -> None:
    write_series(tmp_path, PET, slopes=SLOPES, PatientName="Люкceмбypг", SpecificCharacterSet="ISO_IR 144")
    assert assert_pet_is_read(tmp_path).patient.name == "Люкceмбypг"


WITHOUT_DATES: dict[str, Any] = {
    "StudyDate": "",
    "SeriesDate": None,
    "AcquisitionDate": None,
    "AcquisitionTime": None,
    "injection": {"RadiopharmaceuticalStartDateTime": "20240506090000"},
}


def with_private_time(group: int, creator: str, element: int) -> Any:
    def change(k: int, dataset: Dataset) -> Dataset:
        block = dataset.private_block(group, creator, create=True)
        block.add_new(element, "DT", "20240506100000.00")
        return dataset

    return change


def with_decay_time(k: int, dataset: Dataset) -> Dataset:
    dataset.DecayCorrectionDateTime = "20240506100000.00"
    return dataset


@pytest.mark.parametrize(
    ("vendor", "change"),
    [
        ("GE MEDICAL SYSTEMS", with_private_time(0x0009, "GEMS_PETD_01", 0x0D)),
        ("SIEMENS", with_private_time(0x0071, "SIEMENS MED PT", 0x22)),
        ("Synthetic", with_decay_time),
    ],
)
def test_time_of_decay_correction_stands_in_for_removed_dates(tmp_path: Path, vendor: str, change: Any) -> None:
    write_series(tmp_path, PET, slopes=SLOPES, Manufacturer=vendor, change=change, **WITHOUT_DATES)
    study = assert_pet_is_read(tmp_path)
    assert study.acquired == datetime(2024, 5, 6, 10)
    assert study.minutes_after_injection == pytest.approx(60.0)


def test_without_any_date_the_reference_time_can_be_entered(tmp_path: Path) -> None:
    write_series(tmp_path, PET, **WITHOUT_DATES)
    with pytest.raises(InputError) as caught:
        read_studies([tmp_path])
    assert "reference_time" in caught.value.missing
    entered = {None: Entered(reference_time=datetime(2024, 5, 6, 10))}
    (study,) = read_studies([tmp_path], ReadOptions(entered=entered))
    assert study.acquired == datetime(2024, 5, 6, 10)
    assert "DecayCorrectionDateTime" in study.scaling.entered


def test_values_are_entered_for_the_study_of_their_day(tmp_path: Path) -> None:
    later = {"StudyInstanceUID": "1.2.9", "FrameOfReferenceUID": "1.2.10", "SeriesDate": "20241006"}
    write_series(tmp_path / "a", PET)
    write_series(tmp_path / "b", PET[::-1], AcquisitionDate="20241006", **later)
    entered = {None: Entered(tracer="[18F]PSMA-1007"), date(2024, 10, 6): Entered(weight_kg=100.0)}
    first, second = read_studies([tmp_path], ReadOptions(entered=entered))
    assert (first.weight_kg, second.weight_kg) == (80.0, 100.0)
    assert first.tracer == second.tracer == "[18F]PSMA-1007"
    assert first.scaling.entered == ("Radiopharmaceutical",)
    assert second.scaling.entered == ("PatientWeight", "Radiopharmaceutical")
    assert any("entered by hand: PatientWeight 100 kg" in warning for warning in second.warnings)
    assert any("entered by hand: Radiopharmaceutical [18F]PSMA-1007" in warning for warning in first.warnings)
    with pytest.raises(InputError, match=r"entered for 2024-10-07, .* Days with a study: 2024-05-06, 2024-10-06"):
        read_studies([tmp_path], ReadOptions(entered={date(2024, 10, 7): Entered(weight_kg=100.0)}))


def test_fingerprint_does_not_depend_on_ct_and_entered_values(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    (alone,) = read_studies([tmp_path])
    write_series(tmp_path / "ct", CT, "CT", origin=(-12, -22, -33), spacing=(12, 12, 2))
    (with_ct,) = read_studies([tmp_path], ReadOptions(entered={None: Entered(weight_kg=90.0)}))
    assert with_ct.ct is not None
    assert with_ct.fingerprint == alone.fingerprint


def test_fingerprint_of_a_classic_pet_stays_what_it_was(tmp_path: Path) -> None:
    """Cases on disk hold it: sha256 of the series UID and the sorted instance UIDs, one to a line."""

    def number(k: int, dataset: Dataset) -> Dataset:
        dataset.SOPInstanceUID = f"1.2.3.{k}"
        return dataset

    write_series(tmp_path, PET[:2], SeriesInstanceUID="1.2.3", change=number)
    (study,) = read_studies([tmp_path])
    assert study.fingerprint == "2f2c10a4a4ce546e04edbd50f440951c2ea05dd88dbfef938ad77fe06abf7f0e"


SPECT = RNG.integers(0, 3000, (8, 6, 5)).astype(np.uint16)


def test_pet_and_spect_of_one_visit_become_two_studies(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET, slopes=SLOPES)
    write_nm(tmp_path / "nm" / "spect", SPECT, AcquisitionTime="140000")
    write_series(tmp_path / "ct", np.zeros((30, 20, 20)), "CT", origin=(-12, -22, -33), spacing=(8, 6, 2))
    pet, spect = read_studies([tmp_path])
    assert (pet.modality, spect.modality) == ("PET", "SPECT")
    assert spect.ct is not None
    assert spect.scaling.quantity == "Bq/mL"
    np.testing.assert_allclose(sitk.GetArrayFromImage(spect.emission), SPECT * 2.0, rtol=1e-6)
    assert spect.origin.frames == tuple(range(1, 9))
    assert len(set(spect.origin.instance_uids)) == 1
    assert spect.origin.slopes == (2.0,) * 8


def test_spect_of_several_days_in_one_study_are_several_time_points(tmp_path: Path) -> None:
    for day, hour in (("06", "10"), ("06", "14"), ("07", "10"), ("10", "10")):
        write_nm(tmp_path / f"{day}-{hour}", SPECT, AcquisitionDate=f"202405{day}", AcquisitionTime=f"{hour}0000")
    assert [study.acquired for study in read_studies([tmp_path])] == [
        datetime(2024, 5, day, hour) for day, hour in ((6, 10), (6, 14), (7, 10), (10, 10))
    ]


def test_corrected_reconstruction_of_one_spect_is_chosen(tmp_path: Path) -> None:
    write_nm(tmp_path / "nc", SPECT, SeriesDescription="NC", CorrectedImage=["SCAT"])
    write_nm(tmp_path / "ac", SPECT, SeriesDescription="AC", CorrectedImage=["ATTN", "SCAT"])
    (study,) = read_studies([tmp_path])
    assert study.origin.series_description == "AC"
    assert any('"NC" (1 images): it is not attenuation corrected' in warning for warning in study.warnings)


def test_spect_stored_as_pet_is_a_spect(tmp_path: Path) -> None:
    write_spect_as_pet(tmp_path, SPECT, "START")
    (study,) = read_studies([tmp_path])
    assert study.modality == "SPECT"


def test_spect_in_counts_does_not_keep_the_pet_from_being_read(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET, slopes=SLOPES)
    write_nm(tmp_path / "nm" / "spect", SPECT, mappings=[])
    study = assert_pet_is_read(tmp_path)
    assert any("Left aside" in warning and "holds counts only" in warning for warning in study.warnings)
    with pytest.raises(InputError, match="holds counts only"):
        read_studies([tmp_path / "nm"])


def test_spect_that_its_ct_fits_upside_down_is_pointed_out(tmp_path: Path) -> None:
    write_nm(tmp_path / "spect", SPECT, spacing_mm=-4.42)
    write_series(tmp_path / "ct", np.zeros((20, 20, 20)), "CT", origin=(-12, -22, -30), spacing=(8, 6, 2))
    (study,) = read_studies([tmp_path])
    assert any("if its slices were stacked the other way: check SpacingBetweenSlices" in w for w in study.warnings)


def test_empty_dangling_and_cut_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path, PET, slopes=SLOPES)
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (tmp_path / "cut.dcm").write_bytes(paths[0].read_bytes()[:300])
    told = "\n".join(assert_pet_is_read(tmp_path).warnings)
    assert "1 empty file(s) of 0 bytes were left out; if they were images, copy them again: " in told
    assert "empty.dcm" in told
    assert "1 file(s) that cannot be read were left out: " in told
    assert "gone.dcm (No such file or directory)" in told
    assert "cut.dcm" in told


def test_long_headers_are_read_to_their_end(tmp_path: Path) -> None:
    """What stands behind 100 kB of private data counts as well: position and rescaling of the slices."""

    def swell(k: int, dataset: Dataset) -> Dataset:
        dataset.private_block(0x0009, "LONG", create=True).add_new(0x01, "OB", RNG.bytes(100_000))
        return dataset

    write_series(tmp_path, PET, slopes=SLOPES, change=swell)
    assert assert_pet_is_read(tmp_path).warnings == NO_CT


def test_headers_are_read_without_touching_pixels(tmp_path: Path) -> None:
    paths = write_series(tmp_path, PET)
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(content[: -PET[0].size * 2])
    assert len(scan_folders([tmp_path]).series[0].instances) == 6
    with pytest.raises(InputError, match=r"The pixels of .*IM0000 cannot be read"):
        read_studies([tmp_path])
