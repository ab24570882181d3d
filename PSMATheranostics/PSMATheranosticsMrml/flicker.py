"""Two studies in turn in the views of one slot: what differs catches the eye."""

from __future__ import annotations

from collections.abc import Callable


class Flicker:
    """Says which slot shows another study than its own. ``exchange`` gets a slot and the study to show in it."""

    def __init__(self, exchange: Callable[[int, int], None]) -> None:
        self._exchange = exchange
        self._own: dict[int, int] = {}
        self.shown: dict[int, int] = {}  # slots that show another study than their own

    def toggle(self, slot: int, own: int, other: int) -> int:
        """Show the other study in a slot, or its own again; returns the one that is shown now."""
        if slot in self.shown:
            self.back()
            return own
        self._own[slot], self.shown[slot] = own, other
        self._exchange(slot, other)
        return other

    def back(self) -> None:
        """Show the own study in every slot."""
        slots, self.shown = list(self.shown), {}
        for slot in slots:
            self._exchange(slot, self._own[slot])

    def forget(self) -> None:
        """Every slot shows its own study again, by whoever fills the slots."""
        self.shown = {}
