"""Keys of the corrections: they work in the main window, not while someone types, and not on Slicer's own keys."""

from __future__ import annotations

from typing import Any

import pytest

# Keys of Slicer 5.12 by where they are defined: slice views (vtkMRMLSliceIntersectionWidget), Segment Editor
# (qMRMLSegmentEditorWidget), markups (vtkSlicerMarkupsWidget, qMRMLMarkupsToolBar), main window and module selector.
SLICE_VIEW_KEYS = ["G", "T", "Right", "Left", "Up", "Down", "F", "B", "V", "Shift+V", "[", "]", "{", "}", "R"]
EDITOR_KEYS = [*"0123456789", *(f"Shift+{digit}" for digit in "0123456789"), "Esc", "Space", *"QWIZY/*,.<>"]
MARKUPS_KEYS = ["Del", "Backspace", "Shift+Del", "Ctrl+Shift+A", "Ctrl+Shift+T", "Ctrl+Shift+Space"]
WINDOW_KEYS = [f"Ctrl+{key}" for key in "OSWFHXCVB023456`"] + ["Ctrl+Left", "Ctrl+Right", "Alt+Left", "Alt+Right"]


@pytest.fixture
def shortcuts(host: Any) -> Any:
    """All shortcuts, installed; `shortcuts.done` collects the actions."""
    from PSMATheranosticsMrml.shortcuts import Shortcuts, shortcutTable

    done: list[str] = []
    made = Shortcuts({each.action: lambda action=each.action: done.append(action) for each in shortcutTable()})
    made.done = done  # type: ignore[attr-defined]
    made.install()
    yield made
    made.uninstall()


def test_each_key_does_its_action(host: Any, shortcuts: Any):
    from PSMATheranosticsMrml.shortcuts import shortcutTable

    with host.show_window(size=(500, 400)) as window:
        window.setFocus()
        for entry in shortcutTable():
            for key in entry.keys:
                shortcuts.done.clear()
                host.gestures.press(key)
                assert shortcuts.done == [entry.action], key


def test_keys_work_while_a_view_has_the_focus(host: Any, shortcuts: Any):
    import slicer

    slicer.app.layoutManager().layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    with host.show_window(size=(500, 400)):
        host.gestures.view("Red").setFocus()
        host.gestures.press("A", host.gestures.view("Red"))
    assert shortcuts.done == ["accept"]


@pytest.mark.parametrize("kind", ["QLineEdit", "QTextEdit", "QPlainTextEdit", "QDoubleSpinBox", "QComboBox"])
def test_keys_are_text_while_someone_types(host: Any, shortcuts: Any, kind: str):
    import qt

    panel, edit, button = qt.QWidget(), getattr(qt, kind)(), qt.QPushButton("other")
    if kind == "QComboBox":
        edit.setEditable(True)
    layout = qt.QVBoxLayout(panel)
    layout.addWidget(edit)
    layout.addWidget(button)
    with host.show_window(panel, size=(600, 400)):
        typed = edit.lineEdit() if kind == "QComboBox" else edit
        typed.setFocus()
        host.process_events()
        for key in ("A", "N", "Ctrl+Z", "-", "Shift+D"):
            host.gestures.press(key, typed)
        assert shortcuts.done == []
        if kind == "QLineEdit":
            assert edit.text == "-d"  # Ctrl+Z is that of the text field: it took "a" and "n" back
        button.setFocus()
        host.process_events()
        host.gestures.press("N", button)
    assert shortcuts.done == ["next"]


def test_after_uninstall_the_keys_do_nothing(host: Any, shortcuts: Any):
    import qt
    import slicer

    window = slicer.util.mainWindow()
    assert len(window.findChildren(qt.QShortcut)) > 10
    shortcuts.uninstall()
    host.process_events()
    assert len(window.findChildren(qt.QShortcut)) == 0
    with host.show_window(size=(500, 400)):
        window.setFocus()
        host.gestures.press("A")
    assert shortcuts.done == []


def test_install_twice_is_install_once(host: Any, shortcuts: Any):
    shortcuts.install()
    with host.show_window(size=(500, 400)) as window:
        window.setFocus()
        host.gestures.press("N")
    assert shortcuts.done == ["next"]


def test_actions_without_keys_are_refused(host: Any):
    from PSMATheranosticsMrml.shortcuts import Shortcuts

    with pytest.raises(ValueError, match="fly"):
        Shortcuts({"fly": lambda: None})


def test_no_key_is_used_twice_or_is_one_of_slicers(host: Any):
    import qt
    from PSMATheranosticsMrml.shortcuts import shortcutTable

    def name(key: str) -> str:
        sequence = qt.QKeySequence(key)
        assert sequence.count() == 1, key
        return sequence.toString()

    ours = [name(key) for entry in shortcutTable() for key in entry.keys]
    slicers = {name(key) for key in (*SLICE_VIEW_KEYS, *EDITOR_KEYS, *MARKUPS_KEYS, *WINDOW_KEYS)}
    assert len(set(ours)) == len(ours)
    assert not set(ours) & slicers


def test_the_help_names_every_key_and_the_clicks(host: Any):
    from PSMATheranosticsMrml.shortcuts import helpHtml, keyText, shortcutTable

    text = helpHtml()
    for entry in shortcutTable():
        assert f"<b>{keyText(entry.keys[0])}</b>" in text
        assert entry.text in text
    assert "Ctrl+click" in text and "Alt+click" in text
