"""Names of the regions in a segmentation made elsewhere: listed for a person to choose the lesions, and found again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as DicomSequence

from .dicom_values import text
from .errors import InputError

_NAMES = (("StructureSetROISequence", "ROIName"), ("SegmentSequence", "SegmentLabel"))


def label_names(path: Path) -> list[str]:
    """Names of the regions of an RTSTRUCT or the segments of a SEG, in their order; none for any other file.

    Pixels are not read. Raises InputError where the file cannot be opened.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[sequence for sequence, _ in _NAMES])
    except InvalidDicomError:  # a label image, or no segmentation at all: reading the labels tells
        return []
    except OSError as error:
        raise InputError(
            f"{path} cannot be opened: {error.strerror or error}. Check the file and its access."
        ) from error
    found = [(dataset.get(sequence), name) for sequence, name in _NAMES]
    return [text(item, name) for items, name in found if isinstance(items, DicomSequence) for item in items]


def choose_names(available: Sequence[str], wanted: Sequence[str], path: Path) -> list[int]:
    """Places of the wanted names among those available, without regard to case; all of them where none is wanted.

    Raises InputError, listing what there is, for a name that is not there.
    """
    if not wanted:
        return list(range(len(available)))
    folded = {name.strip().casefold() for name in wanted}
    missing = sorted(folded - {name.strip().casefold() for name in available})
    if missing:
        raise InputError(
            f"{path} has nothing called {', '.join(missing)}. There are: {', '.join(available) or 'no names'}."
        )
    return [index for index, name in enumerate(available) if name.strip().casefold() in folded]
