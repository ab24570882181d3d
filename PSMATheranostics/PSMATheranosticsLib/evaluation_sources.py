"""Where the studies of ``psma evaluate`` come from: files with a truth, or synthetic studies painted on organ maps."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import SimpleITK as sitk

from .errors import InputError
from .evaluation_cases import held_out_maps, pairs
from .image_files import read_image
from .lib_errors import naming
from .organ_files import read_organ_names
from .output_names import PAIR_FILES

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.cases import TruthCase
    from PSMASegmentLib.organs import OrganMap

NAMES_FILE = "labels.csv"
TRUTH, UPTAKE, CT, ORGANS, PRIOR = "_labels.nii.gz", "_suv.nii.gz", "_ct.nii.gz", "_organs.nii.gz", "_prior.nii.gz"
PET, SPECT = "PET", "SPECT"
CASES_FILE = "cases.csv"


@dataclass(frozen=True)
class Subject:
    """One study with its truth (label image); images as of ``segmentation.Images``, None where there is none.

    ``regions`` names the region of the body of a label of the truth, where it is known. Where ``ignored`` is not 0
    nothing counts, neither as found nor as false.
    """

    name: str
    truth: sitk.Image
    emission: sitk.Image | None
    tracer: str = ""
    ct: sitk.Image | None = None
    organs: OrganMap | None = None
    prior: sitk.Image | None = None
    regions: Mapping[int, str] = field(default_factory=dict)
    ignored: sitk.Image | None = None


class Source(Protocol):
    """Studies by name, each loaded when it is its turn."""

    synthetic: bool

    @property
    def names(self) -> Sequence[str]:
        """The studies in their order."""
        ...

    def tracer(self, name: str) -> str:
        """The tracer of a study, "" where nobody says."""
        ...

    def stamp(self, name: str) -> str:
        """A text that is another one when the study is another one."""
        ...

    def load(self, name: str) -> Subject:
        """Read or paint a study. Raises InputError for files that cannot be used."""
        ...


class FolderSource:
    """Studies from files ``NAME_suv.nii.gz`` and so on; a truth alone is enough where no method has to run."""

    synthetic = False

    def __init__(self, folder: Path, truth_alone: bool) -> None:
        self._folder = folder
        needed = (TRUTH,) if truth_alone else (UPTAKE, TRUTH)
        found = sorted(path.name.removesuffix(needed[0]) for path in folder.glob(f"*{needed[0]}"))
        if not found:
            expected = f"NAME{TRUTH}, and where there are some NAME{UPTAKE}" if truth_alone else PAIR_FILES
            raise InputError(f"{folder} holds no cases. Expected there: {expected}.")
        for name in found:
            if not (folder / f"{name}{TRUTH}").is_file():
                raise InputError(f"{folder} holds no truth {name}{TRUTH} for {name}{UPTAKE}.")
        self.names: Sequence[str] = found
        self._tracers = _tracers(folder / CASES_FILE)

    def tracer(self, name: str) -> str:
        """The tracer that ``cases.csv`` names."""
        return self._tracers.get(name, "")

    def stamp(self, name: str) -> str:
        """Folder, sizes and times of the files of a study."""
        files = [self._folder / f"{name}{end}" for end in (TRUTH, UPTAKE, CT, ORGANS, PRIOR)]
        return f"{self._folder.resolve()} {_facts([*files, self._folder / NAMES_FILE])} {self.tracer(name)}"

    def load(self, name: str) -> Subject:
        """Read a study."""
        prior_file = self._folder / f"{name}{PRIOR}"
        prior = read_image(prior_file) if prior_file.is_file() else None
        if (self._folder / f"{name}{UPTAKE}").is_file():
            return _subject(next(pairs(self._folder, [name])), self.tracer(name), prior)
        path = self._folder / f"{name}{TRUTH}"
        return Subject(name, lesion_labels(path), None, self.tracer(name))


class OrganMapSource:
    """Synthetic studies on the organ maps of men of whom nothing is trained on; tracers of PET take turns.

    ``varied`` ones also hold what ``phantom_settings.VARIED`` lists, such as ganglia and hot spots of bowel and ureter.
    SPECT comes with the registered lesion mask of the PET; its truth are the lesions that the camera shows, or with
    ``all_lesions`` every one, in their true shapes.
    """

    synthetic = True

    def __init__(
        self,
        folder: Path,
        count: int,
        seed: int,
        tracers: Sequence[str],
        *,
        modality: str = PET,
        varied: bool = True,
        all_lesions: bool = False,
    ) -> None:
        maps = held_out_maps(folder, count)
        self._maps = {path.name.removesuffix(".nii.gz"): path for path in maps}
        self._seeds = {name: 1000 * seed + number for number, name in enumerate(self._maps)}
        self._painted_with = {name: tracers[number % len(tracers)] for number, name in enumerate(self._maps)}
        self._modality, self._varied, self._all_lesions = modality, varied, all_lesions
        self._program = _program_stamp()
        self.names: Sequence[str] = list(self._maps)

    def tracer(self, name: str) -> str:
        """The tracer that is seen."""
        from PSMASegmentLib.phantom.organ_map_course import LUTETIUM

        return LUTETIUM if self._modality == SPECT else self._painted_with[name]

    def stamp(self, name: str) -> str:
        """What the study is painted from."""
        kind = f"{self._modality} varied {self._varied} all lesions {self._all_lesions}"
        path = self._maps[name]
        facts = _facts([path, path.parent / NAMES_FILE])
        return f"{facts} {self._seeds[name]} {self._painted_with[name]} {kind} {self._program}"

    def load(self, name: str) -> Subject:
        """Paint a study."""
        from PSMASegmentLib.evaluation.cases import phantom_case
        from PSMASegmentLib.phantom.organ_map_study import organ_map_study
        from PSMASegmentLib.phantom.phantom_settings import PLAIN, VARIED
        from PSMASegmentLib.phantom.theranostic import theranostic_study

        path, tracer, settings = self._maps[name], self._painted_with[name], VARIED if self._varied else PLAIN
        names = read_organ_names(path.parent / NAMES_FILE)
        with naming(str(path)):
            if self._modality == PET:
                study = organ_map_study(read_image(path), names, self._seeds[name], tracer, settings)
                return _subject(phantom_case(name, study), tracer, None)
            treated = theranostic_study(read_image(path), names, self._seeds[name], tracer, settings)
        subject = _subject(phantom_case(name, treated.spect), self.tracer(name), treated.prior)
        if self._all_lesions:
            return subject
        hidden = sitk.And(subject.truth != 0, treated.seen == 0)
        return replace(subject, truth=sitk.Mask(subject.truth, hidden, 0, 1), ignored=hidden)


def _facts(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Name, size and time of the files that are there."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()]


def _program_stamp() -> str:
    """A text that is another one when the program that paints is another one."""
    import PSMASegmentLib.phantom

    files = sorted(Path(PSMASegmentLib.phantom.__path__[0]).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def label_image(path: Path) -> sitk.Image:
    """A label image from a file, as uint16. Raises InputError for one that holds anything but labels."""
    image = read_image(path)
    values = sitk.GetArrayViewFromImage(image)
    if (values != np.round(values)).any() or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise InputError(f"{path} must hold whole numbers from 0 to 65535, 0 outside of lesions.")
    return sitk.Cast(image, sitk.sitkUInt16)


def lesion_labels(path: Path) -> sitk.Image:
    """Lesions from a file, one value each; a mask of zeros and ones falls into its 26-connected components.

    Raises InputError as ``label_image`` does, and for a mask of too many parts.
    """
    from PSMASegmentLib.measure import components

    labels = label_image(path)
    with naming(str(path)):
        return components(labels) if sitk.GetArrayViewFromImage(labels).max() == 1 else labels


def _subject(case: TruthCase, tracer: str, prior: sitk.Image | None) -> Subject:
    regions = {label: site.split(":")[0] for label, site in case.sites.items()}
    return Subject(case.name, case.truth, case.emission, tracer, case.ct, case.organs, prior, regions)


def _tracers(path: Path) -> dict[str, str]:
    """Tracer by name of case; nothing where there is no such file."""
    if not path.is_file():
        return {}
    with naming(str(path)), path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
        if rows and not {"name", "tracer"} <= set(rows[0]):
            raise ValueError("the columns name and tracer are needed")
    return {row["name"]: (row["tracer"] or "").strip() for row in rows}
