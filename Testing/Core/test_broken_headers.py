"""PET headers from which no SUV can be computed: what the message says of each, with attribute, tag and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from dicom_maker import header
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.suv import suv_scaling
from pydicom.dataset import Dataset

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

IBW = {"Units": "GML", "SUVType": "IBW", "PatientSize": 1.8}
START, STOP = (
    "No SUV can be computed for PT series 4 in /data/pet, taken on 2024-05-06: ",
    (". Complete the header at the scanner or archive and export the series again"),
)
ENTER = f"{STOP}, or enter the values named in brackets (on the command line, or in the panel under that name)."
NOT_SUPPORTED = (
    ": only BQML, GML, CM2ML and CNTS with scale factors of Philips can become SUV; "
    "export or reconstruct the series in Bq/mL"
)
NO_REFERENCE = ", without which the time of decay correction is not known [--enter reference_time=2024-05-06T10:30:00]"
INJECTED = "[--enter injected=2024-05-06T09:30:00]"
EITHER_TIME = "[--enter injected=2024-05-06T09:30:00 or --enter reference_time=2024-05-06T10:30:00]"
KNOWN_TYPES = ": known are BW, LBM, LBMJAMES128, LBMJANMA and IBW with GML, and BSA with CM2ML"
DAY_UNKNOWN = "a time of day does not say on which day the injection was"

# What is wrong, attributes of the header, attributes of its injection, and the sentence that says so.
BROKEN: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("no units", {"Units": None}, {}, "Units (0054,1001) is missing"),
    (
        "proportional counts",
        {"Units": "PROPCNTS"},
        {},
        f"Units (0054,1001) is PROPCNTS (proportional to counts by an unknown factor){NOT_SUPPORTED}",
    ),
    (
        "proportional count rate",
        {"Units": "PROPCPS"},
        {},
        f"Units (0054,1001) is PROPCPS (proportional to counts per second by an unknown factor){NOT_SUPPORTED}",
    ),
    (
        "count rate",
        {"Units": "CPS"},
        {},
        f"Units (0054,1001) is CPS (counts per second, not activity){NOT_SUPPORTED}",
    ),
    ("attenuation map", {"Units": "1CM"}, {}, f"Units (0054,1001) is 1CM (an attenuation map){NOT_SUPPORTED}"),
    ("unknown unit", {"Units": "UMOLML"}, {}, f"Units (0054,1001) is UMOLML{NOT_SUPPORTED}"),
    (
        "counts without a factor",
        {"Units": "CNTS", "Manufacturer": "Philips"},
        {},
        "Units (0054,1001) is CNTS (counts), and the images have neither a Philips activity concentration scale factor "
        "(7053,xx09) nor a Philips SUV scale factor (7053,xx00); export or reconstruct the series in Bq/mL",
    ),
    (
        "surface in g/mL",
        {"Units": "GML", "SUVType": "BSA"},
        {},
        f"SUVType (0054,1006) is BSA with Units (0054,1001) GML{KNOWN_TYPES}",
    ),
    (
        "lean body mass in cm2/mL",
        {"Units": "CM2ML", "SUVType": "LBM"},
        {},
        f"SUVType (0054,1006) is LBM with Units (0054,1001) CM2ML{KNOWN_TYPES}",
    ),
    (
        "unknown SUV type",
        {"Units": "GML", "SUVType": "LBMNEW"},
        {},
        f"SUVType (0054,1006) is LBMNEW with Units (0054,1001) GML{KNOWN_TYPES}",
    ),
    (
        "ideal weight without sex",
        {**IBW, "PatientSex": None},
        {},
        "PatientSex (0010,0040) is missing, and SUVType (0054,1006) IBW cannot become SUVbw with that [--enter sex=M]",
    ),
    (
        "ideal weight with another sex",
        {**IBW, "PatientSex": "X"},
        {},
        "PatientSex (0010,0040) is X, and SUVType (0054,1006) IBW cannot become SUVbw with that [--enter sex=M]",
    ),
    (
        "ideal weight without height",
        {**IBW, "PatientSize": None},
        {},
        "PatientSize (0010,1020) is missing, and SUVType (0054,1006) IBW cannot become SUVbw with that "
        "[--enter height_m=1.78]",
    ),
    (
        "ideal weight with height zero",
        {**IBW, "PatientSize": 0},
        {},
        "PatientSize (0010,1020) is 0.0, and SUVType (0054,1006) IBW cannot become SUVbw with that "
        "[--enter height_m=1.78]",
    ),
    (
        "surface without weight",
        {"Units": "CM2ML", "PatientWeight": None, "PatientSize": 1.8},
        {},
        "PatientWeight (0010,1030) is missing, and SUVType (0054,1006) BSA cannot become SUVbw with that "
        "[--enter weight_kg=82]",
    ),
    ("no decay correction", {"DecayCorrection": None}, {}, "DecayCorrection (0054,1102) is missing"),
    (
        "unknown decay correction",
        {"DecayCorrection": "MIDDLE"},
        {},
        "DecayCorrection (0054,1102) is MIDDLE, which is none of START, ADMIN, NONE",
    ),
    (
        "not attenuation corrected",
        {"CorrectedImage": ["NORM", "DECY"]},
        {},
        "CorrectedImage (0028,0051) is NORM\\DECY and lacks ATTN (attenuation)",
    ),
    (
        "not decay corrected against its word",
        {"CorrectedImage": ["NORM", "ATTN"]},
        {},
        "CorrectedImage (0028,0051) is NORM\\ATTN and lacks DECY (decay)",
    ),
    (
        "no corrections stated",
        {"CorrectedImage": None},
        {},
        "CorrectedImage (0028,0051) is missing and lacks ATTN (attenuation) and DECY (decay)",
    ),
    (
        "decay corrected against its word",
        {"DecayCorrection": "NONE"},
        {},
        "CorrectedImage (0028,0051) is NORM\\ATTN\\SCAT\\DECY, but DecayCorrection (0054,1102) is NONE: "
        "they contradict each other",
    ),
    (
        "two weights",
        {"PatientWeight": [80, 90]},
        {},
        'PatientWeight (0010,1030) is "80.0\\90.0", which is not one number [--enter weight_kg=82]',
    ),
    ("no weight", {"PatientWeight": None}, {}, "PatientWeight (0010,1030) is missing [--enter weight_kg=82]"),
    (
        "weight zero",
        {"PatientWeight": 0},
        {},
        "PatientWeight (0010,1030) is 0, which is not above zero [--enter weight_kg=82]",
    ),
    (
        "weight negative",
        {"PatientWeight": -80},
        {},
        "PatientWeight (0010,1030) is -80, which is not above zero [--enter weight_kg=82]",
    ),
    (
        "weight neither kg nor g",
        {"PatientWeight": 800},
        {},
        "PatientWeight (0010,1030) is 800, which is no weight in kg nor in g [--enter weight_kg=82]",
    ),
    (
        "weight for an image corrected to the injection",
        {"DecayCorrection": "ADMIN", "PatientWeight": None},
        {},
        "PatientWeight (0010,1030) is missing [--enter weight_kg=82]",
    ),
    (
        "no activity",
        {},
        {"RadionuclideTotalDose": None},
        "RadionuclideTotalDose (0018,1074) is missing [--enter injected_activity_mbq=150]",
    ),
    (
        "activity negative",
        {},
        {"RadionuclideTotalDose": -200e6},
        "RadionuclideTotalDose (0018,1074) is -2e+08, which is not above zero [--enter injected_activity_mbq=150]",
    ),
    (
        "activity in kBq",
        {},
        {"RadionuclideTotalDose": 200e3},
        "RadionuclideTotalDose (0018,1074) is 200000, which is no activity of a patient in Bq nor in MBq "
        "[--enter injected_activity_mbq=150]",
    ),
    (
        "activity in GBq",
        {},
        {"RadionuclideTotalDose": 0.2},
        "RadionuclideTotalDose (0018,1074) is 0.2, which is no activity of a patient in Bq nor in MBq "
        "[--enter injected_activity_mbq=150]",
    ),
    (
        "activity beyond any",
        {},
        {"RadionuclideTotalDose": 2e11},
        "RadionuclideTotalDose (0018,1074) is 2e+11, which is no activity of a patient in Bq nor in MBq "
        "[--enter injected_activity_mbq=150]",
    ),
    (
        "no half-life",
        {},
        {"RadionuclideHalfLife": None},
        "RadionuclideHalfLife (0018,1075) is missing [--enter half_life_s=6586.2]",
    ),
    (
        "half-life zero",
        {},
        {"RadionuclideHalfLife": 0},
        "RadionuclideHalfLife (0018,1075) is 0, which is not above zero [--enter half_life_s=6586.2]",
    ),
    (
        "half-life in hours",
        {},
        {"RadionuclideHalfLife": 1.83},
        "RadionuclideHalfLife (0018,1075) is 1.83, which is no half-life of a PET nuclide in s "
        "[--enter half_life_s=6586.2]",
    ),
    (
        "no time of injection",
        {},
        {"RadiopharmaceuticalStartTime": None},
        "the time of injection is missing: RadiopharmaceuticalStartDateTime (0018,1078) or "
        f"RadiopharmaceuticalStartTime (0018,1072) {INJECTED}",
    ),
    (
        "time of injection that is none",
        {},
        {"RadiopharmaceuticalStartTime": "2500"},
        "the time of injection is missing: RadiopharmaceuticalStartDateTime (0018,1078) or "
        f"RadiopharmaceuticalStartTime (0018,1072) {INJECTED}",
    ),
    (
        "long half-life without a date",
        {},
        {"RadionuclideHalfLife": 45720},
        "RadiopharmaceuticalStartDateTime (0018,1078) is missing, and with a half-life of 12.7 h "
        f"{DAY_UNKNOWN} {INJECTED}",
    ),
    (
        "long half-life with a date that was changed",
        {},
        {"RadionuclideHalfLife": 282240, "RadiopharmaceuticalStartDateTime": "20240301090000"},
        "RadiopharmaceuticalStartDateTime (0018,1078) 2024-03-01 09:00:00 is 1585.0 h before the reference time of the "
        f"image, 2024-05-06 10:00:00, and with a half-life of 78.4 h {DAY_UNKNOWN} {INJECTED}",
    ),
    (
        "long half-life injected after the scan",
        {},
        {"RadionuclideHalfLife": 282240, "RadiopharmaceuticalStartDateTime": "20240506120000"},
        "RadiopharmaceuticalStartDateTime (0018,1078) 2024-05-06 12:00:00 is 2.0 h after the reference time of the "
        f"image, 2024-05-06 10:00:00, and with a half-life of 78.4 h {DAY_UNKNOWN} {INJECTED}",
    ),
    (
        "injected after the scan by date and time",
        {},
        {"RadiopharmaceuticalStartDateTime": "20240506120000", "RadiopharmaceuticalStartTime": None},
        "RadiopharmaceuticalStartDateTime (0018,1078) 2024-05-06 12:00:00 is 2.0 h after the reference time of the "
        f"image, 2024-05-06 10:00:00: one of the times is wrong {EITHER_TIME}",
    ),
    (
        "injected after the scan by time of day",
        {},
        {"RadiopharmaceuticalStartTime": "120000"},
        "RadiopharmaceuticalStartTime (0018,1072) 2024-05-05 12:00:00 is 22.0 h before the reference time of the "
        f"image, 2024-05-06 10:00:00: that are 12 half-lives, and one of the times is wrong {EITHER_TIME}",
    ),
    (
        "date and time of injection that anonymization set to midnight of another day",
        {},
        {"RadiopharmaceuticalStartDateTime": "19000101000000", "RadiopharmaceuticalStartTime": None},
        "RadiopharmaceuticalStartDateTime (0018,1078) 1900-01-01 00:00:00 is 1089994.0 h before the reference time of "
        f"the image, 2024-05-06 10:00:00: neither its date nor its time, midnight, can be relied on {INJECTED}",
    ),
    (
        "time within the scan in another unit",
        {"AcquisitionTime": "103000", "FrameReferenceTime": 1e12},
        {},
        f"FrameReferenceTime (0054,1300) is missing, negative or more than 6 h{NO_REFERENCE}",
    ),
    (
        "no time of acquisition",
        {"AcquisitionTime": None},
        {},
        "AcquisitionDate (0008,0022) or AcquisitionTime (0008,0032) is missing "
        "[--enter reference_time=2024-05-06T10:30:00]",
    ),
    (
        "no duration of frames that begin after the series",
        {"AcquisitionTime": "103000", "ActualFrameDuration": None},
        {},
        f"ActualFrameDuration (0018,1242) is missing, not above zero or more than 6 h{NO_REFERENCE}",
    ),
    (
        "no time of frames that begin before the series",
        {"AcquisitionTime": "093000", "FrameReferenceTime": None},
        {},
        f"FrameReferenceTime (0054,1300) is missing, negative or more than 6 h{NO_REFERENCE}",
    ),
    (
        "negative time of frames",
        {"AcquisitionTime": "103000", "FrameReferenceTime": -1},
        {},
        f"FrameReferenceTime (0054,1300) is missing, negative or more than 6 h{NO_REFERENCE}",
    ),
    (
        "no duration without decay correction",
        {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN"], "ActualFrameDuration": 0},
        {},
        "ActualFrameDuration (0018,1242) is missing, not above zero or more than 6 h, without which the time of "
        "decay correction is not known",
    ),
]


@pytest.mark.parametrize(
    ("attributes", "injection", "sentence"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_broken_header_is_refused_with_attribute_tag_and_remedy(
    attributes: dict[str, Any], injection: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        suv_scaling([header(injection=injection, **attributes)], "PT series 4 in /data/pet")
    remedies = re.findall(r"--enter (\w+)=", sentence)
    assert str(caught.value) == f"{START}{sentence}{ENTER if remedies else STOP + '.'}"
    assert caught.value.missing == tuple(remedies)


def _set(keyword: str, value: Any) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


def _inject(keyword: str, value: Any) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset.RadiopharmaceuticalInformationSequence[0], keyword, value)


# What changes from the first image to the second, and the sentence that says so.
MIXED: list[tuple[str, Callable[[Dataset], None], str]] = [
    (
        "units",
        _set("Units", "GML"),
        "Units (0054,1001) differs within the series: BQML, GML; hand in one series of one unit",
    ),
    (
        "decay correction",
        _set("DecayCorrection", "ADMIN"),
        "DecayCorrection (0054,1102) differs within the series: ADMIN, START",
    ),
    (
        "corrections",
        _set("CorrectedImage", ["ATTN", "DECY"]),
        "CorrectedImage (0028,0051) differs within the series: ATTN\\DECY, NORM\\ATTN\\SCAT\\DECY",
    ),
    (
        "weight",
        _set("PatientWeight", 81),
        "PatientWeight (0010,1030) differs within the series: 80.0, 81.0 [--enter weight_kg=82]",
    ),
    (
        "activity",
        _inject("RadionuclideTotalDose", 201e6),
        "RadionuclideTotalDose (0018,1074) differs within the series: 200000000.0, 201000000.0 "
        "[--enter injected_activity_mbq=150]",
    ),
    (
        "half-life",
        _inject("RadionuclideHalfLife", 4057.7),
        "RadionuclideHalfLife (0018,1075) differs within the series: 4057.7, 6586.2 [--enter half_life_s=6586.2]",
    ),
    (
        "time of injection",
        _inject("RadiopharmaceuticalStartTime", "091500"),
        f"RadiopharmaceuticalStartTime (0018,1072) differs within the series: 090000, 091500 {INJECTED}",
    ),
    (
        "time of the series",
        _set("SeriesTime", "101500"),
        "SeriesTime (0008,0031) differs within the series: 100000, 101500 [--enter reference_time=2024-05-06T10:30:00]",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), [row[1:] for row in MIXED], ids=[row[0] for row in MIXED])
def test_images_that_contradict_each_other_are_refused(change: Callable[[Dataset], None], sentence: str) -> None:
    first, second = header(), header()
    change(second)
    with pytest.raises(InputError) as caught:
        suv_scaling([first, second], "PT series 4 in /data/pet")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(START)


def test_one_message_names_everything_that_is_missing() -> None:
    incomplete = header(
        Units=None,
        DecayCorrection=None,
        CorrectedImage=None,
        PatientWeight=None,
        SeriesDate=None,
        SeriesTime=None,
        AcquisitionTime=None,
        injection=dict.fromkeys(
            ("RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime"), None
        ),
    )
    with pytest.raises(InputError) as caught:
        suv_scaling([incomplete], "PT series 4 in /data/pet")
    message = str(caught.value)
    tags = ("0054,1001", "0054,1102", "0028,0051", "0010,1030", "0018,1074", "0018,1075", "0018,1072", "0018,1078")
    for tag in (*tags, "0008,0032"):
        assert tag in message
    assert set(caught.value.missing) == {
        "weight_kg",
        "injected_activity_mbq",
        "half_life_s",
        "injected",
        "reference_time",
    }
