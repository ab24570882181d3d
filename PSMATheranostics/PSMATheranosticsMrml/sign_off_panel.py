"""The part of the panel that signs: what stands in the way, the note, and whether what was signed still stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from . import session

if TYPE_CHECKING:
    from pathlib import Path

    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import Results

    Act = Callable[[CaseStore], object]

_LISTED = 4  # of what stands in the way, which the list of conflicts has in full, and of what has changed


class SignOffPanel:
    """Binds the widgets of the section ``signOffCollapsibleButton``; ``change`` is as for ``ResponsePanel``."""

    def __init__(self, ui: Any, change: Callable[[Act, str], bool]) -> None:
        self._ui = ui
        self._change = change
        self._results: Results | None = None
        self._folder: Path | None = None
        self._isCurrent = True
        self._isIdle = True
        ui.signButton.connect("clicked(bool)", lambda _checked=False: self.sign())

    def show(self, results: Results | None) -> None:
        """Show who signed, what has changed since, and what keeps the case from being signed."""
        self._results, self._isCurrent = results, True
        if session.caseFolder() != self._folder:  # what was typed for one man is not stored with another
            self._folder = session.caseFolder()
            self._ui.signNoteLineEdit.text = ""
        self._ui.signOffLabel.text = "" if results is None else signOffLines(results)
        self._updateEnabled()

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed, and nobody signs what he has not seen."""
        self._isCurrent = False
        self._updateEnabled()

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing while a program writes to the case."""
        self._isIdle = isIdle
        self._updateEnabled()

    def sign(self) -> None:
        """Sign the results that are on the screen."""
        from PSMATheranosticsLib.sign_off import sign

        results, note = self._results, self._ui.signNoteLineEdit.text.strip()
        if results is None or not self._isCurrent:
            return
        if self._change(lambda case: sign(case, results, note), _("The results cannot be signed.")):
            self._ui.signNoteLineEdit.text = ""

    def _updateEnabled(self) -> None:
        ui, results = self._ui, self._results
        isOpen = results is not None and results.sign_off.state != "signed"
        isFree = results is not None and not any(each.blocks for each in results.conflicts)
        isFilled = results is not None and any(study.segmentation is not None for study in results.studies)
        canSign = isOpen and isFree and isFilled and self._isCurrent and self._isIdle
        ui.signButton.enabled = ui.signNoteLineEdit.enabled = canSign
        ui.signButton.text = _("Sign again") if isOpen and results.sign_off.state == "reopened" else _("Sign")
        ui.signOffLabel.enabled = self._isCurrent


def signOffLines(results: Results) -> str:
    """Who signed the results, what has changed since, and what stands in the way of signing."""
    signed = results.sign_off
    lines = [_("<b>Not signed yet.</b>")]
    if signed.state != "open":
        when = "" if signed.time is None else f"{signed.time.astimezone():%Y-%m-%d %H:%M}"
        heading = (
            _("<b>Signed</b> by {user}, {time}")
            if signed.state == "signed"
            else _("<b>Reopened:</b> signed by {user}, {time}, and changed since")
        )
        lines = [heading.format(user=escape(signed.user), time=when)]
        lines += [f"<i>{escape(signed.note)}</i>"] if signed.note else []
        lines += [_("As signed: {categories}").format(categories=escape(_categories(results)))]
        if signed.changed:
            lines.append(_("Changed: {list}").format(list=_list(signed.changed)))
    blocking = [each.text for each in results.conflicts if each.blocks]
    if blocking and signed.state != "signed":
        lines.append(_("To be solved before signing: {list}").format(list=_list(blocking)))
    return "<br>".join(lines)


def _categories(results: Results) -> str:
    known = {study.study_id: study.label for study in results.studies}
    signed = results.sign_off.categories
    return ", ".join(f"{known[study]} {category}" for study, category in signed if study in known) or _("no response")


def _list(texts: Sequence[str]) -> str:
    items = [escape(text) for text in texts[:_LISTED]]
    if len(texts) > _LISTED:
        items.append(_("and {count} more").format(count=len(texts) - _LISTED))
    return "".join(f"<br>&bull; {item}" for item in items)
