"""The table of response criteria. Adding one: a class like ``recip.Recip1`` in its own file, and a line here."""

from __future__ import annotations

from .recip import Recip1
from .response import Response, ResponseCriterion, ResponseInput, ScanFacts

__all__ = ["CRITERIA", "Response", "ResponseCriterion", "ResponseInput", "ScanFacts"]

CRITERIA: dict[str, ResponseCriterion] = {criterion.name: criterion for criterion in (Recip1(),)}
