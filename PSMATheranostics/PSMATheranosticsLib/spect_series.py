"""Which series are SPECT, and which of them are volumes that can be read, by their headers alone."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from .dicom_frames import CONVERTED_PET, ENHANCED_PET
from .dicom_series import PET_IMAGE, Instance, Series, is_picture
from .dicom_values import MALFORMED, number, numbers, tag_text, text, texts
from .nuclides import POSITRON, SINGLE_PHOTON, nuclide_by_half_life, nuclide_of

_PET_CLASSES = (PET_IMAGE, ENHANCED_PET, CONVERTED_PET)
_NM_CLASSES = ("1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.5")  # the second is retired
_RECONSTRUCTED = "RECON TOMO"
_SPECT_WORD = re.compile(r"(?<![A-Z])X?SPECT(?![A-Z])")
_POINTERS = {
    0x00540050: "RotationVector",
    0x00540090: "AngularViewVector",
    0x00540030: "PhaseVector",
    0x00540100: "TimeSliceVector",
}
_SPLIT = {
    "EnergyWindowVector": "several energy windows",
    "DetectorVector": "several detectors",
    "TimeSlotVector": "several time slots of the heart beat (gated)",
    "RRIntervalVector": "several intervals of the heart beat (gated)",
}
_NO_VOLUME = {
    "TOMO": "raw projections (TOMO), not a reconstruction",
    "GATED TOMO": "raw gated projections (GATED TOMO), not a reconstruction",
    "RECON GATED TOMO": "a gated reconstruction (RECON GATED TOMO)",
    "WHOLE BODY": "a planar whole-body image",
    "STATIC": "a planar image",
    "DYNAMIC": "a planar dynamic study",
    "GATED": "a planar gated study",
}


def is_spect(series: Series) -> bool:
    """Whether a series is nuclear medicine other than PET: modality NM, or SPECT stored as PET objects.

    A PT series is SPECT when its nuclide is no positron emitter, by code or name, else by half-life; where the header
    tells neither (or 90Y, which is imaged both ways), when ImageType, the description or the scanner says SPECT.
    """
    if series.modality != "PT":
        return series.modality == "NM"
    header = series.header
    nuclide = nuclide_of(header) or nuclide_by_half_life(header)
    if nuclide in SINGLE_PHOTON or nuclide in POSITRON:
        return nuclide in SINGLE_PHOTON
    words = [*texts(header, "ImageType"), text(header, "SeriesDescription"), text(header, "ManufacturerModelName")]
    return any(_SPECT_WORD.search(word.upper()) is not None for word in words)


def why_not_read(series: Series) -> str | None:
    """Why a series of nuclear medicine is no volume that can be read, None for one that is."""
    reasons = [why_no_volume(instance) for instance in series.instances]
    return None if None in reasons else reasons[0]


def why_no_volume(instance: Instance) -> str | None:
    """Why one image is neither a reconstructed SPECT nor a slice of one, None where it is."""
    header = instance.header
    if text(header, "SOPClassUID") not in (*_PET_CLASSES, *_NM_CLASSES):
        return "a picture (screen capture or the like), not the image itself"
    if is_picture(instance):
        return "a projection or another picture, not a stack of slices"
    if text(header, "Modality").upper() == "PT":
        kind = text(header, "SeriesType").upper()
        return f"a {kind.lower()} series" if kind in ("DYNAMIC", "GATED") else None
    return _why_no_reconstruction(header)


def _why_no_reconstruction(header: Dataset) -> str | None:
    image_type = [value.upper() for value in texts(header, "ImageType")]
    kind = next((value for value in image_type if value == _RECONSTRUCTED or value in _NO_VOLUME), "")
    if "TRANSMISSION" in image_type:
        return "a transmission image, not the emission"
    if kind in _NO_VOLUME:
        return _NO_VOLUME[kind]
    pointers = _increment_pointers(header)
    raw = [name for tag, name in _POINTERS.items() if tag in pointers]
    if raw:
        return f"not a reconstruction: {tag_text('FrameIncrementPointer')} names {', '.join(raw)}"
    for keyword, what in _SPLIT.items():
        index = numbers(header, keyword)  # of another length it was left over from the projections
        if len(index) == number(header, "NumberOfFrames") and len(set(index)) > 1:
            return f"a volume for each of {what} in one image; export one reconstruction of all"
    if kind != _RECONSTRUCTED and number(header, "SpacingBetweenSlices") is None:
        return f"no reconstruction by {tag_text('ImageType')} ({'/'.join(image_type) or 'missing'})"
    return None


def _increment_pointers(header: Dataset) -> set[int]:
    try:
        value = header.get("FrameIncrementPointer")
    except MALFORMED:
        return set()
    tags = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return {int(tag) for tag in tags if isinstance(tag, int)}
