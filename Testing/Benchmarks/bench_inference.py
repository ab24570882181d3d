"""One nnU-Net model on one synthetic whole-body PET/CT: nnunetv2, MONAI's windows and ours, with the same weights.

Run it with ``python Testing/Benchmarks/bench_inference.py [small|whole|large] [THREADS] [WAY ...]`` (small, 1, all);
"whole" is 168 x 168 x 350 and "large" 400 x 400 x 700 voxels. Each way runs in a process of its own, so that its peak
memory is its own; peers that are not installed are left out by name. The weights are random: times are those of a real
network of this size; whether labels agree is for ``make parity``. CPU seconds are not lengthened by other work.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

GRIDS = {
    "small": ((84, 84, 120), (8.0, 8.0, 8.0), (64, 64, 64)),
    "whole": ((168, 168, 350), (4.07, 4.07, 3.0), (96, 96, 96)),
    "large": ((400, 400, 700), (1.7, 1.7, 1.5), (96, 96, 96)),
}
WAYS = ("nnunetv2", "MONAI windows", "ours eager", "ours TorchScript", "ours OpenVINO")
NEEDS = {"nnunetv2": "nnunetv2", "MONAI windows": "monai", "ours OpenVINO": "openvino"}
FEATURES = (8, 16, 32)


def main(size: str, threads: int, ways: Sequence[str]) -> None:
    """Print one row for each way."""
    if importlib.util.find_spec("dynamic_network_architectures") is None:
        print("dynamic_network_architectures is not installed: pip install 'psmatheranostics[nnunet]'")
        return
    (x, y, z), spacing, patch = GRIDS[size]
    target = tuple(0.8 * s if size == "small" else 3.0 for s in reversed(spacing))
    print(f"{x} x {y} x {z} voxels of {spacing} mm, 2 channels, windows of {patch}, {threads} thread(s)")
    print(
        f"{'way':>17} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}  {'prepare':>8} {'network':>8} {'labels':>8}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        write_model(base, patch, target)
        write_study(base, (z, y, x), spacing)
        for way in ways:
            needed = NEEDS.get(way)
            if needed is not None and importlib.util.find_spec(needed) is None:
                print(f"{way:>17} {needed} is not installed")
                continue
            facts = in_a_process(way, base, threads)
            steps = " ".join(
                f"{facts['steps'].get(step, float('nan')):8.1f}" for step in ("prepare", "network", "labels")
            )
            costs = f"{facts['wall']:8.1f} {facts['cpu']:8.1f} {facts['peak']:8.0f}"
            print(f"{way:>17} {costs}  {steps}", flush=True)


def in_a_process(way: str, base: Path, threads: int) -> dict[str, Any]:
    """What one way costs, without the start of Python and its imports."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "nnUNet_def_n_proc": str(threads)}
    command = [sys.executable, __file__, "--run", way, str(base)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{way} failed: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def run(way: str, base: Path) -> None:
    """Run one way and print what it cost as JSON."""
    folder = base / "model" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    files = [str(base / f"case_{number:04d}.nii.gz") for number in range(2)]
    images = [sitk.ReadImage(file) for file in files]
    ask = {"nnunetv2": nnunetv2, "MONAI windows": monai_windows}.get(way, ours)
    work = ask(folder, images, way.split()[-1].lower())
    before, cpu = time.perf_counter(), time.process_time()
    steps = work()
    facts = {
        "wall": time.perf_counter() - before,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        "steps": steps,
    }
    print(json.dumps(facts))


def ours(folder: Path, images: list[sitk.Image], engine: str) -> Any:
    """The runner of this project; the network is compiled before the clock starts, as a warm worker has it."""
    from PSMASegmentLib.inference.nnunet import NnunetModel, NnunetSettings

    model = NnunetModel.load(folder, NnunetSettings(engine=engine, device="cpu"))
    model.warm_up()

    return lambda: model.predict(images).provenance["seconds"]


def nnunetv2(folder: Path, images: list[sitk.Image], _: str) -> Any:
    """Its predictor on arrays in memory, on the CPU."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_final.pth")
    array = np.stack([sitk.GetArrayFromImage(image) for image in images]).astype(np.float32)
    spacing = {"spacing": list(images[0].GetSpacing()[::-1])}

    def work() -> dict[str, float]:
        predictor.predict_single_npy_array(array, spacing)
        return {}

    return work


def monai_windows(folder: Path, images: list[sitk.Image], _: str) -> Any:
    """Our preparation and labels with MONAI's sliding windows, network as it is, between them."""
    import torch
    from monai.inferers import sliding_window_inference
    from PSMASegmentLib.inference.labels import LabelWriter
    from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder
    from PSMASegmentLib.inference.nnunet_network import build_network, fill_network, read_checkpoint
    from PSMASegmentLib.inference.nnunet_preprocess import NetworkInput
    from PSMASegmentLib.inference.nnunet_resample import axis_maps

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    plan = read_nnunet_folder(folder)
    network = build_network(plan).eval()
    fill_network(network, read_checkpoint(plan.checkpoints[0]), plan.checkpoints[0])

    def work() -> dict[str, float]:
        marks = [time.perf_counter()]
        made = NetworkInput(images, plan)
        place, channels = made.place, made.between(0, made.shape[1])
        marks.append(time.perf_counter())
        with torch.inference_mode():
            question = torch.from_numpy(channels[None])
            logits = sliding_window_inference(question, plan.patch, 1, network, overlap=0.5, mode="gaussian")[0].numpy()
        marks.append(time.perf_counter())
        maps, _ = axis_maps(
            plan.logits_resampling, logits.shape[1:], place.cropped_shape, plan.spacing_mm, place.spacing_mm
        )
        LabelWriter(maps, plan.heads).take(logits)
        marks.append(time.perf_counter())
        return dict(zip(("prepare", "network", "labels"), np.diff(marks).tolist(), strict=True))

    return work


def write_model(base: Path, patch: tuple[int, ...], target: tuple[float, ...]) -> None:
    """A model folder with random weights, as nnunetv2 lays it out."""
    import torch
    from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder
    from PSMASegmentLib.inference.nnunet_network import build_network

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Parity"))
    from nnunet_models import Model, dataset_json, plans_json

    spec = Model(
        "bench",
        patch=(patch[0], patch[1], patch[2]),
        target_mm=(target[0], target[1], target[2]),
        channels=("CT", "noNorm"),
        schemes=("CTNormalization", "NoNormalization"),
        features=FEATURES,
    )
    folder = base / "model" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans_json(spec)), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset_json(spec)), encoding="utf-8")
    path = folder / "fold_0" / "checkpoint_final.pth"
    path.touch()
    torch.manual_seed(1)
    content = {
        "network_weights": build_network(read_nnunet_folder(folder)).state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(content, path)


def write_study(base: Path, shape: tuple[int, int, int], spacing: tuple[float, ...]) -> None:
    """CT in HU and PET in SUV: an elliptic body with hot balls, and noise."""
    rng = np.random.default_rng(1)
    _, y, x = np.ogrid[tuple(slice(size) for size in shape)]
    body = ((y / shape[1] - 0.5) / 0.22) ** 2 + ((x / shape[2] - 0.5) / 0.33) ** 2 <= 1
    body = np.broadcast_to(body, shape)
    uptake = np.where(body, 1.0, 0.0).astype(np.float32) * (1 + 0.2 * rng.standard_normal(shape, np.float32))
    for middle in rng.uniform(0.25, 0.75, (40, 3)) * shape:
        low = np.maximum(middle.astype(int) - 6, 0)
        uptake[low[0] : low[0] + 9, low[1] : low[1] + 7, low[2] : low[2] + 7] += 10.0
    ct = np.where(body, 40.0, -1024.0).astype(np.float32) + 10 * rng.standard_normal(shape, np.float32)
    for number, array in enumerate((ct, uptake)):
        image = sitk.GetImageFromArray(array.astype(np.float32))
        image.SetSpacing(spacing)
        sitk.WriteImage(image, str(base / f"case_{number:04d}.nii.gz"), useCompression=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], Path(sys.argv[3]))
    else:
        chosen, threads = (sys.argv[1:3] + ["small", "1"][len(sys.argv[1:3]) :])[:2]
        main(chosen, int(threads), sys.argv[3:] or WAYS)
