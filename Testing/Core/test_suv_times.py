"""Reference time of the decay correction and time of injection: every way through the flow, by hand."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from dicom_maker import header
from PSMATheranosticsLib.dicom_values import parse_date_time
from PSMATheranosticsLib.entered_values import Entered
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.suv import suv_scaling
from PSMATheranosticsLib.suv_times import average_activity_s
from pydicom.dataset import Dataset

HALF_LIFE_S = 6586.2


def by_hand(minutes: float) -> float:
    """Factor of 80 kg and 200 MBq of 18F so many minutes before the reference time."""
    return 80000 / 200e6 * math.exp(math.log(2) / HALF_LIFE_S * 60 * minutes)


def with_private(creator: str, group: int, element: int, value: str, **attributes: Any) -> Dataset:
    """A header with one private element of type DT."""
    dataset = header(**attributes)
    dataset.private_block(group, creator, create=True).add_new(element, "DT", value)
    return dataset


def ge(value: str, **attributes: Any) -> Dataset:
    """A header of GE with its scan time."""
    return with_private("GEMS_PETD_01", 0x0009, 0x0D, value, Manufacturer="GE MEDICAL SYSTEMS", **attributes)


def siemens(value: str, **attributes: Any) -> Dataset:
    """A header of Siemens with its time of decay correction."""
    return with_private("SIEMENS MED PT", 0x0071, 0x22, value, Manufacturer="SIEMENS", **attributes)


def frames(manufacturer: str, starts_ms: tuple[float, float], **attributes: Any) -> list[Dataset]:
    """Two beds of 603 s, acquired at 10:02:30 and 10:05:00, of a series that was made at 11:30."""
    return [
        header(
            Manufacturer=manufacturer,
            SeriesTime="113000",
            AcquisitionTime=clock,
            ActualFrameDuration=603000,
            FrameReferenceTime=f"{start:.3f}",
            **attributes,
        )
        for clock, start in zip(("100230", "100500"), starts_ms, strict=True)
    ]


def test_average_activity_lies_a_little_before_the_middle_of_a_frame() -> None:
    # 603 s of 18F by hand: lambda T = 0.0634623, ln(0.0634623 / 0.0614904) / lambda = 299.9056 s
    assert average_activity_s(603.0, HALF_LIFE_S) == pytest.approx(299.9056, abs=2e-3)
    assert average_activity_s(603.0, 1e12) == pytest.approx(301.5, abs=1e-6)
    assert average_activity_s(603.0, 6e8) == pytest.approx(average_activity_s(603.0, 4e8), rel=1e-6)


@pytest.mark.parametrize("late", [0.0, 1.4, 2.0])
def test_acquisition_that_begins_with_the_series_is_the_reference(late: float) -> None:
    # scanners count their frames from elsewhere then; the series time is what published factors use
    bed = header(AcquisitionTime=f"1000{late:09.6f}", FrameReferenceTime=1215000)
    found = suv_scaling([bed], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert "SeriesDate/SeriesTime (reference time)" in found.scaling.inputs
    assert len(found.scaling.alternatives) == (late > 0)  # only when they are the same moment is there no doubt


def test_later_bed_that_contradicts_the_common_start_is_told() -> None:
    # the first bed begins with the series, the second half an hour later claims to have waited ten minutes
    beds = [header(), header(AcquisitionTime="103000", FrameReferenceTime=600000)]
    found = suv_scaling(beds, "the series")
    assert (found.scaling.factor, found.factors) == (pytest.approx(by_hand(60), rel=1e-9), None)
    assert [other.method for other in found.scaling.alternatives] == ["AcquisitionTime less FrameReferenceTime (IBSI)"]
    assert found.scaling.alternatives[0].factor == pytest.approx(by_hand(81), rel=1e-4)


@pytest.mark.parametrize("manufacturer", ["SIEMENS", "Philips", "Synthetic", ""])
def test_start_is_computed_back_from_the_time_of_average_activity(manufacturer: str) -> None:
    average_ms = 1000 * average_activity_s(603.0, HALF_LIFE_S)
    found = suv_scaling(frames(manufacturer, (average_ms + 150000, average_ms + 300000)), "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert found.factors is None
    assert "AcquisitionTime less FrameReferenceTime (reference time)" in found.scaling.inputs
    # QIBA would take the earliest acquisition, 150 s later
    assert [other.method for other in found.scaling.alternatives] == ["earliest AcquisitionTime (QIBA)"]
    assert found.scaling.alternatives[0].factor == pytest.approx(by_hand(62.5), rel=1e-9)


def test_start_of_ge_is_computed_back_from_the_start_of_the_frame() -> None:
    found = suv_scaling(frames("GE MEDICAL SYSTEMS", (150000, 300000)), "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)


def test_start_of_ge_needs_no_duration_of_the_frames() -> None:
    beds = frames("GE MEDICAL SYSTEMS", (150000, 300000))
    for bed in beds:
        del bed.ActualFrameDuration
    assert suv_scaling(beds, "the series").scaling.factor == pytest.approx(by_hand(60), rel=1e-9)


def test_series_before_the_acquisition_is_compared_with_the_time_computed_back() -> None:
    # half an hour after the series time the frame claims to begin with the scan
    found = suv_scaling([header(AcquisitionTime="103000", FrameReferenceTime=60000)], "PT series 4")
    assert found.scaling.factor == pytest.approx(by_hand(90), rel=1e-4)
    assert [other.method for other in found.scaling.alternatives] == ["SeriesDate/SeriesTime (QIBA)"]
    assert found.scaling.alternatives[0].factor == pytest.approx(by_hand(60), rel=1e-9)
    assert "SUVs differ by 17.3%; the first was used" in found.warnings[0]


def test_images_that_disagree_on_the_start_are_scaled_each_by_its_own() -> None:
    average_ms = 1000 * average_activity_s(603.0, HALF_LIFE_S)
    found = suv_scaling(frames("SIEMENS", (average_ms, average_ms)), "the series")
    assert found.factors == pytest.approx([by_hand(62.5), by_hand(65)], rel=1e-9)
    assert "lies between 2024-05-06 10:02:30 and 2024-05-06 10:05:00" in found.warnings[0]


@pytest.mark.parametrize("make", [ge, siemens])
def test_reference_time_that_the_scanner_states_goes_first(make: Any) -> None:
    # exported half an hour later; the acquisition is that of a bed in the middle
    found = suv_scaling([make("20240506100000.00", SeriesTime="110000", AcquisitionTime="103000")], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)


def test_scan_time_of_ge_that_contradicts_the_series_time_is_told_with_both_factors() -> None:
    found = suv_scaling([ge("20240506094000.00")], "PT series 4")
    assert found.scaling.factor == pytest.approx(by_hand(40), rel=1e-9)
    assert [other.method for other in found.scaling.alternatives] == ["SeriesDate/SeriesTime (QIBA)"]
    assert found.scaling.alternatives[0].factor == pytest.approx(by_hand(60), rel=1e-9)
    assert "0.000514938 by GE scan time (0009,xx0D), 2024-05-06 09:40:00," in found.warnings[0]


def test_private_reference_time_is_found_in_a_later_block_and_without_a_creator() -> None:
    later = header(Manufacturer="SIEMENS", SeriesTime="110000")
    later.private_block(0x0071, "SIEMENS OTHER", create=True).add_new(0x22, "LO", "no time")
    later.private_block(0x0071, "SIEMENS MED PT", create=True).add_new(0x22, "DT", "20240506100000")
    assert suv_scaling([later], "the series").scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    bare = header(Manufacturer="GE MEDICAL SYSTEMS", SeriesTime="110000", AcquisitionTime="103000")
    bare.add_new((0x0009, 0x100D), "UN", b"20240506100000.00 ")
    assert suv_scaling([bare], "the series").scaling.factor == pytest.approx(by_hand(60), rel=1e-9)


def test_private_reference_time_that_cannot_be_read_is_said_and_not_used() -> None:
    found = suv_scaling([ge("2024")], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert found.warnings == [
        "the series: GE scan time (0009,xx0D) is not a date and time in every image and was not used"
    ]


def test_enhanced_image_states_its_reference_time_for_everything() -> None:
    stated = header(DecayCorrectionDateTime="20240506100000", SeriesTime="113000", AcquisitionTime="102000")
    assert suv_scaling([stated], "the series").scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    none = {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN"], "AcquisitionTime": None}
    each = [header(FrameReferenceDateTime=f"2024050610{minute}00", **none) for minute in ("00", "10")]
    assert suv_scaling(each, "the series").factors == pytest.approx([by_hand(60), by_hand(70)], rel=1e-9)


def test_reference_time_entered_by_hand_is_taken_without_other_times() -> None:
    bare = header(SeriesTime=None, AcquisitionTime=None)
    found = suv_scaling([bare], "the series", Entered(reference_time=datetime(2024, 5, 6, 10, 30)))
    assert found.scaling.factor == pytest.approx(by_hand(90), rel=1e-9)
    assert found.scaling.entered == ("DecayCorrectionDateTime",)


def test_reference_time_entered_for_an_image_without_decay_correction_is_refused() -> None:
    none = header(DecayCorrection="NONE", CorrectedImage=["ATTN"])
    with pytest.raises(
        InputError, match=r"reference_time was entered by hand, but .* is NONE and each image has a time"
    ):
        suv_scaling([none], "the series", Entered(reference_time=datetime(2024, 5, 6, 10)))


def test_fractions_of_a_second_count() -> None:
    clock = header(
        SeriesTime="100000.750000",
        AcquisitionTime="100000.750000",
        injection={"RadiopharmaceuticalStartTime": "090000.25"},
    )
    found = suv_scaling([clock], "the series")
    assert found.scaling.inputs["t, from injection to reference time [s]"] == 3600.5
    assert found.scaling.factor == pytest.approx(by_hand(3600.5 / 60), rel=1e-9)


def test_acquisition_may_be_one_attribute_of_date_and_time() -> None:
    one = header(AcquisitionDate=None, AcquisitionTime=None, AcquisitionDateTime="20240506100000.000000")
    assert suv_scaling([one], "the series").scaling.factor == pytest.approx(by_hand(60), rel=1e-9)


# ---- injection


@pytest.mark.parametrize("stated", [None, "20240505233000"])
def test_injection_before_midnight_belongs_to_the_day_before(stated: str | None) -> None:
    injection = {"RadiopharmaceuticalStartTime": "233000", "RadiopharmaceuticalStartDateTime": stated}
    late = header(SeriesTime="003000", AcquisitionTime="003000", injection=injection)
    found = suv_scaling([late], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert "2024-05-05 23:30:00" in found.scaling.inputs.values()


def test_injection_with_date_and_time_alone() -> None:
    injection = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20240506083000.00"}
    assert suv_scaling([header(injection=injection)], "the series").scaling.factor == pytest.approx(
        by_hand(90), rel=1e-9
    )


def test_date_and_time_of_injection_go_before_the_time_alone_and_a_difference_is_told() -> None:
    injection = {"RadiopharmaceuticalStartTime": "090000", "RadiopharmaceuticalStartDateTime": "20240506083000.00"}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(90), rel=1e-9)
    assert [other.method for other in found.scaling.alternatives] == ["RadiopharmaceuticalStartTime"]
    assert found.scaling.alternatives[0].factor == pytest.approx(by_hand(60), rel=1e-9)
    seconds_apart = {**injection, "RadiopharmaceuticalStartTime": "083020"}
    assert suv_scaling([header(injection=seconds_apart)], "the series").scaling.alternatives == ()


@pytest.mark.parametrize("stated", ["18580506090000", "20240406090000", "20300101090000"])
def test_date_that_was_changed_to_hide_the_patient_leaves_the_time_of_day(stated: str) -> None:
    injection = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": stated}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert "its date cannot be right, and only its time of day was used" in found.warnings[0]


def test_changed_date_and_time_of_injection_leave_the_time_of_its_own_attribute() -> None:
    # anonymization writes midnight of a day of its own, and leaves the attribute that holds no date
    injection = {"RadiopharmaceuticalStartTime": "090000", "RadiopharmaceuticalStartDateTime": "19000101000000"}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert (
        "instead RadiopharmaceuticalStartTime (0018,1072) was used: injection at 2024-05-06 09:00" in found.warnings[0]
    )


def test_date_and_time_hours_too_early_give_way_to_another_time_of_day() -> None:
    # more than two half-lives before the scan: IBSI and QIBA both take the time alone then
    injection = {"RadiopharmaceuticalStartTime": "090000", "RadiopharmaceuticalStartDateTime": "20240506060000"}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.minutes_after_injection == 60
    assert "instead RadiopharmaceuticalStartTime (0018,1072) was used" in found.warnings[0]


def test_time_of_day_beside_a_date_days_before_the_scan_is_of_that_day() -> None:
    injection = {
        "RadionuclideHalfLife": 282240,
        "RadiopharmaceuticalStartDateTime": "20240501235500",
        "RadiopharmaceuticalStartTime": "000500",
    }
    assert suv_scaling([header(injection=injection)], "the series").scaling.alternatives == ()  # ten minutes of 78 h


def test_date_of_acquisition_that_is_missing_is_that_of_series_and_study() -> None:
    found = suv_scaling([header(AcquisitionDate=None)], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-9)
    assert "AcquisitionDate (0008,0022) is missing or no date; that of series and study was taken" in found.warnings[0]
    with pytest.raises(InputError, match="AcquisitionDate"):
        suv_scaling([header(AcquisitionDate=None, StudyDate="20240505")], "the series")


@pytest.mark.parametrize("decay", [{}, {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN"]}])
def test_beds_of_one_scan_that_lie_a_day_apart_are_refused(decay: dict[str, Any]) -> None:
    # the second bed was taken after midnight and its date was left behind
    beds = [header(SeriesTime="110000", AcquisitionTime=clock, **decay) for clock in ("235900", "000400")]
    with pytest.raises(InputError, match="which is more than one scan takes: AcquisitionDate"):
        suv_scaling(beds, "the series")


@pytest.mark.parametrize("changed", ["19000101", "20991231"])
def test_changed_date_is_no_other_admissible_time(changed: str) -> None:
    for other in (header(SeriesDate=changed, FrameReferenceTime=60000), ge(f"{changed}100000")):
        found = suv_scaling([other], "the series")
        assert found.scaling.factor == pytest.approx(by_hand(60), rel=1e-3)
        assert found.scaling.alternatives == ()


def test_half_life_that_is_not_that_of_the_nuclide_is_told() -> None:
    found = suv_scaling([header(injection={"Radiopharmaceutical": "Ga-68 PSMA-11"})], "the series")
    assert found.warnings == [
        "the series: RadionuclideHalfLife (0018,1075) is 6586.2 s, but 68Ga has 4062.6 s (ICRP 107); the first was used"
    ]


def test_two_injections_are_refused_until_one_is_entered() -> None:
    twice = header()
    other = header(injection={"RadionuclideTotalDose": 100e6}).RadiopharmaceuticalInformationSequence[0]
    twice.RadiopharmaceuticalInformationSequence.append(other)
    with pytest.raises(InputError, match="holds 2 different injections"):
        suv_scaling([twice], "the series")
    entered = Entered(injected_activity_mbq=300.0, injected=datetime(2024, 5, 6, 9))
    assert suv_scaling([twice], "the series", entered).scaling.factor == pytest.approx(by_hand(60) * 2 / 3, rel=1e-9)


def test_date_of_the_acquisition_that_was_changed_leaves_the_time_of_day() -> None:
    # midnight lies between injection and scan, and the reference time is computed back from the changed date
    injection = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20240505233000"}
    average_ms = 1000 * average_activity_s(120.0, HALF_LIFE_S)
    changed = header(
        AcquisitionDate="19000101",
        AcquisitionTime="003000",
        FrameReferenceTime=f"{average_ms:.3f}",
        SeriesTime="003000",
        injection=injection,
    )
    assert suv_scaling([changed], "the series").scaling.factor == pytest.approx(by_hand(60), rel=1e-9)


def test_long_half_life_with_a_date_may_wait_for_days() -> None:
    # 89Zr, five days: 282240 s
    injection = {"RadionuclideHalfLife": 282240, "RadiopharmaceuticalStartDateTime": "20240501100000"}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.scaling.factor == pytest.approx(80000 / (200e6 * 2 ** (-5 * 86400 / 282240)), rel=1e-9)
    assert found.minutes_after_injection == 5 * 1440


@pytest.mark.parametrize("stated", [None, "20240506110000"])
def test_injection_up_to_an_hour_after_the_reference_is_taken_for_a_matter_of_clocks(stated: str | None) -> None:
    injection = {"RadiopharmaceuticalStartTime": "110000", "RadiopharmaceuticalStartDateTime": stated}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(-60), rel=1e-9)
    assert (
        "is 60.0 min after the reference time of the image, 2024-05-06 10:00:00: check the clocks" in found.warnings[0]
    )


def test_time_of_day_more_than_an_hour_after_the_reference_is_of_the_day_before() -> None:
    # 64Cu would not tell the day; 22 h of 61Cu-like 8 h half-life are 2.8 half-lives
    injection = {"RadionuclideHalfLife": 28800, "RadiopharmaceuticalStartTime": "120000"}
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.minutes_after_injection == 22 * 60


def test_late_image_is_accepted_with_a_warning() -> None:
    injection = {"RadionuclideHalfLife": 4057.7, "RadiopharmaceuticalStartTime": "070000"}
    for stated in (None, "20240506070000"):
        late = header(injection={**injection, "RadiopharmaceuticalStartDateTime": stated})
        found = suv_scaling([late], "PT series 4")
        assert found.minutes_after_injection == 180.0
        assert found.warnings == [
            "PT series 4: the scan began 180 min after the injection, 2.7 half-lives: check the times"
        ]


@pytest.mark.parametrize(
    ("stated", "offset", "minutes"),
    [
        ("20240506090000+0200", "+0200", 60),
        ("20240506070000+0000", "+0200", 60),
        ("20240506090000+0200", None, 60),  # without an offset of the header both are the same local time
    ],
)
def test_injection_with_an_offset_is_moved_to_the_offset_of_the_header(
    stated: str, offset: str | None, minutes: float
) -> None:
    injection = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": stated}
    found = suv_scaling([header(TimezoneOffsetFromUTC=offset, injection=injection)], "the series")
    assert found.scaling.factor == pytest.approx(by_hand(minutes), rel=1e-9)


def test_injection_entered_by_hand_is_checked_against_the_scan() -> None:
    with pytest.raises(InputError, match=r"is 2\.0 h after the reference time of the image"):
        suv_scaling([header()], "the series", Entered(injected=datetime(2024, 5, 6, 12)))
    with pytest.raises(InputError, match="that are 37 half-lives, and one of the times is wrong"):
        suv_scaling([header()], "the series", Entered(injected=datetime(2024, 5, 3, 14)))


@pytest.mark.parametrize(
    ("value", "header_offset", "expected"),
    [
        ("20240506093000.00 ", "", datetime(2024, 5, 6, 9, 30)),
        ("20240506093000+0200", "", datetime(2024, 5, 6, 9, 30)),
        ("20240506093000+0200", "+0000", datetime(2024, 5, 6, 7, 30)),
        ("202405060930", "", datetime(2024, 5, 6, 9, 30)),
        ("20240506", "", None),
        ("20241506093000", "", None),
        ("20240506093000+9900", "+0000", None),
        ("00010101093000", "", None),
        ("99991231093000-0100", "+0000", None),
    ],
)
def test_date_and_time_are_read_as_local_time_of_the_header(
    value: str, header_offset: str, expected: datetime | None
) -> None:
    assert parse_date_time(value, header_offset) == expected
