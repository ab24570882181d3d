"""What the synthetic man is made of: tissues, their CT number and their PSMA uptake per tracer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """Tissue code of a voxel. The order carries no meaning."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    LUNG = 3
    BLOOD = 4
    BRAIN = 5
    CORTEX = 6
    MARROW = 7
    LIVER = 8
    SPLEEN = 9
    KIDNEY = 10
    KIDNEY_SINUS = 11
    PAROTID = 12
    SUBMANDIBULAR = 13
    LACRIMAL = 14
    DUODENUM = 15
    SMALL_BOWEL = 16
    COLON = 17
    STOMACH = 18
    BLADDER = 19
    PROSTATE = 20
    NASAL = 21
    GALLBLADDER = 22
    URETER = 23
    GANGLION = 24
    DISC = 25
    THROAT = 26  # tonsils and vocal cords, of studies with small physiological uptake
    THYROID = 27
    URINE = 28  # in the urethra or on the skin


HOT_TISSUES: tuple[Tissue, ...] = (
    Tissue.LIVER,
    Tissue.SPLEEN,
    Tissue.KIDNEY,
    Tissue.PAROTID,
    Tissue.SUBMANDIBULAR,
    Tissue.LACRIMAL,
    Tissue.DUODENUM,
    Tissue.SMALL_BOWEL,
    Tissue.BLADDER,
    Tissue.URETER,
    Tissue.NASAL,
)
"""Tissues whose uptake reaches a threshold of SUV 3 and could be confluent with a lesion beside them."""

BOWEL = (Tissue.DUODENUM, Tissue.SMALL_BOWEL, Tissue.COLON)
"""Tissues whose uptake varies from stretch to stretch."""

ORGANS: dict[int, tuple[str, tuple[Tissue, ...]]] = {
    1: ("spleen", (Tissue.SPLEEN,)),
    2: ("kidneys", (Tissue.KIDNEY, Tissue.KIDNEY_SINUS)),
    3: ("liver", (Tissue.LIVER,)),
    4: ("urinary bladder", (Tissue.BLADDER,)),
    5: ("lungs", (Tissue.LUNG,)),
    6: ("brain", (Tissue.BRAIN,)),
    7: ("heart and vessels", (Tissue.BLOOD,)),
    8: ("stomach", (Tissue.STOMACH,)),
    9: ("prostate", (Tissue.PROSTATE,)),
    10: ("parotid glands", (Tissue.PAROTID,)),
    11: ("submandibular glands", (Tissue.SUBMANDIBULAR,)),
    12: ("lacrimal glands", (Tissue.LACRIMAL,)),
    13: ("duodenum", (Tissue.DUODENUM,)),
    14: ("small bowel", (Tissue.SMALL_BOWEL,)),
    15: ("colon", (Tissue.COLON,)),
}
"""Values and names of the organ map of a visit, and the tissues each organ is made of."""


@dataclass(frozen=True)
class Uptake:
    """SUVbw of one tissue: median over men and standard deviation of its natural logarithm between men."""

    median: float
    log_sd: float = 0.10


def _tracer(**overrides: Uptake) -> dict[Tissue, Uptake]:
    table = {
        Tissue.AIR: Uptake(0.0),
        Tissue.FAT: Uptake(0.35),
        Tissue.MUSCLE: Uptake(0.70),
        Tissue.LUNG: Uptake(0.40),
        Tissue.BLOOD: Uptake(1.50, 0.10),
        Tissue.BRAIN: Uptake(0.15),
        Tissue.CORTEX: Uptake(0.50),
        Tissue.MARROW: Uptake(0.70, 0.15),
        Tissue.KIDNEY_SINUS: Uptake(10.0, 0.30),
        Tissue.COLON: Uptake(1.20, 0.25),
        Tissue.STOMACH: Uptake(1.60, 0.12),
        Tissue.PROSTATE: Uptake(1.70, 0.15),
        Tissue.NASAL: Uptake(4.0, 0.25),
        Tissue.GALLBLADDER: Uptake(1.5, 0.40),
        Tissue.GANGLION: Uptake(5.0, 0.20),
        Tissue.DISC: Uptake(0.40),
    }
    table.update({Tissue[name]: uptake for name, uptake in overrides.items()})
    return table


TRACERS: dict[str, dict[Tissue, Uptake]] = {
    "68Ga-PSMA-11": _tracer(
        KIDNEY=Uptake(40.0, 0.28),
        LIVER=Uptake(5.2, 0.25),
        SPLEEN=Uptake(7.5, 0.35),
        PAROTID=Uptake(17.0, 0.25),
        SUBMANDIBULAR=Uptake(20.0, 0.25),
        LACRIMAL=Uptake(22.0, 0.30),
        DUODENUM=Uptake(13.0, 0.30),
        SMALL_BOWEL=Uptake(4.5, 0.30),
        BLADDER=Uptake(21.0, 0.50),
        URETER=Uptake(18.0, 0.40),
    ),
    "18F-DCFPyL": _tracer(
        KIDNEY=Uptake(24.0, 0.22),
        LIVER=Uptake(5.0, 0.14),
        SPLEEN=Uptake(3.8, 0.32),
        PAROTID=Uptake(9.0, 0.22),
        SUBMANDIBULAR=Uptake(9.5, 0.23),
        LACRIMAL=Uptake(18.0, 0.28),
        DUODENUM=Uptake(9.0, 0.30),
        SMALL_BOWEL=Uptake(3.5, 0.30),
        BLADDER=Uptake(24.0, 0.50),
        URETER=Uptake(15.0, 0.40),
    ),
    "18F-PSMA-1007": _tracer(
        KIDNEY=Uptake(15.0, 0.25),
        LIVER=Uptake(11.5, 0.30),
        SPLEEN=Uptake(11.0, 0.33),
        PAROTID=Uptake(18.0, 0.27),
        SUBMANDIBULAR=Uptake(19.0, 0.25),
        LACRIMAL=Uptake(20.0, 0.28),
        DUODENUM=Uptake(11.0, 0.30),
        SMALL_BOWEL=Uptake(4.5, 0.30),
        BLADDER=Uptake(4.0, 0.45),
        URETER=Uptake(3.0, 0.40),
        GALLBLADDER=Uptake(30.0, 0.50),
        MARROW=Uptake(1.0, 0.15),
    ),
}
"""Activity in the tissue itself, before the blur of the scanner, by tracer.

Levels follow published means in men: 68Ga-PSMA-11 kidneys SUVmax 66 (SD 25), parotid 24 (8), submandibular 27 (7),
lacrimal 16 (7), duodenum 18 (9) (Clin Nucl Med 2017;42(7), 55 men), liver SUVmean 5.4 (1.7), spleen 8.1 (3.5) (EJNMMI
Res 2024, doi 10.1186/s13550-024-01097-3); 18F-DCFPyL PMC5450367 (65 scans); 18F-PSMA-1007 PMC12167615 (1,086 men).
Small organs stand above the published SUVmax because the blur takes part of it away. Blood, muscle, marrow, lung,
brain, bladder and ureter, and lacrimal glands and bowel for the 18F tracers, are working values without a source.
"""


_AS_PUBLISHED: dict[str, dict[Tissue, float]] = {
    "68Ga-PSMA-11": {
        Tissue.KIDNEY: 1.2,
        Tissue.KIDNEY_SINUS: 1.2,
        Tissue.PAROTID: 1.35,
        Tissue.SUBMANDIBULAR: 1.3,
        Tissue.DUODENUM: 0.78,
        Tissue.GANGLION: 0.35,
    },
    "18F-DCFPyL": {
        Tissue.KIDNEY: 0.92,
        Tissue.PAROTID: 1.12,
        Tissue.SUBMANDIBULAR: 1.12,
        Tissue.LACRIMAL: 1.35,
        Tissue.GANGLION: 0.35,
    },
    "18F-PSMA-1007": {
        Tissue.LIVER: 1.12,
        Tissue.PAROTID: 1.3,
        Tissue.SUBMANDIBULAR: 1.25,
        Tissue.GANGLION: 0.35,
    },
}
"""Factors for the medians of :data:`TRACERS` with which the images of men on real organ maps show, after the blur, the
published values; found by painting such men."""


def draw_uptake(rng: np.random.Generator, tracer: str, as_published: bool = False) -> dict[Tissue, float]:
    """SUVbw of every tissue of one man: log-normal about the median of his tracer.

    ``as_published`` changes some organs so that images on real organ maps show the published values after the blur.
    Raises ValueError for a tracer that is not in :data:`TRACERS`.
    """
    if tracer not in TRACERS:
        raise ValueError(f"The phantom knows no tracer {tracer!r}; choose one of {', '.join(TRACERS)}.")
    factors = _AS_PUBLISHED[tracer] if as_published else {}
    return {
        tissue: factors.get(tissue, 1.0) * uptake.median * float(np.exp(rng.normal(0.0, uptake.log_sd)))
        for tissue, uptake in sorted(TRACERS[tracer].items())
    }
