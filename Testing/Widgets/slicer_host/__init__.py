"""A small Slicer-like host: real MRML, Qt through PySide6 in PythonQt's manner, stand-ins for Slicer's widgets.

What passes here is a host test, not a test in Slicer: see the developer guide for what it can and cannot show.
"""

from __future__ import annotations

from error_log import errors

from . import gestures
from .gestures import show_window
from .host import Heartbeat, grab, load_module, make_widget, process_events, remove_widget, start, wait_until
from .modal_dialogs import dialogs
from .stand_in import NotSimulated

__all__ = [
    "Heartbeat",
    "NotSimulated",
    "dialogs",
    "errors",
    "gestures",
    "grab",
    "load_module",
    "make_widget",
    "process_events",
    "remove_widget",
    "show_window",
    "start",
    "wait_until",
]
