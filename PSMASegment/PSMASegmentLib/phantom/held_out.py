"""Which men of a collection of organ maps are kept out of all training, so that networks can be tested on them."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SHARE = 4  # one man in so many


def is_held_out(patient: str) -> bool:
    """Whether nothing of this man may be trained on; the same for all his studies, on every machine."""
    return int(hashlib.sha256(patient.encode()).hexdigest(), 16) % _SHARE == 0


def patient_of(organ_map: Path) -> str:
    """The man whose organ map a file is, from a name ``KIND_PATIENT_DATE.nii.gz``.

    Raises ValueError for other names.
    """
    parts = organ_map.name.split(".")[0].split("_")
    if len(parts) != 3:
        raise ValueError(f"{organ_map.name} does not name its patient: organ maps are called KIND_PATIENT_DATE.nii.gz.")
    return parts[1]
