"""How long the report takes, and how large it is: five studies of 120 lesions each, and the real series of a table.

Run it with ``python Testing/Benchmarks/bench_report.py``; ``PSMA_TEST_DATA`` names the folder of test data. Seconds are
of the CPU, of one run each. It ends with 1 where a limit is passed: 15 s of CPU for everything and 8 MB of HTML.
The cases are drawings of a table of lesions (``Testing/lesion_table_case.py``): their images are small, so that reading
larger ones comes on top.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PSMATheranosticsLib.report import build_report, render_html
from PSMATheranosticsLib.report_pdf import render_pdf
from PSMATheranosticsLib.results import collect_results

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import lesion_table_case as drawn

LONGEST_SECONDS = 15.0
LARGEST_HTML_MB = 8.0

Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What ``work`` gives, and its CPU seconds."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def measure(name: str, visits: Sequence[drawn.Visit], folder: Path) -> bool:
    """Print times and sizes of one case; False where a limit is passed."""
    with drawn.make_case(folder / name, visits, name, invented=len(visits) > 2) as case:
        results, collecting = timed(lambda: collect_results(case))
        report, building = timed(lambda: build_report(results, case))
        html, page = timed(lambda: render_html(report))
        pdf, printing = timed(lambda: render_pdf(report))
    whole, size_mb = collecting + building + page + printing, len(html.encode()) / 1e6
    lesions = "/".join(str(len(visit.lesions)) for visit in visits)
    print(
        f"{name:<12}{lesions:>24} lesions {len(results.tracks):>4} tracks   results {collecting:5.2f}  building "
        f"{building:5.2f}  HTML {page:5.2f}  PDF {printing:5.2f}  all {whole:5.2f} s   HTML {size_mb:4.1f}  PDF "
        f"{len(pdf) / 1e6:4.1f} MB"
    )
    return whole <= LONGEST_SECONDS and size_mb <= LARGEST_HTML_MB


def main() -> int:
    """Measure all cases."""
    many = drawn.visits_of(drawn.MANY_LESIONS)
    with tempfile.TemporaryDirectory() as folder:
        kept = [
            measure("two series", drawn.visits_of(drawn.TWO_SERIES), Path(folder)),
            measure("many lesions", many, Path(folder)),
            measure("five studies", drawn.course_of(many[1], 5), Path(folder)),
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
