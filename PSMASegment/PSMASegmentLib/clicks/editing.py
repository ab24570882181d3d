"""Split, merge and erase lesions that are there already. Each returns the change; nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from PSMASegmentLib.clicks.basins import part_at_valleys
from PSMASegmentLib.clicks.click import ClickResult, Index, Labels
from PSMASegmentLib.clicks.crop import Mask, Values, inside, smoothed_box, tight
from PSMASegmentLib.clicks.hot_spot import climb
from PSMASegmentLib.clicks.outcome import changed, refused
from PSMASegmentLib.clicks.settings import MERGE_GAP_MM, SPLIT_DEPTH
from PSMASegmentLib.clicks.study import ClickStudy
from PSMASegmentLib.measure import Box


def split_at(
    study: ClickStudy, labels: Labels, lesion: int, points_zyx: Sequence[Index], new_lesion: int
) -> ClickResult:
    """Split a lesion in two at one or two of its voxels.

    Two points: the uptake is parted at the valley between them, or half way where both lead up to the same peak; the
    part of the first keeps its number. One point on a second peak: that peak and what leads up to it is parted from the
    rest. One point elsewhere: the plane through it, across the longest axis of the lesion. In the latter two, the part
    with the hottest voxel keeps its number. Refused for points that are not in the lesion, and where a part would be
    empty. Raises ValueError for no or more than two points.
    """
    if not 1 <= len(points_zyx) <= 2:
        raise ValueError(f"A lesion is split at one or two points, not at {len(points_zyx)}.")
    for point in points_zyx:
        if not study.holds(point) or labels[point] != lesion:
            return refused(f"The point is not in lesion {lesion}. Click on the lesion to split it.", lesion)
    box, own = _lesion(labels, lesion)
    smooth = smoothed_box(study, box)
    first = inside(box, points_zyx[0])
    if len(points_zyx) == 2:
        new = _side_of_second(study, smooth, own, first, inside(box, points_zyx[1]))
    else:
        peak = _own_peak(smooth, own, first)
        part = _beyond(study, own, first, _long_axis(study, own)) if peak is None else peak
        new = _without_hottest(smooth, own, part)
    return _parted(study, labels, lesion, box, own, new, new_lesion)


def split_plane(
    study: ClickStudy, labels: Labels, lesion: int, point_zyx: Index, normal_zyx: Sequence[float], new_lesion: int
) -> ClickResult:
    """Split a lesion by the plane through a voxel of it, across a direction given in mm along z, y, x of the array.

    The part with the hottest voxel keeps its number; voxels on the plane lie on the side that the direction points to.
    Raises ValueError for a direction of no length.
    """
    normal = np.asarray(normal_zyx, dtype=np.float64)
    if normal.shape != (3,) or not np.isfinite(normal).all() or not normal.any():
        raise ValueError(f"A plane needs a direction of three numbers, not all zero, not {list(normal_zyx)}.")
    if not study.holds(point_zyx) or labels[point_zyx] != lesion:
        return refused(f"The point is not in lesion {lesion}. Click on the lesion to split it.", lesion)
    box, own = _lesion(labels, lesion)
    new = _without_hottest(smoothed_box(study, box), own, _beyond(study, own, inside(box, point_zyx), normal))
    return _parted(study, labels, lesion, box, own, new, new_lesion)


def merge(study: ClickStudy, labels: Labels, lesions: Collection[int], *, apart: bool = False) -> ClickResult:
    """Give all voxels of some lesions the lowest of their numbers.

    Refused where a lesion lies more than ``MERGE_GAP_MM`` from all others, unless ``apart``. Raises ValueError for
    fewer than two lesions and for a number that no voxel has.
    """
    wanted = sorted(set(lesions))
    if len(wanted) < 2:
        raise ValueError("Merging needs at least two lesions.")
    box = _box_of(labels, wanted)
    before = labels[box]
    points = {lesion: np.argwhere(before == lesion) * np.asarray(study.spacing_zyx) for lesion in wanted}
    absent = [lesion for lesion, found in points.items() if not len(found)]
    if absent:
        raise ValueError(f"There is no lesion {absent[0]} to merge.")
    gap = 0.0 if apart else _widest_gap(points)
    if gap > MERGE_GAP_MM:
        return refused(
            f"The lesions lie up to {gap:.0f} mm apart, more than {MERGE_GAP_MM:.0f} mm. Confirm that they are one."
        )
    after = np.where(np.isin(before, wanted), np.uint16(wanted[0]), before)
    names = ", ".join(str(lesion) for lesion in wanted[1:])
    start = (box[0].start, box[1].start, box[2].start)
    return changed("grown", wanted[0], f"Lesions {names} merged into lesion {wanted[0]}.", start, before, after)


def erase(labels: Labels, lesion: int) -> ClickResult:
    """Take a lesion away. Raises ValueError where no voxel has its number."""
    box, own = _lesion(labels, lesion)
    before = labels[box]
    start = (box[0].start, box[1].start, box[2].start)
    after = np.where(own, np.uint16(0), before)
    return changed("removed", lesion, f"Lesion {lesion} removed.", start, before, after)


def _box_of(labels: Labels, lesions: Sequence[int]) -> Box:
    """The box around some lesions; slice by slice, so that no mask of the whole image is made."""
    wanted = np.asarray(lesions, dtype=np.uint16)
    present = [z for z, plane in enumerate(labels) if np.isin(plane, wanted).any()]
    if not present:
        raise ValueError(f"There is no lesion {', '.join(str(lesion) for lesion in lesions)}.")
    z = slice(present[0], present[-1] + 1)
    part = tight(np.isin(labels[z], wanted))
    return z, part[1], part[2]


def _lesion(labels: Labels, lesion: int) -> tuple[Box, Mask]:
    box = _box_of(labels, [lesion])
    return box, labels[box] == lesion


def _parted(
    study: ClickStudy, labels: Labels, lesion: int, box: Box, own: Mask, new: Mask, new_lesion: int
) -> ClickResult:
    """The labels after one part of a lesion got a number of its own."""
    if not new.any() or not (own & ~new).any():
        return refused(f"Lesion {lesion} cannot be split here: one part would be empty.", lesion)
    before = labels[box]
    after = np.where(new, np.uint16(new_lesion), before)
    parts = [np.count_nonzero(part) * study.voxel_ml for part in (own & ~new, new)]
    message = f"Lesion {lesion} split: {parts[0]:.2g} mL, and {parts[1]:.2g} mL as lesion {new_lesion}."
    return changed("new", new_lesion, message, (box[0].start, box[1].start, box[2].start), before, after)


def _side_of_second(study: ClickStudy, smooth: Values, own: Mask, first: Index, second: Index) -> Mask:
    """What belongs to the second of two points: nearer to it along the uptake, or in space."""
    tops = [climb(smooth, point, ~own)[-1] for point in (first, second)]
    if tops[0] != tops[1]:
        seeds = np.zeros(own.shape, np.int16)
        seeds[tops[0]], seeds[tops[1]] = 1, 2
        flooded = _flooded(smooth, own, seeds)
        if flooded[first] == 1 and flooded[second] == 2:
            return own & (flooded == 2)
    spacing = np.asarray(study.spacing_zyx)
    toward = (np.asarray(second) - first) * spacing
    if not toward.any():
        return np.zeros_like(own)
    along = (np.argwhere(own) - (np.asarray(first) + second) / 2.0) * spacing @ toward
    side = np.zeros_like(own)
    side[own] = along >= 0
    return side


def _flooded(smooth: Values, own: Mask, seeds: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """The seeds grown over the lesion from the hottest voxels down."""
    low, high = float(smooth[own].min()), float(smooth[own].max())
    depth = (high - smooth) / max(high - low, 1e-6) * 60000.0
    height = np.where(own, np.clip(depth, 0.0, 60000.0), 65535.0).astype(np.uint16)
    grown: npt.NDArray[np.int16] = ndimage.watershed_ift(height, seeds, np.ones((3, 3, 3), dtype=bool))
    return grown


def _own_peak(smooth: Values, own: Mask, point: Index) -> Mask | None:
    """What leads up to the peak of a point; None where the lesion has but one peak."""
    basins = part_at_valleys(smooth, own, 0.0, SPLIT_DEPTH)
    return own & (basins == basins[point]) if basins.max() > 1 else None


def _beyond(study: ClickStudy, own: Mask, point: Index, normal: npt.NDArray[np.float64]) -> Mask:
    along = (np.argwhere(own) - point) * np.asarray(study.spacing_zyx) @ normal
    side = np.zeros_like(own)
    side[own] = along >= 0
    return side


def _long_axis(study: ClickStudy, own: Mask) -> npt.NDArray[np.float64]:
    """The direction (mm along z, y, x) in which a lesion is longest: the first principal axis of its voxels."""
    points = np.argwhere(own) * np.asarray(study.spacing_zyx)
    centered = points - points.mean(axis=0)
    axis: npt.NDArray[np.float64] = np.linalg.eigh(centered.T @ centered)[1][:, -1]
    return axis


def _without_hottest(smooth: Values, own: Mask, part: Mask) -> Mask:
    """The part, or the rest where the part holds the hottest voxel."""
    hottest = np.unravel_index(int(np.where(own, smooth, -np.inf).argmax()), own.shape)
    return own & ~part if part[hottest] else part


def _widest_gap(points: dict[int, npt.NDArray[np.float64]]) -> float:
    """The longest gap in mm (between voxel centers) that must be bridged to join all sets of points."""
    waiting = dict(points)
    _, joined = waiting.popitem()
    widest = 0.0
    while waiting:
        tree = spatial.cKDTree(joined)
        gaps = {name: float(tree.query(found)[0].min()) for name, found in waiting.items()}
        nearest = min(gaps, key=lambda name: gaps[name])
        widest = max(widest, gaps[nearest])
        joined = np.concatenate([joined, waiting.pop(nearest)])
    return widest
