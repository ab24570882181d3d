"""Reference regions in a case: placed with the segmentation, moved and removed by hand, never lost, each one step."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
from analytic_body import ORGANS, Body, Ellipsoid, make_body
from example_case import A, Visit, make_case
from PSMASegmentLib.organs import OrganMap
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.labels_import import import_labels
from PSMATheranosticsLib.pipeline import segment_studies, segment_study
from PSMATheranosticsLib.reference_regions import (
    SETTING,
    missing_references,
    move_reference,
    place_references,
    references_of,
    remove_reference,
    suv_image,
)
from PSMATheranosticsLib.study import Scaling
from tiny_case import PATIENT, study

OTHER_RULES = {"threshold": 4.0}


@pytest.fixture(scope="module")
def body() -> Body:
    return make_body((Ellipsoid((0, 15, 200), (12, 12, 12), 15.0),))


@pytest.fixture(scope="module")
def segmented(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a case of one study with organ map that was segmented; no test changes it."""
    folder = tmp_path_factory.mktemp("segmented") / "case"
    with CaseStore.create(folder, PATIENT, user="tester") as case:
        images = {"emission": body.emission, "ct": body.ct, "organs": body.organs}
        case.add_study(replace(study(1), scaling=Scaling("SUVbw", 1.0, "synthetic"), **images))
        assert segment_study(case, 1)
    return folder


@pytest.fixture
def folder(segmented: Path, tmp_path: Path) -> Path:
    """A copy of that case."""
    return Path(shutil.copytree(segmented, tmp_path / "case"))


@pytest.fixture
def case(folder: Path):
    with CaseStore.open(folder, write=True, user="tester") as opened:
        yield opened


def names(case: CaseStore) -> list[str]:
    return [region.name for region in references_of(case).get(1, ())]


def actions(case: CaseStore) -> list[str]:
    return [entry.action for entry in case.journal() if not entry.undone]


# --- placed with the segmentation ---


def test_a_segmentation_places_the_regions_in_its_own_step(segmented: Path):
    with CaseStore.open(segmented) as case:
        assert names(case) == ["liver", "spleen", "right parotid", "left parotid"]
        assert actions(case)[-1] == "Segment Baseline"
        assert missing_references(case) == {
            1: {"blood pool": "No organ map and no uptake that was recognized shows the organ."}
        }
        for region in references_of(case)[1]:
            assert (region.source, region.note) == ("automatic", "")
    assert check_case(segmented) == []


def test_the_measures_are_those_of_the_image(segmented: Path):
    with CaseStore.open(segmented) as case:
        regions = {region.name: region for region in references_of(case)[1]}
    # 3 % noise of the body over some hundred voxels.
    assert regions["liver"].suv_mean == pytest.approx(ORGANS["liver"].suv, rel=0.01)
    assert regions["liver"].suv_sd == pytest.approx(0.03 * ORGANS["liver"].suv, rel=0.3)
    assert regions["spleen"].suv_mean == pytest.approx(ORGANS["spleen"].suv, rel=0.02)


def test_undoing_the_segmentation_takes_the_regions_with_it(case: CaseStore):
    assert case.undo() == "Segment Baseline"
    assert references_of(case) == {}
    assert case.redo() == "Segment Baseline"
    assert len(names(case)) == 4


def test_without_an_organ_map_organs_found_by_their_uptake_are_used(body: Body, tmp_path: Path):
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        case.add_study(replace(study(1), scaling=Scaling("SUVbw", 1.0, "synthetic"), emission=body.emission))
        segment_study(case, 1)
        regions = {region.name: region for region in references_of(case)[1]}
        assert {"liver", "spleen"} <= set(regions)
        assert "found by its uptake" in regions["liver"].note
        assert regions["liver"].suv_mean == pytest.approx(ORGANS["liver"].suv, rel=0.02)


def test_an_old_case_gets_its_regions_when_it_is_run_again_and_a_second_run_changes_nothing(case: CaseStore):
    case.save_setting(SETTING, {})
    segment_studies(case)
    assert names(case) == ["liver", "spleen", "right parotid", "left parotid"]
    assert actions(case)[-1] == "Place the reference regions of Baseline"
    steps = len(case.journal())
    segment_studies(case)
    place_references(case)
    assert len(case.journal()) == steps


def test_lesions_taken_from_a_file_are_kept_away_from(case: CaseStore, tmp_path: Path):
    before = {region.name: region for region in references_of(case)[1]}
    labels = sitk.Image(case.labels(1).GetSize(), sitk.sitkUInt16)
    labels.CopyInformation(case.labels(1))
    x, y, z = labels.TransformPhysicalPointToIndex(before["liver"].center_mm)
    labels[x : x + 2, y : y + 2, z : z + 2] = 1
    sitk.WriteImage(labels, str(tmp_path / "drawn.nrrd"))
    import_labels(case, 1, tmp_path / "drawn.nrrd")
    after = {region.name: region for region in references_of(case)[1]}
    moved = sum((a - b) ** 2 for a, b in zip(after["liver"].center_mm, before["liver"].center_mm, strict=True)) ** 0.5
    assert moved >= 15.0  # mm: the lesion is out of the sphere at least


def test_rejected_lesions_are_not_kept_away_from(case: CaseStore):
    """Where everything hot counts as a lesion at first, the liver is one."""
    segment_study(case, 1, settings={"rule_set": "suv3-all"})
    assert "liver" not in names(case)
    index = case.labels(1).TransformPhysicalPointToIndex(ORGANS["liver"].center)
    case.decide_lesion(1, case.labels(1)[index], "rejected", "liver")
    place_references(case)
    assert "liver" in names(case)
    assert "spleen" not in names(case)


# --- by hand ---


def test_a_region_put_by_hand_is_measured_there_and_stays_in_a_new_segmentation(case: CaseStore):
    center = ORGANS["liver"].center
    moved = move_reference(case, 1, "liver", center, 12.0)
    assert (moved.source, moved.center_mm, moved.radius_mm) == ("by hand", center, 12.0)
    assert moved.suv_mean == pytest.approx(ORGANS["liver"].suv, rel=0.02)
    assert actions(case)[-1] == "Move the reference region liver of Baseline"
    assert segment_study(case, 1, settings=OTHER_RULES)
    place_references(case)
    assert references_of(case)[1][0] == moved
    assert case.undo() == "Segment Baseline"
    assert case.undo() == "Move the reference region liver of Baseline"
    assert references_of(case)[1][0].source == "automatic"


def test_a_place_for_a_region_that_was_not_found_can_be_given_by_hand(case: CaseStore):
    placed = move_reference(case, 1, "blood pool", (0.0, 0.0, 200.0))
    assert placed.radius_mm == 5.0
    assert actions(case)[-1] == "Place the reference region blood pool of Baseline"
    assert names(case)[0] == "blood pool"
    assert missing_references(case) == {1: {}}


def test_an_image_that_is_at_hand_gives_the_same_as_the_stored_one(case: CaseStore):
    center = ORGANS["spleen"].center
    read = move_reference(case, 1, "spleen", center)
    assert move_reference(case, 1, "spleen", center, emission=suv_image(case, 1)) == read


def test_moving_keeps_the_radius_of_the_region(case: CaseStore):
    move_reference(case, 1, "spleen", ORGANS["spleen"].center, 8.0)
    again = move_reference(case, 1, "spleen", ORGANS["spleen"].center)
    assert again.radius_mm == 8.0


def test_a_removed_region_stays_away_until_it_is_placed_again(case: CaseStore):
    remove_reference(case, 1, "liver")
    assert "liver" not in names(case)
    assert missing_references(case)[1]["liver"] == "Removed by hand."
    assert segment_study(case, 1, settings=OTHER_RULES)
    assert "liver" not in names(case)
    place_references(case, 1)
    assert names(case)[0] == "liver"
    assert references_of(case)[1][0].source == "automatic"


def test_what_cannot_be_is_refused_with_nothing_changed(case: CaseStore):
    steps = len(case.journal())
    with pytest.raises(InputError, match=r"'kidney' is no reference region\. Possible: blood pool, liver"):
        move_reference(case, 1, "kidney", (0, 0, 0))
    with pytest.raises(InputError, match=r"Baseline: A sphere of 15 mm .* reaches out of the image"):
        move_reference(case, 1, "liver", (900.0, 0.0, 0.0))
    for radius in (0.0, -1.0, 60.0, float("nan")):
        with pytest.raises(InputError, match="no radius of a reference region"):
            move_reference(case, 1, "liver", ORGANS["liver"].center, radius)
    with pytest.raises(InputError, match="three coordinates"):
        move_reference(case, 1, "liver", (0.0, 0.0))
    with pytest.raises(InputError, match="no reference region in the blood pool"):
        remove_reference(case, 1, "blood pool")
    with pytest.raises(CaseError, match="has no study 9"):
        place_references(case, 9)
    assert len(case.journal()) == steps


def test_a_spect_without_suv_is_left_out_and_refused_by_name(body: Body, tmp_path: Path):
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        counts = replace(study(1), modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "none"), emission=body.emission)
        case.add_study(counts)
        place_references(case)
        assert references_of(case) == {}
        with pytest.raises(InputError, match="SUVs are not known"):
            place_references(case, 1)


def test_a_spect_in_suv_is_measured_in_suv(body: Body, tmp_path: Path):
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        scaling = Scaling("Bq/mL", 1.0, "none", suv_factor=0.5)
        case.add_study(replace(study(1), modality="SPECT", scaling=scaling, emission=body.emission))
        found = move_reference(case, 1, "liver", ORGANS["liver"].center)
        assert found.suv_mean == pytest.approx(0.5 * ORGANS["liver"].suv, rel=0.02)


def test_cancelling_leaves_everything_as_it_was(case: CaseStore):
    remove_reference(case, 1, "liver")
    steps = len(case.journal())

    class Stopped(Exception):
        pass

    def cancel(fraction: float, message: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        place_references(case, 1, cancel)
    assert len(case.journal()) == steps
    assert "liver" not in names(case)


def test_a_damaged_record_is_reported_as_damage(tmp_path: Path):
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        case.save_setting(SETTING, {"1": {"liver": {"center_mm": [0.0, 0.0]}}})
        with pytest.raises(CaseError, match="damaged"):
            references_of(case)


def test_an_organ_map_that_names_an_organ_decides_about_it(body: Body, tmp_path: Path):
    """Where the map has the liver and there is no room in it, no liver found by uptake takes its place."""
    values = sitk.GetArrayFromImage(body.organs.labels)
    liver = next(value for value, name in body.organs.names.items() if name == "liver")
    values[: values.shape[0] * 11 // 20][values[: values.shape[0] * 11 // 20] == liver] = 0
    thin = sitk.GetImageFromArray(values)
    thin.CopyInformation(body.organs.labels)
    only = OrganMap(sitk.Cast(thin == liver, sitk.sitkUInt8), {1: "liver"})
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        scaling = Scaling("SUVbw", 1.0, "synthetic")
        case.add_study(replace(study(1), scaling=scaling, emission=body.emission, organs=only))
        segment_study(case, 1)
        assert "liver" not in names(case)
        assert "away from its edge" in missing_references(case)[1]["liver"]
        assert "spleen" in names(case)


# --- at the command line ---


def told(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict:
    """The last JSON line that a command writes."""
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_regions_are_shown_moved_removed_and_placed_at_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    (shown,) = told(capsys, "references", folder)["result"]["references"]
    assert [region["name"] for region in shown["regions"]] == ["liver", "spleen", "right parotid", "left parotid"]
    assert set(shown["missing"]) == {"blood pool"}
    command = ["references", folder, "--study", 1, "--set", "liver", -78, -50, 85.5, "--radius-mm", 10]
    (moved,) = told(capsys, *command)["result"]["references"]
    assert moved["regions"][0]["center_mm"] == [-78.0, -50.0, 85.5]
    assert (moved["regions"][0]["radius_mm"], moved["regions"][0]["source"]) == (10.0, "by hand")
    told(capsys, "references", folder, "--study", 1, "--remove", "liver")
    assert main(["references", str(folder), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "Study 1, Baseline of 2024-01-02:" in text
    assert "liver: not placed. Removed by hand." in text
    assert "spleen: SUVmean 7.84 (SD 0.24, 19 voxels), radius 10 mm at (104.0, 20.0, 80.0) mm LPS, automatic" in text
    (placed,) = told(capsys, "references", folder, "--place")["result"]["references"]
    assert placed["regions"][0]["source"] == "automatic"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "liver", "1", "2", "3"], "need --study"),
        (["--remove", "liver"], "need --study"),
        (["--place", "--remove", "liver", "--study", "1"], "do not go together"),
        (["--radius-mm", "4"], "goes with --set"),
        (["--study", "1", "--set", "liver", "1", "2", "here"], "no coordinate"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    segmented: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert message in told(capsys, "references", segmented, *options, code=3)["message"]
