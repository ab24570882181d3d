"""The command ``psma`` as a background process of Slicer: progress, cancel, and errors that say what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from . import process_tree
from .process_events import PsmaRun

if TYPE_CHECKING:
    import SimpleITK as sitk

    from .process_study import WorkerRun

GRACE_MS = 3000  # time to leave the case tidy after a cancel, before the processes are killed
PACKAGES = ("PSMASegmentLib", "PSMATrackingLib", "PSMATheranosticsLib")


def pythonExecutable() -> str:
    """Slicer's own Python, or the Python that runs this where there is no Slicer."""
    return shutil.which("PythonSlicer") or sys.executable


def libraryFolders() -> list[str]:
    """Folders that hold the Lib packages; found without importing them."""
    folders: list[str] = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError(_("{name} is missing: install the extension PSMATheranostics again.").format(name=name))
        folder = str(Path(next(iter(spec.submodule_search_locations))).parent)
        if folder not in folders:
            folders.append(folder)
    return folders


def processEnvironment() -> qt.QProcessEnvironment:
    """Slicer's environment, with the Lib packages within reach of the child."""
    environment = qt.QProcessEnvironment.systemEnvironment()
    inherited = environment.value("PYTHONPATH", "")
    environment.insert("PYTHONPATH", os.pathsep.join([*libraryFolders(), *([inherited] if inherited else [])]))
    environment.insert("PYTHONUNBUFFERED", "1")
    environment.insert("PYTHONIOENCODING", "utf-8")
    # Slicer's ITK plugins are for its own process; SimpleITK in the child would only complain about them.
    environment.remove("ITK_AUTOLOAD_PATH")
    return environment


class PsmaProcess:
    """Runs ``psma`` once at a time and reports to two callables, both called in the main thread.

    Commands that gain from it are run by the worker of the application, which keeps networks warm; each other one is a
    process of its own.

    Usage:
        process = PsmaProcess(onProgress=lambda run: bar.setValue(round(100 * run.fraction)), onEnded=showResult)
        process.start(["track", "/data/case"])
        process.cancel()
    """

    def __init__(
        self, onProgress: Callable[[PsmaRun], None] | None = None, onEnded: Callable[[PsmaRun], None] | None = None
    ) -> None:
        self.run = PsmaRun()
        self._onProgress = onProgress
        self._onEnded = onEnded
        self._process: qt.QProcess | None = None
        self._inWorker: WorkerRun | None = None
        self._images: Sequence[sitk.Image] = ()
        self._told: list[int] = []
        self._killTimer = qt.QTimer()
        self._killTimer.setSingleShot(True)
        self._killTimer.setInterval(GRACE_MS)
        self._killTimer.connect("timeout()", self._kill)

    @property
    def isRunning(self) -> bool:
        return self.run.isRunning

    def offer(self, images: Sequence[sitk.Image]) -> None:
        """Images of the case that are in memory, for the next start: the worker need not read them."""
        self._images = images

    def start(self, arguments: list[str]) -> None:
        """Start ``psma`` with ``arguments`` (without ``--json``).

        Raises:
            RuntimeError: a run is still going on, or the extension is incomplete.
        """
        if self.isRunning:
            raise RuntimeError(_("The last step is still running: wait for it or cancel it."))
        self._kill()  # what an earlier cancel may have left behind
        self.run = PsmaRun()
        self.run.started()
        images, self._images = self._images, ()
        from .process_study import WorkerRun, goesToWorker

        if goesToWorker(arguments):
            self._inWorker = WorkerRun(self.run, self._progressed, self._end)
            self._inWorker.start(arguments, images)
        else:
            self._startProcess(arguments)

    def _startProcess(self, arguments: list[str]) -> None:
        command, *rest = arguments
        process = qt.QProcess()
        process.setProcessEnvironment(processEnvironment())
        process.connect("readyReadStandardOutput()", self._onOutput)
        process.connect("readyReadStandardError()", self._onErrorOutput)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._onError)
        self._process = process
        process.start(pythonExecutable(), ["-m", "PSMATheranosticsLib.command_line", command, "--json", *rest])
        process.closeWriteChannel()  # nobody is there to answer a question

    def cancel(self) -> None:
        """Stop the program and all it started; after a short grace they are killed."""
        if not self.isRunning:
            return
        if self._inWorker is not None:
            self._inWorker.cancel()
            return
        self.run.cancelAsked()
        self._stop(force=False)
        self._killTimer.start()

    def close(self) -> None:
        """Stop at once and wait until it is gone: for the end of Slicer or of the module."""
        self._onProgress = self._onEnded = None
        if self._inWorker is not None:
            self._inWorker.close()
            self._inWorker = None
        elif self.isRunning:
            self.run.cancelAsked()
            self._kill()
            if self._process is not None:
                self._process.waitForFinished(GRACE_MS)

    def _stop(self, force: bool) -> None:
        pid = self._process.processId() if self._process is not None else 0
        if pid:
            self._told = process_tree.stopTree(pid, force)

    def _kill(self) -> None:
        self._killTimer.stop()
        # A child whose launcher has gone already is no descendant any more, but it was told to stop and is known.
        if sys.platform != "win32":
            process_tree.endPids(self._told, force=True)
        if self._process is not None and self._process.state() != qt.QProcess.NotRunning:
            self._stop(force=True)
            self._process.kill()
        self._told = []  # numbers of processes are given out again

    def _onOutput(self) -> None:
        if self._process is None:
            return
        if self.run.output(self._process.readAllStandardOutput().data()):
            self._progressed()

    def _progressed(self) -> None:
        if self._onProgress is not None and not self.run.isCancelAsked:
            self._onProgress(self.run)

    def _onErrorOutput(self) -> None:
        if self._process is not None:
            self.run.errorOutput(self._process.readAllStandardError().data())

    def _onError(self, error: int) -> None:
        if error == qt.QProcess.FailedToStart and self.isRunning:
            told = _("{program} could not be started. Check that Slicer is installed completely, then try again.")
            self.run.startFailed(told.format(program=pythonExecutable()))
            self._end()

    def _onFinished(self, exitCode: int, exitStatus: int) -> None:
        if not self.isRunning:
            return
        self._onOutput()
        self._onErrorOutput()
        self.run.ended(exitCode, exitStatus == qt.QProcess.CrashExit)
        self._end()

    def _end(self) -> None:
        self._inWorker = None
        if not self.run.isCancelAsked:
            self._killTimer.stop()  # after a cancel the launcher may be gone before the Python behind it
        if self._onEnded is not None:
            self._onEnded(self.run)
