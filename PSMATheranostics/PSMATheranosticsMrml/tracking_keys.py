"""Keys of the longitudinal review, in one table, and what they do in the panel of PSMA Tracking.

Those that Slicer's views and main window use stay free, see ``shortcuts``; keys that PSMA Segment has as well do the
same here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from .shortcuts import Shortcut, helpTable

if TYPE_CHECKING:
    from .link_panel import LinkPanel
    from .track_panel import TrackPanel


def trackingShortcuts() -> tuple[Shortcut, ...]:
    """All keys, in the order of the help."""
    return (
        Shortcut("next", ("N",), _("Next finding that waits for a decision, the weightiest first")),
        Shortcut("previous", ("P",), _("The finding before")),
        Shortcut("jump", ("J",), _("Show the lesion in all views")),
        Shortcut("accept", ("A",), _("Accept what was proposed and go to the next")),
        Shortcut("markNew", ("W",), _("The lesion is new at this study")),
        Shortcut("markGone", ("E",), _("The lesion is resolved at this study")),
        Shortcut("notImaged", ("O",), _("Its place cannot be judged at this study")),
        Shortcut("notLesion", ("D",), _("Not a lesion, for the reason chosen last")),
        Shortcut("takeBack", ("Shift+D",), _("Take back what was decided about it at this study")),
        Shortcut("link", ("L",), _("Link two lesions: pick them in the views or in the table")),
        Shortcut("unlink", ("K",), _("Unlink two lesions: pick them, or select their link first")),
        Shortcut("stop", ("Esc",), _("Stop picking")),
        Shortcut("comment", ("M",), _("Comment on the lesion")),
        Shortcut("swap", ("S",), _("Swap the studies in one view, to see what differs")),
        Shortcut("linked", ("Y",), _("Scroll the time points together, or each alone")),
        Shortcut("undo", ("Ctrl+Z",), _("Undo the last step")),
        Shortcut("redo", ("Ctrl+Shift+Z", "Ctrl+Y"), _("Redo")),
    )


def helpHtml() -> str:
    """The keys and clicks as a table for a label."""
    mouse = (
        (_("Click"), _("On a lesion or its marker: its row, and the same place in all time points")),
        (_("Click a cell"), _("The lesion at that study; while linking, it is picked")),
    )
    return helpTable(mouse, trackingShortcuts())


def keyActions(ui: Any, tracks: TrackPanel, links: LinkPanel) -> dict[str, Callable[[], object]]:
    """What to do, by the names of actions: most keys press a button, and nothing where it is off."""
    buttons = {
        "next": ui.nextButton,
        "previous": ui.previousButton,
        "accept": ui.acceptButton,
        "markNew": ui.markNewButton,
        "markGone": ui.markGoneButton,
        "notImaged": ui.notImagedButton,
        "notLesion": ui.notLesionButton,
        "takeBack": ui.takeBackButton,
        "link": ui.linkButton,
        "unlink": ui.unlinkButton,
        "comment": ui.commentButton,
        "swap": ui.swapButton,
        "linked": ui.linkedCheckBox,
        "undo": ui.undoButton,
        "redo": ui.redoButton,
    }
    return {**{key: button.click for key, button in buttons.items()}, "jump": tracks.jump, "stop": links.stop}
