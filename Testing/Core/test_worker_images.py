"""Images in shared memory: they arrive as they were sent, and no block stays behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATheranosticsLib import worker_images
from PSMATheranosticsLib.errors import CaseError
from PSMATheranosticsLib.image_store import ImageStore, at_hand
from PSMATheranosticsLib.worker_images import Handover, remove_stale_blocks, take_images, unlink_blocks
from tiny_case import image

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells which blocks there are")
BLOCKS = Path("/dev/shm")


def filled(images: list[sitk.Image]) -> Handover:
    handover = Handover(images)
    for _ in handover.fill():
        pass
    return handover


def is_there(name: str) -> bool:
    return (BLOCKS / name).exists()


def test_images_arrive_to_the_last_bit():
    sent = [image(1), image(2, np.int16), image(3, np.uint8), image(4, np.float64)]
    handover = filled(sent)
    taken = take_images(handover.to_json())
    handover.close()
    assert len(taken) == len(sent)
    for before, after in zip(sent, taken, strict=True):
        assert after.GetPixelID() == before.GetPixelID()
        assert np.array_equal(sitk.GetArrayViewFromImage(after), sitk.GetArrayViewFromImage(before))
        for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(after, geometry)() == getattr(before, geometry)()


def test_a_large_image_is_copied_in_pieces_so_that_a_panel_can_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_images, "_SLAB_BYTES", 100)
    sent = image(1)
    handover = Handover([sent])
    assert sum(1 for _ in handover.fill()) == -(-8 * 8 * 8 // 25)
    (taken,) = take_images(handover.to_json())
    handover.close()
    assert np.array_equal(sitk.GetArrayViewFromImage(taken), sitk.GetArrayViewFromImage(sent))


@LINUX
def test_closing_removes_the_blocks_also_half_filled_and_again():
    handover = Handover([image(1), image(2)])
    names = handover.names
    assert all(map(is_there, names))
    next(handover.fill())
    handover.close()
    handover.close()
    assert not any(map(is_there, names))


def test_blocks_that_are_gone_are_an_error_that_says_what_to_do():
    handover = filled([image(1)])
    described = handover.to_json()
    handover.close()
    with pytest.raises(ValueError, match="is gone: run the step again"):
        take_images(described)


def test_a_block_that_is_too_small_is_refused():
    handover = filled([image(1)])
    (described,) = handover.to_json()
    with pytest.raises(ValueError, match="not the"):
        take_images([{**described, "size": [8, 8, 8000]}])
    handover.close()


@LINUX
def test_without_memory_nothing_is_left(monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []

    def full(name: str, size: int) -> None:
        made.append(name)
        if len(made) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker_images, "_reserve", full)
    with pytest.raises(OSError):
        Handover([image(1), image(2)])
    assert len(made) == 2 and not any(map(is_there, made))


def test_removing_blocks_twice_is_no_error():
    handover = filled([image(1)])
    names = handover.names
    unlink_blocks(names)
    unlink_blocks(names)
    handover.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(names[0])


@LINUX
def test_what_a_killed_process_left_is_removed_and_nothing_else():
    program = (
        "import os, signal\nfrom PSMATheranosticsLib.worker_images import Handover\nfrom tiny_case import image\n"
        "print(*Handover([image(1)]).names, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    left = killed.stdout.strip()
    assert killed.returncode < 0 and is_there(left)
    ours = Handover([image(1)])
    remove_stale_blocks()
    assert not is_there(left)
    assert is_there(ours.names[0])
    ours.close()


def test_an_image_at_hand_is_known_by_what_it_holds(tmp_path: Path):
    store = ImageStore(tmp_path)
    store.folder.mkdir()
    here, elsewhere = store.save(image(1)), store.save(image(2))
    store.path(here).unlink()
    with at_hand([image(1), image(3)]):
        loaded = store.load(here)
        loaded[0, 0, 0] = -1.0  # what a caller does to it is his own affair
        assert np.array_equal(sitk.GetArrayFromImage(store.load(here)), sitk.GetArrayFromImage(image(1)))
        assert np.array_equal(sitk.GetArrayFromImage(store.load(elsewhere)), sitk.GetArrayFromImage(image(2)))
    with pytest.raises(CaseError, match="missing"):
        store.load(here)
