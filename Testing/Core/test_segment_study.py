"""The step of the main job that finds lesions stores what a reader's tools need: regions and physiological uptake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import ORGANS, Body, Ellipsoid, make_body
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.measure import totals
from PSMASegmentLib.reference_regions import Reference
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.labels_import import import_labels
from PSMATheranosticsLib.pipeline import segment_study
from PSMATheranosticsLib.reference_regions import move_reference, references_of, remove_reference
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.study import Scaling
from tiny_case import PATIENT, study

SPINE = Ellipsoid((0, 15, 200), (12, 12, 12), 15.0)
LIVER = Ellipsoid((-90, -10, 90), (12, 12, 12), 40.0)


@pytest.fixture(scope="module")
def body() -> Body:
    return make_body((SPINE, LIVER))


@pytest.fixture(scope="module")
def case(body: Body, tmp_path_factory: pytest.TempPathFactory) -> CaseStore:
    """A case of one study with CT and organ map, segmented by rules."""
    folder = tmp_path_factory.mktemp("segmented") / "case"
    made = CaseStore.create(folder, PATIENT)
    images = {"emission": body.emission, "ct": body.ct, "organs": body.organs}
    made.add_study(replace(study(1), scaling=Scaling("SUVbw", 1.0, "synthetic"), **images))
    assert segment_study(made, 1)
    return made


def test_every_lesion_has_a_proposed_region_with_its_reason(body: Body, case: CaseStore):
    truth = sitk.GetArrayViewFromImage(body.truth)
    labels = sitk.GetArrayFromImage(case.labels(1))
    found = {}
    for lesion in case.lesions(1):
        assert lesion.region.reason
        assert (lesion.region_source, lesion.region.name in REGIONS) == ("proposed", True)
        found[int(np.bincount(truth[labels == lesion.lesion]).argmax())] = lesion.region
    assert (found[2].name, found[2].site) == ("visceral", "liver")
    assert set(found) == {1, 2}


def test_what_was_taken_for_physiological_is_stored_with_names(case: CaseStore):
    found = case.physiology(1)
    assert found is not None
    image, names = found
    assert image.GetSize() == case.load_image(case.study(1).emission_id).GetSize()
    assert {"left kidney", "urinary bladder", "liver"} <= set(names.values())
    assert set(np.unique(sitk.GetArrayViewFromImage(image))) <= {0, *names}
    assert check_case(case.folder) == []


def test_totals_by_region_add_up_to_those_of_the_study(case: CaseStore):
    result = collect_results(case).study(1)
    assert result.totals is not None
    assert "visceral" in result.by_region
    assert sum(sums.lesion_count for sums in result.by_region.values()) == result.totals.lesion_count
    assert sum(sums.psma_tv_ml for sums in result.by_region.values()) == pytest.approx(result.totals.psma_tv_ml)
    liver = [lesion.measures for lesion in result.lesions if lesion.region.name == "visceral"]
    assert result.by_region["visceral"] == totals(liver)


def test_lesions_taken_from_a_file_get_proposed_regions_too(case: CaseStore, tmp_path: Path):
    drawn = tmp_path / "lesions.nrrd"
    sitk.WriteImage(case.labels(1), str(drawn))
    before = {lesion.lesion: lesion.region for lesion in case.lesions(1)}
    import_labels(case, 1, drawn)
    assert {lesion.lesion: lesion.region for lesion in case.lesions(1)} == before
    assert case.physiology(1) is None
    case.undo()
    assert case.physiology(1) is not None


@pytest.fixture
def placed(body: Body, tmp_path: Path):
    """A case of one study in whose liver a reader placed the reference region."""
    with CaseStore.create(tmp_path / "case", PATIENT) as made:
        images = {"emission": body.emission, "ct": body.ct, "organs": body.organs}
        made.add_study(replace(study(1), scaling=Scaling("SUVbw", 1.0, "synthetic"), **images))
        move_reference(made, 1, "liver", (-78.0, -50.0, 110.0), 12.0)
        yield made


def reference(case: CaseStore) -> dict:
    record = case.segmentation(1)
    assert record is not None
    found: dict = record.provenance["threshold"]["reference"]
    return found


def test_rules_by_the_liver_measure_where_the_reader_placed_the_region(placed: CaseStore):
    liver = {"rule_set": "liver"}
    (region,) = references_of(placed)[1]
    assert segment_study(placed, 1, "rules", liver)
    told = reference(placed)
    assert (told["source"], told["radius_mm"], told["center_mm"]) == ("reader", 12.0, [-78.0, -50.0, 110.0])
    assert told["suv_mean"] == region.suv_mean and told["suv_sd"] == region.suv_sd
    assert not segment_study(placed, 1, "rules", liver)
    move_reference(placed, 1, "spleen", ORGANS["spleen"].center)
    assert not segment_study(placed, 1, "rules", liver)  # which takes no part
    move_reference(placed, 1, "liver", (-78.0, -50.0, 70.0), 12.0)
    assert segment_study(placed, 1, "rules", liver)
    assert reference(placed)["center_mm"] == [-78.0, -50.0, 70.0]
    remove_reference(placed, 1, "liver")
    assert segment_study(placed, 1, "rules", liver)
    assert reference(placed)["source"] == "organ map"


def test_a_region_of_the_reader_counts_only_where_it_is_measured(placed: CaseStore):
    assert segment_study(placed, 1, "rules", {"rule_set": "liver", "reference_mean": 7.0})
    assert reference(placed)["source"] == "entered"
    assert segment_study(placed, 1, "rules", {"rule_set": "spleen"})
    assert reference(placed)["source"] == "organ map"
    assert segment_study(placed, 1)
    record = placed.segmentation(1)
    assert record is not None and "references" not in record.provenance["request"]
    move_reference(placed, 1, "liver", (-78.0, -50.0, 70.0), 12.0)
    assert not segment_study(placed, 1)


def test_a_region_without_uptake_is_refused(body: Body):
    images = Images(
        body.emission, "SUVbw", "68Ga-PSMA-11", references=(Reference("liver", (0, 0, 0), 9.0, 0.0, 0.0, 9),)
    )
    with pytest.raises(ValueError, match=r"SUVmean of the liver is 0.*Check that the region lies in the organ"):
        SegmentationEngine().segment(images, "rules", {"rule_set": "liver"})
