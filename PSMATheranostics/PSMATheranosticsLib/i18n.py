"""Texts of results and report in other languages than English, by gettext.

``tr`` marks and translates a text; sentences with numbers are translated before the numbers are put in, and numbers and
days go through ``decimal`` and ``date_text`` before. The language is that of the surrounding ``language(...)``, English
without one, so that files for programs are always in English.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "de": "Deutsch"}
DOMAIN = "psmatheranostics"
CATALOGS = Path(__file__).parent / "locale"  # CODE/LC_MESSAGES/psmatheranostics.po and .mo

_DECIMAL_MARKS = {"de": ","}
_DATES = {"en": "%Y-%m-%d", "de": "%d.%m.%Y"}
_POINT = re.compile(r"(?<=\d)\.(?=\d)")

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


def decimal(text: str) -> str:
    """A number that was formatted with a point, or a text with such numbers, with the decimal mark of the language."""
    return text if _language.get() == "en" else _POINT.sub(_DECIMAL_MARKS[_language.get()], text)


def date_text(day: date) -> str:
    """A day as the language writes it for readers: ISO 8601 in English, DD.MM.YYYY in German."""
    return day.strftime(_DATES[_language.get()])


def current_language() -> str:
    """The code of the language that ``tr`` answers in."""
    return _language.get()


@cache
def _catalog(code: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, CATALOGS, [code])
