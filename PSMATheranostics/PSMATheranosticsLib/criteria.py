"""The table of response criteria. Adding one: a class like ``recip.Recip1`` in its own file, and a line here."""

from __future__ import annotations

from .composite import PsaRecip
from .pcwg4 import Pcwg4
from .ppp import Ppp
from .psa_criterion import PsaPcwg3
from .recip import Recip1
from .recip_spect import RecipSpect
from .recip_visual import RecipVisual
from .response import Growth, NewLesion, Response, ResponseCriterion, ResponseInput, ScanFacts

__all__ = [
    "CRITERIA",
    "Growth",
    "NewLesion",
    "Response",
    "ResponseCriterion",
    "ResponseInput",
    "ScanFacts",
]

_ALL: tuple[ResponseCriterion, ...] = (
    Recip1(),
    RecipVisual(),
    RecipSpect(),
    PsaRecip(),
    Ppp(),
    Pcwg4(),
    PsaPcwg3(),
    PsaRecip(unverified=True),
    PsaPcwg3(unverified=True),
)
CRITERIA: dict[str, ResponseCriterion] = {criterion.name: criterion for criterion in _ALL}
