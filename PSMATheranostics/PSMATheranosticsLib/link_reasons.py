"""Why a link between lesions is more or less sure, in the language of ``i18n``.

``PSMATrackingLib.confidence`` gives the reasons in English, which the case keeps. One that is not known here stays.
"""

from __future__ import annotations

import re

from .i18n import tr


def link_reason(reason: str) -> str:
    """The reason of a link, such as "10 mm apart, no other candidate within 10 mm"."""
    place_and_rival, *doubts = reason.split("; ")
    place, comma, rival = place_and_rival.partition(", ")
    return "; ".join([f"{_told(place)}{comma}{_told(rival)}", *map(_told, doubts)])


def _told(part: str) -> str:
    for pattern, text in _parts():
        found = re.fullmatch(pattern, part)
        if found:
            return text.format(**found.groupdict())
    return part


def _parts() -> tuple[tuple[str, str], ...]:
    return (
        (r"overlaps (?P<percent>\d+) %", tr("overlaps {percent} %")),
        (r"touches", tr("touches")),
        (r"(?P<gap>\d+) mm apart", tr("{gap} mm apart")),
        (r"no other candidate within (?P<gap>\d+) mm", tr("no other candidate within {gap} mm")),
        (r"next candidate touches as well", tr("next candidate touches as well")),
        (r"next candidate (?P<gap>\d+) mm away", tr("next candidate {gap} mm away")),
        (r"taken as a part that lies beside the whole", tr("taken as a part that lies beside the whole")),
        (r"in different tissue by the proposed regions", tr("in different tissue by the proposed regions")),
        (r"on different sides by the proposed regions", tr("on different sides by the proposed regions")),
        (r"where the registration bends much", tr("where the registration bends much")),
    )
