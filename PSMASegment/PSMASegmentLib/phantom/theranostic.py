"""A synthetic PSMA PET/CT of a man and the 177Lu SPECT/CT of his treatment, with the truth about both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..organs import OrganMap
from .canvas import Point, as_point
from .lutetium import PHYSICAL_HALF_LIFE_H, Kinetics, bq_per_ml, suv_at
from .organ_map_body import grain
from .organ_map_course import LUTETIUM
from .organ_map_painting import ct_numbers, shifted, whole
from .organ_map_study import OrganMapPhantom, StudiedMan, described, painted_study
from .phantom_settings import VARIED, PhantomSettings
from .prior_mask import PriorErrors, registered_prior
from .under_camera import UnderCamera, blurred, field_of_camera, under_camera

_CT_OFF_MM = (2.0, 2.0, 3.0)  # SPECT against its CT, standard deviation along x, y, z: working values
_HOT_SUV = 3.0


@dataclass(frozen=True)
class SpectSettings:
    """How the SPECT of a treatment is taken.

    Attributes:
        hours: times of the scans after the injection, ascending; the first is the study that is segmented.
        injected_mbq: injected activity.
        length_mm: least and largest length of the field of view along z; the scan is cut to it about the trunk.
        moved_mm: standard deviation of the position on the table against that of the PET, along each axis.
        errors: what is wrong with the registered lesion mask of the PET.
    """

    hours: tuple[float, ...] = (24.0,)
    injected_mbq: float = 7400.0
    length_mm: tuple[float, float] = (780.0, 1200.0)
    moved_mm: float = 15.0
    errors: PriorErrors = field(default_factory=PriorErrors)

    def __post_init__(self) -> None:
        """Raises ValueError for no scan, times that do not ascend, and activity or lengths that are not positive."""
        if not self.hours or self.hours[0] <= 0.0 or list(self.hours) != sorted(set(self.hours)):
            raise ValueError(f"SPECT is taken at ascending hours after the injection, not at {self.hours}.")
        if self.injected_mbq <= 0.0 or not 0.0 < self.length_mm[0] <= self.length_mm[1]:
            raise ValueError("Injected activity (MBq) and the length of the scan (least, largest; mm) are above 0.")


@dataclass(frozen=True)
class SpectScan:
    """One SPECT: measured and true activity concentration (Bq/mL at the time of the scan), on one grid.

    ``suv_factor`` times Bq/mL is SUVbw, decay-corrected to the injection.
    """

    hours: float
    emission: sitk.Image
    activity: sitk.Image
    suv_factor: float


@dataclass(frozen=True, eq=False)
class TheranosticPhantom:
    """PET/CT and SPECT/CT of one man.

    Attributes:
        pet: the PET/CT.
        spect: the first SPECT/CT: SUVbw (decay-corrected to the injection), and as truth the true shapes, whether a
            camera shows them or not. Its grid has cubic voxels of 4.42 mm, but for CT and organ map.
        seen: labels of ``spect.truth`` that the first SPECT shows, on its grid, where the true shape is; 0 for others.
        prior: lesion mask of the PET, registered on the SPECT with errors (uint8, grid of the SPECT).
        scans: every SPECT in Bq/mL; all have the grid and the truth of ``spect``.
        kinetics: uptake and effective half-lives; lesions by label of ``spect.truth``.
        twins: label in ``pet.truth`` of the lesion that each label of ``spect.truth`` is, where the PET shows it.
        weight_kg, injected_mbq: of the man, and of the treatment.
        pet_to_spect_mm: adding it to a point of the PET emission image gives that of the SPECT emission image.
    """

    pet: OrganMapPhantom
    spect: OrganMapPhantom
    seen: sitk.Image
    prior: sitk.Image
    scans: tuple[SpectScan, ...]
    kinetics: Kinetics
    twins: Mapping[int, int]
    weight_kg: float
    injected_mbq: float
    pet_to_spect_mm: Point


def theranostic_study(
    organ_labels: sitk.Image,
    names: Mapping[int, str],
    seed: int,
    tracer: str = "68Ga-PSMA-11",
    settings: PhantomSettings = VARIED,
    treatment: SpectSettings | None = None,
) -> TheranosticPhantom:
    """PET/CT with a tracer and SPECT/CT after 177Lu-PSMA of one man on an organ map; equal arguments, equal images.

    Lesions are the same at both; their size and true uptake differ by some percent, and the camera shows them with less
    of it than the PET. The first scan has the noise of the camera, later ones more. The CT of the SPECT is not moved by
    breathing. Uptake and half-lives on SPECT:
    :mod:`lutetium`; blur and noise: :func:`organ_map_spect.random_camera`. Raises ValueError as
    :func:`organ_map_study.organ_map_study` does.
    """
    treatment = treatment or SpectSettings()
    pet, man = painted_study(organ_labels, names, seed, tracer, settings)
    rng = np.random.default_rng((seed, 11))
    weight_kg = float(np.clip(rng.normal(82.0, 12.0), 50.0, 130.0))
    moved = rng.normal(0.0, treatment.moved_mm, 3)
    low, high = field_of_camera(rng, man, treatment.length_mm)
    treated = under_camera(man, low, high, treatment.hours[0], seed if settings.spots else None, rng)
    scans = tuple(_scan(treated, hours, treatment.injected_mbq, weight_kg, moved, rng) for hours in treatment.hours)
    place = (float(moved[0]), float(moved[1]), float(moved[2]))
    spect = _spect(treated, man, names, low, high, moved, seed, rng)
    pet_labels = {id(lesion): label for label, lesion in enumerate(man.shown, start=1)}
    origins = [treated.origin[id(lesion)] for lesion in treated.kept]
    return TheranosticPhantom(
        pet=pet,
        spect=spect,
        seen=treated.image(np.where(np.isin(treated.truth, treated.seen), treated.truth, 0), moved),
        prior=registered_prior(pet.truth, _hot(pet), spect.emission, place, treatment.errors, rng),
        scans=scans,
        kinetics=treated.kinetics,
        twins={k: pet_labels[id(own)] for k, own in enumerate(origins, start=1) if id(own) in pet_labels},
        weight_kg=weight_kg,
        injected_mbq=treatment.injected_mbq,
        pet_to_spect_mm=place,
    )


def _spect(
    treated: UnderCamera,
    man: StudiedMan,
    names: Mapping[int, str],
    low: int,
    high: int,
    moved: NDArray[np.float64],
    seed: int,
    rng: np.random.Generator,
) -> OrganMapPhantom:
    """The first SPECT/CT; its CT and organ map have the voxels of the PET."""
    beside = moved + rng.normal(0.0, _CT_OFF_MM)
    ct = whole(ct_numbers(man.block, rng), man.block, man.image, -1000)[:, :, low:high]
    rows = described(treated.truth, treated.clean, treated.kept, treated.block)
    return OrganMapPhantom(
        emission=treated.image(treated.noisy, moved),
        ct=shifted(ct, beside),
        organs=OrganMap(shifted(man.image[:, :, low:high], beside), dict(names)),
        truth=treated.image(treated.truth, moved),
        lesions=tuple(replace(row, center_mm=as_point(np.asarray(row.center_mm) + moved)) for row in rows),
        tracer=LUTETIUM,
        seed=seed,
        tissues=treated.image(treated.block.tissue, moved),
        activity=treated.image(treated.suv, moved),
    )


def _scan(
    treated: UnderCamera,
    hours: float,
    injected_mbq: float,
    weight_kg: float,
    moved: NDArray[np.float64],
    rng: np.random.Generator,
) -> SpectScan:
    """One SPECT in Bq/mL; noise grows as fewer counts are left."""
    suv = suv_at(treated.suv_24h, treated.half_life_h, hours)
    noisy = treated.noisy
    if hours != treated.first_h:
        clean = blurred(suv, treated.block, treated.camera)
        counts = 2.0 ** (-(hours - treated.first_h) / PHYSICAL_HALF_LIFE_H)
        noise = grain(rng, clean.shape, [0.4 * treated.camera.sigma_mm / step for step in treated.block.spacing[::-1]])
        noisy = np.maximum(clean + noise * (treated.camera.noise * np.sqrt(clean / counts) + 0.01), 0.0)
    unit = np.float32(bq_per_ml(injected_mbq, weight_kg, hours))
    return SpectScan(hours, treated.image(noisy * unit, moved), treated.image(suv * unit, moved), 1.0 / float(unit))


def _hot(pet: OrganMapPhantom) -> sitk.Image:
    """Where organs without lesions are hot in a PET (uint8)."""
    hot = sitk.GetArrayViewFromImage(pet.emission) >= _HOT_SUV
    mask = sitk.GetImageFromArray((hot & (sitk.GetArrayViewFromImage(pet.truth) == 0)).astype(np.uint8))
    mask.CopyInformation(pet.emission)
    return mask
