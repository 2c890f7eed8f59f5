"""What changed between two reports: exit 0 if they are equal or differ within noise, 1 if beyond it, 2 if one cannot be read."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.diff import difference
from glocalseg.report.joined.shown import as_html, as_markdown, parts, text
from glocalseg.report.joined.side import read_side

FORMATS = {".md": as_markdown, ".html": as_html, ".txt": text}
BEYOND, BAD = 1, 2


def main() -> None:
    """Print what changed and exit; with ``--out`` a file of it, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", nargs="?", type=Path, help="results/<benchmark>, or a published report")
    parser.add_argument("second", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, help="a further file, .md, .html or .txt")
    args = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without signs such as the minus
    try:
        same = compare(args.first, args.second, args.out)
    except (CorruptedError, ReportError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(BAD)
    sys.exit(0 if same else BEYOND)


def compare(first: Path | None, second: Path | None, out: Path | None) -> bool:
    """Print what changed; whether both are equal within noise. Raises ReportError, CorruptedError, OSError."""
    if first is None or second is None:
        raise ReportError("make report-diff: expected A=<folder of a report> and B=<another one>, found fewer")
    if out is not None and out.suffix not in FORMATS:
        raise ReportError(f"OUT: expected a file called *{', *'.join(FORMATS)}, found {out}")
    found = difference(read_side(first), read_side(second))
    shown = parts(found)
    print(text(shown), end="")
    if out is not None:
        write_atomic(out, FORMATS[out.suffix](shown).encode())
    return found.within_noise
