"""``psma evaluate`` without clicks: synthetic studies, masks from files, what is kept, and input that is refused."""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from organ_map_maker import write_organ_maps
from PSMASegmentLib.engine import METHODS, MODEL_METHODS
from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings, StudyFigures, evaluate_labels
from PSMASegmentLib.evaluation.study_summaries import (
    SummarySettings,
    by_region,
    by_size,
    compare_all,
    lesion_f1_of,
    size_class,
    summarize,
)
from PSMASegmentLib.segmentation import Finding, Images, Segmentation
from PSMATheranosticsLib.commands_evaluate import add_evaluate_arguments, evaluate
from PSMATheranosticsLib.console import Console
from PSMATheranosticsLib.errors import Cancelled, InputError
from PSMATheranosticsLib.evaluation_methods import Predictions, parse_method
from PSMATheranosticsLib.evaluation_run import evaluate_methods
from PSMATheranosticsLib.evaluation_sources import SPECT, FolderSource, OrganMapSource, Subject
from PSMATheranosticsLib.progress import silent


def options_of(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    return parser.parse_args([*map(str, arguments), "--resamples", "50"])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    """The result that the command reports."""
    assert evaluate(options_of(*arguments), Console(json_lines=True)) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])["result"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def image(values: np.ndarray, spacing: tuple[float, float, float] = (4.0, 4.0, 5.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.SetSpacing(spacing)
    return made


def labels(*lesions: tuple[slice, slice, slice]) -> np.ndarray:
    values = np.zeros((12, 14, 16), np.uint16)
    for number, window in enumerate(lesions, start=1):
        values[window] = number
    return values


BIG, SMALL, ELSEWHERE = np.s_[2:6, 2:6, 2:6], np.s_[9, 9, 9:11], np.s_[2:5, 9:12, 10:14]


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Two studies with the truth alone, and what two others say of them; the second man has no lesion."""
    truth, said = tmp_path / "truth", tmp_path / "said"
    truth.mkdir()
    said.mkdir()
    sitk.WriteImage(image(labels(BIG, SMALL)), str(truth / "a_labels.nii.gz"))
    sitk.WriteImage(image(labels()), str(truth / "b_labels.nii.gz"))
    sitk.WriteImage(image((labels(BIG, ELSEWHERE) > 0).astype(np.uint8)), str(said / "a.nii.gz"))
    sitk.WriteImage(image(labels()), str(said / "b_labels.nii.gz"))
    (truth / "cases.csv").write_text("name,tracer\na,18F-DCFPyL\n")
    return truth, said


def test_masks_from_files_give_the_figures_that_follow_from_them(
    masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, said = masks
    out = tmp_path / "out"
    result = run(capsys, truth, "--predictions", f"mine={said}", truth, "--to", out, "--no-surfaces")
    assert json.loads((out / "summary.json").read_text()) == result
    assert list(result["methods"]) == ["mine", "truth"]
    figures = result["methods"]["mine"]["all"]
    big, small, elsewhere = 64 * 0.08, 2 * 0.08, 36 * 0.08
    assert figures["voxels"]["dice"]["median"]["value"] == pytest.approx(2 * 64 / (66 + 100))
    assert figures["voxels"]["fpv_ml"]["mean"]["value"] == pytest.approx(elsewhere / 2)
    assert figures["voxels"]["fnv_ml"]["mean"] == {"n": 1, "value": pytest.approx(small), "low": None, "high": None}
    counted = figures["lesions"]["overlap"]
    assert (counted["hits"], counted["missed"], counted["false"]) == (1, 0, 1)  # the small one counts for nothing
    assert "suv_max" not in figures["lesions"] and "tl_psma" not in figures["burden"]
    assert figures["patients"]["accuracy"]["hits"] == 2
    rows = {(row["case"], row["method"]): row for row in rows_of(out / "studies.csv")}
    assert float(rows["a", "mine"]["psma_tv_true_ml"]) == pytest.approx(big + small)
    assert rows["b", "mine"]["dice"] == "" and rows["a", "mine"]["tracer"] == "18F-DCFPyL"
    assert list(result["methods"]["mine"]["by_tracer"]) == ["18F-DCFPyL"]
    lesions = [row for row in rows_of(out / "lesions.csv") if row["method"] == "mine"]
    assert [(row["mask"], row["met_overlap"]) for row in lesions] == [
        ("truth", "1"), ("truth", "0"), ("prediction", "1"), ("prediction", "0"),
    ]  # fmt: skip
    compared = result["comparisons"][0]["measures"]["dice"]
    assert compared["n"] == 1 and compared["mean_difference"]["value"] == pytest.approx(1 - 2 * 64 / 166)


def test_page_stands_alone_and_names_all_methods(
    masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("monai")
    truth, said = masks
    run(capsys, truth, "--predictions", f"<mine>={said}", f"me={truth}", "--to", tmp_path / "out")
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "&lt;mine&gt;" in page and "<mine>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page) and "<script" not in page
    assert page.count("data:image/png;base64,") == page.count("<img ") >= 4
    for title in ("Main figures", "Patients", "Agreement of PSMA-TV", "Lesions by volume", "Paired comparisons"):
        assert title in page
    assert "Synthetic" not in page


def test_burden_of_many_methods_is_plotted_in_rows_of_even_length(
    masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, said = masks
    named = [f"{name}={said}" for name in "abcde"]
    run(capsys, truth, "--predictions", *named, "--no-surfaces", "--to", tmp_path / "out")
    page = (tmp_path / "out" / "evaluation.html").read_text()
    rows = re.findall(r"Bland-Altman plots of PSMA-TV \(([a-e, ]+)\)", page)
    assert list(dict.fromkeys(rows)) == ["a, b, c", "d, e"]


def test_lesions_can_be_the_values_of_the_labels(
    masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, said = masks
    touching = labels(np.s_[2:6, 2:6, 2:4], np.s_[2:6, 2:6, 4:6])
    sitk.WriteImage(image(touching), str(truth / "a_labels.nii.gz"))
    for kind, count in (("components", 1), ("labels", 2)):
        out = tmp_path / kind
        result = run(capsys, truth, "--predictions", said, "--lesions", kind, "--to", out, "--no-surfaces")
        assert result["methods"]["said"]["all"]["lesions"]["overlap"]["hits"] == count
        # The mask of the other has no values to tell its two lesions apart; they are its parts.
        assert result["methods"]["said"]["all"]["lesions"]["overlap"]["false"] == 1


def test_stopped_evaluation_goes_on_where_it_was(masks: tuple[Path, Path], tmp_path: Path) -> None:
    truth, said = masks
    out = tmp_path / "out"
    options = options_of(truth, "--predictions", said, "--to", out, "--no-surfaces")

    class Stopping(Console):
        def progress(self, fraction: float, message: str) -> None:
            if message.startswith("b"):
                raise Cancelled

    with pytest.raises(Cancelled):
        evaluate(options, Stopping(quiet=True))
    kept = list(out.rglob("*.json"))
    assert len(kept) == 1 and kept[0].parent.name == "a"
    before = kept[0].stat().st_mtime_ns
    assert evaluate(options, Console(quiet=True)) == 0
    assert kept[0].stat().st_mtime_ns == before
    first = (out / "summary.json").read_text()
    # Another prediction, and only its figures, is taken up; a damaged file is made anew.
    next(out.glob("cases/b/*.json")).write_text("{")
    sitk.WriteImage(image(labels(BIG, SMALL)), str(said / "a.nii.gz"))
    assert evaluate(options, Console(quiet=True)) == 0
    assert kept[0].stat().st_mtime_ns > before and (out / "summary.json").read_text() != first
    assert rows_of(out / "studies.csv")[0]["dice"] == "1.0"


def test_synthetic_studies_are_found_by_rules_and_flooded_by_a_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_organ_maps(tmp_path / "maps", 2, 8.0)
    tracers = ("68Ga-PSMA-11", "18F-PSMA-1007")
    result = run(
        capsys, "--organ-maps", tmp_path / "maps", "--count", 2, "--tracer", *tracers, "--to", tmp_path / "out",
        "--methods", "rules@organs=true", "suv3", "rules@threshold=4,low_evidence=false", "--no-surfaces",
    )  # fmt: skip
    assert result["synthetic"] and "Synthetic" in result["note"]
    rules, fixed = (result["methods"][name]["all"] for name in ("rules@organs=true", "suv3"))
    assert rules["voxels"]["fpv_ml"]["mean"]["value"] < 0.5 * fixed["voxels"]["fpv_ml"]["mean"]["value"]
    assert fixed["voxels"]["sensitivity"]["mean"]["value"] > 0.5
    assert set(result["methods"]["suv3"]["by_tracer"]) == set(tracers)
    assert set(result["methods"]["suv3"]["by_region"]) <= {
        "bone",
        "pelvic node",
        "distant node",
        "visceral",
        "prostate bed",
    }
    assert result["methods"]["suv3"]["by_region"]
    assert "Synthetic" in (tmp_path / "out" / "evaluation.html").read_text()


def test_synthetic_spect_counts_what_the_camera_shows(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    write_organ_maps(folder, 1, 8.0)
    tracers = ["68Ga-PSMA-11"]
    seen, whole = (OrganMapSource(folder, 1, 9, tracers, modality=SPECT, all_lesions=every) for every in (False, True))
    (name,) = seen.names
    assert seen.tracer(name) == "177Lu-PSMA-617" and seen.stamp(name) != whole.stamp(name)
    shown, every = seen.load(name), whole.load(name)
    assert every.ignored is None and shown.prior is not None and shown.emission is not None
    truth, ignored, all_of_it = map(sitk.GetArrayFromImage, (shown.truth, shown.ignored, every.truth))
    assert truth.any() and ignored.any()
    assert not (ignored.astype(bool) & (truth > 0)).any()
    np.testing.assert_array_equal((truth > 0) | (ignored > 0), all_of_it > 0)
    # A prediction of all lesions is right by both truths: what nobody can see is neither found nor false.
    sitk.WriteImage(every.truth, str(tmp_path / f"{name}.nii.gz"))
    mine = [Predictions("mine", tmp_path)]
    settings = EvaluationSettings(surfaces=False)
    (by_seen,), _ = evaluate_methods(seen, mine, settings, tmp_path / "out", silent)
    assert by_seen.figures.voxels.dice == 1.0 and by_seen.figures.voxels.fpv_ml == 0.0
    assert by_seen.figures.true_burden.psma_tv_ml == pytest.approx(
        (truth > 0).sum() * np.prod(shown.truth.GetSpacing()) / 1000
    )
    (by_all,), _ = evaluate_methods(whole, mine, settings, tmp_path / "out", silent)
    assert by_all.figures.true_burden.psma_tv_ml > by_seen.figures.true_burden.psma_tv_ml


def test_study_that_a_method_refuses_can_be_left_out(
    masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, said = masks
    sitk.WriteImage(image(labels(BIG), (4.0, 4.0, 4.0)), str(said / "a.nii.gz"))
    given = (truth, "--predictions", said, f"right={truth}", "--no-surfaces")
    with pytest.raises(InputError, match=r"a, said: .*With --skip-failures"):
        evaluate(options_of(*given, "--to", tmp_path / "stopped"), Console(quiet=True))
    result = run(capsys, *given, "--to", tmp_path / "out", "--skip-failures")
    assert [(failure["case"], failure["method"]) for failure in result["failures"]] == [("a", "said")]
    assert [groups["all"]["studies"] for groups in result["methods"].values()] == [1, 2]
    assert result["comparisons"][0]["measures"]["fpv_ml"]["n"] == 1
    assert "Left out" in (tmp_path / "out" / "evaluation.html").read_text()
    (said / "b_labels.nii.gz").unlink()
    sitk.WriteImage(image(labels(), (4.0, 4.0, 4.0)), str(said / "b.nii.gz"))
    with pytest.raises(InputError, match="said refused every study"):
        evaluate(options_of(*given, "--to", tmp_path / "out", "--skip-failures"), Console(quiet=True))


def test_command_counts_as_the_library_does_by_default() -> None:
    options = options_of("folder", "--to", "folder")
    usual = EvaluationSettings()
    assert (options.lesions, options.tolerance_mm, options.smallest_ml) == (
        usual.lesions,
        usual.tolerance_mm,
        SummarySettings().smallest_ml,
    )


def test_methods_are_read_with_their_settings() -> None:
    method = parse_method("package:pet@ct=false,threshold=0.4,name=x")
    assert (method.method, method.settings) == ("package:pet", {"threshold": 0.4, "name": "x"})
    assert method.given == {"ct": False, "organs": False, "prior": True, "low_evidence": True}
    assert parse_method("suv3@threshold=4").settings == {"rule_set": "suv3-all", "threshold": 4}
    assert parse_method("rules").stamp("a") != parse_method("rules@threshold=4").stamp("a")


class Seer:
    """A method that says what it was given and finds two lesions, one of them of low evidence."""

    name = "seer"

    def __init__(self) -> None:
        self.seen: list[Images] = []

    def check(self, given: Mapping[str, Any]) -> None:
        """Knows no settings."""

    def segment(self, images: Images, given: Mapping[str, Any], progress: Callable[[float, str], None]) -> Segmentation:
        """Two lesions."""
        self.seen.append(images)
        findings = [Finding(1, "seer", "hot"), Finding(2, "seer", "faint", low_evidence=True)]
        return Segmentation(image(labels(BIG, SMALL)), findings, [], {})


def test_method_gets_the_images_that_its_options_allow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seer = Seer()
    monkeypatch.setitem(METHODS, "seer", seer)
    for end, values in (("labels", labels(BIG)), ("prior", labels(SMALL)), ("suv", labels(BIG).astype(np.float32)),
                        ("ct", labels().astype(np.int16)), ("organs", labels(ELSEWHERE))):  # fmt: skip
        sitk.WriteImage(image(values), str(tmp_path / f"a_{end}.nii.gz"))
    (tmp_path / "labels.csv").write_text("value,organ\n1,liver\n")
    (tmp_path / "cases.csv").write_text("name,tracer\na,18F-DCFPyL\n")
    source = FolderSource(tmp_path, truth_alone=False)
    wanted = ("seer", "seer@ct=false,prior=false", "seer@organs=true,low_evidence=false")
    methods = [parse_method(text) for text in wanted]
    done, _ = evaluate_methods(source, methods, EvaluationSettings(surfaces=False), tmp_path / "out", silent)
    usual, bare, all_of_it = seer.seen
    assert usual.tracer == "18F-DCFPyL" and usual.units == "SUVbw"
    assert usual.ct is not None and usual.prior is not None and usual.organs is None
    assert bare.ct is None and bare.prior is None
    assert all_of_it.organs is not None
    assert [len(one.figures.found_lesions) for one in done] == [2, 2, 1]
    assert done[2].figures.voxels.dice == 1.0 > done[0].figures.voxels.dice


def test_person_at_the_terminal_is_asked_by_the_method_that_runs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def made(which: str, confirm: Callable[[str], bool] | None) -> Seer:
        assert confirm is not None and confirm(f"May {which} run?")
        return Seer()

    def confirm(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setitem(MODEL_METHODS, "toy", made)
    method = parse_method("toy:mine", confirm)
    uptake = image(labels(BIG).astype(np.float32))
    for name in "ab":
        method.labels(Subject(name, image(labels(BIG)), uptake), silent)
    assert asked == ["May mine run?"]


def test_figures_are_made_anew_when_a_table_beside_the_images_is_another(masks: tuple[Path, Path]) -> None:
    truth, said = masks
    source = FolderSource(truth, truth_alone=True)
    assert (source.tracer("a"), source.tracer("b")) == ("18F-DCFPyL", "")
    stamps = [source.stamp("a")]
    (truth / "labels.csv").write_text("value,organ\n1,liver\n")
    stamps.append(source.stamp("a"))
    (truth / "cases.csv").write_text("name,tracer\na,68Ga-PSMA-11\nb\n")
    again = FolderSource(truth, truth_alone=True)
    stamps.append(again.stamp("a"))
    assert len(set(stamps)) == 3 and again.tracer("b") == ""
    copy = shutil.copytree(said, said.parent / "copy")  # with the times of the files
    assert Predictions("x", said).stamp("a") != Predictions("x", copy).stamp("a")


def test_input_that_cannot_be_used_is_named(masks: tuple[Path, Path], tmp_path: Path) -> None:
    truth, said = masks

    def refuse(match: str, *arguments: object) -> None:
        with pytest.raises(InputError, match=match):
            evaluate(options_of(*arguments, "--to", tmp_path / "out", "--no-surfaces"), Console(quiet=True))

    refuse("what is to be evaluated", truth)
    refuse("either a folder", "--methods", "rules")
    refuse("no cases. Expected there: NAME_suv", truth, "--methods", "rules")
    refuse("no cases. Expected there: NAME_labels", said.parent, "--predictions", said)
    refuse("no folder", truth, "--predictions", tmp_path / "none")
    refuse("Two methods are called truth", truth, "--predictions", truth, truth)
    refuse("'ct' is no setting", truth, "--methods", "rules@ct")
    refuse("ct must be true or false", truth, "--methods", "rules@ct=1")
    refuse("add --interactive", truth, "--predictions", truth, "--protocol", "v")
    refuse("not for --interactive", truth, "--predictions", truth, "--interactive", "--protocol", "v")
    refuse("not for --interactive", truth, "--modality", "spect", "--interactive", "--protocol", "v")
    refuse("smallest-ml and --resamples", truth, "--predictions", truth, "--smallest-ml", -1)
    refuse("tolerance must be 0 mm", truth, "--predictions", truth, "--tolerance-mm", -1)
    refuse("--interactive needs --protocol", truth, "--interactive")
    refuse("takes one --tracer", truth, "--interactive", "--protocol", "v", "--tracer", "68Ga-PSMA-11", "18F-DCFPyL")
    (said / "b_labels.nii.gz").unlink()
    refuse("neither b.nii.gz nor b_labels.nii.gz", truth, "--predictions", said)
    sitk.WriteImage(image(labels(), (4.0, 4.0, 4.0)), str(said / "b.nii.gz"))
    refuse("b, said: .*grid", truth, "--predictions", said)
    sitk.WriteImage(image(labels().astype(np.float32) + 0.5), str(said / "b.nii.gz"))
    refuse("whole numbers", truth, "--predictions", said)
    sitk.WriteImage(image(np.ones(labels().shape, np.float32)), str(truth / "a_suv.nii.gz"))
    refuse("There is no segmentation method 'magic'", truth, "--methods", "magic")
    refuse("rules@depth=3: .*depth", truth, "--methods", "rules@depth=3")
    (truth / "a_labels.nii.gz").unlink()
    refuse("no truth a_labels.nii.gz", truth, "--methods", "rules")
    (truth / "cases.csv").write_text("case\na\n")
    with pytest.raises(InputError, match="columns name and tracer"):
        FolderSource(truth, truth_alone=True)


def study(found: np.ndarray, regions: dict[int, str]) -> StudyFigures:
    truth = image(labels(BIG, SMALL, ELSEWHERE))
    return evaluate_labels(truth, image(found), None, regions, EvaluationSettings(surfaces=False))


def test_groups_count_every_lesion_once() -> None:
    regions = {1: "bone", 2: "bone", 3: "visceral"}
    studies = [study(labels(BIG), regions), study(labels(ELSEWHERE, SMALL), regions)]
    settings = SummarySettings(resamples=50)
    groups = by_region(studies, settings)
    assert [(name, group["lesions"]) for name, group in groups.items()] == [("bone", 2), ("visceral", 2)]
    assert [group["sensitivity"]["value"] for group in groups.values()] == [0.5, 0.5]
    sizes = by_size(studies)
    assert sum(group["lesions"] for group in sizes.values()) == 6
    assert sizes["below 0.5 mL"]["sensitivity"]["hits"] == 1 and sizes["below 0.5 mL"]["predicted"] == 1
    assert (size_class(0.16), size_class(0.5), size_class(4.99), size_class(20.0)) == (
        "below 0.5 mL", "0.5 to 1 mL", "2 to 5 mL", "20 mL or more",
    )  # fmt: skip
    assert set(sizes) >= {size_class(5.12), size_class(2.88)}
    whole = summarize(studies, settings)
    assert whole["lesions"]["overlap"]["sensitivity"]["value"] == pytest.approx(0.5)
    assert whole["with_lesions"] == 2 and whole["patients"]["specificity"]["value"] is None


def test_lesion_f1_of_a_study_is_not_defined_where_no_true_lesion_counts() -> None:
    empty = image(labels())
    settings = EvaluationSettings(surfaces=False)
    lesion_free = [evaluate_labels(empty, image(found), settings=settings) for found in (labels(BIG), labels())]
    both = SummarySettings(resamples=0)
    assert all(np.isnan(lesion_f1_of(one, both.smallest_ml)) for one in lesion_free)
    counted = summarize([*lesion_free, study(labels(BIG), {})], both)["lesions"]["overlap"]
    assert (counted["false"], counted["f1_per_study"]["n"]) == (1, 1)  # the made-up lesion counts over all studies
    # A method that makes up a lesion and one that does not are compared where both have a value: nowhere.
    assert compare_all({"a": lesion_free[:1], "b": lesion_free[1:]}, both)[0]["measures"]["lesion_f1"]["n"] == 0


def test_three_methods_are_compared_two_by_two() -> None:
    rng = np.random.default_rng(2)
    good = [study(labels(BIG, SMALL, ELSEWHERE), {}) for _ in range(8)]
    poor = []
    for _ in range(8):
        found = labels(BIG, SMALL, ELSEWHERE)
        found[rng.random(found.shape) < 0.3] = 0
        poor.append(study(found, {}))
    rows = compare_all({"a": poor, "b": good, "c": good}, SummarySettings(resamples=50))
    assert [(row["first"], row["second"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    dice = [row["measures"]["dice"] for row in rows]
    assert dice[0]["p"] == pytest.approx(2 / 2**8) and dice[2]["p"] == 1.0
    assert dice[0]["p_adjusted"] == pytest.approx(3 * dice[0]["p"])
    assert dice[0]["mean_difference"]["low"] > 0 and dice[2]["mean_difference"]["value"] == 0
    assert rows[0]["measures"]["hd95_mm"]["p"] is None
