"""What can look for lesions here: the rules, the models that are installed, and those that lie elsewhere."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMASegmentLib.inference.installed import InstalledModel

RULES = "rules"


@dataclass(frozen=True)
class Method:
    """A segmentation method: its name for the engine, what it is called, and more about it.

    ``lacking`` says why it cannot be used, "" where it can; ``untrusted`` is a model that a user may allow to run;
    ``modalities`` are those of the studies it was made for.
    """

    name: str
    title: str
    toolTip: str = ""
    lacking: str = ""
    untrusted: InstalledModel | None = None
    modalities: tuple[str, ...] = ("PET",)


def methodsThere() -> list[Method]:
    """The rules first, then the models for whole studies that are installed. Reads and verifies their files."""
    from PSMASegmentLib.inference.installed import find_models

    rules = Method(RULES, _("Rules"), _("A threshold and what is known of physiological uptake. Needs nothing else."))
    found: dict[str, Method] = {RULES: rules}
    for model in find_models():
        if model.method:
            found.setdefault(model.method, _method(model))
    return list(found.values())


def methodIn(folder: Path) -> Method:
    """The method that a model in any folder is.

    Raises:
        ValueError: there is no model, or none for whole studies.
    """
    from PSMASegmentLib.inference.installed import inspect_model

    model = inspect_model(folder)
    if not model.method:
        raise ValueError(_("{folder} holds a network for clicks. Choose one for whole studies.").format(folder=folder))
    return _method(model)


def methodNamed(name: str) -> Method:
    """A method that is not installed, by the name that was kept of it."""
    _kind, _colon, where = name.partition(":")
    try:
        if Path(where).is_absolute() and Path(where).exists():
            return methodIn(Path(where))
    except ValueError as error:  # what lies there now is something else
        return Method(name, name, lacking=str(error))
    return Method(name, name, lacking=_("{name} is not there any more. Choose another method.").format(name=name))


def _method(model: InstalledModel) -> Method:
    lacking, untrusted = model.problem, None
    hasTorch = importlib.util.find_spec("torch") is not None
    # Where torch is, it may find a GPU, on which the model runs as a program: then it has to be trusted.
    isData = model.openvino and not hasTorch and importlib.util.find_spec("openvino") is not None
    if not lacking and not hasTorch and not isData:
        lacking = _(
            "Networks need PyTorch: install the extension PyTorch in the Extensions Manager, let it install PyTorch, "
            "and restart Slicer."
        )
    if not lacking and not model.trusted and not isData:
        untrusted = model
        lacking = _(
            "{model} did not come with this software, and it is a program that could do harm. Choose it again and "
            "allow it if you know where it is from."
        ).format(model=model.title)
    return Method(model.method, model.title, str(model.path), lacking, untrusted, model.modalities)
