"""The question which regions of a file are lesions: structure sets hold organs and the body as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import qt
from slicer.i18n import tr as _


@dataclass(frozen=True)
class RegionChoice:
    """The regions to take, and whether each separate part of them is a lesion of its own."""

    names: list[str]
    split: bool


def chooseRegions(parent: qt.QWidget, names: Sequence[str]) -> RegionChoice | None:
    """Let the user tick the names that are lesions, all of them at first; None where he wants none of them."""
    dialog = qt.QDialog(parent)
    dialog.setWindowTitle(_("Lesions in the file"))
    layout = qt.QVBoxLayout(dialog)
    layout.addWidget(qt.QLabel(_("Take these as lesions; leave out organs and the outline of the body:")))
    box = qt.QListWidget()
    for name in names:
        item = qt.QListWidgetItem(name)
        item.setFlags(item.flags() | qt.Qt.ItemIsUserCheckable)
        item.setCheckState(qt.Qt.Checked)
        box.addItem(item)
    layout.addWidget(box)
    split = qt.QCheckBox(_("Every separate part is a lesion of its own"))
    split.toolTip = _("For files that hold all lesions of the patient as one region.")
    layout.addWidget(split)
    buttons = qt.QDialogButtonBox()
    buttons.setStandardButtons(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
    buttons.connect("accepted()", dialog.accept)
    buttons.connect("rejected()", dialog.reject)
    layout.addWidget(buttons)
    if not dialog.exec_():
        return None
    ticked = [box.item(row) for row in range(len(names)) if box.item(row).checkState() == qt.Qt.Checked]
    return RegionChoice([item.text() for item in ticked], split.checked) if ticked else None
