"""First-order statistics of the uptake in lesions, as the IBSI defines them, with the two intensity peaks.

Definitions: Image Biomarker Standardisation Initiative, reference manual v11 (arXiv 1612.07003), intensity-based
statistical features and local intensity features; consensus values of its digital phantom in Zwanenburg 2020,
Radiology 295:328.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.measure import (
    PEAK_RADIUS_MM,
    LesionVoxels,
    highest_sphere_mean,
    lesion_voxels,
    sphere_offsets,
    voxel_volume_ml,
)


@dataclass(frozen=True)
class IntensityStatistics:
    """Statistics of the voxels of one lesion, in the units of the emission image; volumes in mL.

    ``sd`` is the standard deviation of the population (the sum of squares divided by the number of voxels, the root of
    the IBSI variance). Percentiles are interpolated linearly between ordered values; ``iqr`` is p75 - p25.
    ``local_peak`` is the mean over a sphere of 1 mL around the hottest voxel, the highest one where several voxels are
    the hottest; ``global_peak`` the highest such mean around any voxel of the lesion, which is its SUVpeak.
    """

    lesion: int
    voxels: int
    volume_ml: float
    mean: float
    sd: float
    minimum: float
    p10: float
    p25: float
    median: float
    p75: float
    p90: float
    maximum: float
    iqr: float
    local_peak: float
    global_peak: float


def intensity_statistics(emission: sitk.Image, labels: sitk.Image) -> list[IntensityStatistics]:
    """Statistics of every label value above 0, in ascending order; label values may have gaps.

    ``emission`` is a 3-D image, ``labels`` an integer image on the same grid. A voxel belongs to a sphere when its
    center does; spheres may reach outside the lesion and are cut at the border of the image. Raises ValueError for
    different grids, labels that are not integers from 0 to 65535, and values inside a lesion that are not finite.
    """
    unit_ml = voxel_volume_ml(emission)
    sphere = sphere_offsets(emission.GetSpacing(), PEAK_RADIUS_MM)
    return [_statistics(lesion, sphere, unit_ml) for lesion in lesion_voxels(emission, labels)]


def _statistics(lesion: LesionVoxels, sphere: np.ndarray, unit_ml: float) -> IntensityStatistics:
    values = lesion.values
    p10, p25, median, p75, p90 = (float(value) for value in np.percentile(values, (10, 25, 50, 75, 90)))
    hottest = lesion.indices[values == values.max()]
    return IntensityStatistics(
        lesion=lesion.lesion,
        voxels=int(values.size),
        volume_ml=values.size * unit_ml,
        mean=float(values.mean()),
        sd=float(values.std()),
        minimum=float(values.min()),
        p10=p10,
        p25=p25,
        median=median,
        p75=p75,
        p90=p90,
        maximum=float(values.max()),
        iqr=p75 - p25,
        local_peak=highest_sphere_mean(lesion.uptake, lesion.box, hottest, sphere),
        global_peak=highest_sphere_mean(lesion.uptake, lesion.box, lesion.indices, sphere),
    )
