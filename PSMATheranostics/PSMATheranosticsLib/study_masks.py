"""The lesions of one study in memory: labels, uptake and a box around each lesion, so that an edit stays local."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.measure import Measures, measure_lesion
from scipy import ndimage

from .mask_edit import changed_box
from .mask_patch import Box, Labels, MaskPatch


class StudyMasks:
    """Labels (uint16) of one study with what is needed to measure its lesions anew after an edit."""

    def __init__(self, suv: sitk.Image, labels: sitk.Image) -> None:
        """``suv``: uptake in SUVbw, ``labels``: on the same grid."""
        self.suv = suv
        self.labels: Labels = sitk.GetArrayFromImage(labels)
        self.boxes: dict[int, Box] = {
            number: box for number, box in enumerate(ndimage.find_objects(self.labels), start=1) if box is not None
        }

    def apply(self, patch: MaskPatch) -> None:
        """Change labels and boxes. Raises ValueError, and changes nothing, where the patch does not fit."""
        patch.apply(self.labels)
        for lesion in lesions_in(patch):
            around = _united(self.boxes.pop(lesion, None), patch.box)
            inside = changed_box(self.labels[around] == lesion)
            if inside is not None:
                self.boxes[lesion] = _moved(inside, around)

    def measure(self, lesion: int) -> Measures:
        """Volume and uptake of one lesion. Raises ValueError for uptake that is not finite."""
        return measure_lesion(self.suv, self.labels, lesion, self.boxes[lesion])

    def image(self) -> sitk.Image:
        """A copy of the labels as an image."""
        image = sitk.GetImageFromArray(self.labels)
        image.CopyInformation(self.suv)
        return image


def lesions_in(patch: MaskPatch) -> list[int]:
    """The lesions that a patch changes, by number."""
    changed = patch.before != patch.after
    numbers = np.unique(np.concatenate([patch.before[changed], patch.after[changed]]))
    return [int(number) for number in numbers if number]


def _united(first: Box | None, second: Box) -> Box:
    if first is None:
        return second
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return z, y, x


def _moved(inside: Box, around: Box) -> Box:
    z, y, x = (
        slice(part.start + outer.start, part.stop + outer.start) for part, outer in zip(inside, around, strict=True)
    )
    return z, y, x
