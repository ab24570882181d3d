"""What the Libs for segmentation and tracking refuse, as errors for the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import InputError


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Turn what a Lib refuses into an error for the user that names the study."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
