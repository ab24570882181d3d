"""A synthetic PSMA PET/CT on the organ map of a real man, painted by any processor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from ..organs import OrganMap
from .device_painter import paint_block
from .hash_noise import arrays_on
from .organ_map_body import build_around, upright
from .organ_map_lesions import Plan, plan_lesions
from .organ_map_painting import shifted, whole
from .organ_map_study import OrganMapPhantom, described
from .scan_options import with_spacing
from .tissues import Tissue, draw_uptake

SPACING_MM = (4.0, 4.0, 4.0)


def device_study(
    organ_labels: sitk.Image,
    names: Mapping[int, str],
    seed: int,
    tracer: str = "68Ga-PSMA-11",
    device: str | None = None,
    spacing_mm: tuple[float, float, float] | None = SPACING_MM,
) -> OrganMapPhantom:
    """Paint a study as :func:`organ_map_study.organ_map_study` does, with NumPy (None) or torch on a ``device``.

    Man, uptake, lesions and blur are those of that function for the seed and the same voxels; what varies within an
    organ or a lesion, faint spots in bone and the noise are others, and are the same on every device up to rounding.
    ``spacing_mm`` None takes the voxels of the organ map. Only the images are painted on the device: the man
    is built on the CPU, which takes most of the time of a single study; many studies of one man are painted fastest by
    :func:`device_painter.paint_block`. Raises what that and :func:`organ_map_study.organ_map_study` raise.
    """
    arrays = arrays_on(device)
    rng = np.random.default_rng(seed)
    uptake = draw_uptake(rng, tracer)
    image = with_spacing(upright(organ_labels), spacing_mm)
    sigma_mm = float(rng.uniform(4.5, 9.0)) / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    fit, block = build_around(image, names, rng)
    plan = plan_lesions(rng, Plan(fit, block.tissue, block.axes, block.spacing, uptake))
    noise = float(rng.uniform(0.09, 0.33))
    shift = rng.normal(0.0, (1.5, 1.5, 2.0))
    painted = paint_block(block, uptake, plan, tracer, sigma_mm, noise, seed, device)
    return OrganMapPhantom(
        emission=whole(arrays.host(painted.emission), block, image, 0.0),
        ct=shifted(whole(arrays.host(painted.ct), block, image, -1000), shift),
        organs=OrganMap(shifted(sitk.Image(image), shift), dict(names)),
        truth=whole(painted.truth, block, image, 0),
        lesions=described(painted.truth, arrays.host(painted.clean), painted.lesions, block),
        tracer=tracer,
        seed=seed,
        tissues=whole(block.tissue, block, image, int(Tissue.AIR)),
        activity=whole(arrays.host(painted.activity), block, image, 0.0),
    )
