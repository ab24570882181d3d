"""Organ maps by TotalSegmentator: what is handed to it, what is taken from it, and how it is ended.

The program is not here: one that is called the same, obeys the same options and paints a few organs stands in for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib import totalsegmentator
from PSMASegmentLib.segmentation import SegmentationCancelled
from PSMASegmentLib.totalsegmentator import find_program, missing_weights, organ_map_of_ct
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.organ_files import make_organ_map
from tiny_case import study as tiny_study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the program that stands in is a POSIX script")
WEIGHTS = ("Dataset297_TotalSegmentator_total_3mm", "Dataset298_TotalSegmentator_total_6mm", "Dataset775_head_glands")
PROGRAM = """\
    #!{python}
    import json, os, subprocess, sys, time
    if sys.argv[1:] == ["--version"]:
        print({version!r})
        sys.exit(0)
    from pathlib import Path
    import numpy as np, SimpleITK as sitk
    told = dict(zip(sys.argv[1:], sys.argv[2:] + [""]))
    home = Path(os.environ["TOTALSEG_HOME_DIR"])
    record = {{
        "arguments": sys.argv[1:],
        "settings": json.loads((home / "config.json").read_text()),
        "environment": {{name: os.environ.get(name) for name in ("https_proxy", "NO_PROXY", "TOTALSEG_WEIGHTS_PATH")}},
        "files": sorted(path.name for path in Path(told["-i"]).parent.iterdir()),
    }}
    with open({record!r}, "a") as file:
        file.write(json.dumps(record) + "\\n")
    {behavior}
    ct = sitk.ReadImage(told["-i"])
    values = np.zeros(ct.GetSize()[::-1], np.uint8)
    if told["--task"] == "total":
        values[0], values[1] = 5, 21
    elif {head}:
        values[2] = 7
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(ct)
    sitk.WriteImage(image, told["-o"])
"""
HANGING = (
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "open({pids!r}, 'w').write(str(os.getpid()) + ' ' + str(child.pid)); time.sleep(600)"
)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put the stand-in on the search path, with weights; returns a function that says how it behaves."""
    weights = tmp_path / "weights"
    for name in WEIGHTS:
        (weights / name).mkdir(parents=True)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(weights))
    monkeypatch.setenv("NO_PROXY", "*")

    def write(behavior: str = "pass", head: bool = True, version: str = "2.5.0") -> Path:
        record = tmp_path / "record.jsonl"
        text = PROGRAM.format(python=sys.executable, record=str(record), behavior=behavior, head=head, version=version)
        program = folder / "TotalSegmentator"
        program.write_text(textwrap.dedent(text))
        program.chmod(0o755)
        return record

    return write


def ct(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8))
    image.SetSpacing((1.523, 1.523, 3.0))
    image.SetOrigin((-101.25, 33.1, 905.7))
    image.SetDirection([float(value) for value in direction])
    return image


def silent(_fraction: float, _message: str) -> None:
    """A progress that nobody looks at."""


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, 0.96, -0.28, 0, -0.28, -0.96)])
def test_both_tasks_become_one_map_on_the_grid_of_the_ct(install, direction):
    install()
    image = ct(direction)
    organs = organ_map_of_ct(image, silent)
    values = sitk.GetArrayFromImage(organs.labels)
    assert [organs.names[int(values[z, 0, 0])] for z in range(3)] == ["liver", "urinary_bladder", "parotid_gland_left"]
    assert not values[3:].any()
    assert organs.labels.GetDirection() == image.GetDirection()
    assert (organs.labels.GetOrigin(), organs.labels.GetSpacing()) == (image.GetOrigin(), image.GetSpacing())
    assert organs.source == "TotalSegmentator 2.5.0, made of the CT"


def test_the_program_gets_the_image_alone_sends_nothing_and_keeps_no_settings(install, tmp_path):
    record = install()
    messages: list[str] = []
    organ_map_of_ct(ct(), lambda _fraction, message: messages.append(message), fast=True, device="cpu")
    total, glands = (json.loads(line) for line in record.read_text().splitlines())
    assert total["arguments"][4:] == ["--ml", "--task", "total", "--fast", "--device", "cpu"]
    assert glands["arguments"][4:] == ["--ml", "--task", "head_glands_cavities", "--device", "cpu"]
    assert total["settings"]["send_usage_stats"] is False
    assert total["environment"] == {
        "https_proxy": "http://127.0.0.1:9",
        "NO_PROXY": None,
        "TOTALSEG_WEIGHTS_PATH": str(tmp_path / "weights"),
    }
    assert total["files"] == ["ct.nii.gz", "output.txt", "settings"]
    assert not Path(total["arguments"][1]).exists()  # nothing of the patient is left behind
    assert "Apache License 2.0" in messages[0] and "Not a medical device" in messages[0]


def test_a_ct_without_head_has_no_glands(install):
    install(head=False)
    assert set(organ_map_of_ct(ct(), silent).names.values()) == {"liver", "urinary_bladder"}


def test_without_the_program_it_is_said_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() is None
    with pytest.raises(ValueError, match=r"not installed.*organ map as a file.*found by rules"):
        organ_map_of_ct(ct(), silent)


def test_without_weights_nothing_is_started_and_the_command_that_fetches_them_is_told(install, tmp_path, monkeypatch):
    record = install()
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "elsewhere"))
    assert missing_weights(fast=True, head_glands=True) == ["total_fast", "head_glands_cavities", "total_fastest"]
    assert missing_weights(fast=False, head_glands=False) == ["total"]
    with pytest.raises(ValueError, match="totalseg_download_weights -t total_fast; totalseg"):
        organ_map_of_ct(ct(), silent)
    assert not record.exists()


@pytest.mark.parametrize("version", ["3.0.1", "1.5.7", "no version at all"])
def test_another_version_is_not_taken_for_the_one_whose_values_are_known(install, version):
    record = install(version=version)
    with pytest.raises(ValueError, match="known for version 2 only"):
        organ_map_of_ct(ct(), silent)
    assert not record.exists()


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        ("print('no room'); sys.exit(3)", "ended with code 3. It said: no room"),
        ("sys.exit(0)", "wrote no result for the task total. It said nothing."),
    ],
)
def test_a_failure_is_told_with_what_the_program_said_last(install, behavior, message):
    install(behavior)
    with pytest.raises(ValueError, match=message):
        organ_map_of_ct(ct(), silent)


def test_a_result_on_another_grid_is_refused(install):
    smaller = (
        "ct = sitk.ReadImage(told['-i'])[:4]; sitk.WriteImage(sitk.Cast(ct, sitk.sitkUInt8), told['-o']); sys.exit(0)"
    )
    install(smaller)
    with pytest.raises(ValueError, match="lies on another grid"):
        organ_map_of_ct(ct(), silent)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    stat = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not stat.strip() or stat.strip().startswith("Z")


def wait_until(condition, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def test_cancel_ends_the_program_with_all_that_it_started(install, tmp_path):
    pids = tmp_path / "pids"
    install(HANGING.format(pids=str(pids)))
    with pytest.raises(SegmentationCancelled):
        organ_map_of_ct(ct(), silent, lambda: pids.exists() and len(pids.read_text().split()) == 2)
    assert all(wait_until(lambda pid=pid: gone(pid)) for pid in map(int, pids.read_text().split()))


def test_the_program_ends_when_the_process_that_asked_for_it_is_killed(install, tmp_path):
    pids = tmp_path / "pids"
    install(HANGING.format(pids=str(pids)))
    package = Path(totalsegmentator.__file__).parents[1]
    asking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import SimpleITK as sitk; from PSMASegmentLib.totalsegmentator import organ_map_of_ct; "
            "organ_map_of_ct(sitk.Image([4, 4, 4], sitk.sitkInt16), lambda fraction, message: None)",
        ],
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    assert wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    os.kill(asking.pid, signal.SIGKILL)
    asking.wait()
    assert all(wait_until(lambda pid=pid: gone(pid)) for pid in map(int, pids.read_text().split()))


def test_a_guard_that_is_told_to_stop_ends_its_program():
    guard = Path(totalsegmentator.__file__).with_name("child_guard.py")
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    guarding = subprocess.Popen(
        [sys.executable, str(guard), sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert guarding.stdout is not None and guarding.stdin is not None
    pid = int(guarding.stdout.readline())
    guarding.send_signal(signal.SIGINT)  # Ctrl+C in the terminal: the parent decides
    time.sleep(0.2)
    assert guarding.poll() is None and not gone(pid)
    guarding.terminate()
    assert guarding.wait(timeout=30) != 0
    assert wait_until(lambda: gone(pid))
    guarding.stdin.close()
    guarding.stdout.close()


def test_a_study_with_a_ct_gets_the_map_and_the_note_that_nobody_checked_it(install):
    install(head=False)
    study = tiny_study(1, with_ct=True)
    make_organ_map(study)
    assert study.organs is not None and set(study.organs.names.values()) == {"liver", "urinary_bladder"}
    assert study.warnings[-1] == "Organ map by TotalSegmentator 2.5.0, made of the CT: no person has checked it."


def test_a_study_without_ct_keeps_to_the_rules_and_says_so(install):
    record = install()
    study = tiny_study(1)
    make_organ_map(study)
    assert study.organs is None and "organs are found by rules" in study.warnings[-1]
    assert not record.exists()


def test_a_failure_names_the_study(install):
    install("sys.exit(7)")
    with pytest.raises(InputError, match=r"PET of 2\d{3}-.*ended with code 7"):
        make_organ_map(tiny_study(1, with_ct=True))
