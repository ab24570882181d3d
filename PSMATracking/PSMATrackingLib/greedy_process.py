"""The process in which greedy runs: ``python -m PSMATrackingLib.greedy_process FOLDER STEPS``.

Reads fixed.nrrd, moving.nrrd and mask.nrrd in the folder, writes warp.nrrd (displacement in mm, LPS); what greedy says
goes to the standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

import SimpleITK as sitk

THREADS = 2
RADIUS = "2x2x2"  # voxels of the window in which the images are correlated


def main(folder: Path, steps: str) -> None:
    """Run greedy once."""
    from picsl_greedy import Greedy3D

    greedy = Greedy3D()
    fixed, moving, mask = (sitk.ReadImage(str(folder / f"{name}.nrrd")) for name in ("fixed", "moving", "mask"))
    greedy.execute(
        f"-i fixed moving -gm mask -ia-identity -n {steps} -m NCC {RADIUS} -threads {THREADS} -o warp",
        fixed=fixed,
        moving=moving,
        mask=mask,
        warp=None,
    )
    sitk.WriteImage(sitk.Cast(greedy["warp"], sitk.sitkVectorFloat32), str(folder / "warp.nrrd"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
