"""The part of the panel about the click network: its state, which is always seen, and the refinement of clicks."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from .worker import BUSY, CANCELLED, FAILED, OFF, STARTING, WARM, Worker, stateText

if TYPE_CHECKING:
    from .corrections import Corrections, Told

    Apply = Callable[..., Told | None]

# Colors of Okabe and Ito (2008), told apart with any common color vision; the text says the same.
_COLORS = {
    OFF: "#999999",
    STARTING: "#E69F00",
    WARM: "#009E73",
    BUSY: "#0072B2",
    CANCELLED: "#999999",
    FAILED: "#D55E00",
}


class RefinePanel:
    """Binds ``workerLabel``, ``refineCheckBox`` and ``cancelWorkerButton``.

    ``apply`` makes one correction and shows what came of it: it gets what makes it, and the beginning of the message
    should it fail. ``say`` shows a line of text. The worker starts when it is first needed.
    """

    def __init__(self, ui: Any, corrections: Corrections, apply: Apply, say: Callable[[str], None]) -> None:
        self._ui = ui
        self._corrections = corrections
        self._apply = apply
        self._say = say
        self._parameters: Any = None
        self._isWanted = False
        self.worker = Worker(self._showState)
        ui.refineCheckBox.connect("toggled(bool)", self._onRefine)
        ui.cancelWorkerButton.connect("clicked(bool)", lambda _checked=False: self.worker.cancel())
        self._showState()

    def setParameters(self, parameterNode: Any) -> None:
        """Keep in another parameter node, or in none, whether clicks are refined."""
        self._parameters = parameterNode
        if parameterNode is not None:
            self._ui.refineCheckBox.checked = parameterNode.refine

    def warmUp(self) -> None:
        """Start the worker for clicks that are about to come."""
        self._isWanted = True
        if self._ui.refineCheckBox.checked:
            self.worker.start()

    def refine(self) -> None:
        """Let the network go over the lesion of the last click, in a new worker where the last one failed."""
        if not self._ui.refineCheckBox.checked or self.worker.state == OFF:
            return
        request = self._corrections.refineRequest()
        if request is not None:
            failed = _("The lesion cannot be refined.")
            self.worker.refine(
                request,
                lambda probability: self._apply(lambda: self._corrections.refined(request, probability), failed),
                self._say,
            )

    def cancel(self) -> None:
        """Stop a refinement that is running, because what it works on is left or changed."""
        if self.worker.state == BUSY:
            self.worker.cancel()

    def close(self) -> None:
        """End the worker for good."""
        self.worker.close()

    def _onRefine(self, isChecked: bool) -> None:
        if self._parameters is not None:
            self._parameters.refine = isChecked
        if self._isWanted and isChecked:
            self.worker.start()

    def _showState(self) -> None:
        state, message = self.worker.state, self.worker.message
        told = _("Click network: {state}").format(state=stateText(state))
        self._ui.workerLabel.text = f"<span style='color:{_COLORS[state]}'>&#9679;</span> {escape(told)}"
        self._ui.workerLabel.toolTip = message or _("It starts when the click tool is switched on.")
        self._ui.cancelWorkerButton.setVisible(state in (STARTING, BUSY))
