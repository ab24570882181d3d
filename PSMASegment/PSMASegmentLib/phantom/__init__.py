"""A synthetic man with PSMA PET and CT at several visits, and the truth about every lesion in him."""

from .patient import DEMO_SEED, demo_patient, random_patient
from .truth import PhantomPatient, PhantomVisit, TrueLesion, TrueLink

__all__ = [
    "DEMO_SEED",
    "PhantomPatient",
    "PhantomVisit",
    "TrueLesion",
    "TrueLink",
    "demo_patient",
    "random_patient",
]
