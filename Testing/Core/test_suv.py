"""SUV of whole series: published factors and phantoms, hand-calculated cases, and what is said beside the factor."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from dicom_maker import header
from hypothesis import given
from hypothesis import strategies as st
from PSMATheranosticsLib.entered_values import Entered
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.study import Alternative
from PSMATheranosticsLib.suv import suv_factor, suv_scaling
from pydicom.dataset import Dataset

IN_INJECTION = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)
PHILIPS = "Philips PET Private Group"
# 80 kg, 200 MBq, one hour of 18F before the reference time
ONE_HOUR = 80000 / (200e6 * 2 ** (-3600 / 6586.2))


def philips(suv: float | str | None, activity: float | str | None, **attributes: Any) -> Dataset:
    """A header of Philips with its private scale factors, written as text as in published headers or as numbers."""
    dataset = header(**{"Manufacturer": "Philips Medical Systems", **attributes})
    block = dataset.private_block(0x7053, PHILIPS, create=True)
    for element, value in ((0x00, suv), (0x09, activity)):
        if value is not None:
            block.add_new(element, "DS", value if isinstance(value, str) else f"{value:.11g}")
    return dataset


def vendor_headers(name: str) -> list[Dataset]:
    """Real headers of one vendor; they were published as attributes by keyword."""
    headers = []
    for instance in json.loads(test_data("suv-headers", f"{name}-instances.json").read_text()):
        private = instance.pop("PhilipsPETPrivateGroup")
        dataset = Dataset()
        if private:
            dataset = philips(private["SUVScaleFactor"], private.get("ActivityConcentrationScaleFactor"))
        item = Dataset()
        for keyword, value in instance.items():
            setattr(item if keyword in IN_INJECTION else dataset, keyword, value)
        dataset.RadiopharmaceuticalInformationSequence = [item]
        headers.append(dataset)
    return headers


@pytest.mark.parametrize(
    ("vendor", "published"),
    [
        ("SIEMENS", 0.00042748316187),
        ("GE_MEDICAL_AND_BQML", 0.00053673876818),
        ("PHILIPS_BQML", 0.00074637470139),
        ("PHILIPS_CNTS_AND_SUV", 0.000728),
    ],
)
def test_factor_of_real_vendor_headers_is_the_published_one(vendor: str, published: float) -> None:
    found = suv_scaling(vendor_headers(vendor), vendor)
    assert found.scaling.factor == pytest.approx(published, rel=1e-8)
    assert found.scaling.quantity == "SUVbw"
    assert found.factors is None


def test_real_philips_header_that_contradicts_itself_shows_both_factors() -> None:
    # its frames claim to be 22 min into the scan although they were acquired 1 s after SeriesTime; the scanner's own
    # scale factors say that the series time is right: 0.003515736 / 4.709921
    found = suv_scaling(vendor_headers("PHILIPS_BQML"), "PT series 4")
    (other,) = found.scaling.alternatives
    assert other.method == "AcquisitionTime less FrameReferenceTime (IBSI)"
    assert other.factor == pytest.approx(0.00065317, rel=1e-4)
    assert found.scaling.factor == pytest.approx(0.003515736 / 4.709921, rel=2e-4)
    assert found.warnings == [
        "PT series 4: the SUV factor is 0.000746375 by SeriesDate/SeriesTime, 2020-12-17 11:01:55, and 0.000653173 by "
        "AcquisitionTime less FrameReferenceTime (IBSI): SUVs differ by 12.5%; the first was used"
    ]
    for vendor in ("SIEMENS", "GE_MEDICAL_AND_BQML", "PHILIPS_CNTS_AND_SUV"):
        assert suv_scaling(vendor_headers(vendor), vendor).warnings == []


@pytest.mark.parametrize("phantom", ["0_0", "1_0", "2_0", "2_4", "3_0", "3_1", "3_2", "4_1"])
def test_reference_phantom_has_its_suv(phantom: str) -> None:
    study = read_studies([test_data("suv-dro", f"DRO_{phantom}")])[0]
    mask = sitk.ReadImage(str(test_data("suv-dro", f"DRO_{phantom}", "mask", "DRO_mask.nii.gz")))
    assert mask.GetSize() == study.emission.GetSize()
    inside = sitk.GetArrayFromImage(study.emission)[sitk.GetArrayFromImage(mask) > 0]
    found = [f"{value:.2f}" for value in (inside.min(), np.median(inside), inside.max())]
    assert found == ["0.20", "1.00", "4.00"]
    assert study.minutes_after_injection == pytest.approx(60.0, abs=0.01)


def test_factor_and_trace_of_a_hand_calculated_case() -> None:
    found = suv_scaling([header(PatientSize=1.8)], "the series")
    assert found.scaling.factor == pytest.approx(ONE_HOUR, rel=1e-12)
    assert (found.weight_kg, found.height_m, found.sex, found.injected_activity_mbq) == (80.0, 1.8, "M", 200.0)
    assert found.minutes_after_injection == 60.0
    assert (found.factors, found.warnings, found.scaling.entered, found.scaling.alternatives) == (None, [], (), ())
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


def test_formula_of_the_suv_by_hand() -> None:
    # 100 MBq, one half-life later 50 MBq in 75 kg: 1.5e-3 g/Bq
    assert suv_factor(75.0, 100e6, 4057.7, 4057.7) == pytest.approx(1.5e-3, rel=1e-12)


@given(weight=st.floats(30, 200), activity_mbq=st.floats(20, 1000), minutes=st.integers(1, 130))
def test_factor_grows_with_weight_and_decay_and_falls_with_activity(
    weight: float, activity_mbq: float, minutes: int
) -> None:
    injected = datetime(2024, 5, 6, 10) - timedelta(minutes=minutes)
    injection = {
        "RadionuclideTotalDose": f"{activity_mbq * 1e6:.10g}",
        "RadionuclideHalfLife": 4057.7,
        "RadiopharmaceuticalStartTime": f"{injected:%H%M%S}",
    }
    found = suv_scaling([header(PatientWeight=f"{weight:.10g}", injection=injection)], "the series")
    assert found.minutes_after_injection == minutes
    expected = weight / (activity_mbq * 1e3) * 2 ** (minutes * 60 / 4057.7)
    assert found.scaling.factor == pytest.approx(expected, rel=1e-8)


@given(shift=st.timedeltas(timedelta(0), timedelta(days=4000)), correction=st.sampled_from(["START", "NONE"]))
def test_factor_does_not_change_when_all_times_are_shifted_alike(shift: timedelta, correction: str) -> None:
    # identifying dates are often shifted, and a scan may span midnight
    def moved(moment: datetime) -> datetime:
        return moment + timedelta(seconds=int(shift.total_seconds()))

    start, injected = moved(datetime(2010, 5, 6, 10)), moved(datetime(2010, 5, 6, 9))
    shifted = header(
        DecayCorrection=correction,
        CorrectedImage=["ATTN", "DECY"] if correction == "START" else ["ATTN"],
        SeriesDate=f"{start:%Y%m%d}",
        SeriesTime=f"{start:%H%M%S}",
        AcquisitionDate=f"{start:%Y%m%d}",
        AcquisitionTime=f"{start:%H%M%S}",
        injection={"RadiopharmaceuticalStartTime": f"{injected:%H%M%S}"},
    )
    exponent = math.log(2) / 6586.2 * 120
    average = exponent / -math.expm1(-exponent) if correction == "NONE" else 1.0
    assert suv_scaling([shifted], "the series").scaling.factor == pytest.approx(ONE_HOUR * average, rel=1e-8)


def test_image_corrected_to_the_injection_needs_no_times_at_all() -> None:
    injection = {"RadionuclideHalfLife": None, "RadiopharmaceuticalStartTime": None}
    bare = header(DecayCorrection="ADMIN", SeriesTime=None, AcquisitionTime=None, injection=injection)
    found = suv_scaling([bare], "the series")
    assert found.scaling.factor == pytest.approx(80000 / 200e6, rel=1e-12)
    assert found.minutes_after_injection is None
    assert suv_scaling([header(DecayCorrection="ADMIN")], "the series").minutes_after_injection == 60.0


def test_images_without_decay_correction_have_a_factor_each() -> None:
    none = {"DecayCorrection": "NONE", "CorrectedImage": ["NORM", "ATTN"], "ActualFrameDuration": 300000}
    beds = [header(AcquisitionTime=clock, **none) for clock in ("100000", "100500", "101000")]
    found = suv_scaling(beds, "the series")
    # IBSI: U W / D x lambda T / (1 - exp(-lambda T)) x exp(lambda (acquisition - injection))
    decay = math.log(2) / 6586.2
    expected = [
        80000 / 200e6 * decay * 300 / (1 - math.exp(-decay * 300)) * math.exp(decay * (3600 + 300 * bed))
        for bed in range(3)
    ]
    assert found.factors == pytest.approx(expected, rel=1e-9)
    assert found.scaling.factor == pytest.approx(expected[1], rel=1e-9)
    assert found.minutes_after_injection == pytest.approx(62.493, abs=1e-3)  # to the average of the first frame
    assert found.scaling.inputs["factors of the images"].startswith("0.000593526 to 0.0006322")


def test_images_without_decay_correction_but_of_one_time_have_one_factor() -> None:
    found = suv_scaling([header(DecayCorrection="NONE", CorrectedImage=["ATTN"]) for _ in range(2)], "the series")
    assert found.factors is None


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


# lean body masses and surface of 70 kg and 1.75 m by hand: 77 - 128 x 0.16 = 56.52 and the like
@pytest.mark.parametrize(
    ("units", "suv_type", "sex", "mass"),
    [
        ("GML", "LBM", "M", 57.8),
        ("GML", "LBM", "F", 51.22),
        ("GML", "LBMJAMES128", "M", 56.52),
        ("GML", "LBMJAMES128", "F", 51.22),
        ("GML", "LBMJAMES128", "O", 53.87),
        ("GML", "LBMJANMA", "M", 9270 * 70 / (6680 + 216 * 70 / 1.75**2)),
        ("GML", "LBMJANMA", "F", 9270 * 70 / (8780 + 244 * 70 / 1.75**2)),
        ("GML", "IBW", "M", 72.38),
        ("GML", "IBW", "F", 66.43),
        ("GML", "IBW", "O", 69.405),
        ("CM2ML", "BSA", "", 10 * 0.007184 * 70**0.425 * 175**0.725),
        ("CM2ML", None, "", 10 * 0.007184 * 70**0.425 * 175**0.725),
    ],
)
def test_image_in_another_suv_becomes_suv_by_body_weight(
    units: str, suv_type: str | None, sex: str, mass: float
) -> None:
    other = header(Units=units, SUVType=suv_type, PatientWeight=70, PatientSize=1.75, PatientSex=sex)
    found = suv_scaling([other], "the series")
    assert found.scaling.factor == pytest.approx(70 / mass, rel=1e-9)
    assert found.scaling.inputs["PatientSize [m]"] == 1.75
    assert found.minutes_after_injection == 60.0


def test_counts_of_philips_become_activity_before_suv() -> None:
    # IBSI takes the activity factor, QIBA the SUV factor; here they agree
    found = suv_scaling([philips(2 * ONE_HOUR, 2.0, Units="CNTS")], "the series")
    assert found.scaling.factor == pytest.approx(2 * ONE_HOUR, rel=1e-9)
    assert found.scaling.inputs["Philips activity concentration scale factor (7053,xx09)"] == 2.0
    assert (found.warnings, found.scaling.alternatives) == ([], ())


def test_factors_of_philips_that_disagree_are_both_told() -> None:
    found = suv_scaling([philips(0.001, 2.0, Units="CNTS")], "PT series 4")
    assert found.scaling.factor == pytest.approx(2 * ONE_HOUR, rel=1e-9)
    assert found.scaling.alternatives == (Alternative("Philips SUV scale factor (7053,xx00) (QIBA)", 0.001),)
    assert "0.00116851 by Philips activity concentration scale factor (7053,xx09) (IBSI)" in found.warnings[0]
    assert "0.001 by Philips SUV scale factor (7053,xx00) (QIBA): SUVs differ by 14.4%" in found.warnings[0]


def test_scale_factors_of_philips_check_an_image_in_activity() -> None:
    # a wrong weight shows against what the scanner computed
    found = suv_scaling([philips(3 * ONE_HOUR, 2.0)], "the series")
    assert found.scaling.factor == pytest.approx(ONE_HOUR, rel=1e-9)
    assert [other.factor for other in found.scaling.alternatives] == pytest.approx([1.5 * ONE_HOUR], rel=1e-9)


@pytest.mark.parametrize("activity", [None, 0, "0.0"])
def test_counts_of_philips_with_the_suv_factor_alone(activity: float | str | None) -> None:
    bare = philips(0.0005, activity, Units="CNTS", PatientWeight=None, injection=dict.fromkeys(IN_INJECTION))
    found = suv_scaling([bare], "the series")
    assert found.scaling.factor == 0.0005
    assert found.scaling.method == "CNTS, counts times the SUV scale factor of Philips"


def test_factor_of_philips_for_another_suv_is_refused() -> None:
    with pytest.raises(InputError, match=r"SUVType \(0054,1006\) is LBM: the Philips SUV scale factor .* for BW only"):
        suv_scaling([philips(0.0005, None, Units="CNTS", SUVType="LBM")], "the series")


def test_counts_of_philips_without_decay_correction() -> None:
    none = {"Units": "CNTS", "DecayCorrection": "NONE", "CorrectedImage": ["ATTN"]}
    beds = [philips(None, 0.5, AcquisitionTime=clock, **none) for clock in ("100000", "110000")]
    found = suv_scaling(beds, "the series")
    assert found.factors is not None
    assert found.factors[1] / found.factors[0] == pytest.approx(2 ** (3600 / 6586.2), rel=1e-9)


def test_private_factors_are_found_in_any_block_and_without_a_creator_only_under_their_vendor() -> None:
    later = header(Units="CNTS")
    later.private_block(0x7053, "ANOTHER PROGRAM", create=True).add_new(0x00, "DS", "7")
    later.private_block(0x7053, PHILIPS, create=True).add_new(0x00, "DS", "0.0005")
    assert suv_scaling([later], "the series").scaling.factor == 0.0005

    def without_creator(manufacturer: str) -> Dataset:
        dataset = header(Units="CNTS", Manufacturer=manufacturer)
        dataset.add_new((0x7053, 0x1000), "UN", b"0.0005 ")
        return dataset

    assert suv_scaling([without_creator("PHILIPS")], "the series").scaling.factor == 0.0005
    with pytest.raises(InputError, match=r"Units \(0054,1001\) is CNTS"):
        suv_scaling([without_creator("SIEMENS")], "the series")


def test_values_entered_by_hand_replace_those_of_the_header_and_are_named() -> None:
    entered = Entered(
        weight_kg=82.0,
        injected_activity_mbq=150.0,
        injected=datetime(2024, 5, 6, 8, 30),
        half_life_s=4057.7,
        reference_time=datetime(2024, 5, 6, 9, 45),
    )
    found = suv_scaling([header(injection={"RadionuclideTotalDose": None})], "PT series 4", entered)
    assert found.scaling.factor == pytest.approx(82000 / (150e6 * 2 ** (-4500 / 4057.7)), rel=1e-12)
    assert found.scaling.entered == (
        "PatientWeight",
        "RadionuclideTotalDose",
        "RadiopharmaceuticalStartDateTime",
        "RadionuclideHalfLife",
        "DecayCorrectionDateTime",
    )
    assert found.warnings == [
        "PT series 4: entered by hand: PatientWeight 82 kg instead of 80 in the header",
        "PT series 4: entered by hand: RadionuclideTotalDose 150 MBq",
        "PT series 4: entered by hand: RadiopharmaceuticalStartDateTime 2024-05-06 08:30:00",
        "PT series 4: entered by hand: RadionuclideHalfLife 4057.7 s instead of 6586.2 in the header",
        "PT series 4: entered by hand: DecayCorrectionDateTime 2024-05-06 09:45:00",
    ]
    # every name is the beginning of an input, so that the value can be marked where it is shown
    for name in found.scaling.entered:
        assert sum(key.startswith(name) for key in found.scaling.inputs) == 1


def test_value_entered_by_hand_settles_a_series_that_contradicts_itself() -> None:
    found = suv_scaling([header(), header(PatientWeight=81)], "the series", Entered(weight_kg=80.0))
    assert found.scaling.factor == pytest.approx(ONE_HOUR, rel=1e-12)


def test_values_entered_by_hand_do_not_change_what_the_scanner_computed_and_it_is_said() -> None:
    found = suv_scaling([header(Units="GML")], "the series", Entered(weight_kg=60.0))
    assert (found.scaling.factor, found.weight_kg, found.scaling.entered) == (1.0, 60.0, ("PatientWeight",))
    assert "which values entered by hand do not change" in found.warnings[-1]


def test_missing_values_can_be_entered_by_the_names_in_the_error() -> None:
    incomplete = header(PatientWeight=None, AcquisitionTime=None, injection=dict.fromkeys(IN_INJECTION))
    with pytest.raises(InputError) as caught:
        suv_scaling([incomplete], "PT series 4")
    assert set(caught.value.missing) == {
        "weight_kg",
        "half_life_s",
        "injected_activity_mbq",
        "reference_time",
        "injected",
    }
    entered = Entered(
        weight_kg=80.0,
        injected_activity_mbq=200.0,
        injected=datetime(2024, 5, 6, 9),
        half_life_s=6586.2,
        reference_time=datetime(2024, 5, 6, 10),
    )
    assert suv_scaling([incomplete], "PT series 4", entered).scaling.factor == pytest.approx(ONE_HOUR, rel=1e-12)


def test_weight_in_grams_activity_in_mbq_and_height_in_cm_are_converted_and_said() -> None:
    other = header(PatientWeight=80000, PatientSize=180, injection={"RadionuclideTotalDose": 200})
    found = suv_scaling([other], "PT series 4")
    assert found.scaling.factor == pytest.approx(ONE_HOUR, rel=1e-12)
    assert found.height_m == 1.8
    assert found.scaling.inputs["PatientWeight, as written [g]"] == 80000
    assert found.scaling.inputs["RadionuclideTotalDose, as written [MBq]"] == 200
    assert sorted(found.warnings) == [
        "PT series 4: PatientSize (0010,1020) is 180 and was taken as cm: 1.8 m",
        "PT series 4: PatientWeight (0010,1030) is 80000 and was taken as g: 80 kg",
        "PT series 4: RadionuclideTotalDose (0018,1074) is 200 and was taken as MBq: 2e+08 Bq",
    ]


@pytest.mark.parametrize(
    ("half_life_s", "value", "activity_bq"),
    [(6586.2, 9999, 9.999e9), (574300, 12000, 1.2e10), (574300, 7.4e9, 7.4e9), (6586.2, 1e6, 1e6)],
)
def test_activity_for_therapy_may_be_written_in_mbq_above_ten_thousand(
    half_life_s: float, value: float, activity_bq: float
) -> None:
    injection = {
        "RadionuclideTotalDose": value,
        "RadionuclideHalfLife": half_life_s,
        "RadiopharmaceuticalStartDateTime": "20240506090000",
    }
    found = suv_scaling([header(injection=injection)], "the series")
    assert found.injected_activity_mbq == pytest.approx(activity_bq / 1e6, rel=1e-12)


def test_height_that_cannot_be_one_is_not_used_and_not_needed() -> None:
    found = suv_scaling([header(PatientSize=17500)], "the series")
    assert found.height_m is None
    assert "is 17500, which is no height in m nor in cm" in found.warnings[0]
