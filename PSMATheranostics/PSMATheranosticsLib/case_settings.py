"""The part of the case store about settings that belong to a case, such as the limits of change of a lesion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .case_by_hand import CaseByHand
from .case_database import readable
from .case_rows import from_json, to_json
from .errors import InputError


class CaseSettings(CaseByHand):
    """Named settings of a case. They can be undone, and go with the case wherever it is taken."""

    @readable()
    def setting(self, name: str) -> dict[str, Any]:
        """The setting of this name; an empty map where there is none. Raises CaseError where it is damaged."""
        row = self._database.row("SELECT value FROM settings WHERE name = ?", (name,))
        return {} if row is None else dict(from_json(row["value"]))

    def save_setting(self, name: str, values: Mapping[str, Any]) -> None:
        """Store a setting in place of an earlier one; an empty map removes it. What changes nothing leaves no step.

        Raises InputError for values that cannot be stored.
        """
        if not name:
            raise InputError("A setting needs a name. Give it one.")
        rows = [{"name": name, "value": to_json(dict(values))}] if values else []
        with self._change(f"Change the settings of the {name}") as change:
            change.replace("settings", {"name": name}, rows)
