"""Every limit of a click, with its source; lengths in mm, volumes in mL, shares from 0 to 1."""

from __future__ import annotations

REACH_MM = 40.0
"""No voxel farther from a positive click than this changes, measured along the lesion. A choice of this project: a
click on the rim of the largest sphere of the NEMA image-quality phantom (37 mm) still gets its far side."""

REMOVAL_REACH_MM = 40.0
"""No voxel farther from a negative click than this changes. A choice of this project: what one click can make, one
click can take away."""

NEAR_MM = 22.0
"""Half the width of the crop that is tried first, for speed only; larger uptake is done on the whole reach."""

EDGE_MM = 14.0
"""What comes closer to the end of the small crop than this is done again on the whole reach: its surroundings, as
measured there, might lie beyond."""

MARGIN_MM = 8.0
"""What the crop holds beyond the reach, so that smoothing and surroundings are those of the whole image."""

LARGEST_VOLUME_ML = 100.0
"""No single click adds more than this, nearest voxels first. A choice of this project."""

SMOOTHING_MM = 5.0
"""FWHM of the Gaussian laid over the uptake before it is compared with a threshold, so that noise makes neither holes
nor false peaks; that of the rules. Measures never use it."""

VALLEY_DEPTH = 0.25
"""Two peaks are two lesions where the uptake between them falls below the cooler one by this share of it. A choice of
this project."""

RIVAL = 2.0
"""A peak so many times as high as the click's own, both above the surroundings, is another hot spot, however shallow
the valley between them. A choice of this project."""

PET_SHARE = 0.41
"""Threshold between surroundings (0) and peak (1) of the smoothed uptake. A choice of this project, measured on the
spheres of a NEMA image-quality phantom. There is no recommendation for PSMA; the EANM's for FDG is 41 % of the maximum,
without a correction for the surroundings (doi 10.1007/s00259-023-06163-x)."""

SHARE_VOLUME_ML, SHARE_PER_DOUBLING = 2.8, 0.04
LEAST_SHARE, MOST_SHARE = 0.35, 0.43
"""``PET_SHARE`` holds for this volume; it falls by so much each time the volume doubles, within these limits. A blurred
border lies high on a small hot spot, whose peak is blurred too, and low on a large one, whose peak is its noise.
Measured on synthetic lesions on organ maps and held to the spheres of a NEMA image-quality phantom."""

SPECT_SHARE = 0.5
"""The same for SPECT. 50 % of the maximum described lesions of 177Lu better than 42 % did: Dice 0.67 against 0.60 for
45 tumors (abstract at www.biocloudy.com/literatureDetail/NTQzMTMyMQ==)."""

LOWEST_SHARE, HIGHEST_SHARE = 0.1, 0.95
"""How far the threshold can be dragged, as shares like ``PET_SHARE``."""

SMALLEST_CONTRAST = 1.15
"""A peak that is less than so many times its surroundings is no uptake above them. A choice of this project."""

NOISE_SIGMAS = 3.0
"""A peak must stand so many standard deviations of its surroundings above them. A choice of this project: low, since a
click is itself evidence, and a lesion that cannot be clicked is worse than one too many that can be undone."""

AIR_SHARE = 0.5
"""A peak below so many times the mean of the whole image is noise in air. A choice of this project."""

FLANK_SHARE = 0.15
"""A click lower on the flank of a hot spot than this (as ``PET_SHARE``) is beside it, not on it."""

CORE_SHARE = 0.6
"""A negative click higher than this in a hot spot (as ``PET_SHARE``) means all of it, a lower one its rim."""

BALL_MM = 6.0
"""Radius of the ball that a click makes where there is no uptake to follow and the reader insists; on coarse grids as
much as takes the neighbors of the voxel. A choice of this project."""

SPILL_BALL_MM = 8.0
"""The same in the blur of a hotter organ. A choice of this project."""

INTERIOR_MM = 6.0
"""An organ is taken at its own level so deep inside it: beyond the blur of its border and of a map that is off by some
mm. A choice of this project."""

EVEN_SHARE = 0.75
"""A lesion in an organ has surroundings there of at least this share of the uptake inside the organ. A choice of this
project."""

DEEP_SHARE = 0.5
"""A click that the reader insists on, so deep in an organ (as a share of its depth) that is no cooler, means all of
that organ. A choice of this project."""

RIM_MM = 10.0
"""How far from such a click at the rim of an organ that organ is entered. A choice of this project."""

JOIN_SHARE = 0.2
"""A lesion that holds so much of the uptake that a click points at, up to the valleys, gets the rest of it. A choice of
this project."""

LOCAL_MM = 10.0
"""Radius within which a click on fainter uptake lowers the threshold of a lesion, or raises it, at most; along a lesion
that is larger itself, up to twice as much."""

FADING_SHARE = 0.9
"""The border of fainter uptake that a click adds to a lesion, between surroundings (0) and the uptake at the click (1).
A choice of this project."""

BESIDE_MM = 8.0
"""A click so near to a lesion that earlier clicks named, or within two voxels of it, extends that lesion unless it lies
high in a hot spot of its own. A choice of this project."""

AIR_HU, DENSE_HU, SOFT_HU = -950.0, 150.0, -50.0
"""CT (HU) of air, and the lowest of dense bone and of soft tissue such as a node, for messages only."""

INSIST_HINT = "Click with Alt held to mark it all the same."

SPLIT_DEPTH = 0.1
"""As ``VALLEY_DEPTH``, where a reader asks for a lesion to be split: a shallower valley will do."""

MERGE_GAP_MM = 20.0
"""Lesions that lie farther apart are merged only where the reader says so. A choice of this project."""
