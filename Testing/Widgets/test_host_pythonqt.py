"""Qt looks like PythonQt's in the host: what works in Slicer works, what fails there fails here."""

from __future__ import annotations

from typing import Any

import pytest


def test_properties_are_attributes(host: Any) -> None:
    import qt

    label = qt.QLabel("one")
    label.text = "two"
    label.enabled = False
    label.alignment = qt.Qt.AlignRight
    assert label.text == "two"
    assert not label.enabled
    assert label.alignment == qt.Qt.AlignRight
    with pytest.raises(TypeError, match="not callable"):
        label.text()


def test_attributes_of_its_own_are_refused_on_a_qt_object_only(host: Any) -> None:
    import qt

    class Watcher(qt.QObject):
        pass

    watcher = Watcher()
    watcher.count = 3
    assert watcher.count == 3
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="creating new attributes"):
        button.count = 3
    with pytest.raises(AttributeError, match="no attribute"):
        button.count  # noqa: B018
    with pytest.raises(AttributeError, match="not writable"):
        button.width = 10


def test_slots_get_as_many_arguments_as_they_take(host: Any) -> None:
    import qt

    button, calls = qt.QPushButton(), []
    button.checkable = True
    button.connect("clicked()", lambda *given: calls.append(("all of clicked()", given)))
    button.connect("clicked(bool)", lambda: calls.append(("none", ())))
    button.connect("clicked(bool)", lambda checked: calls.append(("one", checked)))
    button.clicked.connect(lambda checked: calls.append(("by name", checked)))
    button.click()
    assert calls == [("all of clicked()", ()), ("none", ()), ("one", True), ("by name", True)]


def test_a_connection_keeps_its_slot_alive_until_disconnected(host: Any) -> None:
    import qt

    class Counter:
        clicks = 0

        def add(self) -> None:
            Counter.clicks += 1

    button = qt.QPushButton()
    counter = Counter()
    button.connect("clicked()", counter.add)
    function = counter.add
    del counter
    button.click()
    assert button.disconnect("clicked()", function)
    assert not button.disconnect("clicked()", function)
    button.click()
    assert Counter.clicks == 1


def test_signals_declared_in_python_connect_both_ways(host: Any) -> None:
    import qt

    class Worker(qt.QObject):
        progressed = qt.Signal(float, str)

    worker, got = Worker(), []
    worker.progressed.connect(lambda fraction, message: got.append((fraction, message)))
    worker.connect("progressed(double,QString)", lambda fraction: got.append(fraction))
    worker.progressed.emit(0.5, "half")
    assert got == [(0.5, "half"), 0.5]


def test_unknown_signal_is_an_error_of_the_test(host: Any) -> None:
    import qt

    assert qt.QPushButton().connect("clickd()", print) is False
    assert ["clickd()" in str(error) for error in host.errors.take()] == [True]


def test_enumerations_are_numbers(host: Any) -> None:
    import qt

    assert qt.QProcess.NormalExit == 0
    assert int(qt.QProcess.CrashExit) == 1
    assert not qt.QProcess.NormalExit
    assert qt.Qt.Checked == 2


def test_children_are_found_by_name_and_class(host: Any) -> None:
    import qt

    widget = qt.QWidget()
    inner = qt.QWidget(widget)
    inner.name = "inner"
    button = qt.QPushButton(inner)
    assert widget.inner is inner
    assert widget.findChildren("QAbstractButton") == (button,)
    assert widget.findChild(qt.QPushButton) is button
    assert widget.findChild("QWidget", "inner") is inner
    assert widget.findChild(qt.QLabel) is None
    assert button.className() == "QPushButton"
    with pytest.raises(AttributeError):
        widget.nobody  # noqa: B018


def test_timers_fire(host: Any) -> None:
    import qt

    ticks: list[str] = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.interval = 1
    timer.connect("timeout()", lambda: ticks.append("timer"))
    timer.start()
    qt.QTimer.singleShot(1, lambda: ticks.append("static"))
    host.wait_until(lambda: len(ticks) == 2)
    assert not timer.active


def test_many_calls_do_not_wear_out_none(host: Any) -> None:
    import qt

    label = qt.QLabel()
    for _ in range(20000):
        label.setText("x")
    assert label.text == "x"


@pytest.mark.parametrize("where", ["slot", "timer", "observer", "thread"])
def test_exception_without_a_caller_reaches_the_log(host: Any, where: str) -> None:
    import threading

    import qt
    import slicer

    def fail(*arguments: Any) -> Any:
        raise ValueError(where)

    with host.errors.expected(ValueError, where):
        if where == "slot":
            button = qt.QPushButton()
            button.clicked.connect(fail)
            button.click()
        elif where == "timer":
            qt.QTimer.singleShot(0, fail)
            host.wait_until(lambda: host.errors.errors)
        elif where == "observer":
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
            node.AddObserver("ModifiedEvent", fail)
            node.SetText("new")
        else:
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
    host.errors.take()  # some of these arrive more than once
