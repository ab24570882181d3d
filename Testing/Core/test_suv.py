"""SUV from headers: the accepted rules against published factors and phantoms, and every refusal by its message."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from dicom_maker import header
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.dicom_values import parse_date_time
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.suv import suv_scaling
from pydicom.dataset import Dataset

IN_INJECTION = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)


def vendor_headers(name: str) -> list[Dataset]:
    """Real headers of one vendor; they were published as attributes by keyword."""
    headers = []
    for instance in json.loads(test_data("suv-headers", f"{name}-instances.json").read_text()):
        dataset = Dataset()
        item = Dataset()
        for keyword, value in instance.items():
            if keyword != "PhilipsPETPrivateGroup":
                setattr(item if keyword in IN_INJECTION else dataset, keyword, value)
        dataset.RadiopharmaceuticalInformationSequence = [item]
        headers.append(dataset)
    return headers


@pytest.mark.parametrize(
    ("vendor", "published", "doubts"),
    [
        ("SIEMENS", 0.00042748316187, 0),
        ("GE_MEDICAL_AND_BQML", 0.00053673876818, 0),
        # its frames claim to be 22 min into the scan although they were acquired 1 s after SeriesTime
        ("PHILIPS_BQML", 0.00074637470139, 1),
    ],
)
def test_factor_of_real_vendor_headers_is_the_published_one(vendor: str, published: float, doubts: int) -> None:
    found = suv_scaling(vendor_headers(vendor), vendor)
    assert found.scaling.factor == pytest.approx(published, rel=1e-8)
    assert found.scaling.quantity == "SUVbw"
    assert len(found.warnings) == doubts


def test_counts_of_a_real_philips_header_are_refused_by_tag() -> None:
    with pytest.raises(InputError, match=r"Units \(0054,1001\) is CNTS"):
        suv_scaling(vendor_headers("PHILIPS_CNTS_AND_SUV"), "the series")


@pytest.mark.parametrize("phantom", ["0_0", "1_0", "2_0", "3_2", "4_1"])
def test_reference_phantom_has_its_suv(phantom: str) -> None:
    study = read_studies([test_data("suv-dro", f"DRO_{phantom}")])[0]
    mask = sitk.ReadImage(str(test_data("suv-dro", f"DRO_{phantom}", "mask", "DRO_mask.nii.gz")))
    assert mask.GetSize() == study.emission.GetSize()
    inside = sitk.GetArrayFromImage(study.emission)[sitk.GetArrayFromImage(mask) > 0]
    found = [f"{value:.2f}" for value in (inside.min(), np.median(inside), inside.max())]
    assert found == ["0.20", "1.00", "4.00"]


@pytest.mark.parametrize(
    ("phantom", "message"),
    [
        ("2_4", r"Units \(0054,1001\) is CNTS"),
        ("3_0", r"RadionuclideTotalDose \(0018,1074\) is 368.08: it must be in Bq, and this looks like MBq"),
        ("3_1", r"DecayCorrection \(0054,1102\) is ADMIN"),
    ],
)
def test_reference_phantom_outside_the_rules_is_refused_by_tag(phantom: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_studies([test_data("suv-dro", f"DRO_{phantom}")])


def test_factor_and_trace_of_a_hand_calculated_case() -> None:
    found = suv_scaling([header()], "the series")
    # 80 kg, 200 MBq, one hour of 18F: 80000 g / (200e6 Bq x 2^(-3600 / 6586.2))
    assert found.scaling.factor == pytest.approx(80000 / (200e6 * 2 ** (-3600 / 6586.2)), rel=1e-12)
    assert (found.weight_kg, found.injected_activity_mbq, found.minutes_after_injection) == (80.0, 200.0, 60.0)
    assert list(found.scaling.inputs.items()) == [
        ("Units", "BQML"),
        ("DecayCorrection", "START"),
        ("PatientWeight [kg]", 80.0),
        ("RadionuclideTotalDose [Bq]", 200e6),
        ("RadiopharmaceuticalStartTime (injection)", "2024-05-06 09:00:00"),
        ("SeriesDate/SeriesTime (reference time)", "2024-05-06 10:00:00"),
        ("t, from injection to reference time [s]", 3600.0),
        ("RadionuclideHalfLife [s]", 6586.2),
    ]
    json.dumps(found.scaling.inputs)


@given(weight=st.floats(30, 200), activity_mbq=st.floats(20, 1000), minutes=st.integers(1, 179))
def test_factor_grows_with_weight_and_decay_and_falls_with_activity(
    weight: float, activity_mbq: float, minutes: int
) -> None:
    half_life_s = 4057.7
    start = f"{10 - 1 - minutes // 60:02d}{(60 - minutes % 60) % 60:02d}00" if minutes % 60 else None
    start = start or f"{10 - minutes // 60:02d}0000"
    injection = {
        "RadionuclideTotalDose": f"{activity_mbq * 1e6:.8g}",
        "RadionuclideHalfLife": half_life_s,
        "RadiopharmaceuticalStartTime": start,
    }
    found = suv_scaling([header(PatientWeight=f"{weight:.8g}", injection=injection)], "the series")
    assert found.minutes_after_injection == minutes
    expected = weight / (activity_mbq * 1e3) * 2 ** (minutes * 60 / half_life_s)
    assert found.scaling.factor == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("suv_type", [None, "", "BW"])
def test_image_that_holds_suv_is_not_scaled_again(suv_type: str | None) -> None:
    found = suv_scaling([header(Units="GML", SUVType=suv_type, DecayCorrection="ADMIN")], "the series")
    assert found.scaling.factor == 1.0
    assert found.minutes_after_injection == 60.0


def test_image_that_holds_suv_needs_no_facts_of_the_injection() -> None:
    injection = dict.fromkeys(IN_INJECTION)
    found = suv_scaling([header(Units="GML", PatientWeight=None, injection=injection)], "the series")
    assert found.scaling.factor == 1.0
    assert (found.weight_kg, found.injected_activity_mbq, found.minutes_after_injection) == (None, None, None)


@pytest.mark.filterwarnings("ignore:Invalid value for VR TM")
@pytest.mark.parametrize(
    ("attributes", "injection", "message"),
    [
        ({"Units": None}, {}, r"Units \(0054,1001\) is missing"),
        ({"Units": "CM2ML"}, {}, r"Units \(0054,1001\) is CM2ML"),
        ({"Units": "PROPCNTS"}, {}, r"Units \(0054,1001\) is PROPCNTS"),
        ({"Units": "GML", "SUVType": "LBMJANMA"}, {}, r"SUVType \(0054,1006\) is LBMJANMA"),
        ({"DecayCorrection": "NONE"}, {}, r"DecayCorrection \(0054,1102\) is NONE"),
        ({"DecayCorrection": None}, {}, r"DecayCorrection \(0054,1102\) is missing"),
        ({"CorrectedImage": ["NORM", "DECY"]}, {}, r"CorrectedImage \(0028,0051\) .* lacks ATTN \(attenuation\)\."),
        ({"CorrectedImage": ["NORM", "ATTN"]}, {}, r"CorrectedImage \(0028,0051\) .* lacks DECY \(decay\)\."),
        ({"CorrectedImage": None}, {}, r"CorrectedImage \(0028,0051\) is missing"),
        ({"PatientWeight": None}, {}, r"PatientWeight \(0010,1030\) is missing or not above zero"),
        ({"PatientWeight": 0}, {}, r"PatientWeight \(0010,1030\) is missing or not above zero"),
        ({"PatientWeight": 80000}, {}, r"PatientWeight \(0010,1030\) is 80000: it must be in kg"),
        ({}, {"RadionuclideTotalDose": None}, r"RadionuclideTotalDose \(0018,1074\) is missing"),
        ({}, {"RadionuclideTotalDose": -200e6}, r"RadionuclideTotalDose \(0018,1074\) is missing or not above zero"),
        ({}, {"RadionuclideTotalDose": 200}, r"RadionuclideTotalDose \(0018,1074\) is 200: .* looks like MBq"),
        ({}, {"RadionuclideHalfLife": None}, r"RadionuclideHalfLife \(0018,1075\) is missing"),
        (
            {},
            {"RadiopharmaceuticalStartTime": None},
            r"time of injection is missing: .*\(0018,1078\) or .*\(0018,1072\)",
        ),
        ({}, {"RadiopharmaceuticalStartTime": "2500"}, r"time of injection is missing"),
        ({}, {"RadionuclideHalfLife": 45720}, r"\(0018,1078\) is missing, and with a half-life of 12.7 h"),
        (
            {},
            {"RadiopharmaceuticalStartDateTime": "20240506110000"},
            r"StartDateTime \(0018,1078\) 2024-05-06 11:00:00 is after the scan",
        ),
        (
            {},
            {"RadiopharmaceuticalStartDateTime": "20240406090000"},
            r"is 721.0 h before the scan .*: one of the times is wrong",
        ),
        ({"SeriesTime": None}, {}, r"SeriesTime \(0008,0031\) is missing"),
        ({"AcquisitionTime": None}, {}, r"AcquisitionTime \(0008,0032\) is missing"),
    ],
)
def test_header_outside_the_rules_is_refused_by_tag(
    attributes: dict[str, Any], injection: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        suv_scaling([header(injection=injection, **attributes)], "PT series 4")


def test_one_message_names_everything_that_is_missing() -> None:
    incomplete = header(Units=None, PatientWeight=None, injection=dict.fromkeys(IN_INJECTION))
    with pytest.raises(InputError) as caught:
        suv_scaling([incomplete], "PT series 4 in /data/pet")
    message = str(caught.value)
    for tag in ("0054,1001", "0010,1030", "0018,1074", "0018,1075", "0018,1072", "0018,1078"):
        assert tag in message
    assert "PT series 4 in /data/pet" in message


def test_images_of_one_series_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match=r"PatientWeight \(0010,1030\) differs within the series: 80.0, 81.0"):
        suv_scaling([header(), header(PatientWeight=81)], "the series")
    with pytest.raises(InputError, match=r"RadionuclideTotalDose \(0018,1074\) differs"):
        suv_scaling([header(), header(injection={"RadionuclideTotalDose": 201e6})], "the series")


def test_injection_before_midnight_belongs_to_the_day_before() -> None:
    late = header(SeriesTime="003000", AcquisitionTime="003000", injection={"RadiopharmaceuticalStartTime": "233000"})
    found = suv_scaling([late], "the series")
    assert found.minutes_after_injection == 60.0
    assert found.scaling.inputs["RadiopharmaceuticalStartTime (injection)"] == "2024-05-05 23:30:00"


def test_time_of_day_just_after_the_scan_is_not_taken_for_yesterday() -> None:
    with pytest.raises(InputError, match=r"is 23.8 h before the scan .* 13 half-lives"):
        suv_scaling([header(injection={"RadiopharmaceuticalStartTime": "101000"})], "the series")


def test_date_and_time_of_injection_go_before_the_time_alone() -> None:
    injection = {"RadiopharmaceuticalStartTime": "010000", "RadiopharmaceuticalStartDateTime": "20240506083000.00"}
    assert suv_scaling([header(injection=injection)], "the series").minutes_after_injection == 90.0


def test_late_image_is_accepted_with_a_warning() -> None:
    injection = {"RadionuclideHalfLife": 4057.7, "RadiopharmaceuticalStartTime": "070000"}
    found = suv_scaling([header(injection=injection)], "PT series 4")
    assert found.minutes_after_injection == 180.0
    assert found.warnings == [
        "PT series 4: the scan began 180 min after the injection, 2.7 half-lives: check the times"
    ]


def test_series_made_after_the_scan_takes_the_scan_time_that_ge_writes() -> None:
    late = header(Manufacturer="GE MEDICAL SYSTEMS", SeriesTime="120000", AcquisitionTime="103000")
    late.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240506100000.00")
    found = suv_scaling([late], "the series")
    assert found.minutes_after_injection == 60.0
    assert "GE scan time (0009,xx0D) (reference time)" in found.scaling.inputs


def test_series_made_after_the_scan_is_computed_back_from_its_frames() -> None:
    # two bed positions of 603 s; the time of average activity is a little before the middle of the frame
    average_s = np.log((x := np.log(2) / 6586.2 * 603) / (1 - np.exp(-x))) / (np.log(2) / 6586.2)
    beds = [
        header(
            SeriesTime="113000",
            AcquisitionTime=clock,
            ActualFrameDuration=603000,
            FrameReferenceTime=f"{(start_s + average_s) * 1000:.3f}",
        )
        for clock, start_s in (("100000", 0), ("101003", 603))
    ]
    found = suv_scaling(beds, "the series")
    assert found.minutes_after_injection == pytest.approx(60.0, abs=1e-3)
    assert "AcquisitionTime less FrameReferenceTime (reference time)" in found.scaling.inputs


def test_series_made_after_the_scan_without_frame_times_takes_the_earliest_acquisition_and_says_so() -> None:
    beds = [header(SeriesTime="113000", AcquisitionTime=clock, FrameReferenceTime=None) for clock in ("1010", "1005")]
    found = suv_scaling(beds, "the series")
    assert found.minutes_after_injection == 65.0
    assert "earliest acquisition, 2024-05-06 10:05:00" in found.warnings[0]


def test_scan_time_of_ge_that_contradicts_the_series_time_is_pointed_out() -> None:
    early = header(Manufacturer="GE MEDICAL SYSTEMS")
    early.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240506094000.00")
    found = suv_scaling([early], "the series")
    assert found.minutes_after_injection == 60.0
    assert "09:40:00 by the scan time of GE: SUVs differ by 11.9%" in found.warnings[0]


def test_times_that_change_the_suv_by_more_than_a_percent_are_pointed_out() -> None:
    # acquisition half an hour after the series time, although the frame claims to begin with the scan
    found = suv_scaling([header(AcquisitionTime="103000")], "the series")
    assert found.minutes_after_injection == 60.0
    assert "SUVs differ by" in found.warnings[0]


@pytest.mark.parametrize(
    ("value", "header_offset", "expected"),
    [
        ("20240506093000.00 ", "", datetime(2024, 5, 6, 9, 30)),
        ("20240506093000+0200", "", datetime(2024, 5, 6, 9, 30)),
        ("20240506093000+0200", "+0000", datetime(2024, 5, 6, 7, 30)),
        ("202405060930", "", datetime(2024, 5, 6, 9, 30)),
        ("20240506", "", None),
        ("20241506093000", "", None),
    ],
)
def test_date_and_time_are_read_as_local_time_of_the_header(
    value: str, header_offset: str, expected: datetime | None
) -> None:
    assert parse_date_time(value, header_offset) == expected
