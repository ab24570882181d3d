"""The part of the panel about the response: categories, what a reader sees, and whether he stands by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from . import cards, session
from .choice_buttons import ChoiceButtons
from .tables import studyName

if TYPE_CHECKING:
    from pathlib import Path

    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import ResponseResult, Results

    Act = Callable[[CaseStore], object]


class ResponsePanel:
    """Binds the widgets of the sections ``responseCollapsibleButton`` and ``scoresCollapsibleButton``.

    ``change`` makes one step of the journal and shows what came of it: it gets what makes it with an open case, and the
    beginning of the message should it fail. ``jump`` brings the views to a track at a study.
    """

    def __init__(self, ui: Any, change: Callable[[Act, str], bool], jump: Callable[[str, int], None]) -> None:
        self._ui = ui
        self._change = change
        self._results: Results | None = None
        self._folder: Path | None = None
        self._stated: dict[int, dict[str, Any]] = {}  # by follow-up: what the reader sees there
        self._overridden: tuple[int, str, str] | None = None  # what the open form for another category is about
        self._isCurrent = True
        self._isIdle = True
        self._choices = self._makeChoices()
        ui.overrideWidget.setVisible(False)
        ui.responseLabel.connect("linkActivated(QString)", lambda link: jump(*cards.linkedTrack(link)))
        ui.followUpComboBox.connect("activated(int)", lambda _index: self._showChosen())
        ui.criterionComboBox.connect("activated(int)", lambda _index: self._showChosen())
        ui.overrideReasonLineEdit.connect("textChanged(QString)", lambda _text: self._updateOverride())
        for button, action in (
            (ui.confirmButton, self.confirm),
            (ui.overrideButton, self.openOverride),
            (ui.overrideStoreButton, self.override),
            (ui.overrideCancelButton, self.closeOverride),
            (ui.withdrawButton, self.withdraw),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def show(self, results: Results | None) -> None:
        """Show the responses of a case; the follow-up and the criterion that were chosen stay."""
        self._results, self._isCurrent = results, True
        self._stated = _statements() if results is not None else {}
        chosen, criterion = self._ui.followUpComboBox.currentData, self._ui.criterionComboBox.currentData
        if session.caseFolder() != self._folder:  # studies of another man may have the same numbers
            self._folder, chosen, criterion = session.caseFolder(), None, None
            self.closeOverride()
        self._fillFollowUps()
        self._choose(chosen, criterion)

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed."""
        self._isCurrent = False
        self._showCard()
        self._updateEnabled()

    def choose(self, studyId: int) -> None:
        """Show the response of a study, if it has one."""
        if self._ui.followUpComboBox.findData(studyId) >= 0:
            self._choose(studyId, self._ui.criterionComboBox.currentData)

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing while a program writes to the case."""
        self._isIdle = isIdle
        self._updateEnabled()

    def response(self) -> ResponseResult | None:
        """The response that is shown in full."""
        criterion = self._ui.criterionComboBox.currentData
        return next((each for each in self._ofFollowUp() if each.criterion == criterion), None)

    # What the reader does

    def state(self, name: str, value: Any) -> None:
        """Store what the reader sees at the follow-up."""
        from PSMATheranosticsLib.reader_statement import state_inputs

        response = self.response()
        if response is not None:
            self._change(
                lambda case: state_inputs(case, response.followup_id, **{name: value}),
                _("The statement cannot be stored."),
            )

    def confirm(self) -> None:
        """Confirm the category that is shown."""
        from PSMATheranosticsLib.reader_statement import confirm

        response = self.response()
        if response is not None:
            self._change(
                lambda case: confirm(case, response.followup_id, response.criterion, _byRules(response)),
                _("The category cannot be confirmed."),
            )

    def openOverride(self) -> None:
        """Ask for another category and the reason for it."""
        from PSMATheranosticsLib.reader_statement import categories_of

        response = self.response()
        if response is None:
            return
        box = self._ui.overrideCategoryComboBox
        box.clear()
        for category in categories_of(response.criterion):
            if category != _byRules(response):
                box.addItem(category, category)
        self._ui.overrideReasonLineEdit.text = response.override_reason
        self._ui.overrideWidget.setVisible(True)
        self._overridden = _subjectOf(response)
        self._updateOverride()
        self._ui.overrideReasonLineEdit.setFocus()

    def closeOverride(self) -> None:
        """Leave the category as it is."""
        self._ui.overrideWidget.setVisible(False)
        self._overridden = None

    def override(self) -> None:
        """Decide on the category that was chosen, with the reason that was typed."""
        from PSMATheranosticsLib.reader_statement import override

        response, category = self.response(), self._ui.overrideCategoryComboBox.currentData
        reason = self._ui.overrideReasonLineEdit.text
        if response is not None and category:
            followUp, criterion, seen = _subjectOf(response)
            isStored = self._change(
                lambda case: override(case, followUp, criterion, category, reason, instead_of=seen),
                _("The category cannot be stored."),
            )
            if isStored:
                self.closeOverride()

    def withdraw(self) -> None:
        """Take the confirmation or the decision on another category back."""
        from PSMATheranosticsLib.reader_statement import withdraw

        response = self.response()
        if response is not None:
            self._change(
                lambda case: withdraw(case, response.followup_id, response.criterion),
                _("The decision cannot be taken back."),
            )

    # Showing

    def _makeChoices(self) -> dict[str, ChoiceButtons]:
        form = self._ui.statementWidget.layout()
        yes, no, unknown = (_("Yes"), True), (_("No"), False), (_("?"), None)
        rows = (
            (
                "residual_uptake",
                _("Residual uptake:"),
                (yes, no, unknown),
                _("Whether you see any uptake of tumor at follow-up. RECIP-CR needs a No."),
            ),
            (
                "new_lesions_assessable",
                _("New lesions:"),
                ((_("Assessable"), True), (_("Not assessable"), False)),
                _("Not assessable for instance with diffuse marrow involvement: RECIP-PD cannot be reached then."),
            ),
            (
                "visual_change",
                _("Visual change:"),
                ((_("Less"), "decrease"), (_("Neither"), "neither"), (_("More"), "increase"), unknown),
                _("How the tumor volume changed to the eye, for RECIP read visually."),
            ),
            (
                "clinical_progression",
                _("Clinical progression:"),
                (yes, no, unknown),
                _("Whether clinical or laboratory data speak for progression, for PPP."),
            ),
        )
        return {
            name: ChoiceButtons(form, name, label, answers, toolTip, lambda value, name=name: self.state(name, value))
            for name, label, answers, toolTip in rows
        }

    def _fillFollowUps(self) -> None:
        box, results = self._ui.followUpComboBox, self._results
        box.clear()
        if results is None:
            return
        evaluated = {each.followup_id for each in (*results.responses, *results.other_responses)}
        for study in results.studies:
            if study.study_id in evaluated:
                box.addItem(f"{studyName(study)}, {study.acquired:%Y-%m-%d}", study.study_id)

    def _choose(self, followUp: int | None, criterion: str | None) -> None:
        """Show a follow-up by a criterion; the last one by the first, where they are not given or not there."""
        box = self._ui.followUpComboBox
        at = -1 if followUp is None else box.findData(followUp)
        box.setCurrentIndex(at if at >= 0 else box.count - 1)
        self._fillCriteria(criterion)
        response = self.response()
        if response is None or self._overridden != _subjectOf(response):
            self.closeOverride()  # else what was typed stays, when something else has changed meanwhile
        self._showStatement()
        self._showCard()
        self._updateEnabled()

    def _showChosen(self) -> None:
        self._choose(self._ui.followUpComboBox.currentData, self._ui.criterionComboBox.currentData)

    def _fillCriteria(self, criterion: str | None) -> None:
        box = self._ui.criterionComboBox
        box.clear()
        for each in self._ofFollowUp():
            box.addItem(each.criterion, each.criterion)
        box.setCurrentIndex(max(box.findData(criterion) if criterion else 0, 0))

    def _ofFollowUp(self) -> list[ResponseResult]:
        """All responses of the follow-up that was chosen, RECIP first."""
        chosen, results = self._ui.followUpComboBox.currentData, self._results
        if results is None or chosen is None:
            return []
        return [each for each in (*results.responses, *results.other_responses) if each.followup_id == chosen]

    def _showCard(self) -> None:
        response, ui = self.response(), self._ui
        if self._results is None or response is None:
            ui.responseLabel.text = _("No response yet: it needs lesions on a baseline and a follow-up study.")
            ui.otherResponsesLabel.text = ui.scoresLabel.text = ""
        else:
            others = [each for each in self._ofFollowUp() if each is not response]
            ui.responseLabel.text = cards.responseCard(self._results, response, self._isCurrent)
            ui.otherResponsesLabel.text = cards.responseLines(others)
            ui.scoresLabel.text = cards.scoreLines(self._results.study(response.followup_id))
        ui.otherResponsesLabel.setVisible(bool(ui.otherResponsesLabel.text))
        ui.scoresCollapsibleButton.setVisible(bool(ui.scoresLabel.text))
        for widget in (ui.followUpComboBox, ui.criterionComboBox, ui.statementWidget):
            widget.setVisible(response is not None)

    def _showStatement(self) -> None:
        from PSMATheranosticsLib.reader_statement import ReaderStatement

        stated = self._stated.get(self._ui.followUpComboBox.currentData) or ReaderStatement().inputs()
        for name, choice in self._choices.items():
            choice.show(stated[name])

    def _updateEnabled(self) -> None:
        response, ui = self.response(), self._ui
        canDecide = response is not None and self._isCurrent and self._isIdle
        isDecided = response is not None and not response.candidate
        ui.confirmButton.enabled = canDecide and not isDecided
        ui.overrideButton.enabled = canDecide
        ui.withdrawButton.enabled = canDecide and isDecided
        for label in (ui.responseLabel, ui.otherResponsesLabel, ui.scoresLabel):
            label.enabled = self._isCurrent
        for choice in self._choices.values():
            choice.enable(canDecide)
        self._updateOverride()

    def _updateOverride(self) -> None:
        ui = self._ui
        isReady = bool(ui.overrideReasonLineEdit.text.strip()) and ui.overrideCategoryComboBox.count > 0
        ui.overrideStoreButton.enabled = isReady and self._isCurrent and self._isIdle


def _subjectOf(response: ResponseResult) -> tuple[int, str, str]:
    """What a decision is about: the follow-up, the criterion and the category that it gives."""
    return response.followup_id, response.criterion, _byRules(response)


def _byRules(response: ResponseResult) -> str:
    """The category that the rules give, whatever a reader decided."""
    return response.overridden or response.category


def _statements() -> dict[int, dict[str, Any]]:
    """What the reader sees at each follow-up of the open case, where he has said so."""
    from PSMATheranosticsLib.reader_statement import INPUTS_OF, ReaderStatement

    with session.openStore() as case:
        stored = case.responses()
    return {
        each.followup_id: ReaderStatement.from_dict(each.record).inputs()
        for each in stored
        if each.criterion == INPUTS_OF
    }
