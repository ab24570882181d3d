"""The form for values that the headers lack or have wrong: nothing in it comes from anywhere but the user's hands."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from .provenance import mark

if TYPE_CHECKING:
    from collections.abc import Collection

    from PSMATheranosticsLib.entered_values import Field


class EnteredForm:
    """Binds the widgets ``entered...`` of ``ui``: one row per value, for the studies of one day or for all.

    What was typed is kept per day until ``clear``; it goes to the program as its options ``--enter``.
    """

    def __init__(self, ui: Any) -> None:
        from PSMATheranosticsLib.entered_values import FIELDS

        self._ui = ui
        self._everyStudy = _("all studies in the folder")
        self._texts: dict[str, dict[str, str]] = {}  # by day, "" for all studies; then by the name of the value
        self._missing: Collection[str] = ()
        self._rows = {field.name: _Row(ui.enteredFieldsWidget, field, self._onEdited) for field in FIELDS}
        ui.enteredScopeComboBox.addItem(self._everyStudy)
        ui.enteredScopeComboBox.connect("editTextChanged(QString)", lambda _text: self._showScope())
        ui.enteredAllCheckBox.connect("toggled(bool)", lambda _checked: self._showRows())
        ui.enteredClearButton.connect("clicked(bool)", lambda _checked=False: self.clear())
        self.clear()

    def options(self) -> list[str]:
        """The values as options of the program.

        Raises:
            InputError: a value cannot be read or is out of range, or a day is no date.
        """
        from PSMATheranosticsLib.entered_values import parse_entered

        given = [
            f"{day}:{name}={text}" if day else f"{name}={text}"
            for day, texts in self._texts.items()
            for name, text in texts.items()
        ]
        parse_entered(given)
        return [option for text in given for option in ("--enter", text)]

    def ask(self, missing: Collection[str], day: str) -> None:
        """Open the form for values that the study of a day lacks; ``day`` is "" where that is not known."""
        self._missing = missing
        self._offerDay(day)
        self._ui.enteredAllCheckBox.checked = False
        self._ui.enteredCollapsibleButton.collapsed = False
        self._showScope()

    def clear(self) -> None:
        """Forget everything that was typed or asked for."""
        self._texts, self._missing = {}, ()
        self._offerDay("")
        self._ui.enteredAllCheckBox.checked = False
        self._showScope()

    def _offerDay(self, day: str) -> None:
        box = self._ui.enteredScopeComboBox
        box.clear()
        box.addItem(self._everyStudy)
        if day:  # a study that lacks a value is no reason to overrule the headers of the others
            box.addItem(day)
            box.setCurrentIndex(1)

    def _day(self) -> str:
        text = self._ui.enteredScopeComboBox.currentText.strip()
        return "" if text == self._everyStudy else text

    def _onEdited(self, name: str, text: str) -> None:
        texts = self._texts.setdefault(self._day(), {})
        if text:
            texts[name] = text
        else:
            texts.pop(name, None)
        self._showSummary()

    def _showScope(self) -> None:
        texts = self._texts.get(self._day(), {})
        for name, row in self._rows.items():
            row.setText(texts.get(name, ""))
        self._showRows()
        self._showSummary()

    def _showRows(self) -> None:
        everything = not self._missing or self._ui.enteredAllCheckBox.checked
        self._ui.enteredAllCheckBox.setVisible(bool(self._missing))
        for name, row in self._rows.items():
            row.show(everything or name in self._missing, isMissing=name in self._missing)

    def _showSummary(self) -> None:
        lines = [
            _("{scope}: {values}").format(scope=day or self._everyStudy, values=", ".join(map("=".join, texts.items())))
            for day, texts in self._texts.items()
            if texts
        ]
        self._ui.enteredSummaryLabel.text = "<br>".join(f"{mark(_('by hand'))} {escape(line)}" for line in lines)
        self._ui.enteredClearButton.enabled = bool(lines)


class _Row:
    """Label and edit of one value."""

    def __init__(self, parent: qt.QWidget, field: Field, onEdited: Any) -> None:
        title = _titles().get(field.name, field.name.replace("_", " "))
        self._title = f"{title} ({field.unit})" if field.unit else title
        self._label = qt.QLabel(self._title)
        if field.choices:
            self._edit = qt.QComboBox()
            self._edit.addItems(["", *field.choices])
            self._edit.connect("currentTextChanged(QString)", lambda text: onEdited(field.name, text))
        else:
            self._edit = qt.QLineEdit()
            self._edit.placeholderText = _("e.g. {example}").format(example=field.example.replace("T", " "))
            self._edit.connect("textChanged(QString)", lambda text: onEdited(field.name, text.strip()))
        self._edit.setObjectName(f"entered_{field.name}")
        self._edit.toolTip = field.help
        parent.layout().addRow(self._label, self._edit)
        self._hasChoices = bool(field.choices)

    def setText(self, text: str) -> None:
        """Show another text without taking it for one that was typed."""
        self._edit.blockSignals(True)
        if self._hasChoices:
            self._edit.setCurrentIndex(max(self._edit.findText(text), 0))
        else:
            self._edit.text = text
        self._edit.blockSignals(False)

    def show(self, isVisible: bool, isMissing: bool) -> None:
        self._label.text = f"{escape(self._title)} {mark(_('missing'))}" if isMissing else escape(self._title)
        self._label.setVisible(isVisible)
        self._edit.setVisible(isVisible)


def _titles() -> dict[str, str]:
    return {
        "weight_kg": _("Weight"),
        "height_m": _("Height"),
        "sex": _("Sex"),
        "injected_activity_mbq": _("Injected activity"),
        "injected": _("Injected at"),
        "half_life_s": _("Half-life"),
        "reference_time": _("Decay corrected to"),
        "calibration_cps_per_mbq": _("SPECT calibration"),
        "projections": _("SPECT projections"),
        "tracer": _("Tracer"),
    }
