"""What the Libs for segmentation and tracking refuse, as errors for the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import InputError

_REMEDY = "Close other programs"


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Turn what a Lib refuses into an error for the user that names the study; too little memory names it too."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    except MemoryError as error:
        raise MemoryError(f"{where}: {told_memory(error)}") from error


def told_memory(error: MemoryError) -> str:
    """What a user is told where the memory was not enough: the error's own words, and what to do."""
    said = str(error).strip()
    if _REMEDY in said:  # told already, by a network or with the name of a study
        return said
    why = f" ({said})" if said else ""
    return (
        f"The memory of this computer was not enough{why}. {_REMEDY}, or take images of fewer voxels or a smaller "
        "model. What was finished before is kept."
    )
