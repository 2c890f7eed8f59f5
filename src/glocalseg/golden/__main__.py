"""``python -m glocalseg.golden digests | run FOLDER ENTRY...``: what `make same-bits` asks of a commit's code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from glocalseg.golden.about import about
from glocalseg.plan.entries import entries


def main() -> None:
    """Say on standard output what there is, or run some entries."""
    parser = argparse.ArgumentParser(prog="python -m glocalseg.golden")
    parser.add_argument("what", choices=["digests", "run"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("entries", nargs="*")
    arguments = parser.parse_args()
    if arguments.what == "digests":
        print(json.dumps({entry: about(entry) for entry in entries()}))
        return
    from glocalseg.golden.run import run  # torch, and seconds, that digests do not need

    for entry in arguments.entries:
        run(entry, arguments.folder / entry)


if __name__ == "__main__":
    main()
