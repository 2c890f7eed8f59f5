"""All runs of a benchmark to its scores, tables, figures and page."""

from __future__ import annotations

from pathlib import Path

from _program import Call, run

from glocalseg.report.build import build


def work(call: Call) -> None:
    """Make results/<benchmark>/ and its report-<key>.json."""
    build(call.plan, Path("."))


if __name__ == "__main__":
    run("report", work)
