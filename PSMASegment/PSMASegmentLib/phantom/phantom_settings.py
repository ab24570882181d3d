"""What a synthetic study shows besides organs and lesions, and how it is scanned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PhantomSettings:
    """Options of synthetic studies on organ maps. The defaults are a plain study.

    Attributes:
        spots: small physiological uptake: ganglia, vocal cords, tonsils, thyroid, hot spots of bowel, ureter and
            urethra, unspecific bone uptake (:mod:`physiology_spots`).
        tumor_sink: organs take up less in men with much tumor.
        breathing: largest way of the dome of the diaphragm, in mm: the emission is smeared there, and the CT was taken
            at another depth of breath. 0 for none.
        arms_up: None draws it.
        lesions: number of lesions; None draws it as :func:`organ_map_lesions.plan_lesions` does.
        most_lesions: largest number that is drawn.
        lesion_ml: median volume of lesions before their site limits it.
        as_published: organs that images show, after the blur, with other than the published uptake have more or less.
        spacing_mm: voxels x, y, z of the emission image; None takes those of the organ map.
        fwhm_mm: least and largest blur of the PET.
        noise_at_1: least and largest standard deviation of the noise where the SUV is 1.
        cut: share of the men whose scan leaves out head, thighs or both.
        lutetium: SPECT of a course takes up what :func:`lutetium.lutetium_uptake` says, not a share of the PET.
    """

    spots: bool = False
    tumor_sink: bool = False
    breathing: float = 0.0
    arms_up: bool | None = None
    lesions: int | None = None
    most_lesions: int = 45
    lesion_ml: float = 1.0
    as_published: bool = False
    spacing_mm: tuple[float, float, float] | None = None
    fwhm_mm: tuple[float, float] = (4.5, 9.0)
    noise_at_1: tuple[float, float] = (0.09, 0.33)
    cut: float = 0.0
    lutetium: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for values that no study can have."""
        if self.lesions is not None and self.lesions < 0:
            raise ValueError(f"A man has no {self.lesions} lesions; give 0 or more, or None to draw their number.")
        if self.most_lesions <= 20 or self.lesion_ml <= 0.0:
            raise ValueError("most_lesions is above 20, and lesion_ml, a median volume, above 0.")
        if self.spacing_mm is not None and min(self.spacing_mm) <= 0.0:
            raise ValueError(f"Voxels of {self.spacing_mm} mm cannot be painted; give three lengths above 0.")
        if not 0.0 <= self.cut <= 1.0:
            raise ValueError(f"cut is a share of the men, from 0 to 1, not {self.cut}.")
        if not 0.0 <= self.breathing <= 40.0:
            raise ValueError(f"The dome moves by 0 to 40 mm, not {self.breathing}.")
        for name, (low, high) in (("fwhm_mm", self.fwhm_mm), ("noise_at_1", self.noise_at_1)):
            if not 0.0 <= low <= high or (name == "fwhm_mm" and low == 0.0):
                raise ValueError(f"{name} is the least and the largest value, not {(low, high)}; a blur is above 0.")


PLAIN = PhantomSettings()
"""Organs, lesions and faint spots in bone; no more."""

VARIED = PhantomSettings(
    spots=True,
    tumor_sink=True,
    breathing=20.0,
    most_lesions=120,
    lesion_ml=1.6,
    as_published=True,
    cut=0.15,
    lutetium=True,
)
"""What patients show besides. Breathing of up to 20 mm and the share of cut scans are working values; with this median
volume about 42 % of the lesions are below 1 mL, as in the autoPET PSMA studies."""
