"""Which lesion of a new segmentation stands where one of an earlier segmentation of the same study stood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk


@dataclass(frozen=True)
class LesionOverlap:
    """Voxels that lesions of two label images share: ``shared[before, after]``, and the voxels each lesion has."""

    shared: dict[tuple[int, int], int]
    before: dict[int, int]
    after: dict[int, int]

    def heirs(self, lesion: int) -> list[int]:
        """New lesions that lie with more than half of their voxels in the old ``lesion``.

        For decisions: what was decided on a mask holds for a new mask only as far as most of it has been judged.
        """
        return sorted(
            after
            for (before, after), voxels in self.shared.items()
            if before == lesion and 2 * voxels > self.after[after]
        )

    def successor(self, lesion: int) -> int | None:
        """The new lesion that shares most with the old one, and more than half of the smaller of the two.

        For identity (links, tracks): a lesion remains itself when another threshold makes it larger or smaller.
        """
        shared = [(voxels, -after) for (before, after), voxels in self.shared.items() if before == lesion]
        if not shared:
            return None
        voxels, negative = max(shared)
        smaller = min(self.before[lesion], self.after[-negative])
        return -negative if 2 * voxels > smaller else None


def lesion_overlap(before: sitk.Image, after: sitk.Image) -> LesionOverlap:
    """Compare two label images (uint16) on the same grid."""
    old = sitk.GetArrayViewFromImage(before).reshape(-1)
    new = sitk.GetArrayViewFromImage(after).reshape(-1)
    both = np.flatnonzero((old != 0) & (new != 0))
    pairs, voxels = np.unique(old[both].astype(np.uint32) << 16 | new[both], return_counts=True)
    shared = {(int(pair >> 16), int(pair & 0xFFFF)): int(count) for pair, count in zip(pairs, voxels, strict=True)}
    return LesionOverlap(shared, label_sizes(before), label_sizes(after))


def label_sizes(labels: sitk.Image) -> dict[int, int]:
    """Voxels of each value above 0 in a label image."""
    return array_sizes(sitk.GetArrayViewFromImage(labels))


def array_sizes(labels: npt.NDArray[np.uint16]) -> dict[int, int]:
    """Voxels of each value above 0 in an array of labels."""
    counts = np.bincount(labels[labels != 0])
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
