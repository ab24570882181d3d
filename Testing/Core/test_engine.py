"""The segmentation engine: what it accepts, what it returns, how it is stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import Ellipsoid, make_body
from PSMASegmentLib.engine import METHODS, Images, SegmentationCancelled, SegmentationEngine
from PSMASegmentLib.measure import measure_lesions
from scipy import ndimage

LESIONS = (
    Ellipsoid((0, 15, 200), (12, 12, 12), 15.0),
    Ellipsoid((90, 30, -200), (16, 14, 18), 20.0),
    Ellipsoid((-35, -5, -150), (9, 9, 9), 12.0),
)


@pytest.fixture(scope="module")
def body():
    return make_body(LESIONS)


@pytest.fixture(scope="module")
def result(body):
    return SegmentationEngine().segment(Images(body.emission, "SUVbw", "68Ga-PSMA-11"))


def small(values: np.ndarray, spacing=(4.0, 4.0, 4.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(np.asarray(values, dtype=np.float32))
    made.SetSpacing(spacing)
    return made


def test_labels_are_uint16_on_the_emission_grid(body, result):
    labels = result.labels
    assert labels.GetPixelID() == sitk.sitkUInt16
    assert labels.GetSize() == body.emission.GetSize()
    assert labels.GetOrigin() == body.emission.GetOrigin()
    assert labels.GetSpacing() == body.emission.GetSpacing()
    assert labels.GetDirection() == body.emission.GetDirection()


def test_lesions_are_numbered_without_gaps_largest_first_and_each_has_a_finding(body, result):
    measured = measure_lesions(body.emission, result.labels)
    assert [lesion.lesion for lesion in measured] == [1, 2, 3]
    volumes = [lesion.volume_ml for lesion in measured]
    assert volumes == sorted(volumes, reverse=True)
    assert [(finding.lesion, finding.origin) for finding in result.findings] == [(n, "rules") for n in (1, 2, 3)]
    assert all(finding.reason for finding in result.findings)


def test_every_lesion_voxel_reaches_the_threshold_and_every_lesion_is_connected(body, result):
    labels = sitk.GetArrayViewFromImage(result.labels)
    assert sitk.GetArrayViewFromImage(body.emission)[labels > 0].min() >= 3.0
    for lesion in (1, 2, 3):
        assert ndimage.label(labels == lesion, np.ones((3, 3, 3)))[1] == 1


def test_lesions_and_removed_uptake_together_are_all_uptake_above_the_threshold(body, result):
    above = (sitk.GetArrayViewFromImage(body.emission) >= 3.0).sum() * 0.216
    kept = (sitk.GetArrayViewFromImage(result.labels) > 0).sum() * 0.216
    assert kept + sum(removed.volume_ml for removed in result.removed) == pytest.approx(above, abs=1e-6)


def test_the_same_input_gives_the_same_output(body, result):
    again = SegmentationEngine().segment(Images(body.emission, "SUVbw", "68Ga-PSMA-11"))
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(again.labels), sitk.GetArrayViewFromImage(result.labels))
    assert (again.findings, again.removed, again.provenance) == (result.findings, result.removed, result.provenance)


def test_provenance_holds_every_setting_and_can_be_written_as_json(body):
    images = Images(body.emission, "SUVbw", "68Ga-PSMA-11", body.ct, body.organs)
    provenance = SegmentationEngine().segment(images, settings={"threshold": 4.0}).provenance
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["method"] == "rules"
    assert provenance["organs"] == "organ map given"
    assert provenance["ct_used"] is True
    assert provenance["settings"] == {
        "threshold": 4.0,
        "minimum_volume_ml": 0.2,
        "split_depth": 0.35,
        "smoothing_mm": 5.0,
        "remove_physiological": True,
        "organ_margin_mm": 5.0,
    }


def test_provenance_says_when_organs_come_from_rules_or_are_not_looked_for(body, result):
    everything = SegmentationEngine().segment(
        Images(body.emission, "SUVbw", "", organs=body.organs), settings={"rule_set": "suv3-all"}
    )
    assert result.provenance["organs"] == "rules"
    assert everything.provenance["organs"] == "not used"


def test_psma_1007_without_an_organ_map_is_warned_of(body):
    def warnings(tracer: str, organs=None, **settings):
        images = Images(body.emission, "SUVbw", tracer, organs=organs)
        return SegmentationEngine().segment(images, settings=settings).provenance["warnings"]

    assert len(warnings("PSMA-1007 F-18")) == 1
    assert warnings("PSMA-1007 F-18", organs=body.organs) == []
    assert warnings("PSMA-1007 F-18", rule_set="suv3-all") == []
    assert warnings("PSMA-11 Ga-68") == []


def test_suv3_all_keeps_all_uptake(body):
    result = SegmentationEngine().segment(Images(body.emission, "SUVbw", ""), settings={"rule_set": "suv3-all"})
    labels, uptake = sitk.GetArrayViewFromImage(result.labels), sitk.GetArrayViewFromImage(body.emission)
    np.testing.assert_array_equal(labels > 0, uptake >= 3.0)


def test_uptake_smaller_than_the_minimum_volume_is_removed_with_that_reason():
    uptake = np.full((9, 9, 9), 0.5)
    uptake[4, 4, 4] = 9.0
    images = Images(small(uptake), "SUVbw", "")
    result = SegmentationEngine().segment(images)
    assert result.findings == []
    (removed,) = result.removed
    assert removed.reason == "smaller than the minimum volume"
    assert removed.volume_ml == pytest.approx(0.064)
    assert len(SegmentationEngine().segment(images, settings={"minimum_volume_ml": 0.064}).findings) == 1


def test_an_image_without_uptake_above_the_threshold_has_no_lesions():
    result = SegmentationEngine().segment(Images(small(np.full((5, 5, 5), 2.9)), "SUVbw", ""))
    assert (result.findings, result.removed) == ([], [])
    assert sitk.GetArrayViewFromImage(result.labels).max() == 0


def test_integer_emission_images_are_accepted():
    uptake = np.zeros((8, 8, 8), dtype=np.int16)
    uptake[3:6, 3:6, 3:6] = 10
    image = sitk.GetImageFromArray(uptake)
    image.SetSpacing((5.0, 5.0, 5.0))
    assert len(SegmentationEngine().segment(Images(image, "SUVbw", "")).findings) == 1


@pytest.mark.parametrize("units", ["Bq/mL", "", "SUVlbm"])
def test_other_units_are_refused(units):
    with pytest.raises(ValueError, match="SUVbw"):
        SegmentationEngine().segment(Images(small(np.ones((4, 4, 4))), units, ""))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(wrong):
    uptake = np.ones((4, 4, 4))
    uptake[0, 0, 0] = wrong
    with pytest.raises(ValueError, match="1 of 64 voxels"):
        SegmentationEngine().segment(Images(small(uptake), "SUVbw", ""))


def test_an_image_without_any_uptake_is_refused():
    with pytest.raises(ValueError, match="no uptake"):
        SegmentationEngine().segment(Images(small(np.zeros((4, 4, 4))), "SUVbw", ""))


def test_images_that_are_no_volume_are_refused():
    flat = sitk.GetImageFromArray(np.ones((4, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="2 dimensions"):
        SegmentationEngine().segment(Images(flat, "SUVbw", ""))
    colored = sitk.GetImageFromArray(np.ones((4, 4, 4, 3), dtype=np.float32), isVector=True)
    with pytest.raises(ValueError, match="3 values per voxel"):
        SegmentationEngine().segment(Images(colored, "SUVbw", ""))
    with pytest.raises(ValueError, match="no voxels"):
        SegmentationEngine().segment(Images(sitk.Image([0, 4, 4], sitk.sitkFloat32), "SUVbw", ""))


def test_an_unknown_method_is_refused_with_the_available_ones_listed():
    with pytest.raises(ValueError, match=r"'net'.*rules"):
        SegmentationEngine().segment(Images(small(np.ones((4, 4, 4))), "SUVbw", ""), method="net")


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="Valid are: rule_set"):
        SegmentationEngine().segment(Images(small(np.ones((4, 4, 4))), "SUVbw", ""), settings={"suv": 3})


def test_progress_runs_from_zero_to_one(body):
    told: list[tuple[float, str]] = []
    SegmentationEngine().segment(
        Images(body.emission, "SUVbw", ""), progress=lambda fraction, message: told.append((fraction, message))
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)
    assert all(message for _, message in told)


def test_cancel_stops_between_steps(body):
    asked = iter([False, False, True])
    with pytest.raises(SegmentationCancelled):
        SegmentationEngine().segment(Images(body.emission, "SUVbw", ""), cancel=lambda: next(asked))


def test_what_the_progress_callback_raises_passes_through(body):
    def stop(fraction: float, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SegmentationEngine().segment(Images(body.emission, "SUVbw", ""), progress=stop)


def test_the_emission_image_is_left_as_it_was(body):
    before = sitk.GetArrayFromImage(body.emission)
    SegmentationEngine().segment(Images(body.emission, "SUVbw", "", body.ct, body.organs))
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(body.emission), before)


def test_every_method_of_the_table_bears_its_name():
    assert {name: method.name for name, method in METHODS.items()} == {"rules": "rules"}
