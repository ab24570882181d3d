"""The part of the panel about limits of change: within which ratios a lesion counts as stable, and what decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import Results
    from PSMATrackingLib.repeatability import Limits

_LOW, _HIGH = 1, 2  # columns


class LimitsPanel:
    """Binds the widgets of the section ``limitsCollapsibleButton``.

    ``decide`` makes one step of the journal, as for ``TrackPanel``; ``say`` tells why limits were refused.
    """

    def __init__(self, ui: Any, decide: Callable[..., None], say: Callable[[str], None]) -> None:
        self._ui = ui
        self._decide = decide
        self._say = say
        self._limits: Limits | None = None
        self._isIdle = False
        self._isFilling = False
        self._fillChoices()
        ui.limitsTable.connect("itemChanged(QTableWidgetItem*)", lambda _item: self._onChange())
        ui.decidesComboBox.connect("activated(int)", lambda _index: self._onChange())
        ui.smallestSpinBox.connect("valueChanged(double)", lambda _value: self._onChange())
        ui.presetComboBox.connect("activated(int)", lambda index: self._onPreset(index))
        ui.applyLimitsButton.connect("clicked(bool)", lambda _checked=False: self.apply())

    def show(self, results: Results | None) -> None:
        """Show the limits of a case; what is being typed stays until the case has other ones."""
        limits = None if results is None else results.response_limits
        if limits != self._limits or limits is None:
            self._limits = limits
            self._fill(limits)

    def update(self, isIdle: bool) -> None:
        """Offer to apply what differs from the limits of the case; nothing while a program writes to it."""
        canChange = isIdle and self._limits is not None
        for widget in (
            self._ui.limitsTable,
            self._ui.decidesComboBox,
            self._ui.smallestSpinBox,
            self._ui.presetComboBox,
        ):
            widget.enabled = canChange
        self._isIdle = canChange
        self._showState()

    def apply(self) -> None:
        """Class all lesions by what the table says; a step of the journal."""
        from PSMATheranosticsLib.lesion_results import SETTING

        try:
            limits = self._typed()
        except ValueError as error:
            self._say(_("These limits cannot be used: {reason}.").format(reason=error))
            return

        def act(case: CaseStore) -> None:
            case.save_setting(SETTING, limits.to_dict())

        self._decide(act, _("The limits cannot be stored."))

    def _fillChoices(self) -> None:
        from PSMATrackingLib.repeatability import METRIC_NAMES, METRICS, PRESETS

        for metric in METRICS:
            self._ui.decidesComboBox.addItem(METRIC_NAMES[metric], metric)
        box = self._ui.presetComboBox
        for name, limits in PRESETS.items():
            box.addItem(name, limits)
        box.addItem(_("As typed below"), None)
        table = self._ui.limitsTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Measure"), _("From"), _("To"), _("Published values are from")])
        table.setRowCount(len(METRICS))

    def _fill(self, limits: Limits | None) -> None:
        from PSMATrackingLib.repeatability import LIMIT_SOURCES, METRIC_NAMES, METRICS

        self._isFilling = True
        try:
            table = self._ui.limitsTable
            for row, metric in enumerate(METRICS if limits is not None else ()):
                ratio = limits.of(metric)
                texts = (METRIC_NAMES[metric], f"{ratio.low:g}", f"{ratio.high:g}", LIMIT_SOURCES[metric])
                for column, text in enumerate(texts):
                    item = qt.QTableWidgetItem(text)
                    item.setToolTip(text)
                    if column not in (_LOW, _HIGH):
                        item.setFlags(qt.Qt.ItemIsEnabled)
                    table.setItem(row, column, item)
            table.resizeColumnsToContents()
            if limits is not None:
                box = self._ui.decidesComboBox
                box.setCurrentIndex(box.findData(limits.metric))
                self._ui.smallestSpinBox.value = limits.smallest_ml
        finally:
            self._isFilling = False
        self._showState()

    def _onPreset(self, index: int) -> None:
        limits = self._ui.presetComboBox.itemData(index)
        if limits is not None:
            self._fill(limits)

    def _onChange(self) -> None:
        if not self._isFilling:
            self._showState()

    def _typed(self) -> Limits:
        """The limits as they stand in the table. Raises ValueError for what is no number or out of order."""
        from dataclasses import replace

        from PSMATrackingLib.repeatability import METRICS, RatioLimits

        table = self._ui.limitsTable
        ratios = {
            metric: RatioLimits(_number(table.item(row, _LOW).text()), _number(table.item(row, _HIGH).text()))
            for row, metric in enumerate(METRICS)
        }
        deciding, smallest = self._ui.decidesComboBox.currentData, self._ui.smallestSpinBox.value
        return replace(self._limits, **ratios, metric=deciding, smallest_ml=round(smallest, 2))

    def _showState(self) -> None:
        """Say which limits these are, and whether the case has them."""
        ui = self._ui
        if self._limits is None:
            ui.applyLimitsButton.enabled = False
            return
        try:
            typed = self._typed()
        except ValueError:
            typed = None
        box = ui.presetComboBox
        presets = [box.itemData(index) for index in range(box.count)]
        box.setCurrentIndex(presets.index(typed) if typed in presets[:-1] else box.count - 1)
        ui.applyLimitsButton.enabled = self._isIdle and typed != self._limits


def _number(text: str) -> float:
    """A typed number, with a point or a comma."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError as error:
        raise ValueError(_("'{text}' is no number").format(text=text)) from error
