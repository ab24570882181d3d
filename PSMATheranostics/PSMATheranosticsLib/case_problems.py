"""What a check of a case found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

BACKUP = "Restore the case folder from a backup."


@dataclass(frozen=True)
class Problem:
    """One finding. ``severity``: "damage" needs action before the case can be relied on, "information" does not."""

    severity: str
    where: str
    what: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """All fields, for JSON."""
        return asdict(self)


def damage(where: Path | str, what: str, remedy: str) -> Problem:
    """A problem that needs action."""
    return Problem("damage", str(where), what, remedy)
