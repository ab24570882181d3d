"""The part of the panel that clicks: the tool, the threshold of the last click, and splitting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from .click_views import LESION, NOT_HERE, ClickViews, ViewClick

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, StudyResult

    from .corrections import Corrections, Ras, Threshold, Told

    Apply = Callable[..., Told | None]

# Thresholds in common use: SUVbw, and shares of the SUVmax of the lesion.
_SUV_PRESETS = (2.5, 3.0, 4.0)
_PERCENT_PRESETS = (41, 50)
_KEY_STEP = 0.05  # of the threshold, for a key that raises or lowers it
_KEY_PAUSE_MS = 600  # without a key for this long, the threshold stands and becomes a step of the journal


class ClickPanel:
    """Binds the widgets of the section ``clickCollapsibleButton`` and ``splitButton``.

    ``apply`` makes one correction and shows what came of it: it gets what makes it, and the beginning of the message
    should it fail, and returns None where it failed. ``prepare`` readies the chosen study for clicks and returns
    whether that worked. ``selected`` gives the lesion to split, None where none or several are selected. ``onClicked``
    is called after a click that changed a lesion.
    """

    def __init__(
        self,
        ui: Any,
        corrections: Corrections,
        apply: Apply,
        prepare: Callable[[], bool],
        selected: Callable[[], int | None],
        onClicked: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._corrections = corrections
        self._apply = apply
        self._prepare = prepare
        self._selected = selected
        self._onClicked = onClicked
        self._points: list[Ras] = []  # where the lesion is to be split
        self._clicked = 0  # the lesion of the last click, whose threshold is shown while it is selected
        self._views = ClickViews(self._onClick, corrections.mipPoint)
        self._tools = {"lesion": ui.clickButton, "notHere": ui.notHereButton, "split": ui.splitButton}
        self._tool = ""
        self._keyPause = qt.QTimer()
        self._keyPause.setSingleShot(True)
        self._keyPause.setInterval(_KEY_PAUSE_MS)
        self._keyPause.connect("timeout()", self._endThreshold)
        self._isShowing = False
        self._isHeld = False  # the handle of the slider, by the mouse: it must not be moved then
        self._lesions: dict[int, LesionResult] | None = None
        for tool, button in self._tools.items():
            button.connect("clicked(bool)", lambda _checked=False, tool=tool: self.toggle(tool))
        ui.clickThresholdSliderWidget.connect("valueIsChanging(double)", self._onThresholdDrag)
        ui.clickThresholdSliderWidget.connect("valueChanged(double)", self._onThreshold)
        self._fillPresets()
        self._showTool()

    @property
    def tool(self) -> str:
        """What a click in a view does: "lesion", "notHere", "split", or "" where the tool is off."""
        return self._tool

    def show(self, study: StudyResult | None) -> None:
        """Be ready for a study."""
        self._lesions = None if study is None else {lesion.lesion: lesion for lesion in study.lesions}

    def toggle(self, tool: str) -> None:
        """Switch a tool on, or off where it is on."""
        self._setTool("" if tool == self._tool else tool)

    def stop(self) -> None:
        """Clicks in the views are Slicer's again; a threshold that is being dragged stands as it is."""
        self._keyPause.stop()
        self._endThreshold()
        self._setTool("")

    def update(self, isIdle: bool) -> None:
        """Offer the tools; none while a program writes to the case or no study is chosen."""
        if not isIdle and self._tool:
            self._setTool("")
        canSplit = isIdle and self._selected() in (self._lesions or {})
        if self._tool == "split" and not canSplit:
            self._setTool("")
        self._ui.clickButton.enabled = self._ui.notHereButton.enabled = isIdle and self._lesions is not None
        self._ui.splitButton.enabled = canSplit
        self._showThreshold()

    # Clicks in the views

    def _onClick(self, click: ViewClick) -> None:
        if self._tool == "split":
            self._onSplitClick(click)
            return
        self._endThreshold()
        told = self._apply(
            lambda: self._corrections.click(click.ras, click.positive, click.insist), _("The click cannot be stored.")
        )
        if told is not None and told.step:
            self._clicked = told.lesion
            self._onClicked()
            # Its lesion is about to be selected; to ask the table would fill it before the views are drawn.
            self._setThreshold(self._corrections.threshold)
        else:
            self._showThreshold()

    def _onSplitClick(self, click: ViewClick) -> None:
        """Split at once where the click is; with Ctrl, wait for a second click on the other part."""
        self._points.append(click.ras)
        lesion = self._selected()
        if lesion is None or not (click.positive or len(self._points) > 1):
            self._showTool()
            return
        points, self._points = self._points, []
        told = self._apply(lambda: self._corrections.split(lesion, points), _("The lesion cannot be split."))
        if told is not None and told.step:
            self._setTool("")

    # The threshold of the last click

    def changeThreshold(self, direction: int) -> None:
        """Raise (+1) or lower (-1) the threshold of the last click by a step, as the keys do."""
        threshold = self._threshold()
        if threshold is not None:
            self._drag(threshold.suv * (1.0 + direction * _KEY_STEP))
            self._showThreshold()
            self._keyPause.start()

    def _onThresholdDrag(self, suv: float) -> None:
        if not self._isShowing:
            self._isHeld = True
            self._drag(suv)

    def _onThreshold(self, suv: float) -> None:
        """The slider was let go, or a number was typed."""
        if not self._isShowing:
            self._isHeld = False
            self._drag(suv)
            self._endThreshold()
            self._showThreshold()

    def _drag(self, suv: float) -> None:
        self._apply(lambda: self._corrections.dragThreshold(suv), _("The threshold cannot be changed."))

    def _endThreshold(self) -> None:
        """Let the threshold stand: one step of the journal for all that was dragged."""
        self._keyPause.stop()
        if self._corrections.isDragging:
            self._apply(self._corrections.endThreshold, _("The threshold cannot be stored."))

    def _showThreshold(self) -> None:
        self._setThreshold(self._threshold())

    def _setThreshold(self, threshold: Threshold | None) -> None:
        slider = self._ui.clickThresholdSliderWidget
        for widget in (slider, self._ui.clickPresetButton):
            widget.enabled = threshold is not None
        if threshold is not None and not self._isHeld:
            self._isShowing = True
            try:
                slider.minimum, slider.maximum = threshold.low, threshold.high
                slider.value = threshold.suv
            finally:
                self._isShowing = False

    def _threshold(self) -> Threshold | None:
        """The threshold of the last click, None where its lesion is not the one that is selected."""
        return self._corrections.threshold if self._clicked and self._selected() == self._clicked else None

    def _fillPresets(self) -> None:
        button = self._ui.clickPresetButton
        menu = qt.QMenu(button)
        for suv in _SUV_PRESETS:
            action = menu.addAction(_("SUV {suv}").format(suv=suv))
            action.connect("triggered(bool)", lambda _checked=False, suv=suv: self._onThreshold(suv))
        for percent in _PERCENT_PRESETS:
            action = menu.addAction(_("{percent} % of SUVmax").format(percent=percent))
            action.connect("triggered(bool)", lambda _checked=False, percent=percent: self._onPercent(percent))
        button.setMenu(menu)

    def _onPercent(self, percent: int) -> None:
        lesion = (self._lesions or {}).get(self._selected() or 0)
        if lesion is not None:
            self._onThreshold(lesion.measures.suv_max * percent / 100.0)

    # The tool

    def _setTool(self, tool: str) -> None:
        if tool and not self._prepare():
            tool = ""
        self._tool, self._points = tool, []
        if tool:
            self._views.mode = NOT_HERE if tool == "notHere" else LESION
            self._views.start()
        else:
            self._views.stop()
        self._showTool()

    def _showTool(self) -> None:
        for tool, button in self._tools.items():
            button.checked = tool == self._tool
        if self._tool == "split":
            told = _("Click between the two parts of the lesion; or Ctrl+click one hot spot and click the other.")
            if self._points:
                told = _("Now click the other hot spot of the lesion.")
        else:
            told = self._views.hint() or _("Switch a tool on, then click uptake in any view, the MIP too.")
        self._ui.clickHintLabel.text = told
