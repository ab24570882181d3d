"""Behaviour of the CTK widgets that modules use."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import modal_dialogs
from .stand_in import simulates


def text_and_parent(arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """CTK's constructors take (parent) or (text, parent)."""
    text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    parent = arguments[-1] if arguments and not isinstance(arguments[-1], str) else None
    return text, parent


def row(widget: Any, *children: Any) -> None:
    """Lay children out side by side, the first one taking the room."""
    layout = QtWidgets.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for number, child in enumerate(children):
        layout.addWidget(child, 0 if number else 1)


@simulates(
    "ctkCollapsibleButton",
    flat=False,
    collapsedHeight=10,
    contentsFrameShape=0,
    contentsFrameShadow=0,
    contentsLineWidth=1,
)
class CollapsibleButton:
    """A header that shows and hides what lies in its layout."""

    _HEADER = 24

    def __init__(self, *arguments: Any) -> None:
        text, parent = text_and_parent(arguments)
        super().__init__(parent)
        self._sim_hidden: list[Any] = []
        self.text = text
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(2, self._HEADER, 2, 2)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred)
        self.toggled.connect(self._on_toggled)

    @property
    def collapsed(self) -> bool:
        return not self.checked

    @collapsed.setter
    def collapsed(self, value: bool) -> None:
        self.setChecked(not value)

    def _on_toggled(self, open_: bool) -> None:
        if open_:
            for child in self._sim_hidden:
                child.setVisible(True)
        self._sim_hidden = []
        if not open_:
            for child in self.children():
                self._hide(child)
        self.setMaximumHeight(16777215 if open_ else self._HEADER + 2)
        self.updateGeometry()
        self.contentsCollapsed.emit(not open_)

    def _hide(self, child: Any) -> None:
        if child.isWidgetType() and not child.isHidden():
            self._sim_hidden.append(child)
            child.setVisible(False)

    def childEvent(self, event: Any) -> None:
        if event.type() == QtCore.QEvent.Type.ChildPolished and not self.checked:
            self._hide(event.child())

    def hitButton(self, position: Any) -> bool:
        return position.y() < self._HEADER

    def sizeHint(self) -> Any:
        layout = self.layout()
        if layout is None or not self.checked:
            return QtCore.QSize(120, self._HEADER + 2)
        return layout.sizeHint()

    def minimumSizeHint(self) -> Any:
        layout = self.layout()
        if layout is None or not self.checked:
            return QtCore.QSize(60, self._HEADER + 2)
        return layout.minimumSize()

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._HEADER - 2)
        style = QtWidgets.QApplication.style()
        style.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, 6, 10, 10)
        pointing = "PE_IndicatorArrowDown" if self.checked else "PE_IndicatorArrowRight"
        style.drawPrimitive(getattr(QtWidgets.QStyle.PrimitiveElement, pointing), arrow, painter, self)
        painter.drawText(
            QtCore.QRect(22, 0, self.width - 26, self._HEADER - 2), int(QtCore.Qt.AlignmentFlag.AlignVCenter), self.text
        )
        painter.end()


@simulates("ctkCollapsibleGroupBox", collapsedHeight=14)
class CollapsibleGroupBox:
    """A group box whose check mark folds it."""

    def __init__(self, *arguments: Any) -> None:
        text, parent = text_and_parent(arguments)
        super().__init__(text, parent)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._on_toggled)

    @property
    def collapsed(self) -> bool:
        return not self.checked

    @collapsed.setter
    def collapsed(self, value: bool) -> None:
        self.setChecked(not value)

    def _on_toggled(self, open_: bool) -> None:
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(open_)


class _NumberEdit:
    """What ctkSliderWidget and ctkDoubleSpinBox share: a spin box within, infinite limits cut to what Qt can take."""

    def _make_spin_box(self) -> Any:
        self._sim_spin = QtWidgets.QDoubleSpinBox()
        self._sim_spin.maximum = 99
        self._sim_spin.keyboardTracking = False
        return self._sim_spin

    @property
    def value(self) -> float:
        return self._sim_spin.value

    @value.setter
    def value(self, value: float) -> None:
        self._sim_spin.value = float(value)

    @property
    def minimum(self) -> float:
        return self._sim_spin.minimum

    @minimum.setter
    def minimum(self, value: float) -> None:
        self._sim_spin.minimum = max(float(value), -1e300)

    @property
    def maximum(self) -> float:
        return self._sim_spin.maximum

    @maximum.setter
    def maximum(self, value: float) -> None:
        self._sim_spin.maximum = min(float(value), 1e300)

    @property
    def decimals(self) -> int:
        return self._sim_spin.decimals

    @decimals.setter
    def decimals(self, value: int) -> None:
        self._sim_spin.decimals = value

    @property
    def singleStep(self) -> float:
        return self._sim_spin.singleStep

    @singleStep.setter
    def singleStep(self, value: float) -> None:
        self._sim_spin.singleStep = value

    @property
    def suffix(self) -> str:
        return self._sim_spin.suffix

    @suffix.setter
    def suffix(self, value: str) -> None:
        self._sim_spin.suffix = value

    @property
    def prefix(self) -> str:
        return self._sim_spin.prefix

    @prefix.setter
    def prefix(self, value: str) -> None:
        self._sim_spin.prefix = value


@simulates("ctkSliderWidget", tracking=True, pageStep=1.0, spinBoxVisible=True, tickInterval=0.1, synchronizeSiblings=0)
class SliderWidget(_NumberEdit):
    """Slider and spin box that follow each other. Without `tracking` the value changes when the slider is let go."""

    _STEPS = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._sim_slider.maximum = self._STEPS
        row(self, self._sim_slider, self._make_spin_box())
        self._sim_spin.valueChanged.connect(self._on_spin_box)
        self._sim_slider.valueChanged.connect(self._on_slider)
        self._sim_slider.sliderReleased.connect(self._on_released)

    def _on_spin_box(self, value: float) -> None:
        span = self.maximum - self.minimum
        blocked = self._sim_slider.blockSignals(True)
        self._sim_slider.value = round(self._STEPS * (value - self.minimum) / span) if span > 0 else 0
        self._sim_slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def _on_slider(self, step: int) -> None:
        if not self.tracking and self._sim_slider.isSliderDown():
            self.valueIsChanging.emit(self._value_of(step))
        else:
            self.value = self._value_of(step)

    def _on_released(self) -> None:
        if not self.tracking:
            self.value = self._value_of(self._sim_slider.value)

    def _value_of(self, step: int) -> float:
        return self.minimum + (self.maximum - self.minimum) * step / self._STEPS


@simulates("ctkDoubleSpinBox")
class DoubleSpinBox(_NumberEdit):
    """Spin box with CTK's extras left out."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(arguments[-1] if arguments else None)
        row(self, self._make_spin_box())
        self._sim_spin.valueChanged.connect(lambda value: self.valueChanged.emit(value))


@simulates(
    "ctkPathLineEdit",
    filters=0,
    nameFilters=(),
    label="",
    settingKey="",
    options=0,
    showBrowseButton=True,
    showHistoryButton=True,
    minimumContentsLength=0,
    sizeAdjustPolicy=0,
)
class PathLineEdit:
    """Editable path with a browse button; the file dialog is answered by the test."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(arguments[-1] if arguments and isinstance(arguments[-1], QtWidgets.QWidget) else None)
        self._sim_edit = QtWidgets.QLineEdit()
        button = QtWidgets.QToolButton()
        button.text = "…"
        button.clicked.connect(self.browse)
        row(self, self._sim_edit, button)
        self._sim_edit.textChanged.connect(lambda text: self.currentPathChanged.emit(text))

    @property
    def currentPath(self) -> str:
        return self._sim_edit.text

    @currentPath.setter
    def currentPath(self, path: str) -> None:
        self._sim_edit.text = path

    def addCurrentPathToHistory(self) -> None:
        """The history lives in the settings and has no effect on the path."""

    def browse(self) -> None:
        chosen = modal_dialogs.ask_path("ctkPathLineEdit", self.label)
        if chosen:
            self.currentPath = chosen


@simulates("ctkDirectoryButton", caption="", acceptMode=0, options=0, text="", icon=None)
class DirectoryButton:
    """Button that shows a directory and asks for another one."""

    def __init__(self, *arguments: Any) -> None:
        text, parent = text_and_parent(arguments)
        super().__init__(parent)
        self._sim_directory = text or QtCore.QDir.currentPath()
        self._sim_button = QtWidgets.QPushButton(self._sim_directory)
        row(self, self._sim_button)
        self._sim_button.clicked.connect(self.browse)

    @property
    def directory(self) -> str:
        return self._sim_directory

    @directory.setter
    def directory(self, path: str) -> None:
        if path != self._sim_directory:
            self._sim_directory = path
            self._sim_button.text = path
            self.directoryChanged.emit(path)

    def browse(self) -> None:
        chosen = modal_dialogs.ask_path("ctkDirectoryButton", self.caption)
        if chosen:
            self.directorySelected.emit(chosen)
            self.directory = chosen


@simulates("ctkComboBox", defaultText="", elideMode=0, forceDefault=False, scrollWheelEffect=0)
class ComboBox:
    """A combo box; eliding and default text are cosmetic."""


@simulates("ctkCheckBox", indicatorIcon=None, indicatorIconSize=None)
class CheckBox:
    """A check box; the icon is cosmetic."""


@simulates("ctkFittedTextBrowser", collapsed=False, disableMouseScroll=False, showDetailsText="", hideDetailsText="")
class FittedTextBrowser:
    """A text browser; that it takes the height of its text is cosmetic."""


@simulates("ctkMessageBox", dontShowAgainVisible=False, dontShowAgainSettingsKey="", dontShowAgain=False)
class MessageBox:
    """A message box; every box is answered by the test, so "do not show again" never takes effect."""
