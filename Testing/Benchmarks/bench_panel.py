"""The results panel of a large case: 300 lesions at 5 time points, from a change in the case to what is on the screen.

    python Testing/Benchmarks/bench_panel.py [--lesions 300] [--visits 5] [--case FOLDER]

Needs ``slicer-core`` and PySide6: the panel runs on the Qt host of the tests. Times are milliseconds of the processor,
which other work on the machine does not lengthen, the least and the median of the repetitions. Beside the table of
lesions stands its peer: the same rows, put into a QTableWidget anew.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("PSMATheranostics", "PSMASegment", "PSMATracking")
sys.path[:0] = [str(ROOT / folder) for folder in ("Testing", "Testing/Mrml", "Testing/Widgets", *MODULES)]
REPETITIONS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lesions", type=int, default=300)
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--case", type=Path, help="case of an earlier run (default: make one, takes a minute or two)")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer_host as host

    host.start()
    with tempfile.TemporaryDirectory() as folder:
        case = options.case or _made(Path(folder), options.lesions, options.visits)
        _measure(host, case)
    problems = host.errors.take()
    if problems:
        sys.exit("\n".join(str(problem) for problem in problems))


def _made(folder: Path, lesions: int, visits: int) -> Path:
    from tracking_panel import make_large_tracked_case

    start = time.perf_counter()
    case = make_large_tracked_case(folder, lesions, visits)
    print(f"synthetic case of {visits} visits made in {time.perf_counter() - start:.0f} s")
    return case


def _measure(host: Any, folder: Path) -> None:
    from PSMATheranosticsMrml import session

    session.setCaseFolder(folder)
    results = session.results()
    print(f"{len(results.tracks)} tracks, {sum(len(study.lesions) for study in results.studies)} lesions")
    print(f"{'CPU ms':>40} {'least':>8} {'median':>8}")
    _tables(results)
    _plots(results)
    _panel(host, results)


def _tables(results: Any) -> None:
    from PSMATheranosticsMrml.item_table import fillTable
    from PSMATheranosticsMrml.result_tables import ResultTables
    from PySide6 import QtWidgets

    frame = QtWidgets.QFrame()
    QtWidgets.QVBoxLayout(frame)
    tables = ResultTables(frame, lambda _track, _study: None, lambda _study, _lesion: None)

    def anew() -> None:
        tables.show(None)
        tables.show(results)

    _print("tables, filled anew", anew)
    changed = [
        replace(results, tracks=(replace(results.tracks[0], comments=(text,)), *results.tracks[1:])) for text in "ab"
    ]
    turns = iter(range(10 * REPETITIONS))
    _print("tables, one lesion changed", lambda: tables.show(changed[next(turns) % 2]))
    rows = [(track, row) for track, (_over, row) in tables._made.items()]
    headings = [str(index) for index in range(len(rows[0][1]))]
    peer = QtWidgets.QTableWidget()
    _print("peer: QTableWidget, filled anew", lambda: fillTable(peer, headings, rows))
    frame.deleteLater()


def _plots(results: Any) -> None:
    from PSMATheranosticsMrml.result_plots import ResultPlots
    from PySide6 import QtWidgets

    frame = QtWidgets.QFrame()
    QtWidgets.QVBoxLayout(frame)
    plots = ResultPlots(frame, lambda _track, _study: None)
    box = plots.ui.resultPlotComboBox
    for index in range(box.count):
        box.setCurrentIndex(index)
        _print(f"plot: {box.itemText(index)}", lambda: plots.show(results))
    plots.clear()
    frame.deleteLater()


def _panel(host: Any, results: Any) -> None:
    """The whole panel as the user has it: a lesion is accepted, everything is computed and shown anew."""
    from PSMATheranosticsLib.results import collect_results
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        _print("results computed", lambda: collect_results(case))
    widget = host.make_widget(host.load_module(ROOT / "PSMATheranostics" / "PSMATheranostics.py"))
    with host.show_window(widget, (1280, 900)):
        widget.parent.enter()
        host.process_events()
        last = results.studies[-1]
        lesions = iter(last.lesions)

        def accept() -> None:
            with session.openStore(write=True) as case:
                case.decide_lesion(last.study_id, next(lesions).lesion, "accepted")
            widget.refresh()
            host.process_events()

        _print("one decision until it is on screen", accept)
    host.remove_widget(widget)


def _print(name: str, act: Callable[[], Any]) -> None:
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        act()
        times.append(1000.0 * (time.process_time() - start))
    print(f"{name:>40} {min(times):8.1f} {statistics.median(times):8.1f}")


if __name__ == "__main__":
    main()
