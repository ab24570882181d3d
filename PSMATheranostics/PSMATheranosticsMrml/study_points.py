"""Where a point of one study lies in another, through the stored registrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import SimpleITK as sitk
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATrackingLib.point_mapper import PointMapper

Lps = tuple[float, float, float]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One registration on the way from study to study; ``isForward`` from its fixed to its moving study."""

    fixedId: int
    movingId: int
    isForward: bool


class StudyPoints:
    """Points (LPS mm) from study to study.

    ``transforms`` map points of the fixed (earlier) study to the moving (later) one, by the IDs of both. Two follow-up
    studies that were both registered to the baseline are related by way of it.
    """

    def __init__(self, transforms: Mapping[Pair, sitk.Transform]) -> None:
        self._transforms = dict(transforms)
        self._ways: dict[Pair, list[Step] | None] = {}
        self._mappers: dict[Pair, PointMapper] = {}

    @classmethod
    def ofCase(cls, case: CaseStore) -> StudyPoints:
        """Those of a case as its registrations are now."""
        return cls({(each.fixed_id, each.moving_id): each.transform for each in case.registrations()})

    def way(self, fromId: int, toId: int) -> list[Step] | None:
        """The shortest way from study to study, empty for the same one; None where there is no registration."""
        key = fromId, toId
        if key not in self._ways:
            self._ways[key] = self._find(fromId, toId)
        return self._ways[key]

    def inStudy(self, point: Lps, fromId: int, toId: int) -> Lps | None:
        """The same place of the body in another study; None where no registration leads there. Quick for one point."""
        way = self.way(fromId, toId)
        if way is None:
            return None
        for step in way:
            mapper = self._mapper(step)
            point = mapper.there(point) if step.isForward else mapper.back(point)
        return point

    def inStudyAll(self, points: Sequence[Lps], fromId: int, toId: int) -> list[Lps] | None:
        """The same for many points."""
        import numpy as np

        way = self.way(fromId, toId)
        if way is None:
            return None
        mapped = np.asarray(points, float).reshape(-1, 3)
        for step in way:
            mapped = self._mapped(step, mapped)
        return [(x, y, z) for x, y, z in mapped.tolist()]

    def _mapped(self, step: Step, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        from PSMATrackingLib.points import map_points, map_points_back

        transform = self._transforms[step.fixedId, step.movingId]
        return map_points(transform, points) if step.isForward else map_points_back(transform, points)

    def _mapper(self, step: Step) -> PointMapper:
        from PSMATrackingLib.point_mapper import PointMapper

        pair = step.fixedId, step.movingId
        if pair not in self._mappers:
            self._mappers[pair] = PointMapper(self._transforms[pair])
        return self._mappers[pair]

    def _find(self, fromId: int, toId: int) -> list[Step] | None:
        steps = [Step(*pair, forward) for pair in self._transforms for forward in (True, False)]
        ways: dict[int, list[Step]] = {fromId: []}
        reached = [fromId]
        for study in reached:  # grows as it goes, so that nearer studies come first
            for step in steps:
                start, end = (step.fixedId, step.movingId) if step.isForward else (step.movingId, step.fixedId)
                if start == study and end not in ways:
                    ways[end] = [*ways[study], step]
                    reached.append(end)
        return ways.get(toId)
