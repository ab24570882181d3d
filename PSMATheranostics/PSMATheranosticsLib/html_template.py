"""HTML pages from the templates that lie in this package, and what several of them show."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PageTable:
    """A table of texts; the first cell of a row names it."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def data_uri(image: bytes, media: str = "png") -> str:
    """An image as an address that holds it, so that a page needs no file beside it."""
    return f"data:image/{media};base64,{base64.b64encode(image).decode('ascii')}"


def template_environment() -> Any:
    """The environment of Jinja2 for our templates; filters may be added to it.

    Escaping is on, because names and texts from files can hold anything, and a name that is missing is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    return environment
