"""Where the report of a configuration is, and whether it is there."""

from __future__ import annotations

import sys
from pathlib import Path

from glocalrun.plans import plan_of


def main() -> None:
    """Print the page's path; exit with a line where it is not there."""
    report = plan_of(Path(sys.argv[1])).report.record
    page = report.parent / "report" / "index.html"
    if not (report.is_file() and page.is_file()):
        sys.exit(f"{page}: not there yet")
    print(f"Report: {page.resolve()}")
