"""The part of the panel that goes through the lesions: table, next and previous, decisions, regions, merging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from .lesion_table import LesionTable

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, StudyResult

    from .corrections import Corrections, Told

    Apply = Callable[..., Told | None]

# Sites that are offered for a region; others can be typed.
_SITES = {
    "pelvic node": ("obturator", "iliac", "presacral", "perirectal"),
    "distant node": ("retroperitoneal", "mediastinal", "supraclavicular", "axillary"),
    "bone": ("pelvis", "spine", "ribs", "femur", "skull", "scapula", "sternum"),
    "visceral": ("liver", "lung", "brain", "adrenal gland", "peritoneum"),
}


class ReviewPanel:
    """Binds the widgets of the section ``lesionsCollapsibleButton`` except those that split.

    ``apply`` makes one correction and shows what came of it: it gets what makes it, and the beginning of the message
    should it fail; a third argument is called when it is shown. ``jump`` brings the views to a lesion. ``onSelected``
    is called when other lesions are selected. ``showAll`` brings the table up to date.
    """

    def __init__(
        self,
        ui: Any,
        corrections: Corrections,
        apply: Apply,
        jump: Callable[[int], None],
        onSelected: Callable[[], None],
        showAll: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._corrections = corrections
        self._apply = apply
        self._jump = jump
        self._onSelected = onSelected
        self._showAll = showAll
        self._study: StudyResult | None = None
        self._lesions: dict[int, LesionResult] = {}
        self._reason = ""
        self.table = LesionTable(ui.lesionTable, jump, self._onSelection)
        self._fillChoices()
        self._connect()

    def show(self, study: StudyResult | None) -> None:
        """Show the lesions of a study and how many of them were reviewed."""
        self._study = study
        counted = () if study is None else study.lesions
        self._lesions = {} if study is None else {each.lesion: each for each in (*counted, *study.rejected)}
        self.table.show(study)
        self._showProgress(sum(lesion.reviewed for lesion in counted), len(counted))
        self._showRegion()

    def current(self) -> int | None:
        """The lesion that is selected, None where none is or several are."""
        self._showAll()
        selected = self.table.selected()
        return selected[0] if len(selected) == 1 else None

    def select(self, lesion: int) -> None:
        """Make a lesion the only one that is selected, as a click into a view does; the views stay."""
        self.table.select([lesion], lesion)
        self._onSelection()

    def setColoring(self, coloring: str) -> None:
        """Let the swatches of the table have other colors."""
        self.table.setColoring(coloring)
        self.table.show(self._study)

    def update(self, isIdle: bool) -> None:
        """Offer what can be done with the selected lesions; nothing while a program writes to the case."""
        ui, counted, deleted = self._ui, self._selected(), self._selected(isDeleted=True)
        ui.acceptButton.text = _("Not reviewed") if self._areReviewed(counted) else _("Accept")
        for widget in (
            ui.acceptButton,
            ui.physiologicalButton,
            ui.deleteButton,
            ui.regionComboBox,
            ui.siteComboBox,
        ):
            widget.enabled = isIdle and bool(counted)
        ui.restoreButton.enabled = isIdle and bool(deleted)
        ui.mergeButton.enabled = isIdle and len(counted) > 1 and not deleted
        for button in (ui.previousButton, ui.nextButton):
            button.enabled = isIdle and bool(self._lesions)
        ui.lockCheckBox.enabled = isIdle and self._corrections.studyId is not None

    # What the user does, by button, menu or key

    def accept(self) -> None:
        """Accept the selected lesions and go on to the next one, or take that back where all of them were accepted."""
        lesions = self._selected()
        if not lesions:
            return
        isReviewed = not self._areReviewed(lesions)
        self._apply(
            lambda: self._corrections.accept(lesions, isReviewed),
            _("The review cannot be stored."),
            partial(self.step, +1) if isReviewed else None,
        )

    def step(self, direction: int) -> None:
        """Go to the next lesion (+1) that was not reviewed, or to the one before (-1), in the order of the table."""
        self._showAll()
        order = self.table.lesions()[:: 1 if direction > 0 else -1]
        at = order.index(self.table.current()) + 1 if self.table.current() in order else 0
        for lesion in (*order[at:], *order[:at]):
            if not self._lesions[lesion].reviewed and self._lesions[lesion].decision != "rejected":
                self.select(lesion)
                self._jump(lesion)
                return

    def jump(self) -> None:
        """Bring the views to the lesion with the cursor."""
        if self.table.current() is not None:
            self._jump(self.table.current())

    def physiological(self, reason: str = "") -> None:
        """Take the selected lesions for physiological, for the reason of the last time where none is given."""
        self._reason = reason or self._reason
        self._decide(self._corrections.physiological, self._reason)

    def delete(self, reason: str = "") -> None:
        """Let the selected lesions not count any more."""
        self._decide(self._corrections.delete, reason)

    def restore(self) -> None:
        """Let the selected lesions count again."""
        lesions = self._selected(isDeleted=True)
        if lesions:
            self._apply(lambda: self._corrections.restore(lesions), _("The lesion cannot be restored."))

    def merge(self) -> None:
        """Make the selected lesions one."""
        lesions = self._selected()
        if len(lesions) > 1:
            self._apply(lambda: self._corrections.merge(lesions), _("The lesions cannot be merged."))

    def setRegion(self, name: str, site: str = "") -> None:
        """Put the selected lesions into a region; "" leaves that to the proposal."""
        lesions = self._selected()
        if lesions and self._ui.regionComboBox.enabled:
            told = _("The region cannot be stored.")
            self._apply(lambda: self._corrections.setRegion(lesions, name, site.strip()), told)

    def _decide(self, decide: Callable[[Sequence[int], str], Told], reason: str) -> None:
        lesions = self._selected()
        if lesions:
            self._apply(lambda: decide(lesions, reason), _("The lesion cannot be deleted."))

    def _onRegion(self) -> None:
        name = self._ui.regionComboBox.currentData
        self._offerSites(name, "")
        self.setRegion(name)

    def _onSite(self) -> None:
        if self._ui.regionComboBox.currentData:
            self.setRegion(self._ui.regionComboBox.currentData, self._ui.siteComboBox.currentText)

    def _onLock(self, isChecked: bool) -> None:
        self._corrections.lockReviewed = isChecked

    def _onSelection(self) -> None:
        self._showRegion()
        self._onSelected()

    # Showing

    def _connect(self) -> None:
        ui = self._ui
        ui.lockCheckBox.connect("toggled(bool)", self._onLock)
        ui.regionComboBox.connect("activated(int)", lambda _index: self._onRegion())
        ui.siteComboBox.connect("activated(int)", lambda _index: self._onSite())
        for button, action in (
            (ui.acceptButton, self.accept),
            (ui.previousButton, partial(self.step, -1)),
            (ui.nextButton, partial(self.step, +1)),
            (ui.physiologicalButton, self.physiological),
            (ui.deleteButton, self.delete),
            (ui.restoreButton, self.restore),
            (ui.mergeButton, self.merge),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def _fillChoices(self) -> None:
        from PSMASegmentLib.lesion_regions import REGIONS
        from PSMASegmentLib.physiology_reasons import PHYSIOLOGICAL_REASONS

        self._reason = PHYSIOLOGICAL_REASONS[0]
        benign = (_("Benign uptake"), _("Artifact"), _("Too faint"))
        self._addMenu(self._ui.physiologicalButton, PHYSIOLOGICAL_REASONS, self.physiological)
        self._addMenu(self._ui.deleteButton, benign, self.delete)
        box = self._ui.regionComboBox
        box.addItem(_("as proposed"), "")
        for region in REGIONS:
            box.addItem(region, region)
        self._ui.lockCheckBox.checked = self._corrections.lockReviewed

    def _addMenu(self, button: qt.QToolButton, reasons: Sequence[str], decide: Callable[[str], None]) -> None:
        menu = qt.QMenu(button)
        for reason in reasons:
            action = menu.addAction(reason)
            action.connect("triggered(bool)", lambda _checked=False, reason=reason: decide(reason))
        menu.addSeparator()
        other = menu.addAction(_("Another reason..."))
        other.connect("triggered(bool)", lambda _checked=False: self._askReason(decide))
        button.setMenu(menu)

    def _askReason(self, decide: Callable[[str], None]) -> None:
        dialog = qt.QInputDialog(self._ui.lesionTable.window())
        dialog.setWindowTitle(_("Why the lesion does not count"))
        dialog.setLabelText(_("Reason, kept with the lesion:"))
        if dialog.exec_() and dialog.textValue().strip():
            decide(dialog.textValue().strip())

    def _showProgress(self, done: int, count: int) -> None:
        bar = self._ui.reviewProgressBar
        bar.setUpdatesEnabled(False)  # otherwise it is drawn at each call, and all that waits to be drawn with it
        bar.setRange(0, max(count, 1))
        bar.setValue(done)
        bar.setFormat(_("{done} of {all} reviewed").format(done=done, all=count))
        bar.setUpdatesEnabled(True)

    def _showRegion(self) -> None:
        """Show the region of the lesion with the cursor."""
        lesion = self._lesions.get(self.table.current() or 0)
        isChosen = lesion is not None and lesion.region_source == "reader"
        box = self._ui.regionComboBox
        box.setCurrentIndex(max(box.findData(lesion.region.name), 0) if isChosen else 0)
        self._offerSites(lesion.region.name if lesion else "", lesion.region.site if lesion else "")

    def _offerSites(self, region: str, site: str) -> None:
        box = self._ui.siteComboBox
        box.clear()
        for each in _SITES.get(region, ()):
            box.addItem(each)
        box.setEditText(site)

    def _selected(self, isDeleted: bool = False) -> list[int]:
        """The selected lesions that count, or those that were deleted."""
        self._showAll()
        chosen = (self._lesions.get(each) for each in self.table.selected())
        return [each.lesion for each in chosen if each is not None and (each.decision == "rejected") == isDeleted]

    def _areReviewed(self, lesions: Sequence[int]) -> bool:
        return bool(lesions) and all(self._lesions[each].reviewed for each in lesions)
