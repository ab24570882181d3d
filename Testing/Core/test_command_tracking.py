"""Lesions are followed, linked and unlinked from the command line; files with landmarks and transforms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from followed_case import corners, fresh, methods, statuses
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.pipeline import RunSettings
from PSMATheranosticsLib.pipeline_tracking import track_lesions

SHIFT = sitk.TranslationTransform(3, (8.0, 0.0, 0.0))


def told(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict:
    """The last JSON line that a command writes."""
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case folder with registered and followed studies, which no test may change."""
    folder = tmp_path_factory.mktemp("kept") / "case"
    with fresh(folder) as case:
        track_lesions(case, "identity")
    return folder


@pytest.fixture
def stored(kept: Path, tmp_path: Path) -> Path:
    """A copy of that case."""
    return Path(shutil.copytree(kept, tmp_path / "case"))


def test_link_and_unlink_at_the_command_line(stored: Path, capsys: pytest.CaptureFixture[str]):
    result = told(capsys, "unlink", stored, "1:1", "2:1", "--reason", "another one")["result"]
    assert [track["status"] for track in result["tracks"]] == [
        {"1": "baseline", "2": "gone", "3": "gone"},
        {"2": "new", "3": "persistent"},
    ]
    told(capsys, "track", stored, "--update")
    with CaseStore.open(stored) as case:
        assert statuses(case)[1][2] == "gone"
    assert main(["link", str(stored), "1:1", "2:1", "--quiet"]) == 0
    assert "Linked lesion 1 of Baseline and lesion 1 of Follow-up 1." in capsys.readouterr().out
    assert told(capsys, "undo", stored)["result"]["undone"] == "Link lesion 1 of Baseline with lesion 1 of Follow-up 1"
    for wrong in ("1-1", "\u00b2:1"):
        assert "such as 1:3" in told(capsys, "link", stored, wrong, "2:1", code=3)["message"]
    assert "no lesion 9" in told(capsys, "link", stored, "1:9", "2:1", code=3)["message"]


def test_registrations_at_the_command_line(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = told(capsys, "registrations", stored)["result"]["registrations"]
    assert [(each["moving"], each["method"]) for each in found] == [(2, "identity"), (3, "identity")]
    assert main(["registrations", str(stored), "--quiet"]) == 0
    assert "Study 2, Follow-up 1, onto Baseline: " in capsys.readouterr().out
    fresh(tmp_path / "other").close()
    assert main(["registrations", str(tmp_path / "other"), "--quiet"]) == 0
    assert "No study has been registered yet" in capsys.readouterr().out


def test_landmarks_and_transforms_from_files(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table, transform = tmp_path / "pairs.csv", tmp_path / "shift.tfm"
    rows = [",".join(map(str, (2, *first, *second))) for first, second in corners(4.0)]
    table.write_text("study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n" + "\n".join(rows))
    sitk.WriteTransform(sitk.TranslationTransform(3, (0.0, 4.0, 0.0)), str(transform))
    told(capsys, "track", stored, "--registration", "landmarks", "--landmarks", table)
    told(capsys, "track", stored, "--registration", "given", "--transform", transform, "--study", 3)
    with CaseStore.open(stored) as case:
        assert methods(case) == {2: "landmarks", 3: "given"}
        at = [each.transform.TransformPoint((0.0, 0.0, -400.0)) for each in case.registrations()]
    assert np.allclose(at, [(4.0, 0.0, -400.0), (0.0, 4.0, -400.0)], atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--registration", "landmarks"], "needs --landmarks"),
        (["--landmarks", "pairs.csv"], "goes with --registration landmarks"),
        (["--registration", "given", "--landmarks", "pairs.csv"], "goes with --registration landmarks"),
        (["--registration", "given"], "needs --transform"),
        (["--update", "--registration", "rigid"], "registers nothing"),
        (["--update", "--study", "2"], "registers nothing"),
        (["--study", "2"], "--study goes with"),
        (["--registration", "given", "--transform", "missing.tfm"], "missing.tfm"),
        (["--registration", "landmarks", "--landmarks", "missing.csv"], "missing.csv"),
        (["--registration", "magic"], "'magic'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: list[str], complaint: str, stored: Path, capsys: pytest.CaptureFixture[str]
):
    assert complaint in told(capsys, "track", stored, *arguments, code=3)["message"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no landmarks"),
        ("baseline_x,baseline_y\n1,2\n", "lacks baseline_z, followup_x"),
        (
            "study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n2,1,2,x,4,5,6\n",
            "line 2: baseline_z",
        ),
        (
            "baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n\n\n1,2,x,4,5,6\n",
            "line 4: baseline_z",
        ),
        (
            "study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\nA,1,2,3,4,5,6\n",
            "'A' is no number",
        ),
        (
            "study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n\u00b2,1,2,3,4,5,6\n",
            "'\u00b2' is no number",
        ),
        (
            "study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n2,1,2,3,1e200,5,6\n",
            "outside of any study",
        ),
        ("study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n2,1,2,3,4,5\n", "followup_z is ''"),
        (
            "study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n2,1,2,3,4,5,6\n,1,2,3,4,5,6\n",
            "name no study",
        ),
        ("study,baseline_x,baseline_y,baseline_z,followup_x,followup_y,followup_z\n7,1,2,3,4,5,6\n", "Study 7"),
    ],
)
def test_tables_of_landmarks_that_cannot_be_used_are_refused(
    text: str, complaint: str, stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / "pairs.csv"
    table.write_text(text, encoding="utf-8")
    answer = told(capsys, "track", stored, "--registration", "landmarks", "--landmarks", table, code=3)
    assert complaint in answer["message"]


def test_a_whole_run_refuses_methods_that_need_help_for_each_study():
    with pytest.raises(InputError, match="needs help of the user"):
        RunSettings(registration="landmarks").check()
