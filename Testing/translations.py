"""Catalogs of translated texts: find what is marked with ``tr``, and keep the catalogs up to date.

Run it with ``python Testing/translations.py`` after texts were changed or translated: texts that are new get an empty
entry in ``locale/CODE/LC_MESSAGES/psmatheranostics.po``, texts that are gone lose theirs, and the compiled ``.mo`` is
written. It lists the texts that wait for a translation and ends with 1 where there are any.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from PSMATheranosticsLib.i18n import CATALOGS, DOMAIN, LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
LIBS = ("PSMASegment/PSMASegmentLib", "PSMATracking/PSMATrackingLib", "PSMATheranostics/PSMATheranosticsLib")
TRANSLATED = tuple(code for code in LANGUAGES if code != "en")
_WIDTH = 120


def marked_calls() -> Iterator[tuple[Path, ast.Call]]:
    """Every call of ``tr`` in the Libs, file by file."""
    for lib in LIBS:
        for file in sorted((ROOT / lib).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "tr":
                    yield file, node


def marked_texts() -> list[str]:
    """The texts that are marked, each once, in the order in which the files have them."""
    texts = [call.args[0].value for _, call in marked_calls() if isinstance(call.args[0], ast.Constant)]
    return list(dict.fromkeys(texts))


def po_file(code: str) -> Path:
    """The catalog of a language that is written by people."""
    return CATALOGS / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def read_catalog(code: str) -> dict[str, str]:
    """Texts with their translations, "" where there is none yet."""
    with po_file(code).open("rb") as file:
        found = read_po(file, locale=code)
    return {str(message.id): str(message.string) for message in found if message.id}


def compiled(translations: dict[str, str], code: str) -> bytes:
    """The catalog as ``gettext`` reads it; the same texts give the same bytes."""
    buffer = io.BytesIO()
    write_mo(buffer, _catalog(translations, code))
    return buffer.getvalue()


def write_catalog(code: str, translations: dict[str, str]) -> None:
    """Write ``.po`` and ``.mo`` of a language, with exactly these texts in their order."""
    path = po_file(code)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    write_po(buffer, _catalog(translations, code), width=_WIDTH, no_location=True)
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(translations, code))


def _catalog(translations: dict[str, str], code: str) -> Catalog:
    # No date of today: a catalog changes only where a text does.
    day = datetime(2026, 1, 1, tzinfo=timezone.utc)
    made = Catalog(
        code,
        DOMAIN,
        header_comment=f"# {LANGUAGES[code]}: texts of results and report. Apache-2.0, as PSMATheranostics.",
        project="PSMATheranostics",
        version="1",
        last_translator="PSMATheranostics contributors",
        language_team=LANGUAGES[code],
        msgid_bugs_address="none",
        creation_date=day,
        revision_date=day,
        fuzzy=False,
    )
    for text, translation in translations.items():
        made.add(text, translation)
    return made


def main() -> int:
    """Bring all catalogs up to date. Returns 1 where a text has no translation."""
    waiting = 0
    for code in TRANSLATED:
        known = read_catalog(code) if po_file(code).exists() else {}
        current = {text: known.get(text, "") for text in marked_texts()}
        write_catalog(code, current)
        open_texts = [text for text, translation in current.items() if not translation]
        waiting += len(open_texts)
        print(f"{code}: {len(current)} texts, {len(open_texts)} without a translation")
        for text in open_texts:
            print(f"  {text!r}")
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
