"""Copy a report to ``results/published/<benchmark>``, which git keeps: page, figures, tables and scores, no checkpoints.

The runs go there as one archive of their records, curves and scores (``report.joined.archive``); the page names their folders and
no longer links to them. What is published while runs are missing says so, and can be gone on with elsewhere.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from glocalrun.plans import plan_of
from glocalseg.config.model import ConfigError
from glocalseg.records.digest import sha256_file
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError, open_sealed, write_record
from glocalseg.report.joined.archive import NAME, packed

PUBLISHED = Path("results/published")
_TO_RECORD = re.compile(r'<a class="record" href="[^"]*">(.*?)</a>', re.DOTALL)


def publish(record: Path, target: Path) -> int:
    """Copy the files of a sealed report but figures that its page holds itself, and pack its runs; what lay in the target before
    is removed.

    Args:
        record: ``results/<benchmark>/report-<key>.json``, or that of a report that lacks runs.
        target: a folder, made if it is not there.

    Returns:
        How many files there are.

    Raises:
        CorruptedError: if there is no report, a file of it was changed, or a run that it was made of is not as it was.
    """
    payload = open_sealed(record)
    runs, missing = (list(map(Path, names)) for names in (payload["spec"]["runs"], payload["missing"]))
    archive = packed(record.parents[2], runs, missing)
    pages = {name: (record.parent / name).read_text(encoding="utf-8") for name in payload["files"] if name.endswith(".html")}
    names = [name for name in payload["files"] if not name.startswith("figures/") or _shown(name, pages.values())]
    part, old = (target.with_name(f".{target.name}.{end}") for end in ("part", "old"))
    for left in (part, old):
        if left.exists():
            shutil.rmtree(left)
    for name in names:
        path = part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in pages:
            path.write_text(_TO_RECORD.sub(r"\1", pages[name]), encoding="utf-8", newline="\n")
        else:
            shutil.copyfile(record.parent / name, path)
    write_atomic(part / NAME, archive)
    files = {name: sha256_file(part / name) for name in (*names, NAME)}
    write_record(part / record.name, {**{k: v for k, v in payload.items() if k != "digest"}, "files": files})
    if target.exists():
        target.rename(old)  # only now, whole: a full disk leaves what was published before
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return len(files)


def _shown(name: str, pages: Iterable[str]) -> bool:
    """Whether a page names a figure's file: it holds what only phones and dark pages show."""
    return any(f"../{name}" in text for text in pages)


def main() -> None:
    try:
        plan = plan_of(Path(sys.argv[1]))
        target = PUBLISHED / plan.benchmark.name
        whole = plan.report.record.is_file() or not plan.partial_report.is_file()
        count = publish(plan.report.record if whole else plan.partial_report, target)
    except (ConfigError, CorruptedError) as error:
        raise SystemExit(str(error)) from None
    kilobytes = (target / NAME).stat().st_size / 1000
    print(f"{count} files in {target}; the runs without weights and predictions: {NAME}, {kilobytes:.0f} kB")
    if not whole:
        print("Runs are missing; the page names them.")
