"""Models trained by nnU-Net v2, run on our images with the labels that nnU-Net itself would give.

Two things are decided here and not by nnU-Net: CT is brought onto the emission grid, because a model wants its channels
on one grid, and labels are accumulated in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.inference.device import Attempt, attempts, choose_device, first_that_fits
from PSMASegmentLib.inference.labels import Labels, LabelWriter
from PSMASegmentLib.inference.network import AveragedRunner, ClassMeaning, RawResult, Runner, Triple, seconds_of
from PSMASegmentLib.inference.nnunet_folder import NnunetFolder, read_nnunet_folder
from PSMASegmentLib.inference.nnunet_inputs import ALL, BODY, NnunetSettings, body_mask, channel_images
from PSMASegmentLib.inference.nnunet_network import (
    allowed_mirroring,
    build_network,
    fill_network,
    read_checkpoint,
    total_stride,
    trained_configuration,
)
from PSMASegmentLib.inference.nnunet_postprocess import (
    KeepLargest,
    find_postprocessing,
    keep_largest,
    read_postprocessing,
)
from PSMASegmentLib.inference.nnunet_preprocess import NetworkInput, Place
from PSMASegmentLib.inference.nnunet_resample import axis_maps
from PSMASegmentLib.inference.runners import make_runner
from PSMASegmentLib.inference.separable import nearest_index
from PSMASegmentLib.inference.windows import EMPTY_LOGIT, Cancel, infer_windows, mirrorings
from PSMASegmentLib.segmentation import Images, SegmentationCancelled

if TYPE_CHECKING:
    import torch

Tell = Callable[[float, str], None]

_PREPARED, _ASKED = 0.1, 0.9


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels (uint8) of a model and the probability (uint8, 0 to 200) of those asked for, both on the images' grid."""

    labels: sitk.Image
    probability: sitk.Image | None
    provenance: dict[str, Any] = field(default_factory=dict)


class NnunetModel:
    """A model that has been read; keep it, reading costs more than asking. Not for two threads at a time."""

    def __init__(
        self,
        plan: NnunetFolder,
        networks: Sequence[torch.nn.Module],
        mirror_axes: tuple[int, ...],
        left_out: Sequence[str],
        steps: Sequence[KeepLargest],
        settings: NnunetSettings,
    ) -> None:
        self.plan, self.mirror_axes, self.settings = plan, mirror_axes, settings
        self._networks, self._left_out, self._steps = networks, left_out, steps
        self._runner: tuple[Attempt, Runner] | None = None
        self._hashes = plan.hashes()

    @classmethod
    def load(cls, folder: Path, settings: NnunetSettings | None = None) -> NnunetModel:
        """Read a model folder. Nothing in it can run.

        Raises ValueError for a folder that is damaged or asks for what this version cannot do, ImportError where torch
        or dynamic_network_architectures is not installed.
        """
        settings = settings or NnunetSettings()
        if settings.area not in (ALL, BODY):
            raise ValueError(f'Windows lie over "{ALL}" or the "{BODY}", not over "{settings.area}".')
        plan = read_nnunet_folder(folder, settings.configuration, settings.folds, settings.checkpoint)
        checkpoints = [read_checkpoint(path) for path in plan.checkpoints]
        trained = trained_configuration(checkpoints[0])
        if trained is not None and trained != plan.configuration and settings.configuration is None:
            plan = read_nnunet_folder(folder, trained, settings.folds, settings.checkpoint)
        networks, left_out = [], []
        for checkpoint, path in zip(checkpoints, plan.checkpoints, strict=True):
            network = build_network(plan)
            left_out = fill_network(network, checkpoint, path)
            networks.append(network)
        axes = allowed_mirroring(checkpoints[0], plan.checkpoints[0]) if settings.mirroring else ()
        file = find_postprocessing(folder, plan.folds) if settings.postprocessing else None
        steps = read_postprocessing(file) if file is not None else []
        return cls(plan, networks, axes, left_out, steps, settings)

    def warm_up(self) -> None:
        """Compile the network for the device that is asked first, so that the first study does not wait for it.

        Raises what ``predict`` raises of the device.
        """
        self._runner_for(attempts(choose_device(self.settings.device), len(mirrorings(self.mirror_axes)))[0])

    def predict(
        self,
        images: Sequence[sitk.Image],
        wanted: Sequence[int] = (),
        tell: Tell | None = None,
        cancel: Cancel | None = None,
        body: npt.NDArray[np.bool_] | None = None,
    ) -> Prediction:
        """Labels for images of one grid, in the order of the model's channels, and the probability of ``wanted``.

        ``body`` (z, y, x on that grid): windows are laid over the box around it alone.

        ``tell`` gets a fraction and a message before each step and after each window. Raises SegmentationCancelled as
        soon as ``cancel`` says so, between two questions to the network; ValueError for images it cannot use;
        MemoryError.
        """
        tell = tell or _silent
        notes: list[str] = []
        started = time.perf_counter()
        orientation = self.settings.orientation or self.plan.orientation
        tell(0.0, "Preparing the images for the network")
        turned = [sitk.DICOMOrient(image, orientation) for image in images] if orientation else list(images)
        around = None if body is None else _turned(body, images[0], orientation)
        channels = NetworkInput(turned, self.plan)
        writer, way = self._ask(channels, wanted, around, tell, cancel, notes)
        tell(_ASKED, "Finishing the labels")
        labels, probability = self._labels(writer, channels.place)
        return Prediction(
            labels=_image(labels, turned[0], images[0], orientation),
            probability=None if probability is None else _image(probability, turned[0], images[0], orientation),
            provenance={
                **self._facts(way, channels.place, orientation),
                "area": BODY if body is not None else ALL,
                "seconds": seconds_of(time.perf_counter() - started, channels.seconds, writer.seconds),
                "notes": notes,
            },
        )

    def _ask(
        self,
        channels: NetworkInput,
        wanted: Sequence[int],
        body: npt.NDArray[np.bool_] | None,
        tell: Tell,
        cancel: Cancel | None,
        notes: list[str],
    ) -> tuple[LabelWriter, Attempt]:
        """The writer with all labels in the box of the input, and how the network was run."""
        plan, place = self.plan, channels.place
        area = None if body is None else _on_network_grid(body, place, plan)
        back = axis_maps(plan.logits_resampling, place.grid, place.cropped_shape, plan.spacing_mm, place.spacing_mm)[0]

        def stopped() -> None:
            if cancel is not None and cancel():
                raise SegmentationCancelled("The labels were not finished.")

        def run(way: Attempt) -> LabelWriter:
            runner, writer = self._runner_for(way), LabelWriter(back, plan.heads, wanted, stopped)
            infer_windows(
                channels,
                runner,
                writer.take,
                step=self.settings.step,
                gaussian=self.settings.gaussian,
                mirror_axes=self.mirror_axes,
                skip_empty=area,
                only_around=area is not None,
                empty_logits=None if plan.heads.regions is None else [-EMPTY_LOGIT] * runner.classes,
                batch=way.batch,
                progress=lambda share: tell(_PREPARED + (_ASKED - _PREPARED) * share, "Asking the network"),
                cancel=cancel,
            )
            return writer

        device = choose_device(self.settings.device)
        return first_that_fits(attempts(device, len(mirrorings(self.mirror_axes))), run, notes.append)

    def _runner_for(self, way: Attempt) -> Runner:
        if self._runner is None or self._runner[0] != way:
            self._runner = None  # before the next one takes memory
            patch, channels = self._patch(way.divided), len(self.plan.channels)
            z, y, x = (min(size, 2 * least) for size, least in zip(patch, total_stride(self.plan), strict=True))
            runners = [
                make_runner(network, channels, patch, way.device, self.settings.engine, watched=(z, y, x))
                for network in self._networks
            ]
            self._runner = (way, runners[0] if len(runners) == 1 else AveragedRunner(runners))
            if not way.device.is_cuda:
                self._networks = ()  # compiled, and nothing is left to fall back to
        return self._runner[1]

    def _patch(self, divided: int) -> Triple:
        if divided == 1:
            return self.plan.patch
        strides = total_stride(self.plan)
        z, y, x = (max(s, size // divided // s * s) for size, s in zip(self.plan.patch, strides, strict=True))
        return (z, y, x)

    def _labels(self, writer: LabelWriter, place: Place) -> tuple[Labels, Labels | None]:
        """Labels and probability in the order of axes of the whole image."""
        found, share = writer.finished()
        labels = _whole(found, place, self.plan)
        for step in self._steps:
            labels = keep_largest(labels, step)
        return labels, None if share is None else _whole(share, place, self.plan)

    def _facts(self, way: Attempt, place: Place, orientation: str | None) -> dict[str, Any]:
        plan, runner = self.plan, self._runner_for(way)
        return {
            "format": "nnU-Net v2",
            "model": plan.dataset,
            "configuration": plan.configuration,
            "sha256": self._hashes,
            "folds": list(plan.folds),
            "channels": [channel.name for channel in plan.channels],
            "orientation": orientation or "as stored",
            "network_spacing_mm": list(plan.spacing_mm),
            "network_grid": list(place.grid),
            "window": list(runner.patch),
            "step": self.settings.step,
            "mirror_axes": list(self.mirror_axes),
            "heads_left_out": list(self._left_out),
            "postprocessing": [list(step.labels) for step in self._steps],
            "device": way.device.title,
            "engine": runner.engine,
            "precision": runner.precision,
        }


def nnunet_result(
    images: Images,
    model: NnunetModel,
    meaning: ClassMeaning,
    tell: Tell | None = None,
    cancel: Cancel | None = None,
) -> RawResult:
    """What a model says of a study, with its labels read as ``meaning`` declares them.

    Raises ValueError for a missing CT, other units than the model wants, and labels declared that it does not have.
    """
    labels_of_model = {label for region in model.plan.labels.values() for label in region}
    strange = sorted({*meaning.lesion, *meaning.physiological} - labels_of_model)
    if strange or not meaning.lesion:
        raise ValueError(
            f"The declared meaning of labels does not fit {model.plan.folder}: it names {strange or 'no lesion'}; the "
            f"model has {dict(model.plan.labels)}. Correct the declaration."
        )
    inputs = channel_images(images, model.plan, model.settings)
    body = body_mask(images) if model.settings.area == BODY else None
    prediction = model.predict(inputs, meaning.lesion, tell, cancel, body)
    labels = sitk.GetArrayViewFromImage(prediction.labels)
    organs = np.where(np.isin(labels, list(meaning.physiological)), labels, 0).astype(np.uint8)
    return RawResult(
        lesion=_like(np.isin(labels, meaning.lesion).astype(np.uint8), images.emission),
        probability=prediction.probability,
        physiology=_like(organs, images.emission) if meaning.physiological else None,
        names=dict(meaning.physiological),
        provenance=prediction.provenance,
    )


def _turned(mask: npt.NDArray[np.bool_], image: sitk.Image, orientation: str | None) -> npt.NDArray[np.bool_]:
    if orientation is None:
        return mask
    turned = sitk.DICOMOrient(_like(mask.astype(np.uint8), image), orientation)
    return sitk.GetArrayFromImage(turned).astype(bool)


def _on_network_grid(mask: npt.NDArray[np.bool_], place: Place, plan: NnunetFolder) -> npt.NDArray[np.bool_]:
    """A mask (z, y, x of the image) on the grid that the network is asked on, by the nearest voxel."""
    mask = mask.transpose(plan.forward)[place.box]
    for axis, size in enumerate(place.grid):
        mask = np.take(mask, nearest_index(mask.shape[axis], size), axis=axis)
    return mask


def _whole(part: Labels, place: Place, plan: NnunetFolder) -> Labels:
    """Values of the box in an array of the whole image, axes as the image has them."""
    whole: Labels = np.zeros(place.shape, np.uint8)
    whole[place.box] = part
    return np.ascontiguousarray(whole.transpose(plan.backward))


def _image(values: Labels, turned: sitk.Image, original: sitk.Image, orientation: str | None) -> sitk.Image:
    image = _like(values, turned)
    if orientation is None:
        return image
    back = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(original.GetDirection())
    image = sitk.DICOMOrient(image, back)
    image.CopyInformation(original)
    return image


def _like(values: Labels, image: sitk.Image) -> sitk.Image:
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result


def _silent(fraction: float, message: str) -> None:
    """Nobody wants to be told."""
