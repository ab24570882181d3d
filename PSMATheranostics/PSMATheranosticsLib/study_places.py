"""Where a place on one study is on another one, by the registrations of a case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PSMATrackingLib.points import map_points, map_points_back

from .records import RegistrationRecord

Point = tuple[float, float, float]


class StudyPlaces:
    """Takes points (LPS mm) from study to study along stored registrations, over as few of them as possible.

    Args:
        registrations: Those that are in use: each maps points of its fixed study to its moving study.
    """

    def __init__(self, registrations: Sequence[RegistrationRecord]) -> None:
        self._steps: dict[int, list[tuple[int, RegistrationRecord, bool]]] = {}
        for each in registrations:
            self._steps.setdefault(each.fixed_id, []).append((each.moving_id, each, True))
            self._steps.setdefault(each.moving_id, []).append((each.fixed_id, each, False))

    def on_study(self, place_mm: Point, from_id: int, to_id: int) -> Point | None:
        """``place_mm`` of study ``from_id`` on study ``to_id``; None where no registration leads there."""
        way = self._way(from_id, to_id)
        if way is None:
            return None
        point = np.array([place_mm], dtype=float)
        for registration, forward in way:
            point = (map_points if forward else map_points_back)(registration.transform, point)
        x, y, z = (float(value) for value in point[0])
        return x, y, z

    def _way(self, start: int, stop: int) -> list[tuple[RegistrationRecord, bool]] | None:
        """Registrations from one study to another, each with whether it is taken from fixed to moving."""
        ways: dict[int, list[tuple[RegistrationRecord, bool]]] = {start: []}
        waiting = [start]
        while waiting and stop not in ways:
            at = waiting.pop(0)
            for neighbor, registration, forward in self._steps.get(at, []):
                if neighbor not in ways:
                    ways[neighbor] = [*ways[at], (registration, forward)]
                    waiting.append(neighbor)
        return ways.get(stop)
