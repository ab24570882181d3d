"""The report as PDF: the blocks of ``report_blocks`` set by Typst, tagged for screen readers, on A4 or Letter."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import timezone
from itertools import groupby
from pathlib import Path
from typing import Any

from .errors import InputError
from .output_names import PAPERS
from .report_blocks import Banner, Bullets, Cell, Figure, Note, Pairs, Paragraph, Report, Section, Table, placed, spans
from .whole_file import write_whole

TEMPLATE = Path(__file__).with_name("report.typ")
_TYPST_PAPERS = dict(zip(PAPERS, ("a4", "us-letter"), strict=True))
# Fields that hold ``Text``, which the template is always given as spans.
_TEXTS: dict[type, tuple[str, ...]] = {Paragraph: ("text",), Note: ("text",), Cell: ("text",), Banner: ("text",)}
# Categories of Unicode: control, surrogate, private use, not assigned.
_UNSEEN = ("Cc", "Cs", "Co", "Cn")


def write_pdf(report: Report, path: Path, paper: str = "a4") -> None:
    """Write ``report`` as one PDF file; it is complete or not there at all.

    Raises:
        InputError: ``paper`` is none of ``PAPERS``, or the package typst is not there.
        OSError: the file cannot be written.
    """
    write_whole(path, render_pdf(report, paper))


def render_pdf(report: Report, paper: str = "a4") -> bytes:
    """The PDF that ``write_pdf`` writes. The same report gives the same bytes."""
    if paper not in PAPERS:
        raise InputError(f"There is no paper '{paper}'. Possible: {', '.join(PAPERS)}.")
    require_typst()
    with tempfile.TemporaryDirectory(prefix="psma-report-") as folder:
        root = Path(folder)
        pictures = _Pictures(root)
        data = {**_document(report, pictures), "paper": _TYPST_PAPERS[paper]}
        (root / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        (root / TEMPLATE.name).write_bytes(TEMPLATE.read_bytes())
        return _compiled(root, report)


def require_typst() -> None:
    """Raise InputError, saying what to do, where the package that sets the PDF is missing."""
    if importlib.util.find_spec("typst") is None:
        raise InputError(
            "The report as PDF needs the Python package typst, which is not installed here. Install it with "
            "'pip install typst', or leave the PDF out with --no-pdf: report.html says the same."
        )


def _compiled(root: Path, report: Report) -> bytes:
    """The PDF, with the font that comes with matplotlib; names in scripts that it lacks take one of the system."""
    import matplotlib as mpl
    import typst

    moment = report.created if report.created.tzinfo else report.created.replace(tzinfo=timezone.utc)
    return typst.compile(
        str(root / TEMPLATE.name),
        root=str(root),
        font_paths=[str(Path(mpl.get_data_path()) / "fonts" / "ttf")],
        timestamp=int(moment.timestamp()),
        pdf_standards=["ua-1"],
    )


def _shown(text: str) -> str:
    """The text without control characters, halves of characters and such, which a PDF must not hold."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in _UNSEEN and c != "\ufeff"))


class _Pictures:
    """Puts pictures into a folder, where Typst finds them by name."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def add(self, figure: Figure) -> str:
        """The name of the file."""
        self._count += 1
        name = f"picture{self._count}.{figure.media}"
        (self._folder / name).write_bytes(figure.image)
        return name


def _document(report: Report, pictures: _Pictures) -> dict[str, Any]:
    """What the template is given: plain lists and texts. Wide sections that follow each other share their pages."""
    head = {
        name: _plain(getattr(report, name), pictures)
        for name in ("title", "subtitle", "language", "facts", "banners", "footer")
    }
    runs = [
        {"wide": wide, "sections": [_section(section, pictures) for section in sections]}
        for wide, sections in groupby(report.sections, key=lambda section: section.wide)
    ]
    return {**head, "runs": runs}


def _section(section: Section, pictures: _Pictures) -> dict[str, Any]:
    return {"title": _plain(section.title, pictures), "blocks": [_plain(block, pictures) for block in section.blocks]}


def _plain(value: Any, pictures: _Pictures) -> Any:
    """A block made of what JSON knows; the bytes of a figure become the name of its file."""
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item, pictures) for item in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    plain = {item.name: getattr(value, item.name) for item in fields(value)} | {"kind": getattr(value, "kind", "")}
    for name in _TEXTS.get(type(value), ()):
        plain[name] = spans(plain[name])
    if isinstance(value, Bullets):
        plain["items"] = [spans(item) for item in value.items]
    elif isinstance(value, Pairs):
        plain["pairs"] = [(name, spans(text)) for name, text in value.pairs]
    elif isinstance(value, Figure):
        plain["image"] = pictures.add(value)
    elif isinstance(value, Table):
        for part in ("head", "rows", "footer"):
            plain[part] = _cells(value, plain[part], pictures)
    return {name: _plain(item, pictures) for name, item in plain.items()}


def _cells(table: Table, rows: Sequence[Sequence[Cell]], pictures: _Pictures) -> list[list[Any]]:
    """The cells of a table, each with the column ``at`` which it begins.

    ``over-room`` says whether a cell stands over a column that takes what room is left.
    """

    def told(cell: Cell, at: int) -> dict[str, Any]:
        over_room = any(column.width is not None for column in table.columns[at : at + cell.columns])
        return {**_plain(cell, pictures), "at": at, "over-room": over_room}

    return [[told(cell, at) for cell, at in line] for line in placed(rows, len(table.columns))]
