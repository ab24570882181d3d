"""Sets of studies in folders: training sets of ``psma training-set``, and folders of pairs as ``psma evaluate`` takes.

Of a pair only ``NAME_labels.nii.gz`` or ``NAME_suv.nii.gz`` must be there, whichever is needed. ``labels.csv`` beside
them names the values of ``NAME_organs.nii.gz``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .image_files import read_image
from .lib_errors import naming
from .organ_files import read_organ_names
from .training_set import FORMAT, META_NAME, SET_NAME

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMASegmentLib.organs import OrganMap
    from PSMASegmentLib.segmentation import Images

_UPTAKE, _LABELS, _CT, _ORGANS = "_suv.nii.gz", "_labels.nii.gz", "_ct.nii.gz", "_organs.nii.gz"
EXPECTED = (
    f"a training set of psma training-set, or files NAME{_LABELS} or NAME{_UPTAKE}, and where there are some NAME{_CT} "
    f"and NAME{_ORGANS} with labels.csv"
)


@dataclass(frozen=True)
class SetStudy:
    """One study of a set: where its images lie, None for those that are not there.

    ``man`` is the same for all studies of one man, where the set tells. ``organs`` and ``physiology`` come with the
    file or the values that name their labels.
    """

    set_name: str
    name: str
    man: str
    emission: Path | None
    labels: Path | None
    ct: Path | None
    tracer: str
    organs: tuple[Path, Path | dict[int, str]] | None
    physiology: tuple[Path, Path | dict[int, str]] | None

    def label_image(self) -> sitk.Image:
        """The lesions, one value each; of a pair whose file is a mask of 0 and 1, its 26-connected components.

        Raises InputError where there are none or they are no labels.
        """
        from .evaluation_sources import label_image, lesion_labels

        if self.labels is None:
            raise InputError(f"{self.set_name}/{self.name} has no lesions ({_LABELS}).")
        return lesion_labels(self.labels) if self.labels.name.endswith(_LABELS) else label_image(self.labels)

    def images(self) -> Images:
        """What a network sees. Raises InputError where there is no uptake or a file cannot be read."""
        from PSMASegmentLib.segmentation import Images

        if self.emission is None:
            raise InputError(f"{self.set_name}/{self.name} has no uptake ({_UPTAKE}).")
        ct = None if self.ct is None else read_image(self.ct)
        return Images(read_image(self.emission), "SUVbw", self.tracer, ct, self.organ_map())

    def organ_map(self) -> OrganMap | None:
        """The organ map that came with the study."""
        return _organ_map(self.organs)

    def uptake_map(self) -> OrganMap | None:
        """The physiological uptake that an earlier search found, as a map of organs."""
        return _organ_map(self.physiology)


def _organ_map(source: tuple[Path, Path | dict[int, str]] | None) -> OrganMap | None:
    from PSMASegmentLib.organs import OrganMap

    if source is None:
        return None
    path, names = source
    return OrganMap(read_image(path), names if isinstance(names, dict) else read_organ_names(names))


def read_sets(folders: Sequence[Path]) -> list[SetStudy]:
    """The studies of all sets, set by set and by name; no image is read.

    Raises InputError for a folder that holds no set, and for two folders of one name.
    """
    names = [folder.resolve().name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"Several sets are called {', '.join(twice)}; rename the folders so that they can be told apart."
        )
    return [study for folder, name in zip(folders, names, strict=True) for study in _read_set(folder, name)]


def _read_set(folder: Path, name: str) -> list[SetStudy]:
    found = _training_studies(folder, name) if (folder / SET_NAME).is_file() else _pairs(folder, name)
    if not found:
        raise InputError(f"{folder} holds no studies. Expected there: {EXPECTED}.")
    return found


def _pairs(folder: Path, set_name: str) -> list[SetStudy]:
    from PSMASegmentLib.phantom.held_out import patient_of

    names = {path.name.removesuffix(end) for end in (_UPTAKE, _LABELS) for path in folder.glob(f"*{end}")}
    studies = []
    for name in sorted(names):
        emission, labels, ct, organs = (_there(folder / f"{name}{end}") for end in (_UPTAKE, _LABELS, _CT, _ORGANS))
        try:
            man = patient_of(Path(name))
        except ValueError:
            man = f"{set_name}/{name}"  # the name says nothing about who it is
        named = None if organs is None else (organs, folder / "labels.csv")
        studies.append(SetStudy(set_name, name, man, emission, labels, ct, "", named, None))
    return studies


def _training_studies(folder: Path, set_name: str) -> list[SetStudy]:
    studies = []
    for meta_file in sorted(folder.glob(f"man-*/study-*/{META_NAME}")):
        study = meta_file.parent
        meta = _meta(meta_file)
        organs, physiology = (
            None
            if (path := _there(study / f"{what}.nii.gz")) is None
            else (path, {int(value): str(organ) for value, organ in meta.get(f"{what}_names", {}).items()})
            for what in ("organs", "physiology")
        )
        studies.append(
            SetStudy(
                set_name,
                f"{study.parent.name}/{study.name}",
                study.parent.name,
                _there(study / "suv.nii.gz"),
                _there(study / "corrected.nii.gz"),
                _there(study / "ct.nii.gz"),
                str(meta.get("tracer", "")),
                organs,
                physiology,
            )
        )
    return studies


def _meta(path: Path) -> dict[str, Any]:
    with naming(str(path)):
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ValueError("it does not describe a study of a training set")
    return said


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None
