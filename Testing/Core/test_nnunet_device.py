"""Where networks run, and what happens when the memory of a device is not enough."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from nnunet_fixtures import expected_labels, model_folder, study_images
from PSMASegmentLib.inference import nnunet
from PSMASegmentLib.inference.device import (
    Attempt,
    Device,
    attempts,
    choose_device,
    cpu_threads,
    first_that_fits,
    release_memory,
)
from PSMASegmentLib.inference.nnunet import NnunetModel, NnunetSettings

pytest.importorskip("torch")
CPU = Device("cpu", "CPU (1 thread)", 1)
GPU = Device("cuda:0", "a GPU", 1)


def test_one_core_stays_free(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert cpu_threads() == 7
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert cpu_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cpu_threads() == 3


def test_a_device_that_is_not_there_is_named():
    assert choose_device("cpu").name == "cpu"
    for wanted in ("cuda:99", "tpu", "cuda:x"):
        with pytest.raises(ValueError, match=f'no device "{wanted}"'):
            choose_device(wanted)


def test_without_torch_there_is_the_cpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert choose_device().name == choose_device("cpu").name == "cpu"
    with pytest.raises(ValueError, match=r'no device "cuda:0".*torch, which finds GPUs, is not installed'):
        choose_device("cuda:0")
    release_memory()


def test_a_gpu_that_torch_finds_is_taken(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "a GPU")
    assert choose_device().is_cuda and not choose_device("cpu").is_cuda


def test_ways_on_a_gpu_end_on_the_cpu():
    ways = attempts(GPU, 8)
    assert [(way.device.is_cuda, way.batch, way.divided) for way in ways] == [
        (True, 8, 1),
        (True, 1, 1),
        (True, 1, 2),
        (False, 1, 1),
    ]
    assert len(attempts(GPU, 1)) == 3
    assert attempts(CPU, 8) == [Attempt(CPU, 1)]


def test_another_way_is_taken_aloud():
    said: list[str] = []

    def run(way):
        if way.device.is_cuda:
            raise MemoryError("synthetic")
        return "done"

    result, way = first_that_fits([Attempt(GPU, 8), Attempt(GPU, 1, 2), Attempt(CPU, 1)], run, said.append)
    assert (result, way.device) == ("done", CPU)
    assert said == [
        "Memory of a GPU, 8 windows at a time was not enough; went on with a GPU, 1 window at a time, windows of half "
        "the side.",
        "Memory of a GPU, 1 window at a time, windows of half the side was not enough; went on with CPU (1 thread), 1 "
        "window at a time.",
    ]


def test_when_nothing_fits_the_error_says_what_to_do():
    def run(way):
        raise MemoryError("synthetic")

    with pytest.raises(MemoryError, match="Close other programs"):
        first_that_fits([Attempt(CPU, 1)], run, print)


def test_a_model_goes_on_with_smaller_windows_and_says_so(monkeypatch):
    """Labels of windows of half the side differ a little, so that a note says it."""
    pytest.importorskip("dynamic_network_architectures")
    model = NnunetModel.load(model_folder("plain"), NnunetSettings(device="cpu", engine="eager"))
    monkeypatch.setattr(nnunet, "attempts", lambda device, count: [Attempt(CPU, 8), Attempt(CPU, 1, 2)])
    make = nnunet.make_runner

    def small_memory(network, channels, patch, device, engine, watched):
        if patch[0] > 10:
            raise MemoryError("synthetic")
        return make(network, channels, patch, device, engine, watched)

    monkeypatch.setattr(nnunet, "make_runner", small_memory)
    found = model.predict(study_images("plain"))
    assert found.provenance["window"] == [10, 10, 12]
    assert len(found.provenance["notes"]) == 1 and "windows of half the side" in found.provenance["notes"][0]
    import SimpleITK as sitk

    same = sitk.GetArrayFromImage(found.labels) == sitk.GetArrayFromImage(expected_labels("plain"))
    assert 0.5 < np.mean(same) < 1.0
