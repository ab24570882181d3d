"""Found against planted in a synthetic patient: the figures of a comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Counts:
    """Right, superfluous and missing of something."""

    right: int = 0
    superfluous: int = 0
    missing: int = 0

    @property
    def precision(self) -> float:
        """Part of what was found that was planted; 1 where nothing was found."""
        found = self.right + self.superfluous
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        """Part of what was planted that was found; 1 where nothing was planted."""
        planted = self.right + self.missing
        return self.right / planted if planted else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = 2 * self.right + self.superfluous + self.missing
        return 2 * self.right / total if total else 1.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.superfluous + other.superfluous, self.missing + other.missing)

    def to_dict(self) -> dict[str, float]:
        """Counts with precision, recall and F1."""
        return {**asdict(self), "precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class LesionRow:
    """One planted lesion of one visit and what was found of it (None where nothing was). Volumes in mL."""

    visit: int
    label: int
    site: str
    found: int | None
    true_ml: float
    expected_ml: float
    measured_ml: float | None
    planted_status: str
    found_status: str


@dataclass(frozen=True)
class VisitRow:
    """One visit. ``expected_tv_ml`` is the volume at SUV 3 or more of the image without noise, the fair reference.

    ``planted_new`` and ``found_new`` count lesions that the visits before did not show.
    """

    visit: int
    date: str
    planted: int
    found: int
    lesions: Counts
    true_tv_ml: float
    expected_tv_ml: float
    measured_tv_ml: float
    planted_new: int
    found_new: int


@dataclass(frozen=True)
class DemoComparison:
    """The whole comparison. ``disagreements`` names whatever was not found as it was planted, one line each."""

    patient_id: str
    visits: list[VisitRow]
    rows: list[LesionRow]
    links: dict[tuple[int, int], Counts]
    status_right: int
    status_total: int
    disagreements: list[str] = field(default_factory=list)

    @property
    def lesions(self) -> Counts:
        """Lesions over all visits."""
        return sum((visit.lesions for visit in self.visits), Counts())

    @property
    def all_links(self) -> Counts:
        """Links over all pairs of visits."""
        return sum(self.links.values(), Counts())

    @property
    def status_accuracy(self) -> float:
        """Part of the planted statuses that were found."""
        return self.status_right / self.status_total if self.status_total else 1.0

    @property
    def all_found(self) -> bool:
        """Whether lesions, links and statuses are exactly those that were planted."""
        return not self.disagreements

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values, ready for JSON."""
        return {
            "patient_id": self.patient_id,
            "all_found": self.all_found,
            "lesions": self.lesions.to_dict(),
            "links": self.all_links.to_dict(),
            "links_by_visits": {f"{a}-{b}": counts.to_dict() for (a, b), counts in self.links.items()},
            "status_accuracy": self.status_accuracy,
            "status_right": self.status_right,
            "status_total": self.status_total,
            "visits": [{**asdict(row), "lesions": row.lesions.to_dict()} for row in self.visits],
            "lesion_rows": [asdict(row) for row in self.rows],
            "disagreements": list(self.disagreements),
        }

    def to_text(self) -> str:
        """A table to read."""
        from .demo_text import comparison_text

        return comparison_text(self)
