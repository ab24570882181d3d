"""The part of the panel that links and unlinks lesions: pick two of them in the views or in the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from .item_table import fillTable, selectedKey
from .panel_rows import linkTable
from .tracking_case import Lesion, TrackingCase

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore

LINK, UNLINK = "link", "unlink"


class LinkPanel:
    """Binds ``linkButton``, ``unlinkButton``, ``linkHintLabel`` and ``linkTable``.

    ``decide`` makes one step of the journal, as for ``TrackPanel``. ``target`` gives the track and the study that the
    review is at. ``onJoined`` gets the later of two lesions that were linked or unlinked. ``say`` tells why a pick was
    refused.
    """

    def __init__(
        self,
        ui: Any,
        decide: Callable[..., None],
        target: Callable[[], tuple[str, int] | None],
        onJoined: Callable[[Lesion], None],
        say: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._decide = decide
        self._target = target
        self._onJoined = onJoined
        self._say = say
        self._case: TrackingCase | None = None
        self._tool = ""
        self._first: Lesion | None = None
        self._buttons = {LINK: ui.linkButton, UNLINK: ui.unlinkButton}
        ui.linkButton.connect("clicked(bool)", lambda _checked=False: self.toggle(LINK))
        ui.unlinkButton.connect("clicked(bool)", lambda _checked=False: self._onUnlink())
        self._showTool()

    @property
    def tool(self) -> str:
        """What picks are for: ``LINK``, ``UNLINK``, or "" where nothing is picked."""
        return self._tool

    def show(self, case: TrackingCase | None) -> None:
        """Be ready for a case as it is now."""
        self._case = case
        if self._first is not None and (case is None or self._first not in case.lesions):
            self._first = None
        self.showLinks()
        self._showTool()

    def showLinks(self) -> None:
        """Show the links of the track that the review is at."""
        target = self._target() if self._case is not None else None
        results = None if self._case is None else self._case.results
        fillTable(self._ui.linkTable, *linkTable(results, "" if target is None else target[0]))

    def update(self, isIdle: bool) -> None:
        """Offer the tools; none while a program writes to the case."""
        results = None if self._case is None else self._case.results
        canLink = isIdle and results is not None and bool(results.tracks) and len(results.studies) > 1
        if not canLink and self._tool:
            self.stop()
        for button in self._buttons.values():
            button.enabled = canLink

    def toggle(self, tool: str) -> None:
        """Switch a tool on, with the lesion that the review is at as the first of the two; or off where it is on."""
        self._tool = "" if tool == self._tool else tool
        self._first = self._lesionOfTarget() if self._tool else None
        self._showTool()

    def stop(self) -> None:
        """Pick nothing any more."""
        self._tool, self._first = "", None
        self._showTool()

    def pick(self, lesion: Lesion) -> bool:
        """Take a lesion (study and number) as the next of the two; returns whether picks are taken now."""
        if not self._tool:
            return False
        if self._first is None or lesion[0] == self._first[0]:
            self._first = lesion  # of the same study: the reader means this one instead
        else:
            first, self._first = self._first, None
            self._join(first, lesion)
        self._showTool()
        return True

    def pickCell(self, track: str, studyId: int | None) -> bool:
        """The same for a cell of the table."""
        if not self._tool:
            return False
        cell = None if studyId is None or self._case is None else self._case.cell(track, studyId)
        if cell is None or cell.lesion is None:
            self._say(_("There is no lesion in this cell: pick one that has a volume."))
            return True
        return self.pick((cell.study_id, cell.lesion))

    def _onUnlink(self) -> None:
        """Unlink the selected link at once; without one, let two lesions be picked."""
        # A table that gets the focus has a current row, without anybody having selected it.
        key = selectedKey(self._ui.linkTable) if self._ui.linkTable.selectedItems() else ""
        if not key or self._tool == UNLINK:
            self.toggle(UNLINK)
            return
        earlier, first, later, second = (int(part) for part in key.split(":"))
        self.stop()
        self._tool = UNLINK
        self._join((earlier, first), (later, second))

    def _join(self, first: Lesion, second: Lesion) -> None:
        from PSMATheranosticsLib.pipeline_tracking import link_lesions, unlink_lesions

        isLink, self._tool = self._tool == LINK, ""
        step, failed = (
            (link_lesions, _("The lesions cannot be linked."))
            if isLink
            else (unlink_lesions, _("The lesions cannot be unlinked."))
        )

        def act(case: CaseStore) -> None:
            step(case, first, second)

        order = [study.study_id for study in self._case.results.studies]
        later = max(first, second, key=lambda lesion: order.index(lesion[0]))
        self._decide(act, failed, partial(self._onJoined, later))
        self._showTool()

    def _lesionOfTarget(self) -> Lesion | None:
        """The lesion that the review is at; where the track has none there, the one before."""
        target = self._target() if self._case is not None else None
        track = None if target is None else self._case.track(target[0])
        if track is None:
            return None
        upTo = [cell.study_id for cell in track.cells].index(target[1]) + 1
        found = [(cell.study_id, cell.lesion) for cell in track.cells[:upTo] if cell.lesion is not None]
        return found[-1] if found else None

    def _showTool(self) -> None:
        for tool, button in self._buttons.items():
            button.checked = tool == self._tool
        self._ui.linkHintLabel.text = self._hint()
        self._ui.linkHintLabel.setVisible(bool(self._tool))

    def _hint(self) -> str:
        if not self._tool:
            return ""
        if self._first is None:
            return _("Pick the first lesion: click it in a view, on the MIP too, or click its cell. Esc stops.")
        told = {
            LINK: _("{first} is picked. Now pick the same lesion in another study. Esc stops."),
            UNLINK: _("{first} is picked. Now pick the lesion of another study that it is not. Esc stops."),
        }[self._tool]
        return told.format(first=self._case.nameOf(self._first))
