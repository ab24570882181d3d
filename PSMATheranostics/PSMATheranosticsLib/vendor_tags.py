"""Private elements in which scanners keep the time of decay correction and the meaning of counts.

A private element belongs to the block that its creator reserved, e.g. (0009,100D) to (0009,110D) for the same
element; some programs drop the creator when they write a copy. An element without any creator in its group is
taken for the usual one (block 10) when the Manufacturer is the one who uses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from .dicom_values import MALFORMED, parse_date_time, text

_BLOCKS = range(0x10, 0x14)  # creators that reserve a later block have not been seen


@dataclass(frozen=True)
class VendorTag:
    """A private element: group, last two digits of the element, creator of its block, and the vendor's name."""

    group: int
    element: int
    creator: str
    vendor: str  # Manufacturer (0008,0070) begins with it
    meaning: str

    def __str__(self) -> str:
        return f"{self.meaning} ({self.group:04X},xx{self.element:02X})"


GE_SCAN_TIME = VendorTag(0x0009, 0x0D, "GEMS_PETD_01", "GE", "GE scan time")
SIEMENS_DECAY_TIME = VendorTag(0x0071, 0x22, "SIEMENS MED PT", "SIEMENS", "Siemens decay correction time")
PHILIPS_SUV_FACTOR = VendorTag(0x7053, 0x00, "Philips PET Private Group", "PHILIPS", "Philips SUV scale factor")
PHILIPS_ACTIVITY_FACTOR = VendorTag(
    0x7053, 0x09, "Philips PET Private Group", "PHILIPS", "Philips activity concentration scale factor"
)
VENDOR_TAGS = (GE_SCAN_TIME, SIEMENS_DECAY_TIME, PHILIPS_SUV_FACTOR, PHILIPS_ACTIVITY_FACTOR)


def tags_to_read() -> list[tuple[int, int]]:
    """All places of the private elements and their creators, for reading only a part of a header."""
    tags = {(tag.group, block) for tag in VENDOR_TAGS for block in _BLOCKS}
    tags |= {(tag.group, block * 0x100 + tag.element) for tag in VENDOR_TAGS for block in _BLOCKS}
    return sorted(tags)


def is_made_by(header: Dataset, vendor: str) -> bool:
    """Whether the Manufacturer begins with the vendor's name as a word."""
    return re.match(rf"{vendor}\b", text(header, "Manufacturer").upper()) is not None


def vendor_text(header: Dataset, tag: VendorTag) -> str:
    """The private element as stripped text, "" when it is not there."""
    return next(filter(None, (_text_at(header, place) for place in _places(header, tag))), "")


def vendor_number(header: Dataset, tag: VendorTag) -> float | None:
    """The private element as a finite number above zero, else None: zero means "not known" to those who write it."""
    try:
        value = float(vendor_text(header, tag))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def vendor_time(header: Dataset, tag: VendorTag) -> datetime | None:
    """The private element as local date and time of the header, None when absent or not readable."""
    return parse_date_time(vendor_text(header, tag), text(header, "TimezoneOffsetFromUTC"))


def _places(header: Dataset, tag: VendorTag) -> Iterator[tuple[int, int]]:
    creators = {block: _text_at(header, (tag.group, block)) for block in _BLOCKS}
    for block, creator in creators.items():
        if creator.upper().startswith(tag.creator.upper()):
            yield tag.group, block * 0x100 + tag.element
    if not any(creators.values()) and is_made_by(header, tag.vendor):
        yield tag.group, _BLOCKS.start * 0x100 + tag.element


def _text_at(header: Dataset, place: tuple[int, int]) -> str:
    try:
        element = header.get(place)
    except MALFORMED:
        return ""
    value = None if element is None else element.value
    if isinstance(value, bytes):  # read without knowing the value representation
        value = value.decode("ascii", errors="replace")
    return "" if value is None else str(value).strip("\0 ")
