"""Reading a report in tests: the words of blocks, and the tags of its HTML."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from typing import Any

from PSMATheranosticsLib.progress import silent
from PSMATheranosticsLib.report_blocks import Section, Table, flat, plain

VOID = {"meta", "img", "br", "link", "input", "hr", "col"}


class Marked(gettext.NullTranslations):
    """A catalog that puts marks around what it translates."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps text, tags and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def section_html(html: str, name: str) -> str:
    """The HTML of one section without its title."""
    return re.split(rf'<section id="{name}"[^>]*>', html)[1].split("</section>")[0].partition("</h2>")[2]


def built(section: Any, results: Any, case: Any) -> Section:
    """One section of the report; it must be there."""
    found = section.build(results, case, silent)
    assert found is not None
    return found


def words_of(block: Any) -> str:
    """All that a block or section says, in order, with single spaces."""
    return re.sub(r"[\s\N{NO-BREAK SPACE}]+", " ", " ".join(_words(block)))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _words(item)
    elif is_dataclass(value):
        for item in fields(value):
            if item.name not in ("color", "align", "media", "kind", "letter", "name"):
                yield from _words(getattr(value, item.name))


def tables_of(section: Section) -> list[Table]:
    return [block for block in flat(section.blocks) if isinstance(block, Table)]


def rows_of(table: Table) -> list[list[str]]:
    """The first line of every cell."""
    return [[plain(cell.text) for cell in row] for row in table.rows]


def assert_complete(table: Table) -> None:
    """Every row fills all columns of its table, cells that span others counted."""
    for rows in (table.head, table.rows, table.footer):
        from_above = [0] * len(table.columns)
        for row in rows:
            free = [index for index, left in enumerate(from_above) if left == 0]
            from_above = [max(left - 1, 0) for left in from_above]
            assert sum(cell.columns for cell in row) == len(free), (table.caption, words_of(row))
            for cell in row:
                for _ in range(cell.columns):
                    place = free.pop(0)
                    from_above[place] = max(from_above[place], cell.rows - 1)
        assert not any(from_above), table.caption
