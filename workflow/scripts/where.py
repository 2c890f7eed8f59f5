"""Print where the report of a configuration is, and whether it is there."""

from __future__ import annotations

import sys
from pathlib import Path

from _program import plan_of

if __name__ == "__main__":
    report = plan_of(Path(sys.argv[1])).report.record
    page = report.parent / "report" / "index.html"
    if not (report.is_file() and page.is_file()):
        sys.exit(f"{page}: not there yet")
    print(f"Report: {page.resolve()}")
