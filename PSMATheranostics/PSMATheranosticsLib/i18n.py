"""Texts of results and report in other languages than English, by gettext.

``tr`` marks and translates a text; sentences with numbers are translated before the numbers are put in. The language
is that of the surrounding ``language(...)``, English without one, so that files for programs are always in English.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "de": "Deutsch"}
DOMAIN = "psmatheranostics"
CATALOGS = Path(__file__).parent / "locale"  # CODE/LC_MESSAGES/psmatheranostics.po and .mo

_language: ContextVar[str] = ContextVar("language", default="en")


def tr(text: str) -> str:
    """``text`` in the language of today; as it is where that has no translation for it."""
    code = _language.get()
    return text if code == "en" else _catalog(code).gettext(text)


@contextmanager
def language(code: str) -> Iterator[None]:
    """Let ``tr`` answer in another language, a key of ``LANGUAGES``. Raises ValueError for any other."""
    if code not in LANGUAGES:
        raise ValueError(f"there is no language '{code}'; choose from {', '.join(LANGUAGES)}")
    before = _language.set(code)
    try:
        yield
    finally:
        _language.reset(before)


def current_language() -> str:
    """The code of the language that ``tr`` answers in."""
    return _language.get()


@cache
def _catalog(code: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, CATALOGS, [code])
