"""What the keys of ``shortcuts`` do in the panel of PSMA Segment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .click_panel import ClickPanel
from .review_panel import ReviewPanel


def keyActions(ui: Any, clicks: ClickPanel, review: ReviewPanel) -> dict[str, Callable[[], object]]:
    """What to do, by the names of actions in ``shortcuts``: most keys press a button, and nothing where it is off."""
    from PSMASegmentLib.lesion_regions import REGIONS

    buttons = {
        "click": ui.clickButton,
        "notHere": ui.notHereButton,
        "accept": ui.acceptButton,
        "next": ui.nextButton,
        "previous": ui.previousButton,
        "physiological": ui.physiologicalButton,
        "delete": ui.deleteButton,
        "restore": ui.restoreButton,
        "split": ui.splitButton,
        "merge": ui.mergeButton,
        "undo": ui.undoButton,
        "redo": ui.redoButton,
    }
    regions = ("prostateBed", "pelvicNode", "distantNode", "bone", "visceral")
    return {
        **{key: button.click for key, button in buttons.items()},
        **{key: partial(review.setRegion, region) for key, region in zip(regions, REGIONS, strict=True)},
        "raise": partial(clicks.changeThreshold, +1),
        "lower": partial(clicks.changeThreshold, -1),
        "jump": review.jump,
    }
