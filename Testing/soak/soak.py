"""The fault tests of the case store in full: kills, power cuts, full disks, damaged files, two writers, wrong clocks.

All cases are synthetic. Prints a table with one line per kind and ends with 1 if anything was lost or unexpected.
``lost`` counts acknowledged steps that are gone; ``one more`` counts steps that were stored before they could be
acknowledged. Times of kills from outside are chosen by the seed, but the machine decides what they hit. Run it with

    python Testing/soak/soak.py [--seed 1] [--scale 1.0] [--only WORD]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soak.archives import killed_archives
from soak.damages import flipped_bytes, truncated_files
from soak.disks import file_size_limit, full_disk, read_only
from soak.kills import killed_at_operations, killed_at_random_times, power_cuts
from soak.others import two_writers, wrong_clocks
from soak.outcome import Outcome, table
from soak.sequences import edit_sequences

KINDS: dict[Callable[[int, int], Outcome], int] = {
    killed_at_random_times: 300,
    killed_at_operations: 150,
    power_cuts: 150,
    killed_archives: 100,
    full_disk: 20,
    file_size_limit: 20,
    read_only: 6,
    truncated_files: 60,
    flipped_bytes: 600,
    two_writers: 12,
    wrong_clocks: 20,
    edit_sequences: 1000,
}


def main() -> int:
    """Run all kinds, or those whose name holds a word."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of runs")
    parser.add_argument("--only", default="", help="kinds whose function has this in its name")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    outcomes = []
    for kind, runs in KINDS.items():
        if options.only in kind.__name__:
            outcomes.append(kind(options.seed, max(1, round(runs * options.scale))))
            print(f"{outcomes[-1].kind}: {outcomes[-1].runs} runs in {outcomes[-1].seconds:.0f} s", file=sys.stderr)
    print(table(outcomes))
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
