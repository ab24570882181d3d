"""How the values of a study were made: each input with its DICOM tag, what was entered by hand, what else would do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from .tables import number, signed

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import StudyResult
    from PSMATheranosticsLib.study import Scaling

_KEYWORDS = re.compile(r"[A-Z][A-Za-z]+(?:/[A-Z][A-Za-z]+)*")  # "SeriesDate/SeriesTime (reference time)"
# Black on amber can be read on light and on dark panels.
_MARK = "<span style='background-color:#FFC20A; color:#000000'>&nbsp;{text}&nbsp;</span>"


@dataclass(frozen=True)
class Fact:
    """One line of the provenance. ``tag`` is a DICOM tag as "(0010,1030)", "" where the value is no attribute."""

    label: str
    value: str
    tag: str = ""
    isEntered: bool = False


def facts(study: StudyResult) -> list[Fact]:
    """Everything that tells how the values of a study were made, in the order of the formula."""
    return [*_scalingFacts(study), *_inputFacts(study.scaling), *_alternativeFacts(study.scaling), *_scanFacts(study)]


def provenanceCard(study: StudyResult) -> str:
    """The facts of a study as a table in rich text, values entered by hand marked."""
    return f"<table cellspacing='0' cellpadding='1' width='100%'>{''.join(map(_row, facts(study)))}</table>"


def provenanceText(study: StudyResult, patientId: str) -> str:
    """The facts of a study as plain text, to be pasted elsewhere."""
    lines = [f"{patientId}, {study.label}, {study.modality} {study.acquired:%Y-%m-%d %H:%M}"]
    for fact in facts(study):
        label = f"{fact.label} {fact.tag}".strip()
        entered = " [" + _("entered by hand") + "]" if fact.isEntered else ""
        lines.append(f"{label}: {fact.value}{entered}")
    return "\n".join(lines)


def mark(text: str) -> str:
    """A few words as rich text that catches the eye."""
    return _MARK.format(text=escape(text).replace(" ", "&nbsp;"))


def cautions(scaling: Scaling) -> list[str]:
    """What must be seen without opening the card, as rich text: values by hand, and other admissible factors."""
    lines = []
    if scaling.entered:
        lines.append(f"{mark(_('entered by hand'))} {escape(', '.join(scaling.entered))}")
    for fact in _alternativeFacts(scaling):
        lines.append(f"{escape(fact.label)}: {escape(fact.value)}")
    return lines


def _scalingFacts(study: StudyResult) -> Iterator[Fact]:
    from PSMATheranosticsLib.report_text import header_value

    scaling = study.scaling
    yield Fact(_("Quantity"), scaling.quantity)
    yield Fact(_("Method"), scaling.method)
    yield Fact(_("Factor"), header_value(scaling.factor))
    if study.modality == "SPECT":
        yield Fact(_("SUV"), _suvOfSpect(study))


def _suvOfSpect(study: StudyResult) -> str:
    from PSMATheranosticsLib.report_text import header_value

    if study.scaling.suv_factor is not None:
        return _("1 Bq/mL is SUVbw {factor} at mid-scan").format(factor=header_value(study.scaling.suv_factor))
    unknown = [
        name
        for name, value in (
            (_("weight"), study.weight_kg),
            (_("injected activity"), study.injected_activity_mbq),
            (_("time of injection"), study.minutes_after_injection),
        )
        if value is None
    ]
    if not unknown:
        return _("cannot be given")
    return _("cannot be given: {values} not known").format(values=", ".join(unknown))


def _inputFacts(scaling: Scaling) -> Iterator[Fact]:
    from PSMATheranosticsLib.report_text import header_value

    shown: set[str] = set()
    for name, value in scaling.inputs.items():
        found = _KEYWORDS.match(name)
        keywords = found[0].split("/") if found else []
        shown.update(keywords)
        tags = " ".join(filter(None, map(_tag, keywords)))
        yield Fact(name, header_value(value), tags, isEntered=any(keyword in scaling.entered for keyword in keywords))
    for name in scaling.entered:
        if name not in shown:  # no part of the formula, such as a height: its value stands among the facts of the scan
            yield Fact(name, "", _tag(name), isEntered=True)


def _alternativeFacts(scaling: Scaling) -> Iterator[Fact]:
    from PSMATheranosticsLib.report_text import header_value

    for other in scaling.alternatives:
        change = 100.0 * (other.factor / scaling.factor - 1.0)
        told = _("factor {other} instead of {factor} ({change} %)")
        value = told.format(
            other=header_value(other.factor), factor=header_value(scaling.factor), change=signed(change)
        )
        yield Fact(_("Also admissible: {method}").format(method=other.method), value)


def _scanFacts(study: StudyResult) -> Iterator[Fact]:
    from PSMATheranosticsLib.report_text import waiting

    wait = waiting(study.minutes_after_injection) if study.minutes_after_injection is not None else ""
    values = (
        (_("Tracer"), study.tracer or _("unknown"), "Radiopharmaceutical"),
        (_("Scanner"), study.scanner or _("unknown"), ""),
        (_("Acquired"), f"{study.acquired:%Y-%m-%d %H:%M:%S}", ""),
        (_("Time after injection"), wait, ""),
        (_("Injected activity"), _withUnit(study.injected_activity_mbq, 1, "MBq"), "RadionuclideTotalDose"),
        (_("Weight"), _withUnit(study.weight_kg, 1, "kg"), "PatientWeight"),
        (_("Height"), _withUnit(study.height_m, 2, "m"), "PatientSize"),
        (_("Sex"), study.sex, "PatientSex"),
        *((name, _("SUVbw x {factor}").format(factor=f"{factor:.4f}"), "") for name, factor in study.norms.items()),
        (_("Read from"), study.source, ""),
    )
    for label, value, keyword in values:
        if value:
            yield Fact(label, value, isEntered=keyword in study.scaling.entered)


def _withUnit(value: float | None, decimals: int, unit: str) -> str:
    return "" if value is None else f"{number(value, decimals)} {unit}"


def _tag(keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _row(fact: Fact) -> str:
    label = escape(fact.label) + (f" <small>{fact.tag}</small>" if fact.tag else "")
    value = escape(fact.value) + (f" {mark(_('entered by hand'))}" if fact.isEntered else "")
    return f"<tr><td width='45%'>{label}</td><td>{value}</td></tr>"
