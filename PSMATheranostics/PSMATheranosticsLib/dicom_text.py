"""Names and descriptions whose character set is not declared, or declared wrongly, made readable."""

from __future__ import annotations

from pydicom.charset import convert_encodings, python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset

from .dicom_values import texts

_TEXT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "StudyID",
    "SeriesDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "ManufacturerModelName",
    "ReconstructionMethod",
)
_UNDECLARED = ("", "ISO_IR 6", "ISO 2022 IR 6")
_ESCAPE = b"\x1b"
# UTF-8 first: text in another set is hardly ever valid UTF-8 by chance, while Latin-1 takes every byte.
_LIKELY = (("ISO_IR 192", "utf-8"), ("ISO_IR 100", "latin-1"))


def repair_character_set(header: FileDataset) -> None:
    """Set SpecificCharacterSet to one that decodes the texts of the header, where the declared one does not.

    Undeclared, unknown and wrong sets are replaced by UTF-8 if all texts are valid in it, else by Latin-1. Must be
    called before the texts are first looked at.
    """
    values = [value for keyword in _TEXT_KEYWORDS if (value := _undecoded(header, keyword)) and not value.isascii()]
    if not values or any(_ESCAPE in value for value in values):  # escape sequences say themselves which set follows
        return
    declared = texts(header, "SpecificCharacterSet")
    known = bool(declared) and declared[0] not in _UNDECLARED and declared[0] in python_encoding
    if known and all(_is_valid(value, convert_encodings(declared[0])[0]) for value in values):
        return
    fitting = next(name for name, codec in _LIKELY if all(_is_valid(value, codec) for value in values))
    header.SpecificCharacterSet = fitting
    is_implicit, is_little = header.original_encoding
    header.set_original_encoding(is_implicit, is_little, convert_encodings(fitting))


def _undecoded(header: FileDataset, keyword: str) -> bytes:
    element = header.get_item(keyword)
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        return element.value
    return b""


def _is_valid(value: bytes, codec: str) -> bool:
    try:
        value.decode(codec)
    except UnicodeDecodeError:
        return False
    return True
