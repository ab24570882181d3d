"""What of a study a model of nnU-Net is given, and how it is to be run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.coarse import SPACING_MM, coarse_copy
from PSMASegmentLib.inference.nnunet_folder import CHECKPOINT, NnunetFolder
from PSMASegmentLib.segmentation import Images

SOURCES = ("emission", "ct")
ALL, BODY = "all", "body"
AIR_HU = -1024.0
_BODY_HU, _BODY_SUV = -400.0, 0.1
_BODY_RIM_MM = 20.0


@dataclass(frozen=True)
class NnunetSettings:
    """How a model is run.

    ``channels``: "emission" or "ct" for each input; None reads that off their names. ``units``: what the emission image
    must be in. ``folds`` None: all there are. ``mirroring``: ask mirrored too, as far as the checkpoint allows it.
    ``orientation``: letters that images are turned to first, such as "LPS"; None does as the model's reader did.
    ``area`` "body" lays windows over the body alone, which is faster but moves them, so that labels differ a little
    from those of nnU-Net; "all" does as nnU-Net does.
    """

    channels: tuple[str, ...] | None = None
    units: str = "SUVbw"
    folds: tuple[str, ...] | None = None
    checkpoint: str = CHECKPOINT
    configuration: str | None = None
    mirroring: bool = True
    step: float = 0.5
    gaussian: bool = True
    postprocessing: bool = True
    orientation: str | None = None
    area: str = ALL
    device: str | None = None
    engine: str = "auto"


def channel_images(images: Images, plan: NnunetFolder, settings: NnunetSettings) -> list[sitk.Image]:
    """The images of a study that a model wants, in its order, on the emission grid (CT linearly, air outside).

    Raises ValueError where the study lacks one, where the emission image is in other units than the model wants, and
    where it is not clear which image a channel is.
    """
    sources = settings.channels or _guessed_sources(plan)
    if len(sources) != len(plan.channels) or not set(sources) <= set(SOURCES):
        raise ValueError(
            f"{plan.folder} has the channels {_names(plan)}; declare for each of them one of {', '.join(SOURCES)}, not "
            f"{list(sources)}."
        )
    if "emission" in sources and images.units != settings.units:
        raise ValueError(
            f"The model {plan.folder} wants its emission image in {settings.units}; this one is in {images.units}. "
            "Convert it, or declare the units that the model was trained on."
        )
    ct = None
    if "ct" in sources:
        if images.ct is None:
            raise ValueError(f"The model {plan.folder} wants a CT ({_names(plan)}), and this study has none.")
        ct = sitk.Resample(images.ct, images.emission, sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32)
    return [ct if source == "ct" else images.emission for source in sources]


def _guessed_sources(plan: NnunetFolder) -> tuple[str, ...]:
    words = {"ct": "ct", "pet": "emission", "suv": "emission", "spect": "emission", "psma": "emission"}
    sources = []
    for channel in plan.channels:
        found = {source for word, source in words.items() if word in _words(channel.name)}
        sources.append(found.pop() if len(found) == 1 else "")
    if len(sources) == 1:
        sources = [sources[0] or "emission"]
    if "" in sources or len(set(sources)) != len(sources):
        raise ValueError(
            f"{plan.folder} calls its channels {_names(plan)}, from which it is not clear which is CT and which is PET "
            'or SPECT. Declare them in their order, such as channels ["ct", "emission"].'
        )
    return tuple(sources)


def _words(name: str) -> set[str]:
    return set("".join(c if c.isalpha() else " " for c in name.lower()).split())


def _names(plan: NnunetFolder) -> str:
    return ", ".join(f'"{channel.name}"' for channel in plan.channels)


def body_mask(images: Images) -> npt.NDArray[np.bool_]:
    """Where the patient is, with a rim of 20 mm, on the emission grid (z, y, x).

    Of the CT what is denser than -400 HU, else what takes up more than 0.1 SUVbw, both smoothed; a choice of this
    project, far on the safe side of any lesion. In other units than SUVbw that is most of the image, which is safe too.
    """
    like = coarse_copy(images.emission)
    found = like.values > _BODY_SUV
    if images.ct is not None:
        found |= coarse_copy(images.ct, like, AIR_HU).values > _BODY_HU
    found = ndimage.binary_dilation(found, iterations=max(1, round(_BODY_RIM_MM / SPACING_MM)))
    grid = like.image(found.astype(np.uint8))
    fine = sitk.Resample(grid, images.emission, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    return sitk.GetArrayFromImage(fine).astype(bool)
