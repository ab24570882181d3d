"""How many new lesions a follow-up has, as far as it is known: for criteria that count them."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError
from .i18n import tr
from .recip import new_lesions_text, uptake_conflict
from .response import TISSUES, ResponseInput

MANY = 10**6  # more than any rule asks for: the count is open


@dataclass(frozen=True)
class LesionCount:
    """Least and most new lesions that the inputs allow; ``conflict`` is what they say against each other, or ""."""

    least: int
    most: int
    text: str
    conflict: str = ""


def count_new_lesions(inputs: ResponseInput) -> LesionCount:
    """The count by the reader's answer and the list of new lesions.

    Raises:
        InputError: the tissue of a lesion is none of ``TISSUES``.
    """
    for lesion in inputs.new_lesions_seen:
        if lesion.tissue not in TISSUES:
            known = ", ".join(tissue for tissue in TISSUES if tissue)
            raise InputError(
                f"The tissue of the new lesion {lesion.track} is '{lesion.tissue}': choose one of {known}."
            )
    listed = len(inputs.new_lesions_seen)
    if inputs.new_lesions is None:
        if inputs.residual_uptake is False:
            return LesionCount(0, 0, new_lesions_text(False), _uptake_conflict(inputs))
        return LesionCount(0, MANY, new_lesions_text(None))
    if not inputs.new_lesions:
        conflict = tr("input conflict: new lesions are listed, but there are none by the reader") if listed else ""
        return LesionCount(0, 0, new_lesions_text(False), conflict or _uptake_conflict(inputs))
    conflict = _uptake_conflict(inputs)
    if not listed:
        return LesionCount(1, MANY, tr("new lesions, not counted"), conflict)
    text = tr("1 new lesion") if listed == 1 else tr("{count} new lesions").format(count=listed)
    return LesionCount(listed, listed, text, conflict)


def _uptake_conflict(inputs: ResponseInput) -> str:
    return uptake_conflict(inputs.followup_ttv_ml, inputs.new_lesions, inputs.residual_uptake)
