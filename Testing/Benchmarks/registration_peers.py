"""One registration in a process of its own, so that its time and memory are its own: ours, SimpleITK's, or a peer's.

    python registration_peers.py METHOD FOLDER

Reads what bench_registration.py left in the folder and writes the transform found and what it cost. Peers get the same
prepared images as our methods and start from the same rigid registration; each is used as its documentation advises.
Packages are loaded before the clock starts.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

OURS = ("rigid", "lattice", "demons", "greedy")
CONTROL_POINTS_MM = 40.0
ELASTIX_ITERATIONS = "300"
SYN_ITERATIONS = (40, 20, 0)


def main(method: str, folder: Path) -> None:
    """Run one method."""
    run = RUNS[method](folder) if method in RUNS else _ours(method, folder)
    before, start = _cpu_seconds(), time.perf_counter()
    run()
    cost = {
        "cpu_s": _cpu_seconds() - before,
        "wall_s": time.perf_counter() - start,
        "mb": max(resource.getrusage(who).ru_maxrss for who in _WHOM) / 1024.0,
    }
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")


_WHOM = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _cpu_seconds() -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, _WHOM))


def _ours(method: str, folder: Path) -> Callable[[], None]:
    """A method of PSMATrackingLib from the CTs on: preparing them, the rigid start, the method."""
    import SimpleITK as sitk
    from PSMATrackingLib.preparation import prepare_ct
    from PSMATrackingLib.registration import REGISTRATION_METHODS
    from PSMATrackingLib.registration_method import Hints

    if method == "lattice":
        import torch

        torch.set_num_threads(2)
    chosen = REGISTRATION_METHODS[method]
    if why := chosen.available():
        raise SystemExit(why)
    cts = [sitk.ReadImage(str(folder / f"{name}_ct.nrrd")) for name in ("fixed", "moving")]

    def run() -> None:
        fixed, moving = prepare_ct(cts[0], "fixed CT"), prepare_ct(cts[1], "moving CT")
        found = chosen.find(fixed, moving, lambda fraction, message: None, Hints())
        sitk.WriteTransform(found.transform, str(folder / "found.tfm"))

    return run


def _simpleitk_bspline(folder: Path) -> Callable[[], None]:
    """SimpleITK: affine, then a B-spline with 50 mm between control points, by correlation and LBFGS."""
    import SimpleITK as sitk

    fixed, moving, body = (sitk.ReadImage(str(folder / f"{name}.nrrd")) for name in ("fixed", "moving", "body"))

    def method(sampled: list[float], shrink: list[int], blur_mm: list[float]) -> sitk.ImageRegistrationMethod:
        made = sitk.ImageRegistrationMethod()
        made.SetNumberOfThreads(2)
        made.SetMetricAsCorrelation()
        made.SetMetricFixedMask(body)
        made.SetMetricSamplingStrategy(made.RANDOM)
        made.SetMetricSamplingPercentagePerLevel(sampled, 1)
        made.SetInterpolator(sitk.sitkLinear)
        made.SetShrinkFactorsPerLevel(shrink)
        made.SetSmoothingSigmasPerLevel(blur_mm)
        made.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        return made

    def run() -> None:
        affine = sitk.AffineTransform(3)
        affine.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([0.5 * n for n in fixed.GetSize()]))
        first = method([0.1, 0.05], [2, 1], [8.0, 4.0])
        first.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 60, gradientMagnitudeTolerance=1e-8)
        first.SetOptimizerScalesFromPhysicalShift()
        first.SetInitialTransform(affine, True)
        first.Execute(fixed, moving)
        mesh = [max(1, round(n * s / 50.0)) for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
        spline = sitk.BSplineTransformInitializer(fixed, mesh, 3)
        second = method([0.05, 0.02], [2, 1], [4.0, 2.0])
        second.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-6, numberOfIterations=30)
        second.SetMovingInitialTransform(affine)
        second.SetInitialTransform(spline, True)
        second.Execute(fixed, moving)
        _write_warp(sitk.CompositeTransform([affine, spline]), fixed, folder)

    return run


def _elastix(folder: Path) -> Callable[[], None]:
    """itk-elastix: B-spline with 40 mm between control points, correlation and bending energy, 300 iterations."""
    import itk

    images = [itk.imread(str(folder / f"{name}.nrrd"), itk.F) for name in ("fixed", "moving")]
    body = itk.imread(str(folder / "body.nrrd"), itk.UC)

    def run() -> None:
        settings = itk.ParameterObject.New()
        default = settings.GetDefaultParameterMap("bspline", 4, CONTROL_POINTS_MM)
        default["Metric"] = ["AdvancedNormalizedCorrelation", "TransformBendingEnergyPenalty"]
        default["Metric0Weight"], default["Metric1Weight"] = ["1.0"], ["1.0"]
        default["MaximumNumberOfIterations"] = [ELASTIX_ITERATIONS]
        default["NumberOfSpatialSamples"] = ["4096"]
        default["ImageSampler"] = ["RandomCoordinate"]
        default["RandomSeed"] = ["1"]
        settings.AddParameterMap(default)
        _, found = itk.elastix_registration_method(
            images[0], images[1], parameter_object=settings, fixed_mask=body, log_to_console=False
        )
        itk.imwrite(itk.transformix_deformation_field(images[1], found), str(folder / "warp.nrrd"))

    return run


def _ants(metric: str, sampling: int) -> Callable[[Path], Callable[[], None]]:
    """ANTsPy: affine, then SyN."""

    def prepare(folder: Path) -> Callable[[], None]:
        import ants
        import SimpleITK as sitk

        for name in ("fixed", "moving", "body"):
            image = sitk.ReadImage(str(folder / f"{name}.nrrd"), sitk.sitkFloat32)
            sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
        fixed, moving, body = (ants.image_read(str(folder / f"{name}.nii.gz")) for name in ("fixed", "moving", "body"))

        def run() -> None:
            found = ants.registration(
                fixed,
                moving,
                "SyN",
                initial_transform="Identity",
                mask=body,
                aff_metric="GC",
                syn_metric=metric,
                syn_sampling=sampling,
                reg_iterations=SYN_ITERATIONS,
                outprefix=str(folder / "ants_"),
                random_seed=1,
            )
            total = ants.apply_transforms(fixed, moving, found["fwdtransforms"], compose=str(folder / "total_"))
            sitk.WriteImage(sitk.ReadImage(total, sitk.sitkVectorFloat32), str(folder / "warp.nrrd"))

        return run

    return prepare


def _write_warp(transform: object, fixed: object, folder: Path) -> None:
    """A transform of the prepared images as displacement field."""
    import SimpleITK as sitk

    filled = sitk.TransformToDisplacementFieldFilter()
    filled.SetReferenceImage(fixed)
    sitk.WriteImage(sitk.Cast(filled.Execute(transform), sitk.sitkVectorFloat32), str(folder / "warp.nrrd"))


RUNS: dict[str, Callable[[Path], Callable[[], None]]] = {
    "SimpleITK B-spline": _simpleitk_bspline,
    "elastix": _elastix,
    "ANTs SyN MI": _ants("mattes", 32),
    "ANTs SyN CC": _ants("CC", 2),
}
PACKAGES = {
    "elastix": "itk",
    "ANTs SyN MI": "ants",
    "ANTs SyN CC": "ants",
    "greedy": "picsl_greedy",
    "lattice": "torch",
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
