"""One question with a few answers, all of them to be seen: a row of buttons of which one is down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

# A button that is down looks much like one that is not in dark styles, and which one is down is a statement.
_STYLE = """
QToolButton:checked {
    background-color: palette(highlight); color: palette(highlighted-text);
    border: 1px solid palette(mid); border-radius: 3px; padding: 2px;
}
QToolButton:checked:disabled { background-color: transparent; color: gray; border: 2px solid gray; padding: 1px; }
"""


class ChoiceButtons:
    """A row of a form layout: a label and one button per answer.

    ``onChosen`` gets the answer that the user clicked, and only when it is another one than was shown.
    """

    def __init__(
        self,
        form: qt.QFormLayout,
        name: str,
        label: str,
        answers: Sequence[tuple[str, Any]],
        toolTip: str,
        onChosen: Callable[[Any], None],
    ) -> None:
        self._onChosen = onChosen
        self._shown: Any = None
        row = qt.QWidget()
        row.styleSheet = _STYLE
        layout = qt.QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._buttons: list[tuple[Any, qt.QToolButton]] = []
        for index, (text, answer) in enumerate(answers):
            button = qt.QToolButton()
            button.text = text
            button.toolTip = toolTip
            button.checkable = True
            button.setObjectName(f"{name}Button{index}")
            button.connect("clicked(bool)", lambda _checked, answer=answer: self._onClicked(answer))
            layout.addWidget(button)
            self._buttons.append((answer, button))
        layout.addStretch(1)
        title = qt.QLabel(label)
        title.toolTip = toolTip
        form.addRow(title, row)

    def show(self, answer: Any) -> None:
        """Show which answer was given."""
        self._shown = answer
        for each, button in self._buttons:
            button.checked = each == answer

    def enable(self, isEnabled: bool) -> None:
        """Let answers be given, or not."""
        for _answer, button in self._buttons:
            button.enabled = isEnabled

    def click(self, answer: Any) -> None:
        """What a click on the button of an answer does; for tests and scripts."""
        next(button for each, button in self._buttons if each == answer).click()

    def _onClicked(self, answer: Any) -> None:
        before = self._shown
        self.show(before)  # until the case says otherwise: a change that is refused leaves the old answer down
        if answer != before:
            self._onChosen(answer)
