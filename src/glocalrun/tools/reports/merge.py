"""Several benchmarks or sites as one report: their runs in one folder, each once, and the report of all."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from glocalrun.locks import alone
from glocalrun.plans import CARDS, MEMORY
from glocalseg.config.model import ConfigError
from glocalseg.records.code import remembering
from glocalseg.records.sealed import CorruptedError
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.merge import Joined, merge
from glocalseg.report.joined.source import read_source

OUT = Path("results/merged")


def main() -> None:
    """Join, build, print where the page is; exit with one line a problem where folders do not fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        help="results/<benchmark>, a checkout, config/<name>.yaml of one, or a published report",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for all of it (default: %(default)s)")
    args = parser.parse_args()
    try:
        with alone(
            args.out.with_name(f".{args.out.name}.lock"), waiting=f"{args.out}: another report-merge is at work there"
        ):
            joined = joined_of(args.folders, args.out)
            from glocalseg.report.build import build  # draws: a second that a refusal need not wait for

            build(joined.plan, args.out, joined.origins)
    except (ConfigError, CorruptedError, ReportError, OSError) as error:
        sys.exit(str(error))
    for fact in joined.origins:
        print(f"{fact.label}: {fact.value}")
    if joined.further:
        print(f"{joined.further} fine-tunings of the whole grid are in no folder's benchmark; the tables have dashes there.")
    print(f"Configuration: {joined.configuration}")


def joined_of(folders: list[Path], out: Path) -> Joined:
    """The runs of folders brought together. Raises ConfigError, CorruptedError, ReportError."""
    if len(folders) < 2:
        raise ReportError(f'make report-merge: expected two folders or more, FOLDERS="a b", found {len(folders)}')
    with remembering(MEMORY), TemporaryDirectory() as scratch:
        return merge([read_source(folder, Path(scratch)) for folder in folders], out, lock_folder=CARDS)
