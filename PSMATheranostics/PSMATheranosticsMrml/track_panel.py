"""The part of the panel that reviews the tracks: table, filters, the queue of findings, and decisions on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from . import session
from .track_queue import KINDS, Finding, kindName, nextOpen
from .track_table import Shown, TrackTable, classLegend, metrics, regionOf
from .tracking_case import TrackingCase, changesOf, pairsOf, targetText

if TYPE_CHECKING:
    from pathlib import Path

    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import TrackResult

    Act = Callable[[CaseStore], object]

_ALL, _WAITING, _DECIDED = "all", "waiting", "decided"


class TrackPanel:
    """Binds the widgets of the section ``tracksCollapsibleButton`` except those that link.

    ``decide`` makes one step of the journal and shows what came of it: it gets what makes it with an open case, and the
    beginning of the message should it fail; a third argument is called when it is shown. ``show`` brings the views to a
    track, at a study where one is given. ``onClicked`` gets track and study of a cell that was clicked with the
    mouse, which may be picked to be linked. ``onTarget`` is called when another cell is current,
    ``onPair`` when other studies are compared. ``showAll`` brings the table up to date.
    """

    def __init__(
        self,
        ui: Any,
        decide: Callable[..., None],
        show: Callable[[str, int | None], None],
        onClicked: Callable[[str, int | None], None],
        onTarget: Callable[[], None],
        onPair: Callable[[], None],
        showAll: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._decide = decide
        self._show = show
        self._onTarget = onTarget
        self._onPair = onPair
        self._showAll = showAll
        self._case: TrackingCase | None = None
        self._folder: Path | None = None
        self._queue: list[Finding] = []
        self._pairs: list[tuple[int, int]] = []
        self._reason = ""
        self.table = TrackTable(ui.trackTable, self._onChosen, onClicked)
        self._fillChoices()
        self._connect()

    def show(self, case: TrackingCase | None) -> None:
        """Show the tracks of a case and how many of their findings were decided on."""
        folder = None if case is None else session.caseFolder()
        if folder != self._folder:
            self._folder = folder
            self._forgetChoices()
        self._case = case
        self._fillPairs()
        self._queue = [] if case is None else case.queue
        self._showRows()
        self._showProgress()
        self._showTarget()

    def pair(self) -> tuple[int, int] | None:
        """The earlier and the later of the two studies that are compared, None where there are none."""
        at = self._ui.pairComboBox.currentIndex
        return self._pairs[at] if 0 <= at < len(self._pairs) else None

    def target(self) -> tuple[str, int] | None:
        """The track and the study that a decision is about; the later one of the pair where no study was chosen."""
        self._showAll()
        track, study = self.table.current()
        if not track or self._case is None:
            return None
        pair = self.pair()
        if study is None:
            study = next((each.studyId for each in self._queue if each.track == track and not each.decided), None)
        if study is None and pair is not None:
            study = pair[1]
        return None if study is None else (track, study)

    def select(self, track: str, studyId: int | None) -> None:
        """Make a cell the current one, as a click into a view does; the views stay."""
        if self._case is not None and track not in self.table.tracks():
            self._showEverything()
        self.table.select(track, studyId)
        self._showTarget()

    def update(self, isIdle: bool) -> None:
        """Offer what can be done with the track at the study; nothing while a program writes to the case."""
        ui, target = self._ui, self.target()
        followed = self._case is not None and bool(self._case.results.tracks)
        cell = None if target is None else self._case.cell(*target)
        isThere = cell is not None and cell.lesion is not None
        isElsewhere = cell is not None and len(self._case.places(target[0]) - {target[1]}) > 0
        isFirst = cell is not None and target[1] == self._case.results.studies[0].study_id
        canDecide = isIdle and cell is not None
        ui.acceptButton.enabled = canDecide and bool(cell.status)
        ui.markNewButton.enabled = canDecide and isThere and not isFirst
        ui.markGoneButton.enabled = ui.notImagedButton.enabled = canDecide and isElsewhere
        ui.notLesionButton.enabled = canDecide and isThere
        ui.takeBackButton.enabled = canDecide and target in self._case.decisions
        ui.commentButton.enabled = canDecide
        for button in (ui.previousButton, ui.nextButton):
            button.enabled = isIdle and any(not each.decided for each in self._queue)
        for widget in (ui.pairComboBox, ui.metricComboBox, ui.filterComboBox, ui.findLineEdit):
            widget.enabled = followed

    # What the user does, by button, menu or key

    def step(self, direction: int) -> None:
        """Go to the next finding that is listed and waits (+1), or to the one before (-1), the weightiest first."""
        self._showAll()
        track, study = self.table.current()
        self._goTo(nextOpen(self._listed(), None if study is None else (track, study), direction))

    def accept(self) -> None:
        """Take what was proposed for the track at the study for right, and go on."""
        target = self.target()
        if target is not None:
            act = partial(self._steps().accept_track, track=target[0], at_study=target[1])
            self._decide(act, _("The decision cannot be stored."), partial(self._goOn, self._after(target)))

    def mark(self, status: str) -> None:
        """Say what the track is at the study: "new", "gone" or "not imaged"; "" takes back what was said."""
        target = self.target()
        if target is not None:
            act = partial(self._steps().mark_track, track=target[0], at_study=target[1], status=status)
            cell = self._case.cell(*target)
            # What is new gets a track of its own, and gives it up when that is taken back.
            follows = cell is not None and cell.lesion is not None and status in ("new", "")
            then = partial(self._selectLesion, target[1], cell.lesion) if follows else None
            self._decide(act, _("The decision cannot be stored."), then)

    def notLesion(self, reason: str = "") -> None:
        """Let the lesion of the track at the study not count, for the reason of the last time where none is given."""
        self._reason = reason or self._reason
        target = self.target()
        cell = None if target is None else self._case.cell(*target)
        if cell is not None and cell.lesion is not None:
            act = partial(self._steps().not_a_lesion, study_id=cell.study_id, lesion=cell.lesion, reason=self._reason)
            self._decide(act, _("The decision cannot be stored."), partial(self._goOn, self._after(target)))

    def comment(self) -> None:
        """Ask for a comment on the track and keep it."""
        target = self.target()
        anchor = None if target is None else self._case.commented(target[0])
        if anchor is None:
            return
        dialog = qt.QInputDialog(self._ui.trackTable.window())
        dialog.setWindowTitle(_("Comment on {track}").format(track=target[0]))
        dialog.setLabelText(_("Kept with the lesion; empty to remove it:"))
        dialog.setTextValue(self._case.comment(target[0]))
        if dialog.exec_():
            text = dialog.textValue().strip()
            self._decide(lambda case: case.comment_track(*anchor, text), _("The comment cannot be stored."))

    def jump(self) -> None:
        """Bring the views to the track with the cursor."""
        track, study = self.table.current()
        if track:
            self._show(track, study)

    def _listed(self) -> list[Finding]:
        """The queue as far as it is listed; all of it where nothing that is listed waits for a decision."""
        tracks, chosen = set(self.table.tracks()), self._ui.filterComboBox.currentData
        isOfKind = chosen.startswith("kind:")
        found = [
            each for each in self._queue if each.track in tracks and not (isOfKind and chosen != f"kind:{each.kind}")
        ]
        return found if any(not each.decided for each in found) else self._queue

    def _after(self, target: tuple[str, int]) -> tuple[str, int] | None:
        """Track and study of the finding after a target, before a decision hides its row or takes it off the queue."""
        found = nextOpen(self._listed(), target)
        return None if found is None else (found.track, found.studyId)

    def _goOn(self, place: tuple[str, int] | None) -> None:
        """Go to the finding at a track and a study, or to the weightiest where that one does not wait any more."""
        waiting = [each for each in self._listed() if not each.decided]
        at = (each for each in waiting if (each.track, each.studyId) == place)
        self._goTo(next(at, next(iter(waiting), None)))

    def _goTo(self, found: Finding | None) -> None:
        if found is not None:
            self.select(found.track, found.studyId)
            self._show(found.track, found.studyId)

    def _selectLesion(self, studyId: int, lesion: int) -> None:
        track = "" if self._case is None else self._case.trackOf(studyId, lesion)
        if track:
            self.select(track, studyId)

    def _steps(self) -> Any:
        from PSMATheranosticsLib import pipeline_tracking

        return pipeline_tracking

    def _onChosen(self, track: str, studyId: int | None) -> None:
        self._showTarget()
        self._show(track, studyId)

    # Showing

    def _connect(self) -> None:
        ui = self._ui
        for button, action in (
            (ui.acceptButton, self.accept),
            (ui.previousButton, partial(self.step, -1)),
            (ui.nextButton, partial(self.step, +1)),
            (ui.markNewButton, partial(self.mark, "new")),
            (ui.markGoneButton, partial(self.mark, "gone")),
            (ui.notImagedButton, partial(self.mark, "not imaged")),
            (ui.takeBackButton, partial(self.mark, "")),
            (ui.notLesionButton, self.notLesion),
            (ui.commentButton, self.comment),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())
        for box in (ui.metricComboBox, ui.filterComboBox):
            box.connect("activated(int)", lambda _index: self._showRows())
        ui.pairComboBox.connect("activated(int)", lambda _index: self._changePair())
        ui.findLineEdit.connect("textChanged(QString)", lambda _text: self._showRows())

    def _fillChoices(self) -> None:
        from PSMASegmentLib.physiology_reasons import PHYSIOLOGICAL_REASONS
        from PSMATrackingLib.lesion_response import CLASSES

        for key, name in metrics():
            self._ui.metricComboBox.addItem(name, key)
        box = self._ui.filterComboBox
        for name, key in ((_("All lesions"), _ALL), (_("Waiting"), _WAITING), (_("Decided"), _DECIDED)):
            box.addItem(name, key)
        box.insertSeparator(box.count)
        for kind in KINDS:
            box.addItem(kindName(kind), f"kind:{kind}")
        box.insertSeparator(box.count)
        for each in CLASSES:
            box.addItem(_("Class: {name}").format(name=each), f"class:{each}")
        reasons = (_("Artifact"), _("Benign uptake"), *PHYSIOLOGICAL_REASONS)
        self._reason = reasons[0]
        menu = qt.QMenu(self._ui.notLesionButton)
        for reason in reasons:
            menu.addAction(reason).connect("triggered(bool)", lambda _checked=False, why=reason: self.notLesion(why))
        self._ui.notLesionButton.setMenu(menu)

    def _fillPairs(self) -> None:
        """Offer each follow-up against the baseline and against the study before it; keep what was chosen."""
        before, box = self.pair(), self._ui.pairComboBox
        pairs = [] if self._case is None else pairsOf(self._case.results)
        if [box.itemText(index) for index in range(box.count)] != [name for _pair, name in pairs]:
            box.clear()
            for _pair, name in pairs:
                box.addItem(name)
        self._pairs = [pair for pair, _name in pairs]
        box.setCurrentIndex(self._pairs.index(before) if before in self._pairs else self._lastAgainstBaseline())

    def _lastAgainstBaseline(self) -> int:
        """Where the list has the last study against the baseline, which the response is about; -1 without any."""
        baseline = None if self._case is None else self._case.results.baseline_id
        found = [index for index, (earlier, _later) in enumerate(self._pairs) if earlier == baseline]
        return found[-1] if found else min(len(self._pairs), 1) - 1

    def _changePair(self) -> None:
        self._showRows()
        self._showTarget()
        self._onPair()

    def _showRows(self) -> None:
        case = self._case
        if case is None:
            self.table.show(None, lambda _track: False)
            self._ui.legendLabel.text = ""
            return
        byTrack: dict[str, list[Finding]] = {}
        for each in self._queue:
            byTrack.setdefault(each.track, []).append(each)
        changes = changesOf(case.results, self.pair())
        comments = {track: case.comment(track) for track in case.comments}
        shown = Shown(case.results, self._ui.metricComboBox.currentData, changes, byTrack, comments, case.lesions)
        self.table.show(shown, self._filter(shown))
        self._ui.legendLabel.text = classLegend(changes)

    def _filter(self, shown: Shown) -> Callable[[TrackResult], bool]:
        chosen, text = self._ui.filterComboBox.currentData, self._ui.findLineEdit.text.strip().casefold()

        def isWanted(track: TrackResult) -> bool:
            found: Sequence[Finding] = shown.findings.get(track.label, ())
            change = shown.changes.get(track.label)
            said = "" if change is None else change.class_
            if chosen == _WAITING and all(each.decided for each in found):
                return False
            if chosen == _DECIDED and not (found and all(each.decided for each in found)):
                return False
            if chosen.startswith("kind:") and chosen[5:] not in [each.kind for each in found]:
                return False
            if chosen.startswith("class:") and chosen[6:] != said:
                return False
            about = f"{track.label} {said} {regionOf(track, shown.lesions)} {shown.comments.get(track.label, '')}"
            return text in about.casefold()

        return isWanted

    def _forgetChoices(self) -> None:
        """Of another patient nothing is hidden, and no pair of studies is kept, because of what was chosen before."""
        self._pairs = []
        self._clearFilters()

    def _showEverything(self) -> None:
        """Take the filters away: what is asked for is hidden by them."""
        self._clearFilters()
        self._showRows()

    def _clearFilters(self) -> None:
        self._ui.filterComboBox.setCurrentIndex(0)
        wasBlocked = self._ui.findLineEdit.blockSignals(True)
        self._ui.findLineEdit.text = ""
        self._ui.findLineEdit.blockSignals(wasBlocked)

    def _showProgress(self) -> None:
        done, count = sum(each.decided for each in self._queue), len(self._queue)
        bar = self._ui.reviewProgressBar
        bar.setUpdatesEnabled(False)  # otherwise it is drawn at each call, and all that waits to be drawn with it
        bar.setRange(0, max(count, 1))
        bar.setValue(done)
        bar.setFormat(_("{done} of {all} decided").format(done=done, all=count))
        bar.setUpdatesEnabled(True)

    def _showTarget(self) -> None:
        target = self.target()
        told = "" if target is None else targetText(self._case, *target, self.pair())
        self._ui.targetLabel.text = told or self._hint()
        self._onTarget()

    def _hint(self) -> str:
        """What to do where no lesion is selected."""
        if self._case is None:
            return ""
        if not self._case.results.tracks:
            return _("The lesions of this case were not followed yet: see Follow lesions above.")
        if all(each.decided for each in self._queue):
            return _("Select a lesion. No finding waits for a decision.")
        return _("Select a lesion, or go to the next finding.")
