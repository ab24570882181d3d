"""The label image of what was taken for physiological: whole organs of a map, uptake that was removed, no lesions."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import Body, Ellipsoid, make_body
from PSMASegmentLib.clicks.study import click_study
from PSMASegmentLib.engine import Images, Segmentation, SegmentationEngine
from PSMASegmentLib.organs import OrganMap

LESIONS = (Ellipsoid((0, 15, 200), (12, 12, 12), 15.0), Ellipsoid((90, 30, -200), (14, 12, 16), 20.0))


@pytest.fixture(scope="module")
def body() -> Body:
    return make_body(LESIONS)


def segment(body: Body, organs: OrganMap | None, **settings: object) -> Segmentation:
    return SegmentationEngine().segment(Images(body.emission, "SUVbw", "", None, organs), settings=settings)


def labels_of(result: Segmentation) -> tuple[np.ndarray, dict[str, int]]:
    """The physiological labels as an array, and the values by name."""
    assert result.physiology is not None
    assert result.physiology.GetPixelID() == sitk.sitkUInt8
    return sitk.GetArrayFromImage(result.physiology), {name: value for value, name in result.physiology_names.items()}


def test_organs_of_the_map_are_marked_as_a_whole_by_name(body):
    result = segment(body, body.organs)
    marked, values = labels_of(result)
    assert {"left kidney", "right kidney", "liver", "spleen", "urinary bladder"} <= set(values)
    assert set(np.unique(marked)) - {0} <= set(values.values())
    organs = sitk.GetArrayViewFromImage(body.organs.labels)
    lesions = sitk.GetArrayViewFromImage(result.labels) > 0
    for value, name in body.organs.names.items():
        organ = name.replace("_", " ")
        sided = " ".join(reversed(organ.split())) if organ.endswith(("left", "right")) else organ
        if sided in values:
            assert (marked[(organs == value) & ~lesions] == values[sided]).all(), name


def test_without_a_map_the_removed_uptake_is_marked_and_nothing_else(body):
    result = segment(body, None)
    marked, values = labels_of(result)
    assert {"left kidney", "right kidney"} <= set(values)
    uptake = sitk.GetArrayViewFromImage(body.emission)
    assert uptake[marked > 0].min() >= 3.0
    removed_ml = sum(one.volume_ml for one in result.removed if one.reason != "smaller than the minimum volume")
    assert (marked > 0).sum() * 0.216 == pytest.approx(removed_ml, abs=1e-6)


@pytest.mark.parametrize("with_map", [True, False])
def test_voxels_of_lesions_are_never_marked(with_map):
    metastasis = make_body([Ellipsoid((-85, -60, 90), (14, 14, 14), 25.0)])
    result = segment(metastasis, metastasis.organs if with_map else None)
    marked, _ = labels_of(result)
    lesion = sitk.GetArrayViewFromImage(result.labels) > 0
    assert lesion.sum() > 20  # it lies inside the liver, and stays
    assert not marked[lesion].any()
    liver = sitk.GetArrayViewFromImage(metastasis.organs.labels)[lesion]
    assert (liver > 0).mean() > 0.9


def test_a_map_on_another_grid_is_brought_onto_that_of_the_emission(body):
    turned = sitk.DICOMOrient(body.organs.labels, "RAI")
    finer = sitk.Expand(turned, [2, 1, 1], sitk.sitkNearestNeighbor)
    result = segment(body, OrganMap(finer, body.organs.names))
    marked, values = labels_of(result)
    wanted, wanted_values = labels_of(segment(body, body.organs))
    assert set(values) == set(wanted_values)
    kidney, known = marked == values["left kidney"], wanted == wanted_values["left kidney"]
    assert (kidney & known).sum() > 0.95 * known.sum()
    assert kidney.sum() < 1.05 * known.sum()


def test_without_uptake_above_the_threshold_the_map_alone_is_marked(body):
    cold = sitk.Cast(body.emission, sitk.sitkFloat32) * 0.01
    result = SegmentationEngine().segment(Images(cold, "SUVbw", "", None, body.organs))
    marked, values = labels_of(result)
    organs = sitk.GetArrayViewFromImage(body.organs.labels)
    liver = next(value for value, name in body.organs.names.items() if name == "liver")
    assert np.array_equal(marked == values["liver"], organs == liver)


def test_rules_that_leave_physiological_uptake_in_mark_nothing(body):
    result = segment(body, body.organs, remove_physiological=False)
    marked, values = labels_of(result)
    assert not marked.any()
    assert values == {}


def test_a_click_study_names_the_organ_under_a_click(body):
    result = segment(body, body.organs)
    clicks = click_study(body.emission, "PET", result.physiology, result.physiology_names)
    uptake = sitk.GetArrayViewFromImage(body.emission)
    organs = sitk.GetArrayViewFromImage(body.organs.labels)
    kidney = next(value for value, name in body.organs.names.items() if name == "kidney_left")
    hottest = np.argwhere(organs == kidney)[uptake[organs == kidney].argmax()]
    assert clicks.organ_at(tuple(int(index) for index in hottest)) == "left kidney"
    assert clicks.organ_at((0, 0, 0)) == ""
