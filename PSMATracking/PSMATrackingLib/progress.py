"""How long functions tell how far they are."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and a short message. It may raise to cancel; the exception passes through."""


def silent(_fraction: float, _message: str) -> None:
    """Tells nobody."""
