"""Print where the report of a configuration is, and whether it is there."""

from __future__ import annotations

import sys
from pathlib import Path

from _program import CARDS

from glocalseg.config import load_benchmark, load_cards
from glocalseg.plan import make_plan

if __name__ == "__main__":
    benchmark = load_benchmark(Path(sys.argv[1]))
    report = make_plan(benchmark, load_cards(benchmark.datasets, CARDS), lock_folder=CARDS).report.record
    page = report.parent / "report" / "index.html"
    if not (report.is_file() and page.is_file()):
        sys.exit(f"{page}: not there yet")
    print(f"Report: {page.resolve()}")
