"""What a report is made of: plain frozen blocks, which HTML and PDF show alike.

A section of the report returns blocks and knows nothing of HTML or PDF; a renderer shows blocks and knows nothing of
lesions. Both files therefore hold the same content. Texts are ready to be read: translated, numbers rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True)
class Swatch:
    """A small framed box in a color, with a letter or sign in it that says the same without color."""

    letter: str
    color: str  # "#rrggbb"


@dataclass(frozen=True)
class Span:
    """A piece of text in one style, after its swatch where it has one. A ``kept`` piece does not break over lines."""

    text: str
    bold: bool = False
    swatch: Swatch | None = None
    kept: bool = False


Text = str | tuple[Span, ...]


def spans(text: Text) -> tuple[Span, ...]:
    """``text`` as spans, however it was given."""
    return (Span(text),) if isinstance(text, str) else text


def plain(text: Text) -> str:
    """The words of ``text`` without styles; letters of swatches are left out."""
    return "".join(span.text for span in spans(text))


@dataclass(frozen=True)
class Heading:
    """A heading within a section (its own title is not a block)."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: Text
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Note:
    """Smaller text that limits or explains what it stands with."""

    text: Text
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Bullets:
    """A list, with numbers where ``numbered``."""

    items: tuple[Text, ...]
    numbered: bool = False
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class Pairs:
    """Names with their values, e.g. the facts about a treatment."""

    pairs: tuple[tuple[str, Text], ...]
    label: str  # what these facts are, for screen readers
    kind: ClassVar[str] = "pairs"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a text, small lines ``below`` it, and ``comments`` of people below those (in italics)."""

    text: Text
    below: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    align: str = ""  # "left" or "right"; "" as its column
    bold: bool = False
    muted: bool = False
    columns: int = 1  # how many it spans
    rows: int = 1


@dataclass(frozen=True)
class Column:
    """How a column is set. ``width`` is its share of the room that is left; None: as wide as its content needs."""

    align: str = "left"  # or "right", for numbers
    width: float | None = None
    kept: bool = False  # its cells do not break over lines
    rule: bool = False  # a line at its left: a group of columns begins here


def placed(rows: Sequence[Sequence[Cell]], columns: int) -> list[list[tuple[Cell, int]]]:
    """Every cell of a table of so many columns with the index of the column in which it begins.

    Cells that span columns or rows push those after them on.
    """
    busy = [0] * columns  # for how many rows more a cell from above takes each column
    found = []
    for row in rows:
        at, line = 0, []
        for cell in row:
            while busy[at]:
                at += 1
            line.append((cell, at))
            busy[at : at + cell.columns] = [cell.rows] * cell.columns
            at += cell.columns
        busy = [max(left - 1, 0) for left in busy]
        found.append(line)
    return found


@dataclass(frozen=True)
class Table:
    """A table. The first cell of every row names the row. Cells under one that spans rows are left out.

    ``caption`` says what it shows. ``footer`` are rows of sums. A ``compact`` one is set smaller; one that is ``keep``
    stands on one page.
    """

    caption: str
    columns: tuple[Column, ...]
    head: tuple[tuple[Cell, ...], ...]
    rows: tuple[tuple[Cell, ...], ...]
    footer: tuple[tuple[Cell, ...], ...] = ()
    compact: bool = False
    keep: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """An image with what it shows in words, for readers who do not see it."""

    image: bytes
    alt: str
    caption: str = ""
    width_mm: float = 186.0
    media: str = "png"  # or "jpeg", "svg"
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class LegendItem:
    """A swatch, the word for it and what it means."""

    swatch: Swatch
    word: str
    meaning: str


@dataclass(frozen=True)
class Legend:
    """What colors and letters stand for."""

    items: tuple[LegendItem, ...]
    label: str
    kind: ClassVar[str] = "legend"


@dataclass(frozen=True)
class Card:
    """A result that is to be seen first: ``category`` in large letters, ``chip`` beside it, then what it rests on."""

    title: str
    category: str
    chip: str
    summary: str
    pairs: tuple[tuple[str, str], ...]
    why: str
    notes: tuple[str, ...]
    color: str  # "#rrggbb", of its edge


@dataclass(frozen=True)
class Cards:
    """Cards side by side in this many columns."""

    cards: tuple[Card, ...]
    columns: int
    kind: ClassVar[str] = "cards"


@dataclass(frozen=True)
class Columns:
    """Blocks side by side."""

    columns: tuple[tuple[Block, ...], ...]
    kind: ClassVar[str] = "columns"


@dataclass(frozen=True)
class PageBreak:
    """What follows begins on a new page."""

    kind: ClassVar[str] = "page-break"


# Everything that a section may return.
Block = Heading | Paragraph | Note | Bullets | Pairs | Table | Figure | Legend | Cards | Columns | PageBreak


@dataclass(frozen=True)
class Section:
    """A part of the report with its title. A ``wide`` one stands on pages of its own, turned sideways."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    wide: bool = False


@dataclass(frozen=True)
class Banner:
    """A statement in a frame at the head of the report; ``inverted``: white on black."""

    text: Text
    inverted: bool = False


@dataclass(frozen=True)
class Report:
    """A whole report in one language. ``facts`` stand at the head, ``footer`` at the foot of every page."""

    title: str
    subtitle: str
    language: str  # a key of ``i18n.LANGUAGES``
    patient_id: str
    created: datetime
    facts: tuple[tuple[str, str], ...]
    banners: tuple[Banner, ...]
    footer: str
    sections: tuple[Section, ...]

    def blocks(self) -> Iterator[Block]:
        """Every block in order, those within ``Columns`` too."""
        for section in self.sections:
            yield from flat(section.blocks)


def flat(blocks: tuple[Block, ...]) -> Iterator[Block]:
    """Blocks in their order, with those within ``Columns`` in the place of these."""
    for block in blocks:
        if isinstance(block, Columns):
            for column in block.columns:
                yield from flat(column)
        else:
            yield block
